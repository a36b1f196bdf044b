"""Requests that a device answers while the call waits, and broadcasts, by the official clients of both sides."""

import base64
import concurrent.futures
import queue

from device import SdkDevice, WireDevice
from server import HANG_SECONDS, wait_for


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def ask(cloud, device, text, **more):
    of = {"ProductKey": device["ProductKey"], "DeviceName": device["DeviceName"]}
    return cloud.ok("RRpc", **of, RequestBase64Byte=encoded(text), Timeout=more.pop("Timeout", 8000), **more)


def online(closing, server, device):
    wire = closing(WireDevice(server, device))
    assert wire.connect() == 0
    return wire


def answering(wire, device, cloud, text, **more):
    """The reply of a call, and the request that the device answered with its text in capitals."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask, cloud, device, text, **more)
        request = wire.next_message()
        wire.publish(request.topic.replace("/rrpc/request/", "/rrpc/response/"), request.payload.decode().upper())
        return call.result(HANG_SECONDS), request


def test_a_device_answers_on_the_topic_of_the_system_without_subscribing(server, fleet, cloud, closing):
    device = fleet.device()
    wire = online(closing, server, device)
    reply, request = answering(wire, device, cloud, "how are you?")
    assert (reply["RrpcCode"], reply["PayloadBase64Byte"]) == ("SUCCESS", encoded("HOW ARE YOU?"))
    name = f"/sys/{device['ProductKey']}/{device['DeviceName']}/rrpc/request/{reply['MessageId']}"
    assert (request.topic, request.payload) == (name, b"how are you?")


def test_a_device_that_has_subscribed_answers_on_a_topic_of_its_own(server, fleet, core, closing):
    device = fleet.device()
    wire = online(closing, server, device)
    topic = f"/{device['ProductKey']}/{device['DeviceName']}/user/ask"
    assert ask(core, device, "unheard", Topic=topic, Timeout=1000)["RrpcCode"] == "TIMEOUT"
    assert wire.subscribe(f"/ext/rrpc/+{topic}") == (1,)
    reply, request = answering(wire, device, core, "open", Topic=topic)
    assert (reply["RrpcCode"], reply["PayloadBase64Byte"]) == ("SUCCESS", encoded("OPEN"))
    assert request.topic == f"/ext/rrpc/{reply['MessageId']}{topic}"


def test_a_device_that_is_away_or_leaves_is_offline(server, fleet, core, closing):
    device = fleet.device()
    assert ask(core, device, "x")["RrpcCode"] == "OFFLINE"
    wire = online(closing, server, device)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask, core, device, "x")
        wire.next_message()
        wire.client.disconnect()
        assert call.result(HANG_SECONDS)["RrpcCode"] == "OFFLINE"


def test_the_device_sdk_answers(server, fleet, core, tmp_path, closing):
    device = fleet.device()
    topic = f"/{device['ProductKey']}/{device['DeviceName']}/user/ask"
    heard = queue.Queue()
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path))
    sdk = kit.kit

    def answer(message_id, topic, payload, _qos, _user):
        heard.put((topic, payload))
        sdk.thing_answer_rrpc(message_id, "well")

    sdk.on_topic_rrpc_message = answer
    kit.connect()
    # It says `ext=1`: the request comes whether its subscription stands already or not.
    wait_for("the SDK subscribes", lambda: sdk.subscribe_rrpc_topic(topic)[0] == 0)
    reply = ask(core, device, "how are you?", Topic=topic)
    assert (reply["RrpcCode"], reply["PayloadBase64Byte"]) == ("SUCCESS", encoded("well"))
    assert heard.get(timeout=HANG_SECONDS) == (f"/ext/rrpc/{reply['MessageId']}{topic}", b"how are you?")


def test_a_broadcast_reaches_all_that_are_online_or_all_that_have_subscribed(server, fleet, core, closing):
    devices = [fleet.device() for _ in range(2)]
    wires = [online(closing, server, device) for device in devices]
    product = devices[0]["ProductKey"]
    sent = core.ok("PubBroadcast", ProductKey=product, MessageContent=encoded("news"))["MessageId"]
    for wire in wires:
        message = wire.next_message()
        assert (message.topic, message.payload) == (f"/sys/{product}/{wire.name}/broadcast/request/{sent}", b"news")
    topic = f"/broadcast/{product}/group1"
    assert wires[0].subscribe(topic) == (1,)
    core.ok("PubBroadcast", ProductKey=product, MessageContent=encoded("to some"), TopicFullName=topic)
    core.ok("PubBroadcast", ProductKey=product, MessageContent=encoded("to all"))
    assert [wires[0].next_message().payload for _ in range(2)] == [b"to some", b"to all"]
    assert wires[1].next_message().payload == b"to all"
