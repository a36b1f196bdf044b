"""Devices with a certificate of their own: mutual TLS in the place of a signature."""

import hashlib
import hmac
import json
import subprocess

import paho.mqtt.client as paho
import pytest
import requests

import cloud as clouds
import metrics
import mosquitto
import x509
from device import WireDevice, credentials
from fleet import Fleet, of_status
from server import HANG_SECONDS, Server, wait_for
from tls import ON_AWS_LC, TLS_LISTENERS, device_psk, psk_client, s_client
from wire import CONNECT, packet, text

IDENTITY = "/ext/auth/identity/response"
NAMELESS = ("", None, None)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return x509.Authority(tmp_path_factory.mktemp("ours") / "ca")


@pytest.fixture(scope="module")
def started(tmp_path_factory, ours):
    """A server that trusts the operator's CA for devices, beside its own."""
    arguments = ["--tls-client-ca", ours.ca, "--tls-client-crl", ours.crl, "--metrics", "127.0.0.1:0"]
    server = Server(tmp_path_factory.mktemp("x509"), *TLS_LISTENERS, *map(str, arguments)).start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def server(started):
    yield started
    assert started.running, started.log_tail()


@pytest.fixture
def fleet(server):
    return Fleet(clouds.Core(server.http), AuthType="x509")


def usual(device):
    """What a device says on later connections: its client id and username, and no password."""
    client_id, username, _ = credentials(device)
    return client_id, username, ""


def refused(server, reason):
    return metrics.value(server, "otaru_mqtt_connects_refused_total", reason=reason)


def failed(server, reason):
    return metrics.value(server, "otaru_tls_handshakes_failed_total", reason=reason)


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("kind", [[], ["--ec"]], ids=["rsa", "ec"])
def test_a_device_hears_who_it_is_by_its_certificate_and_upgrades(server, fleet, tmp_path, closing, version, kind):
    device = fleet.device()
    certificate, _ = x509.issue(server, device, tmp_path, *kind)
    x509.reload(server)
    first = closing(WireDevice(server, device, tls=True, certificate=certificate, login=NAMELESS, version=version))
    assert first.connect() == 0
    # Unasked, and before anything else.
    heard = first.next_message()
    assert (heard.topic, heard.payload.decode()) == (
        IDENTITY, json.dumps({"productKey": device["ProductKey"], "deviceName": device["DeviceName"]}, separators=(",", ":"))
    )  # fmt: skip
    assert fleet.detail(device["DeviceName"])["Status"] == "ONLINE"

    later = closing(WireDevice(server, device, tls=True, certificate=certificate, login=usual(device), version=version))
    assert later.connect() == 0
    first.ends.get(timeout=HANG_SECONDS)
    later.report_version("1.0.0")
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    message = later.next_message()
    assert message.topic.startswith("/ota/device/upgrade/"), "nobody tells it again who it is"
    push = json.loads(message.payload)["data"]
    assert requests.get(push["url"], verify=str(server.ca), timeout=HANG_SECONDS).content == content
    later.report_progress(100)
    later.report_version("2.0.0")
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))


def test_a_device_whose_tls_knows_only_key_exchange_by_rsa_is_served(server, fleet, tmp_path):
    device = fleet.device()
    certificate, _ = x509.issue(server, device, tmp_path)
    x509.reload(server)
    command = ["openssl", "s_client", "-connect", server.mqtts, "-quiet", "-tls1_2", "-cipher", "AES128-SHA256"]
    command += ["-cert", certificate, "-key", certificate, "-CAfile", str(server.ca)]
    # The C SDK 4 sends username and password, both empty.
    connect = packet(CONNECT << 4, text("MQTT") + bytes([4, 0xC2, 0, 60]) + text("x509") + text("") + text(""))
    payload = f'{{"productKey":"{device["ProductKey"]}","deviceName":"{device["DeviceName"]}"}}'
    told = packet(0x30, text(IDENTITY) + payload.encode())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        try:
            client.stdin.write(connect)
            client.stdin.flush()
            assert client.stdout.read(4) == b"\x20\2\0\0", client.stderr.read1()
            assert client.stdout.read(len(told)) == told
        finally:
            client.kill()


