"""Listeners under TLS: old and new suites, the generated CA, files of one's own, and devices that upgrade through them."""

import base64
import json
import os
import signal
import socket
import ssl
import stat
import subprocess

import pytest
import requests

import cloud as clouds
import metrics
from device import SdkDevice, WireDevice
from fleet import Fleet, of_status
from node_device import NEW, OLD, NodeDevice
from server import HANG_SECONDS, KEY_ID, KEY_SECRET, Server, binary, wait_for
from tls import ON_AWS_LC, TLS_LISTENERS, agreed, connect, s_client

# All that the mbedTLS of the vendor's C SDKs offers besides PSK. The leaf has to be the RSA one.
OLD_SUITES = ("AES128-SHA256", "AES256-SHA256", "AES128-SHA", "AES256-SHA")
RSA_BITS, EC_BITS = "2048", "256"


@pytest.fixture
def secure(tls_server):
    return Fleet(clouds.Core(tls_server.http))


@pytest.mark.parametrize("door", ["mqtts", "https"])
@pytest.mark.parametrize("suite", [suite for suite in OLD_SUITES if not (ON_AWS_LC and suite == "AES256-SHA256")])
def test_a_client_that_knows_only_key_exchange_by_rsa_is_served(tls_server, door, suite):
    address = getattr(tls_server, door)
    assert agreed(address, tls_server.ca, "-tls1_2", "-cipher", suite) == (suite, RSA_BITS)


@pytest.mark.parametrize(
    ("arguments", "suite", "bits"),
    [
        (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "ECDHE-RSA-AES128-GCM-SHA256", RSA_BITS),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDHE-ECDSA-AES128-GCM-SHA256", EC_BITS),
        (["-tls1_2"], "ECDHE-ECDSA-AES128-GCM-SHA256", EC_BITS),
        (["-tls1_2", "-cipher", ":".join(OLD_SUITES)], "AES128-SHA256", RSA_BITS),
        (["-tls1_3"], "TLS_AES_256_GCM_SHA384", EC_BITS),
        (["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], "TLS_AES_256_GCM_SHA384", RSA_BITS),
    ],
)
def test_each_client_gets_the_best_that_it_knows(tls_server, arguments, suite, bits):
    assert agreed(tls_server.mqtts, tls_server.ca, *arguments) == (suite, bits)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "version"),
        (["-tls1_2", "-cipher", "AES128-CCM"], "suite"),
    ],
)
def test_what_is_too_old_or_not_spoken_is_refused_and_counted(tls_server, arguments, reason):
    before = metrics.value(tls_server, "otaru_tls_handshakes_failed_total", reason=reason)
    status, text = s_client(tls_server.mqtts, tls_server.ca, *arguments)
    assert status != 0 and "Cipher is (NONE)" in text, text
    counted = lambda: metrics.value(tls_server, "otaru_tls_handshakes_failed_total", reason=reason) == before + 1
    wait_for(f"a refusal for {reason}", counted)


def test_a_client_that_does_not_know_the_ca_says_so_and_is_counted(tls_server):
    label = {"reason": "distrusted"}
    before = metrics.value(tls_server, "otaru_tls_handshakes_failed_total", **label)
    # Of TLS 1.3 the server would learn it after the handshake only.
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tls_server.mqtts, None, version=ssl.TLSVersion.TLSv1_2)
    wait_for("counted", lambda: metrics.value(tls_server, "otaru_tls_handshakes_failed_total", **label) > before)


def test_the_certificate_is_for_its_names_alone(tls_server):
    status, text = s_client(tls_server.mqtts, tls_server.ca, name="elsewhere.example")
    assert status != 0 and "ostname mismatch" in text, text
    connect(tls_server.mqtts, tls_server.ca, "127.0.0.1").close()
    connect(tls_server.https, tls_server.ca, "localhost").close()


def test_a_session_is_resumed_by_its_ticket(tls_server, tmp_path):
    ticket = tmp_path / "ticket"
    s_client(tls_server.mqtts, tls_server.ca, "-tls1_2", "-sess_out", str(ticket))
    _, text = s_client(tls_server.mqtts, tls_server.ca, "-tls1_2", "-sess_in", str(ticket))
    assert "\nReused, TLSv1.2" in text, text


def test_the_command_prints_the_ca_and_keys_are_private(tls_server, tmp_path):
    printed = subprocess.run([binary(), "ca", "--data", str(tls_server.data)], capture_output=True, text=True, check=True)
    assert printed.stdout == tls_server.ca.read_text()
    for file in tls_server.ca.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    nothing = subprocess.run([binary(), "ca", "--data", str(tmp_path)], capture_output=True, text=True)
    assert nothing.returncode == 1 and "there is no CA at" in nothing.stderr


