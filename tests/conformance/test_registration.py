"""Devices that have the secret of their product only: by HTTP and by MQTT, with the vendor's SDKs and as their packets were seen."""

import hashlib
import hmac
import json
import queue
import subprocess

import pytest
import requests
from linkkit import linkkit

import cloud as clouds
import known
from device import KIND_PUSH, SdkDevice, WireDevice
from fleet import Fleet, of_status, unique
from known import INPUTS, VECTORS
from node_device import NEW, OLD
from server import HANG_SECONDS, ROOT, Server, binary, wait_for
from wire import Dialogue

OFF, ACTIVE, SIGN, NO_DEVICE = 6288, 6289, 6600, 6100


def registration(server, product_key, mode):
    """The command of the operator, while the server runs."""
    command = [binary(), "registration", "--data", str(server.data), product_key, *([mode] if mode else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def known_names(server, fleet):
    """A product whose devices may register themselves when their names are known."""
    assert registration(server, fleet.product_key, None) == "off"
    assert registration(server, fleet.product_key, "known") == "known"
    return fleet


def by_form(server, fleet, name, secret=None, method="hmacsha256"):
    """What C and Python SDKs send; the answer's code and data."""
    secret = secret or fleet.product["ProductSecret"]
    content = f"deviceName{name}productKey{fleet.product_key}random8Ygb7ULYh53B6OA"
    digest = {"hmacsha256": hashlib.sha256, "hmacsha1": hashlib.sha1, "hmacmd5": hashlib.md5}[method]
    sign = hmac.new(secret.encode(), content.encode(), digest).hexdigest()
    form = {"productKey": fleet.product_key, "deviceName": name, "random": "8Ygb7ULYh53B6OA", "sign": sign, "signMethod": method}
    response = requests.post(f"{server.url}/auth/register/device", data=form)
    assert response.status_code == 200
    answer = response.json()
    return answer["code"], answer["data"]


def upgrade_with(server, fleet, device, tmp_path, closing):
    """All the road with the secret that a device got."""
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    assert kit.upgrade(kit.next_push()) == content
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))


@pytest.mark.parametrize("method", ["hmacsha256", "hmacsha1", "hmacmd5"])
def test_a_device_registers_by_http_until_it_has_connected(server, known_names, core, tmp_path, closing, method):
    fleet, device = known_names, known_names.device()
    name = device["DeviceName"]
    assert by_form(server, fleet, name, "wrong", method)[0] == SIGN
    assert by_form(server, fleet, "nobody-here", method=method)[0] == NO_DEVICE
    code, first = by_form(server, fleet, name, method=method)
    assert (code, first["productKey"], first["deviceName"]) == (200, fleet.product_key, name)
    _, second = by_form(server, fleet, name, method=method)
    assert len({device["DeviceSecret"], first["deviceSecret"], second["deviceSecret"]}) == 3
    old = closing(WireDevice(server, device | {"DeviceSecret": first["deviceSecret"]}))
    assert old.connect() == 4, "an older secret is void"
    device["DeviceSecret"] = second["deviceSecret"]
    upgrade_with(server, fleet, device, tmp_path, closing)
    assert by_form(server, fleet, name, method=method) == (ACTIVE, {})
    core.ok("ResetThing", ProductKey=fleet.product_key, DeviceName=name)
    assert by_form(server, fleet, name, method=method)[0] == 200


