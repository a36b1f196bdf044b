//! Modules, and tasks that wait for consent or start again.

use serde_json::Value;

use super::Walk;
use super::scene::{Speaker, text};

const PAGE: &str = "CurrentPage=1&PageSize=10";

pub async fn modules(walk: &Walk, product: &str) {
    let query = format!("ProductKey={product}");
    let params = |name: &str| format!("{query}&ModuleName={name}&AliasName=alias&Desc=d");
    let both = [&*params("radio"), &*params("camera")];
    walk.in_turn("CreateOTAModule", both).await;
    walk.in_turn("UpdateOTAModule", both).await;
    walk.both("ListOTAModuleByProduct", &query).await;
    let versions = format!("{query}&{PAGE}&DeviceName=lamp2");
    walk.empty("ListOTAModuleVersionsByDevice", &versions, "/Data/SimpleOTAModuleInfo").await;
    Speaker::connect(walk, product, "lamp1").await.has("radio", "0.1").await;
    let versions = format!("{query}&{PAGE}&DeviceName=lamp1");
    walk.both("ListOTAModuleVersionsByDevice", &versions).await;
    walk.in_turn("DeleteOTAModule", both).await;
}

/// A dynamic job is changed, and another takes its place.
pub async fn policies(walk: &Walk, of_package: &str) {
    let tag = "Tag.1.Key=ring&Tag.1.Value=blue";
    let policy = "RetryInterval=10&RetryCount=2&TimeoutInMinutes=60&MaximumPerMinute=100";
    let dynamic = format!("{of_package}&SrcVersion.1=0.1&DynamicMode=1&{tag}&{policy}");
    let first = walk.json("CreateOTADynamicUpgradeJob", &dynamic).await;
    let first = format!("JobId={}", text(&first["Data"]["JobId"]));
    let update =
        "TargetSelection=ALL&UpgradeType=DYNAMIC&MaximumPerMinute=200&SrcVersionList.1=0.2";
    walk.both("UpdateOTAJob", &format!("{first}&{update}")).await;
    walk.both("QueryOTAJob", &first).await;
    walk.json("CancelOTAStrategyByJob", &first).await;
    let second = walk.xml("CreateOTADynamicUpgradeJob", &dynamic).await;
    let second = format!("JobId={}", text(&second["Data"]["JobId"]));
    walk.xml("CancelOTAStrategyByJob", &second).await;
}

/// Tasks of both lamps are confirmed, canceled and started again.
pub async fn tasks(walk: &Walk, product: &str, package: &str) {
    let of_package = format!("FirmwareId={package}&ProductKey={product}");
    let unfinished =
        |name: &str| format!("ProductKey={product}&DeviceName={name}&ModuleName=default");
    let rows = "/Data/SimpleOTATaskInfo";
    walk.empty("ListOTAUnfinishedTaskByDevice", &unfinished("lamp1"), rows).await;
    let params = format!(
        "{of_package}&TargetSelection=SPECIFIC&TargetDeviceName.1=lamp1&TargetDeviceName.2=lamp2&NeedConfirm=true"
    );
    let made = walk.json("CreateOTAStaticUpgradeJob", &params).await;
    let job = text(&made["Data"]["JobId"]);
    let mut ids = Vec::new();
    for name in ["lamp1", "lamp2"] {
        let reply = walk.both("ListOTAUnfinishedTaskByDevice", &unfinished(name)).await;
        let id = &reply["Data"]["SimpleOTATaskInfo"][0]["TaskId"];
        ids.push(format!("TaskId.1={}", text(id)));
    }
    walk.in_turn("ConfirmOTATask", [&ids[0], &ids[1]]).await;
    let cancel = |name: &str| format!("{of_package}&DeviceName.1={name}&JobId={job}");
    walk.in_turn("CancelOTATaskByDevice", [&cancel("lamp1"), &cancel("lamp2")]).await;
    let again = |id: &String| format!("JobId={job}&{id}");
    walk.in_turn("ReupgradeOTATask", [&again(&ids[0]), &again(&ids[1])]).await;
    let reply: Value = walk.both("ListOTAUnfinishedTaskByDevice", &unfinished("lamp1")).await;
    assert_eq!(reply["Data"]["SimpleOTATaskInfo"][0]["TaskStatus"], "CONFIRM");
}
