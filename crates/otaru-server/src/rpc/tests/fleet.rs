//! Products and devices: listed, changed, disabled, deleted, and refused.

use super::*;
use serde_json::json;

fn without_id(mut reply: Value) -> Value {
    reply.as_object_mut().unwrap().remove("RequestId");
    reply
}

fn names(reply: &Value, field: &str) -> String {
    let rows = reply.as_array().unwrap().iter();
    rows.map(|row| row[field].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn products_are_listed_renamed_and_deleted() {
    let world = World::new().await;
    let first = world.product("lamp").await;
    let pro = "NodeType=1&ProductName=gateway&AliyunCommodityCode=iothub_senior&DataFormat=1";
    let second = world.ok("CreateProduct", pro).await["ProductKey"].as_str().unwrap().to_owned();
    world.device(&first, "lamp1").await;
    let list = async |more: &str| {
        let reply = world.ok("QueryProductList", &format!("CurrentPage=1&{more}")).await;
        reply["Data"].clone()
    };
    let data = list("PageSize=200").await;
    assert_eq!(
        [&data["Total"], &data["PageCount"], &data["PageSize"], &data["CurrentPage"]],
        [&json!(2), &json!(1), &json!(200), &json!(1)]
    );
    assert_eq!(names(&data["List"]["ProductInfo"], "ProductName"), "gateway lamp");
    let lamp = &data["List"]["ProductInfo"][1];
    assert_eq!((&lamp["DeviceCount"], &lamp["GmtCreate"]), (&json!(1), &json!(START.0)));
    let data = list("PageSize=1&AliyunCommodityCode=iothub_senior").await;
    assert_eq!(names(&data["List"]["ProductInfo"], "ProductName"), "gateway");
    assert_eq!(data["Total"], 1);

    let rename = format!("ProductKey={first}&ProductName=lantern&Description=of%20tin");
    world.ok("UpdateProduct", &rename).await;
    // Its own name is no other product's; a description that is not sent stays.
    world.ok("UpdateProduct", &format!("ProductKey={first}&ProductName=lantern")).await;
    let reply = world.ok("QueryProduct", &format!("ProductKey={first}")).await;
    assert_eq!(reply["Data"]["ProductName"], "lantern");
    assert_eq!(reply["Data"]["Description"], "of tin");
    world.product("lamp").await;

    world.ok("DeleteProduct", &format!("ProductKey={second}")).await;
    let data = list("PageSize=10").await;
    assert_eq!(names(&data["List"]["ProductInfo"], "ProductName"), "lamp lantern");
}

#[tokio::test(start_paused = true)]
async fn a_device_is_told_of_disabled_enabled_reset_and_deleted() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    let info = world.ok("QueryDeviceInfo", &device).await["Data"].clone();
    let by_id = format!("IotId={}", info["IotId"].as_str().unwrap());
    assert_eq!(world.ok("QueryDeviceInfo", &by_id).await["Data"], info);
    assert_eq!((&info["DeviceName"], &info["ProductKey"]), (&json!("lamp1"), &json!(product)));

    let status = async || world.ok("GetDeviceStatus", &by_id).await["Data"].clone();
    assert_eq!(status().await, json!({ "Status": "UNACTIVE", "Timestamp": START.0 }));
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    let later = START.0 + 5_000;
    world.ok("DisableThing", &device).await;
    world.ok("DisableThing", &by_id).await;
    assert_eq!(status().await, json!({ "Status": "DISABLE", "Timestamp": later }));
    world.ok("EnableThing", &by_id).await;
    world.ok("EnableThing", &device).await;
    assert_eq!(status().await["Status"], "UNACTIVE");
    let reply = world.ok("ResetThing", &device).await;
    assert!(reply.get("JobId").is_none(), "nothing goes on after the call");
    world.ok("DeleteDevice", &device).await;
    let refused = world.refused("DeleteDevice", &by_id).await;
    assert_eq!(refused.1, "iot.device.NotExistedDevice");
}

#[tokio::test(start_paused = true)]
async fn devices_are_asked_for_by_names_and_by_status() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    for name in ["lamp1", "lamp2", "lamp3"] {
        world.device(&product, name).await;
    }
    world.ok("DisableThing", &format!("ProductKey={product}&DeviceName=lamp2")).await;
    let two =
        format!("ProductKey={product}&DeviceName.1=lamp3&DeviceName.2=none&DeviceName.3=lamp2");
    let reply = world.ok("BatchQueryDeviceDetail", &two).await;
    assert_eq!(names(&reply["Data"]["Data"], "DeviceName"), "lamp3 lamp2");
    assert_eq!(names(&reply["Data"]["Data"], "Status"), "UNACTIVE DISABLE");
    let reply = world.ok("BatchGetDeviceState", &two).await;
    let states = &reply["DeviceStatusList"]["DeviceStatus"];
    assert_eq!(names(states, "DeviceName"), "lamp3 lamp2");
    assert_eq!(states[1]["Timestamp"], START.0);
    let id = states[0]["IotId"].as_str().unwrap();
    let by_id = format!("IotId.1={id}&IotId.2=unknown&DeviceName.1=no/name");
    let reply = world.ok("BatchGetDeviceState", &by_id).await;
    assert_eq!(names(&reply["DeviceStatusList"]["DeviceStatus"], "DeviceName"), "lamp3");

    let reply = world.ok("QueryDeviceByStatus", "Status=0&PageSize=1").await;
    assert_eq!(names(&reply["Data"]["SimpleDeviceInfo"], "DeviceName"), "lamp3");
    assert_eq!([&reply["Total"], &reply["PageCount"], &reply["Page"]], [2, 2, 1]);
    let reply = world.ok("QueryDeviceByStatus", &format!("Status=8&ProductKey={product}")).await;
    assert_eq!(names(&reply["Data"]["SimpleDeviceInfo"], "Status"), "DISABLE");
    for status in [1, 3] {
        let reply = world.ok("QueryDeviceByStatus", &format!("Status={status}")).await;
        assert_eq!(
            (&reply["Total"], &reply["Data"]),
            (&json!(0), &json!({ "SimpleDeviceInfo": [] }))
        );
    }
    let reply = world.ok("QueryDeviceStatistics", &format!("ProductKey={product}")).await;
    assert_eq!(reply["Data"], json!({ "activeCount": 0, "deviceCount": 3, "onlineCount": 0 }));
    assert_eq!(world.ok("QueryDeviceStatistics", "").await["Data"], reply["Data"]);
}

