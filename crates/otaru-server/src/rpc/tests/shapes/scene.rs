//! Calls whose replies show all that each operation can say.

use std::net::{IpAddr, Ipv4Addr};

use otaru_core::message::{Inform, Progress};
use otaru_core::version::{ModuleName, Version};
use serde_json::Value;

use super::{Walk, World};
use crate::app::Gatekeeper;
use crate::mqtt::{Devices, Epoch, Peer, Report};

pub async fn play(walk: &Walk) {
    let product = products(walk).await;
    devices(walk, &product).await;
    subscriptions(walk, &product).await;
    super::ota::modules(walk, &product).await;
    let package = packages(walk, &product).await;
    jobs(walk, &product, &package).await;
    let newer = walk.world.package(&product, "9.0", "").await;
    super::ota::tasks(walk, &product, &newer).await;
    super::groups::play(walk, &product).await;
    super::fleet::states(walk, &product).await;
    super::fleet::topic_classes(walk, &product).await;
    super::fleet::messages(walk, &product).await;
    super::fleet::batches(walk, &product).await;
    deletions(walk, &product).await;
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A device that connects and speaks.
pub struct Speaker<'a> {
    world: &'a World,
    peer: Peer,
}

impl<'a> Speaker<'a> {
    pub async fn connect(walk: &'a Walk, product: &str, name: &str) -> Self {
        Self::of(&walk.world, product, name).await
    }

    pub async fn of(world: &'a World, product: &str, name: &str) -> Self {
        let app = &world.app;
        let (key, name) = (product.parse().unwrap(), name.parse().unwrap());
        let device = app.store.view(move |view| {
            let product = view.product_by_key(&key)?.unwrap();
            Ok(view.device_by_name(product.no, &name)?.unwrap().no)
        });
        let peer = Peer { device: device.await.unwrap(), epoch: Epoch(1) };
        Gatekeeper(app.clone()).came_online(peer, IpAddr::V4(Ipv4Addr::LOCALHOST));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        Self { world, peer }
    }

    async fn says(&self, report: Report) {
        let gatekeeper = Gatekeeper(self.world.app.clone());
        gatekeeper.report(self.peer, report).await.unwrap().await.unwrap();
    }

    pub async fn has(&self, module: &str, version: &str) {
        let module = ModuleName::parse(module).unwrap();
        let version = Version::parse(version).unwrap();
        self.says(Report::Inform(Inform { module, version })).await;
    }

    pub async fn pulls(&self) {
        self.says(Report::Pull(ModuleName::default())).await;
    }

    pub async fn is_at(&self, step: i32) {
        let description = "on its way".to_owned();
        self.says(Report::Progress(Progress { module: None, step, description })).await;
    }
}

async fn products(walk: &Walk) -> String {
    let params = |name: &str| {
        format!(
            "NodeType=1&ProductName={name}&AliyunCommodityCode=iothub_senior&DataFormat=1&CategoryKey=Lighting\
             &Description=a%26b&ProtocolType=modbus&NetType=CELLULAR"
        )
    };
    let [made, _] = walk.in_turn("CreateProduct", [&params("lamp"), &params("lamp2")]).await;
    let product = text(&made["ProductKey"]);
    walk.both("QueryProduct", &format!("ProductKey={product}")).await;
    product
}

async fn devices(walk: &Walk, product: &str) {
    let query = format!("ProductKey={product}");
    walk.empty("QueryDevice", &query, "/Data/DeviceInfo").await;
    let params = |name: &str| format!("{query}&DeviceName={name}&Nickname=nick&DevEui=e&JoinEui=j");
    walk.in_turn("RegisterDevice", [&params("lamp1"), &params("lamp2")]).await;
    Speaker::connect(walk, product, "lamp1").await.has("default", "1.0").await;
    walk.both("QueryDevice", &format!("{query}&PageSize=1")).await;
    walk.both("QueryDeviceDetail", &format!("{query}&DeviceName=lamp1")).await;
}

