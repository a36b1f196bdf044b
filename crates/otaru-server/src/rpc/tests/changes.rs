//! What can be changed of packages, jobs, tasks and modules, read back.

use super::*;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_package_is_read_back_as_it_was_changed() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let package = world.package(&product, "2.0", "FirmwareDesc=old&Udi=u").await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let ids = format!("FirmwareId={package}&ProductKey={product}");
    let reply = world.ok("ModifyOTAFirmware", &ids).await;
    assert_eq!(reply.as_object().unwrap().len(), 2, "the common fields only: {reply}");
    let query = format!("FirmwareId={package}");
    let info = world.ok("QueryOTAFirmware", &query).await["FirmwareInfo"].clone();
    assert_eq!(info["UtcModified"], info["UtcCreate"]);
    let change = "FirmwareName=新名(1)&FirmwareDesc=new&FirmwareUdi=%7B%7D";
    world.ok("ModifyOTAFirmware", &format!("{ids}&{change}")).await;
    let info = world.ok("QueryOTAFirmware", &query).await["FirmwareInfo"].clone();
    assert_eq!((&info["FirmwareName"], &info["FirmwareDesc"]), (&json!("新名(1)"), &json!("new")));
    assert_eq!((&info["Udi"], &info["DestVersion"]), (&json!("{}"), &json!("2.0")));
    assert_eq!(info["UtcModified"], "2026-09-21T14:13:21.000Z");
    // The old name is free again.
    world.package(&product, "2-0", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_job_is_read_back_as_it_was_changed() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let package = world.package(&product, "2.0", "").await;
    let job =
        world.static_job(&product, &package, "TargetSelection=ALL&Tag.1.Key=a&Tag.1.Value=b").await;
    let query = format!("JobId={job}");
    let change = "MaximumPerMinute=77&TargetSelection=ALL&UpgradeType=STATIC&TimeoutInMinutes=5&SrcVersionList.1=9";
    let tags = "Tags.1.Key=k.1&Tags.1.Value=v&Tags.2.Key=k.2&Tags.2.Value=w";
    world.ok("UpdateOTAJob", &format!("{query}&{change}&{tags}")).await;
    let data = world.ok("QueryOTAJob", &query).await["Data"].clone();
    assert_eq!(data["MaximumPerMinute"], 77);
    let tags = json!([{"Key": "k.1", "Value": "v"}, {"Key": "k.2", "Value": "w"}]);
    assert_eq!(data["Tags"]["OtaTagDTO"], tags);
    assert!(data.get("TimeoutInMinutes").is_none() && data.get("SrcVersions").is_none(), "{data}");
    world.ok("UpdateOTAJob", &format!("{query}&{change}")).await;
    assert!(world.ok("QueryOTAJob", &query).await["Data"].get("Tags").is_none());

    let target = format!("FirmwareId={package}&ProductKey={product}&SrcVersion.1=1.0");
    let dynamic = world.ok("CreateOTADynamicUpgradeJob", &target).await;
    let query = format!("JobId={}", dynamic["Data"]["JobId"].as_str().unwrap());
    let change = change.replace("STATIC", "DYNAMIC");
    world.ok("UpdateOTAJob", &format!("{query}&{change}")).await;
    let data = world.ok("QueryOTAJob", &query).await["Data"].clone();
    assert_eq!(
        (&data["TimeoutInMinutes"], &data["SrcVersions"]["SrcVersion"]),
        (&json!(5), &json!(["9"]))
    );
    world.ok("CancelOTAStrategyByJob", &query).await;
    let data = world.ok("QueryOTAJob", &query).await["Data"].clone();
    assert_eq!(data["JobStatus"], "CANCELED");
    assert!(data["UtcEndTime"].is_string());
}

