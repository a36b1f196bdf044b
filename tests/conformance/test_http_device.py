"""Devices that report over HTTP, with the requests of the C SDKs sent byte by byte."""

import hashlib
import hmac
import json

import pytest

import known
from fleet import of_status
from http_bytes import answered
from known import INPUTS, VECTORS
from server import Server

C4 = (
    "POST /auth?_v=sdk-c-4.1.0& HTTP/1.1\r\nHost: {host}\r\nAccept: text/xml,text/javascript,text/html,application/json\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
    "POST /topic{topic} HTTP/1.1\r\nHost: {host}\r\nAccept: text/xml,text/javascript,text/html,application/json\r\n"
    "Password: {token}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n{body}",
)
C3 = (
    "POST /auth HTTP/1.1\r\nHost: {host}\r\nAccept: text/xml,text/javascript,text/html,application/json\r\n"
    "Content-Length: {length}\r\nContent-Type: application/json\r\n\r\n{body}",
    "POST /topic{topic} HTTP/1.1\r\nHost: {host}\r\npassword:{token}\r\n"
    "Content-Length: {length}\r\nContent-Type: application/octet-stream\r\n\r\n{body}",
)


def c4_claim(device):
    client, sign = proof(device, hashlib.sha256)
    return {"clientId": client, "signmethod": "hmacsha256"} | names(device) | {"sign": sign.upper()}


def c3_claim(device):
    client, sign = proof(device, hashlib.sha1)
    return {"version": "default", "clientId": client, "signmethod": "hmacsha1", "sign": sign} | names(device)


def names(device):
    return {"deviceName": device["DeviceName"], "productKey": device["ProductKey"]}


def proof(device, digest):
    client = f"{device['ProductKey']}.{device['DeviceName']}"
    text = f"clientId{client}deviceName{device['DeviceName']}productKey{device['ProductKey']}"
    return client, hmac.new(device["DeviceSecret"].encode(), text.encode(), digest).hexdigest()


@pytest.fixture(scope="module")
def known_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("known")).start()
    known.furnish(server)
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in VECTORS["https_auth"]])
def test_a_proof_of_this_sdk_is_taken(known_server, vector):
    sent = {
        "clientId": "a1B2c3D4e5F.dev-001",
        "signmethod": vector["sign_method"],
        "sign": vector.get("sign"),
        "productKey": INPUTS["product_key"],
        "deviceName": INPUTS["device_name"],
    }
    body = vector.get("body") or json.dumps(sent)
    text = C4[0].replace("/auth?_v=sdk-c-4.1.0&", vector.get("request_target", "/auth"))
    answer = answered(known_server, text.format(host=known_server.http, length=len(body), body=body))
    assert answer["code"] == 0 and answer["info"]["token"]
    body = body.replace(json.loads(body)["sign"], "0" * 40)
    assert answered(known_server, text.format(host=known_server.http, length=len(body), body=body))["code"] == 20000


class HttpDevice:
    def __init__(self, server, device, sdk, claim):
        self.server, self.device, (self.auth_text, self.topic_text) = server, device, sdk
        body = json.dumps(claim(device), separators=(",", ":"))
        self.auth_answer = answered(server, self.auth_text.format(host=server.http, length=len(body), body=body))
        self.token = self.auth_answer.get("info", {}).get("token")

    def post(self, topic, body):
        body = body if isinstance(body, str) else json.dumps(body)
        values = {"host": self.server.http, "token": self.token, "topic": topic, "length": len(body), "body": body}
        return answered(self.server, self.topic_text.format(**values))

    def ota(self, kind, **params):
        topic = f"/ota/device/{kind}/{self.device['ProductKey']}/{self.device['DeviceName']}"
        return self.post(topic, {"id": "1", "params": params})

    def thing(self, path, params):
        topic = f"/sys/{self.device['ProductKey']}/{self.device['DeviceName']}/thing/{path}"
        return self.post(topic, {"id": "7", "version": "1.0", "params": params})


@pytest.mark.parametrize("sdk, claim", [(C4, c4_claim), (C3, c3_claim)], ids=["c4", "c3"])
def test_a_c_sdk_authenticates_and_reports(server, fleet, core, sdk, claim):
    device = fleet.device()
    http = HttpDevice(server, device, sdk, claim)
    assert (http.auth_answer["code"], http.auth_answer["message"]) == (0, "success")
    assert len(http.token) <= 192
    # What the C SDK 3.x posts first.
    tags = [{"attrKey": "SYS_LP_SDK_VERSION", "attrValue": "3.2.0", "domain": "SYSTEM"}]
    answer = http.thing("deviceinfo/update", tags)
    assert (answer["code"], answer["info"]["data"]["code"]) == (0, 200)
    answers = [http.ota("inform", version="1.0.0") for _ in range(2)]
    assert [answer["code"] for answer in answers] == [0, 0]
    first, second = (answer["info"]["messageId"] for answer in answers)
    assert first != second
    detail = core.ok("QueryDeviceDetail", IotId=device["IotId"])["Data"]
    assert (detail["FirmwareVersion"], detail["Status"], detail["IpAddress"]) == ("1.0.0", "OFFLINE", "127.0.0.1")
    assert detail["GmtActive"] and detail["GmtOnline"]
    assert "3.2.0" in core.ok("QueryDeviceProp", IotId=device["IotId"])["Props"]


def test_a_device_that_asks_by_http_is_upgraded(server, fleet):
    device = fleet.device()
    http = HttpDevice(server, device, C4, c4_claim)
    http.ota("inform", version="1.0.0")
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    reply = http.thing("ota/firmware/get", {})["info"]["data"]
    assert (reply["id"], reply["code"], reply["data"]["size"]) == ("7", 200, len(content))
    http.ota("progress", step="100", desc="")
    assert of_status(fleet.task(job), "IN_PROGRESS")
    http.ota("inform", version="2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")
    assert http.thing("ota/firmware/get", {})["info"]["data"]["data"] == {}


def test_a_token_ends_with_its_device(server, fleet, core):
    device = fleet.device()
    http = HttpDevice(server, device, C4, c4_claim)
    assert HttpDevice(server, device | {"DeviceSecret": "another"}, C4, c4_claim).auth_answer["code"] == 20000
    core.ok("DisableThing", IotId=device["IotId"])
    assert http.ota("inform", version="1.0.0")["code"] == 20003
    assert HttpDevice(server, device, C4, c4_claim).auth_answer["code"] == 20000
    core.ok("EnableThing", IotId=device["IotId"])
    assert http.ota("inform", version="1.0.0")["code"] == 0
    core.ok("DeleteDevice", IotId=device["IotId"])
    assert http.ota("inform", version="1.0.0")["code"] == 20003


def test_custom_topics_are_taken_and_foreign_ones_are_not(server, fleet):
    device, other = fleet.device(), fleet.device()
    http = HttpDevice(server, device, C4, c4_claim)
    assert http.post(f"/{device['ProductKey']}/{device['DeviceName']}/user/update", "anything")["code"] == 0
    assert http.post(f"/{device['ProductKey']}/{device['DeviceName']}/user/get", "anything")["code"] == 30001
    assert http.post(f"/{other['ProductKey']}/{other['DeviceName']}/user/update", "anything")["code"] == 30001
    assert http.ota("inform", version="")["code"] == 10001
