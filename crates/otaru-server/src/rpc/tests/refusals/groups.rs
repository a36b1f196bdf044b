//! Refusals of the families of groups and tags, and of jobs for groups.

use super::*;
use std::fmt::Write;

/// A scene with groups and tags in it.
async fn scene() -> Scene {
    let mut scene = Scene::new().await;
    let world = &scene.world;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let id = |reply: Value| text(&reply["Data"]["GroupId"]);
    let top = id(world.ok("CreateDeviceGroup", "GroupName=area_1&GroupDesc=north").await);
    let middle = format!("GroupName=area_2&SuperGroupId={top}");
    let middle = id(world.ok("CreateDeviceGroup", &middle).await);
    let leaf = format!("GroupName=area_3&SuperGroupId={middle}");
    let leaf = id(world.ok("CreateDeviceGroup", &leaf).await);
    let rule = "GroupName=rule_1&DynamicGroupExpression=name%20LIKE%20%22lamp%25%22";
    let rule = id(world.ok("CreateDeviceDynamicGroup", rule).await);
    let product = scene.fill("{P}");
    let member = format!("GroupId={leaf}&Device.1.ProductKey={product}&Device.1.DeviceName=lamp1");
    world.ok("BatchAddDeviceGroupRelations", &member).await;
    let mut full = String::new();
    for n in 0..99 {
        write!(full, "{}\"k{n}\":\"v\"", if n == 0 { "{" } else { "," }).unwrap();
    }
    let props = format!("ProductKey={product}&DeviceName=lamp1&Props={full}}}");
    world.ok("SaveDeviceProp", &props).await;
    let tags = "ProductTag.1.TagKey=room&ProductTag.1.TagValue=101";
    world.ok("CreateProductTags", &format!("ProductKey={product}&{tags}")).await;
    let expression = |text: &str| text.replace(' ', "%20").replace('"', "%22");
    let six = [r#"name="x""#; 6].join(" and ");
    scene.names.extend([
        ("{TOP}", top),
        ("{LEAF}", leaf),
        ("{RULE}", rule),
        ("{SIX}", expression(&six)),
        ("{DEVICES}", devices(201)),
        ("{TAGS11}", tags_of("Tag", 11)),
        ("{PTAGS11}", tags_of("ProductTag", 11)),
    ]);
    scene
}

fn devices(count: usize) -> String {
    let one = |n| format!("Device.{n}.ProductKey=a&Device.{n}.DeviceName=b&");
    (1..=count).map(one).collect()
}

fn tags_of(name: &str, count: usize) -> String {
    let one = |n| format!("{name}.{n}.TagKey=k{n}&{name}.{n}.TagValue=v&");
    (1..=count).map(one).collect()
}

async fn snapshot(scene: &Scene) -> Vec<Value> {
    let mut all = scene.snapshot().await;
    for (action, params) in [
        ("QueryDeviceGroupList", "PageSize=200"),
        ("QueryDeviceGroupList", "PageSize=200&GroupTypes.1=LINK_PLATFORM_DYNAMIC"),
        ("QueryDeviceGroupInfo", "GroupId={TOP}"),
        ("QueryDeviceListByDeviceGroup", "GroupId={LEAF}"),
        ("QueryDynamicGroupDevices", "GroupId={RULE}"),
        ("QueryDeviceProp", "ProductKey={P}&DeviceName=lamp1"),
        ("ListProductTags", "ProductKey={P}"),
    ] {
        let mut reply = scene.world.ok(action, &scene.fill(params)).await;
        reply.as_object_mut().unwrap().remove("RequestId");
        all.push(reply);
    }
    all
}

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_about_groups_and_tags_has_its_code_and_changes_nothing() {
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
async fn bad_tags_of_a_product_are_told_one_by_one_and_none_is_written() {
    let scene = scene().await;
    let tags = |action: &'static str, pairs: &[(&str, &str)]| {
        let mut params = scene.fill("ProductKey={P}");
        for (n, (key, value)) in (1..).zip(pairs) {
            write!(params, "&ProductTag.{n}.TagKey={key}&ProductTag.{n}.TagValue={value}").unwrap();
        }
        let world = &scene.world;
        async move { world.answer(action, &params, Format::Json).await }
    };
    for (action, pairs, bad) in [
        ("CreateProductTags", vec![("a", "1"), ("a", "2")], vec![("a", "2")]),
        ("CreateProductTags", vec![("room", "1"), ("b", "1")], vec![("room", "1")]),
        ("CreateProductTags", vec![("a-b", "1"), ("c", "1.0")], vec![("a-b", "1"), ("c", "1.0")]),
        ("UpdateProductTags", vec![("room", "2"), ("b", "1")], vec![("b", "1")]),
        ("UpdateProductTags", vec![("room", "1.0")], vec![("room", "1.0")]),
    ] {
        let answer = tags(action, &pairs).await;
        assert_eq!(answer.status, 200);
        let reply: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(reply["Success"], false, "{reply}");
        assert_eq!(reply["Code"], "iot.common.InvalidFormattedParameter");
        let want: Vec<_> = bad
            .iter()
            .map(|(key, value)| serde_json::json!({ "TagKey": key, "TagValue": value }))
            .collect();
        assert_eq!(reply["InvalidProductTags"]["ProductTag"], Value::from(want), "{action}");
    }
    let list = scene.world.ok("ListProductTags", &scene.fill("ProductKey={P}")).await;
    assert_eq!(list["Data"]["ProductTag"].as_array().unwrap().len(), 1);
    // A hundred fit, no more.
    for ten in 0..10 {
        let keys: Vec<_> = (0..10).map(|n| format!("k{ten}.{n}")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        let body = tags("CreateProductTags", &pairs).await.body;
        assert_eq!(body.contains("\"Success\":true"), ten < 9, "{body}");
    }
}

const ADD: &str = "BatchAddDeviceGroupRelations";
const REMOVE: &str = "BatchDeleteDeviceGroupRelations";
const RULE: &str = "CreateDeviceDynamicGroup";
const MEMBERS: &str = "QueryDynamicGroupDevices";

/// Operation, parameters, code.
const CALLS: &[(&str, &str, &str)] = &[
    // Static groups.
    ("CreateDeviceGroup", "", "MissingGroupName"),
    ("CreateDeviceGroup", "GroupName=abc", "iot.group.InvalidGroupName"),
    ("CreateDeviceGroup", "GroupName=a-b-c&GroupDesc={LONG}", "iot.group.InvalidGroupName"),
    (
        "CreateDeviceGroup",
        "GroupName=abcd&GroupDesc={LONG}&SuperGroupId=x",
        "iot.group.LongGroupDescError",
    ),
    ("CreateDeviceGroup", "GroupName=area_1&SuperGroupId=x", "iot.group.NotExistedGroup"),
    ("CreateDeviceGroup", "GroupName=area_1&SuperGroupId={RULE}", "iot.group.SuperGroupUnsupport"),
    ("CreateDeviceGroup", "GroupName=area_1&SuperGroupId={LEAF}", "iot.group.GroupNameExisted"),
    ("CreateDeviceGroup", "GroupName=rule_1", "iot.group.GroupNameExisted"),
    (
        "CreateDeviceGroup",
        "GroupName=area_4&SuperGroupId={LEAF}",
        "iot.group.GroupLevelExceedingLimitError",
    ),
    ("UpdateDeviceGroup", "GroupDesc=x", "MissingGroupId"),
    (
        "UpdateDeviceGroup",
        "GroupId=x&GroupType=LINK_PLATFORM&GroupDesc={LONG}",
        "iot.common.InvalidFormattedParameter",
    ),
    ("UpdateDeviceGroup", "GroupId=x&GroupDesc={LONG}", "iot.group.LongGroupDescError"),
    ("UpdateDeviceGroup", "GroupId=x&GroupDesc=y", "iot.group.NotExistedGroup"),
    ("UpdateDeviceGroup", "GroupId={RULE}&GroupDesc=y", "iot.group.NotExistedGroup"),
    (
        "UpdateDeviceGroup",
        "GroupId={TOP}&GroupType=LINK_PLATFORM_DYNAMIC&GroupDesc=y",
        "iot.group.NotExistedGroup",
    ),
    ("DeleteDeviceGroup", "", "MissingGroupId"),
    ("DeleteDeviceGroup", "GroupId=%2F", "iot.group.NotExistedGroup"),
    ("DeleteDeviceGroup", "GroupId={RULE}", "iot.group.NotExistedGroup"),
    ("DeleteDeviceGroup", "GroupId={TOP}", "iot.group.SubGroupNotNull"),
    ("QueryDeviceGroupList", "CurrentPage=x&PageSize=y", "InvalidCurrentPage"),
    ("QueryDeviceGroupList", "PageSize=y", "InvalidPageSize"),
    ("QueryDeviceGroupList", "PageSize=201&GroupTypes.1=x", "iot.common.InvalidPageParams"),
    ("QueryDeviceGroupList", "CurrentPage=0", "iot.common.InvalidPageParams"),
    (
        "QueryDeviceGroupList",
        "GroupTypes.1=LINK_PLATFORM&SuperGroupId=x",
        "iot.common.InvalidFormattedParameter",
    ),
    ("QueryDeviceGroupList", "SuperGroupId={RULE}", "iot.group.NotExistedGroup"),
    ("QueryDeviceGroupInfo", "", "MissingGroupId"),
    ("QueryDeviceGroupInfo", "GroupId=x&GroupType=y", "iot.common.InvalidFormattedParameter"),
    ("QueryDeviceGroupInfo", "GroupId={RULE}", "iot.group.NotExistedGroup"),
    (
        "QueryDeviceGroupInfo",
        "GroupId={TOP}&GroupType=LINK_PLATFORM_DYNAMIC",
        "iot.group.NotExistedGroup",
    ),
    (ADD, "Device.1.ProductKey=a", "MissingGroupId"),
    (ADD, "GroupId=x", "iot.device.NoneDeviceNameElement"),
    (ADD, "GroupId=x&Device.1.ProductKey=a", "iot.check.NullParameter"),
    (ADD, "GroupId=x&Device.1.DeviceName=a", "iot.check.NullParameter"),
    (ADD, "GroupId=x&{DEVICES}", "iot.device.TooManyDeviceNamesPerRequest"),
    (ADD, "GroupId=x&Device.1.ProductKey=a&Device.1.DeviceName=b", "iot.group.NotExistedGroup"),
    (
        ADD,
        "GroupId={RULE}&Device.1.ProductKey={P}&Device.1.DeviceName=lamp1",
        "iot.group.NotExistedGroup",
    ),
    (REMOVE, "", "MissingGroupId"),
    (REMOVE, "GroupId=x", "iot.device.NoneDeviceNameElement"),
    (REMOVE, "GroupId=x&Device.2.DeviceName=a", "iot.check.NullParameter"),
    (REMOVE, "GroupId=x&{DEVICES}", "iot.device.TooManyDeviceNamesPerRequest"),
    (REMOVE, "GroupId=x&Device.1.ProductKey=a&Device.1.DeviceName=b", "iot.group.NotExistedGroup"),
    ("QueryDeviceListByDeviceGroup", "", "MissingGroupId"),
    ("QueryDeviceListByDeviceGroup", "GroupId=x&CurrentPage=y", "InvalidCurrentPage"),
    ("QueryDeviceListByDeviceGroup", "GroupId=x&PageSize=201", "iot.common.InvalidPageParams"),
    ("QueryDeviceListByDeviceGroup", "GroupId={RULE}", "iot.group.NotExistedGroup"),
    ("QueryDeviceGroupByDevice", "", "MissingDeviceName"),
    ("QueryDeviceGroupByDevice", "DeviceName=lamp1", "MissingProductKey"),
    (
        "QueryDeviceGroupByDevice",
        "DeviceName=?&ProductKey=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    ("QueryDeviceGroupByDevice", "DeviceName=?&ProductKey=a1x", "iot.prod.NotExistedProduct"),
    (
        "QueryDeviceGroupByDevice",
        "DeviceName=?&ProductKey={P}",
        "iot.device.InvalidFormattedDeviceName",
    ),
    ("QueryDeviceGroupByDevice", "DeviceName=nobody&ProductKey={P}", "iot.device.NotExistedDevice"),
    // Dynamic groups.
    (RULE, "", "MissingDynamicGroupExpression"),
    (RULE, "DynamicGroupExpression=x", "MissingGroupName"),
    (RULE, "DynamicGroupExpression=x&GroupName=abc", "iot.group.InvalidGroupName"),
    (
        RULE,
        "DynamicGroupExpression=x&GroupName=abcd&GroupDesc={LONG}",
        "iot.group.LongGroupDescError",
    ),
    (RULE, "DynamicGroupExpression=x&GroupName=rule_1", "iot.devicesearch.InvalidSQLError"),
    (RULE, "DynamicGroupExpression={LONG}&GroupName=abcd", "iot.devicesearch.InvalidSQLError"),
    (
        RULE,
        "DynamicGroupExpression=color='x'&GroupName=abcd",
        "iot.devicesearch.InvalidSQLFieldError",
    ),
    (
        RULE,
        "DynamicGroupExpression={SIX}&GroupName=abcd",
        "iot.devicesearch.InvalidSQLConditionError",
    ),
    (
        RULE,
        "DynamicGroupExpression=name%3E'x'&GroupName=abcd",
        "iot.devicesearch.InvalidSQLOperatorTypeError",
    ),
    (
        RULE,
        "DynamicGroupExpression=name='x'%20order%20by%20name&GroupName=abcd",
        "iot.devicesearch.InvalidSQLOrderError",
    ),
    (
        RULE,
        "DynamicGroupExpression=name='x'%20limit%201&GroupName=abcd",
        "iot.devicesearch.InvalidSQLOffsetError",
    ),
    (
        RULE,
        "DynamicGroupExpression=(name='x')&GroupName=abcd",
        "iot.devicesearch.InvalidSQLParamError",
    ),
    (
        RULE,
        "DynamicGroupExpression=property.x%3E11&GroupName=abcd",
        "iot.devicesearch.InvalidSQLIdentfierError",
    ),
    (RULE, "DynamicGroupExpression=name='x'&GroupName=area_1", "iot.group.GroupNameExisted"),
    ("DeleteDeviceDynamicGroup", "", "MissingGroupId"),
    ("DeleteDeviceDynamicGroup", "GroupId={TOP}", "iot.group.NotExistedGroup"),
    (MEMBERS, "CurrentPage=x", "MissingGroupId"),
    (MEMBERS, "GroupId=x&CurrentPage=x&FuzzyName=y", "InvalidCurrentPage"),
    (MEMBERS, "GroupId=x&FuzzyName=y", "InvalidFuzzyName"),
    (MEMBERS, "GroupId=x&PageSize=y", "InvalidPageSize"),
    (MEMBERS, "GroupId=x&PageSize=201&FuzzyName=true&DeviceName=a", "iot.common.InvalidPageParams"),
    (
        MEMBERS,
        "GroupId=x&FuzzyName=true&DeviceName=abc&Status=x",
        "iot.device.FuzzyRuntimeSearchMinLengthLimit",
    ),
    (MEMBERS, "GroupId=x&Status=online&NextToken=x", "iot.common.InvalidFormattedParameter"),
    (MEMBERS, "GroupId=x&NextToken=x&ProductKey=?", "iot.device.PageTokenIsIllegal"),
    (MEMBERS, "GroupId=x&ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    (MEMBERS, "GroupId=x&ProductKey=a1x", "iot.prod.NotExistedProduct"),
    (MEMBERS, "GroupId={TOP}&ProductKey={P}", "iot.group.NotExistedGroup"),
    // Tags of devices. lamp1 has 99.
    ("SaveDeviceProp", "ProductKey={P}&DeviceName=lamp1", "MissingProps"),
    ("SaveDeviceProp", "Props={LONG}{LONG}", "iot.device.LongDevicePropertiesString"),
    ("SaveDeviceProp", "Props=[]", "iot.device.InvalidFormattedDevicePropertiesString"),
    ("SaveDeviceProp", "Props={\"a\":1}", "iot.device.InvalidFormattedDevicePropertiesString"),
    ("SaveDeviceProp", "Props={}", "iot.device.NoneDeviceProperties"),
    ("SaveDeviceProp", "Props={\"abc\":\"x\"}", "iot.device.InvalidFormattedDevicePropertyKey"),
    ("SaveDeviceProp", "Props={\"a\":\"x\"}", "iot.prod.NullProductKey"),
    ("SaveDeviceProp", "Props={\"a\":\"x\"}&ProductKey={P}", "iot.device.NullDeviceName"),
    ("SaveDeviceProp", "Props={\"a\":\"x\"}&IotId=a-b", "iot.device.InvalidIoTId"),
    (
        "SaveDeviceProp",
        "Props={\"a\":\"x\"}&ProductKey={P}&DeviceName=nobody",
        "iot.device.NotExistedDevice",
    ),
    (
        "SaveDeviceProp",
        "Props={\"a\":\"x\",\"b\":\"x\"}&ProductKey={P}&DeviceName=lamp1",
        "iot.device.TooManyDevicePropertiesPerTime",
    ),
    ("QueryDeviceProp", "DeviceName=lamp1", "iot.prod.NullProductKey"),
    ("QueryDeviceProp", "IotId=abc", "iot.device.NotExistedDevice"),
    ("DeleteDeviceProp", "ProductKey={P}&DeviceName=lamp1", "MissingPropKey"),
    (
        "DeleteDeviceProp",
        "PropKey=x&ProductKey=?&DeviceName=?",
        "iot.prod.InvalidFormattedProductkey",
    ),
    ("QueryDeviceByTags", "CurrentPage=x", "InvalidCurrentPage"),
    ("QueryDeviceByTags", "PageSize=x", "InvalidPageSize"),
    ("QueryDeviceByTags", "PageSize=51", "iot.common.InvalidPageParams"),
    ("QueryDeviceByTags", "", "iot.device.NoneDeviceProperties"),
    ("QueryDeviceByTags", "Tag.1.TagKey=a", "iot.device.NoneDeviceProperties"),
    ("QueryDeviceByTags", "{TAGS11}", "iot.device.TooManyDevicePropertiesPerTime"),
    // Tags of products.
    ("CreateProductTags", "ProductTag.1.TagKey=a", "MissingProductKey"),
    ("CreateProductTags", "ProductKey={P}", "MissingProductTag"),
    ("CreateProductTags", "ProductKey=?&ProductTag.1.TagKey=a", "iot.check.NullParameter"),
    ("CreateProductTags", "ProductKey=?&{PTAGS11}", "iot.firmware.ParameterSizeExceedMax"),
    (
        "CreateProductTags",
        "ProductKey=a1x&ProductTag.1.TagKey=-&ProductTag.1.TagValue=-",
        "iot.prod.NotExistedProduct",
    ),
    ("UpdateProductTags", "ProductKey={P}", "MissingProductTag"),
    ("UpdateProductTags", "ProductKey=?&ProductTag.1.TagValue=a", "iot.check.NullParameter"),
    ("UpdateProductTags", "ProductKey=?&{PTAGS11}", "iot.firmware.ParameterSizeExceedMax"),
    (
        "UpdateProductTags",
        "ProductKey=?&ProductTag.1.TagKey=-&ProductTag.1.TagValue=-",
        "iot.prod.InvalidFormattedProductkey",
    ),
    ("DeleteProductTags", "ProductKey={P}", "MissingProductTagKey"),
    ("DeleteProductTags", "ProductTagKey.1=a", "MissingProductKey"),
    (
        "DeleteProductTags",
        "ProductKey=?&ProductTagKey.1=1&ProductTagKey.2=2&ProductTagKey.3=3&ProductTagKey.4=4&ProductTagKey.5=5\
         &ProductTagKey.6=6&ProductTagKey.7=7&ProductTagKey.8=8&ProductTagKey.9=9&ProductTagKey.10=10\
         &ProductTagKey.11=11",
        "iot.firmware.ParameterSizeExceedMax",
    ),
    ("DeleteProductTags", "ProductKey=a1x&ProductTagKey.1=a", "iot.prod.NotExistedProduct"),
    ("ListProductTags", "", "MissingProductKey"),
    ("ListProductTags", "ProductKey=a1x", "iot.prod.NotExistedProduct"),
    ("ListProductByTags", "CurrentPage=1", "MissingProductTag"),
    ("ListProductByTags", "ProductTag.1.TagKey=a&PageSize=x", "InvalidPageSize"),
    ("ListProductByTags", "ProductTag.1.TagValue=a&PageSize=51", "iot.common.InvalidPageParams"),
    ("ListProductByTags", "ProductTag.1.TagValue=a", "iot.check.NullParameter"),
    ("ListProductByTags", "{PTAGS11}", "iot.firmware.ParameterSizeExceedMax"),
    // Jobs for groups. {JOB}, a dynamic one of {FULL}, is running.
    (
        STATIC,
        "FirmwareId={FULL}&ProductKey={P}&TargetSelection=GROUP&GroupId={RULE}&GroupType=LINK_PLATFORM",
        "iot.group.NotExistedGroup",
    ),
    (
        STATIC,
        "FirmwareId={DELTA}&ProductKey={P}&TargetSelection=GROUP&GroupId={TOP}&GroupType=LINK_PLATFORM",
        "iot.firmware.NoDeviceCanUpgrade",
    ),
    (
        DYNAMIC,
        "FirmwareId={FULL}&ProductKey={P}&GroupId={TOP}&GroupType=LINK_PLATFORM_DYNAMIC",
        "iot.group.NotExistedGroup",
    ),
    (
        DYNAMIC,
        "FirmwareId={FULL}&ProductKey={P}&GroupId={RULE}&GroupType=LINK_PLATFORM_DYNAMIC",
        "iot.firmware.InProgressDynamicJobExisted",
    ),
];
