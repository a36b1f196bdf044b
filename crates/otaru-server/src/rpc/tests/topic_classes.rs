//! Topic classes, made, changed and refused, and what devices and messages may do by them.

use super::*;
use crate::app::Gatekeeper;
use crate::mqtt::Devices;
use serde_json::json;

impl World {
    /// The classes of a product as (name in full, operation).
    async fn classes(&self, product: &str) -> Vec<(String, String)> {
        let reply = self.ok("QueryProductTopic", &format!("ProductKey={product}")).await;
        let rows = reply["Data"]["ProductTopicInfo"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(&row["TopicShortName"]), text(&row["Operation"]))).collect()
    }

    async fn class(&self, product: &str, more: &str) -> i64 {
        let reply = self.ok("CreateProductTopic", &format!("ProductKey={product}&{more}")).await;
        reply["TopicId"].as_i64().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_is_made_changed_and_deleted_beside_those_of_each_new_product() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    let full = |tail: &str| format!("/{product}/${{deviceName}}/{tail}");
    let class = |tail: &str, operation: &str| (full(tail), operation.to_owned());
    let usual =
        [class("user/update", "0"), class("user/update/error", "0"), class("user/get", "1")];
    assert_eq!(world.classes(&product).await, usual);
    let id = world.class(&product, "Operation=SUB&TopicShortName=set/%2B&Desc=d").await;
    let reply = world.ok("QueryProductTopic", &format!("ProductKey={product}")).await;
    let want = json!({
        "Desc": "d", "EnableProxySubscribe": false, "Id": id.to_string(), "Operation": "1",
        "ProductKey": product, "TopicShortName": full("user/set/+"),
    });
    assert_eq!(reply["Data"]["ProductTopicInfo"][3], want);
    // The older form, in full; what is not said stays.
    let change = format!("TopicId={id}&Operation=ALL&TopicShortName={}", full("get"));
    world.ok("UpdateProductTopic", &change).await;
    world.ok("UpdateProductTopic", &change).await;
    assert_eq!(world.classes(&product).await[3], class("get", "2"));
    world.ok("DeleteProductTopic", &format!("TopicId={id}")).await;
    assert_eq!(world.classes(&product).await, usual);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_class_holds_at_once() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    let publish = |tail: &str| {
        format!(
            "ProductKey={product}&MessageContent=YQ%3D%3D&TopicFullName=/{product}/lamp1/{tail}"
        )
    };
    let no_class = "iot.messagebroker.TopicTemplateIsNotFound";
    assert_eq!(world.refused("Pub", &publish("user/set")).await.1, no_class);
    assert_eq!(world.refused("Pub", &publish("user/update")).await.1, no_class);
    let id = world.class(&product, "Operation=SUB&TopicShortName=%23").await;
    world.ok("Pub", &publish("user/set")).await;
    let no = world.device_no(&product, "lamp1").await;
    let row = world.app.store.view(move |view| view.device(no)).await.unwrap().unwrap();
    let may = |tail: &str| world.app.registry.rules().of(row.product).may_publish(tail);
    assert!(!may("user/set"));
    let change = format!("TopicId={id}&Operation=PUB&TopicShortName=set");
    world.ok("UpdateProductTopic", &change).await;
    assert!(may("user/set"));
    assert_eq!(world.refused("Pub", &publish("user/set")).await.1, no_class);
    world.ok("DeleteProductTopic", &format!("TopicId={id}")).await;
    assert!(!may("user/set") && may("user/update"));
    world.ok("DeleteProduct", &format!("ProductKey={product}")).await;
    assert!(!world.app.registry.rules().knows(row.product));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_server_learns_the_classes_of_a_device_that_connects() {
    let world = World::new().await;
    let product = world.product("lamp").await;
    world.device(&product, "lamp1").await;
    world.class(&product, "Operation=PUB&TopicShortName=set").await;
    let World { folder, clock, .. } = world;
    tokio::task::yield_now().await;
    let (app, _) = node(&folder, &clock, "", Limits::default()).await;
    let identity = Gatekeeper(app.clone())
        .identity(&product.parse().unwrap(), &"lamp1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(app.registry.rules().of(identity.product).may_publish("user/set"));
}

/// Operation, parameters, code.
const REFUSED: &[(&str, &str, &str)] = &[
    ("CreateProductTopic", "ProductKey={P}&TopicShortName=x", "MissingOperation"),
    ("CreateProductTopic", "Operation=PUB&TopicShortName=x", "MissingProductKey"),
    ("CreateProductTopic", "Operation=PUB&ProductKey={P}", "MissingTopicShortName"),
    ("CreateProductTopic", "{NEW}&EnableProxySubscribe=x", "InvalidEnableProxySubscribe"),
    ("CreateProductTopic", "{X}&Operation=0&ProductKey=?", "iot.common.InvalidFormattedParameter"),
    ("CreateProductTopic", "{NEW}&Codec=compress", "iot.common.InvalidFormattedParameter"),
    ("CreateProductTopic", "{NEW}&Desc={LONG}", "iot.common.InvalidFormattedParameter"),
    (
        "CreateProductTopic",
        "{NEW}&EnableProxySubscribe=true",
        "iot.common.InvalidFormattedParameter",
    ),
    ("CreateProductTopic", "{X}&Operation=PUB&ProductKey=?", "iot.prod.InvalidFormattedProductkey"),
    ("CreateProductTopic", "{X}&Operation=PUB&ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    (
        "CreateProductTopic",
        "ProductKey={P}&Operation=PUB&TopicShortName=a-b",
        "iot.messagebroker.InvalidFormattedTopicName",
    ),
    (
        "CreateProductTopic",
        "ProductKey={P}&Operation=ALL&TopicShortName=%23",
        "iot.messagebroker.InvalidFormattedTopicName",
    ),
    (
        "CreateProductTopic",
        "ProductKey={P}&Operation=PUB&TopicShortName=/{O}/${deviceName}/x",
        "iot.messagebroker.InvalidFormattedTopicName",
    ),
    (
        "CreateProductTopic",
        "ProductKey={P}&Operation=SUB&TopicShortName=update",
        "iot.prod.CreateProductTopicFailed",
    ),
    ("QueryProductTopic", "", "MissingProductKey"),
    ("QueryProductTopic", "ProductKey=a1nothing", "iot.prod.NotExistedProduct"),
    ("UpdateProductTopic", "{X}&Operation=PUB", "MissingTopicId"),
    ("UpdateProductTopic", "{X}&TopicId={T}", "MissingOperation"),
    ("UpdateProductTopic", "TopicId={T}&Operation=PUB", "MissingTopicShortName"),
    ("UpdateProductTopic", "{X}&TopicId={T}&Operation=x", "iot.common.InvalidFormattedParameter"),
    (
        "UpdateProductTopic",
        "{X}&TopicId=99999&Operation=PUB",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "UpdateProductTopic",
        "{X}&TopicId={F}&Operation=PUB",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ),
    (
        "UpdateProductTopic",
        "TopicId={T}&Operation=PUB&TopicShortName=a//b",
        "iot.messagebroker.InvalidFormattedTopicName",
    ),
    (
        "UpdateProductTopic",
        "TopicId={T}&Operation=PUB&TopicShortName=update/error",
        "iot.prod.CreateProductTopicFailed",
    ),
    ("DeleteProductTopic", "", "MissingTopicId"),
    ("DeleteProductTopic", "TopicId=x", "iot.messagebroker.TopicTemplateIsNotFound"),
    ("DeleteProductTopic", "TopicId={F}", "iot.messagebroker.TopicTemplateIsNotFound"),
];

#[tokio::test(start_paused = true)]
pub async fn each_refused_call_has_its_code_and_changes_nothing() {
    let world = World::new().await;
    let (product, other) = (world.product("lamp").await, world.product("other").await);
    let (id, last) = (
        world.class(&product, "Operation=ALL&TopicShortName=both").await,
        world.class(&other, "Operation=ALL&TopicShortName=both").await,
    );
    // A class of another account is as unknown as none.
    let params = "NodeType=0&ProductName=foreign";
    let made = world.signed(("other", "other secret"), "CreateProduct", params, Format::Json);
    let body = world.rpc.handle(made.incoming()).await.body;
    assert!(body.contains("ProductKey"), "{body}");
    let foreign = (last + 1).to_string();
    let fill = |params: &str| {
        params
            .replace("{NEW}", "ProductKey={P}&Operation=PUB&TopicShortName=x")
            .replace("{X}", "TopicShortName=x")
            .replace("{LONG}", &"d".repeat(101))
            .replace("{P}", &product)
            .replace("{O}", &other)
            .replace("{T}", &id.to_string())
            .replace("{F}", &foreign)
    };
    let before = world.classes(&product).await;
    for (action, params, want) in REFUSED {
        let (_, code) = world.refused(action, &fill(params)).await;
        assert_eq!(code, *want, "{action} {params}");
    }
    assert_eq!(world.classes(&product).await, before);
    for n in before.len()..50 {
        world.class(&product, &format!("Operation=PUB&TopicShortName=n{n}")).await;
    }
    let one_more = fill("ProductKey={P}&Operation=PUB&TopicShortName=more");
    let code = world.refused("CreateProductTopic", &one_more).await.1;
    assert_eq!(code, "iot.prod.CreateProductTopicFailed");
    let change = format!("TopicId={id}&Operation=PUB&TopicShortName=more");
    world.ok("UpdateProductTopic", &change).await;
}
