//! Products and devices once more: lists, states, batches, messages, files.

use super::super::batches::passes;
use super::Walk;
use super::scene::text;
use crate::app::Gatekeeper;
use crate::mqtt::Devices;
use otaru_core::file::DeviceFile;
use otaru_core::id::FileId;
use otaru_core::package::Blob;

const PAGE: &str = "CurrentPage=1&PageSize=10";

/// Lists and states of the products and devices that are there; lamp1 is active.
pub async fn states(walk: &Walk, product: &str) {
    let query = format!("ProductKey={product}");
    walk.both("QueryProductList", PAGE).await;
    walk.empty("QueryProductList", "CurrentPage=9&PageSize=10", "/Data/List/ProductInfo").await;
    let spare = walk.world.product("spare").await;
    let renamed = format!("ProductKey={spare}&ProductName=renamed&Description=d");
    walk.both("UpdateProduct", &renamed).await;
    let other = walk.world.product("other").await;
    let both = [&*format!("ProductKey={spare}"), &*format!("ProductKey={other}")];
    walk.in_turn("DeleteProduct", both).await;

    let device = format!("{query}&DeviceName=lamp1");
    walk.both("QueryDeviceInfo", &device).await;
    let two = format!("{query}&DeviceName.1=lamp1&DeviceName.2=lamp2");
    let details = walk.both("BatchQueryDeviceDetail", &two).await;
    let iot_id = text(&details["Data"]["Data"][0]["IotId"]);
    let nobody = format!("{query}&DeviceName.1=nobody");
    walk.empty("BatchQueryDeviceDetail", &nobody, "/Data/Data").await;
    walk.both("GetDeviceStatus", &device).await;
    walk.both("BatchGetDeviceState", &two).await;
    walk.both("BatchGetDeviceState", &format!("IotId.1={iot_id}")).await;
    walk.empty("BatchGetDeviceState", &nobody, "/DeviceStatusList/DeviceStatus").await;
    walk.both("QueryDeviceStatistics", &query).await;
    walk.both("QueryDeviceByStatus", "Status=0").await;
    walk.empty("QueryDeviceByStatus", "Status=8", "/Data/SimpleDeviceInfo").await;
    for action in ["DisableThing", "EnableThing", "ResetThing"] {
        walk.both(action, &device).await;
    }
    walk.world.device(product, "gone1").await;
    walk.world.device(product, "gone2").await;
    let both = ["gone1", "gone2"].map(|name| format!("{query}&DeviceName={name}"));
    walk.in_turn("DeleteDevice", [&both[0], &both[1]]).await;
}

/// Devices registered many at a time.
pub async fn batches(walk: &Walk, product: &str) {
    tokio::spawn(walk.world.app.clone().run_scheduler());
    let query = format!("ProductKey={product}");
    let count = format!("{query}&Count=2");
    let [made, _] = walk.in_turn("BatchRegisterDevice", [&count, &count]).await;
    let apply = format!("ApplyId={}", made["Data"]["ApplyId"]);
    passes(1_000).await;
    walk.both("QueryBatchRegisterDeviceStatus", &format!("{query}&{apply}")).await;
    walk.both("QueryPageByApplyId", &apply).await;
    let beyond = format!("{apply}&CurrentPage=9");
    walk.empty("QueryPageByApplyId", &beyond, "/ApplyDeviceList/ApplyDeviceInfo").await;

    let names = |name: &str| {
        format!("{query}&DeviceNameList.1.DeviceName={name}&DeviceNameList.1.DeviceNickname=nick")
    };
    let both = [&*names("checked1"), &*names("checked2")];
    let checked = walk.in_turn("BatchCheckDeviceNames", both).await;
    passes(1_000).await;
    let applied = checked.map(|reply| format!("{query}&ApplyId={}", reply["Data"]["ApplyId"]));
    // What comes in between takes the name: the batch says so afterwards.
    walk.world.device(product, "checked1").await;
    walk.in_turn("BatchRegisterDeviceWithApplyId", [&applied[0], &applied[1]]).await;
    passes(1_000).await;
    let status = walk.both("QueryBatchRegisterDeviceStatus", &applied[0]).await;
    assert_eq!(status["Data"]["Status"], "CREATE_FAILED");

    // Refused, this one tells which names are wrong, in the four lists that only it has.
    let bad = "DeviceName.1=lamp1&DeviceName.2=?&DeviceName.3=twice&DeviceName.4=twice";
    walk.refused("BatchCheckDeviceNames", &format!("{query}&{bad}")).await;
    let bad = "DeviceNameList.1.DeviceName=nickname1&DeviceNameList.1.DeviceNickname=%3C%3E\
        &DeviceNameList.2.DeviceName=?&DeviceNameList.2.DeviceNickname=nick";
    walk.refused("BatchCheckDeviceNames", &format!("{query}&{bad}")).await;
}

