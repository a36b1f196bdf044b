//! Refused changes of packages, jobs, tasks and modules.

use super::super::super::instance::{InstanceConfig, InstanceState};
use super::*;
use crate::app::Gatekeeper;
use crate::mqtt::{Devices, Epoch, Peer, Report};
use otaru_core::id::DeviceNo;
use otaru_core::message::Inform;
use otaru_core::version::{ModuleName, Version};

/// Devices are numbered as they are registered.
const LAMP3: i64 = 3;
const LAMP4: i64 = 4;

impl World {
    async fn informs(&self, device: i64, text: &str) {
        let peer = Peer { device: DeviceNo(device), epoch: Epoch(1) };
        let inform =
            Inform { module: ModuleName::default(), version: Version::parse(text).unwrap() };
        let report = Gatekeeper(self.app.clone()).report(peer, Report::Inform(inform));
        report.await.unwrap().await.unwrap();
    }

    async fn only_task(&self, job: &str) -> String {
        let params = format!("JobId={job}&CurrentPage=1&PageSize=10");
        let page = self.ok("ListOTATaskByJob", &params).await;
        page["Data"]["SimpleOTATaskInfo"][0]["TaskId"].as_str().unwrap().to_owned()
    }

    async fn dynamic_job(&self, product: &str, package: &str, version: &str) -> String {
        let params = format!("FirmwareId={package}&ProductKey={product}&SrcVersion.1={version}");
        let reply = self.ok("CreateOTADynamicUpgradeJob", &params).await;
        reply["Data"]["JobId"].as_str().unwrap().to_owned()
    }

    async fn code_for(&self, key: (&str, &str), action: &str, params: &str) -> String {
        let signed = self.signed(key, action, params, Format::Json);
        let answer = self.rpc.handle(signed.incoming()).await;
        let reply: Value = serde_json::from_str(&answer.body).unwrap();
        reply["Code"].as_str().unwrap_or("none").to_owned()
    }
}

