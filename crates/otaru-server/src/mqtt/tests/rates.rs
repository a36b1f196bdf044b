//! Devices that say more than they may, or are told more than they may hear.

use super::harness::{Device, Node, connect, settle, topic};
use super::sub_devices::logs_in;
use crate::metrics::{Delayed, Dropped, Refused};
use crate::mqtt::{Delivery, DeviceLimits, GateLimits, Message, RateChoice, RateMode};
use otaru_core::id::DeviceNo;
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{ConnectCode, Qos, SubscribeCode};
use std::time::Duration;

const INFORM: &str = r#"{"id":1,"params":{"version":"1.0.0"}}"#;

fn node(choice: RateChoice) -> Node {
    Node::with_rates(DeviceLimits::default(), GateLimits::default(), &choice)
}

fn original() -> Node {
    node(RateChoice { mode: RateMode::Original, ..RateChoice::default() })
}

async fn informs(device: &mut Device, count: usize, qos: Qos) {
    for _ in 0..count {
        device.publish(&topic("/ota/device/inform", ""), INFORM, qos).await;
    }
    for _ in 0..20 {
        settle().await;
    }
}

fn reports(node: &Node) -> usize {
    node.heard.take_log().iter().filter(|line| line.contains(" has ")).count()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_to_a_rate_unless_it_is_told_so() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    informs(&mut device, 80, Qos::AtMostOnce).await;
    assert_eq!(reports(&node), 80);
    for _ in 0..20 {
        node.device("dev-001").await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_qos_0_what_is_beyond_the_rate_is_dropped_and_the_connection_stays() {
    let node = original();
    let mut device = node.device("dev-001").await;
    informs(&mut device, 80, Qos::AtMostOnce).await;
    assert_eq!(reports(&node), 30);
    assert_eq!(node.registry.metrics().dropped.get(Dropped::Rate), 50);
    assert!(device.hears_nothing().await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    informs(&mut device, 80, Qos::AtMostOnce).await;
    assert_eq!(reports(&node), 15);
}

#[tokio::test(start_paused = true)]
async fn of_qos_1_what_is_beyond_the_rate_waits_and_nothing_is_lost() {
    let node = original();
    let mut device = node.device("dev-001").await;
    informs(&mut device, 80, Qos::AtLeastOnce).await;
    assert_eq!(reports(&node), 10);
    assert!(node.registry.metrics().delayed.get(Delayed::Rate) > 0);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(reports(&node), 10);
    // Its keepalive rests while it isn't read.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(reports(&node), 60);
    for _ in 0..80 {
        assert!(matches!(device.hear().await, Some(ClientEvent::PubAck(_))));
    }
    assert!(device.hears_nothing().await);
    assert_eq!(node.registry.metrics().dropped.get(Dropped::Rate), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_is_told_50_messages_a_second_and_those_at_qos_1_come_later() {
    for (qos, later) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 70)] {
        let node = original();
        let mut device = node.device("dev-001").await;
        let peer = node.registry.peer(DeviceNo(1)).unwrap();
        let send = || node.registry.deliver(peer, Message::new("/t", "x", qos));
        for _ in 0..120 {
            assert_eq!(send(), Delivery::Accepted);
        }
        let mut heard = 0;
        device.say(|client, out| client.ping(out)).await;
        while let Some(ClientEvent::Publish { packet_id, .. }) = device.hear().await {
            heard += 1;
            if let Some(id) = packet_id {
                device.say(|client, out| client.puback(id, out)).await;
            }
        }
        assert_eq!(heard, 50);
        assert_eq!(node.registry.metrics().dropped.get(Dropped::Rate), 70 - later);
        for _ in 0..later {
            device.message().await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(device.hears_nothing().await);
        assert_eq!(send(), Delivery::Accepted);
        device.message().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_sends_more_bytes_than_it_may_is_read_at_its_rate() {
    let node = node(RateChoice { bytes_per_second: Some(100_000), ..RateChoice::default() });
    let mut device = node.dial(1_000_000);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let start_ms = node.gateway.clock.now().mono_ms;
    let payload = "x".repeat(100_000);
    for _ in 0..5 {
        device.publish(&topic("", "/user/update"), &payload, Qos::AtMostOnce).await;
    }
    assert!(device.hears_nothing().await);
    let passed_ms = node.gateway.clock.now().mono_ms - start_ms;
    assert!((3_000..5_000).contains(&passed_ms), "{passed_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_device_hears_its_bytes_at_its_rate() {
    let node = node(RateChoice { bytes_per_second: Some(100_000), ..RateChoice::default() });
    let mut device = node.dial(1_000_000);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let start_ms = node.gateway.clock.now().mono_ms;
    for _ in 0..5 {
        let message = Message::new("/t", vec![b'x'; 100_000], Qos::AtLeastOnce);
        assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
    }
    for _ in 0..5 {
        device.message().await;
    }
    let passed_ms = node.gateway.clock.now().mono_ms - start_ms;
    assert!((3_000..5_000).contains(&passed_ms), "{passed_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_device_connects_5_times_a_minute_and_nobody_else_uses_that_up() {
    let node = original();
    let wrong =
        || otaru_mqtt::packet::Connect { password: Some("00".into()), ..connect("dev-001", "c") };
    for _ in 0..10 {
        let refused = node.dial(1_000).connect(&wrong()).await;
        assert_eq!(refused, Some(ConnectCode::BadUsernameOrPassword));
    }
    for _ in 0..5 {
        node.device("dev-001").await;
    }
    let sixth = node.dial(1_000).connect(&connect("dev-001", "c")).await;
    assert_eq!(sixth, Some(ConnectCode::ServerUnavailable));
    assert_eq!(node.registry.metrics().mqtt_refused.get(Refused::Rate), 1);
    node.device("dev-002").await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    node.device("dev-001").await;
}

#[tokio::test(start_paused = true)]
async fn each_sub_device_brings_the_rates_of_a_device_along() {
    let node = original();
    let mut gateway = node.device("dev-002").await;
    assert_eq!(logs_in(&mut gateway, 1, 2).await, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.heard.take_log();
    for n in 0..200 {
        let inform = format!("/ota/device/inform/a1Sub/sub-{:03}", 1 + n % 2);
        gateway.publish(&inform, INFORM, Qos::AtMostOnce).await;
    }
    assert!(gateway.hears_nothing().await);
    assert_eq!(reports(&node), 90);
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_a_product_that_is_too_long_or_deep_is_neither_heard_nor_subscribed_to() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let deep = topic("", "/user/4/5/6/7/8");
    let long = topic("", &format!("/user/{}", "x".repeat(128)));
    for bad in [deep, long] {
        let before = node.registry.metrics().dropped.get(Dropped::Topic);
        let id = device.publish(&bad, "x", Qos::AtLeastOnce).await.unwrap();
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
        assert_eq!(node.registry.metrics().dropped.get(Dropped::Topic), before + 1);
        let filters = vec![(bad.into(), Qos::AtMostOnce)];
        let packet_id = device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
        let codes = vec![SubscribeCode::Refused];
        assert_eq!(device.hear().await, Some(ClientEvent::SubAck { packet_id, codes }));
    }
    let id = device.publish(&topic("", "/user/4/5/6/7"), "x", Qos::AtLeastOnce).await.unwrap();
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    assert_eq!(node.registry.metrics().dropped.get(Dropped::Topic), 2);
}
