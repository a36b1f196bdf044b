"""Devices that speak MQTT 5.0, with paho-mqtt and with raw bytes."""

import base64
import struct

import pytest
import requests

import cloud as clouds
import known
from device import credentials
from five import FiveDevice, properties
from fleet import Fleet, md5, of_status
from known import VECTORS
from server import Server, wait_for
from wire import CONNECT, DISCONNECT, PUBACK, PUBLISH, Dialogue, packet, text


@pytest.fixture
def device(server, fleet, closing):
    device = closing(FiveDevice(server, fleet.device()))
    assert device.connect() == 0
    return device


def test_an_upgrade_is_pushed_downloaded_and_reported(server, fleet, closing):
    device = closing(FiveDevice(server, fleet.device()))
    assert device.connect(TopicAliasMaximum=4, ReceiveMaximum=1) == 0
    device.report_version("1.0.0")
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device.name])
    # Nothing was subscribed to: system topics arrive all the same.
    push = device.next_push()["data"]
    assert (push["version"], push["md5"]) == ("2.0.0", md5(content))
    assert requests.get(push["url"], timeout=10).content == content
    assert device.ask()["data"]["version"] == "2.0.0"
    device.report_progress(50)
    wait_for("the task is in progress", lambda: of_status(fleet.task(job), "IN_PROGRESS"))
    device.report_version("2.0.0")
    wait_for("the task has succeeded", lambda: of_status(fleet.task(job), "SUCCEEDED"))


def test_a_device_is_told_what_there_is(device):
    welcome = device.welcome
    assert (welcome.MaximumQoS, welcome.ReceiveMaximum, welcome.TopicAliasMaximum) == (1, 100, 16)
    assert welcome.MaximumPacketSize > 256 * 1024
    assert welcome.SharedSubscriptionAvailable == 0
    assert not hasattr(welcome, "AssignedClientIdentifier")
    # What is there by default isn't said.
    assert not hasattr(welcome, "WildcardSubscriptionAvailable")
    assert not hasattr(welcome, "SubscriptionIdentifierAvailable")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"DeviceSecret": "0" * 32}, 0x86), ({"DeviceName": "unknown-device"}, 0x86), ({"ProductKey": "a1unknown00"}, 0x86)],
)
def test_a_refused_device_hears_its_reason(server, fleet, closing, change, reason):
    assert closing(FiveDevice(server, fleet.device() | change)).connect() == reason


def test_a_disabled_device_is_told_and_not_let_in_again(server, fleet, closing):
    known_as = fleet.device()
    device = closing(FiveDevice(server, known_as))
    assert device.connect() == 0
    fleet.cloud.ok("DisableThing", ProductKey=fleet.product_key, DeviceName=device.name)
    assert device.end() == 0x98
    assert closing(FiveDevice(server, known_as)).connect() == 0x87


def test_the_newer_connection_of_a_device_ends_the_older(server, fleet, closing):
    known_as = fleet.device()
    older = closing(FiveDevice(server, known_as))
    assert older.connect() == 0
    assert closing(FiveDevice(server, known_as)).connect() == 0
    assert older.end() == 0x8E


def test_a_server_that_stops_says_so(own_server, closing):
    fleet = Fleet(clouds.Core(own_server.http))
    device = closing(FiveDevice(own_server, fleet.device()))
    assert device.connect() == 0
    assert own_server.stop() == 0
    assert device.end() == 0x8B


def test_subscriptions_are_answered_one_by_one(device, fleet):
    key, name = device.product_key, device.name
    fleet.topic("news/#", "SUB")
    assert device.subscribe(f"/{key}/{name}/user/get") == [1]
    assert device.subscribe(f"/{key}/{name}/user/#") == [0x87]
    assert device.subscribe(f"/{key}/{name}/user/news/#", qos=0, number=3) == [0]
    assert device.subscribe(f"/{key}/{fleet.device()['DeviceName']}/user/get") == [0x87]
    assert device.subscribe("#") == [0x87]
    assert device.subscribe(f"$share/group/{key}/{name}/user/get") == [0x9E]


def test_what_stands_beside_a_message_of_the_cloud_reaches_the_device(device, fleet):
    topic = f"/{device.product_key}/{device.name}/user/get"
    assert device.subscribe(topic, number=7) == [1]
    fleet.cloud.ok(
        "Pub",
        ProductKey=fleet.product_key,
        TopicFullName=topic,
        MessageContent=base64.b64encode(b"hello").decode(),
        Qos=1,
        ContentType="text/plain",
        CorrelationData="abc",
        ResponseTopic=topic + "/reply",
        PayloadFormatIndicator=1,
        MessageExpiryInterval=60,
        UserProp=[{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}],
    )
    message = device.next_message(topic)
    said = message.properties
    assert (message.payload, message.qos, message.retain) == (b"hello", 1, False)
    assert (said.ContentType, said.CorrelationData, said.ResponseTopic) == ("text/plain", b"abc", topic + "/reply")
    assert said.PayloadFormatIndicator == 1
    assert 0 < said.MessageExpiryInterval <= 60
    assert said.UserProperty == [("k", "v"), ("k", "w")]
    assert said.SubscriptionIdentifier == [7]


