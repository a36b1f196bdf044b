//! Topics of their own, which devices use as their product lets them and hear only when they have subscribed.

use super::harness::{Device, Node, PRODUCT, connect, topic};
use crate::metrics::Dropped;
use crate::mqtt::{Delivery, Message};
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::topic_class::{TopicClass, TopicRules};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Connect, ConnectCode, Qos, SubscribeCode};

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

async fn is_let_subscribe(device: &mut Device, filter: &str) -> bool {
    let filters = vec![(filter.to_owned().into(), Qos::AtLeastOnce)];
    device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
    match device.hear().await {
        Some(ClientEvent::SubAck { codes, .. }) => codes != [SubscribeCode::Refused],
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_is_held_to_the_classes_of_its_product_as_they_are_now() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let dropped = |why: Dropped| node.registry.metrics().dropped.get(why);
    let usual = || TopicRules::new(TopicClass::defaults().into());
    for (rules, subscribes, publishes) in
        [(usual(), true, true), (TopicRules::default(), false, false), (usual(), true, true)]
    {
        node.registry.rules().change(ProductNo(1), rules);
        assert_eq!(is_let_subscribe(&mut device, &topic("", "/user/get")).await, subscribes);
        assert!(!is_let_subscribe(&mut device, &topic("", "/user/update")).await);
        assert!(!is_let_subscribe(&mut device, &topic("", "/user/#")).await);
        let before = (dropped(Dropped::Unheard), dropped(Dropped::NotAllowed));
        for tail in ["/user/update", "/user/get"] {
            let sent = device.publish(&topic("", tail), "x", Qos::AtLeastOnce).await.unwrap();
            assert_eq!(device.hear().await, Some(ClientEvent::PubAck(sent)));
        }
        let after = (dropped(Dropped::Unheard) - before.0, dropped(Dropped::NotAllowed) - before.1);
        assert_eq!(after, if publishes { (1, 1) } else { (0, 2) });
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_may_subscribe_for_its_devices() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let told = topic("", "/user/told");
    send(&node, &told, Qos::AtMostOnce);
    assert_eq!(device.message().await, (told, "hello".into()));
}

#[tokio::test(start_paused = true)]
async fn requests_on_topics_of_the_product_come_to_devices_that_know_or_await_them() {
    let node = Node::new();
    let request = format!("/ext/rrpc/5{}", topic("", "/user/get"));
    let mut device = node.device("dev-001").await;
    send(&node, &request, Qos::AtMostOnce);
    assert!(device.hears_nothing().await, "it does not know such topics");
    subscribes(&mut device, &format!("/ext/rrpc/+{}", topic("", "/user/get")), Qos::AtMostOnce)
        .await;
    send(&node, &request, Qos::AtMostOnce);
    assert_eq!(device.message().await, (request.clone(), "hello".into()));
    for (ext, hears) in [("ext=1", true), ("ext=3", true), ("ext=2", false), ("ext=x", false)] {
        let client_id = format!("c|{ext},signmethod=hmacsha256|").into();
        let mut device = node.dial(64 * 1024);
        let connect = Connect { client_id, ..connect("dev-001", "c") };
        assert_eq!(device.connect(&connect).await, Some(ConnectCode::Accepted));
        send(&node, &request, Qos::AtMostOnce);
        if hears {
            assert_eq!(device.message().await, (request.clone(), "hello".into()), "{ext}");
        }
        assert!(device.hears_nothing().await, "{ext}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_request_is_handed_on_and_one_that_nobody_waits_for_is_dropped() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.take_log();
    let custom = |id: u32| format!("/ext/rrpc/{id}{}", topic("", "/user/get"));
    for (topic, heard) in [
        (topic("/sys", "/rrpc/response/1"), "1 answers 1"),
        (custom(1), "1 answers 1"),
        (custom(2), "1 answers 2"),
    ] {
        let id = device.publish(&topic, "well", Qos::AtLeastOnce).await.unwrap();
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
        assert_eq!(node.heard.take_log(), [format!("{heard} b\"well\"")]);
    }
    assert_eq!(node.registry.metrics().dropped.get(Dropped::Unheard), 1);
}
