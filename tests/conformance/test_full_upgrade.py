"""Each official cloud client drives whole upgrades of devices that run the vendor's device SDK, and reads all of it back."""

import re

import requests

from device import KIND_PUSH, SdkDevice
from fleet import Fleet, md5, of_status, refusal, unique
from server import wait_for

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
IDENTIFIER = re.compile(r"[A-Za-z0-9]+")


def test_products_and_devices_are_read_back_as_they_were_made(cloud):
    name = unique("product")
    made = cloud.ok("CreateProduct", ProductName=name, NodeType=0, Description="a lamp")
    key = made["ProductKey"]
    assert made["Data"]["ProductKey"] == key
    assert made["Data"]["ProductName"] == name
    assert made["Data"]["NodeType"] == 0
    names = [unique("device") for _ in range(3)]
    devices = {n: cloud.ok("RegisterDevice", ProductKey=key, DeviceName=n)["Data"] for n in names}

    product = cloud.ok("QueryProduct", ProductKey=key)["Data"]
    assert product["ProductName"] == name
    assert product["Description"] == "a lamp"
    assert product["DeviceCount"] == 3
    assert product["GmtCreate"] > 1_500_000_000_000
    assert product["ProductSecret"] == made["Data"]["ProductSecret"]

    page = cloud.ok("QueryDevice", ProductKey=key, PageSize=2, CurrentPage=1)
    assert (page["Total"], page["PageCount"], page["PageSize"], page["Page"]) == (3, 2, 2, 1)
    rest = cloud.ok("QueryDevice", ProductKey=key, PageSize=2, CurrentPage=2)
    listed = page["Data"]["DeviceInfo"] + rest["Data"]["DeviceInfo"]
    assert sorted(row["DeviceName"] for row in listed) == sorted(names)
    for row in listed:
        device = devices[row["DeviceName"]]
        assert row["DeviceSecret"] == device["DeviceSecret"]
        assert row["IotId"] == device["IotId"]
        assert row["DeviceStatus"] == "UNACTIVE"
        assert UTC.fullmatch(row["UtcCreate"])

    by_id = cloud.ok("QueryDeviceDetail", IotId=devices[names[0]]["IotId"])["Data"]
    by_name = cloud.ok("QueryDeviceDetail", ProductKey=key, DeviceName=names[0])["Data"]
    assert by_id == by_name
    assert by_id["Status"] == "UNACTIVE"
    assert by_id["ProductName"] == name


