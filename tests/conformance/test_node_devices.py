"""The vendor's device SDKs for Node.js, both releases. They know nothing of upgrades: the application does it by raw topics."""

import pytest
import requests

from device import WireDevice
from fleet import Fleet, md5, of_status, unique
from node_device import NEW, OLD, NodeDevice
from server import wait_for


@pytest.fixture(params=[NEW, OLD])
def sdk(request):
    return request.param


def triple(device):
    return {name[0].lower() + name[1:]: device[name] for name in ("ProductKey", "DeviceName", "DeviceSecret")}


def test_a_device_upgrades_by_raw_topics(server, fleet, closing, sdk):
    device = fleet.device()
    node = closing(NodeDevice(server, device, sdk)).connect()
    node.report_version("1.0.0")
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    push = node.next_push()
    assert (push["version"], push["size"], push["sign"]) == ("2.0.0", len(content), md5(content))
    node.report_progress(1)
    assert requests.get(push["url"]).content == content
    node.report_version("2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")


def test_what_the_sdk_asks_for_by_itself_or_by_call_is_answered(server, fleet, core, closing, sdk):
    device = fleet.device()
    node = closing(NodeDevice(server, device, sdk)).connect()
    if sdk == OLD:
        # It uploads three tags about itself at every connect.
        wait_for("tags of the system", lambda: "SDK" in core.ok("QueryDeviceProp", IotId=device["IotId"])["Props"])
    tags = [{"attrKey": "colour", "attrValue": "red"}, {"attrKey": "size", "attrValue": "9"}]
    assert node.ask("postTags", tags)["code"] == 200
    assert '"colour":"red"' in core.ok("QueryDeviceProp", IotId=device["IotId"])["Props"].replace(" ", "")
    assert node.ask("deleteTags", ["colour"])["code"] == 200
    assert "colour" not in core.ok("QueryDeviceProp", IotId=device["IotId"])["Props"]
    assert node.ask("getConfig")["code"] == 6710
    assert node.ask("postProps", {"temperature": 21})["code"] == 200
    assert node.ask("postEvent", "alarm", {"level": 1})["code"] == 200


def test_a_gateway_brings_its_sub_device_to_the_new_version(server, fleet, core, closing, sdk):
    gates = Fleet(core)
    gates.product_key = core.ok("CreateProduct", ProductName=unique("gates"), NodeType=1)["ProductKey"]
    gateway_device, sub_device = gates.device(), fleet.device()
    gateway = closing(NodeDevice(server, gateway_device, sdk, role="gateway")).connect()
    assert gateway.ask("addTopo", [triple(sub_device)])["code"] == 200
    ((listed),) = gateway.ask("getTopo")["data"]
    assert (listed["productKey"], listed["deviceName"]) == (sub_device["ProductKey"], sub_device["DeviceName"])
    assert gateway.ask("login", triple(sub_device))["code"] == 200
    if sdk == NEW:
        gateway.next_event("connect", of=sub_device["DeviceName"])
    assert fleet.detail(sub_device["DeviceName"])["Status"] == "ONLINE"

    sub = (sub_device["ProductKey"], sub_device["DeviceName"])
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [sub_device["DeviceName"]])
    gateway.report_version("1.0.0", of=sub)
    push = gateway.next_push(of=sub)
    assert requests.get(push["url"]).content == content
    gateway.report_progress(50, of=sub)
    gateway.report_version("2.0.0", of=sub)
    assert of_status(fleet.task(job), "SUCCEEDED")

    assert gateway.ask("logout", {name: triple(sub_device)[name] for name in ("productKey", "deviceName")})["code"] == 200
    assert fleet.detail(sub_device["DeviceName"])["Status"] == "OFFLINE"
    assert gateway.ask("removeTopo", [{"productKey": sub[0], "deviceName": sub[1]}])["code"] == 200
    assert gateway.ask("getTopo")["data"] == []