def test_a_session_that_is_resumed_by_its_ticket_still_says_who_it_is(server, fleet, ours, tmp_path):
    device, ticket = fleet.device(), tmp_path / "ticket"
    certificate = ours.issue(x509.common_name(device))
    _, said = s_client(server.mqtts, server.ca, "-tls1_2", "-cert", certificate, "-key", certificate, "-sess_out", str(ticket))
    assert ticket.exists(), said
    # Without the certificate at hand, so that it can only be that of the first handshake.
    command = ["openssl", "s_client", "-connect", server.mqtts, "-quiet", "-tls1_2", "-sess_in", str(ticket)]
    resumed = lambda: metrics.value(server, "otaru_tls_handshakes_total", kind="tls12_ecdhe")
    before = resumed()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        try:
            client.stdin.write(packet(CONNECT << 4, text("MQTT") + bytes([4, 2, 0, 60]) + text("x509")))
            client.stdin.flush()
            assert client.stdout.read(4) == b"\x20\2\0\0", client.stderr.read1()
        finally:
            client.kill()
    assert resumed() == before + 1


def test_a_simulated_device_upgrades_with_a_certificate(server, fleet, tmp_path):
    device = fleet.device()
    certificate, _ = x509.issue(server, device, tmp_path)
    x509.reload(server)
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    who = ["--product-key", device["ProductKey"], "--device-name", device["DeviceName"]]
    x509.run(x509.binary(), "device", "--mqtt", server.mqtts, *who, "--tls-ca", server.ca, "--tls-cert", certificate, "--once")
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))