/// Jobs and tasks in every state that a refusal asks for.
async fn scene() -> Scene {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let other = world.product("other").await;
    for name in ["lamp1", "lamp2", "lamp3", "lamp4", "lamp5", "lamp6"] {
        world.device(&product, name).await;
    }
    for n in 0..10 {
        world.ok("CreateOTAModule", &format!("ProductKey={other}&ModuleName=m{n}")).await;
    }
    world.ok("CreateOTAModule", &format!("ProductKey={product}&ModuleName=MCU")).await;
    world.ok("CreateOTAModule", &format!("ProductKey={product}&ModuleName=spare")).await;
    let full = world.package(&product, "2.0", "").await;
    let delta = world.package(&product, "3.0", "Type=1&SrcVersion=2.5").await;
    let mcu = world.package(&product, "5.0", "ModuleName=mcu").await;
    let gone = world.package(&product, "9.0", "").await;
    let foreign = world.package(&other, "7.0", "").await;
    let only = |n: u8, more: &str| {
        format!("TargetSelection=SPECIFIC&TargetDeviceName.1=lamp{n}&NeedConfirm=true&{more}")
    };
    let (hour, two) = (START.0 + 3_600_000, START.0 + 7_200_000);
    let running = world.static_job(&product, &full, &only(1, "")).await;
    let later = format!("ScheduleTime={hour}");
    let window = format!("{later}&ScheduleFinishTime={two}");
    let planned = world.static_job(&product, &full, &only(2, &window)).await;
    let cancel = |job: &str| format!("JobId={job}&CancelQueuedTask=true&CancelScheduledTask=");
    let canceled = world.static_job(&product, &full, &only(3, "")).await;
    world.ok("CancelOTATaskByJob", &cancel(&canceled)).await;
    let gone_job = world.static_job(&product, &gone, &only(3, "")).await;
    world.ok("CancelOTATaskByJob", &cancel(&gone_job)).await;
    world.ok("DeleteOTAFirmware", &format!("FirmwareId={gone}")).await;
    let never = world.static_job(&product, &full, &only(3, &later)).await;
    world.ok("CancelOTATaskByJob", &format!("JobId={never}&CancelScheduledTask=true")).await;
    let orphan = world.static_job(&product, &full, &only(6, "")).await;
    world.ok("DeleteDevice", &format!("ProductKey={product}&DeviceName=lamp6")).await;
    let done = world.static_job(&product, &full, &only(4, "")).await;
    world.informs(LAMP4, "2.0").await;
    // Its device has the destination version by now.
    world.informs(LAMP3, "2.0").await;
    // A device that is held by {RUNNING}: its task has failed from the start.
    let busy = world.static_job(&product, &mcu, &only(1, "")).await;
    let dynamic = world.dynamic_job(&product, &delta, "2.5").await;
    let ended = world.dynamic_job(&product, &full, "0.1").await;
    world.ok("CancelOTAStrategyByJob", &format!("JobId={ended}")).await;
    let raw = world.package(&product, "4.0", "NeedToVerify=true").await;
    let verify = format!("FirmwareId={raw}&ProductKey={product}&TargetDeviceName.1=lamp5");
    let verify = world.ok("CreateOTAVerifyJob", &verify).await;
    let eleven = |name: &str| {
        let items: Vec<_> = (1..=11).map(|n| format!("{name}.{n}=x{n}")).collect();
        items.join("&")
    };
    let names: Vec<_> = (1..=201).map(|n| format!("DeviceName.{n}=dev{n}")).collect();
    let tags: Vec<_> = (1..=11).map(|n| format!("Tags.{n}.Key=k{n}&Tags.{n}.Value=v")).collect();
    let versions: Vec<_> = (1..=31).map(|n| format!("SrcVersionList.{n}={n}")).collect();
    let detail = format!("ProductKey={product}&DeviceName=lamp1");
    let detail = world.ok("QueryDeviceDetail", &detail).await;
    let pages = [
        ("{IOT}", detail["Data"]["IotId"].as_str().unwrap().to_owned()),
        ("{EARLY}", world.only_task(&planned).await),
        ("{CONFIRM}", world.only_task(&running).await),
        ("{ORPHAN}", world.only_task(&orphan).await),
        ("{CANCELED}", world.only_task(&canceled).await),
        ("{SUCCEEDED}", world.only_task(&done).await),
        ("{FAILED}", world.only_task(&busy).await),
    ];
    let mut names = vec![
        ("{P}", product),
        ("{O}", other),
        ("{FULL}", full),
        ("{DELTA}", delta),
        ("{MCU}", mcu),
        ("{GONE}", gone),
        ("{FOREIGN}", foreign),
        ("{RUNNING}", running),
        ("{PLANNED}", planned),
        ("{ENDED}", canceled),
        ("{NEVER}", never),
        ("{ORPHANED}", orphan),
        ("{DONE}", done),
        ("{BUSY}", busy),
        ("{GONEJOB}", gone_job),
        ("{DYNAMIC}", dynamic),
        ("{OVER}", ended),
        ("{VERIFY}", verify["Data"]["JobId"].as_str().unwrap().to_owned()),
        ("{TASKS}", eleven("TaskId")),
        ("{TAGS}", tags.join("&")),
        ("{NAMES}", names.join("&")),
        ("{VERSIONS}", versions.join("&")),
        ("{41}", "x".repeat(41)),
        ("{65}", "x".repeat(65)),
        ("{101}", "x".repeat(101)),
        ("{LONG}", "x".repeat(4_097)),
    ];
    names.extend(pages);
    Scene { world, names }
}