#[tokio::test(start_paused = true)]
async fn modules_are_listed_default_first_and_by_name() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let query = format!("ProductKey={product}");
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    for module in ["wifi", "MCU", "ble&AliasName=蓝牙&Desc=radio"] {
        world.ok("CreateOTAModule", &format!("{query}&ModuleName={module}")).await;
    }
    let list = || async { world.ok("ListOTAModuleByProduct", &query).await["Data"].clone() };
    let row = |name: &str, at: &str| {
        json!({
            "GmtCreate": at, "GmtModified": at, "ModuleName": name, "ProductKey": product,
        })
    };
    let mut ble = row("ble", "2026-09-21T14:14Z");
    (ble["AliasName"], ble["Desc"]) = (json!("蓝牙"), json!("radio"));
    let (default, mcu, wifi) = (
        row("default", "2026-09-21T14:13Z"),
        row("MCU", "2026-09-21T14:14Z"),
        row("wifi", "2026-09-21T14:14Z"),
    );
    assert_eq!(list().await, json!([default, ble, mcu, wifi]), "a bare list");
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    // What is left out, or empty, stays.
    world.ok("UpdateOTAModule", &format!("{query}&ModuleName=BLE&AliasName=&Desc=5.3")).await;
    world.ok("UpdateOTAModule", &format!("{query}&ModuleName=default&AliasName=whole")).await;
    world.ok("DeleteOTAModule", &format!("{query}&ModuleName=Wifi")).await;
    let after = list().await;
    assert_eq!((&after[1]["AliasName"], &after[1]["Desc"]), (&json!("蓝牙"), &json!("5.3")));
    assert_eq!(after[1]["GmtModified"], "2026-09-21T14:15Z");
    assert_eq!((&after[0]["AliasName"], after.as_array().unwrap().len()), (&json!("whole"), 3));
    // Its name is free again, also in another case.
    world.ok("CreateOTAModule", &format!("{query}&ModuleName=WIFI")).await;
    let answer = world.answer("ListOTAModuleByProduct", &query, Format::Xml).await;
    assert!(
        answer.body.contains("<Data><ModuleName>") || answer.body.contains("<Data><AliasName>"),
        "{}",
        answer.body
    );
}

#[tokio::test(start_paused = true)]
async fn tasks_are_found_confirmed_canceled_and_started_again() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    world.ok("CreateOTAModule", &format!("ProductKey={product}&ModuleName=MCU")).await;
    let package = world.package(&product, "2.0", "ModuleName=mcu").await;
    let job = world.static_job(&product, &package, "TargetSelection=ALL&NeedConfirm=true").await;
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    let find = |more: &str| {
        let params = format!("{device}&{more}");
        let world = &world;
        async move {
            world.ok("ListOTAUnfinishedTaskByDevice", &params).await["Data"]["SimpleOTATaskInfo"]
                .clone()
        }
    };
    let rows = find("ModuleName=MCU&TaskStatusList.1=QUEUED&TaskStatusList.2=CONFIRM").await;
    let row = &rows[0];
    assert_eq!((&row["ModuleName"], &row["TaskStatus"]), (&json!("MCU"), &json!("CONFIRM")));
    assert_eq!((&row["JobId"], &row["FirmwareId"]), (&json!(job), &json!(package)));
    assert_eq!((&row["SrcVersion"], &row["DestVersion"]), (&json!(""), &json!("2.0")));
    let task = row["TaskId"].as_str().unwrap().to_owned();
    for nothing in ["TaskStatus=QUEUED", "ModuleName=other", "ModuleName=default"] {
        assert_eq!(find(nothing).await, json!([]), "{nothing}");
    }
    world.ok("ConfirmOTATask", &format!("TaskId.1={task}&TaskId.2={task}")).await;
    assert_eq!(find("").await[0]["TaskStatus"], "QUEUED");
    let cancel = format!("ProductKey={product}&FirmwareId={package}&DeviceName.1=lamp1");
    world.ok("CancelOTATaskByDevice", &format!("{cancel}&JobId={job}")).await;
    assert_eq!(find("").await, json!([]));
    world.ok("ReupgradeOTATask", &format!("JobId={job}&TaskId.1={task}")).await;
    assert_eq!(find("").await[0]["TaskStatus"], "CONFIRM", "it has to be confirmed again");
}
