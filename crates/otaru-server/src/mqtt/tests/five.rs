//! Devices that speak MQTT 5.0.

use super::harness::{Device, Node, PRODUCT, START_MS, connect, settle, topic};
use crate::mqtt::{Beside, Delivery, DeviceLimits, GateLimits, Message, Resumed};
use bytes::{Bytes, BytesMut};
use otaru_core::id::DeviceNo;
use otaru_core::time::Timestamp;
use otaru_core::topology::SubEnd;
use otaru_mqtt::codec;
use otaru_mqtt::framer::Framer;
use otaru_mqtt::packet::{
    ByteString, Connect, ConnectCode, Packet, PacketId, Properties, Publish, Qos, Reason,
    RetainHandling, SubscribeCode, SubscribeOptions, Version, Welcome, Will,
};
use std::sync::Arc;
use std::time::Duration;

/// A device that says and hears packets of MQTT 5.0.
struct Five {
    device: Device,
    framer: Framer,
    read: BytesMut,
}

fn five(name: &str, client_id: &str) -> Connect {
    Connect { version: Version::V5, ..connect(name, client_id) }
}

impl Five {
    fn dial(node: &Node) -> Self {
        let (framer, read) = (Framer::default(), BytesMut::new());
        Self { device: node.dial(64 * 1024), framer, read }
    }

