//! Registering many devices at once, as callers see it.

use super::*;
use serde_json::json;

pub async fn passes(ms: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}

impl World {
    /// A node whose scheduler runs.
    async fn at_work() -> Self {
        let world = Self::new().await;
        tokio::spawn(world.app.clone().run_scheduler());
        world
    }

    async fn json(&self, action: &str, params: &str) -> Value {
        serde_json::from_str(&self.answer(action, params, Format::Json).await.body).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_random_names_is_made_and_listed() {
    let world = World::at_work().await;
    let product = world.product("lamp").await;
    let reply = world.ok("BatchRegisterDevice", &format!("ProductKey={product}&Count=12")).await;
    let id = reply["Data"]["ApplyId"].as_i64().unwrap();
    passes(1_000).await;
    let of_batch = format!("ProductKey={product}&ApplyId={id}");
    let status = world.ok("QueryBatchRegisterDeviceStatus", &of_batch).await["Data"].clone();
    assert_eq!(status["Status"], "CREATE_SUCCESS");
    assert_eq!(status["ValidList"]["Name"].as_array().unwrap().len(), 12);
    assert!(status.get("InvalidList").is_none() && status.get("InvalidDetailList").is_none());
    let reply = world.ok("QueryPageByApplyId", &format!("ApplyId={id}&CurrentPage=2")).await;
    assert_eq!(
        [&reply["Page"], &reply["PageCount"], &reply["PageSize"], &reply["Total"]],
        [2, 2, 10, 12]
    );
    let rows = reply["ApplyDeviceList"]["ApplyDeviceInfo"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let row = rows[0].as_object().unwrap();
    assert_eq!(row.keys().collect::<Vec<_>>(), ["DeviceId", "DeviceName", "DeviceSecret", "IotId"]);
    assert_eq!(row["DeviceId"], row["IotId"]);
}

#[tokio::test(start_paused = true)]
async fn checked_names_are_registered_by_their_apply_id() {
    let world = World::at_work().await;
    let product = world.product("lamp").await;
    let names = "DeviceNameList.1.DeviceName=lamp1&DeviceNameList.1.DeviceNickname=kitchen\
        &DeviceNameList.2.DeviceName=lamp2";
    let reply = world.ok("BatchCheckDeviceNames", &format!("ProductKey={product}&{names}")).await;
    let data = reply["Data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ApplyId"]);
    let of_batch = format!("ProductKey={product}&ApplyId={}", data["ApplyId"]);
    let status = async || {
        let reply = world.ok("QueryBatchRegisterDeviceStatus", &of_batch).await;
        reply["Data"]["Status"].as_str().unwrap().to_owned()
    };
    passes(1_000).await;
    assert_eq!(status().await, "CHECK_SUCCESS");
    let reply = world.ok("BatchRegisterDeviceWithApplyId", &of_batch).await;
    assert_eq!(reply["Data"]["ApplyId"], data["ApplyId"]);
    passes(1_000).await;
    assert_eq!(status().await, "CREATE_SUCCESS");
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    assert_eq!(world.ok("QueryDeviceInfo", &device).await["Data"]["Nickname"], "kitchen");
}

#[tokio::test(start_paused = true)]
pub async fn bad_names_are_told_in_lists_by_what_is_wrong_with_them() {
    let world = World::at_work().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let names = "DeviceName.1=lamp1&DeviceName.2=no/name&DeviceName.3=lamp2&DeviceName.4=lamp2\
        &DeviceName.5=lamp3";
    let params = format!("ProductKey={product}&{names}");
    let mut reply = world.json("BatchCheckDeviceNames", &params).await;
    reply.as_object_mut().unwrap().remove("RequestId");
    let detail = |name: &str, why: &str| json!({ "DeviceName": name, "ErrorMsg": why });
    let want = json!({
        "Success": false,
        "Code": "iot.device.InvalidDeviceNameExisted",
        "ErrorMessage": "The list contains invalid device names.",
        "Data": {
            "InvalidDetailList": { "InvalidDetailList": [
                detail("lamp1", "the device name already exists"),
                detail("no/name", "the device name is malformed"),
                detail("lamp2", "the device name is in the list twice"),
            ] },
            "InvalidDeviceNameList": { "InvalidDeviceName": ["no/name"] },
            "RepeatedDeviceNameList": { "RepeatDevieNameList": ["lamp1", "lamp2"] },
        },
    });
    assert_eq!(reply, want);
    let xml = world.answer("BatchCheckDeviceNames", &params, Format::Xml).await.body;
    assert!(xml.contains("<RepeatDevieNameList>lamp1</RepeatDevieNameList>"), "{xml}");

    let names = "DeviceNameList.1.DeviceName=lamp5&DeviceNameList.1.DeviceNickname=x";
    let params = format!("ProductKey={product}&{names}");
    let reply = world.json("BatchCheckDeviceNames", &params).await;
    assert_eq!(reply["Code"], "iot.device.InvalidDeviceNickNameExisted");
    assert_eq!(reply["Data"]["InvalidDeviceNicknameList"]["InvalidDeviceNickname"], json!(["x"]));
    assert_eq!(reply["Data"]["InvalidDetailList"]["InvalidDetailList"][0]["NickName"], "x");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_before_its_turn_is_told_by_the_status() {
    let world = World::at_work().await;
    let product = world.product("lamp").await;
    let names = format!("ProductKey={product}&DeviceName.1=lamp1&DeviceName.2=lamp2");
    let reply = world.ok("BatchCheckDeviceNames", &names).await;
    let of_batch = format!("ProductKey={product}&ApplyId={}", reply["Data"]["ApplyId"]);
    passes(1_000).await;
    world.device(&product, "lamp2").await;
    world.ok("BatchRegisterDeviceWithApplyId", &of_batch).await;
    passes(1_000).await;
    let status = world.ok("QueryBatchRegisterDeviceStatus", &of_batch).await["Data"].clone();
    let why = "the device name already exists";
    let want = json!({
        "InvalidDetailList": { "invalidDetailList": [{ "DeviceName": "lamp2", "ErrorMsg": why }] },
        "InvalidList": { "Name": ["lamp2"] },
        "Status": "CREATE_FAILED",
        "ValidList": { "Name": ["lamp1"] },
    });
    assert_eq!(status, want);
}

/// Operation, parameters, code.
const REFUSED: &[(&str, &str, &str)] = &[
    ("BatchRegisterDevice", "ProductKey={P}", "MissingCount"),
    ("BatchRegisterDevice", "Count=1", "MissingProductKey"),
    ("BatchRegisterDevice", "Count=x&ProductKey={P}", "InvalidCount"),
    ("BatchRegisterDevice", "Count=0&ProductKey=?", "iot.common.InvalidFormattedParameter"),
    ("BatchRegisterDevice", "Count=-1&ProductKey=?", "iot.common.InvalidFormattedParameter"),
    ("BatchRegisterDevice", "Count=10001&ProductKey=?", "iot.device.DeviceCountExceeded"),
    ("BatchRegisterDevice", "Count=1&ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("BatchRegisterDevice", "Count=1&ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("BatchCheckDeviceNames", "DeviceName.1=lamp1", "MissingProductKey"),
    ("BatchCheckDeviceNames", "ProductKey=?", "iot.device.NoneDeviceNameElement"),
    (
        "BatchCheckDeviceNames",
        "ProductKey=?&DeviceName.1=a&DeviceNameList.1.DeviceName=b",
        "iot.common.InvalidFormattedParameter",
    ),
    ("BatchCheckDeviceNames", "ProductKey=?&{10001}", "iot.device.TooManyDeviceNamesPerRequest"),
    ("BatchCheckDeviceNames", "ProductKey=?&DeviceName.1=a", "iot.prod.InvalidFormattedProductkey"),
    ("BatchCheckDeviceNames", "ProductKey=a1nothing&DeviceName.1=a", "iot.prod.NotExistedProduct"),
    ("BatchRegisterDeviceWithApplyId", "ProductKey={P}", "MissingApplyId"),
    ("BatchRegisterDeviceWithApplyId", "ApplyId={DONE}", "MissingProductKey"),
    ("BatchRegisterDeviceWithApplyId", "ApplyId=x&ProductKey={P}", "InvalidApplyId"),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId=0&ProductKey=?",
        "iot.device.InvalidFormattedApplyId",
    ),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId={DONE}&ProductKey=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId={DONE}&ProductKey=a1nothing",
        "iot.prod.NotExistedProduct",
    ),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId=999&ProductKey={P}",
        "iot.device.DeviceApplyIsNotFound",
    ),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId={DONE}&ProductKey={O}",
        "iot.device.IncorrentDeviceApplyInfo",
    ),
    (
        "BatchRegisterDeviceWithApplyId",
        "ApplyId={DONE}&ProductKey={P}",
        "iot.device.IncorrentDeviceApplyInfo",
    ),
    ("QueryBatchRegisterDeviceStatus", "ProductKey={P}", "MissingApplyId"),
    ("QueryBatchRegisterDeviceStatus", "ApplyId={DONE}", "MissingProductKey"),
    ("QueryBatchRegisterDeviceStatus", "ApplyId=x&ProductKey={P}", "InvalidApplyId"),
    (
        "QueryBatchRegisterDeviceStatus",
        "ApplyId=-1&ProductKey=?",
        "iot.device.InvalidFormattedApplyId",
    ),
    (
        "QueryBatchRegisterDeviceStatus",
        "ApplyId={DONE}&ProductKey=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "QueryBatchRegisterDeviceStatus",
        "ApplyId={DONE}&ProductKey=a1nothing",
        "iot.prod.NotExistedProduct",
    ),
    (
        "QueryBatchRegisterDeviceStatus",
        "ApplyId=999&ProductKey={P}",
        "iot.device.DeviceApplyIsNotFound",
    ),
    (
        "QueryBatchRegisterDeviceStatus",
        "ApplyId={DONE}&ProductKey={O}",
        "iot.device.IncorrentDeviceApplyInfo",
    ),
    ("QueryPageByApplyId", "CurrentPage=1", "MissingApplyId"),
    ("QueryPageByApplyId", "ApplyId=x", "InvalidApplyId"),
    ("QueryPageByApplyId", "ApplyId=1&CurrentPage=x", "InvalidCurrentPage"),
    ("QueryPageByApplyId", "ApplyId=1&PageSize=x", "InvalidPageSize"),
    ("QueryPageByApplyId", "ApplyId=0&PageSize=51", "iot.common.InvalidPageParams"),
    ("QueryPageByApplyId", "ApplyId=0", "iot.device.InvalidFormattedApplyId"),
    ("QueryPageByApplyId", "ApplyId=999", "iot.device.DeviceApplyIsNotFound"),
];

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_changes_nothing() {
    let world = World::at_work().await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    let made = format!("ProductKey={product}&Count=2");
    let done = world.ok("BatchRegisterDevice", &made).await["Data"]["ApplyId"].to_string();
    passes(1_000).await;
    let many: Vec<_> = (1..=10_001).map(|n| format!("DeviceName.{n}=device{n}")).collect();
    let fill = |params: &str| {
        params
            .replace("{P}", &product)
            .replace("{O}", &other)
            .replace("{DONE}", &done)
            .replace("{10001}", &many.join("&"))
    };
    for (action, params, want) in REFUSED {
        // The long list fits a body only.
        let (status, code) = world.refused(action, &fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
        assert_eq!(status, if want.starts_with("iot.") { 200 } else { 400 }, "{action} {params}");
    }
    let of_other = world.signed(
        ("other", "other secret"),
        "QueryPageByApplyId",
        &format!("ApplyId={done}"),
        Format::Json,
    );
    let refused = world.rpc.handle(of_other.incoming()).await.body;
    assert!(refused.contains("iot.device.DeviceApplyIsNotFound"), "{refused}");
    passes(1_000).await;
    let total = world.ok("QueryDevice", &format!("ProductKey={product}")).await["Total"].clone();
    assert_eq!(total, 2);
}

#[tokio::test(start_paused = true)]
pub async fn a_batch_that_is_not_done_says_so() {
    let world = World::new().await; // no scheduler: it waits
    let product = world.product("lamp").await;
    let names = format!("ProductKey={product}&DeviceName.1=lamp1");
    let reply = world.ok("BatchCheckDeviceNames", &names).await;
    let of_batch = format!("ProductKey={product}&ApplyId={}", reply["Data"]["ApplyId"]);
    let reply = world.ok("QueryBatchRegisterDeviceStatus", &of_batch).await;
    assert_eq!(reply["Data"], json!({ "Status": "CHECK" }));
    let refused = world.refused("BatchRegisterDeviceWithApplyId", &of_batch).await;
    assert_eq!(refused.1, "iot.device.CreateDeviceTaskIsRunning");
}
