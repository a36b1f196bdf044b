//! Who is let in, who is closed and when.

use super::harness::{Node, PRODUCT, connect, settle};
use crate::mqtt::{Delivery, Link, Message, bind, serve};
use otaru_core::id::DeviceNo;
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{Connect, ConnectCode, Qos};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_refused_device_hears_its_code_and_is_closed() {
    use ConnectCode::{
        BadUsernameOrPassword, IdentifierRejected, NotAuthorized, ServerUnavailable,
    };
    let node = Node::new();
    let good = || connect("dev-001", "c");
    for (connect, code) in [
        (Connect { username: Some("dev-001".into()), ..good() }, BadUsernameOrPassword),
        (Connect { username: None, password: None, ..good() }, BadUsernameOrPassword),
        (Connect { password: None, ..good() }, BadUsernameOrPassword),
        (Connect { password: Some("00".into()), ..good() }, BadUsernameOrPassword),
        (Connect { client_id: "c|signmethod=hmacsha1|".into(), ..good() }, BadUsernameOrPassword),
        (Connect { client_id: "d|signmethod=hmacsha256|".into(), ..good() }, BadUsernameOrPassword),
        (
            Connect { username: Some(format!("dev-002&{PRODUCT}").into()), ..good() },
            BadUsernameOrPassword,
        ),
        (connect("unknown-device", "c"), BadUsernameOrPassword),
        (connect("disabled", "c"), NotAuthorized),
        (
            Connect { password: Some("00".into()), ..connect("disabled", "c") },
            BadUsernameOrPassword,
        ),
        (connect("database-down", "c"), ServerUnavailable),
        (connect("dev-001", &"x".repeat(65)), IdentifierRejected),
        (Connect { client_id: "".into(), clean_session: false, ..good() }, IdentifierRejected),
        (Connect { keepalive_s: 29, ..good() }, NotAuthorized),
        (Connect { keepalive_s: 0, ..good() }, NotAuthorized),
        (Connect { keepalive_s: 1_201, ..good() }, NotAuthorized),
    ] {
        let mut device = node.dial(4096);
        assert_eq!(device.connect(&connect).await, Some(code), "{connect:?}");
        assert_eq!(device.hear().await, None);
    }
    assert!(node.heard.take_log().is_empty());
    node.device("dev-001").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_mqtt_closes_its_connection_and_no_other() {
    let node = Node::new();
    let mut bystander = node.device("dev-002").await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01",
        b"\x00",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x10\xff\xff\xff\x7f",
        b"\x10\x0d\0\x04MQTT\x04\x03\0\x3c\0\x01a",
        b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01\xff",
        b"\xc0\0",
        b"\x30\x03\0\x01a",
    ] {
        let mut device = node.dial(4096);
        device.link.write_all(bytes).await;
        assert_eq!(device.hear().await, None, "{bytes:02x?}");
    }
    for bytes in [
        &b"\x34\x05\0\x01a\0\x01"[..],
        b"\xff\xff\xff\xff\xff",
        b"\0\0",
        b"\x10\0",
        b"\x62\x02\0\x01",
        b"\xd0\0",
        b"\x30\xff\xff\x3f",
    ] {
        let mut device = node.device("dev-001").await;
        device.link.write_all(bytes).await;
        assert_eq!(device.hear().await, None, "{bytes:02x?}");
    }
    assert!(bystander.hears_nothing().await);
}

