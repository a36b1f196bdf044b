"""Bodies that never come, answers that nobody takes, and the limits before authentication behind TLS and WebSocket."""

import pytest
import requests

from abuse import MEGABYTE, is_closed, send, settled
from device import WireDevice
from server import HANG_SECONDS, wait_for
from tls import TLS_LISTENERS, connect

TLS = (*TLS_LISTENERS, "--tls-name", "localhost,127.0.0.1")

# What no client reaches: whatever it does is too slow.
RATE = ("--doors-http-silence-ms", "500", "--doors-http-bytes-per-second-min", "1000000000")


def post(path, length, kind="application/x-www-form-urlencoded"):
    """The head of a request with a body of so many bytes."""
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


FORM = "multipart/form-data; boundary=XX"
BODIES = [
    ("/?Action=QueryProductList", "application/x-www-form-urlencoded", b"<Code>RequestTimeout</Code>"),
    ("/", FORM, b"<Code>RequestTimeout</Code>"),
    ("/auth/register/device", "application/x-www-form-urlencoded", b"<Code>RequestTimeout</Code>"),
    ("/auth", "application/json", b'"code":10001'),
]


def restarted(witness, flags):
    """The server of the witness, with limits that the witness itself would not be within."""
    server = witness.server
    server.kill()
    server.arguments += flags
    return server.start()


def answer(one):
    """All that the server says until it closes."""
    data = b""
    try:
        while part := one.recv(65536):
            data += part
    except ConnectionError:
        pass
    return data


@pytest.mark.parametrize("path, kind, said", BODIES, ids=[path for path, *_ in BODIES[:1]] + ["form", "register", "auth"])
def test_bodies_that_stop_coming_are_cut(abused, crowd, path, kind, said):
    witness = abused("--doors-http-silence-ms", "500")
    slow = [crowd.dial(witness.server.http, 2 + number) for number in range(40)]
    for one in slow:
        send(one, post(path, 4000, kind) + b"--XX\r\n")
    for one in slow:
        text = answer(one)
        assert text.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 ")) and said in text, text
    assert witness.counts("http_bodies_cut_total", reason="slow") == 40
    settled(witness, crowd)


@pytest.mark.parametrize("path, kind, said", BODIES, ids=[path for path, *_ in BODIES[:1]] + ["form", "register", "auth"])
def test_bodies_that_come_byte_by_byte_are_cut(abused, crowd, path, kind, said):
    witness = abused()
    server = restarted(witness, RATE)
    one = crowd.dial(server.http, 2)
    assert send(one, post(path, 4_000_000, kind))
    one.setblocking(False)
    while True:
        try:
            one.send(b"x")
        except BlockingIOError:
            continue
        except OSError:
            break
        if witness.counts("http_bodies_cut_total", reason="slow"):
            break
    assert witness.counts("http_bodies_cut_total", reason="slow") == 1


def test_bodies_that_fill_all_room_are_refused_and_others_served_afterwards(abused, crowd):
    witness = abused("--doors-http-bodies-bytes-max", str(16 * MEGABYTE), "--doors-http-head-ms", "2000")
    server = witness.server
    large = []
    for number in range(10):
        one = crowd.dial(server.http, 2 + number)
        large.append(one)
        send(one, post("/?Action=QueryProductList&Format=JSON", 8 * MEGABYTE) + b"x" * (7 * MEGABYTE))
    wait_for("most find no room", lambda: witness.counts("http_bodies_cut_total", reason="full") >= 8)
    assert witness.grown() < 40 * MEGABYTE

    url = f"http://{server.http}"
    call = requests.post(f"{url}/?Action=QueryProductList&Format=JSON", data="x" * (2 * MEGABYTE), timeout=HANG_SECONDS)
    assert (call.status_code, call.json()["Code"]) == (503, "ServiceUnavailable")
    upload = requests.post(url, files={"file": ("f", b"x" * 100)}, timeout=HANG_SECONDS)
    assert upload.status_code == 503 and "<Code>ServiceUnavailable</Code>" in upload.text
    assert witness.counts("rpc_errors_total", code="ServiceUnavailable") >= 1
    assert witness.counts("http_requests_refused_total", code="ServiceUnavailable") == 1
    settled(witness, crowd)


def download(witness, megabytes):
    """The head of a request for a file of that size that a device may have."""
    registered = witness.fleet.device()
    content = bytes(megabytes * MEGABYTE)
    firmware, _ = witness.fleet.package(f"9.{megabytes}", content)
    witness.fleet.cloud.ok(
        "CreateOTAStaticUpgradeJob",
        FirmwareId=firmware,
        ProductKey=registered["ProductKey"],
        TargetSelection="SPECIFIC",
        TargetDeviceName=[registered["DeviceName"]],
        NeedPush="false",
    )
    return registered


