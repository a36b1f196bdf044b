//! A table of refused calls: each has its layer and code, and none changes anything.

mod groups;
mod jobs;
mod ota;

use super::*;

/// What stands for a thing of the scene in the parameters below.
struct Scene {
    world: World,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let product = world.product("lamp").await;
        let other = world.product("other").await;
        for name in ["lamp1", "lamp2"] {
            world.device(&product, name).await;
        }
        let full = world.package(&product, "2.0", "").await;
        let delta = world.package(&product, "3.0", "Type=1&SrcVersion=2.5").await;
        let raw = world.package(&product, "4.0", "NeedToVerify=true").await;
        let url = world.uploaded(20_000_000).await;
        let create =
            format!("ProductKey={product}&FirmwareName=big&DestVersion=5.0&FirmwareUrl={url}");
        let big = world.ok("CreateOTAFirmware", &format!("{create}&NeedToVerify=false")).await;
        let verify = format!("FirmwareId={raw}&ProductKey={product}&TargetDeviceName.1=lamp1");
        world.ok("CreateOTAVerifyJob", &verify).await;
        let dynamic = format!("FirmwareId={full}&ProductKey={product}&SrcVersion.1=1.0");
        let job = world.ok("CreateOTADynamicUpgradeJob", &dynamic).await;
        let empty = world.uploaded(0).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let unused = world.ok("GenerateOTAUploadURL", "").await;
        let list = world.ok("GenerateDeviceNameListURL", "").await;
        let names = vec![
            ("{P}", product),
            ("{O}", other),
            ("{FULL}", full),
            ("{DELTA}", delta),
            ("{RAW}", raw),
            ("{BIG}", text(&big["Data"]["FirmwareId"])),
            ("{JOB}", text(&job["Data"]["JobId"])),
            ("{URL}", url),
            ("{EMPTY}", empty),
            ("{UNUSED}", text(&unused["Data"]["FirmwareUrl"])),
            ("{LIST}", text(&list["Data"]["FileUrl"])),
            ("{1024}", "x".repeat(1_024)),
            ("{LONG}", "x".repeat(4_097)),
        ];
        Self { world, names }
    }

    fn fill(&self, params: &str) -> String {
        self.names.iter().fold(params.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Everything that can be read, to see that nothing changed.
    async fn snapshot(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (action, params) in [
            ("QueryProduct", "ProductKey={P}"),
            ("QueryDevice", "ProductKey={P}&PageSize=50"),
            ("QueryDevice", "ProductKey={O}&PageSize=50"),
            ("ListOTAFirmware", "CurrentPage=1&PageSize=100"),
            ("ListOTAJobByFirmware", "CurrentPage=1&PageSize=200&FirmwareId={FULL}"),
            ("ListOTAJobByFirmware", "CurrentPage=1&PageSize=200&FirmwareId={RAW}"),
            ("ListOTAJobByFirmware", "CurrentPage=1&PageSize=200&FirmwareId={DELTA}"),
            ("ListOTATaskByJob", "CurrentPage=1&PageSize=100&JobId={JOB}"),
        ] {
            let mut reply = self.world.ok(action, &self.fill(params)).await;
            reply.as_object_mut().unwrap().remove("RequestId");
            all.push(reply);
        }
        all
    }
}

/// All of them, for whoever collects their codes.
pub fn play() {
    each_refused_call_has_its_code_and_changes_nothing();
    every_operation_refuses_an_unsigned_call_and_a_foreign_instance();
    groups::each_refused_call_about_groups_and_tags_has_its_code_and_changes_nothing();
    jobs::play();
    ota::play();
}

#[tokio::test(start_paused = true)]
async fn each_refused_call_has_its_code_and_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    for (action, params, want) in CALLS {
        let (status, code) = scene.world.refused(action, &scene.fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
        let of_gateway = !want.starts_with("iot.");
        let want_status = match *want {
            "InvalidAction.NotFound" => 404,
            _ if of_gateway => 400,
            _ => 200,
        };
        assert_eq!(status, want_status, "{action} {params}");
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test(start_paused = true)]
async fn every_operation_refuses_an_unsigned_call_and_a_foreign_instance() {
    let scene = Scene::new().await;
    for op in super::super::op::all() {
        let target = format!("/?Action={}&Version=2018-01-20&Format=JSON", op.action);
        let unsigned =
            super::super::Incoming { method: "GET", target: &target, headers: &[], body: &[] };
        let answer = scene.world.rpc.handle(unsigned).await;
        assert!(answer.body.contains("\"Code\":\"MissingAccessKeyId\""), "{}", answer.body);

        let required = op.params.iter().filter(|row| row.required).map(|row| match row.kind {
            super::super::request::Kind::Texts => format!("{}.1=x", row.name),
            super::super::request::Kind::Objects(fields) => {
                format!("{}.1.{}=x", row.name, fields[0].name)
            }
            _ => format!("{}=1", row.name),
        });
        let required: Vec<_> = required.collect();
        let params = format!("IotInstanceId=iot-cn-x&{}", required.join("&"));
        let refused = scene.world.refused(op.action, &params).await;
        assert_eq!(refused.1, "iot.system.InstanceNotFound", "{}", op.action);
    }
}

const NEW: &str = "CreateOTAFirmware";
const STATIC: &str = "CreateOTAStaticUpgradeJob";
const DYNAMIC: &str = "CreateOTADynamicUpgradeJob";
const VERIFY: &str = "CreateOTAVerifyJob";

/// Operation, parameters, code.
const CALLS: &[(&str, &str, &str)] = &[
    ("Frobnicate", "", "InvalidAction.NotFound"),
    ("listOTAJobByDevice", "", "InvalidAction.NotFound"),
    // Products.
    ("CreateProduct", "", "MissingNodeType"),
    ("CreateProduct", "NodeType=0", "MissingProductName"),
    ("CreateProduct", "NodeType=x&ProductName=abcd", "InvalidNodeType"),
    ("CreateProduct", "NodeType=0&ProductName=abcd&Id2=2&DataFormat=z", "InvalidDataFormat"),
    ("CreateProduct", "NodeType=0&ProductName=abcd&Id2=2", "InvalidId2"),
    ("CreateProduct", "NodeType=0&ProductName=abcd&PublishAuto=no", "InvalidPublishAuto"),
    ("CreateProduct", "NodeType=2&ProductName=%20", "iot.prod.InvalidNodeType"),
    ("CreateProduct", "NodeType=0&ProductName=%20%20", "iot.prod.NullProductName"),
    ("CreateProduct", "NodeType=0&ProductName=abc", "iot.prod.InvalidFormattedProductName"),
    ("CreateProduct", "NodeType=0&ProductName=%3Ctag%3E", "iot.prod.InvalidFormattedProductName"),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&AliyunCommodityCode=x",
        "iot.prod.InvalidAliyunCommodityCode",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&AliyunCommodityCode=iothub_senior",
        "iot.check.NullParameter",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&DataFormat=2",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&ValidateType=3",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&NetType=wifi",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&ProtocolType=mqtt",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&AuthType=none",
        "iot.prod.InvalidProductAuthType",
    ),
    ("CreateProduct", "NodeType=0&ProductName=abcd&AuthType=id2", "iot.prod.NotOpenID2Service"),
    ("CreateProduct", "NodeType=0&ProductName=abcd&Id2=true", "iot.prod.NotOpenID2Service"),
    (
        "CreateProduct",
        "NodeType=0&ProductName=abcd&CategoryKey=a.b",
        "iot.prod.InvalidFormattedCatId",
    ),
    ("CreateProduct", "NodeType=0&ProductName=abcd&Description={LONG}", "iot.prod.LongProductDesc"),
    ("CreateProduct", "NodeType=0&ProductName=lamp", "iot.prod.AlreadyExistedProductName"),
    ("QueryProduct", "", "MissingProductKey"),
    ("QueryProduct", "ProductKey=a/b", "iot.prod.InvalidFormattedProductkey"),
    ("QueryProduct", "ProductKey=../../../etc/passwd", "iot.prod.InvalidFormattedProductkey"),
    ("QueryProduct", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    // Devices.
    ("RegisterDevice", "DeviceName=lamp9", "MissingProductKey"),
    ("RegisterDevice", "ProductKey=?&DeviceName=abc", "iot.device.InvalidFormattedDeviceName"),
    (
        "RegisterDevice",
        "ProductKey={P}&DeviceName=..%2F..%2Fa",
        "iot.device.InvalidFormattedDeviceName",
    ),
    ("RegisterDevice", "ProductKey=?&Nickname=abc", "iot.common.InvalidFormattedParameter"),
    ("RegisterDevice", "ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("RegisterDevice", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("RegisterDevice", "ProductKey={P}&DeviceName=lamp1", "iot.device.AlreadyExistedDeviceName"),
    ("QueryDevice", "ProductKey={P}&PageSize=x&CurrentPage=y", "InvalidCurrentPage"),
    ("QueryDevice", "ProductKey=?&PageSize=51", "iot.common.InvalidPageParams"),
    ("QueryDevice", "ProductKey={P}&PageSize=50&CurrentPage=201", "iot.common.InvalidPageParams"),
    ("QueryDevice", "ProductKey=?&NextToken=x", "iot.device.PageTokenIsIllegal"),
    ("QueryDevice", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("QueryDeviceDetail", "", "iot.prod.NullProductKey"),
    ("QueryDeviceDetail", "DeviceName=lamp1", "iot.prod.NullProductKey"),
    ("QueryDeviceDetail", "ProductKey={P}", "iot.device.NullDeviceName"),
    ("QueryDeviceDetail", "IotId=a-b&ProductKey={P}&DeviceName=lamp1", "iot.device.InvalidIoTId"),
    ("QueryDeviceDetail", "IotId=abc", "iot.device.NotExistedDevice"),
    ("QueryDeviceDetail", "ProductKey=?&DeviceName=?", "iot.prod.InvalidFormattedProductkey"),
    ("QueryDeviceDetail", "ProductKey={P}&DeviceName=?", "iot.device.InvalidFormattedDeviceName"),
    ("QueryDeviceDetail", "ProductKey={P}&DeviceName=nobody", "iot.device.NotExistedDevice"),
    // Uploads and packages.
    ("GenerateOTAUploadURL", "FileSuffix=BIN", "iot.firmware.InvalidGenerateOTAUploadURLParam"),
    ("GenerateOTAUploadURL", "FileSuffix=.bin", "iot.firmware.InvalidGenerateOTAUploadURLParam"),
    (
        "GenerateOTAUploadURL",
        "FileSuffix=..%2Fbin",
        "iot.firmware.InvalidGenerateOTAUploadURLParam",
    ),
    (NEW, "FirmwareName=n", "MissingDestVersion"),
    (NEW, "DestVersion=9", "MissingFirmwareName"),
    (NEW, "DestVersion=9&FirmwareName=n&FirmwareSize=1e3", "InvalidFirmwareSize"),
    (NEW, "DestVersion=9&FirmwareName=n&MultiFiles.2.Size=x", "InvalidMultiFiles.2.Size"),
    (NEW, "DestVersion=9&FirmwareName=n&NeedToVerify=1", "InvalidNeedToVerify"),
    (NEW, "DestVersion=9&FirmwareName=n&Type=full", "InvalidType"),
    (NEW, "DestVersion=?&FirmwareName=%20", "iot.firmware.BlankFirmwareName"),
    (NEW, "DestVersion=?&FirmwareName=-n", "iot.firmware.IncorrectFormattedFirmwareName"),
    (NEW, "DestVersion=?&FirmwareName=%3Cn%3E", "iot.firmware.IncorrectFormattedFirmwareName"),
    (
        NEW,
        "DestVersion=?&FirmwareName=n&FirmwareDesc={LONG}",
        "iot.firmware.IncorrectFormattedFirmwareVersion",
    ),
    (NEW, "DestVersion=FileUrl&FirmwareName=n", "iot.firmware.IncorrectFormattedFirmwareVersion"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareDesc={LONG}",
        "iot.firmware.FirmwareDescriptionExceedMaxLength",
    ),
    (NEW, "DestVersion=9&FirmwareName=n&Udi={LONG}&Type=2", "iot.firmware.FirmwareUdiExceedLimit"),
    (NEW, "DestVersion=9&FirmwareName=n&Type=2&SignMethod=Md5", "iot.firmware.InvalidFirmwareType"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&Type=1&SignMethod=Md5",
        "iot.firmware.InvalidFirmwareSignMethod",
    ),
    (NEW, "DestVersion=9&FirmwareName=n&Type=1&ModuleName=?", "iot.firmware.SrcVersionIsMandatory"),
    (NEW, "DestVersion=9&FirmwareName=n&SrcVersion=?", "iot.firmware.IncorrectFormattedSrcVersion"),
    (NEW, "DestVersion=9&FirmwareName=n&Type=1&SrcVersion=9", "iot.firmware.SrcDestVersionMatched"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&ModuleName=a/b",
        "iot.firmware.IncorrectFormattedModuleName",
    ),
    (NEW, "DestVersion=9&FirmwareName=n", "iot.firmware.NullFirmwareUrl"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareSize=3&MultiFiles.1.Name=a",
        "iot.common.InvalidFormattedParameter",
    ),
    (NEW, "DestVersion=9&FirmwareName=n&MultiFiles.1.Name=a", "iot.check.NullParameter"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&MultiFiles.1.Name=a&MultiFiles.1.Url=x&MultiFiles.2.Name=a&MultiFiles.2.Url=x",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&MultiFiles.1.Name=md5&MultiFiles.1.Url=x",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&MultiFiles.1.Name=a&MultiFiles.1.Url=x",
        "iot.firmware.MalformedFirmwareUrl",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl=ftp://a/b",
        "iot.firmware.MalformedFirmwareUrl",
    ),
    (NEW, "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}", "iot.prod.NullProductKey"),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey=a1nothing",
        "iot.prod.NotExistedProduct",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey={P}&ModuleName=mcu",
        "iot.ota.OTAModuleNotExist",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl=http://elsewhere/a.bin&ProductKey={P}",
        "iot.firmware.InvalidFirmwareUrl",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={UNUSED}&ProductKey={P}",
        "iot.firmware.InvalidFirmwareUrl",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={LIST}&ProductKey={P}",
        "iot.firmware.InvalidFirmwareUrl",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={EMPTY}&ProductKey={P}",
        "iot.firmware.EmptyFirmwareFile",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey={P}&FirmwareSize=5",
        "iot.firmware.InvalidFirmwareSize",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey={P}&FirmwareSize=-1",
        "iot.firmware.InvalidFirmwareSize",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=n&FirmwareUrl={URL}&ProductKey={P}&FirmwareSign=00",
        "iot.firmware.InvalidFirmwareSign",
    ),
    (
        NEW,
        "DestVersion=9&FirmwareName=big&FirmwareUrl={URL}&ProductKey={P}",
        "iot.firmware.AlreadyExistedFirmwareName",
    ),
    (
        NEW,
        "DestVersion=5.0&FirmwareName=n&FirmwareUrl={URL}&ProductKey={P}",
        "iot.firmware.AlreadyExistedFirmwareVersion",
    ),
    ("QueryOTAFirmware", "", "MissingFirmwareId"),
    ("QueryOTAFirmware", "FirmwareId=x", "iot.firmware.FirmwareNotFound"),
    ("ListOTAFirmware", "PageSize=1", "MissingCurrentPage"),
    ("ListOTAFirmware", "CurrentPage=1&PageSize=", "MissingPageSize"),
    ("ListOTAFirmware", "CurrentPage=1&PageSize=101&ProductKey=?", "iot.common.InvalidPageParams"),
    (
        "ListOTAFirmware",
        "CurrentPage=1&PageSize=1&ProductKey=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "ListOTAFirmware",
        "CurrentPage=1&PageSize=1&ProductKey=a1nothing",
        "iot.prod.NotExistedProduct",
    ),
    ("DeleteOTAFirmware", "", "MissingFirmwareId"),
    ("DeleteOTAFirmware", "FirmwareId=x", "iot.firmware.FirmwareNotFound"),
    ("DeleteOTAFirmware", "FirmwareId={FULL}", "iot.firmware.DeleteFirmwareFailure"),
    // Verifications. The package {RAW} is being verified.
    (VERIFY, "ProductKey={P}&TargetDeviceName.1=lamp1", "MissingFirmwareId"),
    (VERIFY, "FirmwareId=x&ProductKey={P}&TargetDeviceName=lamp1", "MissingTargetDeviceName"),
    (VERIFY, "FirmwareId=x&ProductKey={P}&TargetDeviceName.1=lamp1&NeedPush=2", "InvalidNeedPush"),
    (VERIFY, "FirmwareId=x&ProductKey=?&TargetDeviceName.1=lamp1", "iot.firmware.FirmwareNotFound"),
    (
        VERIFY,
        "FirmwareId={RAW}&ProductKey=?&TargetDeviceName.1=lamp1",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        VERIFY,
        "FirmwareId={RAW}&ProductKey={O}&TargetDeviceName.1=lamp1",
        "iot.firmware.FirmwareAndProductKeyMismatch",
    ),
    (
        VERIFY,
        "FirmwareId={RAW}&ProductKey={P}&TargetDeviceName.1=nobody",
        "iot.firmware.InProgressVerifyJobExisted",
    ),
    (
        VERIFY,
        "FirmwareId={FULL}&ProductKey={P}&TargetDeviceName.1=nobody",
        "iot.device.NotExistedDevice",
    ),
    (
        VERIFY,
        "FirmwareId={DELTA}&ProductKey={P}&TargetDeviceName.1=lamp2",
        "iot.firmware.NonVersionedDeviceInArray",
    ),
    // Static jobs; what needs no look-up has a table of its own.
    (STATIC, "FirmwareId=x&ProductKey={P}", "MissingTargetSelection"),
    (
        STATIC,
        "FirmwareId=x&ProductKey={P}&TargetSelection=ALL&ScheduleTime=soon",
        "InvalidScheduleTime",
    ),
    (
        STATIC,
        "FirmwareId=x&ProductKey={P}&TargetSelection=SOME",
        "iot.firmware.InvalidTargetSelection",
    ),
    (
        STATIC,
        "FirmwareId=x&ProductKey={P}&TargetSelection=ALL&ScheduleTime=1",
        "iot.firmware.FireTimeMustLargeThanCurrentTime",
    ),
    (STATIC, "FirmwareId=x&ProductKey=?&TargetSelection=ALL", "iot.firmware.FirmwareNotFound"),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey=a1nothing&TargetSelection=ALL",
        "iot.prod.NotExistedProduct",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={O}&TargetSelection=ALL",
        "iot.firmware.FirmwareAndProductKeyMismatch",
    ),
    (
        STATIC,
        "FirmwareId={RAW}&ProductKey={P}&TargetSelection=ALL&DownloadProtocol=MQTT",
        "iot.firmware.FirmwareNotVerified",
    ),
    (
        STATIC,
        "FirmwareId={BIG}&ProductKey={P}&TargetSelection=ALL&DownloadProtocol=MQTT",
        "iot.firmware.InvalidFirmware",
    ),
    (
        STATIC,
        "FirmwareId={DELTA}&ProductKey={P}&TargetSelection=ALL",
        "iot.firmware.NullSrcVersions",
    ),
    (
        STATIC,
        "FirmwareId={DELTA}&ProductKey={P}&TargetSelection=ALL&SrcVersion.1=1&SrcVersion.2=2",
        "iot.firmware.MoreThanOneSrcVersion",
    ),
    (
        STATIC,
        "FirmwareId={DELTA}&ProductKey={P}&TargetSelection=ALL&SrcVersion.1=1",
        "iot.firmware.UpgradeSrcVersionMismatch",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=GROUP&GroupId=g&GroupType=LINK_PLATFORM",
        "iot.group.NotExistedGroup",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=SPECIFIC&DnListFileUrl=list.csv",
        "iot.firmware.MalformedFirmwareUrl",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=SPECIFIC&DnListFileUrl={URL}",
        "iot.firmware.InvalidFirmwareUrl",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=SPECIFIC&DnListFileUrl={LIST}",
        "iot.firmware.InvalidFirmwareUrl",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=SPECIFIC&TargetDeviceName.1=nobody",
        "iot.device.NotExistedDevice",
    ),
    (
        STATIC,
        "FirmwareId={DELTA}&ProductKey={P}&TargetSelection=SPECIFIC&TargetDeviceName.1=lamp2",
        "iot.firmware.NonVersionedDeviceInArray",
    ),
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=ALL&SrcVersion.1=0.1",
        "iot.firmware.NoDeviceCanUpgrade",
    ),
    // Dynamic jobs. One of {FULL} is running.
    (DYNAMIC, "ProductKey={P}&SrcVersion.1=1", "MissingFirmwareId"),
    (DYNAMIC, "FirmwareId=x&ProductKey={P}&DynamicMode=x", "InvalidDynamicMode"),
    (DYNAMIC, "FirmwareId=x&ProductKey={P}", "iot.firmware.NullSrcVersions"),
    (DYNAMIC, "FirmwareId=x&ProductKey={P}&SrcVersion.1=1", "iot.firmware.FirmwareNotFound"),
    (DYNAMIC, "FirmwareId={RAW}&ProductKey={P}&SrcVersion.1=1", "iot.firmware.FirmwareNotVerified"),
    (
        DYNAMIC,
        "FirmwareId={DELTA}&ProductKey={P}&SrcVersion.1=1",
        "iot.firmware.UpgradeSrcVersionMismatch",
    ),
    (
        DYNAMIC,
        "FirmwareId={FULL}&ProductKey={P}&GroupId=g&GroupType=LINK_PLATFORM_DYNAMIC",
        "iot.group.NotExistedGroup",
    ),
    (
        DYNAMIC,
        "FirmwareId={FULL}&ProductKey={P}&SrcVersion.1=7",
        "iot.firmware.InProgressDynamicJobExisted",
    ),
    // Reading jobs and tasks; canceling.
    ("QueryOTAJob", "", "MissingJobId"),
    ("QueryOTAJob", "JobId=x", "iot.firmware.InvalidOTAJobId"),
    ("ListOTAJobByFirmware", "CurrentPage=1&PageSize=1", "MissingFirmwareId"),
    (
        "ListOTAJobByFirmware",
        "CurrentPage=1&PageSize=201&FirmwareId=x",
        "iot.common.InvalidPageParams",
    ),
    (
        "ListOTAJobByFirmware",
        "CurrentPage=1&PageSize=200&FirmwareId=x",
        "iot.firmware.FirmwareNotFound",
    ),
    ("ListOTATaskByJob", "CurrentPage=1&PageSize=1", "MissingJobId"),
    ("ListOTATaskByJob", "JobId=x&CurrentPage=1", "iot.common.InvalidPageParams"),
    ("ListOTATaskByJob", "JobId=x&CurrentPage=1&PageSize=101", "iot.common.InvalidPageParams"),
    ("ListOTATaskByJob", "JobId=x&CurrentPage=1001&PageSize=100", "iot.common.InvalidPageParams"),
    (
        "ListOTATaskByJob",
        "JobId=x&CurrentPage=1&PageSize=1&TaskStatus=DONE",
        "iot.firmware.InvalidTaskStatus",
    ),
    ("ListOTATaskByJob", "JobId=x&DeviceNames.1=lamp1", "iot.firmware.InvalidOTAJobId"),
    ("CancelOTATaskByJob", "CancelQueuedTask=true", "MissingJobId"),
    ("CancelOTATaskByJob", "JobId=x&CancelQueuedTask=yes", "InvalidCancelQueuedTask"),
    ("CancelOTATaskByJob", "JobId=x", "iot.firmware.CancelOptionIsMandatory"),
    (
        "CancelOTATaskByJob",
        "JobId=x&CancelQueuedTask=false",
        "iot.firmware.CancelOptionIsMandatory",
    ),
    ("CancelOTATaskByJob", "JobId=x&CancelQueuedTask=true", "iot.firmware.InvalidOTAJobId"),
    (
        "CancelOTATaskByJob",
        "JobId={JOB}&CancelScheduledTask=true",
        "iot.firmware.JobHasNoScheduleTime",
    ),
];
