"""The device door on the level of single packets, with paho-mqtt and with raw bytes."""

import json
import socket

import pytest

from device import WireDevice
from fleet import of_status
from server import HANG_SECONDS, wait_for
from wire import connect_packet, text


@pytest.fixture
def device(fleet):
    return fleet.device()


@pytest.fixture
def wire(server, device, closing):
    wire = closing(WireDevice(server, device))
    assert wire.connect() == 0
    return wire


@pytest.mark.parametrize("method", ["hmacmd5", "hmacsha1", "hmacsha256"])
@pytest.mark.parametrize("base", ["{pk}.{dn}", "{pk}&{dn}", "anything at all", ""])
def test_each_signature_and_client_id_is_accepted(server, device, closing, method, base):
    base = base.format(pk=device["ProductKey"], dn=device["DeviceName"])
    assert closing(WireDevice(server, device, method=method, base=base)).connect() == 0


@pytest.mark.parametrize("change", [{"DeviceSecret": "0" * 32}, {"DeviceName": "unknown-device"}, {"ProductKey": "a1unknown00"}])
def test_a_wrong_secret_and_an_unknown_device_get_the_same_answer(server, device, closing, change):
    assert closing(WireDevice(server, device | change)).connect() == 4


def test_only_the_topics_of_the_device_may_be_subscribed(wire, fleet):
    key, name, other = wire.product_key, wire.name, fleet.device()["DeviceName"]
    assert wire.subscribe(f"/ota/device/upgrade/{key}/{name}") == (1,)
    assert wire.subscribe(f"/{key}/{name}/user/get") == (1,)
    for foreign in (f"/ota/device/upgrade/{key}/{other}", f"/{key}/{other}/user/get", "#", f"/{key}/+/user/get"):
        assert wire.subscribe(foreign) == (0x80,), foreign


def test_a_report_on_a_foreign_topic_is_acknowledged_and_changes_nothing(wire, fleet):
    other = fleet.device()["DeviceName"]
    wire.publish(f"/ota/device/inform/{wire.product_key}/{other}", {"id": 1, "params": {"version": "6.6.6"}})
    wire.publish("/no/such/topic", "x")
    assert not fleet.detail(other).get("FirmwareVersion")
    wire.report_version("1.0.0")
    assert fleet.detail(wire.name)["FirmwareVersion"] == "1.0.0"


@pytest.mark.parametrize("payload", ["", "{", "[]", "null", '{"params":1}', '{"params":{"version":""}}', b"\xff\xfe", "9" * 4000])
def test_a_report_that_is_no_report_is_acknowledged_and_changes_nothing(wire, fleet, payload):
    wire.report_version("1.0.0")
    wire.publish(f"/ota/device/inform/{wire.product_key}/{wire.name}", payload)
    wire.publish(f"/ota/device/progress/{wire.product_key}/{wire.name}", payload)
    assert fleet.detail(wire.name)["FirmwareVersion"] == "1.0.0"


def test_the_push_is_compact_and_in_the_order_old_parsers_need(wire, fleet):
    wire.report_version("1.0.0")
    firmware, content = fleet.package("2.0.0")
    fleet.static_job(firmware, [wire.name], Tag=[{"Key": "size", "Value": "url"}])
    message = wire.next_message(f"/ota/device/upgrade/{wire.product_key}/{wire.name}")
    text = message.payload.decode()
    push = json.loads(text)
    assert (push["code"], push["message"]) == ("1000", "success")
    assert isinstance(push["id"], int)
    data = push["data"]
    assert list(data)[-1] == "extData" and data["extData"] == {"size": "url"}
    assert (data["size"], data["version"], data["signMethod"]) == (len(content), "2.0.0", "Md5")
    assert data["sign"] == data["md5"]
    assert not {"module", "isDiff", "dProtocol", "files"} & set(data)
    assert '": ' not in text and ', "' not in text and "\\/" not in text
    # A tag spelt like a member is written with an escape, so that a search for the text "size" finds the member alone.
    assert text.count('"size"') == 1 and text.count('"url"') == 1
    assert message.qos == 1


def test_an_answer_repeats_the_id_as_it_was_sent(wire):
    topic = f"/sys/{wire.product_key}/{wire.name}/thing/ota/firmware/get"
    for identifier in (5, "5", "1|exp-topic|x"):
        wire.publish(topic, {"id": identifier, "params": {}})
        answer = json.loads(wire.next_message(topic + "_reply").payload)
        assert (answer["id"], answer["code"], answer["data"]) == (identifier, 200, {})


