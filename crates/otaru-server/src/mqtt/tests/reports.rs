//! What a device says and what it hears.

use super::harness::{Node, PRODUCT, START_MS, settle, topic, upgrade};
use crate::mqtt::{Delivery, Message, Told, Unavailable, upgrade_topic};
use otaru_core::id::DeviceNo;
use otaru_core::message::{Response, code};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Qos, SubscribeCode};

const INFORM: &str = r#"{"id":1,"params":{"version":"1.0.0"}}"#;

#[tokio::test(start_paused = true)]
async fn reports_reach_the_server_in_order_and_are_acknowledged() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let mut ids = Vec::new();
    for (prefix, suffix, payload) in [
        ("/ota/device/inform", "", INFORM),
        (
            "/ota/device/inform",
            "?_rid=17",
            r#"{"id":"2","params":{"version":"a b","module":"MCU"}}"#,
        ),
        ("/ota/device/progress", "", r#"{"id":"3","params":{"step":"50","desc":""}}"#),
    ] {
        ids.push(device.publish(&topic(prefix, suffix), payload, Qos::AtLeastOnce).await.unwrap());
    }
    device
        .publish(&topic("/ota/device/progress", ""), r#"{"params":{"step":-1}}"#, Qos::AtMostOnce)
        .await;
    for id in ids {
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    }
    assert!(device.hears_nothing().await);
    let log =
        ["1 online from 127.0.0.1", "1 has default 1.0.0", "1 has MCU a b", "1 at 50", "1 at -1"];
    assert_eq!(node.heard.take_log(), log);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_waits_for_the_commit_and_keeps_its_order() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.hold();
    let inform = topic("/ota/device/inform", "");
    let first = device.publish(&inform, INFORM, Qos::AtLeastOnce).await.unwrap();
    let second = device.publish(&inform, INFORM, Qos::AtLeastOnce).await.unwrap();
    // Needs no commit, but its PUBACK may not overtake.
    let third = device.publish("/foreign", "", Qos::AtLeastOnce).await.unwrap();
    assert!(device.hears_nothing().await);
    node.heard.commit(1, Ok(Told::Nothing));
    assert!(device.hears_nothing().await);
    node.heard.commit(0, Ok(Told::Nothing));
    for id in [first, second, third] {
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_again_before_its_acknowledgement_is_one_report() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.hold();
    let inform = topic("/ota/device/inform", "");
    let id = device.publish(&inform, INFORM, Qos::AtLeastOnce).await.unwrap();
    device
        .say(|client, out| client.publish_again(id, inform.into(), INFORM.into(), out))
        .await
        .unwrap();
    settle().await;
    node.heard.commit(0, Ok(Told::Nothing));
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    assert!(device.hears_nothing().await);
    assert_eq!(node.heard.take_log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_closes_the_connection_without_acknowledgement() {
    for qos in [Qos::AtLeastOnce, Qos::AtMostOnce] {
        let node = Node::new();
        let mut device = node.device("dev-001").await;
        node.heard.hold();
        device.publish(&topic("/ota/device/inform", ""), INFORM, qos).await;
        settle().await;
        node.heard.commit(0, Err(Unavailable));
        assert_eq!(device.hear().await, None);
        assert_eq!(node.heard.take_log().pop().unwrap(), "1 offline");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_with_their_own_id() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let get = topic("/sys", "/thing/ota/firmware/get");
    let full = |id| format!(r#"{{"id":{id},"code":200,"data":{{"size":1,"version":"2.0.0""#);
    let empty = |id| format!(r#"{{"id":{id},"code":200,"data":{{}},"message":"success"}}"#);
    for (has_upgrade, topic, payload, want) in [
        (true, get.clone(), r#"{"id":"7","params":{"module":"MCU"}}"#, full(r#""7""#)),
        (true, format!("{get}?_rid=1"), r#"{"id":8}"#, full("8")),
        (
            false,
            get.clone(),
            r#"{"id":"1|exp-topic|/sys/x","version":"1.0"}"#,
            empty(r#""1|exp-topic|/sys/x""#),
        ),
        (true, get.clone(), r#"{"id":9,"params":{"module":"a/b"}}"#, empty("9")),
        (
            true,
            topic("/sys", "/thing/event/property/post"),
            r#"{"id":4294967295,"params":{}}"#,
            empty("4294967295"),
        ),
        (
            true,
            topic("/sys", "/thing/topo/get"),
            r#"{"id":"3","params":"{}"}"#,
            empty(r#""3""#).replace("{}", "[]"),
        ),
    ] {
        *node.heard.upgrade.lock().unwrap() = has_upgrade.then(upgrade);
        device.publish(&topic, payload, Qos::AtMostOnce).await;
        let (reply, text) = device.message().await;
        assert_eq!(reply, format!("{}_reply", topic.split('?').next().unwrap()));
        assert!(text.starts_with(&want), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_the_server_is_answered_after_its_commit_and_in_order() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.take_log();
    node.heard.hold();
    let tags = topic("/sys", "/thing/deviceinfo/update");
    let payload = r#"{"id":5,"params":[{"attrKey":"a","attrValue":"b"}]}"#;
    let first = device.publish(&tags, payload, Qos::AtLeastOnce).await.unwrap();
    let second = device.publish(&topic("", "/user/update"), "x", Qos::AtLeastOnce).await.unwrap();
    assert!(device.hears_nothing().await);
    node.heard.commit(0, Ok(Told::Response(Response::refusal(code::NO_DEVICE))));
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(first)));
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(second)));
    let want = r#"{"id":5,"code":6100,"data":{},"message":"device not found"}"#;
    assert_eq!(device.message().await, (format!("{tags}_reply"), want.to_owned()));
    assert_eq!(node.heard.take_log(), [r#"1 asks SaveTags([DeviceTag { key: "a", value: "b" }])"#]);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_is_refused_and_changes_nothing() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.take_log();
    let refusal =
        |id| format!(r#"{{"id":{id},"code":460,"data":{{}},"message":"request parameter error"}}"#);
    for (path, payload, id) in [
        ("/thing/ota/firmware/get", "{", r#""""#),
        ("/thing/deviceinfo/update", "", r#""""#),
        ("/thing/deviceinfo/update", r#"{"id":1,"params":{}}"#, "1"),
        ("/thing/deviceinfo/delete", r#"{"id":"2"}"#, r#""2""#),
        ("/thing/event/property/post", "[]", r#""""#),
    ] {
        let topic = topic("/sys", path);
        device.publish(&topic, payload, Qos::AtMostOnce).await;
        assert_eq!(device.message().await, (format!("{topic}_reply"), refusal(id)));
    }
    assert!(node.heard.take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_old_way_to_ask_is_answered_on_its_own_topic_or_not_at_all() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let request = topic("/ota/device/request", "");
    device.publish(&request, INFORM, Qos::AtMostOnce).await;
    assert!(device.hears_nothing().await);
    *node.heard.upgrade.lock().unwrap() = Some(upgrade());
    let id = device.publish(&request, INFORM, Qos::AtLeastOnce).await.unwrap();
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
    let (topic, text) = device.message().await;
    assert_eq!(topic, request);
    assert!(text.starts_with(r#"{"code":"1000","data":{"size":1"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_time_is_told_in_digits() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    for payload in
        [r#"{"deviceSendTime":"1571724098000"}"#, r#"{ "deviceSendTime": 1571724098000 }"#]
    {
        device.publish(&topic("/ext/ntp", "/request"), payload, Qos::AtMostOnce).await;
        let now = START_MS;
        let told = format!(
            r#"{{"deviceSendTime":"1571724098000","serverRecvTime":"{now}","serverSendTime":"{now}"}}"#
        );
        assert_eq!(device.message().await, (topic("/ext/ntp", "/response"), told));
    }
}

#[tokio::test(start_paused = true)]
async fn what_means_nothing_is_acknowledged_and_dropped() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.take_log();
    let huge = format!(r#"{{"id":1,"params":{{"version":"{}"}}}}"#, "9".repeat(200_000));
    let deep = "[".repeat(100_000);
    for (topic, payload) in [
        (format!("/ota/device/inform/{PRODUCT}/dev-002"), INFORM),
        (format!("/sys/{PRODUCT}/dev-002/thing/ota/firmware/get"), r#"{"id":1}"#),
        (format!("/ext/ntp/{PRODUCT}/dev-002/request"), r#"{"deviceSendTime":"1"}"#),
        (format!("/ota/device/inform/{PRODUCT}/dev-001/../dev-002"), INFORM),
        ("/ota/device/inform".into(), INFORM),
        (topic("/ota/device/upgrade", ""), INFORM),
        (topic("/ota/device/inform", ""), ""),
        (topic("/ota/device/inform", ""), "{}"),
        (topic("/ota/device/inform", ""), "[1]"),
        (topic("/ota/device/inform", ""), &huge),
        (topic("/ota/device/inform", ""), &deep),
        (topic("/ota/device/inform", ""), r#"{"params":{"version":"1","module":"<a>"}}"#),
        (topic("/ota/device/progress", ""), r#"{"params":{"step":101}}"#),
        (topic("/ota/device/progress", ""), r#"{"params":{"step":"x"}}"#),
        (topic("/sys", "/thing/model/up_raw"), "\u{1}\u{2}"),
        (topic("/sys", "/thing/config/push_reply"), r#"{"id":1,"code":200}"#),
        (topic("/sys", "/rrpc/response/x"), "{}"),
        (topic("/ext/ntp", "/request"), "{}"),
        (topic("/ext/ntp", "/request"), r#"{"deviceSendTime":{}}"#),
        (topic("", "/user/update"), "{}"),
    ] {
        let id = device.publish(&topic, payload, Qos::AtLeastOnce).await.unwrap();
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)), "{topic}");
        assert!(device.hears_nothing().await, "{topic}");
    }
    assert!(node.heard.take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_own_topics_are_granted_at_no_more_than_qos_1() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let own = topic("/ota/device/upgrade", "");
    let filters = [own.as_str(), "#", &own.replace("001", "002"), &own];
    let qos = [Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::AtMostOnce];
    let filters = filters.iter().zip(qos).map(|(filter, qos)| ((*filter).into(), qos)).collect();
    let packet_id = device.say(|client, out| client.subscribe(filters, out)).await.unwrap();
    let codes = vec![
        SubscribeCode::Granted(Qos::AtLeastOnce),
        SubscribeCode::Refused,
        SubscribeCode::Refused,
        SubscribeCode::Granted(Qos::AtMostOnce),
    ];
    assert_eq!(device.hear().await, Some(ClientEvent::SubAck { packet_id, codes }));
}

#[tokio::test(start_paused = true)]
async fn a_push_arrives_without_a_subscription_on_the_connection_it_is_for() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let topic = upgrade_topic(&PRODUCT.parse().unwrap(), &"dev-001".parse().unwrap());
    let message = Message::new(topic.clone(), "{}", Qos::AtLeastOnce);
    assert_eq!(node.registry.deliver(peer, message.clone()), Delivery::Accepted);
    assert_eq!(device.message().await, (topic, "{}".into()));
    drop(device);
    settle().await;
    assert_eq!(node.registry.deliver(peer, message), Delivery::Gone);
}