def test_mosquitto_pub_reports_with_a_certificate_for_a_key_that_stays_on_the_device(server, fleet, tmp_path):
    device = fleet.device()
    key, request = x509.request(tmp_path, "whatever it says")
    certificate, _ = x509.issue(server, device, tmp_path, "--csr", request)
    assert "PRIVATE KEY" not in open(certificate).read()
    x509.reload(server)
    client_id, username, _ = usual(device)
    host, port = server.mqtts.rsplit(":", 1)
    topic = f"/ota/device/inform/{device['ProductKey']}/{device['DeviceName']}"
    command = ["mosquitto_pub", "-h", host, "-p", port, "-i", client_id, "-u", username, "-P", "", "--cafile", str(server.ca)]
    command += ["--cert", certificate, "--key", str(key), "-t", topic, "-q", "1", "-m", '{"id":1,"params":{"version":"1.2.3"}}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "1.2.3"


def test_certificates_of_the_operators_ca_are_taken_until_it_revokes_them(server, fleet, ours, closing):
    device = fleet.device()
    certificate = ours.issue(x509.common_name(device))
    wire = closing(WireDevice(server, device, tls=True, certificate=certificate, login=NAMELESS))
    assert wire.connect() == 0
    assert wire.next_message().topic == IDENTITY

    ours.revoke(certificate)
    x509.reload(server)
    before = failed(server, "client_revoked")
    status, said = s_client(server.mqtts, server.ca, "-tls1_2", "-cert", certificate, "-key", certificate)
    assert status != 0 and "alert handshake failure" in said, said
    assert failed(server, "client_revoked") == before + 1
    # Connections stay; who is to go is disabled.
    wire.report_version("1.0.0")


def test_a_certificate_is_revoked_by_its_serial_number(server, fleet, tmp_path, closing):
    device = fleet.device()
    stolen, serial = x509.issue(server, device, tmp_path)
    x509.run(x509.binary(), "device-cert", "--data", server.data, "--revoke", serial.lower())
    fresh, _ = x509.issue(server, device, tmp_path)
    x509.reload(server)
    before = failed(server, "client_revoked")
    status, said = s_client(server.mqtts, server.ca, "-tls1_2", "-cert", stolen, "-key", stolen)
    assert status != 0, said
    assert failed(server, "client_revoked") == before + 1
    wire = closing(WireDevice(server, device, tls=True, certificate=fresh, login=usual(device)))
    assert wire.connect() == 0


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("when", "alert"),
    [
        (["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"], "certificate expired"),
        (["-startdate", "20400101000000Z", "-enddate", "20410101000000Z"], "bad certificate"),
    ],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_outside_its_time_is_refused(server, fleet, ours, when, alert, version):
    certificate = ours.issue(x509.common_name(fleet.device()), *when)
    before = failed(server, "client_expired")
    status, said = s_client(server.mqtts, server.ca, version, "-cert", certificate, "-key", certificate)
    if version == "-tls1_2":
        # In TLS 1.3 the client is done before it hears of it.
        alerts = {alert, "certificate expired"} if ON_AWS_LC else {alert}
        assert status != 0 and any(f"alert {alert}" in said for alert in alerts), said
    wait_for("it is counted", lambda: failed(server, "client_expired") == before + 1)


def test_a_certificate_of_another_ca_is_refused(server, fleet, tmp_path):
    certificate = x509.Authority(tmp_path / "theirs").issue(x509.common_name(fleet.device()))
    before = failed(server, "client_untrusted")
    status, said = s_client(server.mqtts, server.ca, "-tls1_2", "-cert", certificate, "-key", certificate)
    assert status != 0 and "alert unknown ca" in said, said
    assert failed(server, "client_untrusted") == before + 1


def test_who_has_no_right_to_be_that_device_is_refused_and_counted(server, fleet, ours, closing):
    device, other, disabled = fleet.device(), fleet.device(), fleet.device()
    signing = Fleet(fleet.cloud).device()
    fleet.cloud.ok("DisableThing", ProductKey=disabled["ProductKey"], DeviceName=disabled["DeviceName"])
    certificate = lambda device: ours.issue(x509.common_name(device))
    unknown = device | {"DeviceName": "nobody-1"}
    for what, code, reason, who, how in [
        ("the right secret and no certificate", 4, "no_certificate", device, {}),
        ("that of another device", 4, "certificate", device, {"certificate": certificate(other), "login": usual(device)}),
        ("that of another device, and the right secret", 4, "certificate", device, {"certificate": certificate(other)}),
        ("one where a signature is due", 4, "certificate", signing, {"certificate": certificate(signing), "login": NAMELESS}),
        ("one of nobody", 4, "unknown_device", unknown, {"certificate": certificate(unknown), "login": NAMELESS}),
        ("one that names no device", 4, "credentials", device, {"certificate": ours.issue("somebody"), "login": NAMELESS}),
        ("a disabled device", 5, "disabled", disabled, {"certificate": certificate(disabled), "login": NAMELESS}),
    ]:
        before = refused(server, reason)
        wire = closing(WireDevice(server, who, tls=True, **how))
        assert wire.connect() == code, what
        assert refused(server, reason) == before + 1, what
    # A certificate is no hindrance where a signature is due.
    wire = closing(WireDevice(server, signing, tls=True, certificate=certificate(other)))
    assert wire.connect() == 0


def test_a_secret_opens_nothing_else_either(server, fleet):
    device = fleet.device()
    before = failed(server, "psk")
    with psk_client(server.mqtts, *device_psk(device)) as client:
        assert client.stdout.read() == b""
    wait_for("it is counted", lambda: failed(server, "psk") == before + 1)
    wire = WireDevice(server, device)
    assert wire.connect() == 4
    client, name = f"{device['ProductKey']}.{device['DeviceName']}", device["DeviceName"]
    signed = f"clientId{client}deviceName{name}productKey{device['ProductKey']}".encode()
    sign = hmac.new(device["DeviceSecret"].encode(), signed, hashlib.sha256).hexdigest()
    claim = {"productKey": device["ProductKey"], "deviceName": name, "clientId": client, "signmethod": "hmacsha256", "sign": sign}
    assert requests.post(f"{server.url}/auth", json=claim, timeout=HANG_SECONDS).json()["code"] == 20000


def test_a_device_that_is_disabled_loses_its_connection(server, fleet, ours, closing):
    device = fleet.device()
    certificate = ours.issue(x509.common_name(device))
    wire = closing(WireDevice(server, device, tls=True, certificate=certificate, login=usual(device)))
    assert wire.connect() == 0
    fleet.cloud.ok("DisableThing", ProductKey=device["ProductKey"], DeviceName=device["DeviceName"])
    wire.ends.get(timeout=HANG_SECONDS)


def test_only_devices_are_asked_and_only_where_there_is_a_ca_for_them(server, tls_server):
    asks = lambda address, ca: "Acceptable client certificate CA names" in s_client(address, ca, "-tls1_2")[1]
    assert asks(server.mqtts, server.ca)
    assert not asks(server.https, server.ca)
    assert not asks(tls_server.mqtts, tls_server.ca)


def test_a_ca_for_devices_is_not_sent_along_with_the_servers_certificate(ours, tmp_path):
    own = ours.issue("localhost")
    arguments = ["--tls-cert", own, "--tls-key", own, "--tls-client-ca", str(ours.ca)]
    server = Server(tmp_path, *TLS_LISTENERS, *arguments).start()
    try:
        said = s_client(server.mqtts, ours.ca, "-showcerts")[1]
        assert said.count("BEGIN CERTIFICATE") == 1, said
    finally:
        assert server.stop() == 0
