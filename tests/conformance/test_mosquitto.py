"""mosquitto_pub and mosquitto_sub as devices."""

import base64
import json

import pytest

import mosquitto
from fleet import of_status

VERSIONS = ["mqttv31", "mqttv311"]


def own(prefix, device, rest=""):
    return f"{prefix}/{device['ProductKey']}/{device['DeviceName']}{rest}"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_made_of_two_commands_upgrades(server, fleet, closing, version):
    device = fleet.device()

    def says(topic, params):
        code, error = mosquitto.publish(server, device, own(topic, device), json.dumps({"id": 1, "params": params}), version=version)
        assert (code, error) == (0, "")

    says("/ota/device/inform", {"version": "1.0.0"})
    assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "1.0.0"
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    topic = own("/ota/device/upgrade", device)
    ((heard, text),) = closing(mosquitto.Subscriber(server, device, topic, version=version)).messages()
    push = json.loads(text)["data"]
    assert (heard, push["version"], push["size"]) == (topic, "2.0.0", len(content))
    says("/ota/device/progress", {"step": "50", "desc": ""})
    assert fleet.task(job)["TaskStatus"] == "IN_PROGRESS"
    says("/ota/device/inform", {"version": "2.0.0"})
    assert of_status(fleet.task(job), "SUCCEEDED")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_message_of_the_cloud_is_heard_by_who_has_subscribed(server, fleet, core, closing, version):
    device = fleet.device()
    topic = own("", device, "/user/get")
    listener = closing(mosquitto.Subscriber(server, device, topic, count=2, version=version)).wait_for("Subscribed")
    for text in (b"first", b"second"):
        content = base64.b64encode(text).decode()
        core.ok("Pub", ProductKey=device["ProductKey"], TopicFullName=topic, MessageContent=content, Qos=1)
    assert listener.messages() == [(topic, "first"), (topic, "second")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_password_and_a_foreign_topic_are_refused(server, fleet, closing, version):
    device, other = fleet.device(), fleet.device()
    code, error = mosquitto.publish(server, device | {"DeviceSecret": "wrong"}, own("", device, "/user/update"), "x", version=version)
    assert code != 0 and "bad user name or password" in error
    # The publish is acknowledged and goes nowhere; the subscription is not granted.
    foreign = own("/ota/device/inform", other)
    report = json.dumps({"id": 1, "params": {"version": "9"}})
    assert mosquitto.publish(server, device, foreign, report, version=version) == (0, "")
    assert not fleet.detail(other["DeviceName"]).get("FirmwareVersion")
    closing(mosquitto.Subscriber(server, device, own("", other, "/user/get"), version=version)).wait_for("128")
