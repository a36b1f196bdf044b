"""What strangers and devices do that mean harm: memory stays bounded, good devices are served, and it is counted."""

import random

import pytest

from abuse import MEGABYTE, is_closed, send, settled
from server import wait_for
from wire import Wire, announced, connect_packet, packet, text


def test_a_storm_of_connections_from_one_address_is_turned_away(abused, crowd):
    witness = abused("--doors-connects-per-second", "5", "--doors-connects-burst", "20")
    for _ in range(500):
        crowd.dial(witness.server.mqtt, 2)
    wait_for("it is turned away", lambda: witness.counts("connections_turned_away_total", door="mqtt", reason="rate") > 300)
    settled(witness, crowd)
    assert "a connection was turned away" in witness.server.log.read_text()


def test_half_open_connections_make_room_for_others(abused, crowd):
    witness = abused("--doors-strangers-max", "100", "--doors-strangers-per-address-max", "20")
    for number in range(400):
        crowd.dial(witness.server.mqtt, 2 + number % 40)
    wait_for("some have to go", lambda: witness.counts("connections_evicted_total", door="mqtt", reason="full") > 100)
    assert witness.counts("connections_waiting", door="mqtt") <= 100
    settled(witness, crowd)
    assert witness.counts("connections_waiting", door="mqtt") == 0
    ended = witness.counts("mqtt_connections_ended_total", phase="stranger", reason="evicted")
    assert ended == witness.counts("connections_evicted_total", door="mqtt", reason="full")


def test_half_open_connections_of_one_address_are_few(abused, crowd):
    witness = abused("--doors-strangers-per-address-max", "20", "--devices-connect-ms", "500")
    half = [crowd.dial(witness.server.mqtt, 2) for _ in range(200)]
    wait_for("it is turned away", lambda: witness.counts("connections_turned_away_total", door="mqtt", reason="address") >= 100)
    assert witness.counts("connections_waiting", door="mqtt") <= 20
    assert all(is_closed(one) for one in half), "they have to say something in their time"
    settled(witness, crowd)


def test_a_connect_that_comes_byte_by_byte_is_cut(abused, crowd):
    witness = abused("--devices-connect-ms", "500")
    slow = [crowd.dial(witness.server.mqtt, 2 + number) for number in range(50)]
    hello = connect_packet(witness.fleet.device())
    for at in range(20):
        for one in slow:
            send(one, hello[at : at + 1])
    witness.upgrades()
    assert all(is_closed(one) for one in slow)
    assert witness.counts("mqtt_connections_ended_total", phase="stranger", reason="silent") == 50
    settled(witness, crowd)


@pytest.mark.parametrize("first, reason", [(0x10, "too_large"), (0x30, "protocol"), (0xFF, "protocol")])
def test_strangers_who_announce_256_mib_or_talk_without_end_are_cut(abused, crowd, first, reason):
    witness = abused()
    for number in range(100):
        one = crowd.dial(witness.server.mqtt, 2 + number)
        send(one, announced(first, 268_435_455) + b"x" * MEGABYTE)
    assert all(is_closed(one) for one in crowd.sockets)
    assert witness.counts("mqtt_connections_ended_total", phase="stranger", reason=reason) == 100
    settled(witness, crowd)


def test_garbage_is_cut(abused, crowd):
    witness = abused()
    chance = random.Random(7)
    for number in range(200):
        one = crowd.dial(witness.server.mqtt, 2 + number)
        send(one, bytes([chance.choice([0x10, chance.randrange(256)])]) + chance.randbytes(2000))
        one.shutdown(1)
    assert all(is_closed(one) for one in crowd.sockets)
    settled(witness, crowd)


def test_unfinished_packets_of_all_devices_together_are_bounded(abused, crowd):
    witness = abused("--devices-held-bytes-max", str(4 * MEGABYTE))
    wires = [Wire(witness.server.mqtt_port, witness.fleet.device()) for _ in range(200)]
    crowd.sockets += [wire.socket for wire in wires]
    for wire in wires:
        send(wire.socket, announced(0x30, 260_000) + text("/t") + b"x" * 250_000)
    # 200 times 250 kB are twelve times as many as are kept.
    wait_for("most have to go", lambda: witness.counts("mqtt_connections_ended_total", phase="device", reason="memory") > 150)
    settled(witness, crowd)