def test_the_device_sdk_upgrades_over_tls_and_downloads_by_https(tls_server, secure, tmp_path, closing):
    device = secure.device()
    firmware, content = secure.package("2.0.0")
    job = secure.static_job(firmware, [device["DeviceName"]])
    kit = closing(SdkDevice(tls_server, device, "1.0.0", tmp_path, tls=True)).connect()
    push = kit.next_push()
    assert push.url.startswith(f"https://{tls_server.https}/d/")
    assert kit.upgrade(push) == content
    wait_for("success", lambda: of_status(secure.task(job), "SUCCEEDED"))


@pytest.mark.parametrize("sdk", [NEW, OLD])
def test_the_node_sdks_upgrade_over_tls(tls_server, secure, closing, sdk):
    device = secure.device()
    environment = os.environ | {"NODE_EXTRA_CA_CERTS": str(tls_server.ca)}
    url = f"mqtts://localhost:{tls_server.mqtts_port}/"
    node = closing(NodeDevice(tls_server, device, sdk, environment=environment, brokerUrl=url)).connect()
    node.report_version("1.0.0")
    firmware, content = secure.package("2.0.0")
    job = secure.static_job(firmware, [device["DeviceName"]])
    push = node.next_push()
    assert push["url"].startswith("https://") and push["size"] == len(content)
    node.report_version("2.0.0")
    assert of_status(secure.task(job), "SUCCEEDED")


def test_a_device_hears_and_says_much_over_tls(tls_server, secure, closing):
    device = closing(WireDevice(tls_server, secure.device(), tls=True))
    assert device.connect() == 0
    topic = f"/{device.product_key}/{device.name}/user/get"
    device.subscribe(topic)
    # More than a record holds, in both directions.
    for size in (1, 16_384, 200_000):
        clouds_says = "x" * size
        secure.cloud.ok("Pub", ProductKey=device.product_key, TopicFullName=topic, MessageContent=encoded(clouds_says), Qos=1)
        assert device.next_message(topic).payload == clouds_says.encode()
        device.publish(f"/{device.product_key}/{device.name}/user/update", clouds_says)
    assert metrics.value(tls_server, "otaru_tls_handshakes_total", kind="tls13") >= 1


def test_calls_are_answered_over_https(tls_server):
    answer = requests.get(f"https://{tls_server.https}/", verify=str(tls_server.ca))
    assert answer.status_code == 400
    assert "Content-Length" in answer.headers


