//! Groups, tags, and jobs for groups.

use super::super::Format;
use super::Walk;
use super::scene::text;

/// Groups and tags of lamp1, which is online, active and has a nickname.
pub async fn play(walk: &Walk, product: &str) {
    tags(walk, product).await;
    let rows = "/Data/GroupInfo";
    walk.empty("QueryDeviceGroupList", "GroupName=nothing", rows).await;
    let top = "GroupName=area_1&GroupDesc=north";
    let [top, other] =
        walk.in_turn("CreateDeviceGroup", [top, "GroupName=area_2&GroupDesc=d"]).await;
    let (top, other) = (text(&top["Data"]["GroupId"]), text(&other["Data"]["GroupId"]));
    walk.both("UpdateDeviceGroup", &format!("GroupId={top}&GroupDesc=south")).await;
    walk.both("QueryDeviceGroupList", "").await;
    let of_group = format!("GroupId={top}");
    walk.empty("QueryDeviceListByDeviceGroup", &of_group, "/Data/SimpleDeviceInfo").await;
    let of_device = format!("ProductKey={product}&DeviceName=lamp1");
    walk.empty("QueryDeviceGroupByDevice", &of_device, "/GroupInfos/GroupInfo").await;
    let member = |group: &str| {
        format!("GroupId={group}&Device.1.ProductKey={product}&Device.1.DeviceName=lamp1")
    };
    let members = [&*member(&top), &*member(&other)];
    walk.in_turn("BatchAddDeviceGroupRelations", members).await;
    walk.both("QueryDeviceListByDeviceGroup", &of_group).await;
    walk.both("QueryDeviceGroupByDevice", &of_device).await;
    walk.both("QueryDeviceGroupInfo", &of_group).await;

    let rule = |name: &str, text: &str| {
        format!("GroupName={name}&GroupDesc=d&DynamicGroupExpression=name%20LIKE%20'{text}%25'")
    };
    let rules = [&*rule("rule_1", "lamp"), &*rule("rule_2", "door")];
    let [lamps, doors] = walk.in_turn("CreateDeviceDynamicGroup", rules).await;
    let (lamps, doors) = (text(&lamps["Data"]["GroupId"]), text(&doors["Data"]["GroupId"]));
    let dynamic = format!("GroupId={lamps}&GroupType=LINK_PLATFORM_DYNAMIC");
    walk.both("QueryDeviceGroupInfo", &dynamic).await;
    let devices = format!("GroupId={lamps}&PageSize=1");
    let page = walk.both("QueryDynamicGroupDevices", &devices).await;
    assert_eq!(page["Total"], 2);
    let next = format!("{devices}&NextToken={}", text(&page["NextToken"]));
    let page = walk.both("QueryDynamicGroupDevices", &next).await;
    assert_eq!(page["Data"]["SimpleDeviceInfo"][0]["DeviceName"], "lamp1");
    let rows = "/Data/SimpleDeviceInfo";
    walk.empty("QueryDynamicGroupDevices", &format!("GroupId={doors}"), rows).await;

    let job =
        format!("ProductKey={product}&FirmwareId={}", walk.world.package(product, "6.0", "").await);
    let target = format!("TargetSelection=GROUP&GroupId={top}&GroupType=LINK_PLATFORM");
    let made = walk.json("CreateOTAStaticUpgradeJob", &format!("{job}&{target}")).await;
    let made = format!("JobId={}", text(&made["Data"]["JobId"]));
    let shown = walk.both("QueryOTAJob", &made).await["Data"].clone();
    assert_eq!([&shown["TargetSelection"], &shown["GroupName"]], ["GROUP", "area_1"]);
    walk.world.ok("CancelOTATaskByJob", &format!("{made}&CancelQueuedTask=true")).await;
    let target = format!("GroupId={doors}&GroupType=LINK_PLATFORM_DYNAMIC");
    let made = walk.json("CreateOTADynamicUpgradeJob", &format!("{job}&{target}")).await;
    let made = format!("JobId={}", text(&made["Data"]["JobId"]));
    let shown = walk.both("QueryOTAJob", &made).await["Data"].clone();
    assert_eq!([&shown["TargetSelection"], &shown["GroupName"]], ["ALL", "rule_2"]);
    walk.world.ok("CancelOTAStrategyByJob", &made).await;

    let ids = [&*format!("GroupId={lamps}"), &*format!("GroupId={doors}")];
    walk.in_turn("DeleteDeviceDynamicGroup", ids).await;
    walk.in_turn("BatchDeleteDeviceGroupRelations", members).await;
    let ids = [&*of_group, &*format!("GroupId={other}")];
    walk.in_turn("DeleteDeviceGroup", ids).await;
    // What a job was made for it still says.
    let shown = walk.both("QueryOTAJob", &made).await;
    assert_eq!(shown["Data"]["GroupId"], doors);
}

async fn tags(walk: &Walk, product: &str) {
    let device = format!("ProductKey={product}&DeviceName=lamp1");
    assert_eq!(walk.both("QueryDeviceProp", &device).await["Props"], "{}");
    let props = format!("{device}&Props={{\"room\":\"1\\\"01\",\"floor\":\"2\"}}");
    walk.both("SaveDeviceProp", &props).await;
    let reply = walk.both("QueryDeviceProp", &device).await;
    assert_eq!(reply["Props"], r#"{"floor":"2","room":"1\"01"}"#);
    let tag = "Tag.1.TagKey=floor&Tag.1.TagValue=2";
    walk.both("QueryDeviceByTags", tag).await;
    walk.both("DeleteDeviceProp", &format!("{device}&PropKey=floor")).await;
    walk.empty("QueryDeviceByTags", tag, "/Data/SimpleDeviceInfo").await;

    let query = format!("ProductKey={product}");
    let tag = |key: &str, value: &str| {
        format!("{query}&ProductTag.1.TagKey={key}&ProductTag.1.TagValue={value}")
    };
    walk.empty("ListProductTags", &query, "/Data/ProductTag").await;
    let both = [&*tag("room", "101"), &*tag("floor", "北_1")];
    walk.in_turn("CreateProductTags", both).await;
    walk.both("UpdateProductTags", &tag("room", "102")).await;
    walk.both("ListProductTags", &query).await;
    walk.both("ListProductByTags", "ProductTag.1.TagKey=room").await;
    let other = "ProductTag.1.TagKey=room&ProductTag.1.TagValue=101";
    walk.empty("ListProductByTags", other, "/ProductInfos/ProductInfo").await;
    // Refused, these two tell which tags are wrong.
    for (action, params) in
        [("CreateProductTags", tag("room", "1")), ("UpdateProductTags", tag("nothing", "1"))]
    {
        walk.refused(action, &params).await;
        let body = walk.world.answer(action, &params, Format::Xml).await.body;
        assert!(body.contains("<InvalidProductTags><ProductTag><TagKey>"), "{body}");
    }
    let keys = ["room", "floor"].map(|key| format!("{query}&ProductTagKey.1={key}"));
    walk.in_turn("DeleteProductTags", [&keys[0], &keys[1]]).await;
}