def test_a_bomb_of_subscriptions_is_refused(abused, crowd):
    witness = abused()
    witness.fleet.topic("+", "SUB")
    for _ in range(20):
        registered = witness.fleet.device()
        wire = Wire(witness.server.mqtt_port, registered)
        crowd.sockets.append(wire.socket)
        topic = f"/{wire.product_key}/{wire.name}/user/"
        filters = b"".join(text(f"{topic}{number}") + b"\1" for number in range(4000))
        send(wire.socket, packet(0x82, b"\0\1" + filters))
        assert wire._read() == (0x90, b"\0\1" + b"\x80" * 4000)
        for number in range(1, 150):
            send(wire.socket, packet(0x82, number.to_bytes(2) + text(f"{topic}{number}") + b"\1"))
        codes = [wire._read()[1][2] for _ in range(1, 150)]
        assert codes == [1] * 100 + [0x80] * 49
        send(wire.socket, packet(0x82, b"\0\1" + text(topic + "x" * 60_000) + b"\1"))
        assert wire._read()[1][2] == 0x80
    settled(witness, crowd)


def test_devices_that_ask_and_never_read_are_given_up(abused, crowd):
    witness = abused()
    wires = [Wire(witness.server.mqtt_port, witness.fleet.device()) for _ in range(10)]
    for wire in wires:
        crowd.sockets.append(wire.socket)
        ask = packet(0x30, text(f"/ext/ntp/{wire.product_key}/{wire.name}/request") + b'{"deviceSendTime":"1"}')
        # Until the server closes: what is in the buffers of the system on the way doesn't count.
        while send(wire.socket, ask * 1000):
            pass
    wait_for("they are given up", lambda: witness.counts("mqtt_connections_ended_total", phase="device", reason="slow") == 10)
    settled(witness, crowd)


def test_connections_without_a_request_make_room_for_callers(abused, crowd):
    witness = abused("--doors-http-connections-max", "40")
    for number in range(100):
        one = crowd.dial(witness.server.http, 2 + number)
        if number % 2:
            send(one, b"GET / HTTP/1.1\r\nHost: ")
    wait_for("some have to go", lambda: witness.counts("connections_evicted_total", door="http", reason="full") >= 50)
    assert witness.counts("connections", door="http") <= 41
    settled(witness, crowd)
    assert witness.counts("http_connections_ended_total", reason="evicted") >= 50


def test_heads_that_never_end_are_cut(abused, crowd):
    witness = abused("--doors-http-head-ms", "500")
    slow = [crowd.dial(witness.server.http, 2 + number) for number in range(50)]
    for byte in b"GET / HTTP/1.1\r\nX-Slow: ":
        for one in slow:
            send(one, bytes([byte]))
    assert all(is_closed(one) for one in slow)
    # The witness's own connection may have waited for long enough too.
    assert witness.counts("http_connections_ended_total", reason="head_timeout") >= 50
    settled(witness, crowd)


def test_who_has_too_many_connections_is_told_so(abused, crowd):
    witness = abused("--doors-http-connections-per-address-max", "5")
    for _ in range(5):
        crowd.dial(witness.server.http, 2)
    answer = crowd.dial(witness.server.http, 2).recv(65536)
    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 1\r\n" in answer and b"<Code>TooManyRequests</Code>" in answer
    assert witness.counts("connections_turned_away_total", door="http", reason="address") == 1
    settled(witness, crowd)


def test_a_device_is_held_to_the_rates_of_the_original(abused, crowd):
    witness = abused("--rates-mode", "original", "--rates-connects-per-minute", "0")
    loud = Wire(witness.server.mqtt_port, witness.fleet.device())
    crowd.sockets.append(loud.socket)
    topic = text(f"/ota/device/inform/{loud.product_key}/{loud.name}")
    send(loud.socket, packet(0x30, topic + b'{"id":1,"params":{"version":"1.0.0"}}') * 2000)
    wait_for("most go nowhere", lambda: witness.counts("mqtt_publishes_dropped_total", reason="rate") > 1000)
    # At QoS 1 nothing is lost: what is too much comes later.
    for _ in range(25):
        loud.report("inform", version="1.0.0")
    loud.settle()
    assert witness.counts("mqtt_reads_delayed_total", reason="rate") > 0
    settled(witness, crowd)


def test_a_device_that_connects_again_and_again_is_refused_for_a_while(abused, crowd):
    witness = abused("--rates-connects-per-minute", "5")
    registered = witness.fleet.device()
    answers = []
    for number in range(20):
        one = crowd.dial(witness.server.mqtt, 2 + number)
        send(one, connect_packet(registered))
        answers.append(one.recv(4))
    assert answers[:5] == [b"\x20\2\0\0"] * 5
    assert answers.count(b"\x20\2\0\3") == witness.counts("mqtt_connects_refused_total", reason="rate") >= 10
    settled(witness, crowd)