def test_a_topic_may_be_said_by_its_alias(device, fleet):
    topic = f"/ota/device/inform/{device.product_key}/{device.name}"
    alias = properties("PUBLISH", TopicAlias=1)
    for said, version in ((topic, "1.0.0"), ("", "1.0.1")):
        sent = device.client.publish(said, f'{{"id":1,"params":{{"version":"{version}"}}}}', 1, properties=alias)
        sent.wait_for_publish(10)
    assert fleet.detail(device.name)["FirmwareVersion"] == "1.0.1"


def test_a_message_to_a_foreign_topic_is_acknowledged_with_a_reason(server, fleet):
    device, other = fleet.device(), fleet.device()["DeviceName"]
    key, name = device["ProductKey"], device["DeviceName"]
    with Dialogue(server.mqtt_port) as dialogue:
        assert dialogue.connect(*credentials(device), level=5)[3] == 0
        for owner, reason in ((other, 0x87), (name, 0)):
            topic = text(f"/ota/device/inform/{key}/{owner}") + struct.pack(">H", 5) + b"\x00"
            answer = dialogue.exchange(packet(PUBLISH << 4 | 2, topic + b'{"id":1,"params":{"version":"1.0.0"}}'))
            assert (answer[0] >> 4, answer[2:5]) == (PUBACK, b"\x00\x05" + bytes([reason]))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"\xe1\x00", 0x81),
        (b"\x30\x04\x00\x01+\x00", 0x81),
        (b"\x30\x05\x00\x01\xff\x00x", 0x81),
        (b"\x82\x03\x00\x01\x00", 0x82),
        (b"\xf0\x00", 0x82),
        (b"\x30\x08\x00\x01a\x03\x23\x00\x11x", 0x94),
        (b"\x30\xff\xff\x7f", 0x95),
        (b"\x34\x06\x00\x01a\x00\x01\x00", 0x9B),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else hex(value),
)
def test_a_broken_packet_closes_its_connection_with_a_reason(server, fleet, broken, reason):
    with Dialogue(server.mqtt_port) as dialogue:
        assert dialogue.connect(*credentials(fleet.device()), level=5)[3] == 0
        answer = dialogue.exchange(broken)
        assert (answer[0] >> 4, answer[2]) == (DISCONNECT, reason)
        assert dialogue.is_closed()


@pytest.mark.parametrize("level", [6, 7, 255])
def test_a_version_to_come_is_refused_in_the_words_of_the_last_one(server, fleet, level):
    head = text("MQTT") + bytes([level, 0xC2]) + struct.pack(">H", 60) + b"\x00"
    client_id, username, password = credentials(fleet.device())
    with Dialogue(server.mqtt_port) as dialogue:
        answer = dialogue.exchange(packet(CONNECT << 4, head + text(client_id) + text(username) + text(password)))
        assert answer[:4] == bytes([0x20, answer[1], 0, 0x84])
        assert dialogue.is_closed()


@pytest.fixture(scope="module")
def known_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("known")).start()
    known.furnish(server)
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in VECTORS["mqtt_auth"] if v["mqtt_level"] == 5])
def test_a_connect_of_the_c_sdk_is_let_in_and_gets_an_id_when_it_names_none(known_server, vector):
    with Dialogue(known_server.mqtt_port) as dialogue:
        given = vector["client_id"], vector["username"]
        answer = dialogue.connect(*given, vector["password"], keepalive=vector["keepalive_s"], level=5)
        assert answer[0] == 0x20 and answer[2:4] == b"\x00\x00"
        device = known.device()
        assigned = b"\x12" + text(f"{device['ProductKey']}.{device['DeviceName']}")
        assert (assigned in answer) == (vector["id"] == "c4.1-mqtt5-assigned")
    with Dialogue(known_server.mqtt_port) as dialogue:
        wrong = ("1" if vector["password"][0] == "0" else "0") + vector["password"][1:]
        assert dialogue.connect(*given, wrong, keepalive=vector["keepalive_s"], level=5)[3] == 0x86