#[tokio::test(start_paused = true)]
async fn half_a_connect_is_waited_for_ten_seconds_and_no_byte_buys_more() {
    let node = Node::new();
    let mut device = node.dial(4096);
    for byte in b"\x10\x0d\0\x04MQ" {
        device.link.write_all(&[*byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(node.gateway.clock.now().mono_ms, 6_000);
    assert_eq!(device.hear().await, None);
    let closed_ms = node.gateway.clock.now().mono_ms;
    assert!((10_000..=15_000).contains(&closed_ms), "{closed_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_is_closed_after_one_and_a_half_keepalives() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert!(device.hears_nothing().await);
    let heard_ms = node.gateway.clock.now().mono_ms;
    assert_eq!(device.hear().await, None);
    let silent_ms = node.gateway.clock.now().mono_ms - heard_ms;
    assert!((90_000..=95_000).contains(&silent_ms), "{silent_ms}");
    assert_eq!(node.heard.take_log(), ["1 online from 127.0.0.1", "1 offline"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_lost_its_network_is_closed_too() {
    let node = Node::new();
    let device = node.device("dev-001").await;
    device.link.silence();
    tokio::time::sleep(Duration::from_secs(96)).await;
    assert_eq!(node.heard.take_log(), ["1 online from 127.0.0.1", "1 offline"]);
    assert_eq!(node.registry.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_newest_connection_of_a_device_wins_whatever_its_client_id() {
    let node = Node::new();
    let mut first = node.device("dev-001").await;
    let mut other = node.device("dev-002").await;
    let older = node.registry.peer(DeviceNo(1)).unwrap();
    let mut second = node.dial(4096);
    assert_eq!(second.connect(&connect("dev-001", "another")).await, Some(ConnectCode::Accepted));
    assert_eq!(first.hear().await, None);
    assert!(second.hears_nothing().await && other.hears_nothing().await);

    let newer = node.registry.peer(DeviceNo(1)).unwrap();
    assert!(newer.epoch > older.epoch);
    let message = || Message::new("/t", "x", Qos::AtMostOnce);
    assert_eq!(node.registry.deliver(older, message()), Delivery::Gone);
    assert_eq!(node.registry.deliver(newer, message()), Delivery::Accepted);
    assert_eq!(second.message().await, ("/t".into(), "x".into()));
    let log = node.heard.take_log();
    assert_eq!(log.iter().filter(|line| *line == "1 offline").count(), 1, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_leaves_or_breaks_is_offline() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    device.say(|client, out| client.disconnect(out)).await;
    assert_eq!(device.hear().await, None);
    let device = node.device("dev-001").await;
    device.link.cut();
    settle().await;
    let device = node.device("dev-001").await;
    drop(device);
    settle().await;
    let log = ["1 online from 127.0.0.1", "1 offline"].repeat(3);
    assert_eq!(node.heard.take_log(), log);
    assert_eq!(node.registry.peer(DeviceNo(1)), None);
}

#[tokio::test(start_paused = true)]
async fn a_kicked_device_and_a_server_that_ends_close_connections() {
    let node = Node::new();
    let (mut one, mut two) = (node.device("dev-001").await, node.device("dev-002").await);
    let mut stranger = node.dial(16);
    node.registry.kick(DeviceNo(1), otaru_core::topology::SubEnd::Deleted);
    assert_eq!(one.hear().await, None);
    assert!(two.hears_nothing().await);
    settle().await;
    node.registry.close_all().await;
    assert_eq!((two.hear().await, stranger.hear().await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_is_small() {
    let node = Node::new();
    let (near, _far) = crate::mqtt::MemoryLink::pair(16);
    let pass = IpAddr::from([127, 0, 0, 1]).into();
    let task = Arc::clone(&node.gateway).connection(Link::Memory(near), pass);
    assert!(size_of_val(&task) <= 1_280, "{}", size_of_val(&task));
}

#[tokio::test]
async fn a_device_is_served_over_tcp() {
    let node = Node::new();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(Arc::clone(&node.gateway), listener, None));
    let link = Link::Socket(tokio::net::TcpStream::connect(address).await.unwrap().into());
    let (mut client, mut out) = (Client::default(), bytes::BytesMut::new());
    client.connect(connect("dev-001", "c"), &mut out).unwrap();
    client.ping(&mut out);
    assert_eq!(link.try_write(&out).unwrap(), out.len());
    let mut events = Vec::new();
    while events.len() < 2 {
        link.readable().await.unwrap();
        let mut buffer = [0; 64];
        let Ok(count) = link.try_read(&mut buffer) else { continue };
        let mut input = &buffer[..count];
        while let Some(event) = client.next(&mut input).unwrap() {
            events.push(event);
        }
    }
    let accepted = ClientEvent::ConnAck { session_present: false, code: ConnectCode::Accepted };
    assert_eq!(events, [accepted, ClientEvent::Pong]);
}
