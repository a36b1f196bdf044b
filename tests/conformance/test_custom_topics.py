"""Topics of a product's own: its classes by the official cloud client, its devices by the vendor's SDK and by paho."""

import base64
import queue

from device import SdkDevice, WireDevice
from server import HANG_SECONDS, wait_for

REFUSED, GRANTED = 0x80, 1


def own(device, tail):
    return f"/{device['ProductKey']}/{device['DeviceName']}/{tail}"


def define(core, device, operation, name):
    of = {"ProductKey": device["ProductKey"], "Operation": operation, "TopicShortName": name}
    return str(core.ok("CreateProductTopic", **of)["TopicId"])


def send(core, device, tail, text, **more):
    content = base64.b64encode(text.encode()).decode()
    core.ok("Pub", ProductKey=device["ProductKey"], TopicFullName=own(device, tail), MessageContent=content, **more)


def online(closing, server, device, **how):
    wire = closing(WireDevice(server, device, **how))
    assert wire.connect() == 0
    return wire


def test_a_device_subscribes_to_what_the_classes_of_its_product_say(server, fleet, core, closing):
    device = fleet.device()
    wire = online(closing, server, device)
    for tail, granted in (("user/get", GRANTED), ("user/update", REFUSED), ("user/#", REFUSED), ("get", REFUSED)):
        assert wire.subscribe(own(device, tail)) == (granted,), tail
    define(core, device, "SUB", "set/+/now")
    define(core, device, "SUB", f"/{device['ProductKey']}/${{deviceName}}/get")
    # The connection that stood before hears of them.
    for tail, granted in (("user/set/+/now", GRANTED), ("get", GRANTED), ("user/set/#", REFUSED)):
        assert wire.subscribe(own(device, tail)) == (granted,), tail
    for tail in ("user/get", "user/set/a/now", "get"):
        send(core, device, tail, tail, Qos=1)
        message = wire.next_message()
        assert (message.topic, message.payload.decode(), message.qos) == (own(device, tail), tail, 1)


def test_a_class_that_is_deleted_takes_its_rights_along(server, fleet, core, closing):
    device = fleet.device()
    both = define(core, device, "ALL", "both")
    wire = online(closing, server, device)
    assert wire.subscribe(own(device, "user/both")) == (GRANTED,)
    wire.publish(own(device, "user/both"), "x")
    core.ok("DeleteProductTopic", TopicId=both)
    # What it may not publish is acknowledged all the same: nothing ends a connection.
    wire.publish(own(device, "user/both"), "x")
    assert wire.subscribe(own(device, "user/both")) == (REFUSED,)
    refused = core.call("Pub", ProductKey=device["ProductKey"], TopicFullName=own(device, "user/both"), MessageContent="eA==")
    assert refused["Code"] == "iot.messagebroker.TopicTemplateIsNotFound"


def test_a_device_hears_what_its_class_subscribes_it_to(server, fleet, core, closing):
    device = fleet.device()
    of = {"ProductKey": device["ProductKey"], "Operation": "SUB", "TopicShortName": "told"}
    core.ok("CreateProductTopic", **of, EnableProxySubscribe=True)
    wire = online(closing, server, device)
    send(core, device, "user/told", "hello")
    assert wire.next_message(own(device, "user/told")).payload == b"hello"


def test_the_device_sdk_talks_over_its_own_topics(server, fleet, core, tmp_path, closing):
    device = fleet.device()
    heard, granted = queue.Queue(), queue.Queue()
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path))
    kit.kit.on_topic_message = lambda topic, payload, qos, _user: heard.put((topic, payload, qos))
    kit.kit.on_subscribe_topic = lambda _mid, qos, _user: granted.put(qos)
    kit.connect()
    get = own(device, "user/get")
    wait_for("the SDK subscribes", lambda: kit.kit.subscribe_topic(get, 1)[0] == 0)
    granted.get(timeout=HANG_SECONDS)
    send(core, device, "user/get", "hello", Qos=1)
    assert heard.get(timeout=HANG_SECONDS) == (get, b"hello", 1)
    published = queue.Queue()
    kit.kit.on_publish_topic = lambda mid, _user: published.put(mid)
    code, mid = kit.kit.publish_topic(own(device, "user/update"), "{}", 1)
    assert code == 0
    while published.get(timeout=HANG_SECONDS) != mid:
        pass