async fn subscriptions(walk: &Walk, product: &str) {
    let [group, spare] =
        walk.in_turn("CreateConsumerGroup", ["GroupName=group_1", "GroupName=group_2"]).await;
    let (group, spare) = (text(&group["GroupId"]), text(&spare["GroupId"]));
    let query = format!("GroupId={group}");
    walk.both("QueryConsumerGroupList", "CurrentPage=1&PageSize=10").await;
    let nobody = "CurrentPage=1&PageSize=10&GroupName=nobody";
    walk.empty("QueryConsumerGroupList", nobody, "/Data/ConsumerGroupDTO").await;
    walk.both("QueryConsumerGroupByGroupId", &query).await;
    let connections = "/ClientConnectionStatusList/ConsumerGroupClientConnectionInfo";
    walk.empty("QueryConsumerGroupStatus", &query, connections).await;
    walk.both("ResetConsumerGroupPosition", &query).await;
    walk.both("UpdateConsumerGroup", &format!("{query}&NewGroupName=renamed")).await;

    let amqp = format!("ProductKey={product}&Type=AMQP");
    let mns = format!("ProductKey={product}&Type=MNS");
    let more = "SubscribeFlags=%7B%22lvDeviceStatusFlag%22:true%7D";
    let for_group = format!("{amqp}&ConsumerGroupIds.1={group}&OtaEventFlag=true&{more}");
    let for_queue = format!(
        "{mns}&OtaEventFlag=true&MnsConfiguration=%7B%22queueName%22:%22q%22,%22regionName%22:%22r%22%7D"
    );
    walk.in_turn("CreateSubscribeRelation", [&for_group, &for_queue]).await;
    walk.in_turn("UpdateSubscribeRelation", [&for_group, &for_queue]).await;
    let member = |group| format!("ProductKey={product}&ConsumerGroupId={group}");
    let members = [&*member("DEFAULT_GROUP"), &*member(&spare)];
    walk.in_turn("CreateConsumerGroupSubscribeRelation", members).await;
    walk.both("QuerySubscribeRelation", &amqp).await;
    walk.both("QuerySubscribeRelation", &mns).await;
    walk.in_turn("DeleteConsumerGroupSubscribeRelation", members).await;
    walk.in_turn("DeleteSubscribeRelation", [&amqp, &mns]).await;
    let [group, spare] = [format!("GroupId={group}"), format!("GroupId={spare}")];
    walk.in_turn("DeleteConsumerGroup", [&group, &spare]).await;
}

async fn packages(walk: &Walk, product: &str) -> String {
    walk.in_turn("GenerateOTAUploadURL", ["", ""]).await;
    walk.in_turn("GenerateDeviceNameListURL", ["", ""]).await;
    let none = "CurrentPage=1&PageSize=10";
    walk.empty("ListOTAFirmware", none, "/FirmwareInfo/SimpleFirmwareInfo").await;
    let url = walk.world.uploaded(4).await;
    let params = |name: &str, version: &str| {
        format!(
            "ProductKey={product}&FirmwareName={name}&DestVersion={version}&FirmwareDesc=d&Udi=u"
        )
    };
    let delta = format!("{}&FirmwareUrl={url}&Type=1&SrcVersion=1.0", params("delta", "1.5"));
    let full = format!("{}&FirmwareUrl={url}&NeedToVerify=false", params("full", "2.0"));
    let [delta, full] = walk.in_turn("CreateOTAFirmware", [&delta, &full]).await;
    let (one, two) = (walk.world.uploaded(3).await, walk.world.uploaded(5).await);
    let several = format!(
        "{}&MultiFiles.1.Name=a&MultiFiles.1.Url={one}&MultiFiles.2.Name=b&MultiFiles.2.Url={two}",
        params("several", "3.0")
    );
    let several = walk.json("CreateOTAFirmware", &several).await;
    for made in [&delta, &several] {
        let id = text(&made["Data"]["FirmwareId"]);
        walk.both("QueryOTAFirmware", &format!("FirmwareId={id}")).await;
        let modified = format!("FirmwareId={id}&ProductKey={product}&FirmwareDesc=new");
        walk.both("ModifyOTAFirmware", &modified).await;
    }
    walk.both("ListOTAFirmware", "CurrentPage=1&PageSize=10").await;
    let verify = |made: &Value, device: &str| {
        let id = text(&made["Data"]["FirmwareId"]);
        format!("FirmwareId={id}&ProductKey={product}&TargetDeviceName.1={device}")
    };
    let calls = [&*verify(&delta, "lamp1"), &*verify(&several, "lamp2")];
    let [job, other] = walk.in_turn("CreateOTAVerifyJob", calls).await;
    let cancel = |made: &Value| {
        let id = text(&made["Data"]["JobId"]);
        format!("JobId={id}&CancelQueuedTask=true")
    };
    walk.in_turn("CancelOTATaskByJob", [&cancel(&job), &cancel(&other)]).await;
    text(&full["Data"]["FirmwareId"])
}

