//! Devices behind a gateway.

use super::device::{Device, Wire};
use super::world::World;
use crate::scene::text;
use otaru_core::signature::device::{SignMethod, connect_content};
use serde_json::{Value, json};

async fn gateway(world: &World) -> Device {
    let made = world.ok("CreateProduct", "NodeType=1&ProductName=gateway").await;
    let product = text(&made["ProductKey"]);
    let made = world.ok("RegisterDevice", &format!("ProductKey={product}&DeviceName=hub-01")).await;
    Device { product, name: "hub-01".to_owned(), secret: text(&made["Data"]["DeviceSecret"]) }
}

/// What proves to a gateway's server that the sub-device agrees.
fn proof(sub: &Device) -> Value {
    let content = connect_content("c", &sub.name, &sub.product, Some("1700000000000"));
    json!({
        "productKey": sub.product,
        "deviceName": sub.name,
        "clientId": "c",
        "timestamp": "1700000000000",
        "signMethod": "hmacSha256",
        "sign": SignMethod::Sha256.sign(&sub.secret, &content),
    })
}

async fn logs_in(wire: &mut Wire, hub: &Device, sub: &Device) {
    let topic = format!("/ext/session/{}/{}/combine/login", hub.product, hub.name);
    assert_eq!(wire.asks(&topic, proof(sub)).await["code"], 200);
    wire.speaks_for(sub);
}

async fn status(world: &World, device: &Device) -> String {
    let params = format!("ProductKey={}&DeviceName={}", device.product, device.name);
    text(&world.ok("GetDeviceStatus", &params).await["Data"]["Status"])
}

#[tokio::test(start_paused = true)]
async fn a_sub_device_is_upgraded_on_its_own_topics_and_is_offline_with_its_gateway() {
    let world = World::new().await;
    let (hub, sub) = (gateway(&world).await, world.device("lamp").await);
    let mut wire = world.online(&hub).await;
    let topology = format!("/sys/{}/{}/thing/topo/add", hub.product, hub.name);
    assert_eq!(wire.asks(&topology, json!([proof(&sub)])).await["code"], 200);
    logs_in(&mut wire, &hub, &sub).await;
    wire.informs("1.0").await;
    assert_eq!(status(&world, &sub).await, "ONLINE");

    let tags = format!("/sys/{}/{}/thing/deviceinfo/update", sub.product, sub.name);
    let room = json!([{"attrKey": "room", "attrValue": "101"}]);
    assert_eq!(wire.asks(&tags, room).await["code"], 200);
    let params = format!("ProductKey={}&DeviceName={}", sub.product, sub.name);
    assert_eq!(world.ok("QueryDeviceProp", &params).await["Props"], r#"{"room":"101"}"#);

    let package = world.package("2.0", "").await;
    let job = world.static_job(&package, "TargetSelection=ALL").await;
    assert_eq!(wire.pushed().await, "2.0");
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED");
    assert_eq!(wire.pulls().await["version"], "2.0");
    wire.is_at(30).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS");

    wire.breaks();
    super::world::seconds_pass(1).await;
    assert_eq!([status(&world, &hub).await, status(&world, &sub).await], ["OFFLINE", "OFFLINE"]);

    // The gateway alone brings nobody back: what comes in the name of the sub-device is refused.
    let mut wire = world.online(&hub).await;
    wire.speaks_for(&sub);
    wire.is_at(60).await;
    let error = wire.message(&format!("/ext/error/{}/{}", hub.product, hub.name)).await;
    assert_eq!(error["code"], 520);
    assert_eq!(wire.push_within(60).await, None);
    assert_eq!(status(&world, &sub).await, "OFFLINE");

    logs_in(&mut wire, &hub, &sub).await;
    assert_eq!(wire.pushed().await, "2.0");
    wire.informs("2.0").await;
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED");
}