def url_of(witness, registered):
    """Where the device of the open task downloads from."""
    device = WireDevice(witness.server, registered)
    assert device.connect() == 0
    device.report_version("1.0.0")
    url = device.ask()["data"]["url"]
    device.close()
    return url


@pytest.mark.parametrize("flags", [("--doors-http-silence-ms", "1000"), RATE], ids=["takes nothing", "takes too little"])
def test_readers_who_stall_are_cut(abused, crowd, flags):
    witness = abused()
    registered = download(witness, 24)
    server = restarted(witness, flags)
    target = url_of(witness, registered).split("/", 3)[3]
    slow = [crowd.dial(server.http, 2 + number) for number in range(5)]
    for one in slow:
        send(one, f"GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert one.recv(12) == b"HTTP/1.1 200"
    trickles = flags is RATE

    def cut():
        if trickles:
            for one in slow:
                one.recv(10)
        return witness.counts("http_connections_ended_total", reason="stalled") == 5

    wait_for("they are cut", cut)


@pytest.fixture
def behind(abused, crowd):
    """Dials a door behind TLS or WebSocket."""

    def dial(witness, door, number):
        server = witness.server
        if door == "mqtts bare":
            return crowd.dial(server.mqtts, number)
        if door in ("ws", "wss bare"):
            one = crowd.dial(server.http if door == "ws" else server.https, number)
        else:
            one = connect(server.mqtts if door == "mqtts" else server.https, server.ca)
            crowd.sockets.append(one)
        if door in ("ws", "wss"):
            key = "dGhlIHNhbXBsZSBub25jZQ=="
            send(one, f"GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n".encode())
            assert one.recv(4096).startswith(b"HTTP/1.1 101")
        return one

    return dial


@pytest.mark.parametrize("door", ["mqtts", "ws", "wss"])
def test_strangers_behind_tls_and_websocket_have_the_time_of_a_connect(abused, crowd, behind, door):
    witness = abused(*TLS, "--devices-connect-ms", "500")
    silent = [behind(witness, door, 2) for _ in range(30)]
    assert all(is_closed(one) for one in silent)
    assert witness.counts("mqtt_connections_ended_total", phase="stranger", reason="silent") == 30
    settled(witness, crowd)


@pytest.mark.parametrize("door", ["mqtts bare", "ws"])
def test_strangers_behind_tls_and_websocket_count_for_their_address(abused, crowd, behind, door):
    witness = abused(*TLS, "--doors-strangers-per-address-max", "20")
    for _ in range(100):
        behind(witness, door, 2)
    wait_for("the rest is turned away", lambda: witness.counts("connections_turned_away_total", door="mqtt", reason="address")
             + witness.counts("connections_evicted_total", door="mqtt", reason="address") >= 80)
    assert witness.counts("connections_waiting", door="mqtt") <= 20
    settled(witness, crowd)


def test_strangers_behind_tls_make_room_for_others(abused, crowd, behind):
    witness = abused(*TLS, "--doors-strangers-max", "50", "--doors-strangers-per-address-max", "20")
    for number in range(200):
        behind(witness, "mqtts bare", 2 + number % 40)
    wait_for("some have to go", lambda: witness.counts("connections_evicted_total", door="mqtt", reason="full") > 50)
    assert witness.counts("connections_waiting", door="mqtt") <= 50
    settled(witness, crowd)


def test_a_storm_on_a_tls_listener_is_turned_away(abused, crowd):
    witness = abused(*TLS, "--doors-connects-per-second", "5", "--doors-connects-burst", "20")
    for _ in range(200):
        crowd.dial(witness.server.mqtts, 2)
        crowd.dial(witness.server.https, 2)
    for door in ("mqtt", "http"):
        wait_for(door, lambda door=door: witness.counts("connections_turned_away_total", door=door, reason="rate") > 100)
    settled(witness, crowd)


def test_heads_and_bodies_under_tls_are_cut_too(abused, crowd):
    witness = abused(*TLS, "--doors-http-head-ms", "500", "--doors-http-silence-ms", "500")
    for part in (b"GET / HTTP/1.1\r\nX-Slow: ", post("/auth", 100, "application/json") + b"{"):
        slow = [connect(witness.server.https, witness.server.ca) for _ in range(10)]
        crowd.sockets += slow
        for one in slow:
            send(one, part)
        assert all(is_closed(one) for one in slow)
    assert witness.counts("http_connections_ended_total", reason="head_timeout") >= 10
    assert witness.counts("http_bodies_cut_total", reason="slow") == 10
    settled(witness, crowd)
