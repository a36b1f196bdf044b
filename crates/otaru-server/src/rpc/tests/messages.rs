//! Messages and files of devices, as callers see them.

use super::*;
use crate::store::Shelf;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otaru_core::file::DeviceFile;
use otaru_core::id::{DeviceNo, FileId, IotId};
use serde_json::json;

impl World {
    pub async fn device_no(&self, product: &str, name: &str) -> DeviceNo {
        let params = format!("ProductKey={product}&DeviceName={name}");
        let info = self.ok("QueryDeviceInfo", &params).await;
        let id: IotId = info["Data"]["IotId"].as_str().unwrap().parse().unwrap();
        let found = self.app.store.view(move |view| view.device_by_iot_id(&id)).await;
        found.unwrap().unwrap().no
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_its_device_and_a_broadcast_all_of_the_product() {
    let world = World::new().await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    let mut lines = Vec::new();
    for (product, name) in [(&product, "lamp1"), (&product, "lamp2"), (&other, "lamp3")] {
        world.device(product, name).await;
        let no = world.device_no(product, name).await;
        let found = world.app.store.view(move |view| view.device(no)).await;
        lines.push(world.app.registry.plug_in(found.unwrap().unwrap().product, no));
    }
    let heard = || lines.iter().map(|line| line.read().join(" ")).collect::<Vec<_>>();
    let content = STANDARD.encode("hello").replace('=', "%3D");
    let publish = async |topic: &str, more: &str| {
        let params =
            format!("ProductKey={product}&MessageContent={content}&TopicFullName={topic}&{more}");
        let reply = world.ok("Pub", &params).await;
        reply["MessageId"].as_str().unwrap().to_owned()
    };
    let id = publish(&format!("/{product}/lamp1/user/get"), "Qos=1").await;
    assert!(id.len() == 19 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    assert_eq!(heard(), ["hello", "", ""]);
    publish(&format!("/broadcast/{product}/news"), "UserProp.1.Key=k&UserProp.1.Value=v").await;
    assert_eq!(heard(), ["hello", "hello", ""]);
    // Whoever is offline misses it.
    world.app.registry.unplug(&lines[0]);
    let second = publish(&format!("/{product}/lamp1/user/get"), "").await;
    assert_ne!(id, second);
    assert_eq!(heard(), ["", "", ""]);
}

#[tokio::test(start_paused = true)]
async fn files_of_a_device_are_listed_shown_and_deleted() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let device = world.device_no(&product, "lamp1").await;
    let files: Vec<_> = [1_u64, 2]
        .map(|n| DeviceFile {
            id: FileId::generate(u128::from(n)),
            device,
            name: format!("log-{n}.txt"),
            blob: Blob { size_bytes: n, md5: "ab".repeat(16), sha256: "cd".repeat(32) },
            created_at: START,
        })
        .into();
    let kept = files.clone();
    let kept = world
        .app
        .store
        .change(move |rows| kept.iter().try_for_each(|file| rows.insert_device_file(file)));
    kept.await.unwrap();
    let params = format!("ProductKey={product}&DeviceName=lamp1");
    let reply = world.ok("QueryDeviceFileList", &format!("{params}&PageSize=1")).await;
    assert_eq!(
        [&reply["Total"], &reply["PageCount"], &reply["PageSize"], &reply["CurrentPage"]],
        [2, 2, 1, 1]
    );
    let id = files[1].id.to_string();
    let want = json!({
        "FileId": id, "Name": "log-2.txt", "Size": "2", "UtcCreatedOn": "2026-09-21T14:13:20.000Z"
    });
    assert_eq!(reply["Data"], json!({ "FileSummary": [want] }));
    let of_file = format!("{params}&FileId={id}");
    let one = world.ok("QueryDeviceFile", &of_file).await["Data"].clone();
    assert_eq!(one["Name"], "log-2.txt");
    let url = one["DownloadUrl"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{HOST}/d/")) && url.contains(".txt?"), "{url}");
    world.ok("DeleteDeviceFile", &of_file).await;
    let refused = world.refused("QueryDeviceFile", &of_file).await;
    assert_eq!(refused.1, "iot.common.InvalidFormattedParameter");
    assert_eq!(world.ok("QueryDeviceFileList", &params).await["Total"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_for_a_device_job_is_an_upload_form_too() {
    let world = World::new().await;
    let params = "BizCode=DEVICE_JOB_FILE&FileSuffix=tar.gz&FileName=scripts";
    let data = world.ok("GenerateFileUploadURL", params).await["Data"].clone();
    let fields: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["Host", "Key", "ObjectStorage", "OssAccessKeyId", "Policy", "Signature"]);
    let key = data["Key"].as_str().unwrap().to_owned();
    assert!(key.ends_with(".tar.gz"), "{key}");
    let slot = world.app.upload_slot(key).await.unwrap().unwrap();
    assert_eq!((slot.bytes_max, slot.used), (1_000 * 1024 * 1024, false));
    // It is no package.
    let product = world.product("lamp").await;
    let url = format!("http://{HOST}/{}", data["Key"].as_str().unwrap());
    let params = format!("ProductKey={product}&FirmwareName=n&DestVersion=1.0&FirmwareUrl={url}");
    let refused = world.refused("CreateOTAFirmware", &params).await;
    assert_eq!(refused.1, "iot.firmware.InvalidFirmwareUrl");
}

/// Operation, parameters, code.
const REFUSED: &[(&str, &str, &str)] = &[
    ("Pub", "ProductKey={P}&TopicFullName={T}", "MissingMessageContent"),
    ("Pub", "MessageContent=YQ%3D%3D&TopicFullName={T}", "MissingProductKey"),
    ("Pub", "MessageContent=YQ%3D%3D&ProductKey={P}", "MissingTopicFullName"),
    ("Pub", "{PUB}&MessageExpiryInterval=x&Qos=x", "InvalidMessageExpiryInterval"),
    ("Pub", "{PUB}&PayloadFormatIndicator=x", "InvalidPayloadFormatIndicator"),
    ("Pub", "{PUB}&Qos=x", "InvalidQos"),
    ("Pub", "{PUB}&Retained=x", "InvalidRetained"),
    ("Pub", "{PUB}&TopicAlias=x", "InvalidTopicAlias"),
    (
        "Pub",
        "MessageContent=%25&ProductKey=?&TopicFullName=/{P}/lamp1/user/%23",
        "iot.messagebroker.InvalidFormattedTopicName",
    ),
    (
        "Pub",
        "MessageContent=%25&ProductKey=?&TopicFullName=/ota/device/upgrade/{P}/lamp1",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "Pub",
        "MessageContent=YQ&ProductKey=?&TopicFullName={T}&Qos=2",
        "iot.messagebroker.MessageContentIsNotBase64Encode",
    ),
    (
        "Pub",
        "MessageContent={HUGE}&ProductKey=?&TopicFullName={T}",
        "iot.common.InvalidFormattedParameter",
    ),
    ("Pub", "{PUB}&Qos=2", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&PayloadFormatIndicator=2", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&MessageExpiryInterval=-1", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&MessageExpiryInterval=4294967296", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&ResponseTopic=/a/%23", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&CorrelationData={8K}", "iot.common.InvalidFormattedParameter"),
    ("Pub", "{PUB}&{21}", "iot.common.InvalidFormattedParameter"),
    (
        "Pub",
        "MessageContent=YQ%3D%3D&ProductKey=?&TopicFullName={T}",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        "Pub",
        "MessageContent=YQ%3D%3D&ProductKey=a1nothing&TopicFullName={T}",
        "iot.prod.NotExistedProduct",
    ),
    (
        "Pub",
        "MessageContent=YQ%3D%3D&ProductKey={O}&TopicFullName={T}",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "Pub",
        "MessageContent=YQ%3D%3D&ProductKey={P}&TopicFullName=/{P}/a/user/get",
        "iot.device.InvalidFormattedDeviceName",
    ),
    (
        "Pub",
        "MessageContent=YQ%3D%3D&ProductKey={P}&TopicFullName=/{P}/nobody/user/get",
        "iot.device.NotExistedDevice",
    ),
    ("QueryDeviceFileList", "CurrentPage=x", "InvalidCurrentPage"),
    ("QueryDeviceFileList", "PageSize=x", "InvalidPageSize"),
    ("QueryDeviceFileList", "PageSize=201", "iot.common.InvalidPageParams"),
    ("QueryDeviceFileList", "", "iot.prod.NullProductKey"),
    ("QueryDeviceFileList", "IotId=abc", "iot.device.NotExistedDevice"),
    ("QueryDeviceFile", "ProductKey={P}&DeviceName=lamp1", "MissingFileId"),
    ("QueryDeviceFile", "FileId=x&ProductKey={P}", "iot.device.NullDeviceName"),
    (
        "QueryDeviceFile",
        "FileId=x&ProductKey={P}&DeviceName=lamp1",
        "iot.common.InvalidFormattedParameter",
    ),
    ("DeleteDeviceFile", "ProductKey={P}&DeviceName=lamp1", "MissingFileId"),
    ("DeleteDeviceFile", "FileId=x&DeviceName=lamp1", "iot.prod.NullProductKey"),
    (
        "DeleteDeviceFile",
        "FileId=../x&ProductKey={P}&DeviceName=lamp1",
        "iot.common.InvalidFormattedParameter",
    ),
    ("GenerateFileUploadURL", "FileSuffix=bin", "MissingBizCode"),
    ("GenerateFileUploadURL", "BizCode=DEVICE_JOB_FILE", "MissingFileSuffix"),
    (
        "GenerateFileUploadURL",
        "BizCode=OTHER&FileSuffix=bin",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "GenerateFileUploadURL",
        "BizCode=DEVICE_JOB_FILE&FileSuffix=exe",
        "iot.common.InvalidFormattedParameter",
    ),
    (
        "GenerateFileUploadURL",
        "BizCode=DEVICE_JOB_FILE&FileSuffix=bin&FileName={LONG}",
        "iot.common.InvalidFormattedParameter",
    ),
];

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_nobody_hears_it() {
    let world = World::new().await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    world.device(&product, "lamp1").await;
    let no = world.device_no(&product, "lamp1").await;
    let found = world.app.store.view(move |view| view.device(no)).await.unwrap().unwrap();
    let line = world.app.registry.plug_in(found.product, no);
    let props: Vec<_> = (1..=21).map(|n| format!("UserProp.{n}.Key=k")).collect();
    let huge = STANDARD.encode(vec![0; 256 * 1024 + 2]).replace('=', "%3D");
    let fill = |params: &str| {
        params
            .replace("{PUB}", "MessageContent=YQ%3D%3D&ProductKey={P}&TopicFullName={T}")
            .replace("{T}", "/{P}/lamp1/user/get")
            .replace("{P}", &product)
            .replace("{O}", &other)
            .replace("{21}", &props.join("&"))
            .replace("{HUGE}", &huge)
            .replace("{LONG}", &"x".repeat(65))
            .replace("{8K}", &"x".repeat(8 * 1024 + 1))
    };
    for (action, params, want) in REFUSED {
        let (status, code) = world.refused(action, &fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
        assert_eq!(status, if want.starts_with("iot.") { 200 } else { 400 }, "{action} {params}");
    }
    assert!(line.read().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retained_message_is_kept_until_one_that_is_over_and_there_is_room_for_some() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let class = format!("ProductKey={product}&Operation=SUB&TopicShortName=get/%23");
    world.ok("CreateProductTopic", &class).await;
    let no = world.device_no(&product, "lamp1").await;
    let product_no = world.app.store.view(move |view| view.device(no)).await;
    let product_no = product_no.unwrap().unwrap().product;
    let params = |topic: &str, content: &str| {
        let content = STANDARD.encode(content).replace('=', "%3D");
        format!("ProductKey={product}&MessageContent={content}&TopicFullName={topic}&Retained=true")
    };
    let kept = async |shelf: Shelf| {
        let found = world.app.store.view(move |view| view.retained(shelf, START)).await.unwrap();
        found.iter().map(|it| format!("{} {:?}", it.topic, it.payload)).collect::<Vec<_>>()
    };
    let (device, all) = (Shelf::Device(no), Shelf::Product(product_no));
    let (own, news) = (format!("/{product}/lamp1/user/get"), format!("/broadcast/{product}/news"));
    world.ok("Pub", &params(&own, "one")).await;
    world.ok("Pub", &params(&own, "two")).await;
    world.ok("Pub", &params(&news, "three")).await;
    assert_eq!(kept(device).await, [format!("{own} b\"two\"")]);
    assert_eq!(kept(all).await, [format!("{news} b\"three\"")]);
    for n in 1..16 {
        world.ok("Pub", &params(&format!("{own}/{n}"), "x")).await;
    }
    let (_, code) = world.refused("Pub", &params(&format!("{own}/16"), "x")).await;
    assert_eq!(code, "iot.common.InvalidFormattedParameter");
    // In place of an older one it has room, but not for more bytes than may be kept.
    world.ok("Pub", &params(&own, "four")).await;
    world.refused("Pub", &params(&own, &"x".repeat(65_536))).await;
    assert_eq!(kept(device).await.len(), 16);
    for n in 1..16 {
        let over = format!("{}&MessageExpiryInterval=0", params(&format!("{own}/{n}"), "x"));
        world.ok("Pub", &over).await;
    }
    assert_eq!(kept(device).await, [format!("{own} b\"four\"")]);
}
