"""Sub-devices behind a gateway, on the level of single messages and through the vendor's SDK."""

import hashlib
import hmac
import json
import queue

import pytest

from device import SdkDevice, WireDevice
from fleet import Fleet, of_status, unique
from server import HANG_SECONDS, wait_for
from test_block_download import BlockDevice


@pytest.fixture
def gates(core):
    """A product of gateways."""
    fleet = Fleet(core)
    name = unique("gates")
    fleet.product_key = core.ok("CreateProduct", ProductName=name, NodeType=1)["ProductKey"]
    fleet.product_name = name
    return fleet


class Gateway(BlockDevice):
    def ask(self, prefix, path, params, qos=0):
        topic = f"{prefix}/{self.product_key}/{self.name}/{path}"
        self.publish(topic, {"id": "1", "version": "1.0", "params": params}, qos)
        return json.loads(self.next_message(topic + "_reply").payload)

    def topo(self, path, params):
        return self.ask("/sys", f"thing/{path}", params)

    def session(self, path, params):
        return self.ask("/ext/session", f"combine/{path}", params, qos=0)

    def next_error(self):
        error = json.loads(self.next_message(f"/ext/error/{self.product_key}/{self.name}").payload)
        return error["code"], error["data"]["deviceName"]


def named(device):
    return {"productKey": device["ProductKey"], "deviceName": device["DeviceName"]}


def proof(device, secret=None):
    pk, dn, client, stamp = device["ProductKey"], device["DeviceName"], "c|lan=Python|", 1700000000000
    text = f"clientId{client}deviceName{dn}productKey{pk}timestamp{stamp}"
    sign = hmac.new((secret or device["DeviceSecret"]).encode(), text.encode(), hashlib.sha256).hexdigest()
    return named(device) | {"clientId": client, "timestamp": stamp, "signMethod": "hmacSha256", "sign": sign}


class Sub(BlockDevice):
    """A sub-device: its own topics on the connection of its gateway."""

    def __init__(self, gateway, device):  # no connection of its own
        self.gateway, self.product_key, self.name = gateway, device["ProductKey"], device["DeviceName"]

    def publish(self, *message):
        self.gateway.publish(*message)

    def next_message(self, topic=None):
        return self.gateway.next_message(topic)


@pytest.fixture
def gateway(server, gates, closing):
    gateway = closing(Gateway(server, gates.device()))
    assert gateway.connect() == 0
    return gateway


def test_a_sub_device_upgrades_through_its_gateway(server, gates, fleet, core, closing):
    device, sub_device = gates.device(), fleet.device()
    gateway = closing(Gateway(server, device))
    assert gateway.connect() == 0
    firmware, content = fleet.package("2.0.0", content=b"s" * 5092)
    job = fleet.static_job(firmware, [sub_device["DeviceName"]], DownloadProtocol="MQTT", NeedConfirm=True)
    sub = Sub(gateway, sub_device)
    sub.report_version("1.0.0")
    assert gateway.next_error() == (520, sub.name)

    assert gateway.topo("topo/add", [proof(sub_device)])["code"] == 200
    assert gateway.topo("topo/get", {})["data"] == [named(sub_device)]
    assert gateway.session("login", proof(sub_device))["data"] == named(sub_device)
    assert fleet.detail(sub.name)["Status"] == "ONLINE"
    sub.report_version("1.0.0")
    assert sub.ask()["data"] == {}

    core.ok("ConfirmOTATask", TaskId=[fleet.task(job)["TaskId"]])
    push = sub.next_push()["data"]
    assert (push["dProtocol"], push["size"], "url" in push) == ("mqtt", 5092, False)
    answer, data = sub.ask_block(push["streamId"], 0)
    assert (answer["data"]["bSize"], data) == (5092, content)
    sub.report_progress(50)
    assert fleet.task(job)["TaskStatus"] == "IN_PROGRESS"

    gateway.close()
    again = closing(Gateway(server, device))
    assert again.connect() == 0
    assert fleet.detail(sub.name)["Status"] == "OFFLINE"
    batch = {"signMethod": "hmacSha256", "deviceList": [proof(sub_device)]}
    assert again.session("batch_login", batch)["data"] == [named(sub_device)]
    sub = Sub(again, sub_device)
    assert sub.next_push()["data"]["streamId"] == push["streamId"]
    assert sub.ask_block(2**31 - 1, 0)[0]["code"] == 460
    sub.report_version("2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")
    assert sub.ask_block(push["streamId"], 0)[0]["code"] == 460
    assert again.session("logout", named(sub_device))["code"] == 200
    assert fleet.detail(sub.name)["Status"] == "OFFLINE"
    assert again.session("logout", named(sub_device))["code"] == 520