def test_a_package_is_verified_then_rolled_out_and_read_back(cloud, server, tmp_path, closing):
    fleet = Fleet(cloud)
    first, second = fleet.device(), fleet.device()
    kit = {d["DeviceName"]: closing(SdkDevice(server, d, "1.0.0", tmp_path)).connect() for d in (first, second)}

    firmware, content = fleet.package("2.0.0", NeedToVerify=True, FirmwareDesc="the second", Udi='{"note":"a b*c~d/固件+"}')
    package = cloud.ok("QueryOTAFirmware", FirmwareId=firmware)["FirmwareInfo"]
    assert package["Status"] == 0
    assert package["VerifyProgress"] == 0
    assert package["DestVersion"] == "2.0.0"
    assert package["FirmwareDesc"] == "the second"
    assert package["Udi"] == '{"note":"a b*c~d/固件+"}'
    assert package["FirmwareSize"] == len(content)
    assert package["FirmwareSign"] == md5(content)
    assert (package["SignMethod"], package["Type"], package["ModuleName"]) == ("MD5", 0, "default")
    assert package["ProductKey"] == fleet.product_key
    assert package["ProductName"] == fleet.product_name
    assert requests.get(package["FirmwareUrl"]).content == content

    # Before the verification no job may be made of it.
    name = first["DeviceName"]
    code, _ = refusal(cloud, "CreateOTAStaticUpgradeJob", FirmwareId=firmware, ProductKey=fleet.product_key, TargetSelection="ALL")
    assert code == "iot.firmware.FirmwareNotVerified"
    verify = cloud.ok("CreateOTAVerifyJob", FirmwareId=firmware, ProductKey=fleet.product_key, TargetDeviceName=[name])
    verify_job = verify["Data"]["JobId"]
    push = kit[name].next_push()
    assert (push.kind, push.version, push.size, push.module) == (KIND_PUSH, "2.0.0", len(content), "default")
    assert (push.sign_method, push.sign) == ("Md5", md5(content))
    assert "a b*c~d/固件+" in push.extra
    assert cloud.ok("QueryOTAFirmware", FirmwareId=firmware)["FirmwareInfo"]["Status"] == 2
    assert kit[name].upgrade(push) == content
    wait_for("the verdict", lambda: cloud.ok("QueryOTAFirmware", FirmwareId=firmware)["FirmwareInfo"]["Status"] == 1)
    assert cloud.ok("QueryOTAFirmware", FirmwareId=firmware)["FirmwareInfo"]["VerifyProgress"] == 100
    job = fleet.job(verify_job)
    assert (job["JobType"], job["JobStatus"]) == ("VERIFY_FIRMWARE", "COMPLETED")
    assert (job["SelectionType"], job["TargetSelection"]) == ("STATIC", "SPECIFIC")

    # The roll-out, with every option that a static job of a full package has.
    tags = [{"Key": "ring", "Value": "blue & <green>"}, {"Key": "note", "Value": "两 words"}]
    static_job = fleet.static_job(
        firmware,
        [second["DeviceName"]],
        Tag=tags,
        MaximumPerMinute=1000,
        RetryInterval=10,
        RetryCount=2,
        TimeoutInMinutes=60,
        OverwriteMode=1,
        NeedPush=True,
    )
    push = kit[second["DeviceName"]].next_push()
    assert "blue & <green>" in push.extra and "两 words" in push.extra
    wait_for("NOTIFIED", lambda: fleet.task(static_job)["TaskStatus"] == "NOTIFIED")
    assert "UtcEndTime" not in fleet.job(static_job)
    device = kit[second["DeviceName"]]
    device.report_progress(42)
    row = wait_for("progress", lambda: of_status(fleet.task(static_job), "IN_PROGRESS"))
    assert row["Progress"] == "42.00"
    assert device.upgrade(push) == content
    row = wait_for("success", lambda: of_status(fleet.task(static_job), "SUCCEEDED"))
    assert {k: row[k] for k in row if not k.startswith("Utc") and k != "TaskId"} == {
        "DestVersion": "2.0.0",
        "DeviceName": second["DeviceName"],
        "FirmwareId": firmware,
        "IotId": second["IotId"],
        "JobId": static_job,
        "ProductKey": fleet.product_key,
        "ProductName": fleet.product_name,
        "Progress": "100.00",
        "SrcVersion": "1.0.0",
        "TaskDesc": "",
        "TaskStatus": "SUCCEEDED",
        "Timeout": "60",
    }
    assert IDENTIFIER.fullmatch(row["TaskId"])
    assert UTC.fullmatch(row["UtcCreate"]) and UTC.fullmatch(row["UtcModified"])

    job = fleet.job(static_job)
    want = {
        "DestVersion": "2.0.0",
        "DownloadProtocol": "HTTPS",
        "FirmwareId": firmware,
        "JobId": static_job,
        "JobStatus": "COMPLETED",
        "JobType": "UPGRADE_FIRMWARE",
        "MaximumPerMinute": 1000,
        "MultiModuleMode": False,
        "Name": package["FirmwareName"],
        "NeedConfirm": False,
        "NeedPush": True,
        "OverwriteMode": 1,
        "ProductKey": fleet.product_key,
        "RetryCount": 2,
        "RetryInterval": 10,
        "SelectionType": "STATIC",
        "Tags": {"OtaTagDTO": tags},
        "TargetSelection": "SPECIFIC",
        "TimeoutInMinutes": 60,
    }
    want = {k: v for k, v in want.items() if k not in cloud.lacks}
    assert {k: job[k] for k in want} == want
    for field in ("UtcCreate", "UtcStartTime", "UtcModified", "UtcEndTime"):
        assert UTC.fullmatch(job[field])
    for field in ("GrayPercent", "DynamicMode", "UtcScheduleTime", "UtcScheduleFinishTime"):
        assert field not in job

    # Both lists of jobs; newest first.
    listed = cloud.ok("ListOTAJobByFirmware", FirmwareId=firmware, PageSize=10, CurrentPage=1)
    assert [row["JobId"] for row in listed["Data"]["SimpleOTAJobInfo"]] == [static_job, verify_job]
    assert (listed["Total"], listed["PageCount"], listed["CurrentPage"], listed["PageSize"]) == (2, 1, 1, 10)
    by_device = cloud.ok(
        "ListOTAJobByDevice",
        FirmwareId=firmware,
        ProductKey=fleet.product_key,
        DeviceName=second["DeviceName"],
        PageSize=10,
        CurrentPage=1,
    )
    assert (by_device["Total"], by_device["PageCount"], by_device["CurrentPage"], by_device["PageSize"]) == (1, 1, 1, 10)
    assert by_device["Data"]["SimpleOTAJobInfo"] == [listed["Data"]["SimpleOTAJobInfo"][0]]
    row = by_device["Data"]["SimpleOTAJobInfo"][0]
    assert row == {k: job[k] for k in row}, "a listed job differs from the queried one"
    assert set(row) == {
        "FirmwareId", "JobId", "JobStatus", "JobType", "ProductKey", "SelectionType", "Tags",
        "TargetSelection", "UtcCreate", "UtcEndTime", "UtcModified", "UtcStartTime",
    }  # fmt: skip
    packages = cloud.ok("ListOTAFirmware", ProductKey=fleet.product_key, PageSize=10, CurrentPage=1)
    (simple,) = packages["FirmwareInfo"]["SimpleFirmwareInfo"]
    assert (simple["FirmwareId"], simple["Status"], simple["SrcVersion"]) == (firmware, 1, "")
    assert (simple["FirmwareSign"], simple["FirmwareSize"]) == (md5(content), len(content))

    detail = fleet.detail(second["DeviceName"])
    assert (detail["FirmwareVersion"], detail["Status"]) == ("2.0.0", "ONLINE")
    assert UTC.fullmatch(detail["UtcOnline"]) and UTC.fullmatch(detail["UtcActive"])


