//! Refused changes of packages, jobs, tasks and modules.

mod calls;

use super::super::super::instance::{InstanceConfig, InstanceState};
use super::*;
use crate::app::Gatekeeper;
use crate::mqtt::{Devices, Epoch, Peer, Report};
use otaru_core::id::DeviceNo;
use otaru_core::message::Inform;
use otaru_core::version::{ModuleName, Version};

use calls::*;

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
    // Watches a group that nobody is in.
    let rule = "GroupName=watched&DynamicGroupExpression=name%20LIKE%20%22zzzz%25%22";
    let group = world.ok("CreateDeviceDynamicGroup", rule).await;
    let group = group["Data"]["GroupId"].as_str().unwrap().to_owned();
    let watch = format!(
        "FirmwareId={mcu}&ProductKey={product}&GroupId={group}&GroupType=LINK_PLATFORM_DYNAMIC"
    );
    let watch = world.ok("CreateOTADynamicUpgradeJob", &watch).await;
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
        ("{WATCH}", watch["Data"]["JobId"].as_str().unwrap().to_owned()),
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

pub fn play() {
    each_refused_change_has_its_code_and_changes_nothing();
    things_of_another_account_are_refused_by_the_codes_of_the_operation();
    things_of_another_instance_are_refused_by_the_codes_of_the_operation();
    tasks_of_a_schedule_that_is_over_are_neither_confirmed_nor_started_again();
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
    for (action, params, want) in CHANGES {
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
    scene.world.rpc = scene.world.rpc.with_instances(&config).await;
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
