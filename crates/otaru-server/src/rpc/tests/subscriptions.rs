//! Subscriptions and consumer groups, made, read back, changed and refused.

use super::*;

const QUEUE: &str = r#"{"queueName":"q","regionName":"cn-shanghai"}"#;

impl World {
    async fn group(&self, name: &str) -> String {
        let reply = self.ok("CreateConsumerGroup", &format!("GroupName={name}")).await;
        reply["GroupId"].as_str().unwrap().to_owned()
    }

    /// Everything that can be read of two products' subscriptions and of the groups.
    async fn subscribed(&self, products: &[&str]) -> Vec<Value> {
        let mut all = vec![self.ok("QueryConsumerGroupList", "CurrentPage=1&PageSize=1000").await];
        for product in products {
            for kind in ["AMQP", "MNS"] {
                let params = format!("ProductKey={product}&Type={kind}");
                let answer = self.answer("QuerySubscribeRelation", &params, Format::Json).await;
                all.push(serde_json::from_str(&answer.body).unwrap());
            }
        }
        for reply in &mut all {
            reply.as_object_mut().unwrap().remove("RequestId");
        }
        all
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_read_back_as_it_was_made_and_replaced() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let group = world.group("group_1").await;
    let query = format!("ProductKey={product}&Type=AMQP");
    let params = format!(
        "{query}&ConsumerGroupIds.1={group}&ConsumerGroupIds.2=DEFAULT_GROUP&OtaEventFlag=True&OtaJobFlag=true\
         &SubscribeFlags=%7B%22jt808DeviceDataFlag%22%3Atrue%7D&MnsConfiguration=ignored"
    );
    world.ok("CreateSubscribeRelation", &params).await;
    let reply = world.ok("QuerySubscribeRelation", &query).await;
    assert_eq!(reply["ConsumerGroupIds"], serde_json::json!([group, "DEFAULT_GROUP"]));
    assert_eq!((&reply["OtaEventFlag"], &reply["OtaJobFlag"]), (&true.into(), &true.into()));
    assert_eq!((&reply["OtaVersionFlag"], &reply["Type"]), (&false.into(), &"AMQP".into()));
    assert_eq!(reply["SubscribeFlags"], r#"{"jt808DeviceDataFlag":true}"#);
    assert!(reply.get("MnsConfiguration").is_none());

    let params = format!("{query}&ConsumerGroupIds.7=DEFAULT_GROUP&DeviceDataFlag=true");
    world.ok("UpdateSubscribeRelation", &params).await;
    let reply = world.ok("QuerySubscribeRelation", &query).await;
    assert_eq!(reply["ConsumerGroupIds"], serde_json::json!(["DEFAULT_GROUP"]));
    assert_eq!((&reply["DeviceDataFlag"], &reply["OtaEventFlag"]), (&true.into(), &false.into()));
    assert!(reply.get("SubscribeFlags").is_none(), "a subscription is replaced as a whole");

    let membership = format!("ProductKey={product}&ConsumerGroupId={group}");
    world.ok("CreateConsumerGroupSubscribeRelation", &membership).await;
    let reply = world.ok("QuerySubscribeRelation", &query).await;
    assert_eq!(reply["ConsumerGroupIds"], serde_json::json!(["DEFAULT_GROUP", group]));
    world.ok("DeleteConsumerGroupSubscribeRelation", &membership).await;
    world.ok("DeleteConsumerGroup", &format!("GroupId={group}")).await;

    let queue = format!("ProductKey={product}&Type=MNS");
    let params = format!("{queue}&ThingHistoryFlag=true&MnsConfiguration={QUEUE}");
    world.ok("CreateSubscribeRelation", &params).await;
    let reply = world.ok("QuerySubscribeRelation", &queue).await;
    assert_eq!((&reply["MnsConfiguration"], &reply["Type"]), (&QUEUE.into(), &"MNS".into()));
    assert!(reply.get("ConsumerGroupIds").is_none());

    world.ok("DeleteSubscribeRelation", &query).await;
    let refused = world.refused("QuerySubscribeRelation", &query).await;
    assert_eq!(refused, (200, "iot.consumer.group.InvalidSubscribeType".into()));
    world.ok("QuerySubscribeRelation", &queue).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_product_lets_go_of_its_consumer_groups() {
    let world = World::new().await;
    let (product, group) = (world.product("lamp").await, world.group("group_1").await);
    let params =
        format!("ProductKey={product}&Type=AMQP&ConsumerGroupIds.1={group}&DeviceDataFlag=true");
    world.ok("CreateSubscribeRelation", &params).await;
    world.ok("DeleteProduct", &format!("ProductKey={product}")).await;
    world.ok("DeleteConsumerGroup", &format!("GroupId={group}")).await;
}

#[tokio::test(start_paused = true)]
async fn consumer_groups_are_listed_newest_first_with_the_default_one_last() {
    let world = World::new().await;
    let (one, two) = (world.group("group_1").await, world.group("组_two").await);
    let page = world.ok("QueryConsumerGroupList", "CurrentPage=1&PageSize=1000").await;
    let rows = page["Data"]["ConsumerGroupDTO"].as_array().unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row["GroupId"].as_str().unwrap()).collect();
    assert_eq!(ids, [&*two, &one, "DEFAULT_GROUP"]);
    assert_eq!(rows[1]["CreateTime"], "2026-09-21T14:13:20.000Z");
    assert_eq!((&page["Total"], &page["PageCount"]), (&3.into(), &1.into()));

    for (params, total, first) in [
        ("CurrentPage=1&PageSize=2&GroupName=group&Fuzzy=true", 1, Some("group_1")),
        ("CurrentPage=2&PageSize=2", 3, Some("DEFAULT_GROUP")),
        ("CurrentPage=1&PageSize=2&GroupName=group", 0, None),
        ("CurrentPage=1&PageSize=2&GroupName=group_1", 1, Some("group_1")),
        ("CurrentPage=2&PageSize=2&GroupName=group_1", 1, None),
    ] {
        let page = world.ok("QueryConsumerGroupList", params).await;
        let row = &page["Data"]["ConsumerGroupDTO"][0];
        assert_eq!((page["Total"].as_i64(), row["GroupName"].as_str()), (Some(total), first));
    }

    world.ok("UpdateConsumerGroup", &format!("GroupId={one}&NewGroupName=renamed")).await;
    world.ok("UpdateConsumerGroup", &format!("GroupId={one}&NewGroupName=renamed")).await;
    let query = format!("GroupId={one}");
    let group = world.ok("QueryConsumerGroupByGroupId", &query).await;
    assert_eq!(group["Data"]["GroupName"], "renamed");
    let status = world.ok("QueryConsumerGroupStatus", &query).await;
    assert_eq!(status["AccumulationCount"], 0);
    let connections = &status["ClientConnectionStatusList"]["ConsumerGroupClientConnectionInfo"];
    assert_eq!(*connections, serde_json::json!([]));
    world.ok("ResetConsumerGroupPosition", &query).await;
}

#[tokio::test(start_paused = true)]
pub async fn an_account_has_at_most_1000_consumer_groups() {
    let world = World::new().await;
    for n in 1..1_000 {
        world.group(&format!("group_{n}")).await;
    }
    let refused = world.refused("CreateConsumerGroup", "GroupName=one_more").await;
    assert_eq!(refused, (200, "iot.consumer.group.ConsumerGroupExceedLimit".into()));
}

#[tokio::test(start_paused = true)]
pub async fn a_subscription_has_at_most_50_groups() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let mut params = format!("ProductKey={product}&Type=AMQP&DeviceDataFlag=true");
    for n in 1..=50 {
        let group = world.group(&format!("group_{n}")).await;
        params = format!("{params}&ConsumerGroupIds.{n}={group}");
    }
    let code = "iot.consumer.group.ConsumerGroupExceedsLimit";
    let more = format!("{params}&ConsumerGroupIds.51=DEFAULT_GROUP");
    assert_eq!(world.refused("CreateSubscribeRelation", &more).await, (200, code.into()));
    world.ok("CreateSubscribeRelation", &params).await;
    let membership = format!("ProductKey={product}&ConsumerGroupId=DEFAULT_GROUP");
    let refused = world.refused("CreateConsumerGroupSubscribeRelation", &membership).await;
    assert_eq!(refused, (200, code.into()));
}

#[tokio::test(start_paused = true)]
async fn groups_and_subscriptions_of_another_account_are_unknown() {
    let world = World::new().await;
    let (product, group) = (world.product("lamp").await, world.group("group_1").await);
    for (action, params, code) in [
        ("QueryConsumerGroupByGroupId", format!("GroupId={group}"), "ConsumerGroupNotExist"),
        ("DeleteConsumerGroup", format!("GroupId={group}"), "ConsumerGroupNotExist"),
        ("QuerySubscribeRelation", format!("ProductKey={product}&Type=AMQP"), "NotExistedProduct"),
    ] {
        let signed = world.signed(("other", "other secret"), action, &params, Format::Json);
        let body = world.rpc.handle(signed.incoming()).await.body;
        let reply: Value = serde_json::from_str(&body).unwrap();
        assert!(reply["Code"].as_str().unwrap().ends_with(code), "{action}: {body}");
    }
}

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_changes_nothing() {
    let world = World::new().await;
    let (product, bare) = (world.product("lamp").await, world.product("other").await);
    let (used, unused) = (world.group("used").await, world.group("unused").await);
    let params =
        format!("ProductKey={product}&Type=AMQP&ConsumerGroupIds.1={used}&DeviceDataFlag=true");
    world.ok("CreateSubscribeRelation", &params).await;
    let names = [
        ("{P}", &*product),
        ("{BARE}", &bare),
        ("{USED}", &used),
        ("{UNUSED}", &unused),
        ("{QUEUE}", QUEUE),
        ("{LONG}", &"x".repeat(65)),
    ];
    let before = world.subscribed(&[&product, &bare]).await;
    for (action, params, want) in CALLS {
        let params = names.iter().fold((*params).to_owned(), |t, (name, v)| t.replace(name, v));
        let (status, code) = world.refused(action, &params).await;
        let want = want
            .strip_prefix(".")
            .map_or((*want).to_owned(), |code| format!("iot.consumer.group.{code}"));
        assert_eq!(code, want, "{action} {params}");
        assert_eq!(status, if want.starts_with("iot.") { 200 } else { 400 });
    }
    assert_eq!(world.subscribed(&[&product, &bare]).await, before);
}

const CREATE: &str = "CreateSubscribeRelation";
const UPDATE: &str = "UpdateSubscribeRelation";
const JOIN: &str = "CreateConsumerGroupSubscribeRelation";
const LEAVE: &str = "DeleteConsumerGroupSubscribeRelation";

/// Operation, parameters, code; a code that starts with a dot is of the family `iot.consumer.group`.
const CALLS: &[(&str, &str, &str)] = &[
    (CREATE, "Type=AMQP&DeviceDataFlag=true", "MissingProductKey"),
    (CREATE, "ProductKey={P}&DeviceDataFlag=1", "InvalidDeviceDataFlag"),
    (CREATE, "ProductKey={P}&DeviceDataFlag=true", ".InvalidSubscribeType"),
    (CREATE, "ProductKey={P}&DeviceDataFlag=true&Type=amqp", ".InvalidSubscribeType"),
    (CREATE, "ProductKey=-&Type=MNS", ".CallbackTypeEmpty"),
    (CREATE, "ProductKey=-&Type=MNS&OtaEventFlag=false", ".CallbackTypeEmpty"),
    (CREATE, "ProductKey=-&Type=MNS&OtaJobFlag=true", ".MnsNotSupport"),
    (CREATE, "ProductKey=-&Type=MNS&OtaEventFlag=true&OtaVersionFlag=true", ".MnsNotSupport"),
    (CREATE, "ProductKey=-&Type=MNS&OtaEventFlag=true", "iot.check.NullParameter"),
    (CREATE, "ProductKey=-&Type=MNS&OtaEventFlag=true&MnsConfiguration=q", ".MnsCheckFailed"),
    (CREATE, "ProductKey=-&Type=MNS&OtaEventFlag=true&MnsConfiguration={}", ".MnsCheckFailed"),
    (CREATE, "ProductKey=-&Type=AMQP&SubscribeFlags={}", ".CallbackTypeEmpty"),
    (CREATE, "ProductKey=-&Type=AMQP&SubscribeFlags=x", "iot.common.InvalidFormattedParameter"),
    (
        CREATE,
        r#"ProductKey=-&Type=AMQP&SubscribeFlags={"a":1}"#,
        "iot.common.InvalidFormattedParameter",
    ),
    (CREATE, "ProductKey=-&Type=AMQP&OtaJobFlag=true", "iot.check.NullParameter"),
    (
        CREATE,
        "ProductKey=-&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=a-b",
        ".InvalidConsumerGroupId",
    ),
    (
        CREATE,
        "ProductKey=-&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=x&ConsumerGroupIds.2=x",
        ".InvalidConsumerGroupId",
    ),
    (
        CREATE,
        "ProductKey=-&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=x",
        "iot.prod.InvalidFormattedProductkey",
    ),
    (
        CREATE,
        "ProductKey=x&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=x",
        "iot.prod.NotExistedProduct",
    ),
    (
        CREATE,
        "ProductKey={P}&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=x",
        ".InvalidSubscribeType",
    ),
    (
        CREATE,
        "ProductKey={BARE}&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1={USED}&ConsumerGroupIds.2=x",
        ".ConsumerGroupNotExist",
    ),
    (UPDATE, "ProductKey={P}&OtaJobFlag=true", "MissingType"),
    (UPDATE, "ProductKey={P}&Type=AMQP", ".CallbackTypeEmpty"),
    (
        UPDATE,
        "ProductKey={BARE}&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1={USED}",
        ".InvalidSubscribeType",
    ),
    (
        UPDATE,
        "ProductKey={P}&Type=MNS&OtaEventFlag=true&MnsConfiguration={QUEUE}",
        ".InvalidSubscribeType",
    ),
    (
        UPDATE,
        "ProductKey={P}&Type=AMQP&OtaJobFlag=true&ConsumerGroupIds.1=x",
        ".ConsumerGroupNotExist",
    ),
    ("QuerySubscribeRelation", "ProductKey={P}", "MissingType"),
    ("QuerySubscribeRelation", "ProductKey={P}&Type=x", ".InvalidSubscribeType"),
    ("QuerySubscribeRelation", "ProductKey=x&Type=MNS", "iot.prod.NotExistedProduct"),
    ("QuerySubscribeRelation", "ProductKey={P}&Type=MNS", ".InvalidSubscribeType"),
    ("DeleteSubscribeRelation", "Type=MNS", "MissingProductKey"),
    ("DeleteSubscribeRelation", "ProductKey={P}&Type=x", ".InvalidSubscribeType"),
    ("DeleteSubscribeRelation", "ProductKey={BARE}&Type=AMQP", ".InvalidSubscribeType"),
    ("CreateConsumerGroup", "", "MissingGroupName"),
    ("CreateConsumerGroup", "GroupName=abc", ".InvalidConsumerGroupName"),
    ("CreateConsumerGroup", "GroupName=a-b-c-d", ".InvalidConsumerGroupName"),
    ("CreateConsumerGroup", "GroupName=unused", ".ConsumerGroupNameExisted"),
    ("CreateConsumerGroup", "GroupName=DEFAULT_GROUP", ".ConsumerGroupNameExisted"),
    ("QueryConsumerGroupList", "CurrentPage=1", "MissingPageSize"),
    ("QueryConsumerGroupList", "CurrentPage=0&PageSize=1", "iot.common.InvalidPageParams"),
    ("QueryConsumerGroupList", "CurrentPage=1&PageSize=1001", "iot.common.InvalidPageParams"),
    ("QueryConsumerGroupList", "CurrentPage=1&PageSize=1&Fuzzy=true", "iot.check.NullParameter"),
    ("QueryConsumerGroupStatus", "", "MissingGroupId"),
    ("QueryConsumerGroupStatus", "GroupId={LONG}", ".InvalidConsumerGroupId"),
    ("QueryConsumerGroupStatus", "GroupId=x", ".ConsumerGroupNotExist"),
    ("QueryConsumerGroupByGroupId", "GroupId=a-b", ".InvalidConsumerGroupId"),
    ("QueryConsumerGroupByGroupId", "GroupId=x", ".ConsumerGroupNotExist"),
    ("UpdateConsumerGroup", "GroupId=x", "MissingNewGroupName"),
    ("UpdateConsumerGroup", "GroupId=a-b&NewGroupName=abc", ".InvalidConsumerGroupId"),
    ("UpdateConsumerGroup", "GroupId=x&NewGroupName=abc", ".InvalidConsumerGroupName"),
    ("UpdateConsumerGroup", "GroupId=x&NewGroupName=abcd", ".ConsumerGroupNotExist"),
    (
        "UpdateConsumerGroup",
        "GroupId=DEFAULT_GROUP&NewGroupName=abcd",
        ".ChangeDefaultConsumerGroupNotAllowed",
    ),
    ("UpdateConsumerGroup", "GroupId={USED}&NewGroupName=unused", ".ConsumerGroupNameExisted"),
    ("DeleteConsumerGroup", "GroupId=x", ".ConsumerGroupNotExist"),
    ("DeleteConsumerGroup", "GroupId=DEFAULT_GROUP", ".ChangeDefaultConsumerGroupNotAllowed"),
    ("DeleteConsumerGroup", "GroupId={USED}", ".DeleteConsumerGroupFailed"),
    (JOIN, "ProductKey={P}", "MissingConsumerGroupId"),
    (JOIN, "ProductKey=-&ConsumerGroupId=a-b", ".InvalidConsumerGroupId"),
    (JOIN, "ProductKey=x&ConsumerGroupId=x", "iot.prod.NotExistedProduct"),
    (JOIN, "ProductKey={BARE}&ConsumerGroupId=x", ".InvalidSubscribeType"),
    (JOIN, "ProductKey={P}&ConsumerGroupId=x", ".ConsumerGroupNotExist"),
    (JOIN, "ProductKey={P}&ConsumerGroupId={USED}", ".InvalidConsumerGroup"),
    (LEAVE, "ConsumerGroupId=x", "MissingProductKey"),
    (LEAVE, "ProductKey={BARE}&ConsumerGroupId={USED}", ".InvalidSubscribeType"),
    (LEAVE, "ProductKey={P}&ConsumerGroupId=x", ".ConsumerGroupNotExist"),
    (LEAVE, "ProductKey={P}&ConsumerGroupId={UNUSED}", ".InvalidConsumerGroup"),
    (LEAVE, "ProductKey={P}&ConsumerGroupId={USED}", ".DeleteConsumerGroupFailed"),
    ("ResetConsumerGroupPosition", "GroupId=x", ".ConsumerGroupNotExist"),
];