/// Operation, parameters, code.
const REFUSED: &[(&str, &str, &str)] = &[
    ("QueryProductList", "PageSize=10", "MissingCurrentPage"),
    ("QueryProductList", "CurrentPage=1", "MissingPageSize"),
    ("QueryProductList", "CurrentPage=x&PageSize=10", "InvalidCurrentPage"),
    ("QueryProductList", "CurrentPage=1&PageSize=x", "InvalidPageSize"),
    ("QueryProductList", "CurrentPage=0&PageSize=10", "iot.common.InvalidPageParams"),
    ("QueryProductList", "CurrentPage=1&PageSize=201", "iot.common.InvalidPageParams"),
    (
        "QueryProductList",
        "CurrentPage=1&PageSize=10&AliyunCommodityCode=x",
        "iot.prod.InvalidAliyunCommodityCode",
    ),
    ("UpdateProduct", "ProductName=abcd", "MissingProductKey"),
    ("UpdateProduct", "ProductKey={P}", "MissingProductName"),
    ("UpdateProduct", "ProductKey=?&ProductName=%20", "iot.prod.NullProductName"),
    ("UpdateProduct", "ProductKey=?&ProductName=abc", "iot.prod.InvalidFormattedProductName"),
    (
        "UpdateProduct",
        "ProductKey=?&ProductName=abcd&Description={LONG}",
        "iot.prod.LongProductDesc",
    ),
    ("UpdateProduct", "ProductKey=?&ProductName=abcd", "iot.prod.InvalidFormattedProductkey"),
    ("UpdateProduct", "ProductKey=a1nothing&ProductName=abcd", "iot.prod.NotExistedProduct"),
    ("UpdateProduct", "ProductKey={P}&ProductName=other", "iot.prod.AlreadyExistedProductName"),
    ("DeleteProduct", "", "MissingProductKey"),
    ("DeleteProduct", "ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("DeleteProduct", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("BatchQueryDeviceDetail", "ProductKey={P}", "MissingDeviceName"),
    ("BatchQueryDeviceDetail", "DeviceName.1=lamp1", "MissingProductKey"),
    ("BatchQueryDeviceDetail", "ProductKey=?&{101}", "iot.device.TooManyDeviceNamesPerRequest"),
    (
        "BatchQueryDeviceDetail",
        "ProductKey=?&DeviceName.1=lamp1&DeviceName.2=",
        "iot.device.InvalidFormattedDeviceNameInNameArray",
    ),
    (
        "BatchQueryDeviceDetail",
        "ProductKey=?&DeviceName.1=lamp1&DeviceName.2=lamp1",
        "iot.device.InvalidFormattedDeviceNameInNameArray",
    ),
    (
        "BatchQueryDeviceDetail",
        "ProductKey=?&DeviceName.1=lamp1",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "BatchQueryDeviceDetail",
        "ProductKey=a1nothing&DeviceName.1=lamp1",
        "iot.prod.NotExistedProduct",
    ),
    ("QueryDeviceByStatus", "ProductKey={P}", "MissingStatus"),
    ("QueryDeviceByStatus", "Status=x", "InvalidStatus"),
    ("QueryDeviceByStatus", "Status=1&CurrentPage=x", "InvalidCurrentPage"),
    ("QueryDeviceByStatus", "Status=1&PageSize=x", "InvalidPageSize"),
    ("QueryDeviceByStatus", "Status=2&PageSize=0", "iot.common.InvalidFormattedParameter"),
    ("QueryDeviceByStatus", "Status=1&PageSize=51", "iot.common.InvalidPageParams"),
    ("QueryDeviceByStatus", "Status=1&ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("QueryDeviceByStatus", "Status=1&ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("BatchGetDeviceState", "ProductKey={P}", "iot.device.NoneDeviceNameElement"),
    ("BatchGetDeviceState", "DeviceName.1=no/name", "iot.prod.NullProductKey"),
    ("BatchGetDeviceState", "ProductKey=?&{51}", "iot.device.TooManyDeviceNamesPerRequest"),
    ("BatchGetDeviceState", "{51ids}", "iot.device.TooManyDeviceNamesPerRequest"),
    (
        "BatchGetDeviceState",
        "ProductKey=?&DeviceName.1=no/name",
        "iot.device.InvalidFormattedDeviceNameInNameArray",
    ),
    ("BatchGetDeviceState", "IotId.1=abc&IotId.2=a-b", "iot.device.InvalidIoTId"),
    ("BatchGetDeviceState", "IotId.1={FOREIGN}", "iot.common.AuthActionPermissionDeny"),
    (
        "BatchGetDeviceState",
        "ProductKey=?&DeviceName.1=lamp1",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "BatchGetDeviceState",
        "ProductKey=a1nothing&DeviceName.1=lamp1",
        "iot.prod.NotExistedProduct",
    ),
    ("QueryDeviceStatistics", "ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("QueryDeviceStatistics", "ProductKey=a1nothing&GroupId=x", "iot.prod.NotExistedProduct"),
    ("QueryDeviceStatistics", "GroupId=x", "iot.group.NotExistedGroup"),
];

/// The rows D1 to D6, which hold for each of these.
const ONE_DEVICE: &[&str] = &[
    "QueryDeviceInfo",
    "GetDeviceStatus",
    "DeleteDevice",
    "DisableThing",
    "EnableThing",
    "ResetThing",
];
const DEVICE_ROWS: &[(&str, &str)] = &[
    ("", "iot.prod.NullProductKey"),
    ("DeviceName=lamp1", "iot.prod.NullProductKey"),
    ("ProductKey={P}", "iot.device.NullDeviceName"),
    ("IotId=a-b&ProductKey={P}&DeviceName=lamp1", "iot.device.InvalidIoTId"),
    ("IotId={FOREIGN}", "iot.common.AuthActionPermissionDeny"),
    ("IotId=abc", "iot.device.NotExistedDevice"),
    ("ProductKey=?&DeviceName=?", "iot.prod.InvalidFormattedProductkey"),
    ("ProductKey=a1nothing&DeviceName=?", "iot.prod.NotExistedProduct"),
    ("ProductKey={P}&DeviceName=?", "iot.device.InvalidFormattedDeviceName"),
    ("ProductKey={P}&DeviceName=nobody", "iot.device.NotExistedDevice"),
];

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_changes_nothing() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.product("other").await;
    world.device(&product, "lamp1").await;
    let foreign = async |action: &str, params: &str| -> Value {
        let signed = world.signed(("other", "other secret"), action, params, Format::Json);
        serde_json::from_str(&world.rpc.handle(signed.incoming()).await.body).unwrap()
    };
    let theirs = foreign("CreateProduct", "NodeType=0&ProductName=theirs").await;
    let theirs = format!("ProductKey={}", theirs["ProductKey"].as_str().unwrap());
    let theirs = foreign("RegisterDevice", &theirs).await["Data"]["IotId"].clone();
    let many = |count: usize, name: &str| {
        let names = (1..=count).map(|n| format!("{name}.{n}=device{n}"));
        names.collect::<Vec<_>>().join("&")
    };
    let fill = |params: &str| {
        params
            .replace("{P}", &product)
            .replace("{FOREIGN}", theirs.as_str().unwrap())
            .replace("{LONG}", &"x".repeat(101))
            .replace("{101}", &many(101, "DeviceName"))
            .replace("{51}", &many(51, "DeviceName"))
            .replace("{51ids}", &many(51, "IotId"))
    };
    let see = async || {
        let mut all = Vec::new();
        for (action, params) in [
            ("QueryProductList", "CurrentPage=1&PageSize=200"),
            ("QueryProduct", "ProductKey={P}"),
            ("QueryDevice", "ProductKey={P}"),
            ("GetDeviceStatus", "ProductKey={P}&DeviceName=lamp1"),
        ] {
            all.push(without_id(world.ok(action, &fill(params)).await));
        }
        all
    };
    let before = see().await;
    let of_devices = ONE_DEVICE
        .iter()
        .flat_map(|action| DEVICE_ROWS.iter().map(move |(params, code)| (*action, *params, *code)));
    for (action, params, want) in REFUSED.iter().copied().chain(of_devices) {
        let (status, code) = world.refused(action, &fill(params)).await;
        assert_eq!(code, want, "{action} {params}");
        assert_eq!(status, if want.starts_with("iot.") { 200 } else { 400 }, "{action} {params}");
    }
    assert_eq!(see().await, before);
}
