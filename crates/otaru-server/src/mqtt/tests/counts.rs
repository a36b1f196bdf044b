//! Every reason for which the device door turns somebody or something away is counted under its own label.

use super::harness::{Node, PRODUCT, connect, settle, topic};
use crate::metrics::{Delayed, Dropped, Ended, Phase, Refused};
use crate::mqtt::{Delivery, Message};
use otaru_core::id::DeviceNo;
use otaru_mqtt::packet::{Connect, ConnectCode, Qos};
use std::time::Duration;

/// A CONNECT of MQTT 3.1.1 with the rest of its variable header and payload.
fn raw_connect(protocol: &[u8], level: u8, rest: &[u8]) -> Vec<u8> {
    let name_length = u8::try_from(protocol.len()).unwrap();
    let body = [&[0, name_length], protocol, &[level, 2, 0, 60], rest].concat();
    [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_connect_is_counted_with_its_reason() {
    let good = || connect("dev-001", "c");
    let name = |name: &str| Some(format!("{name}&{PRODUCT}").into());
    for (connect, reason) in [
        (connect("dev-001", &"x".repeat(65)), Refused::ClientId),
        (Connect { client_id: "".into(), clean_session: false, ..good() }, Refused::ClientId),
        (Connect { keepalive_s: 29, ..good() }, Refused::Keepalive),
        (Connect { username: Some("dev-001".into()), ..good() }, Refused::Credentials),
        (Connect { password: None, ..good() }, Refused::Credentials),
        (Connect { client_id: "c|authType=x|".into(), ..good() }, Refused::AuthType),
        (Connect { username: name("nobody"), ..good() }, Refused::UnknownDevice),
        (Connect { password: Some("00".into()), ..good() }, Refused::Signature),
        (connect("disabled", "c"), Refused::Disabled),
        (connect("database-down", "c"), Refused::Unavailable),
    ] {
        let node = Node::new();
        let mut device = node.dial(4096);
        assert_ne!(device.connect(&connect).await, Some(ConnectCode::Accepted));
        assert_eq!(device.hear().await, None);
        node.refused(reason);
    }

    let node = Node::new();
    let device = node.dial(4096);
    device.link.write_all(&raw_connect(b"MQTT", 9, b"\0\x01a")).await;
    settle().await;
    node.refused(Refused::Version);

    // Kicked between the look-up and its answer.
    let node = Node::new();
    let mut device = node.dial(4096);
    device.say(|client, out| client.connect(connect("slow-look-up", "c"), out)).await.unwrap();
    settle().await;
    node.registry.kick(DeviceNo(4), otaru_core::topology::SubEnd::Deleted);
    node.heard.looks.add_permits(1);
    settle().await;
    node.refused(Refused::Kicked);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_strangers_connection_is_counted_with_its_reason() {
    let announced_5_kb = [&b"\x10\x88\x27"[..], &[0; 8]].concat();
    for (bytes, reason) in [
        (&raw_connect(b"MQTT", 4, b"\0\x01\xff")[..], Ended::Malformed),
        (&announced_5_kb, Ended::TooLarge),
        (b"GET / HTTP/1.1\r\n\r\n", Ended::Protocol),
        (b"\x10", Ended::Silent),
    ] {
        let node = Node::new();
        let mut device = node.dial(4096);
        device.link.write_all(bytes).await;
        assert_eq!(device.hear().await, None);
        node.ended(Phase::Stranger, reason);
    }

    let node = Node::new();
    node.dial(16).link.cut();
    settle().await;
    node.ended(Phase::Stranger, Ended::Broken);

    let node = Node::new();
    let device = node.dial(16);
    device.link.close();
    settle().await;
    node.ended(Phase::Stranger, Ended::Eof);

    let node = Node::new();
    let _device = node.dial(16);
    settle().await;
    node.registry.close_all().await;
    settle().await;
    node.ended(Phase::Stranger, Ended::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_devices_connection_is_counted_with_its_reason() {
    for (bytes, reason) in [
        (&b"\xff\xff\xff\xff\xff"[..], Ended::Malformed),
        (b"\x30\xff\xff\x3f", Ended::TooLarge),
        (b"\x34\x05\0\x01a\0\x01", Ended::Protocol),
        (b"\xe0\0", Ended::Farewell),
        (b"", Ended::Silent),
    ] {
        let node = Node::new();
        let mut device = node.device("dev-001").await;
        device.link.write_all(bytes).await;
        assert_eq!(device.hear().await, None);
        node.ended(Phase::Device, reason);
    }

    let node = Node::new();
    let mut device = node.device("dev-001").await;
    device.link.close();
    assert_eq!(device.hear().await, None);
    node.ended(Phase::Device, Ended::Eof);

    let node = Node::new();
    node.device("dev-001").await.link.cut();
    settle().await;
    node.ended(Phase::Device, Ended::Broken);

    let node = Node::new();
    let _older = node.device("dev-001").await;
    let _newer = node.device("dev-001").await;
    settle().await;
    node.ended(Phase::Device, Ended::Replaced);

    let node = Node::new();
    let _device = node.device("dev-001").await;
    node.registry.kick(DeviceNo(1), otaru_core::topology::SubEnd::Deleted);
    settle().await;
    node.ended(Phase::Device, Ended::Kicked);

    let node = Node::new();
    let _device = node.device("dev-001").await;
    node.registry.close_all().await;
    settle().await;
    node.ended(Phase::Device, Ended::Shutdown);

    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.hold();
    device.publish(&topic("/ota/device/inform", ""), INFORM, Qos::AtLeastOnce).await;
    settle().await;
    node.heard.commit(0, Err(crate::mqtt::Unavailable));
    assert_eq!(device.hear().await, None);
    node.ended(Phase::Device, Ended::Unkept);

    let node = Node::new();
    let mut device = node.dial(300);
    assert_eq!(device.connect(&connect("dev-001", "c")).await, Some(ConnectCode::Accepted));
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    while node.registry.deliver(peer, message(&topic("", "/x"))) == Delivery::Accepted {}
    settle().await;
    node.ended(Phase::Device, Ended::Slow);
    assert_eq!(node.registry.metrics().dropped.get(Dropped::Slow), 1);
}

const INFORM: &str = r#"{"id":1,"params":{"version":"1.0"}}"#;

fn message(topic: &str) -> Message {
    Message::new(topic, vec![0; 10_000], Qos::AtMostOnce)
}

#[tokio::test(start_paused = true)]
async fn every_message_that_goes_nowhere_is_counted_with_its_reason() {
    for (topic, payload, reason) in [
        ("/no/such/topic".into(), "x", Dropped::Foreign),
        (topic("/ota/device/inform", ""), "{", Dropped::Malformed),
        (topic("/sys", "/thing/ota/firmware/get"), "{", Dropped::Malformed),
        (topic("/sys", "/rrpc/response/x"), "{}", Dropped::Unheard),
        (topic("/shadow/update", ""), "{}", Dropped::Malformed),
    ] {
        let node = Node::new();
        let mut device = node.device("dev-001").await;
        device.publish(&topic, payload, Qos::AtMostOnce).await;
        if topic.starts_with("/shadow/") {
            assert_eq!(device.message().await.0, topic.replace("update", "get"));
        } else if topic.ends_with("/get") {
            // It is told of the refusal.
            assert_eq!(device.message().await.0, format!("{topic}_reply"));
        }
        assert!(device.hears_nothing().await);
        node.dropped(reason);
    }

    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    let custom = message(&topic("", "/user/get"));
    assert_eq!(node.registry.deliver(peer, custom.clone()), Delivery::Accepted);
    assert!(device.hears_nothing().await);
    node.dropped(Dropped::NotSubscribed);

    let node = Node::new();
    assert_eq!(node.registry.deliver(peer, custom), Delivery::Gone);
    node.dropped(Dropped::Offline);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_not_read_for_a_moment_is_counted() {
    for (qos, reason) in
        [(Qos::AtMostOnce, Delayed::Reports), (Qos::AtLeastOnce, Delayed::Acknowledgements)]
    {
        let node = Node::new();
        let mut device = node.device("dev-001").await;
        node.heard.hold();
        for _ in 0..120 {
            device.publish(&topic("/ota/device/inform", ""), INFORM, qos).await;
            settle().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(node.registry.metrics().delayed.get(reason) > 0, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_while_they_are_open() {
    let node = Node::new();
    let open = || node.registry.metrics().connections.gauge(crate::metrics::Door::Mqtt).get();
    let (one, _two) = (node.device("dev-001").await, node.dial(16));
    assert_eq!(open(), 2);
    drop(one);
    settle().await;
    assert_eq!(open(), 1);
    assert_eq!(node.registry.metrics().accepted.get(crate::metrics::Door::Mqtt), 2);
}

impl Node {
    /// Exactly one connection ended, and for this reason.
    fn ended(&self, phase: Phase, reason: Ended) {
        let metrics = self.registry.metrics();
        for other in Phase::ALL {
            for ended in Ended::ALL {
                let want = u64::from((*other, *ended) == (phase, reason));
                assert_eq!(metrics.mqtt_ended.get((*other, *ended)), want, "{other:?} {ended:?}");
            }
        }
    }

    /// Exactly one CONNECT was refused, and for this reason.
    fn refused(&self, reason: Refused) {
        for refused in Refused::ALL {
            let want = u64::from(*refused == reason);
            let count = self.registry.metrics().mqtt_refused.get(*refused);
            assert_eq!(count, want, "{refused:?} for {reason:?}");
        }
        self.ended(Phase::Stranger, Ended::Refused);
    }

    /// Exactly one message went nowhere, and for this reason.
    fn dropped(&self, reason: Dropped) {
        for dropped in Dropped::ALL {
            let want = u64::from(*dropped == reason);
            let count = self.registry.metrics().dropped.get(*dropped);
            assert_eq!(count, want, "{dropped:?} for {reason:?}");
        }
    }
}
