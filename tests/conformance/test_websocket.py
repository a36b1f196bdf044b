"""Devices that come through the HTTP listeners as WebSockets."""

import base64
import os
import socket
import struct

import pytest
import requests
import websocket

import cloud as clouds
import metrics
from device import WireDevice
from fleet import Fleet, of_status
from node_device import NEW, OLD, NodeDevice
from server import HANG_SECONDS, wait_for
from wire import connect_packet

OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PONG = 1, 2, 8, 10


@pytest.fixture
def fleet(tls_server):
    return Fleet(clouds.Core(tls_server.http))


def opened(server, protocols=("mqtt",), path="/mqtt"):
    url = f"ws://{server.http}{path}"
    return websocket.create_connection(url, timeout=HANG_SECONDS, subprotocols=list(protocols))


ACCEPTED, PING, PONG = b"\x20\2\0\0", b"\xc0\0", b"\xd0\0"


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("path", ["/mqtt", "/"])
def test_a_device_is_pushed_and_heard_through_a_websocket(tls_server, fleet, closing, tls, path):
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0")
    wire = closing(WireDevice(tls_server, device, tls=tls, websocket=path))
    assert wire.connect() == 0
    wire.report_version("1.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    assert wire.next_push()["data"]["version"] == "2.0.0"
    wire.report_progress(50)
    wait_for("progress", lambda: of_status(fleet.task(job), "IN_PROGRESS"))
    wire.report_version("2.0.0")
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_messages_of_any_size_pass_both_ways(tls_server, fleet, closing, tls):
    device = closing(WireDevice(tls_server, fleet.device(), tls=tls, websocket="/mqtt"))
    assert device.connect() == 0
    topic = f"/{device.product_key}/{device.name}/user/get"
    device.subscribe(topic)
    for size in (1, 126, 65_536, 200_000):
        text = base64.b64encode(b"x" * size).decode()
        fleet.cloud.ok("Pub", ProductKey=device.product_key, TopicFullName=topic, MessageContent=text, Qos=1)
        assert device.next_message(topic).payload == b"x" * size
        device.publish(f"/{device.product_key}/{device.name}/user/update", "x" * size)


def test_packets_need_not_follow_frames_and_pings_are_answered(tls_server, fleet):
    ours = opened(tls_server)
    packet = connect_packet(fleet.device())
    ours.send_binary(packet[:5])
    ours.ping(b"here?")
    ours.send_binary(packet[5:])
    assert ours.recv_data(control_frame=True) == (OPCODE_PONG, b"here?")
    assert ours.recv_data() == (OPCODE_BINARY, ACCEPTED)
    ours.send_binary(PING + PING)
    answer = b""
    while len(answer) < 4:
        answer += ours.recv_data()[1]
    assert answer == PONG + PONG
    ours.close()


def test_what_follows_the_handshake_at_once_is_heard(tls_server, fleet):
    host, port = tls_server.http.rsplit(":", 1)
    packet = connect_packet(fleet.device())
    head = f"GET /mqtt HTTP/1.1\r\nHost: {tls_server.http}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    assert 126 <= len(packet) < 65_536
    frame = b"\x82\xfe" + struct.pack(">H", len(packet)) + bytes(4) + packet
    with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as plain:
        plain.sendall(head.encode() + frame)
        answer = b""
        while not answer.endswith(b"\x82\4" + ACCEPTED):
            part = plain.recv(4_096)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 101 ")
    # The example of RFC 6455, 1.3.
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda ours: ours.send("text"), 1003),
        (lambda ours: ours.send_frame(websocket.ABNF.create_frame(b"x", websocket.ABNF.OPCODE_CONT)), 1002),
    ],
    ids=["text", "continuation"],
)
def test_a_client_that_sends_what_it_must_not_is_told_and_cut(tls_server, send, code):
    ours = opened(tls_server)
    send(ours)
    opcode, payload = ours.recv_data()
    assert (opcode, payload) == (OPCODE_CLOSE, struct.pack(">H", code))


def test_goodbye_is_answered_and_ends_the_connection(tls_server, fleet):
    ours = opened(tls_server)
    ours.send_binary(connect_packet(fleet.device()))
    assert ours.recv_data() == (OPCODE_BINARY, ACCEPTED)
    eof = {"phase": "device", "reason": "eof"}
    before = metrics.value(tls_server, "otaru_mqtt_connections_ended_total", **eof)
    ours.send_close(1000, b"bye")
    assert ours.recv_data() == (OPCODE_CLOSE, struct.pack(">H", 1000))
    wait_for("the end", lambda: metrics.value(tls_server, "otaru_mqtt_connections_ended_total", **eof) == before + 1)


@pytest.mark.parametrize(("offered", "taken"), [(["mqttv3.1"], "mqttv3.1"), (["x", "mqtt"], "mqtt"), ([], None)])
def test_the_sub_protocol_is_taken_from_those_offered(tls_server, offered, taken):
    ours = opened(tls_server, offered)
    assert ours.subprotocol == taken
    ours.close()


@pytest.mark.parametrize(
    ("path", "changed", "status"),
    [
        ("/mqtt", {"Sec-WebSocket-Protocol": "amqp"}, 400),
        ("/mqtt", {"Sec-WebSocket-Version": "8"}, 400),
        ("/mqtt", {"Sec-WebSocket-Version": None}, 400),
        ("/mqtt", {"Sec-WebSocket-Key": None}, 400),
        ("/elsewhere", {}, 404),
    ],
)
def test_other_requests_for_a_websocket_are_refused(tls_server, path, changed, status):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} | changed
    assert requests.get(tls_server.url + path, headers=headers, timeout=HANG_SECONDS).status_code == status


def test_a_stranger_is_cut_like_one_on_a_socket(tls_server, fleet):
    device = fleet.device() | {"DeviceSecret": "0" * 32}
    ours = opened(tls_server)
    ours.send_binary(connect_packet(device))
    assert ours.recv_data() == (OPCODE_BINARY, b"\x20\2\0\4")
    assert ours.recv_data() == (OPCODE_CLOSE, struct.pack(">H", 1000))


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("sdk", [NEW, OLD])
def test_the_sdks_for_node_upgrade_through_a_websocket(tls_server, fleet, closing, sdk, tls):
    device = fleet.device()
    environment = os.environ | {"NODE_EXTRA_CA_CERTS": str(tls_server.ca)}
    port = (tls_server.https if tls else tls_server.http).rsplit(":", 1)[1]
    url = f"wss://localhost:{port}/mqtt" if tls else f"ws://127.0.0.1:{port}/mqtt"
    node = closing(NodeDevice(tls_server, device, sdk, environment=environment, brokerUrl=url)).connect()
    node.report_version("1.0.0")
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    assert node.next_push()["version"] == "2.0.0"
    node.report_version("2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")