    async fn connected(node: &Node, connect: Connect) -> (Self, Welcome) {
        let mut five = Self::dial(node);
        match five.ask(Packet::Connect(Box::new(connect))).await {
            Some(Packet::ConnAck { welcome: Some(welcome), .. }) => (five, *welcome),
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        codec::encode(packet, Version::V5, &mut out).unwrap();
        self.device.link.write_all(&out).await;
    }

    /// The next packet; `None` when the server closes the connection.
    async fn hear(&mut self) -> Option<Packet> {
        loop {
            let mut input = &self.read[..];
            let packet = self.framer.next(&mut input, usize::MAX, &mut Version::V5).unwrap();
            self.read = input.into();
            if packet.is_some() {
                return packet;
            }
            if !self.device.link.read_more(&mut self.read).await {
                return None;
            }
        }
    }

    async fn ask(&mut self, packet: Packet) -> Option<Packet> {
        self.say(packet).await;
        self.hear().await
    }

    /// The reason with which the server closes the connection.
    async fn end(&mut self) -> Reason {
        let Some(Packet::Disconnect { reason, text, .. }) = self.hear().await else { panic!() };
        assert!(text.is_some());
        assert_eq!(self.hear().await, None);
        reason
    }

    async fn subscribe(&mut self, id: Option<u32>, filter: &str) -> Vec<SubscribeCode> {
        let options = SubscribeOptions { retain_as_published: true, ..Qos::AtLeastOnce.into() };
        let filters = vec![(filter.into(), options)];
        match self.ask(Packet::Subscribe { packet_id: PacketId::MIN, id, filters }).await {
            Some(Packet::SubAck { codes, .. }) => codes,
            other => panic!("{other:?}"),
        }
    }

    async fn message(&mut self) -> Publish {
        match self.hear().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    async fn hears_nothing(&mut self) -> bool {
        self.ask(Packet::PingReq).await == Some(Packet::PingResp)
    }
}

fn publish(topic: impl Into<ByteString>, payload: &'static str) -> Packet {
    Packet::Publish(Publish {
        topic: topic.into(),
        payload: payload.into(),
        qos: Qos::AtLeastOnce,
        packet_id: Some(PacketId::MIN),
        dup: false,
        retain: false,
        properties: None,
    })
}

fn deliver(node: &Node, message: Message) {
    let peer = node.registry.peer(DeviceNo(1)).unwrap();
    assert_eq!(node.registry.deliver(peer, message), Delivery::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_device_is_told_what_it_may_do_and_gets_an_id_when_it_has_none() {
    let node = Node::new();
    for (client_id, expiry_s, assigned) in [("c", 0, None), ("", 600, Some("dev-001"))] {
        let asked = Connect { session_expiry_s: expiry_s, ..five("dev-001", client_id) };
        let (_, welcome) = Five::connected(&node, asked).await;
        let want = Welcome {
            // Nothing outlives the connection, and the device is told when it hoped for more.
            session_expiry_s: (expiry_s > 0).then_some(0),
            receive_max: 100,
            packet_bytes_max: 270_857,
            topic_alias_max: 16,
            retains: false,
            client_id: assigned.map(|name| format!("{PRODUCT}.{name}").into()),
        };
        assert_eq!(welcome, want);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_device_hears_its_reason_and_is_closed() {
    let node = Node::new();
    let good = || five("dev-001", "c");
    let will = |qos| {
        let (topic, payload) = (topic("", "/user/update"), Bytes::new());
        let (topic, properties) = (topic.into(), Properties::default());
        Some(Box::new(Will { topic, payload, qos, retain: false, delay_s: 0, properties }))
    };
    for (connect, reason) in [
        (Connect { username: None, ..good() }, 0x86),
        (Connect { password: Some("00".into()), ..good() }, 0x86),
        (five("unknown-device", "c"), 0x86),
        (five("disabled", "c"), 0x87),
        (five("database-down", "c"), 0x88),
        (five("dev-001", &"x".repeat(65)), 0x85),
        (Connect { keepalive_s: 29, ..good() }, 0x87),
        (Connect { will: will(Qos::ExactlyOnce), ..good() }, 0x9b),
    ] {
        let mut device = Five::dial(&node);
        let answer = device.ask(Packet::Connect(Box::new(connect.clone()))).await;
        let Some(Packet::ConnAck { session_present: false, code, welcome: None, .. }) = answer
        else {
            panic!("{answer:?}")
        };
        let want = match reason {
            0x85 => ConnectCode::IdentifierRejected,
            0x86 => ConnectCode::BadUsernameOrPassword,
            0x87 => ConnectCode::NotAuthorized,
            0x88 => ConnectCode::ServerUnavailable,
            reason => ConnectCode::Other(Reason(reason)),
        };
        assert_eq!(code, want, "{connect:?}");
        assert_eq!(device.hear().await, None);
    }
    for (bytes, reason) in [
        (&b"\x10\x0e\0\x04MQTT\x06\x02\0\x3c\0\0\x01a"[..], 0x84),
        (b"\x10\x0e\0\x04MQTT\x05\x03\0\x3c\0\0\x01a", 0x81),
        (b"\x10\x11\0\x04MQTT\x05\x02\0\x3c\x03\x21\0\0\0\x01a", 0x82),
        (b"\x10\x12\0\x04MQTT\x05\x02\0\x3c\x04\x15\0\x01m\0\x01a", 0x8c),
    ] {
        let mut device = Five::dial(&node);
        device.device.link.write_all(bytes).await;
        let answer = device.hear().await;
        let mut out = BytesMut::new();
        codec::encode(answer.unwrap(), Version::V5, &mut out).unwrap();
        assert_eq!(&[out[0], out[2], out[3]], &[0x20, 0, reason], "{bytes:02x?}");
        assert_eq!(device.hear().await, None);
    }
    assert!(node.heard.take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_device_is_told_why_its_connection_ends() {
    let node = Node::new();
    let device = async || Five::connected(&node, five("dev-001", "c")).await.0;
    for (bytes, reason) in [
        (&b"\xe1\0"[..], 0x81),
        (b"\x30\x04\0\x01+\0", 0x81),
        (b"\x30\x05\0\0\x02\x01\0", 0x82),
        (b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01a", 0x82),
        (b"\x30\x09\0\x01a\x03\x23\0\x11hi", 0x94),
        (b"\x30\xff\xff\x7f", 0x95),
        (b"\x31\x04\0\x01a\0", 0x9a),
        (b"\x34\x06\0\x01a\0\x01\0", 0x9b),
    ] {
        let mut device = device().await;
        device.device.link.write_all(bytes).await;
        assert_eq!(device.end().await, Reason(reason), "{bytes:02x?}");
    }
    let mut older = device().await;
    let mut newer = device().await;
    assert_eq!(older.end().await, Reason::TAKEN_OVER);
    node.registry.kick(DeviceNo(1), SubEnd::Disabled);
    assert_eq!(newer.end().await, Reason::ADMINISTRATIVE);
    let mut silent = device().await;
    tokio::time::sleep(Duration::from_secs(96)).await;
    assert_eq!(silent.end().await, Reason::KEEPALIVE);
    let mut last = device().await;
    tokio::join!(biased; node.registry.close_all(), async {
        assert_eq!(last.end().await, Reason::SHUTTING_DOWN);
    });
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_tell_what_is_not_the_device_s_own() {
    let node = Node::new();
    let (mut device, _) = Five::connected(&node, five("dev-001", "c")).await;
    let inform = r#"{"id":1,"params":{"version":"1.0.0"}}"#;
    for (topic, reason) in [
        (topic("/ota/device/inform", ""), Reason::SUCCESS),
        (topic("/ota/device/inform", "").replace("001", "002"), Reason::NOT_AUTHORIZED),
        (topic("", "/user/update"), Reason::SUCCESS),
    ] {
        let answer = device.ask(publish(topic.clone(), inform)).await;
        assert_eq!(answer, Some(Packet::PubAck(PacketId::MIN, reason)), "{topic}");
    }
    for (filter, code) in [
        (topic("", "/user/get"), SubscribeCode::Granted(Qos::AtLeastOnce)),
        (topic("", "/user/get").replace("001", "002"), SubscribeCode::NotAuthorized),
        (format!("$share/group{}", topic("", "/user/get")), SubscribeCode::SharedNotSupported),
    ] {
        assert_eq!(device.subscribe(None, &filter).await, [code], "{filter}");
    }
    for n in 1..100 {
        device.subscribe(None, &topic("", &format!("/user/{n}"))).await;
    }
    let full = device.subscribe(None, &topic("", "/user/100")).await;
    assert_eq!(full, [SubscribeCode::QuotaExceeded]);
    let filters = vec![topic("", "/user/get").into(), topic("", "/user/no").into()];
    let answer = device.ask(Packet::Unsubscribe { packet_id: PacketId::MIN, filters }).await;
    let existed = vec![true, false];
    assert_eq!(answer, Some(Packet::UnsubAck { packet_id: PacketId::MIN, existed }));
}

#[tokio::test(start_paused = true)]
async fn what_stands_beside_a_message_reaches_devices_that_can_hear_it() {
    let node = Node::new();
    let get = topic("", "/user/get");
    let beside = Beside {
        properties: Properties {
            content_type: Some("text/plain".into()),
            response_topic: Some("/r".into()),
            correlation: Some("c".into()),
            is_text: true,
            user: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
            ..Properties::default()
        },
        expires_at: Some(Timestamp(START_MS + 10_500)),
        retain: true,
    };
    let message = Message {
        beside: Some(Arc::new(beside.clone())),
        ..Message::new(get.clone(), "hello", Qos::AtLeastOnce)
    };
    let (mut device, _) = Five::connected(&node, five("dev-001", "c")).await;
    device.subscribe(Some(7), &get).await;
    device.subscribe(Some(8), &topic("", "/#")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    deliver(&node, message.clone());
    let heard = device.message().await;
    assert_eq!((&*heard.topic, &heard.payload[..]), (&*get, &b"hello"[..]));
    assert!(heard.retain && heard.packet_id.is_some());
    let want = Properties {
        // What is left of it, with the second that has begun.
        expiry_s: Some(9),
        subscription_ids: vec![7, 8],
        ..beside.properties.clone()
    };
    assert_eq!(heard.properties.as_deref(), Some(&want));
    tokio::time::sleep(Duration::from_secs(9)).await;
    deliver(&node, message.clone());
    assert!(device.hears_nothing().await, "its time is over");

    // A device of MQTT 3.1.1 hears the message and nothing else.
    let mut old = node.device("dev-001").await;
    old.say(|client, out| client.subscribe(vec![(get.clone().into(), Qos::AtLeastOnce)], out))
        .await
        .unwrap();
    old.hear().await;
    let forever = Beside { expires_at: None, ..beside };
    deliver(&node, Message { beside: Some(Arc::new(forever)), ..message });
    assert_eq!(old.message().await, (get, "hello".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_push_reaches_the_device_without_a_subscription_and_never_longer_than_it_takes() {
    let node = Node::new();
    let upgrade = topic("/ota/device/upgrade", "");
    let asked = Connect { packet_bytes_max: Some(200), ..five("dev-001", "c") };
    let (mut device, _) = Five::connected(&node, asked).await;
    deliver(&node, Message::new(upgrade.clone(), vec![b'x'; 200], Qos::AtLeastOnce));
    deliver(&node, Message::new(upgrade.clone(), "{}", Qos::AtLeastOnce));
    let heard = device.message().await;
    assert_eq!((&*heard.topic, &heard.payload[..]), (&*upgrade, &b"{}"[..]));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_sent_at_once_than_the_device_can_receive() {
    let node = Node::new();
    let asked = Connect { receive_max: 1, ..five("dev-001", "c") };
    let (mut device, _) = Five::connected(&node, asked).await;
    for payload in ["1", "2"] {
        deliver(&node, Message::new("/t", payload, Qos::AtLeastOnce));
    }
    let first = device.message().await;
    assert!(device.hears_nothing().await);
    device.say(Packet::PubAck(first.packet_id.unwrap(), Reason::UNSPECIFIED)).await;
    assert_eq!(&device.message().await.payload[..], b"2");
}

#[tokio::test(start_paused = true)]
async fn an_alias_stands_for_a_topic_in_both_directions() {
    let node = Node::new();
    let asked = Connect { topic_alias_max: 1, ..five("dev-001", "c") };
    let (mut device, _) = Five::connected(&node, asked).await;
    let alias = |topic: String, payload| {
        let Packet::Publish(mut publish) = publish(topic, payload) else { panic!() };
        publish.properties.get_or_insert_default().topic_alias = Some(PacketId::MIN);
        Packet::Publish(publish)
    };
    let inform = topic("/ota/device/inform", "");
    device.ask(alias(inform, r#"{"id":1,"params":{"version":"1.0.0"}}"#)).await;
    device.ask(alias(String::new(), r#"{"id":2,"params":{"version":"1.0.1"}}"#)).await;
    let log = node.heard.take_log();
    assert_eq!(log[1..], ["1 has default 1.0.0", "1 has default 1.0.1"]);
    for want in ["/t", ""] {
        deliver(&node, Message::new("/t", "x", Qos::AtMostOnce));
        assert_eq!(&*device.message().await.topic, want);
    }
}

fn will(topic: String, payload: &'static str, retain: bool) -> Box<Will> {
    let (topic, payload, qos) = (topic.into(), payload.into(), Qos::AtLeastOnce);
    let properties = Properties::default();
    Box::new(Will { topic, payload, qos, retain, delay_s: 30, properties })
}

const GONE: &str = r#"{"id":1,"params":{"version":"gone"}}"#;

fn retaining() -> Node {
    Node::with_gates(GateLimits { retains: true, ..GateLimits::default() })
}

#[tokio::test(start_paused = true)]
async fn a_will_is_said_when_its_device_goes_without_a_farewell() {
    let farewell = |reason| {
        let (session_expiry_s, text) = (None, None);
        Some(Packet::Disconnect { reason, session_expiry_s, text })
    };
    for (farewell, is_said) in [
        (None, true),
        (farewell(Reason::SUCCESS), false),
        (farewell(Reason::WITH_WILL), true),
        // A second CONNECT: the server ends the connection.
        (Some(Packet::Connect(Box::new(five("dev-001", "c")))), true),
    ] {
        let node = Node::new();
        let will = Some(will(topic("/ota/device/inform", ""), GONE, false));
        let (mut device, _) =
            Five::connected(&node, Connect { will, ..five("dev-001", "c") }).await;
        if let Some(packet) = farewell.clone() {
            device.say(packet).await;
        }
        drop(device);
        settle().await;
        let mut want = vec!["1 online from 127.0.0.1", "1 has default gone", "1 offline"];
        if !is_said {
            want.remove(1);
        }
        assert_eq!(node.heard.take_log(), want, "{farewell:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_will_says_nothing_that_its_device_may_not() {
    let node = Node::new();
    for (topic, retain, reason) in [
        (topic("/ota/device/inform", "").replace("001", "002"), false, Reason::TOPIC_NAME),
        (topic("", "/user/update"), true, Reason::RETAIN),
    ] {
        let connect = Connect { will: Some(will(topic, GONE, retain)), ..five("dev-001", "c") };
        let mut device = Five::dial(&node);
        let answer = device.ask(Packet::Connect(Box::new(connect))).await;
        let Some(Packet::ConnAck { code, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(code, ConnectCode::Other(reason));
    }
    // Nobody could answer these, and garbage stays garbage.
    for (topic, payload) in [
        (topic("/sys", "/thing/ota/firmware/get"), r#"{"id":1,"params":{}}"#),
        (topic("", "/user/update"), GONE),
        (topic("/ota/device/inform", ""), "{"),
    ] {
        let connect = Connect { will: Some(will(topic, payload, false)), ..five("dev-001", "c") };
        drop(Five::connected(&node, connect).await);
        settle().await;
        assert_eq!(node.heard.take_log(), ["1 online from 127.0.0.1", "1 offline"]);
    }
}

/// A session that outlives its connection by a minute.
fn lasting(node: &Node) {
    let resumed = Resumed { present: true, is_kept: true, expiry_s: 60, ..Resumed::default() };
    *node.heard.resumed.lock().unwrap() = resumed;
}

fn is_said(node: &Node) -> bool {
    node.heard.take_log().iter().any(|line| line.contains("has default gone"))
}

#[tokio::test(start_paused = true)]
async fn a_will_waits_for_its_delay_as_long_as_the_session_lives() {
    for (delay_s, comes_by_s) in [(30, 40), (600, 70), (0, 0)] {
        let node = Node::new();
        lasting(&node);
        let will = will(topic("/ota/device/inform", ""), GONE, false);
        let will = Some(Box::new(Will { delay_s, ..*will }));
        let connect =
            Connect { will, session_expiry_s: 60, clean_session: false, ..five("dev-001", "c") };
        drop(Five::connected(&node, connect).await);
        settle().await;
        assert_eq!(is_said(&node), delay_s == 0, "{delay_s}");
        if delay_s > 0 {
            tokio::time::sleep(Duration::from_secs(u64::from(delay_s.min(60)) - 1)).await;
            assert!(!is_said(&node), "{delay_s}");
            tokio::time::sleep(Duration::from_secs(comes_by_s)).await;
            assert!(is_said(&node), "{delay_s}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_back_in_time_takes_its_will_back_unless_it_begins_anew() {
    for (clean, leaves_before) in [(false, true), (false, false), (true, true), (true, false)] {
        let node = Node::new();
        lasting(&node);
        let will = Some(will(topic("/ota/device/inform", ""), GONE, false));
        let kept = Connect { session_expiry_s: 60, clean_session: false, ..five("dev-001", "c") };
        let (first, _) = Five::connected(&node, Connect { will, ..kept.clone() }).await;
        let first = (!leaves_before).then_some(first);
        settle().await;
        let (_second, _) = Five::connected(&node, Connect { clean_session: clean, ..kept }).await;
        settle().await;
        assert_eq!(is_said(&node), clean, "{clean} {leaves_before}");
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(!is_said(&node), "not again");
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn wills_beyond_those_that_may_wait_are_said_at_once() {
    let limits = DeviceLimits { wills_waiting_max: 0, ..DeviceLimits::default() };
    let node = Node::with(limits, GateLimits::default());
    lasting(&node);
    let will = Some(will(topic("/ota/device/inform", ""), GONE, false));
    let kept = Connect { will, session_expiry_s: 60, clean_session: false, ..five("dev-001", "c") };
    drop(Five::connected(&node, kept).await);
    settle().await;
    assert!(is_said(&node));
}

fn retained(topic: impl Into<ByteString>, payload: &'static str) -> Packet {
    let Packet::Publish(publish) = publish(topic, payload) else { panic!() };
    let properties = Properties { expiry_s: Some(60), is_text: true, ..Properties::default() };
    let (retain, properties) = (true, Some(Box::new(properties)));
    Packet::Publish(Publish { retain, properties, ..publish })
}

#[tokio::test(start_paused = true)]
async fn a_retained_message_is_heard_by_who_subscribes_later() {
    let node = retaining();
    let (mut device, welcome) = Five::connected(&node, five("dev-001", "c")).await;
    assert!(welcome.retains);
    let state = topic("", "/user/state");
    let answer = device.ask(retained(state.clone(), "on")).await;
    assert_eq!(answer, Some(Packet::puback(PacketId::MIN)));
    let answer = device.ask(retained(state.clone(), "too much")).await;
    assert_eq!(answer, Some(Packet::PubAck(PacketId::MIN, Reason::QUOTA)));
    assert!(device.hears_nothing().await, "it has not subscribed");

    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = Connect { receive_max: 1, ..five("dev-001", "c") };
    let (mut device, _) = Five::connected(&node, asked).await;
    // The answer comes first, and no more at once than the device can receive.
    assert_eq!(device.subscribe(Some(7), &state).await, [SubscribeCode::Granted(Qos::AtLeastOnce)]);
    let heard = device.message().await;
    assert_eq!((&*heard.topic, &heard.payload[..], heard.retain), (&*state, &b"on"[..], true));
    let said = heard.properties.unwrap();
    assert_eq!((said.expiry_s, said.is_text), (Some(50), true));
    assert_eq!(said.subscription_ids, [7]);
    device.subscribe(None, &state).await;
    assert!(device.hears_nothing().await, "its window is full");
    device.say(Packet::PubAck(heard.packet_id.unwrap(), Reason::SUCCESS)).await;
    assert!(device.message().await.retain);

    // Other filters, later times and older devices hear nothing of it.
    device.subscribe(None, &topic("", "/user/get")).await;
    assert!(device.hears_nothing().await);
    let mut old = node.device("dev-001").await;
    let filters = vec![(state.clone().into(), Qos::AtLeastOnce)];
    old.say(|client, out| client.subscribe(filters, out)).await.unwrap();
    old.hear().await;
    assert!(old.hears_nothing().await);
    tokio::time::sleep(Duration::from_secs(51)).await;
    let (mut device, _) = Five::connected(&node, five("dev-001", "c")).await;
    device.subscribe(None, &state).await;
    assert!(device.hears_nothing().await, "its time is over");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_says_whether_it_wants_what_is_retained() {
    let node = retaining();
    let (mut device, _) = Five::connected(&node, five("dev-001", "c")).await;
    let state = topic("", "/user/state");
    device.ask(retained(state.clone(), "on")).await;
    for (retain_handling, hears) in [
        (RetainHandling::Never, false),
        (RetainHandling::IfNew, false),
        (RetainHandling::Always, true),
    ] {
        let options = SubscribeOptions { retain_handling, ..Qos::AtMostOnce.into() };
        let filters = vec![(state.clone().into(), options)];
        let packet_id = PacketId::MIN;
        device.ask(Packet::Subscribe { packet_id, id: None, filters }).await;
        if hears {
            assert_eq!(device.message().await.qos, Qos::AtMostOnce);
        }
        assert!(device.hears_nothing().await, "{retain_handling:?}");
    }
    device.ask(Packet::Unsubscribe { packet_id: PacketId::MIN, filters: vec![state.into()] }).await;
    let options =
        SubscribeOptions { retain_handling: RetainHandling::IfNew, ..Qos::AtMostOnce.into() };
    let filters = vec![(topic("", "/user/state").into(), options)];
    device.ask(Packet::Subscribe { packet_id: PacketId::MIN, id: None, filters }).await;
    assert!(device.message().await.retain);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_said_on_topics_of_its_own_is_retained() {
    let node = retaining();
    let will = Some(will(topic("", "/user/state"), "off", true));
    let (mut device, _) = Five::connected(&node, Connect { will, ..five("dev-001", "c") }).await;
    let inform = r#"{"id":1,"params":{"version":"1.0.0"}}"#;
    device.ask(retained(topic("/ota/device/inform", ""), inform)).await;
    device.ask(retained(topic("", "/user/state").replace("001", "002"), "x")).await;
    device.ask(retained(topic("/shadow/update", ""), "x")).await;
    drop(device);
    settle().await;
    let want = [
        "1 online from 127.0.0.1".to_owned(),
        "1 has default 1.0.0".to_owned(),
        format!("1 retains {}", topic("", "/user/state")),
        "1 offline".to_owned(),
    ];
    assert_eq!(node.heard.take_log(), want);
}
