"""TLS with a key that comes of the device's secret, as the vendor's C SDK 4 can do it."""

import pytest

import cloud as clouds
import metrics
from fleet import Fleet
from server import wait_for
from tls import device_psk, psk_client
from wire import connect_packet


@pytest.fixture
def fleet(tls_server):
    return Fleet(clouds.Core(tls_server.http))


def counted(server, name, **labels):
    return metrics.value(server, f"otaru_tls_{name}_total", **labels)


def test_a_device_is_let_in_by_the_key_of_its_secret(tls_server, fleet):
    device = fleet.device()
    before = counted(tls_server, "handshakes", kind="tls12_psk")
    with psk_client(tls_server.mqtts, *device_psk(device)) as client:
        client.stdin.write(connect_packet(device))
        client.stdin.flush()
        assert client.stdout.read(4) == b"\x20\2\0\0", client.stderr.read1()
        client.stdin.write(b"\xc0\0")
        client.stdin.flush()
        assert client.stdout.read(2) == b"\xd0\0"
    assert counted(tls_server, "handshakes", kind="tls12_psk") == before + 1


def test_the_key_alone_lets_nobody_in_as_another_device(tls_server, fleet):
    device, other = fleet.device(), fleet.device()
    with psk_client(tls_server.mqtts, *device_psk(device)) as client:
        client.stdin.write(connect_packet(other | {"DeviceSecret": device["DeviceSecret"]}))
        client.stdin.flush()
        assert client.stdout.read(4) == b"\x20\2\0\4"


@pytest.mark.parametrize(
    "change",
    [
        lambda identity, key: (identity, b"0" * 64),
        lambda identity, key: (identity.replace("&", "&x"), key),
        lambda identity, key: ("somebody", key),
    ],
    ids=["wrong key", "unknown device", "no identity"],
)
def test_other_keys_and_identities_are_refused_alike(tls_server, fleet, change):
    before = counted(tls_server, "handshakes_failed", reason="psk")
    with psk_client(tls_server.mqtts, *change(*device_psk(fleet.device()))) as client:
        assert client.stdout.read() == b""
    wait_for("it is counted", lambda: counted(tls_server, "handshakes_failed", reason="psk") == before + 1)