async fn jobs(walk: &Walk, product: &str, package: &str) {
    let of_package = format!("FirmwareId={package}&ProductKey={product}");
    let page = "CurrentPage=1&PageSize=10";
    let by_package = format!("FirmwareId={package}&{page}");
    let by_device = format!("{of_package}&DeviceName=lamp1&{page}");
    walk.empty("ListOTAJobByFirmware", &by_package, "/Data/SimpleOTAJobInfo").await;
    walk.empty("ListOTAJobByDevice", &by_device, "/Data/SimpleOTAJobInfo").await;

    super::ota::policies(walk, &of_package).await;

    let tag = "Tag.1.Key=ring&Tag.1.Value=blue";
    let policy = "RetryInterval=10&RetryCount=2&TimeoutInMinutes=60&MaximumPerMinute=100";
    let start = walk.world.clock.now().wall.0 + 3_600_000;
    let schedule = format!("ScheduleTime={start}&ScheduleFinishTime={}", start + 7_200_000);
    let gray = format!(
        "{of_package}&TargetSelection=GRAY&GrayPercent=50&SrcVersion.1=1.0&{schedule}&{policy}&{tag}"
    );
    let made = walk.json("CreateOTAStaticUpgradeJob", &gray).await;
    let planned = text(&made["Data"]["JobId"]);
    walk.both("QueryOTAJob", &format!("JobId={planned}")).await;
    walk.json("CancelOTATaskByJob", &format!("JobId={planned}&CancelScheduledTask=true")).await;
    let tasks = format!("JobId={planned}&TaskStatus=SUCCEEDED&{page}");
    walk.empty("ListOTATaskByJob", &tasks, "/Data/SimpleOTATaskInfo").await;

    let named =
        format!("{of_package}&TargetSelection=SPECIFIC&TargetDeviceName.1=lamp1&{policy}&{tag}");
    let made = walk.xml("CreateOTAStaticUpgradeJob", &named).await;
    let job = text(&made["Data"]["JobId"]);
    let device = Speaker::connect(walk, product, "lamp1").await;
    device.pulls().await;
    device.is_at(42).await;
    walk.both("ListOTATaskByJob", &format!("JobId={job}&{page}")).await;
    device.has("default", "2.0").await;
    walk.both("ListOTATaskByJob", &format!("JobId={job}&{page}")).await;
    walk.both("QueryOTAJob", &format!("JobId={job}")).await;
    walk.both("ListOTAJobByFirmware", &by_package).await;
    walk.both("ListOTAJobByDevice", &by_device).await;
}

async fn deletions(walk: &Walk, product: &str) {
    let (one, two) = (
        walk.world.package(product, "7.0", "").await,
        walk.world.package(product, "8.0", "").await,
    );
    let [one, two] = [format!("FirmwareId={one}"), format!("FirmwareId={two}")];
    walk.in_turn("DeleteOTAFirmware", [&one, &two]).await;
}
