"""Every packet of tests/spec/vectors.json that an SDK was seen to send, or would by its formula, sent to a real server."""

import json

import pytest

import cloud as clouds
import known
from device import WireDevice
from known import INPUTS, VECTORS
from server import ROOT, Server, wait_for
from wire import Dialogue


@pytest.fixture(scope="module")
def known_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("known")).start()
    known.furnish(server)
    yield server
    assert server.stop() == 0


@pytest.fixture
def known_cloud(known_server):
    return clouds.Core(known_server.http)


def by_id(section, wanted=lambda vector: True):
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in VECTORS[section] if wanted(v)])


def connect(server, vector, password=None):
    """What is answered to the CONNECT of a vector."""
    with Dialogue(server.mqtt_port) as dialogue:
        return dialogue.connect(
            vector["client_id"],
            vector["username"],
            password or vector["password"],
            clean=vector.get("clean_session", True),
            keepalive=vector.get("keepalive_s", 60),
        )


@by_id("mqtt_auth", lambda vector: vector["mqtt_level"] == 4)
def test_a_connect_of_this_sdk_is_let_in_and_with_another_password_it_is_not(known_server, vector):
    # Who keeps its session may have one from before.
    kept = b"\x20\x02\x01\x00" if not vector.get("clean_session", True) else None
    assert connect(known_server, vector) in (b"\x20\x02\x00\x00", kept)
    wrong = ("1" if vector["password"][0] == "0" else "0") + vector["password"][1:]
    assert connect(known_server, vector, wrong) == b"\x20\x02\x00\x04"


@pytest.mark.parametrize("index", range(len(VECTORS["observed_payloads"])))
def test_what_an_sdk_was_seen_to_send_is_understood(known_server, known_cloud, closing, index):
    vector = VECTORS["observed_payloads"][index]
    topic, payload = vector["topic"], vector["payload"]
    device = closing(WireDevice(known_server, known.device()))
    assert device.connect() == 0
    if INPUTS["sub_product_key"] in topic:
        log_in(device)
    device.publish(topic, payload.encode(), qos=vector["qos"])
    if topic.startswith("/ota/device/inform/"):
        report = json.loads(payload)["params"]
        module = report.get("module", "default")
        # At QoS 0 nobody says when it is kept.
        wait_for("the version", lambda: version_of(known_cloud, topic, module) == report["version"])
    elif topic.startswith("/ext/ntp/"):
        answer = json.loads(device.next_message(topic.replace("/request", "/response")).payload)
        assert answer["deviceSendTime"] == json.loads(payload)["deviceSendTime"]
    elif topic.startswith("/ota/device/progress/"):
        # Nothing is open: it is heard, acknowledged and changes nothing; the connection stays.
        assert device.ask()["data"] == {}
    else:
        answer = json.loads(device.next_message(topic + "_reply").payload)
        assert answer["id"] == json.loads(payload)["id"]
        assert answer["code"] == 200


def version_of(cloud, topic, module):
    product_key, name = topic.split("/")[4:6]
    rows = cloud.ok("ListOTAModuleVersionsByDevice", ProductKey=product_key, DeviceName=name, CurrentPage=1, PageSize=10)
    versions = {row["ModuleName"]: row["ModuleVersion"] for row in rows["Data"]["SimpleOTAModuleInfo"]}
    return versions.get(module)


def log_in(gateway):
    """By the vectors of one SDK, the sub-device is attached and logged in."""
    for name in ("node-topo-add", "node-login"):
        (vector,) = (vector for vector in VECTORS["gateway"] if vector["id"] == name)
        assert ask(gateway, vector)["code"] == 200


def ask(gateway, vector):
    gateway.publish(vector["topic"], vector["payload"], qos=vector["qos"])
    answer = json.loads(gateway.next_message(vector["topic"] + "_reply").payload)
    assert answer["id"] == json.loads(vector["payload"])["id"]
    return answer


@pytest.mark.parametrize("sdk, steps", [("c4", ("topo-add", "batch-login")), ("python", ("topo-add", "batch-login")), ("node", ("topo-add", "login"))])
def test_a_gateway_of_this_sdk_brings_its_sub_device_online(known_server, known_cloud, closing, sdk, steps):
    gateway = closing(WireDevice(known_server, known.device()))
    assert gateway.connect() == 0
    sub = {"productKey": INPUTS["sub_product_key"], "deviceName": INPUTS["sub_device_name"]}
    for step in steps:
        (vector,) = (vector for vector in VECTORS["gateway"] if vector["id"] == f"{sdk}-{step}")
        answer = ask(gateway, vector)
        assert answer["code"] == 200
        assert answer["data"] == (sub if step == "login" else [sub])
    status = known_cloud.ok("GetDeviceStatus", ProductKey=sub["productKey"], DeviceName=sub["deviceName"])
    assert status["Data"]["Status"] == "ONLINE"


def test_a_request_for_a_block_with_a_superfluous_comma_is_answered(known_server, closing):
    request = VECTORS["mqtt_download"]["request"]
    device = closing(WireDevice(known_server, known.device()))
    assert device.connect() == 0
    device.publish(request["topic"], request["payload"].encode(), qos=request["qos"])
    frame = device.next_message(VECTORS["mqtt_download"]["reply"]["topic"]).payload
    length = int.from_bytes(frame[:2], "big")
    # The stream is nobody's here. What is read of a file is compared with the vector where the frames are made.
    assert (json.loads(frame[2 : 2 + length])["code"], frame[2 + length :]) == (460, b"\x00\x00")


# Whose test goes through all vectors of a section; most are met in this folder too.
TESTED = {
    "mqtt_auth": "crates/otaru-server/src/mqtt/auth/tests.rs",
    "mqtt_auth_published": "crates/otaru-core/src/signature/device.rs",
    "tls_psk": "crates/otaru-core/src/signature/psk.rs",
    "dynreg": "tests/conformance/test_registration.py",
    "mqtt_connwl": "crates/otaru-server/src/mqtt/auth/tests.rs",
    "https_auth": "tests/conformance/test_http_device.py",
    "gateway": "crates/otaru-core/src/topology.rs",
    "mqtt_download": "crates/otaru-core/src/block.rs",
    "observed_payloads": "tests/conformance/test_vectors.py",
}
# What Otaru doesn't speak, as docs/compatibility.md says.
LEFT_OUT = {"coap": "CoAP", "amqp_auth": "AMQP"}
# What the vectors themselves are about.
BESIDE = {"format", "how_legend", "note", "inputs"}


def test_every_vector_is_tested_or_named_as_left_out():
    assert set(VECTORS) == set(TESTED) | set(LEFT_OUT) | BESIDE
    for section, path in TESTED.items():
        assert f'["{section}"]' in (ROOT / path).read_text(), section
    said = (ROOT / "docs" / "compatibility.md").read_text().split("## What is not there")[1].split("\n## ")[0]
    for name in LEFT_OUT.values():
        assert f"- {name}" in said or f" {name}" in said, name