def test_what_a_gateway_may_not_do_is_told_and_changes_nothing(gateway, gates, fleet):
    device, other = fleet.device(), fleet.device()
    unknown = device | {"DeviceName": "nobody-here"}
    for params, code in [
        ([proof(device, "wrong")], 401),
        ([proof(device), proof(other, "wrong")], 401),
        ([proof(unknown)], 6100),
        ([proof(gates.device())], 6402),
        ([proof(device)] * 2, 460),
        ([proof(device | {"DeviceName": f"sub-{n:03}"}) for n in range(31)], 460),
        ([], 460),
        ({}, 460),
    ]:
        assert gateway.topo("topo/add", params)["code"] == code, params
    assert gateway.topo("topo/get", "{}")["data"] == []
    assert gateway.session("login", proof(device))["code"] == 6401
    assert gateway.topo("topo/delete", [named(device)])["code"] == 6401
    assert gateway.topo("topo/add", [proof(device), proof(other)])["code"] == 200
    assert gateway.session("login", proof(device, "wrong"))["code"] == 6287
    batch = {"signMethod": "hmacSha256", "deviceList": [proof(device), proof(other, "wrong")]}
    assert gateway.session("batch_login", batch)["code"] == 6287
    assert fleet.detail(device["DeviceName"])["Status"] == "UNACTIVE"
    for _ in range(5):
        assert gateway.session("login", proof(device))["code"] == 200
    assert gateway.session("login", proof(device))["code"] == 429


def test_a_sub_device_that_is_taken_disabled_or_detached_is_logged_out(gateway, server, gates, fleet, core, closing):
    first, second, third = (fleet.device() for _ in range(3))
    gateway.topo("topo/add", [proof(device) for device in (first, second, third)])
    for device in (first, second, third):
        assert gateway.session("login", proof(device))["code"] == 200
    core.ok("DisableThing", ProductKey=second["ProductKey"], DeviceName=second["DeviceName"])
    assert gateway.next_error() == (522, second["DeviceName"])
    assert gateway.session("login", proof(second))["code"] == 522
    core.ok("DeleteDevice", ProductKey=third["ProductKey"], DeviceName=third["DeviceName"])
    assert gateway.next_error() == (521, third["DeviceName"])
    direct = closing(WireDevice(server, first))
    assert direct.connect() == 0
    assert gateway.next_error() == (427, first["DeviceName"])
    direct.close()
    assert gateway.session("login", proof(first))["code"] == 200
    rival = closing(Gateway(server, gates.device()))
    assert rival.connect() == 0
    assert rival.topo("topo/add", [proof(first)])["code"] == 200
    assert gateway.next_error() == (520, first["DeviceName"])
    Sub(gateway, first).report_version("6.6.6")
    assert gateway.next_error() == (520, first["DeviceName"])
    assert rival.session("login", proof(first))["code"] == 200
    assert rival.topo("topo/delete", [named(first)])["data"] == [named(first)]
    assert fleet.detail(first["DeviceName"])["Status"] == "OFFLINE"


def test_a_gateway_subscribes_for_its_sub_devices_alone(gateway, fleet):
    device = fleet.device()
    topic = f"/{device['ProductKey']}/{device['DeviceName']}/user/get"
    assert gateway.subscribe(topic) == (0x80,)
    gateway.topo("topo/add", [proof(device)])
    gateway.session("login", proof(device))
    assert gateway.subscribe(topic) == (1,)