/// Everything that could have changed.
async fn snapshot(scene: &Scene) -> Vec<Value> {
    let mut all = Vec::new();
    let mut calls = vec![
        ("ListOTAFirmware", "CurrentPage=1&PageSize=100".to_owned()),
        ("ListOTAModuleByProduct", "ProductKey={P}".to_owned()),
        ("ListOTAModuleByProduct", "ProductKey={O}".to_owned()),
        ("QueryOTAFirmware", "FirmwareId={FULL}".to_owned()),
    ];
    for job in ["{RUNNING}", "{PLANNED}", "{ENDED}", "{DONE}", "{BUSY}", "{DYNAMIC}", "{VERIFY}"] {
        calls.push(("QueryOTAJob", format!("JobId={job}")));
        calls.push(("ListOTATaskByJob", format!("JobId={job}&CurrentPage=1&PageSize=9")));
    }
    for (action, params) in calls {
        let mut reply = scene.world.ok(action, &scene.fill(&params)).await;
        reply.as_object_mut().unwrap().remove("RequestId");
        // A download address is new each time.
        if let Some(info) = reply.get_mut("FirmwareInfo").and_then(Value::as_object_mut) {
            info.remove("FirmwareUrl");
        }
        all.push(reply);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn each_refused_change_has_its_code_and_changes_nothing() {
    let scene = scene().await;
    let before = snapshot(&scene).await;
    for (action, params, want) in CALLS {
        let (status, code) = scene.world.refused(action, &scene.fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
        assert_eq!(status, if want.starts_with("iot.") { 200 } else { 400 }, "{action} {params}");
    }
    assert_eq!(snapshot(&scene).await, before);
}

#[tokio::test(start_paused = true)]
async fn things_of_another_account_are_refused_by_the_codes_of_the_operation() {
    let scene = scene().await;
    let before = snapshot(&scene).await;
    for (action, params, want) in [
        (MODIFY, "FirmwareId={FULL}&ProductKey={P}", "iot.ota.TenantIdMisMatch"),
        (
            UPDATE,
            "JobId={RUNNING}&{RATE}&UpgradeType=STATIC&TargetSelection=SPECIFIC",
            "iot.ota.OperationForbidden",
        ),
        (STRATEGY, "JobId={DYNAMIC}", "iot.firmware.InvalidOTAJobId"),
        (
            BY_DEVICE,
            "FirmwareId={FULL}&ProductKey={P}&DeviceName.1=lamp1",
            "iot.firmware.FirmwareNotFound",
        ),
        (CONFIRM, "TaskId.1={CONFIRM}", "iot.firmware.InvalidOTATaskId"),
        (UNFINISHED, "ProductKey={P}&DeviceName=lamp1", "iot.prod.NotExistedProduct"),
        (UNFINISHED, "IotId={IOT}", "iot.common.AuthActionPermissionDeny"),
        (VERSIONS, "IotId={IOT}&CurrentPage=1&PageSize=1", "iot.common.AuthActionPermissionDeny"),
        (AGAIN, "JobId={ENDED}&TaskId.1={CANCELED}", "iot.ota.NotFirmwareOwner"),
        (NEW_MODULE, "ProductKey={P}&ModuleName=x", "iot.prod.NotExistedProduct"),
        ("UpdateOTAModule", "ProductKey={P}&ModuleName=MCU&Desc=x", "iot.prod.NotExistedProduct"),
        ("DeleteOTAModule", "ProductKey={P}&ModuleName=spare", "iot.prod.NotExistedProduct"),
        ("ListOTAModuleByProduct", "ProductKey={P}", "iot.prod.NotExistedProduct"),
        (
            VERSIONS,
            "ProductKey={P}&DeviceName=lamp1&CurrentPage=1&PageSize=1",
            "iot.prod.NotExistedProduct",
        ),
    ] {
        let params = scene.fill(&params.replace("{RATE}", "MaximumPerMinute=10"));
        let code = scene.world.code_for(("other", "other secret"), action, &params).await;
        assert_eq!(code, want, "{action}");
    }
    assert_eq!(snapshot(&scene).await, before);
}

#[tokio::test(start_paused = true)]
async fn things_of_another_instance_are_refused_by_the_codes_of_the_operation() {
    let mut scene = scene().await;
    let others = [("iot-two".to_owned(), InstanceState::On)].into();
    let config = InstanceConfig { default_id: None, others };
    scene.world.rpc = scene.world.rpc.with_instances(&config).await.unwrap();
    for (action, params, want) in [
        (MODIFY, "FirmwareId={FULL}&ProductKey={P}", "iot.ota.InstanceIdMisMatch"),
        (
            UPDATE,
            "JobId={RUNNING}&MaximumPerMinute=10&UpgradeType=STATIC&TargetSelection=SPECIFIC",
            "iot.ota.InstanceIdMisMatch",
        ),
        (STRATEGY, "JobId={DYNAMIC}", "iot.firmware.InvalidOTAJobId"),
        (CONFIRM, "TaskId.1={CONFIRM}", "iot.firmware.InvalidOTATaskId"),
        (AGAIN, "JobId={ENDED}&TaskId.1={CANCELED}", "iot.ota.InvalidJobId"),
    ] {
        let params = format!("{}&IotInstanceId=iot-two", scene.fill(params));
        assert_eq!(scene.world.refused(action, &params).await.1, want, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_schedule_that_is_over_are_neither_confirmed_nor_started_again() {
    let scene = scene().await;
    let world = &scene.world;
    tokio::spawn(world.app.clone().run_scheduler());
    let confirm = scene.fill("TaskId.1={EARLY}");
    assert_eq!(world.refused(CONFIRM, &confirm).await.1, "iot.firmware.InvalidTaskStatus");
    tokio::time::sleep(std::time::Duration::from_secs(2 * 3_600 + 1)).await;
    assert_eq!(world.refused(CONFIRM, &confirm).await.1, "iot.firmware.InvalidTaskStatus");
    let again = scene.fill("JobId={PLANNED}&TaskId.1={EARLY}");
    assert_eq!(world.refused(AGAIN, &again).await.1, "iot.ota.DeviceNotReUpgraded");
}

#[test]
fn a_failing_store_is_told_by_the_code_of_the_change() {
    use crate::app::AppError;
    use crate::rpc::{Failure, failed, op};
    use crate::store::StoreError;
    for (action, code) in [
        (MODIFY, "iot.system.SystemException"),
        (UPDATE, "iot.system.SystemException"),
        (STRATEGY, "iot.firmware.CancelOTAStrategyByJobFailed"),
        (BY_DEVICE, "iot.firmware.BatchCancelDeviceUpgradeFailed"),
        (CONFIRM, "iot.system.SystemException"),
        (UNFINISHED, "iot.firmware.ListOTATaskByDeviceFailed"),
        (AGAIN, "iot.system.SystemException"),
        (NEW_MODULE, "iot.ota.CreateOTAModuleFailure"),
        ("UpdateOTAModule", "iot.ota.UpdateOTAModuleFailure"),
        ("DeleteOTAModule", "iot.ota.DeleteOTAModuleFailure"),
        ("ListOTAModuleByProduct", "iot.ota.ListOTAModuleFailure"),
        (VERSIONS, "iot.system.SystemException"),
    ] {
        let broken = AppError::Unavailable(StoreError::Engine("disk full".into()));
        match failed(op::find(action).unwrap(), broken) {
            Failure::Refused(refusal) => assert_eq!(refusal.code, code, "{action}"),
            Failure::Gateway(error) => panic!("{action}: {error}"),
        }
    }
}

const MODIFY: &str = "ModifyOTAFirmware";
const UPDATE: &str = "UpdateOTAJob";
const STRATEGY: &str = "CancelOTAStrategyByJob";
const BY_DEVICE: &str = "CancelOTATaskByDevice";
const CONFIRM: &str = "ConfirmOTATask";
const UNFINISHED: &str = "ListOTAUnfinishedTaskByDevice";
const AGAIN: &str = "ReupgradeOTATask";
const NEW_MODULE: &str = "CreateOTAModule";
const VERSIONS: &str = "ListOTAModuleVersionsByDevice";

/// Operation, parameters, code.
#[rustfmt::skip]
const CALLS: &[(&str, &str, &str)] = &[
    // Packages.
    (MODIFY, "ProductKey={P}", "MissingFirmwareId"),
    (MODIFY, "FirmwareId=x", "MissingProductKey"),
    (MODIFY, "FirmwareId=x&ProductKey={P}&FirmwareName=%20", "iot.firmware.IncorrectFormattedFirmwareName"),
    (MODIFY, "FirmwareId=x&ProductKey={P}&FirmwareName={41}", "iot.firmware.IncorrectFormattedFirmwareName"),
    (MODIFY, "FirmwareId=x&ProductKey={P}&FirmwareName=-a", "iot.firmware.IncorrectFormattedFirmwareName"),
    (MODIFY, "FirmwareId=x&ProductKey={P}&FirmwareDesc={101}", "iot.firmware.FirmwareDescExceedLimit"),
    (MODIFY, "FirmwareId=x&ProductKey={P}&FirmwareUdi={LONG}", "iot.firmware.FirmwareUdiExceedLimit"),
    (MODIFY, "FirmwareId=x&ProductKey={P}", "iot.ota.FirmwareNotFound"),
    (MODIFY, "FirmwareId={GONE}&ProductKey={P}", "iot.ota.FirmwareNotFound"),
    (MODIFY, "FirmwareId={FULL}&ProductKey={O}", "iot.ota.FirmwareAndProductKeyMismatch"),
    (MODIFY, "FirmwareId={FULL}&ProductKey=%3F", "iot.ota.FirmwareAndProductKeyMismatch"),
    (MODIFY, "FirmwareId={FULL}&ProductKey={P}&FirmwareName=to-3-0", "iot.firmware.AlreadyExistedFirmwareName"),
    // Jobs.
    (UPDATE, "MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC", "MissingJobId"),
    (UPDATE, "JobId=x&TargetSelection=ALL&UpgradeType=STATIC", "MissingMaximumPerMinute"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&UpgradeType=STATIC", "MissingTargetSelection"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL", "MissingUpgradeType"),
    (UPDATE, "JobId=x&MaximumPerMinute=ten&TargetSelection=ALL&UpgradeType=STATIC", "InvalidMaximumPerMinute"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&TimeoutInMinutes=x", "InvalidTimeoutInMinutes"),
    (UPDATE, "JobId=x&MaximumPerMinute=9&TargetSelection=?&UpgradeType=?", "iot.ota.InvalidMaximumPerMinute"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=?&UpgradeType=?", "iot.ota.InvalidUpgradeType"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=?&UpgradeType=STATIC&TimeoutInMinutes=0", "iot.firmware.InvalidTargetSelection"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&TimeoutInMinutes=1441&SrcVersionList.1=", "iot.ota.InvalidTimeout"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&SrcVersionList.1=&SrcVersionList.2=", "iot.ota.EmptySrcVersionList"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&{VERSIONS}", "iot.firmware.SrcVersionsSizeExceedMax"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&SrcVersionList.1={65}", "iot.firmware.IncorrectFormattedSrcVersion"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&SrcVersionList.1=1&SrcVersionList.2=1&{TAGS}", "iot.common.InvalidFormattedParameter"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&{TAGS}", "iot.firmware.ParameterSizeExceedMax"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&Tags.1.Key=k", "iot.check.NullParameter"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&Tags.1.Key=k_&Tags.1.Value=v", "iot.common.InvalidFormattedParameter"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC&Tags.1.Key=k&Tags.1.Value=v&Tags.2.Key=k&Tags.2.Value=w", "iot.ota.tag.KeyDuplicated"),
    (UPDATE, "JobId=x&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC", "iot.ota.taskNotExist"),
    (UPDATE, "JobId={DONE}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=DYNAMIC", "iot.ota.JobHasFinished"),
    (UPDATE, "JobId={ENDED}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=DYNAMIC", "iot.ota.JobHasCanceled"),
    (UPDATE, "JobId={OVER}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=DYNAMIC", "iot.ota.JobHasCanceled"),
    (UPDATE, "JobId={RUNNING}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=DYNAMIC", "iot.ota.noDynamicJob"),
    (UPDATE, "JobId={VERIFY}&MaximumPerMinute=10&TargetSelection=SPECIFIC&UpgradeType=DYNAMIC", "iot.ota.noDynamicJob"),
    (UPDATE, "JobId={VERIFY}&MaximumPerMinute=10&TargetSelection=SPECIFIC&UpgradeType=STATIC", "iot.ota.InvalidUpgradeType"),
    (UPDATE, "JobId={DYNAMIC}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC", "iot.ota.InvalidUpgradeType"),
    (UPDATE, "JobId={RUNNING}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=STATIC", "iot.ota.InvalidStrategyType"),
    (UPDATE, "JobId={DYNAMIC}&MaximumPerMinute=10&TargetSelection=GROUP&UpgradeType=DYNAMIC", "iot.ota.InvalidStrategyType"),
    (UPDATE, "JobId={DYNAMIC}&MaximumPerMinute=10&TargetSelection=ALL&UpgradeType=DYNAMIC&SrcVersionList.1=2.6", "iot.firmware.UpgradeSrcVersionMismatch"),
    (STRATEGY, "", "MissingJobId"),
    (STRATEGY, "JobId=x", "iot.firmware.InvalidOTAJobId"),
    (STRATEGY, "JobId={RUNNING}", "iot.firmware.NotDynamicJob"),
    (STRATEGY, "JobId={VERIFY}", "iot.firmware.NotDynamicJob"),
    (STRATEGY, "JobId={OVER}", "iot.firmware.JobAlreadyCanceled"),
    // Tasks.
    (BY_DEVICE, "FirmwareId=x&ProductKey={P}", "MissingDeviceName"),
    (BY_DEVICE, "DeviceName.1=lamp1&ProductKey={P}", "MissingFirmwareId"),
    (BY_DEVICE, "DeviceName.1=lamp1&FirmwareId=x", "MissingProductKey"),
    (BY_DEVICE, "{NAMES}&FirmwareId=x&ProductKey={P}", "iot.firmware.ParameterSizeExceedMax"),
    (BY_DEVICE, "DeviceName.1=lamp1&DeviceName.2=lamp1&FirmwareId=x&ProductKey={P}", "iot.device.InvalidFormattedDeviceNameInNameArray"),
    (BY_DEVICE, "DeviceName.1=lamp1&FirmwareId=x&ProductKey=?", "iot.firmware.FirmwareNotFound"),
    (BY_DEVICE, "DeviceName.1=lamp1&FirmwareId={FULL}&ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    (BY_DEVICE, "DeviceName.1=lamp1&FirmwareId={FULL}&ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    (BY_DEVICE, "DeviceName.1=lamp1&FirmwareId={FULL}&ProductKey={O}", "iot.firmware.FirmwareAndProductKeyMismatch"),
    (BY_DEVICE, "DeviceName.1=nobody&FirmwareId={FULL}&ProductKey={P}&JobId=x", "iot.firmware.InvalidOTAJobId"),
    (BY_DEVICE, "DeviceName.1=nobody&FirmwareId={FULL}&ProductKey={P}&JobId={DYNAMIC}", "iot.firmware.InvalidOTAJobId"),
    (BY_DEVICE, "DeviceName.1=lamp1&DeviceName.2=nobody&FirmwareId={FULL}&ProductKey={P}", "iot.device.NotExistedDevice"),
    (BY_DEVICE, "DeviceName.1=lamp5&FirmwareId={FULL}&ProductKey={P}", "iot.firmware.DeviceUpgradeRecordNotFound"),
    (BY_DEVICE, "DeviceName.1=lamp2&FirmwareId={FULL}&ProductKey={P}&JobId={RUNNING}", "iot.firmware.DeviceUpgradeRecordNotFound"),
    (BY_DEVICE, "DeviceName.1=lamp5&DeviceName.2=lamp4&FirmwareId={FULL}&ProductKey={P}", "iot.firmware.IncorrectDeviceUpgradeJobStatus"),
    (BY_DEVICE, "DeviceName.1=lamp3&FirmwareId={FULL}&ProductKey={P}&JobId={ENDED}", "iot.firmware.IncorrectDeviceUpgradeJobStatus"),
    (CONFIRM, "", "MissingTaskId"),
    (CONFIRM, "{TASKS}", "iot.firmware.ParameterSizeExceedMax"),
    (CONFIRM, "TaskId.1=..%2F", "iot.firmware.InvalidOTATaskId"),
    (CONFIRM, "TaskId.1={SUCCEEDED}&TaskId.2=x", "iot.firmware.InvalidOTATaskId"),
    (CONFIRM, "TaskId.1={CONFIRM}&TaskId.2={SUCCEEDED}", "iot.firmware.InvalidTaskStatus"),
    (CONFIRM, "TaskId.1={CONFIRM}&TaskId.2={EARLY}", "iot.firmware.InvalidTaskStatus"),
    (UNFINISHED, "", "iot.ota.EmptyDeviceInfoParams"),
    (UNFINISHED, "ProductKey={P}", "iot.ota.EmptyDeviceInfoParams"),
    (UNFINISHED, "DeviceName=lamp1", "iot.prod.NullProductKey"),
    (UNFINISHED, "ProductKey=?&DeviceName=?", "iot.prod.InvalidFormattedProductkey"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=abc", "iot.device.InvalidFormattedDeviceNameInNameArray"),
    (UNFINISHED, "IotId=a-b&ProductKey=?", "iot.device.InvalidIoTId"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&ModuleName=", "iot.ota.NullOtaModuleName"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&ModuleName={65}", "iot.ota.InvalidOtaModuleName"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&TaskStatus=FAILED", "iot.firmware.InvalidTaskStatus"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&TaskStatusList.1=QUEUED&TaskStatusList.2=x", "iot.firmware.InvalidTaskStatus"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&TaskStatus=QUEUED&TaskStatusList.1=QUEUED", "iot.firmware.InvalidTaskStatus"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1&TaskStatusList.1=QUEUED&TaskStatusList.2=QUEUED&TaskStatusList.3=QUEUED&TaskStatusList.4=QUEUED&TaskStatusList.5=QUEUED", "iot.firmware.InvalidTaskStatus"),
    (UNFINISHED, "ProductKey=a1nothing&DeviceName=lamp1", "iot.prod.NotExistedProduct"),
    (UNFINISHED, "ProductKey={O}&DeviceName=lamp1", "iot.device.NotExistedDevice"),
    (UNFINISHED, "IotId=unknown", "iot.device.NotExistedDevice"),
    (AGAIN, "TaskId.1=x", "MissingJobId"),
    (AGAIN, "JobId=x", "MissingTaskId"),
    (AGAIN, "JobId=x&{TASKS}", "iot.ota.TooManyOtaTask"),
    (AGAIN, "JobId=x&TaskId.1=x", "iot.ota.InvalidJobId"),
    (AGAIN, "JobId={GONEJOB}&TaskId.1=x", "iot.ota.InvalidFirmwareUid"),
    (AGAIN, "JobId={OVER}&TaskId.1=x", "iot.ota.JobCanceled"),
    (AGAIN, "JobId={NEVER}&TaskId.1=x", "iot.ota.JobCanceled"),
    (AGAIN, "JobId={ENDED}&TaskId.1=x&TaskId.2=y", "iot.ota.InvalidTaskId"),
    (AGAIN, "JobId={ENDED}&TaskId.1=x&TaskId.2={SUCCEEDED}", "iot.ota.InvalidTaskExist"),
    (AGAIN, "JobId={ENDED}&TaskId.1={CANCELED}&TaskId.2={FAILED}", "iot.ota.UnmatchedJob"),
    (AGAIN, "JobId={DONE}&TaskId.1={SUCCEEDED}", "iot.ota.FailedTaskNotFound"),
    (AGAIN, "JobId={RUNNING}&TaskId.1={CONFIRM}", "iot.ota.FailedTaskNotFound"),
    (AGAIN, "JobId={ORPHANED}&TaskId.1={ORPHAN}", "iot.ota.DeviceNotExist"),
    (AGAIN, "JobId={ENDED}&TaskId.1={CANCELED}", "iot.ota.DeviceNotReUpgraded"),
    (AGAIN, "JobId={BUSY}&TaskId.1={FAILED}", "iot.ota.DeviceNotReUpgraded"),
    // Modules.
    (NEW_MODULE, "ProductKey={P}", "MissingModuleName"),
    (NEW_MODULE, "ModuleName=x", "MissingProductKey"),
    (NEW_MODULE, "ProductKey=?&ModuleName={65}", "iot.ota.CreateOTAModuleParamError"),
    (NEW_MODULE, "ProductKey=?&ModuleName=a%2Fb", "iot.ota.CreateOTAModuleParamError"),
    (NEW_MODULE, "ProductKey=?&ModuleName=Default&AliasName={65}", "iot.firmware.ModuleNameReserved"),
    (NEW_MODULE, "ProductKey=?&ModuleName=STREAMID", "iot.firmware.ModuleNameReserved"),
    (NEW_MODULE, "ProductKey=?&ModuleName=x&AliasName={65}", "iot.ota.CreateOTAModuleParamError"),
    (NEW_MODULE, "ProductKey=?&ModuleName=x&AliasName=a%0Ab", "iot.ota.CreateOTAModuleParamError"),
    (NEW_MODULE, "ProductKey=?&ModuleName=x&Desc={101}", "iot.ota.CreateOTAModuleParamError"),
    (NEW_MODULE, "ProductKey=?&ModuleName=x", "iot.prod.InvalidFormattedProductkey"),
    (NEW_MODULE, "ProductKey=a1nothing&ModuleName=x", "iot.prod.NotExistedProduct"),
    (NEW_MODULE, "ProductKey={P}&ModuleName=mcu", "iot.ota.CreateOTAModuleNameExist"),
    (NEW_MODULE, "ProductKey={O}&ModuleName=M3", "iot.ota.CreateOTAModuleNameExist"),
    (NEW_MODULE, "ProductKey={O}&ModuleName=m10", "iot.ota.CreateOTAModuleExceedLimit"),
    ("UpdateOTAModule", "ProductKey={P}", "MissingModuleName"),
    ("UpdateOTAModule", "ModuleName=MCU", "MissingProductKey"),
    ("UpdateOTAModule", "ProductKey=?&ModuleName=x&AliasName={65}", "iot.ota.UpdateOTAModuleParamError"),
    ("UpdateOTAModule", "ProductKey=?&ModuleName=x&Desc={101}", "iot.ota.UpdateOTAModuleParamError"),
    ("UpdateOTAModule", "ProductKey=?&ModuleName=x", "iot.prod.InvalidFormattedProductkey"),
    ("UpdateOTAModule", "ProductKey=a1nothing&ModuleName=x", "iot.prod.NotExistedProduct"),
    ("UpdateOTAModule", "ProductKey={P}&ModuleName=x", "iot.ota.OTAModuleNotExist"),
    ("DeleteOTAModule", "ProductKey={P}", "MissingModuleName"),
    ("DeleteOTAModule", "ModuleName=MCU", "MissingProductKey"),
    ("DeleteOTAModule", "ProductKey=?&ModuleName=default", "iot.prod.InvalidFormattedProductkey"),
    ("DeleteOTAModule", "ProductKey=a1nothing&ModuleName=default", "iot.prod.NotExistedProduct"),
    ("DeleteOTAModule", "ProductKey={P}&ModuleName=DEFAULT", "iot.ota.DeleteOtaDefaultModule"),
    ("DeleteOTAModule", "ProductKey={P}&ModuleName=a%2Fb", "iot.ota.OTAModuleNotExist"),
    ("DeleteOTAModule", "ProductKey={P}&ModuleName=m1", "iot.ota.OTAModuleNotExist"),
    ("DeleteOTAModule", "ProductKey={P}&ModuleName=mcu", "iot.ota.DeleteOTAModulePackageExist"),
    ("ListOTAModuleByProduct", "", "MissingProductKey"),
    ("ListOTAModuleByProduct", "ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("ListOTAModuleByProduct", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    (VERSIONS, "PageSize=1", "MissingCurrentPage"),
    (VERSIONS, "CurrentPage=1", "MissingPageSize"),
    (VERSIONS, "CurrentPage=x&PageSize=1", "InvalidCurrentPage"),
    (VERSIONS, "CurrentPage=1&PageSize=x", "InvalidPageSize"),
    (VERSIONS, "CurrentPage=1&PageSize=201", "iot.common.InvalidPageParams"),
    (VERSIONS, "CurrentPage=0&PageSize=1", "iot.common.InvalidPageParams"),
    (VERSIONS, "CurrentPage=1&PageSize=1", "iot.prod.NullProductKey"),
    (VERSIONS, "CurrentPage=1&PageSize=1&DeviceName=lamp1", "iot.prod.NullProductKey"),
    (VERSIONS, "CurrentPage=1&PageSize=1&ProductKey={P}", "iot.device.NullDeviceName"),
    (VERSIONS, "CurrentPage=1&PageSize=1&IotId=a-b", "iot.device.InvalidIoTId"),
    (VERSIONS, "CurrentPage=1&PageSize=1&IotId=unknown", "iot.device.NotExistedDevice"),
    (VERSIONS, "CurrentPage=1&PageSize=1&ProductKey=?&DeviceName=lamp1", "iot.prod.InvalidFormattedProductkey"),
    (VERSIONS, "CurrentPage=1&PageSize=1&ProductKey={P}&DeviceName=abc", "iot.device.InvalidFormattedDeviceName"),
    (VERSIONS, "CurrentPage=1&PageSize=1&ProductKey={P}&DeviceName=nobody", "iot.device.NotExistedDevice"),
];
