//! Sub-devices on the connection of their gateway, which is `dev-002` here.

use super::harness::{Device, Node, PRODUCT, settle};
use crate::mqtt::{Delivery, Message};
use otaru_core::id::DeviceNo;
use otaru_core::topology::SubEnd;
use otaru_mqtt::packet::Qos;
use serde_json::Value;

fn login(from: usize, count: usize) -> String {
    let entry = |n: usize| {
        format!(r#"{{"productKey":"a1Sub","deviceName":"sub-{n:03}","clientId":"c","sign":"00"}}"#)
    };
    let list: Vec<_> = (from..from + count).map(entry).collect();
    format!(r#"{{"id":"1","params":{{"deviceList":[{}]}}}}"#, list.join(","))
}

async fn asks(gateway: &mut Device, path: &str, payload: &str) -> Value {
    let topic = format!("/ext/session/{PRODUCT}/dev-002/combine/{path}");
    gateway.publish(&topic, payload, Qos::AtMostOnce).await;
    let (heard, text) = gateway.message().await;
    assert_eq!(heard, format!("{topic}_reply"));
    serde_json::from_str(&text).unwrap()
}

pub(super) async fn logs_in(gateway: &mut Device, from: usize, count: usize) -> Value {
    asks(gateway, "batch_login", &login(from, count)).await["code"].clone()
}

#[tokio::test(start_paused = true)]
async fn sub_devices_speak_on_their_own_topics_and_go_with_their_gateway() {
    let node = Node::new();
    let mut gateway = node.device("dev-002").await;
    node.heard.take_log();
    assert_eq!(logs_in(&mut gateway, 1, 2).await, 200);
    let inform = r#"{"id":1,"params":{"version":"1.0.0"}}"#;
    gateway.publish("/ota/device/inform/a1Sub/sub-002", inform, Qos::AtLeastOnce).await;
    gateway.hear().await;
    let pull = "/sys/a1Sub/sub-001/thing/ota/firmware/get";
    gateway.publish(pull, r#"{"id":7}"#, Qos::AtMostOnce).await;
    assert_eq!(gateway.message().await.0, format!("{pull}_reply"));
    // One that is not logged in: nothing happens, and the gateway is told.
    gateway.publish("/ota/device/inform/a1Sub/sub-003", inform, Qos::AtMostOnce).await;
    let (topic, error) = gateway.message().await;
    assert_eq!(topic, format!("/ext/error/{PRODUCT}/dev-002"));
    assert!(error.contains(r#""code":520"#) && error.contains("sub-003"), "{error}");
    drop(gateway);
    settle().await;
    let log = node.heard.take_log();
    let said = [
        "gateway 2 asks",
        "101 online from 127.0.0.1",
        "102 online from 127.0.0.1",
        "102 has default 1.0.0",
        "101 asks for default",
        "101 offline",
        "102 offline",
        "2 offline",
    ];
    assert_eq!(log[..5], said[..5]);
    assert!(said[5..].iter().all(|line| log.iter().any(|had| had == line)), "{log:?}");
    assert_eq!(node.registry.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn pushes_for_all_sub_devices_at_once_do_not_end_the_connection() {
    let node = Node::new();
    let mut gateway = node.device("dev-002").await;
    for round in 0..4 {
        assert_eq!(logs_in(&mut gateway, 50 * round, 50).await, 200);
    }
    // More in this second are too many, and none of them is online.
    assert_eq!(logs_in(&mut gateway, 200, 50).await, 429);
    assert_eq!(node.registry.online(), 201);
    for device in 100..300 {
        let peer = node.registry.peer(DeviceNo(device)).unwrap();
        for _ in 0..2 {
            let message = Message::new("/x", "{}", Qos::AtMostOnce);
            assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
        }
    }
    for _ in 0..400 {
        assert_eq!(gateway.message().await.0, "/x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sub_device_that_is_kicked_leaves_its_gateway_connected() {
    let node = Node::new();
    let mut gateway = node.device("dev-002").await;
    assert_eq!(logs_in(&mut gateway, 1, 2).await, 200);
    for (end, code) in [(SubEnd::Disabled, 522), (SubEnd::Deleted, 521)] {
        let device = DeviceNo(if code == 522 { 101 } else { 102 });
        node.registry.kick(device, end);
        assert_eq!(node.registry.peer(device), None);
        let (_, error) = gateway.message().await;
        assert!(error.contains(&format!(r#""code":{code}"#)), "{error}");
    }
    assert!(gateway.hears_nothing().await);
    // Logging out who is not logged in is an error, and changes nothing.
    let out = r#"{"id":1,"params":{"productKey":"a1Sub","deviceName":"sub-001"}}"#;
    assert_eq!(asks(&mut gateway, "logout", out).await["code"], 520);
}

#[tokio::test(start_paused = true)]
async fn the_newest_login_of_a_sub_device_wins_and_the_other_gateway_is_told() {
    let node = Node::new();
    let mut first = node.device("dev-002").await;
    assert_eq!(logs_in(&mut first, 1, 1).await, 200);
    let mut second = node.device("dev-001").await;
    let topic = format!("/ext/session/{PRODUCT}/dev-001/combine/batch_login");
    second.publish(&topic, &login(1, 1), Qos::AtMostOnce).await;
    assert!(second.message().await.1.contains(r#""code":200"#));
    assert!(first.message().await.1.contains(r#""code":427"#));
    drop(first);
    settle().await;
    assert!(node.registry.peer(DeviceNo(101)).is_some());
}