def test_a_will_is_said_for_a_device_that_vanishes_and_for_no_other(server, fleet, closing):
    known_as = fleet.device()
    topic = f"/ota/device/inform/{known_as['ProductKey']}/{known_as['DeviceName']}"
    for version, ends, said in (("1.0.0", "disconnect", False), ("1.0.1", "vanish", True)):
        payload = f'{{"id":1,"params":{{"version":"{version}"}}}}'
        device = closing(FiveDevice(server, known_as, will={"topic": topic, "payload": payload, "qos": 1}))
        assert device.connect() == 0
        device.report_version("0.0.1")
        if ends == "vanish":
            device.vanish()
        else:
            device.client.disconnect()
        wait_for("the device is offline", lambda: fleet.detail(device.name)["Status"] == "OFFLINE")
        assert fleet.detail(device.name)["FirmwareVersion"] == (version if said else "0.0.1")


class Delayed:
    """A device that has vanished, and will have said its will, version 9.9.9, after a while."""

    def __init__(self, server, fleet, closing, delay_s, expiry_s):
        self.server, self.fleet, self.closing, self.known_as = server, fleet, closing, fleet.device()
        topic = f"/ota/device/inform/{fleet.product_key}/{self.known_as['DeviceName']}"
        payload = '{"id":1,"params":{"version":"9.9.9"}}'
        delay = properties("WILLMESSAGE", WillDelayInterval=delay_s)
        will = {"topic": topic, "payload": payload, "qos": 1, "properties": delay}
        device = closing(FiveDevice(server, self.known_as, will=will))
        assert device.connect(SessionExpiryInterval=expiry_s) == 0
        device.report_version("0.0.1")
        device.vanish()
        wait_for("the device is offline", lambda: fleet.detail(device.name)["Status"] == "OFFLINE")

    def version(self):
        return self.fleet.detail(self.known_as["DeviceName"])["FirmwareVersion"]

    def back(self, clean):
        device = self.closing(FiveDevice(self.server, self.known_as))
        assert device.connect(clean_start=clean, SessionExpiryInterval=600) == 0
        assert device.session_present == (not clean)
        return device

    def wait(self):
        wait_for("its will is said", lambda: self.version() == "9.9.9")


def test_a_delayed_will_is_taken_back_by_who_is_back_in_time(server, fleet, closing):
    returns = Delayed(server, fleet, closing, delay_s=8, expiry_s=600)
    device = returns.back(clean=False)
    # This one vanished later: when its will is said, that of the other would have been.
    Delayed(server, fleet, closing, delay_s=8, expiry_s=600).wait()
    device.report_progress(1)
    assert returns.version() == "0.0.1"


def test_a_delayed_will_is_said_as_soon_as_its_session_is_over(server, fleet, closing):
    forgets = Delayed(server, fleet, closing, delay_s=3_600, expiry_s=7_200)
    assert forgets.version() == "0.0.1", "not yet"
    forgets.back(clean=True)
    forgets.wait()
    Delayed(server, fleet, closing, delay_s=3_600, expiry_s=1).wait()


def test_a_will_on_a_foreign_topic_is_refused(server, fleet, closing):
    topic = f"/ota/device/inform/{fleet.product_key}/{fleet.device()['DeviceName']}"
    device = closing(FiveDevice(server, fleet.device(), will={"topic": topic, "payload": "{}", "qos": 1}))
    assert device.connect() == 0x90


def test_what_is_retained_outlives_the_server_and_is_heard_by_who_subscribes(own_server, closing):
    fleet = Fleet(clouds.Core(own_server.http))
    fleet.topic("state", "ALL")
    known_as = fleet.device()
    device = closing(FiveDevice(own_server, known_as))
    assert device.connect() == 0
    assert getattr(device.welcome, "RetainAvailable", 1) == 1
    own = f"/{fleet.product_key}/{device.name}/user/state"
    news = f"/broadcast/{fleet.product_key}/news"
    sent = device.client.publish(own, "on", qos=1, retain=True)
    sent.wait_for_publish(10)
    content = base64.b64encode(b"news").decode()
    fleet.cloud.ok("Pub", ProductKey=fleet.product_key, TopicFullName=news, MessageContent=content, Retained=True)
    own_server.kill()
    own_server.start()
    device = closing(FiveDevice(own_server, known_as))
    assert device.connect() == 0
    assert device.subscribe(own) == [1]
    message = device.next_message(own)
    assert (message.payload, message.retain) == (b"on", True)
    assert device.subscribe(news) == [1]
    message = device.next_message(news)
    assert (message.payload, message.retain) == (b"news", True)
    # Who has subscribed already hears new ones as they are said, and an empty one ends it.
    device.client.publish(own, "", qos=1, retain=True).wait_for_publish(10)
    again = closing(FiveDevice(own_server, known_as))
    assert again.connect() == 0
    assert again.subscribe(own) == [1]
    assert again.subscribe(news) == [1]
    assert again.next_message().topic == news