def test_the_time_service_answers_with_the_times_it_was_told(wire):
    topic = f"/ext/ntp/{wire.product_key}/{wire.name}"
    wire.publish(topic + "/request", {"deviceSendTime": "1571724098000"})
    answer = json.loads(wire.next_message(topic + "/response").payload)
    assert str(answer["deviceSendTime"]) == "1571724098000"
    assert int(answer["serverSendTime"]) >= int(answer["serverRecvTime"]) > 1_700_000_000_000


def test_a_second_connection_of_a_device_closes_the_first(server, device, wire, closing):
    second = closing(WireDevice(server, device, base="another client id"))
    assert second.connect() == 0
    wire.ends.get(timeout=HANG_SECONDS)
    second.report_version("1.0.1")


def test_progress_of_every_spelling_moves_the_task(wire, fleet):
    wire.report_version("1.0.0")
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [wire.name])
    wire.next_push()
    for step, want in [("0", "0.00"), (7, "7.00"), ("100", "100.00"), ("101", "100.00"), ("soon", "100.00"), (3, "3.00")]:
        wire.report_progress(step)
        task = fleet.task(job)
        assert (task["TaskStatus"], task["Progress"]) == ("IN_PROGRESS", want), step


def test_a_session_is_told_again_at_each_connect_and_not_within_one(server, device, fleet, closing):
    first = closing(WireDevice(server, device))
    first.connect()
    first.report_version("1.0.0")
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    told = [first.next_push()["data"]]
    first.report_version("1.0.0")
    first.close()
    second = closing(WireDevice(server, device))
    second.connect()
    second.report_version("1.0.0")
    told.append(second.next_push()["data"])
    assert told[0]["version"] == told[1]["version"] == "2.0.0"
    second.report_version("2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")
    assert first.messages.empty() and second.messages.empty()


# Raw bytes. Each row is sent on a fresh connection; the server has to close it, or to answer a refusal, and go on.


def exchange(server, sent, closes=True):
    """What comes back until the server closes; half of our side is closed after sending."""
    with socket.create_connection(("127.0.0.1", server.mqtt_port)) as connection:
        connection.settimeout(HANG_SECONDS)
        connection.sendall(sent)
        if closes:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while block := connection.recv(4096):
                received += block
        except ConnectionResetError:
            pass
        return received


def test_a_connack_is_four_bytes(server, device):
    with socket.create_connection(("127.0.0.1", server.mqtt_port)) as connection:
        connection.sendall(connect_packet(device))
        assert connection.recv(64) == b"\x20\x02\x00\x00"
        connection.sendall(b"\xc0\x00")
        assert connection.recv(64) == b"\xd0\x00"


GARBAGE = {
    "zeros": b"\x00" * 64,
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "half a packet": b"\x10\x40\x00\x04MQ",
    "a length without end": b"\x10\xff\xff\xff\xff\xff",
    "a packet of 256 MiB announced": b"\x10\xff\xff\xff\x7f" + b"x" * 100,
    "a publish before the connect": b"\x30\x05\x00\x01ahi",
    "a ping before the connect": b"\xc0\x00",
    "bytes that are no UTF-8": b"\x10\x10\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02\xff\xfe\x00\x00",
    "a TLS greeting": bytes.fromhex("160301002d010000290303") + b"r" * 34,
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_ends_its_own_connection_only(server, wire, fleet, sent):
    assert b"\x20\x02\x00\x00" not in exchange(server, sent)
    wire.report_version("1.0.7")
    assert fleet.detail(wire.name)["FirmwareVersion"] == "1.0.7"


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ({"keepalive": 29}, b"\x20\x02\x00\x02"),
        ({"keepalive": 1201}, b"\x20\x02\x00\x02"),
        ({"keepalive": 0}, b"\x20\x02\x00\x02"),
    ],
    ids=str,
)
def test_a_connect_outside_the_limits_is_refused(server, device, how, answer):
    received = exchange(server, connect_packet(device, **how), closes=False)
    assert received[:3] == answer[:3] and received[3] != 0, received


def test_garbage_after_the_connect_ends_the_connection(server, device):
    received = exchange(server, connect_packet(device) + b"\xf0\x03\x00\x00\x00", closes=False)
    assert received[:4] == b"\x20\x02\x00\x00"


def test_an_oversized_publish_ends_the_connection_without_being_read(server, device, fleet):
    too_long = b"\x32" + b"\xff\xff\xff\x7f" + text(f"/ota/device/inform/{device['ProductKey']}/{device['DeviceName']}")
    exchange(server, connect_packet(device) + too_long, closes=False)
    wait_for("offline", lambda: fleet.detail(device["DeviceName"])["Status"] == "OFFLINE")