def test_a_product_lets_nobody_register_until_the_operator_says_so(server, fleet):
    device = fleet.device()
    assert by_form(server, fleet, device["DeviceName"]) == (OFF, {})
    registration(server, fleet.product_key, "known")
    assert by_form(server, fleet, device["DeviceName"])[0] == 200
    registration(server, fleet.product_key, "off")
    assert by_form(server, fleet, device["DeviceName"])[0] == OFF
    command = [binary(), "registration", "--data", str(server.data), "a1nowhere", "known"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert (refused.returncode, refused.stderr) == (1, "otaru: there is no product a1nowhere\n")


@pytest.mark.parametrize("sdk", [NEW, OLD])
def test_the_node_sdks_register_by_http(server, known_names, tmp_path, closing, sdk):
    device = known_names.device()

    def register(secret):
        options = {
            "productKey": known_names.product_key,
            "productSecret": secret,
            "deviceName": device["DeviceName"],
            "registerURL": f"{server.url}/auth/register/device",
        }
        script = ROOT / "tests" / "conformance" / "node" / "register.js"
        done = subprocess.run(["node", str(script), sdk, json.dumps(options)], capture_output=True, text=True, timeout=HANG_SECONDS)
        return json.loads(done.stdout)

    assert register("wrong")["code"] == SIGN
    answer = register(known_names.product["ProductSecret"])
    assert answer["code"] == 200
    device["DeviceSecret"] = answer["data"]["deviceSecret"]
    upgrade_with(server, known_names, device, tmp_path, closing)


class Newcomer:
    """The Python SDK with the product's secret only, on its way through MQTT."""

    def __init__(self, server, fleet, name, auth_type, secret=None):
        self.answers = queue.Queue()
        self.kit = linkkit.LinkKit(
            host_name="127.0.0.1",
            product_key=fleet.product_key,
            device_name=name,
            device_secret="",
            auth_type=auth_type,
            product_secret=secret or fleet.product["ProductSecret"],
        )
        self.kit.config_mqtt(port=server.mqtt_port, secure="")
        # An application that does its work at every connect does it here too, too early.
        self.kit.on_connect = lambda *_: self.kit.ota_report_version(None, "0.0.1")
        self.kit.on_device_dynamic_register = lambda *answer: self.answers.put(answer)
        self.kit.on_device_dynamic_register_nwl_reply = lambda *answer: self.answers.put(answer)
        self.kit.connect_async()

    def answer(self):
        return self.answers.get(timeout=HANG_SECONDS)

    def close(self):
        self.kit.destruct()


def test_the_python_sdk_registers_by_mqtt(server, known_names, tmp_path, closing):
    fleet, device = known_names, known_names.device()
    name = device["DeviceName"]
    assert closing(Newcomer(server, fleet, name, "register", "wrong")).answer()[0] != 0
    code, secret, _ = closing(Newcomer(server, fleet, name, "register")).answer()
    assert (code, len(secret)) == (0, 32)
    detail = fleet.detail(name)
    assert (detail["Status"], detail.get("FirmwareVersion")) == ("UNACTIVE", None), "it only registered itself"
    upgrade_with(server, fleet, device | {"DeviceSecret": secret}, tmp_path, closing)


def test_the_python_sdk_registers_under_an_unknown_name_for_a_token(server, fleet, tmp_path, closing):
    name = unique("unknown")
    assert closing(Newcomer(server, fleet, name, "regnwl")).answer()[0] != 0
    registration(server, fleet.product_key, "any")
    code, client_id, username, token = closing(Newcomer(server, fleet, name, "regnwl")).answer()
    assert (code, username) == (0, f"{name}&{fleet.product_key}")
    assert fleet.detail(name)["Status"] == "UNACTIVE"

    pushes = queue.Queue()
    connects = queue.Queue()
    kit = linkkit.LinkKit("127.0.0.1", fleet.product_key, name, "", username=username, client_id=client_id, password=token)
    kit.config_mqtt(port=server.mqtt_port, secure="")
    kit.on_connect = lambda _session, code, _user_data: connects.put(code)
    kit.on_ota_message_arrived = lambda *message: pushes.put(message)
    kit.connect_async()
    assert connects.get(timeout=HANG_SECONDS) == 0
    firmware, _ = fleet.package("2.0.0")
    fleet.static_job(firmware, [name])
    assert pushes.get(timeout=HANG_SECONDS)[:2] == (KIND_PUSH, "2.0.0")
    kit.destruct()

    with Dialogue(server.mqtt_port) as dialogue:
        other = "another" + client_id[client_id.index("|") :]
        assert dialogue.connect(other, username, token) == b"\x20\x02\x00\x04", "it is good with its client id only"
    assert closing(Newcomer(server, fleet, name, "regnwl")).answer()[0] != 0, "it is active"


def test_a_secret_survives_a_kill_of_the_server(own_server, tmp_path, closing):
    fleet = Fleet(clouds.Core(own_server.http))
    registration(own_server, fleet.product_key, "known")
    device = fleet.device()
    code, data = by_form(own_server, fleet, device["DeviceName"])
    own_server.kill()
    own_server.start()
    assert code == 200 and registration(own_server, fleet.product_key, None) == "known"
    assert closing(WireDevice(own_server, device | {"DeviceSecret": data["deviceSecret"]})).connect() == 0


@pytest.fixture(scope="module")
def known_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("known")).start()
    known.furnish(server)
    for prefix in ("", "sub_"):
        registration(server, INPUTS[f"{prefix}product_key"], "any")
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in VECTORS["dynreg"]])
def test_a_registration_of_this_sdk_is_granted(known_server, vector):
    if vector["channel"] == "https":
        # Header names and order as the C SDK 4 writes them.
        head = (
            "POST /auth/register/device HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/xml,text/javascript,text/html,application/json\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(vector['body'])}\r\n\r\n"
        )
        port = int(known_server.http.rsplit(":", 1)[1])
        with Dialogue(port) as dialogue:
            dialogue.socket.sendall((head + vector["body"]).encode())
            answer = dialogue.socket.recv(4096).decode()
        header, body = answer.split("\r\n\r\n")
        assert header.startswith("HTTP/1.1 200 ")
        assert f"\r\nContent-Length: {len(body)}" in header and len(body) <= 255
        secret = json.loads(body)["data"]["deviceSecret"]
    else:
        with Dialogue(known_server.mqtt_port) as dialogue:
            # This SDK says 60 s, and a keepalive of 0 is no reason to refuse a registration.
            assert dialogue.connect(vector["client_id"], vector["username"], vector["password"], keepalive=0) == b"\x20\x02\x00\x00"
            topic, payload = dialogue.message()
        if "regnwl" in vector["id"]:
            assert topic == "/ext/regnwl"
            token = json.loads(payload)
            client_id = token["clientId"] + VECTORS["mqtt_connwl"][0]["client_id"].removeprefix("reg-client-0001")
            assert set(token) == {"clientId", "productKey", "deviceName", "deviceToken"} and client_id
            return
        assert topic == "/ext/register"
        secret = json.loads(payload)["deviceSecret"]
    assert len(secret) == 32


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in VECTORS["gateway"] if "product-register" in v["id"]])
def test_a_gateway_of_this_sdk_registers_a_sub_device(known_server, closing, vector):
    known_server_device = register_known(known_server)
    gateway = closing(WireDevice(known_server, known_server_device))
    # It is a gateway, and active after this: the vectors before are tried on a device that never connects.
    assert gateway.connect() == 0
    gateway.publish(vector["topic"], vector["payload"], qos=vector["qos"])
    answer = json.loads(gateway.next_message(vector["topic"] + "_reply").payload)
    assert (answer["id"], answer["code"], answer["data"]["failures"]) == (json.loads(vector["payload"])["id"], 200, [])
    (made,) = answer["data"]["successes"]
    assert (made["productKey"], made["deviceName"]) == (INPUTS["sub_product_key"], INPUTS["sub_device_name"])


