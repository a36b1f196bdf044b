//! What happens at the limits.

use super::harness::{Node, connect, settle, topic};
use crate::metrics::{Ended, Phase};
use crate::mqtt::{Delivery, DeviceLimits, GateLimits, Message, Told};
use bytes::BytesMut;
use otaru_core::id::DeviceNo;
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{Connect, ConnectCode, Qos, SubscribeCode};
use std::time::Duration;

const INFORM: &str = r#"{"id":1,"params":{"version":"1.0.0"}}"#;

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_reports_stops_reading_and_suspends_the_keepalive() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.places.forget_permits(usize::MAX);
    let inform = topic("/ota/device/inform", "");
    let id = device.publish(&inform, INFORM, Qos::AtLeastOnce).await.unwrap();
    device.say(|client, out| client.ping(out)).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(node.registry.online(), 1);
    assert_eq!(node.heard.take_log().len(), 1);

    node.heard.places.add_permits(1);
    // The ping waits for no commit.
    assert_eq!(device.hear().await, Some(ClientEvent::Pong));
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    // From now on it is heard again, and its silence counts.
    assert_eq!(device.hear().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_waits_for_a_place_can_still_be_replaced() {
    let node = Node::new();
    let mut first = node.device("dev-001").await;
    node.heard.places.forget_permits(usize::MAX);
    first.publish(&topic("/ota/device/inform", ""), INFORM, Qos::AtLeastOnce).await;
    settle().await;
    let mut second = node.device("dev-001").await;
    assert_eq!(first.hear().await, None);
    node.heard.places.add_permits(1);
    assert!(second.hears_nothing().await);
    assert!(!node.heard.take_log().iter().any(|line| line.contains("has")));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_100_reports_of_a_device_wait_for_their_commit() {
    for qos in [Qos::AtLeastOnce, Qos::AtMostOnce] {
        let node = Node::new();
        let mut device = node.device("dev-001").await;
        node.heard.hold();
        for _ in 0..150 {
            device.publish(&topic("/ota/device/inform", ""), INFORM, qos).await;
        }
        for _ in 0..20 {
            settle().await;
        }
        assert_eq!(node.heard.commits.lock().unwrap().len(), 100);
        for _ in 0..150 {
            node.heard.commit(0, Ok(Told::Nothing));
            settle().await;
        }
        let mut acks = 0;
        device.say(|client, out| client.ping(out)).await;
        while device.hear().await != Some(ClientEvent::Pong) {
            acks += 1;
        }
        assert_eq!(acks, if qos == Qos::AtLeastOnce { 150 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_names_at_most_8_topics_and_a_device_has_at_most_100() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let filter = |n: usize| (topic("", &format!("/user/{n}")).into(), Qos::AtMostOnce);
    let mut granted = 0;
    for first in (0..104).step_by(8) {
        let filters = (first..first + 8).map(filter).collect();
        device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
        let Some(ClientEvent::SubAck { codes, .. }) = device.hear().await else {
            panic!("no SUBACK")
        };
        granted += codes.iter().filter(|code| **code != SubscribeCode::Refused).count();
    }
    assert_eq!(granted, 100);

    let left = device.say(|client, out| client.unsubscribe(vec![filter(0).0], out)).await.unwrap();
    assert_eq!(device.hear().await, Some(ClientEvent::UnsubAck(left)));
    for (filters, codes) in [
        (vec![filter(103)], vec![SubscribeCode::Granted(Qos::AtMostOnce)]),
        (vec![filter(1); 9], vec![SubscribeCode::Refused; 9]),
    ] {
        let packet_id = device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
        assert_eq!(device.hear().await, Some(ClientEvent::SubAck { packet_id, codes }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_window_makes_messages_wait_until_the_device_acknowledges() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    for n in 0..150 {
        let payload = n.to_string();
        let message = Message::new("/t", payload, Qos::AtLeastOnce);
        assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
    }
    let mut heard = Vec::new();
    while heard.len() < 150 {
        let Some(ClientEvent::Publish { payload, packet_id, .. }) = device.hear().await else {
            panic!("no message")
        };
        heard.push(packet_id.unwrap());
        assert_eq!(payload, (heard.len() - 1).to_string());
        if heard.len() == 100 {
            assert!(device.hears_nothing().await);
            for id in &heard {
                device.say(|client, out| client.puback(*id, out)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_read_is_given_up() {
    let node = Node::new();
    let mut device = node.dial(300);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let message = || Message::new("/t", vec![0; 10_000], Qos::AtMostOnce);
    let mut accepted = 0;
    while node.registry.deliver(peer, message()) == Delivery::Accepted {
        accepted += 1;
        assert!(accepted < 1_000);
        settle().await;
    }
    settle().await;
    assert_eq!(node.registry.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_asks_and_never_reads_is_given_up() {
    let node = Node::new();
    let mut device = node.dial(100_000);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let mut pings = BytesMut::new();
    (0..400_000).for_each(|_| device.client.ping(&mut pings));
    device.link.write_all(&pings).await;
    settle().await;
    assert_eq!(node.registry.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_socket_does_not_take_arrives_later_and_whole() {
    let node = Node::new();
    let mut device = node.dial(300);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    for n in 0..20_u8 {
        let payload = vec![n; 5_000];
        let message = Message::new("/t", payload, Qos::AtMostOnce);
        assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
    }
    for n in 0..20_u8 {
        assert_eq!(device.message().await.1.into_bytes(), vec![n; 5_000]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_connect_is_not_read_before_that_is_judged() {
    let node = Node::new();
    let device = node.dial(1_000_000);
    let mut out = BytesMut::new();
    device.client.connect(connect("slow-look-up", "c"), &mut out).unwrap();
    (0..30_000).for_each(|_| device.client.ping(&mut out));
    device.link.write_all(&out).await;
    settle().await;
    // A buffer may be twice as large as what is in it.
    assert!(node.gateway.held.bytes() <= 2 * 4_096, "{}", node.gateway.held.bytes());
    node.heard.looks.add_permits(1);
    settle().await;
    assert_eq!(node.registry.online(), 1, "it is read afterwards");
    assert_eq!(node.gateway.held.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_judged_has_the_time_of_a_connect_and_not_its_own_keepalive() {
    let node = Node::new();
    let mut device = node.dial(1_000);
    let hello = Connect { keepalive_s: 1_200, ..connect("slow-look-up", "c") };
    device.say(|client, out| client.connect(hello, out)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(device.hear().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_of_what_waits_is_closed_though_the_device_still_speaks() {
    let node = Node::new();
    let mut device = node.dial(300);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let message = Message::new("/t", vec![0; 5_000], Qos::AtMostOnce);
    assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
    for _ in 0..6 {
        device.say(|client, out| client.ping(out)).await;
        assert_eq!(node.registry.online(), 1);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(node.registry.online(), 0);
    assert_eq!(node.registry.metrics().mqtt_ended.get((Phase::Device, Ended::Slow)), 1);
}

#[tokio::test(start_paused = true)]
async fn the_largest_unfinished_packet_goes_when_all_together_are_too_large() {
    let limits = DeviceLimits { held_bytes_max: 150_000, ..DeviceLimits::default() };
    let node = Node::with(limits, GateLimits::default());
    let mut small = node.device("dev-001").await;
    let mut large = node.device("dev-002").await;
    let packet = |bytes: usize| {
        let (mut out, payload) = (BytesMut::new(), vec![0; bytes].into());
        Client::default().publish("/t".into(), payload, Qos::AtMostOnce, &mut out).unwrap();
        out
    };
    let packet_of_small = packet(60_000);
    let (some, rest) = packet_of_small.split_at(20_000);
    small.link.write_all(some).await;
    large.link.write_all(&packet(200_000)[..190_000]).await;
    settle().await;
    assert_eq!(large.hear().await, None);
    assert_eq!(node.registry.online(), 1);
    assert_eq!(node.registry.metrics().mqtt_ended.get((Phase::Device, Ended::Memory)), 1);
    small.link.write_all(rest).await;
    assert!(small.hears_nothing().await);
}
