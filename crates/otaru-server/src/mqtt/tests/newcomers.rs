//! Devices that connect to get a secret of their own.

use super::harness::{Device, Node, PRODUCT, PRODUCT_SECRET, SECRET, topic};
use otaru_core::signature::device::{SignMethod, register_content};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Connect, ConnectCode, Qos};

fn connect(name: &str, auth_type: &str, secret: &str, keepalive_s: u16) -> Connect {
    let sign = SignMethod::Sha256.sign(secret, &register_content(PRODUCT, name, "r"));
    Connect {
        clean_session: true,
        keepalive_s,
        client_id: format!("{name}.{PRODUCT}|random=r,authType={auth_type},securemode=2|").into(),
        username: Some(format!("{name}&{PRODUCT}").into()),
        password: Some(sign.into()),
        ..Connect::default()
    }
}

async fn newcomer(node: &Node, auth_type: &str, keepalive_s: u16) -> Device {
    let mut device = node.dial(64 * 1024);
    let connect = connect("dev-009", auth_type, PRODUCT_SECRET, keepalive_s);
    assert_eq!(device.connect(&connect).await, Some(ConnectCode::Accepted));
    device
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_hears_its_secret_or_its_token_and_is_not_online() {
    let node = Node::new();
    let secret =
        format!(r#"{{"productKey":"{PRODUCT}","deviceName":"dev-009","deviceSecret":"{SECRET}"}}"#);
    let mut device = newcomer(&node, "register", 60).await;
    assert_eq!(device.message().await, ("/ext/register".to_owned(), secret));
    let token = otaru_core::registration::token(SECRET, "chosen", PRODUCT, "dev-009");
    let token = format!(
        r#"{{"clientId":"chosen","productKey":"{PRODUCT}","deviceName":"dev-009","deviceToken":"{token}"}}"#
    );
    let mut device = newcomer(&node, "regnwl", 60).await;
    assert_eq!(device.message().await, ("/ext/regnwl".to_owned(), token));
    assert_eq!(node.registry.online(), 0);

    // What an application says too early is acknowledged and goes nowhere.
    device.publish(&topic("/ota/device/inform", ""), "{}", Qos::AtLeastOnce).await;
    assert!(matches!(device.hear().await, Some(ClientEvent::PubAck(_))));
    assert_eq!(node.heard.take_log(), ["dev-009 registers", "dev-009 registers"]);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_has_any_keepalive_and_the_time_of_a_stranger() {
    let node = Node::new();
    for keepalive_s in [0, 5, 60, u16::MAX] {
        let mut device = newcomer(&node, "register", keepalive_s).await;
        device.message().await;
        let since = node.gateway.clock.now().mono_ms;
        assert_eq!(device.hear().await, None, "closed though it had {keepalive_s} s");
        let waited = node.gateway.clock.now().mono_ms - since;
        assert!((10_000..=15_000).contains(&waited), "{waited} ms of simulated time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_is_refused_is_told_by_the_connack() {
    let node = Node::new();
    for (connect, code) in [
        (connect("dev-009", "register", "wrong", 60), ConnectCode::NotAuthorized),
        (connect("database-down", "regnwl", PRODUCT_SECRET, 60), ConnectCode::ServerUnavailable),
        (connect("dev-009", "id2", PRODUCT_SECRET, 60), ConnectCode::NotAuthorized),
    ] {
        let mut device = node.dial(64 * 1024);
        assert_eq!(device.connect(&connect).await, Some(code));
        assert_eq!(device.hear().await, None);
    }
}
