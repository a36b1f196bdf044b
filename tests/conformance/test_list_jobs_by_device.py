"""ListOTAJobByDevice, the operation the project began with: fields, paging, both formats, refusals."""

import xml.etree.ElementTree as ElementTree

import pytest

import cloud as clouds
from device import WireDevice
from fleet import refusal


@pytest.fixture
def history(fleet, server, closing):
    """A device with a completed, a canceled and a running job of one package, oldest first."""
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0", NeedToVerify=True)
    verify = fleet.cloud.ok(
        "CreateOTAVerifyJob", FirmwareId=firmware, ProductKey=fleet.product_key, TargetDeviceName=[device["DeviceName"]]
    )["Data"]["JobId"]
    wire = closing(WireDevice(server, device))
    assert wire.connect() == 0
    wire.report_version("2.0.0")
    # Back on the old version, so that the package may be given to it again.
    wire.report_version("1.0.0")
    assert fleet.job(verify)["JobStatus"] == "COMPLETED"
    canceled = fleet.static_job(firmware, [device["DeviceName"]], NeedPush=False)
    fleet.cloud.ok("CancelOTATaskByJob", JobId=canceled, CancelQueuedTask=True)
    tags = [{"Key": "key1", "Value": "value1"}, {"Key": "b.2", "Value": "<&>"}]
    running = fleet.static_job(firmware, [device["DeviceName"]], NeedPush=False, Tag=tags)
    where = {"FirmwareId": firmware, "ProductKey": fleet.product_key, "DeviceName": device["DeviceName"]}
    return where, [verify, canceled, running]


def test_every_field_reads_back_through_the_typed_model(history, tea):
    where, jobs = history
    body = tea.typed("ListOTAJobByDevice", PageSize=10, CurrentPage=1, **where)
    assert body.success is True and body.request_id and body.code is None and body.error_message is None
    assert (body.total, body.page_count, body.page_size, body.current_page) == (3, 1, 10, 1)
    running, canceled, verify = body.data.simple_otajob_info
    assert [row.job_id for row in (verify, canceled, running)] == jobs, "newest first"
    for row in (verify, canceled, running):
        assert (row.firmware_id, row.product_key) == (where["FirmwareId"], where["ProductKey"])
        assert (row.selection_type, row.target_selection) == ("STATIC", "SPECIFIC")
        assert row.utc_create <= row.utc_start_time <= row.utc_modified
    assert [row.job_type for row in (verify, canceled, running)] == ["VERIFY_FIRMWARE", "UPGRADE_FIRMWARE", "UPGRADE_FIRMWARE"]
    assert [row.job_status for row in (verify, canceled, running)] == ["COMPLETED", "CANCELED", "IN_PROGRESS"]
    assert verify.utc_end_time and canceled.utc_end_time and running.utc_end_time is None
    assert verify.tags is None and canceled.tags is None
    assert [(tag.key, tag.value) for tag in running.tags.ota_tag_dto] == [("key1", "value1"), ("b.2", "<&>")]


def test_pages_cover_the_jobs_once_and_a_page_behind_the_end_is_empty(history, cloud):
    where, jobs = history
    seen = []
    for page in (1, 2, 3, 4):
        reply = cloud.ok("ListOTAJobByDevice", PageSize=1, CurrentPage=page, **where)
        assert (reply["Total"], reply["PageCount"], reply["PageSize"], reply["CurrentPage"]) == (3, 3, 1, page)
        rows = reply["Data"]["SimpleOTAJobInfo"]
        assert len(rows) == (1 if page <= 3 else 0)
        seen += [row["JobId"] for row in rows]
    assert seen == jobs[::-1]


def test_xml_says_the_same_as_json(history, core):
    where, _ = history
    status, headers, body = core.raw("ListOTAJobByDevice", "XML", PageSize=10, CurrentPage=1, **where)
    assert status == 200
    assert headers["Content-Type"] == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(body)
    assert root.tag == "ListOTAJobByDeviceResponse"
    reply = core.ok("ListOTAJobByDevice", PageSize=10, CurrentPage=1, **where)
    told = tree(reply)
    heard = tree_of(root)
    told.pop("RequestId"), heard.pop("RequestId")
    assert heard == told


def test_json_is_announced_as_json(history, core):
    where, _ = history
    status, headers, _ = core.raw("ListOTAJobByDevice", "JSON", PageSize=10, CurrentPage=1, **where)
    assert (status, headers["Content-Type"]) == (200, "application/json;charset=utf-8")