/// What devices of a product may publish and subscribe to.
pub async fn topic_classes(walk: &Walk, product: &str) {
    let query = format!("ProductKey={product}");
    let new = |name: &str| format!("{query}&Operation=SUB&TopicShortName={name}&Desc=d");
    let made = walk.in_turn("CreateProductTopic", [&new("set"), &new("%23")]).await;
    walk.both("QueryProductTopic", &query).await;
    let ids = made.map(|reply| format!("TopicId={}", reply["TopicId"]));
    let changed = |id: &str, name: &str| format!("{id}&Operation=ALL&TopicShortName={name}");
    let both = [&*changed(&ids[0], "a"), &*changed(&ids[1], "b/c")];
    walk.in_turn("UpdateProductTopic", both).await;
    walk.in_turn("DeleteProductTopic", [&ids[0], &ids[1]]).await;
    let spare = walk.world.product("silent").await;
    let query = format!("ProductKey={spare}");
    for row in walk.world.ok("QueryProductTopic", &query).await["Data"]["ProductTopicInfo"]
        .as_array()
        .unwrap()
    {
        walk.world.ok("DeleteProductTopic", &format!("TopicId={}", text(&row["Id"]))).await;
    }
    walk.empty("QueryProductTopic", &query, "/Data/ProductTopicInfo").await;
}

/// A device that answers.
async fn rrpc(walk: &Walk, product: &str) {
    let line = walk.world.line(product, "lamp1").await;
    let answers = async {
        loop {
            for (topic, _) in line.messages() {
                let id = topic.rsplit('/').next().and_then(|id| id.parse().ok());
                if let (true, Some(id)) = (topic.contains("/rrpc/request/"), id) {
                    let gatekeeper = Gatekeeper(walk.world.app.clone());
                    assert!(gatekeeper.rrpc_answered(line.peer, id, &"hi".into()));
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let ask =
        format!("ProductKey={product}&DeviceName=lamp1&RequestBase64Byte=aGk%3D&Timeout=8000");
    tokio::select! {
        biased;
        _ = walk.in_turn("RRpc", [&ask, &ask]) => {}
        () = answers => {}
    }
    walk.world.app.registry.unplug(&line);
}

/// What is known of a device, and wanted of it.
async fn shadows(walk: &Walk, product: &str) {
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    let order = |version: u8| {
        let wanted = format!(
            "{{\"method\":\"update\",\"state\":{{\"desired\":{{\"a\":1}}}},\"version\":{version}}}"
        );
        format!("{device}&DeltaUpdate=true&ShadowMessage={wanted}")
    };
    walk.in_turn("UpdateDeviceShadow", [&order(1), &order(2)]).await;
    walk.both("GetDeviceShadow", &device).await;
}

/// A message to a device, and files it has sent.
pub async fn messages(walk: &Walk, product: &str) {
    let topic = format!("TopicFullName=/{product}/lamp1/user/get");
    let message = format!("ProductKey={product}&{topic}&MessageContent=aGk%3D");
    walk.in_turn("Pub", [&message, &message]).await;
    let news = format!("ProductKey={product}&MessageContent=aGk%3D");
    walk.in_turn("PubBroadcast", [&news, &news]).await;
    rrpc(walk, product).await;
    shadows(walk, product).await;
    let ticket = "BizCode=DEVICE_JOB_FILE&FileSuffix=bin";
    walk.in_turn("GenerateFileUploadURL", [ticket, ticket]).await;

    let device = format!("ProductKey={product}&DeviceName=lamp1");
    walk.empty("QueryDeviceFileList", &device, "/Data/FileSummary").await;
    let no = walk.world.device_no(product, "lamp1").await;
    let files: Vec<_> = [1_u64, 2]
        .map(|n| DeviceFile {
            id: FileId::generate(u128::from(n)),
            device: no,
            name: format!("log-{n}.txt"),
            blob: Blob { size_bytes: n, md5: "ab".repeat(16), sha256: "cd".repeat(32) },
            created_at: walk.world.clock.now().wall,
        })
        .into();
    let ids = [0, 1].map(|n| format!("{device}&FileId={}", files[n].id));
    let kept = walk
        .world
        .app
        .store
        .change(move |rows| files.iter().try_for_each(|file| rows.insert_device_file(file)));
    kept.await.unwrap();
    walk.both("QueryDeviceFileList", &device).await;
    walk.in_turn("QueryDeviceFile", [&ids[0], &ids[0]]).await;
    walk.in_turn("DeleteDeviceFile", [&ids[0], &ids[1]]).await;
}