def register_known(server):
    """The known gateway with a secret that is good just now."""
    cloud = clouds.Core(server.http)
    names = {"ProductKey": INPUTS["product_key"], "DeviceName": INPUTS["device_name"]}
    return cloud.ok("QueryDeviceDetail", **names)["Data"]


def test_the_python_sdk_registers_sub_devices_through_its_gateway(server, known_names, core, tmp_path, closing):
    gates = Fleet(core)
    gates.product_key = core.ok("CreateProduct", ProductName=unique("gates"), NodeType=1)["ProductKey"]
    fleet, sub = known_names, known_names.device()
    kit = closing(SdkDevice(server, gates.device(), "1.0.0", tmp_path)).connect().kit
    answers = queue.Queue()
    kit.on_gateway_register_subdev_reply = lambda *answer: answers.put(answer)
    kit.on_gateway_product_register_subdev_reply = lambda *answer: answers.put(answer)

    def ask(call, *sub_device):
        # A message can arrive before the SDK calls itself connected; until then it refuses to publish.
        wait_for("the SDK asks", lambda: call([list(sub_device)])[0] == 0)
        _, code, data, _, _ = answers.get(timeout=HANG_SECONDS)
        return code, data

    names = (sub["ProductKey"], sub["DeviceName"])
    code, (made,) = ask(kit.gateway_register_subdev, *names)
    assert (code, made["productKey"], made["deviceName"], made["iotId"]) == (200, *names, sub["IotId"])
    assert made["deviceSecret"] != sub["DeviceSecret"]
    code, data = ask(kit.gateway_product_register_subdev, *names, fleet.product["ProductSecret"])
    assert (code, data["failures"]) == (200, [])
    assert data["successes"][0]["deviceSecret"] != made["deviceSecret"]
    code, data = ask(kit.gateway_product_register_subdev, *names, "wrong")
    assert (code, data["successes"], data["failures"][0]["code"]) == (200, [], SIGN)
    assert ask(kit.gateway_register_subdev, sub["ProductKey"], "nobody-here")[0] == NO_DEVICE
