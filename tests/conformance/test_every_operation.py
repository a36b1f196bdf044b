"""Each operation through each official client, which has to understand the reply."""

import base64
import json
import pathlib

import cloud as clouds
from fleet import unique
from server import wait_for

SPEC = pathlib.Path(__file__).parents[1] / "spec"
DESCRIBED = [json.loads((SPEC / name).read_text()) for name in ("api.json", "more.json")]
OPERATIONS = {operation["name"] for described in DESCRIBED for operation in described["operations"]}
PAGE = {"CurrentPage": 1, "PageSize": 10}
# What a client shows must be what the server sent; these change from one call to the next.
FLEETING = {"RequestId", "FirmwareUrl", "Url", "Timestamp"}


def steady(value):
    """A reply without what is new in each, and without what is empty: models leave either out."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k not in FLEETING and v not in ("", None, [], {})}
    return [steady(item) for item in value] if isinstance(value, list) else value


def word(name):
    """A name for a group: no dash is allowed there."""
    return unique(name).replace("-", "_")


class Walk:
    """Calls by one client, and which operations they were."""

    def __init__(self, cloud, core):
        self.cloud, self.core, self.called = cloud, core, set()

    def ok(self, action, **parameters):
        self.called.add(action)
        # What its release doesn't have is done by another client, so that the walk goes on.
        cloud = self.core if action in self.cloud.unknown else self.cloud
        return cloud.ok(action, **parameters)

    def read(self, action, **parameters):
        """A call that changes nothing: the client loses no field of its reply."""
        reply = self.ok(action, **parameters)
        sent = json.loads(self.core.raw(action, "JSON", **parameters)[2])
        if self.cloud.knows_all_fields:
            assert steady(reply) == steady(sent), action
        return reply

    def refused(self, action, code, **parameters):
        self.called.add(action)
        try:
            reply = self.cloud.call(action, **parameters)
        except clouds.Refused as refused:
            assert refused.code == code
        else:
            assert (reply["Success"], reply["Code"]) == (False, code)


def test_every_operation_is_understood(cloud, core):
    walk = Walk(cloud, core)
    product = walk.ok("CreateProduct", ProductName=unique("walk"), NodeType=0)["ProductKey"]
    of = {"ProductKey": product}
    lamp = {**of, "DeviceName": "lamp1"}
    products(walk, product)
    devices(walk, of, lamp)
    batches(walk, of)
    tags(walk, of, lamp)
    groups(walk, of, lamp)
    subscriptions(walk, of)
    package = packages(walk, of)
    jobs(walk, of, lamp, package)
    topic_classes(walk, of)
    shadows(walk, of, "lamp1")
    messages(walk, of, lamp)
    walk.ok("DeleteDevice", **of, DeviceName="lamp2")
    walk.ok("DeleteOTAFirmware", FirmwareId=package)
    walk.ok("DeleteProduct", **of)
    assert walk.called == OPERATIONS


def products(walk, product):
    walk.read("QueryProduct", ProductKey=product)
    assert walk.read("QueryProductList", **PAGE)["Data"]["List"]["ProductInfo"]
    walk.ok("UpdateProduct", ProductKey=product, ProductName=unique("renamed"), Description="d")


def devices(walk, of, lamp):
    iot_id = walk.ok("RegisterDevice", **lamp, Nickname="kitchen")["Data"]["IotId"]
    walk.ok("RegisterDevice", **of, DeviceName="lamp2")
    assert len(walk.read("QueryDevice", **of)["Data"]["DeviceInfo"]) == 2
    assert walk.read("QueryDeviceDetail", IotId=iot_id)["Data"]["Nickname"] == "kitchen"
    assert walk.read("QueryDeviceInfo", **lamp)["Data"]["IotId"] == iot_id
    both = {**of, "DeviceName": ["lamp1", "lamp2"]}
    assert len(walk.read("BatchQueryDeviceDetail", **both)["Data"]["Data"]) == 2
    assert len(walk.read("BatchGetDeviceState", **both)["DeviceStatusList"]["DeviceStatus"]) == 2
    assert walk.read("QueryDeviceByStatus", **of, Status=0)["Data"]["SimpleDeviceInfo"]
    assert walk.read("GetDeviceStatus", **lamp)["Data"]["Status"] == "UNACTIVE"
    assert walk.read("QueryDeviceStatistics", **of)["Data"]["deviceCount"] == 2
    for action in ("DisableThing", "EnableThing", "ResetThing"):
        walk.ok(action, **lamp)


def batches(walk, of):
    apply_id = walk.ok("BatchRegisterDevice", **of, Count=2)["Data"]["ApplyId"]
    status = lambda: walk.ok("QueryBatchRegisterDeviceStatus", **of, ApplyId=apply_id)["Data"]["Status"]
    wait_for("the batch", lambda: status() == "CREATE_SUCCESS")
    walk.read("QueryBatchRegisterDeviceStatus", **of, ApplyId=apply_id)
    page = walk.read("QueryPageByApplyId", ApplyId=apply_id, **PAGE)
    assert len(page["ApplyDeviceList"]["ApplyDeviceInfo"]) == 2
    apply_id = walk.ok("BatchCheckDeviceNames", **of, DeviceName=["door1", "door2"])["Data"]["ApplyId"]
    wait_for("the check", lambda: status() == "CHECK_SUCCESS")
    walk.ok("BatchRegisterDeviceWithApplyId", **of, ApplyId=apply_id)


def tags(walk, of, lamp):
    walk.ok("SaveDeviceProp", **lamp, Props='{"room":"101"}')
    assert json.loads(walk.read("QueryDeviceProp", **lamp)["Props"]) == {"room": "101"}
    found = walk.read("QueryDeviceByTags", **PAGE, Tag=[{"TagKey": "room", "TagValue": "101"}])
    assert found["Data"]["SimpleDeviceInfo"]
    walk.ok("DeleteDeviceProp", **lamp, PropKey="room")
    tag = [{"TagKey": "site", "TagValue": "north"}]
    walk.ok("CreateProductTags", **of, ProductTag=tag)
    walk.ok("UpdateProductTags", **of, ProductTag=tag)
    assert walk.read("ListProductTags", **of)["Data"]["ProductTag"] == tag
    assert walk.read("ListProductByTags", **PAGE, ProductTag=tag)["ProductInfos"]["ProductInfo"]
    walk.ok("DeleteProductTags", **of, ProductTagKey=["site"])


def groups(walk, of, lamp):
    group = walk.ok("CreateDeviceGroup", GroupName=word("area"))["Data"]["GroupId"]
    walk.ok("UpdateDeviceGroup", GroupId=group, GroupDesc="north")
    assert walk.ok("BatchAddDeviceGroupRelations", GroupId=group, Device=[lamp])["SuccessAddedDeviceCount"] == 1
    assert walk.read("QueryDeviceGroupList", **PAGE)["Data"]["GroupInfo"]
    assert walk.read("QueryDeviceGroupInfo", GroupId=group)["Data"]["DeviceCount"] == 1
    assert walk.read("QueryDeviceListByDeviceGroup", GroupId=group, **PAGE)["Data"]["SimpleDeviceInfo"]
    assert walk.read("QueryDeviceGroupByDevice", **lamp)["GroupInfos"]["GroupInfo"]
    assert walk.ok("BatchDeleteDeviceGroupRelations", GroupId=group, Device=[lamp])["SuccessDeviceCount"] == 1
    walk.ok("DeleteDeviceGroup", GroupId=group)
    rule = f'product_key = "{of["ProductKey"]}" and name = "lamp1"'
    made = walk.ok("CreateDeviceDynamicGroup", GroupName=word("rule"), DynamicGroupExpression=rule)
    group = made["Data"]["GroupId"]
    assert walk.read("QueryDynamicGroupDevices", GroupId=group, **PAGE)["Data"]["SimpleDeviceInfo"]
    walk.ok("DeleteDeviceDynamicGroup", GroupId=group)


def subscriptions(walk, of):
    group = walk.ok("CreateConsumerGroup", GroupName=word("group"))["GroupId"]
    of_group, amqp = {"GroupId": group}, {**of, "Type": "AMQP"}
    walk.ok("CreateSubscribeRelation", **amqp, OtaEventFlag=True, ConsumerGroupIds=[group])
    walk.ok("UpdateSubscribeRelation", **amqp, OtaEventFlag=True, OtaJobFlag=True, ConsumerGroupIds=[group])
    assert walk.read("QuerySubscribeRelation", **amqp)["ConsumerGroupIds"] == [group]
    assert walk.read("QueryConsumerGroupList", **PAGE)["Data"]["ConsumerGroupDTO"]
    walk.read("QueryConsumerGroupStatus", **of_group)
    walk.read("QueryConsumerGroupByGroupId", **of_group)
    walk.ok("ResetConsumerGroupPosition", **of_group)
    walk.ok("UpdateConsumerGroup", **of_group, NewGroupName=word("group"))
    walk.ok("CreateConsumerGroupSubscribeRelation", **of, ConsumerGroupId="DEFAULT_GROUP")
    walk.ok("DeleteConsumerGroupSubscribeRelation", **of, ConsumerGroupId=group)
    walk.ok("DeleteSubscribeRelation", **amqp)
    walk.ok("DeleteConsumerGroup", **of_group)


def packages(walk, of):
    walk.ok("CreateOTAModule", **of, ModuleName="mcu", AliasName="alias")
    walk.ok("UpdateOTAModule", **of, ModuleName="mcu", Desc="d")
    assert len(walk.read("ListOTAModuleByProduct", **of)["Data"]) == 2
    walk.ok("DeleteOTAModule", **of, ModuleName="mcu")
    ticket = walk.ok("GenerateOTAUploadURL")["Data"]
    assert clouds.upload(ticket, b"firmware").status_code == 200
    made = walk.ok("CreateOTAFirmware", **of, FirmwareName=unique("fw"), DestVersion="2.0", FirmwareUrl=ticket["FirmwareUrl"])
    package = made["Data"]["FirmwareId"]
    walk.ok("ModifyOTAFirmware", **of, FirmwareId=package, FirmwareDesc="d")
    assert walk.read("ListOTAFirmware", **of, **PAGE)["FirmwareInfo"]["SimpleFirmwareInfo"]
    assert walk.read("QueryOTAFirmware", FirmwareId=package)["FirmwareInfo"]["DestVersion"] == "2.0"
    if walk.cloud.knows_several_files:
        package_of_several(walk, of)
    return package


def package_of_several(walk, of):
    files = []
    for name in ("a", "b"):
        slot = walk.ok("GenerateOTAUploadURL")["Data"]
        clouds.upload(slot, b"part")
        files.append({"Name": name, "Url": slot["FirmwareUrl"]})
    made = walk.ok("CreateOTAFirmware", **of, FirmwareName=unique("fw"), DestVersion="3.0", MultiFiles=files)
    several = walk.read("QueryOTAFirmware", FirmwareId=made["Data"]["FirmwareId"])
    assert len(several["FirmwareInfo"]["MultiFiles"]) == 2


def jobs(walk, of, lamp, package):
    job = {**of, "FirmwareId": package}
    verify = walk.ok("CreateOTAVerifyJob", **job, TargetDeviceName=["lamp1"])["Data"]["JobId"]
    walk.ok("CancelOTATaskByJob", JobId=verify, CancelQueuedTask=True)
    assert walk.read("ListOTAJobByDevice", **job, DeviceName="lamp1", **PAGE)["Data"]["SimpleOTAJobInfo"]
    # Only a verified package goes further: this one needs no verification.
    ticket = walk.ok("GenerateOTAUploadURL")["Data"]
    clouds.upload(ticket, b"other")
    new = {"FirmwareName": unique("fw"), "DestVersion": "4.0", "NeedToVerify": False, "FirmwareUrl": ticket["FirmwareUrl"]}
    job["FirmwareId"] = walk.ok("CreateOTAFirmware", **of, **new)["Data"]["FirmwareId"]
    slot = walk.ok("GenerateDeviceNameListURL")["Data"]
    assert clouds.upload({**slot, "OSSAccessKeyId": slot["AccessKeyId"]}, b"lamp1\nlamp2\n").status_code == 200
    static = {"TargetSelection": "SPECIFIC", "DnListFileUrl": slot["FileUrl"], "NeedConfirm": True}
    tag = [{"Key": "ring", "Value": "blue"}]
    static = walk.ok("CreateOTAStaticUpgradeJob", **job, **static, Tag=tag)["Data"]["JobId"]
    assert len(walk.read("ListOTATaskByJob", JobId=static, **PAGE)["Data"]["SimpleOTATaskInfo"]) == 2
    task = walk.read("ListOTAUnfinishedTaskByDevice", **lamp)["Data"]["SimpleOTATaskInfo"][0]["TaskId"]
    walk.ok("ConfirmOTATask", TaskId=[task])
    walk.ok("CancelOTATaskByDevice", **job, DeviceName=["lamp1"])
    walk.ok("ReupgradeOTATask", JobId=static, TaskId=[task])
    assert walk.read("QueryOTAJob", JobId=static)["Data"]["Tags"]["OtaTagDTO"] == tag
    update = {"MaximumPerMinute": 100, "TargetSelection": "SPECIFIC", "UpgradeType": "STATIC"}
    walk.ok("UpdateOTAJob", JobId=static, **update)
    walk.ok("CancelOTATaskByJob", JobId=static, CancelQueuedTask=True)
    dynamic = walk.ok("CreateOTADynamicUpgradeJob", **job, SrcVersion=["1.0"])["Data"]["JobId"]
    assert len(walk.read("ListOTAJobByFirmware", FirmwareId=job["FirmwareId"], **PAGE)["Data"]["SimpleOTAJobInfo"]) == 2
    walk.ok("CancelOTAStrategyByJob", JobId=dynamic)
    walk.read("ListOTAModuleVersionsByDevice", **lamp, **PAGE)


def shadows(walk, of, name):
    wanted = json.dumps({"method": "update", "state": {"desired": {"color": "green"}}, "version": 1})
    walk.ok("UpdateDeviceShadow", **of, DeviceName=name, ShadowMessage=wanted, DeltaUpdate="true")
    shadow = json.loads(walk.read("GetDeviceShadow", **of, DeviceName=name)["ShadowMessage"])
    assert (shadow["state"], shadow["version"]) == ({"desired": {"color": "green"}}, 1)


def topic_classes(walk, of):
    made = walk.ok("CreateProductTopic", **of, Operation="SUB", TopicShortName="set/#", Desc="settings")["TopicId"]
    # Of the typed models some don't know all of its fields.
    shown = walk.ok("QueryProductTopic", **of)["Data"]["ProductTopicInfo"]
    assert [row["Operation"] for row in shown] == ["0", "0", "1", "1"]
    assert shown[3]["TopicShortName"] == f"/{of['ProductKey']}/${{deviceName}}/user/set/#"
    walk.ok("UpdateProductTopic", TopicId=str(made), Operation="ALL", TopicShortName="both")
    walk.ok("DeleteProductTopic", TopicId=str(made))


def messages(walk, of, lamp):
    topic = f"/{of['ProductKey']}/lamp1/user/get"
    content = base64.b64encode(b"hello").decode()
    assert walk.ok("Pub", **of, TopicFullName=topic, MessageContent=content)["MessageId"]
    assert walk.ok("PubBroadcast", **of, MessageContent=content)["MessageId"]
    # The device is not connected.
    assert walk.ok("RRpc", **lamp, RequestBase64Byte=content, Timeout=1000)["RrpcCode"] == "OFFLINE"
    assert walk.ok("GenerateFileUploadURL", BizCode="DEVICE_JOB_FILE", FileSuffix="bin")["Data"]["OssAccessKeyId"]
    walk.read("QueryDeviceFileList", **lamp, **PAGE)
    # No device has sent a file: both say that this is none.
    for action in ("QueryDeviceFile", "DeleteDeviceFile"):
        walk.refused(action, "iot.common.InvalidFormattedParameter", **lamp, FileId="a" * 32)
