//! Topics of their own that devices hear only when they have subscribed.

use super::harness::{Device, Node, PRODUCT, topic};
use crate::mqtt::{Delivery, Message};
use otaru_core::id::DeviceNo;
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Qos, SubscribeCode};

async fn subscribes(device: &mut Device, filter: &str, qos: Qos) {
    let filters = vec![(filter.to_owned().into(), qos)];
    device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
    match device.hear().await {
        Some(ClientEvent::SubAck { codes, .. }) => {
            assert_eq!(codes, [SubscribeCode::Granted(qos)], "{filter}");
        }
        other => panic!("{other:?}"),
    }
}

fn send(node: &Node, topic: &str, qos: Qos) {
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let message = Message::new(topic, "hello", qos);
    assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_custom_topic_is_heard_by_whoever_subscribed_at_the_lower_quality_of_both() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let (get, set) = (topic("", "/user/get"), topic("", "/user/set"));
    send(&node, &get, Qos::AtLeastOnce);
    assert!(device.hears_nothing().await, "it has not subscribed");
    subscribes(&mut device, &get, Qos::AtMostOnce).await;
    send(&node, &set, Qos::AtMostOnce);
    assert!(device.hears_nothing().await, "it has subscribed to another");
    for (granted, sent, acknowledged) in [
        (Qos::AtMostOnce, Qos::AtLeastOnce, false),
        (Qos::AtLeastOnce, Qos::AtLeastOnce, true),
        (Qos::AtLeastOnce, Qos::AtMostOnce, false),
    ] {
        subscribes(&mut device, &get, granted).await;
        send(&node, &get, sent);
        match device.hear().await {
            Some(ClientEvent::Publish { topic, payload, packet_id, .. }) => {
                assert_eq!((&*topic, &payload[..]), (&*get, &b"hello"[..]));
                assert_eq!(packet_id.is_some(), acknowledged, "{granted:?} {sent:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let filters = vec![get.clone().into()];
    device.say(|client, out| client.unsubscribe(filters, out)).await.unwrap();
    assert!(matches!(device.hear().await, Some(ClientEvent::UnsubAck(_))));
    send(&node, &get, Qos::AtMostOnce);
    assert!(device.hears_nothing().await);
}

#[tokio::test(start_paused = true)]
async fn wildcards_cover_custom_topics_and_broadcasts() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    subscribes(&mut device, &topic("", "/#"), Qos::AtLeastOnce).await;
    subscribes(&mut device, &format!("/broadcast/{PRODUCT}/+"), Qos::AtMostOnce).await;
    for topic in [topic("", "/user/a/b"), format!("/broadcast/{PRODUCT}/news")] {
        send(&node, &topic, Qos::AtMostOnce);
        assert_eq!(device.message().await, (topic, "hello".into()));
    }
    send(&node, &format!("/broadcast/{PRODUCT}/a/b"), Qos::AtMostOnce);
    assert!(device.hears_nothing().await);
}
