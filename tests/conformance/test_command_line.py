"""The commands a newcomer tries: `otaru demo`, `otaru call`, `otaru device`."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree

from fleet import of_status
from server import HANG_SECONDS, KEY_ID, KEY_SECRET, binary, wait_for


def environment(**variables):
    return {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")} | variables


def call(server, *arguments):
    variables = environment(
        OTARU_ENDPOINT=server.url, OTARU_ACCESS_KEY_ID=KEY_ID, OTARU_ACCESS_KEY_SECRET=KEY_SECRET
    )
    command = [binary(), "call", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=HANG_SECONDS)


def test_the_demo_ends_as_planned_and_leaves_nothing_behind(tmp_path):
    command = [binary(), "demo", "--devices", "5", "--exit"]
    variables = environment(TMPDIR=str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=2 * HANG_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all ended as planned" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_call_prints_the_reply_in_either_format(server, fleet):
    done = call(server, "QueryProduct", "--ProductKey", fleet.product_key)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Data"]["ProductName"] == fleet.product_name
    done = call(server, "QueryProduct", "--format", "xml", "--ProductKey", fleet.product_key)
    assert done.returncode == 0, done.stderr
    assert ElementTree.fromstring(done.stdout).findtext("Data/ProductName") == fleet.product_name


def test_a_refused_call_exits_with_1_and_says_why_on_stderr(server):
    for arguments, code in [
        (["QueryProduct", "--ProductKey", "a1unknown00"], "iot.prod.NotExistedProduct"),
        (["QueryProduct"], "MissingProductKey"),
    ]:
        done = call(server, *arguments)
        assert done.returncode == 1
        assert code in done.stderr


def test_a_call_finds_address_and_key_in_the_data_folder(own_server):
    command = [binary(), "call", "--data", str(own_server.data), "CreateProduct", "--ProductName", "lamp", "--NodeType", "0"]
    variables = environment(OTARU_ACCESS_KEY_ID=KEY_ID, OTARU_ACCESS_KEY_SECRET=KEY_SECRET)
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Success"] is True


def test_a_simulated_device_upgrades(server, fleet):
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    variables = environment(
        OTARU_MQTT=server.mqtt,
        OTARU_PRODUCT_KEY=fleet.product_key,
        OTARU_DEVICE_NAME=device["DeviceName"],
        OTARU_DEVICE_SECRET=device["DeviceSecret"],
    )
    process = subprocess.Popen([binary(), "device"], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))
    finally:
        process.kill()
        process.wait()
    assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "2.0.0"
