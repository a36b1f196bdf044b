"""The vendor's device SDK against our device door, and what a kill of the server means to it."""

import requests

from device import KIND_REPLY, SdkDevice
from fleet import Fleet, md5, of_status
import cloud as clouds
from server import wait_for


def test_an_offline_device_is_pushed_when_it_connects(fleet, server, tmp_path, closing):
    device = fleet.device()
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    assert fleet.task(job)["TaskStatus"] == "QUEUED"
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    assert kit.upgrade(kit.next_push()) == content
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))
    assert kit.pushes.empty(), "told twice on one connection"


def test_a_device_that_asks_is_answered_with_its_package(fleet, server, tmp_path, closing):
    device = fleet.device()
    firmware, content = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]], NeedPush=False)
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    kit.ask()
    answer = kit.next_push()
    assert (answer.kind, answer.version) == (KIND_REPLY, "2.0.0")
    assert of_status(fleet.task(job), "NOTIFIED")
    assert kit.upgrade(answer) == content
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))


def test_a_failed_verification_is_told_and_ends_the_task(fleet, server, tmp_path, closing):
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    kit = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    kit.next_push()
    kit.report_progress(-3, "digest differs")
    task = wait_for("failure", lambda: of_status(fleet.task(job), "FAILED"))
    assert task["TaskDesc"] == "digest differs"
    assert fleet.job(job)["JobStatus"] == "COMPLETED"


def test_a_second_connection_of_a_device_ends_the_first(fleet, server, tmp_path, closing):
    device = fleet.device()
    firmware, content = fleet.package("2.0.0")
    first = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    # The SDK reconnects by itself; without this it would take the place back.
    first.kit.on_disconnect = lambda _code, _user_data: first.kit.destruct()
    second = closing(SdkDevice(server, device, "1.0.0", tmp_path)).connect()
    job = fleet.static_job(firmware, [device["DeviceName"]])
    assert second.upgrade(second.next_push()) == content
    wait_for("success", lambda: of_status(fleet.task(job), "SUCCEEDED"))
    assert first.pushes.empty()


def test_an_upgrade_survives_a_kill_of_the_server(own_server, tmp_path, closing):
    """kill -9 while one device is half way, one was told and one was never there; all three still end as they should."""
    fleet = Fleet(clouds.Core(own_server.http))
    devices = [fleet.device() for _ in range(3)]
    half, told, absent = devices
    firmware, content = fleet.package("2.0.0")
    kits = [closing(SdkDevice(own_server, device, "1.0.0", tmp_path)).connect() for device in (half, told)]
    job = fleet.static_job(firmware, [device["DeviceName"] for device in devices], TimeoutInMinutes=60)
    pushes = [kit.next_push() for kit in kits]
    kits[0].report_progress(50, "half way")
    before = wait_for("progress", lambda: of_status(status_of(fleet, job, half), "IN_PROGRESS"))
    wait_for("told", lambda: of_status(status_of(fleet, job, told), "NOTIFIED"))

    own_server.kill()
    own_server.start()

    assert status_of(fleet, job, half) == before, "an acknowledged report is lost"
    assert of_status(status_of(fleet, job, told), "NOTIFIED")
    assert of_status(status_of(fleet, job, absent), "QUEUED")
    assert requests.get(pushes[0].url).content == content, "the old address has to stay good"
    # The SDK reconnects by itself; both are told again, since a device may have forgotten.
    for kit in kits:
        again = kit.next_push()
        assert (again.version, again.sign) == ("2.0.0", md5(content))
        assert kit.upgrade(again) == content
    last = closing(SdkDevice(own_server, absent, "1.0.0", tmp_path)).connect()
    assert last.upgrade(last.next_push()) == content
    wait_for("the end", lambda: fleet.job(job)["JobStatus"] == "COMPLETED")
    assert {row["TaskStatus"] for row in fleet.tasks(job)} == {"SUCCEEDED"}
    for device in devices:
        assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "2.0.0"
    assert own_server.stop() == 0


def status_of(fleet, job, device):
    (row,) = fleet.cloud.ok("ListOTATaskByJob", JobId=job, DeviceNames=[device["DeviceName"]])["Data"]["SimpleOTATaskInfo"]
    return row
