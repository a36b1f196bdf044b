//! Sessions that outlive their connection, as the door sees them.

use super::harness::{Device, Node, connect, settle, topic};
use crate::mqtt::{KeptMessage, KeptSubscription, Message, Resumed};
use otaru_core::id::{DeviceNo, MessageNo};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Connect, ConnectCode, PacketId, Qos};

fn kept_session() -> Resumed {
    let filter = topic("", "/user/get").into();
    let subscription =
        KeptSubscription { filter, qos: Qos::AtLeastOnce, id: None, retain_as_published: false };
    Resumed {
        present: true,
        is_kept: true,
        expiry_s: 60,
        subscriptions: vec![subscription],
        has_messages: true,
        sent_to: None,
    }
}

fn wait(node: &Node, numbers: impl IntoIterator<Item = i64>) {
    let message = |no: i64| KeptMessage {
        no: MessageNo(no),
        message: Message::new(topic("", "/user/get"), no.to_string(), Qos::AtLeastOnce),
    };
    *node.heard.waits.lock().unwrap() = Some(numbers.into_iter().map(message).collect());
}

/// A device that wants its session kept, and whether there was one.
async fn resumes(node: &Node) -> (Device, bool) {
    let mut device = node.dial(64 * 1024);
    let connect = Connect { clean_session: false, ..connect("dev-001", "c") };
    device.say(|client, out| client.connect(connect, out)).await.unwrap();
    match device.hear().await {
        Some(ClientEvent::ConnAck { code: ConnectCode::Accepted, session_present }) => {
            (device, session_present)
        }
        other => panic!("{other:?}"),
    }
}

/// The next message, and whether it is said to be sent again.
async fn next(device: &mut Device) -> (String, Option<PacketId>, bool) {
    match device.hear().await {
        Some(ClientEvent::Publish { payload, packet_id, dup, .. }) => {
            (String::from_utf8(payload.to_vec()).unwrap(), packet_id, dup)
        }
        other => panic!("{other:?}"),
    }
}

async fn acknowledges(device: &mut Device, packet_id: Option<PacketId>) {
    device.say(|client, out| client.puback(packet_id.unwrap(), out)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_follows_the_connack_in_order_and_is_forgotten_once_acknowledged() {
    let node = Node::new();
    *node.heard.resumed.lock().unwrap() = Resumed { sent_to: Some(MessageNo(4)), ..kept_session() };
    wait(&node, [3, 4, 7, 8, 9]);
    let (mut device, present) = resumes(&node).await;
    assert!(present);
    let mut heard = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (payload, packet_id, dup) = next(&mut device).await;
        heard.push((payload, dup));
        ids.push(packet_id);
    }
    let want = [("3", true), ("4", true), ("7", false), ("8", false), ("9", false)];
    assert_eq!(heard, want.map(|(payload, dup)| (payload.to_owned(), dup)));
    node.heard.take_log();
    acknowledges(&mut device, ids[0]).await;
    acknowledges(&mut device, ids[3]).await;
    assert_eq!(node.heard.take_log(), ["1 has [3]", "1 has [8]"]);
    // What comes now is told by the registry, and read behind the last one.
    wait(&node, [4, 7, 9, 12]);
    node.registry.tell_kept(DeviceNo(1));
    assert_eq!(next(&mut device).await.0, "12");
    drop(device);
    settle().await;
    assert_eq!(node.heard.take_log(), ["1 offline", "1 leaves for 60 s, sent to Some(12)"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_acknowledges_nothing_is_sent_a_window_and_no_more() {
    let node = Node::new();
    *node.heard.resumed.lock().unwrap() = kept_session();
    wait(&node, 1..=150);
    let (mut device, _) = resumes(&node).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(next(&mut device).await.1);
    }
    assert!(device.hears_nothing().await, "the window is full");
    acknowledges(&mut device, ids[7]).await;
    assert_eq!(next(&mut device).await.0, "101");
    assert!(device.hears_nothing().await, "it is full again");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_answered_once_it_is_kept_and_only_when_it_is_new() {
    let node = Node::new();
    *node.heard.resumed.lock().unwrap() = Resumed { has_messages: false, ..kept_session() };
    node.heard.filters.forget_permits(usize::MAX >> 4);
    let (mut device, _) = resumes(&node).await;
    node.heard.take_log();
    let (had, new) = (topic("", "/user/get"), topic("", "/user/set"));
    let filters = |text: &str| vec![(text.to_owned().into(), Qos::AtLeastOnce)];
    device.say(|client, out| client.subscribe(filters(&had), out)).await.unwrap();
    assert!(matches!(device.hear().await, Some(ClientEvent::SubAck { .. })));
    device.say(|client, out| client.subscribe(filters(&new), out)).await.unwrap();
    device.say(|client, out| client.ping(out)).await;
    settle().await;
    assert_eq!(node.heard.take_log(), [format!("1 + {new}")]);
    node.heard.filters.add_permits(1);
    assert!(matches!(device.hear().await, Some(ClientEvent::SubAck { .. })));
    assert!(matches!(device.hear().await, Some(ClientEvent::Pong)));
    node.heard.filters.add_permits(1);
    device.say(|client, out| client.unsubscribe(vec![new.clone().into()], out)).await.unwrap();
    assert!(matches!(device.hear().await, Some(ClientEvent::UnsubAck(_))));
    assert_eq!(node.heard.take_log(), [format!("1 - {new}")]);
    // What can't be kept is not answered.
    node.heard.filters.close();
    device.say(|client, out| client.subscribe(filters(&new), out)).await.unwrap();
    assert_eq!(device.hear().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_asked_again_when_the_device_gives_a_sign_of_life() {
    let node = Node::new();
    *node.heard.resumed.lock().unwrap() = kept_session();
    *node.heard.waits.lock().unwrap() = None;
    let (mut device, _) = resumes(&node).await;
    assert!(device.hears_nothing().await);
    wait(&node, [1]);
    device.say(|client, out| client.ping(out)).await;
    assert!(matches!(device.hear().await, Some(ClientEvent::Pong)));
    assert_eq!(next(&mut device).await.0, "1");
}

#[tokio::test(start_paused = true)]
async fn who_wants_nothing_kept_asks_nobody_unless_there_is_something_to_forget() {
    let node = Node::new();
    let device = node.device("dev-001").await;
    assert_eq!(node.heard.take_log(), ["1 online from 127.0.0.1"]);
    drop(device);
    settle().await;
    assert_eq!(node.heard.take_log(), ["1 offline"]);
    *node.heard.resumed.lock().unwrap() = Resumed { present: true, ..Resumed::default() };
    let mut device = node.dial(64 * 1024);
    device.say(|client, out| client.connect(connect("dev-001", "c"), out)).await.unwrap();
    device.hear().await.unwrap();
    let log = node.heard.take_log();
    assert_eq!(log, ["1 online from 127.0.0.1", "1 opens a session: true Some(0)"]);
}