@pytest.mark.parametrize(("more", "kind"), [([], "tls13"), (["--tls-suite", "AES128-SHA256"], "tls12_rsa")])
def test_many_devices_can_be_loaded_under_tls(tls_server, more, kind):
    before = metrics.value(tls_server, "otaru_tls_handshakes_total", kind=kind)
    command = [binary(), "fleet", "connect", "--devices", "30", "--data", str(tls_server.data), "--tls-ca", str(tls_server.ca), *more]
    command += ["--access-key-id", KEY_ID, "--access-key-secret", KEY_SECRET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    figures = json.loads(done.stdout)
    assert (figures["done"], figures["failed"]) == (30, 0), figures
    assert metrics.value(tls_server, "otaru_tls_handshakes_total", kind=kind) == before + 30


def test_a_handshake_that_stalls_is_cut(tmp_path):
    server = Server(tmp_path, *TLS_LISTENERS, "--tls-handshake-ms", "200", "--metrics", "127.0.0.1:0").start()
    try:
        for door in (server.mqtts, server.https):
            host, port = door.rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as stalled:
                stalled.sendall(b"\x16\x03\x01")
                assert stalled.recv(1) == b"", "the server answered"
        assert metrics.value(server, "otaru_tls_handshakes_failed_total", reason="timeout") == 2
        assert metrics.value(server, "otaru_connections", door="http") == 0
    finally:
        server.kill()


def test_a_server_under_tls_stops_with_all_its_store_has_kept(tmp_path):
    server = Server(tmp_path, *TLS_LISTENERS).start()
    fleet = Fleet(clouds.Core(server.http))
    device = WireDevice(server, fleet.device(), tls=True)
    assert device.connect() == 0
    device.report_version("1.0.0")
    host, port = server.mqtts.rsplit(":", 1)
    # One in the middle of its handshake keeps nothing open either.
    with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as stalled:
        stalled.sendall(b"\x16\x03\x01")
        assert server.stop() == 0
        assert stalled.recv(1) == b""
    device.close()


def test_a_reload_takes_new_files_and_keeps_connections_and_old_files_when_new_ones_are_bad(tmp_path):
    ours = Ours(tmp_path)
    server = Server(tmp_path, *TLS_LISTENERS, "--tls-cert", ours.certificate, "--tls-key", ours.key)
    ours.issue("first.example")
    server.start()
    try:
        with connect(server.https, ours.ca, "first.example") as kept:
            ours.issue("second.example")
            os.kill(server.process.pid, signal.SIGHUP)
            wait_for("the new certificate", lambda: speaks(server.https, ours.ca, "second.example"))
            assert not speaks(server.https, ours.ca, "first.example")

            ours.certificate.write_text("nothing")
            os.kill(server.process.pid, signal.SIGHUP)
            wait_for("the log tells it", lambda: "certificates stay as they were" in server.log.read_text())
            assert f"{ours.certificate} can't be used as a certificate" in server.log.read_text()
            assert speaks(server.https, ours.ca, "second.example")

            kept.sendall(b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert kept.recv(12) == b"HTTP/1.1 404"
    finally:
        assert server.stop() == 0


def test_a_start_with_files_that_do_not_fit_is_refused(tmp_path):
    ours = Ours(tmp_path)
    ours.issue("ota.example")
    ours.key.write_bytes(ours.ca_key.read_bytes())
    command = [binary(), "serve", "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
    command += [*TLS_LISTENERS, "--tls-cert", str(ours.certificate), "--tls-key", str(ours.key)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert refused.returncode == 1
    assert f"{ours.key} is not the key of {ours.certificate}" in refused.stderr


def test_names_and_addresses_of_urls_are_in_the_certificate_over_restarts(tmp_path):
    names = ["--tls-name", "ota.example,*.devices.example,192.0.2.7"]
    server = Server(tmp_path, *TLS_LISTENERS, *names, "--download-base", "https://files.example:8443").start()
    try:
        for name in ("ota.example", "a.devices.example", "192.0.2.7", "files.example", "127.0.0.1"):
            assert speaks(server.mqtts, server.ca, name), name
        assert not speaks(server.mqtts, server.ca, "localhost")
        ca = server.ca.read_text()
        assert server.stop() == 0
        server.arguments = (*TLS_LISTENERS,)
        server.start()
        assert speaks(server.mqtts, server.ca, "localhost")
        assert not speaks(server.mqtts, server.ca, "ota.example")
        assert server.ca.read_text() == ca, "devices trust the first one"
    finally:
        server.kill()


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def speaks(address, ca, name):
    """Whether a handshake with the server by this name succeeds."""
    try:
        connect(address, ca, name).close()
    except ssl.SSLCertVerificationError:
        return False
    return True


class Ours:
    """A CA of the operator's, made by the `openssl` command, and one certificate of it."""

    def __init__(self, folder):
        self.folder = folder / "ours"
        self.folder.mkdir()
        self.ca, self.ca_key = self.folder / "ca.pem", self.folder / "ca.key"
        self.certificate, self.key = self.folder / "server.pem", self.folder / "server.key"
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ours", "-keyout", self.ca_key, "-out", self.ca)

    def run(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=HANG_SECONDS)

    def issue(self, name):
        more = ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE"]
        more += ["-CA", self.ca, "-CAkey", self.ca_key]
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", *more,
                 "-keyout", self.key, "-out", self.certificate)  # fmt: skip


def test_a_simulated_device_upgrades_under_tls(tls_server, secure):
    device = secure.device()
    firmware, _ = secure.package("2.0.0")
    job = secure.static_job(firmware, [device["DeviceName"]])
    arguments = ["--mqtt", tls_server.mqtts, "--product-key", device["ProductKey"], "--device-name", device["DeviceName"]]
    arguments += ["--device-secret", device["DeviceSecret"], "--tls-ca", str(tls_server.ca), "--once"]
    done = subprocess.run([binary(), "device", *arguments], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    wait_for("success", lambda: of_status(secure.task(job), "SUCCEEDED"))


def test_the_load_generator_fetches_packages_under_tls(tls_server):
    target = ["--data", str(tls_server.data), "--tls-ca", str(tls_server.ca)]
    environment = os.environ | {"OTARU_ACCESS_KEY_ID": KEY_ID, "OTARU_ACCESS_KEY_SECRET": KEY_SECRET}

    def fleet(*arguments):
        done = subprocess.run([binary(), "fleet", *arguments], capture_output=True, text=True, env=environment, timeout=2 * HANG_SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    figures = fleet("upgrade", "--devices", "10", "--bytes", "10000", *target)
    assert (figures["done"], figures["failed"]) == (10, 0), figures
    fresh = Fleet(clouds.Core(tls_server.http))
    firmware, content = fresh.package("2.0.0", b"x" * 50_000)
    device = fresh.device()
    fresh.static_job(firmware, [device["DeviceName"]])
    wire = WireDevice(tls_server, device)
    assert wire.connect() == 0
    wire.report_version("1.0.0")
    url = wire.next_push()["data"]["url"]
    wire.close()
    assert url.startswith("https://")
    for more in ([], ["--range", "20000"]):
        figures = fleet("download", url, "--clients", "2", "--seconds", "1", "--tls-ca", str(tls_server.ca), *more)
        assert figures["failed"] == 0 and figures["bytes"] >= len(content), figures
