"""Shadows of devices: by MQTT, by HTTP, and by the clients of the API."""

import hashlib
import hmac
import json

import cloud as clouds
import metrics
from device import WireDevice
from fleet import Fleet
from http_bytes import answered


def update(state, version):
    return {"method": "update", "state": state, "version": version}


def topics(device):
    name = f"{device['ProductKey']}/{device['DeviceName']}"
    return f"/shadow/update/{name}", f"/shadow/get/{name}"


def said(wire, device, message):
    """What the device hears of its shadow; it has not subscribed."""
    up, down = topics(device)
    wire.publish(up, message)
    heard = wire.next_message(down).payload.decode()
    assert ": " not in heard, "compact"
    return json.loads(heard)


def test_a_shadow_is_reported_wanted_and_outlives_a_crash(own_server, closing):
    fleet = Fleet(clouds.Tea(own_server.http))
    device = fleet.device()
    of = {"ProductKey": device["ProductKey"], "DeviceName": device["DeviceName"]}
    wire = closing(WireDevice(own_server, device))
    assert wire.connect() == 0
    assert said(wire, device, update({"reported": {"color": "red"}}, 1))["payload"] == {"status": "success", "version": 1}
    wanted = json.dumps(update({"desired": {"color": "green"}}, 2))
    fleet.cloud.ok("UpdateDeviceShadow", **of, ShadowMessage=wanted)
    control = json.loads(wire.next_message(topics(device)[1]).payload)
    assert (control["method"], control["version"]) == ("control", 2)
    assert control["payload"]["state"] == {"reported": {"color": "red"}, "desired": {"color": "green"}}
    assert said(wire, device, update({"desired": "null"}, 3))["payload"]["version"] == 3

    own_server.kill()
    own_server.start()
    wire = closing(WireDevice(own_server, device))
    assert wire.connect() == 0
    got = said(wire, device, {"method": "get"})
    assert (got["version"], got["payload"]["state"]) == (3, {"reported": {"color": "red"}})
    shown = json.loads(fleet.cloud.ok("GetDeviceShadow", **of)["ShadowMessage"])
    assert (shown["version"], shown["state"]) == (3, {"reported": {"color": "red"}})


def test_faults_have_the_documented_codes_and_are_counted(tls_server, closing):
    device = Fleet(clouds.Core(tls_server.http)).device()
    wire = closing(WireDevice(tls_server, device))
    assert wire.connect() == 0
    for message, code in (
        ("{", "400"),
        ({"version": 1}, "401"),
        ({"method": "update", "version": 1}, "402"),
        ({"method": "update", "state": {"reported": {"a": 1}}}, "403"),
        (update({}, 1), "404"),
        (update({"reported": {}}, 1), "405"),
        ({"method": "put"}, "406"),
        ("", "407"),
        (update({"reported": {str(n): n for n in range(129)}}, 1), "408"),
        (update({"reported": {"a": 1}}, 0), "409"),
    ):
        counted = lambda code=code: metrics.value(tls_server, "otaru_shadow_messages_refused_total", code=code)
        before = counted()
        answer = said(wire, device, message)["payload"]
        assert counted() == before + 1
        assert (answer["status"], answer["content"]["errorcode"]) == ("error", code), message


def test_a_device_that_speaks_http_is_answered_in_the_reply(tls_server):
    device = Fleet(clouds.Core(tls_server.http)).device()
    text = f"clientIdcdeviceName{device['DeviceName']}productKey{device['ProductKey']}"
    sign = hmac.new(device["DeviceSecret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    proof = {"clientId": "c", "signmethod": "hmacsha256", "sign": sign, "productKey": device["ProductKey"]}
    body = json.dumps(proof | {"deviceName": device["DeviceName"]})
    request = f"POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    token = answered(tls_server, request)["info"]["token"]

    def says(message):
        body = json.dumps(message)
        head = f"POST /topic{topics(device)[0]} HTTP/1.1\r\nHost: h\r\nPassword: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        return answered(tls_server, head + body)["info"]["data"]["payload"]

    report = update({"reported": {"a": 1}}, 1)
    assert says(report) == {"status": "success", "version": 1}
    for message, code in ((report, "409"), ({"method": "put"}, "406")):
        before = metrics.value(tls_server, "otaru_shadow_messages_refused_total", code=code)
        assert says(message)["content"]["errorcode"] == code
        assert metrics.value(tls_server, "otaru_shadow_messages_refused_total", code=code) == before + 1