def test_a_device_without_jobs_has_an_empty_list(fleet):
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0")
    reply = fleet.cloud.ok(
        "ListOTAJobByDevice",
        FirmwareId=firmware,
        ProductKey=fleet.product_key,
        DeviceName=device["DeviceName"],
        PageSize=10,
        CurrentPage=1,
    )
    assert (reply["Total"], reply["PageCount"], reply["Data"]) == (0, 0, {"SimpleOTAJobInfo": []})


@pytest.mark.parametrize("name", ["CurrentPage", "DeviceName", "FirmwareId", "PageSize", "ProductKey"])
def test_each_client_names_the_missing_parameter(cloud, name):
    given = {"CurrentPage": 1, "DeviceName": "light1", "FirmwareId": "f0", "PageSize": 10, "ProductKey": "a19mzPZ0000"}
    del given[name]
    with pytest.raises(clouds.Refused) as refused:
        cloud.call("ListOTAJobByDevice", **given)
    assert refused.value.code == f"Missing{name}"
    assert f"{name} is mandatory for this action." in refused.value.message


def test_a_missing_package_id_is_told_in_both_ways(core):
    """The page of the operation lists ErrorMessage without a full stop, the SDKs read Message with one."""
    given = {"CurrentPage": 1, "DeviceName": "light1", "PageSize": 10, "ProductKey": "a19mzPZ0000"}
    status, headers, body = core.raw("ListOTAJobByDevice", "XML", **given)
    assert (status, headers["Content-Type"]) == (400, "text/xml;charset=utf-8")
    error = ElementTree.fromstring(body)
    assert error.tag == "Error"
    assert error.findtext("Code") == "MissingFirmwareId"
    assert error.findtext("Message") == "FirmwareId is mandatory for this action."
    assert error.findtext("ErrorMessage") == "FirmwareId is mandatory for this action"
    assert error.findtext("Success") == "false"
    assert error.findtext("RequestId") and error.findtext("HostId")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PageSize": 101}, "iot.common.InvalidPageParams"),
        ({"CurrentPage": 0}, "iot.common.InvalidPageParams"),
        ({"ProductKey": "a1-no"}, "iot.prod.InvalidFormattedProductkey"),
        ({"ProductKey": "a1unknown00"}, "iot.prod.NotExistedProduct"),
        ({"DeviceName": "a b c d"}, "iot.device.InvalidFormattedDeviceName"),
        ({"DeviceName": "unknown-device"}, "iot.device.NotExistedDevice"),
        ({"FirmwareId": "unknown"}, "iot.firmware.FirmwareNotFound"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_value_is_refused_with_its_code(history, core, change, code):
    where, _ = history
    given = {"PageSize": 10, "CurrentPage": 1, **where} | change
    assert refusal(core, "ListOTAJobByDevice", **given)[0] == code


def test_a_package_of_another_product_is_refused(history, fleet, core):
    where, _ = history
    other = type(fleet)(core)
    device = other.device()
    given = where | {"ProductKey": other.product_key, "DeviceName": device["DeviceName"]}
    code, _ = refusal(core, "ListOTAJobByDevice", PageSize=10, CurrentPage=1, **given)
    assert code == "iot.firmware.FirmwareAndProductKeyMismatch"


def test_a_job_is_listed_as_soon_as_its_creation_is_answered(fleet, core):
    device = fleet.device()
    firmware, _ = fleet.package("2.0.0")
    for _ in range(5):
        job = fleet.static_job(firmware, [device["DeviceName"]], OverwriteMode=2)
        reply = core.ok(
            "ListOTAJobByDevice",
            FirmwareId=firmware,
            ProductKey=fleet.product_key,
            DeviceName=device["DeviceName"],
            PageSize=1,
            CurrentPage=1,
        )
        assert reply["Data"]["SimpleOTAJobInfo"][0]["JobId"] == job
    assert reply["Total"] == 5


def tree(value):
    """A JSON reply with all scalars as XML spells them."""
    if isinstance(value, dict):
        return {name: tree(item) for name, item in value.items()}
    if isinstance(value, list):
        return [tree(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


LISTS = {"SimpleOTAJobInfo", "OtaTagDTO"}


def tree_of(element):
    """The same from XML: the elements named in LISTS repeat."""
    children = list(element)
    if not children:
        return element.text or ""
    if children[0].tag in LISTS:
        return {children[0].tag: [tree_of(child) for child in children]}
    return {child.tag: tree_of(child) for child in children}