def test_a_plain_device_has_no_sub_devices(server, fleet, closing):
    plain = closing(Gateway(server, fleet.device()))
    assert plain.connect() == 0
    assert plain.topo("topo/add", [proof(fleet.device())])["code"] == 460


class SdkGateway(SdkDevice):
    """The vendor's SDK as a gateway: what a request is answered with arrives by callback."""

    REQUESTS = ("add_subdev_topo", "delete_subdev_topo", "login_subdev", "logout_subdev")

    def __init__(self, *device):
        super().__init__(*device)
        self.answers = queue.Queue()
        for name in self.REQUESTS:
            setattr(self.kit, f"on_gateway_{name}_reply", self._answered(name))

    def _answered(self, name):
        return lambda request, code, data, message, _user_data: self.answers.put((name, request, code, data))

    def ask(self, name, sub_devices):
        # A message can arrive before the SDK calls itself connected; until then it refuses to publish.
        sent, request = wait_for("the SDK asks", lambda: self._send(name, sub_devices))
        assert sent == 0
        answered, id, code, data = self.answers.get(timeout=HANG_SECONDS)
        assert (answered, id) == (name, request)
        return code, data

    def _send(self, name, sub_devices):
        answer = getattr(self.kit, f"gateway_{name}")(sub_devices)
        return answer if answer[0] == 0 else None


def test_a_gateway_hears_what_an_operator_did_to_its_sub_device(server, gates, fleet, core, closing):
    gateway, sub_device, stranger = closing(Gateway(server, gates.device())), fleet.device(), fleet.device()
    gateway.connect()
    assert gateway.topo("topo/add", [proof(sub_device)])["code"] == 200
    topic = f"/sys/{gateway.product_key}/{gateway.name}/thing/topo/change"
    for action, status in (("DisableThing", 8), ("EnableThing", 2), ("DeleteDevice", 1)):
        core.ok(action, IotId=stranger["IotId"])
        core.ok(action, IotId=sub_device["IotId"])
        change = json.loads(gateway.next_message(topic).payload)
        assert (change["method"], change["params"]) == (
            "thing.topo.change",
            {"status": status, "subList": [named(sub_device)]},
        )


def test_the_vendors_sdk_as_a_gateway(server, gates, fleet, tmp_path, closing):
    sub_device = fleet.device()
    triple = [sub_device[name] for name in ("ProductKey", "DeviceName", "DeviceSecret")]
    gateway = closing(SdkGateway(server, gates.device(), "1.0.0", tmp_path)).connect()
    assert gateway.ask("add_subdev_topo", [[*triple[:2], "wrong"]])[0] == 401
    assert gateway.ask("add_subdev_topo", [triple]) == (200, [named(sub_device)])
    assert gateway.ask("login_subdev", [triple]) == (200, [named(sub_device)])
    assert fleet.detail(triple[1])["Status"] == "ONLINE"

    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [triple[1]])

    def says(kind, **params):
        message = json.dumps({"id": "1", "params": params})
        topic = f"/ota/device/{kind}/{triple[0]}/{triple[1]}"
        assert gateway.kit.publish_topic(topic, message, 1)[0] == 0

    says("inform", version="1.0.0")
    wait_for("the push", lambda: of_status(fleet.task(job), "NOTIFIED"))
    says("progress", step="50", desc="")
    wait_for("progress", lambda: of_status(fleet.task(job), "IN_PROGRESS"))
    says("inform", version="2.0.0")
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))

    assert gateway.ask("logout_subdev", [triple[:2]]) == (200, [named(sub_device)])
    assert fleet.detail(triple[1])["Status"] == "OFFLINE"
    assert gateway.ask("delete_subdev_topo", [triple[:2]]) == (200, [named(sub_device)])
    assert gateway.ask("login_subdev", [triple])[0] == 6401