def test_a_dynamic_job_takes_the_device_that_reports_a_matching_version(cloud, server, tmp_path, closing):
    fleet = Fleet(cloud)
    firmware, content = fleet.package("3.0.0", SignMethod="SHA256")
    made = cloud.ok(
        "CreateOTADynamicUpgradeJob", FirmwareId=firmware, ProductKey=fleet.product_key, SrcVersion=["1.0.0", "2.0.0"]
    )
    job_id = made["Data"]["JobId"]
    assert fleet.tasks(job_id) == []
    other = closing(SdkDevice(server, fleet.device(), "0.9.0", tmp_path)).connect()
    device = closing(SdkDevice(server, fleet.device(), "2.0.0", tmp_path)).connect()
    push = device.next_push()
    assert push.sign_method == "SHA256"
    assert device.upgrade(push) == content
    row = wait_for("success", lambda: of_status(fleet.task(job_id), "SUCCEEDED"))
    assert row["DeviceName"] == device.name
    assert (row["SrcVersion"], row["Timeout"]) == ("2.0.0", "")
    job = fleet.job(job_id)
    assert (job["SelectionType"], job["TargetSelection"], job["JobStatus"]) == ("DYNAMIC", "ALL", "IN_PROGRESS")
    assert job["DynamicMode"] == 1
    assert job["SrcVersions"] == {"SrcVersion": ["1.0.0", "2.0.0"]}
    assert other.pushes.empty()


def test_a_canceled_task_ends_its_job_and_frees_the_package(cloud):
    fleet = Fleet(cloud)
    device = fleet.device()
    firmware, _ = fleet.package("4.0.0")
    job_id = fleet.static_job(firmware, [device["DeviceName"]])
    assert fleet.task(job_id)["TaskStatus"] == "QUEUED"
    code, _ = refusal(cloud, "DeleteOTAFirmware", FirmwareId=firmware)
    assert code == "iot.firmware.DeleteFirmwareFailure"
    code, _ = refusal(cloud, "CancelOTATaskByJob", JobId=job_id, CancelQueuedTask=False)
    assert code == "iot.firmware.CancelOptionIsMandatory"
    cloud.ok("CancelOTATaskByJob", JobId=job_id, CancelQueuedTask=True)
    assert fleet.task(job_id)["TaskStatus"] == "CANCELED"
    assert fleet.job(job_id)["JobStatus"] == "CANCELED"
    cloud.ok("DeleteOTAFirmware", FirmwareId=firmware)
    packages = cloud.ok("ListOTAFirmware", ProductKey=fleet.product_key, PageSize=10, CurrentPage=1)
    assert (packages["Total"], packages["PageCount"]) == (0, 0)
    assert packages["FirmwareInfo"] == {"SimpleFirmwareInfo": []}
    code, _ = refusal(cloud, "QueryOTAFirmware", FirmwareId=firmware)
    assert code == "iot.firmware.FirmwareNotFound"
    assert fleet.job(job_id)["JobStatus"] == "CANCELED", "the history of a deleted package is lost"
