//! Downloads through the connection.

use super::harness::{Node, settle, topic};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::Qos;

fn request(id: u32, offset: u32) -> String {
    format!(
        r#"{{"id":"{id}","version":"1.0","params":{{"fileToken":"default","fileInfo":{{"streamId":9,"fileId":1,}},"fileBlock":{{"size":256,"offset":{offset}}}}}}}"#
    )
}

/// The JSON part of a frame, and how many bytes follow it.
fn read(payload: &[u8]) -> (String, usize) {
    let length = usize::from(u16::from_be_bytes([payload[0], payload[1]]));
    let json = std::str::from_utf8(&payload[2..2 + length]).unwrap();
    (json.to_owned(), payload.len() - 2 - length)
}

async fn frame(device: &mut super::harness::Device) -> (String, usize) {
    let Some(ClientEvent::Publish { topic: heard, payload, .. }) = device.hear().await else {
        panic!("no block")
    };
    assert_eq!(&*heard, topic("/sys", "/thing/file/download_reply"));
    read(&payload)
}

#[tokio::test(start_paused = true)]
async fn blocks_arrive_framed_one_after_the_other_without_a_subscription() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let asked = topic("/sys", "/thing/file/download?_rid=1");
    device.publish(&asked, &request(1, 0), Qos::AtMostOnce).await;
    let id = device.publish(&asked, &request(2, 512), Qos::AtLeastOnce).await.unwrap();
    let mut blocks = Vec::new();
    while blocks.len() < 2 {
        match device.hear().await {
            Some(ClientEvent::PubAck(done)) => assert_eq!(done, id),
            Some(ClientEvent::Publish { payload, packet_id: None, .. }) => {
                blocks.push(read(&payload));
            }
            other => panic!("{other:?}"),
        }
    }
    let json = |id: u32, offset: u32| {
        format!(
            r#"{{"code":200,"data":{{"bOffset":{offset},"fileLength":16777216,"bSize":256}},"id":"{id}","message":"success"}}"#
        )
    };
    assert_eq!(blocks, [(json(1, 0), 258), (json(2, 512), 258)]);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_takes_long_holds_up_nothing_else() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    let permits = node.heard.blocks.forget_permits(usize::MAX);
    let asked = topic("/sys", "/thing/file/download");
    for id in 0..50 {
        device.publish(&asked, &request(id, 0), Qos::AtMostOnce).await;
    }
    let inform = r#"{"id":1,"params":{"version":"1.0.0"}}"#;
    let id = device.publish(&topic("/ota/device/inform", ""), inform, Qos::AtLeastOnce).await;
    assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id.unwrap())));
    assert!(device.hears_nothing().await);
    node.heard.blocks.add_permits(permits);
    for id in 0..50 {
        assert!(frame(&mut device).await.0.contains(&format!(r#""id":"{id}""#)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_names_no_block_is_told_so_or_ignored() {
    let node = Node::new();
    let mut device = node.device("dev-001").await;
    node.heard.take_log();
    let asked = topic("/sys", "/thing/file/download");
    device
        .publish(&asked, r#"{"id":5,"params":{"fileInfo":{"streamId":-1}}}"#, Qos::AtMostOnce)
        .await;
    let error = r#"{"id":5,"code":460,"message":"request parameter error","data":{}}"#;
    assert_eq!(frame(&mut device).await, (error.to_owned(), 2));
    let long = format!(r#"{{"id":"{}"}}"#, "9".repeat(600));
    for payload in ["", "x", "[]", &long, &"[".repeat(100_000)] {
        let id = device.publish(&asked, payload, Qos::AtLeastOnce).await.unwrap();
        assert_eq!(device.hear().await, Some(ClientEvent::PubAck(id)));
        assert!(device.hears_nothing().await);
    }
    let foreign = asked.replace("dev-001", "dev-002");
    device.publish(&foreign, &request(1, 0), Qos::AtMostOnce).await;
    settle().await;
    assert!(device.hears_nothing().await);
    assert!(node.heard.take_log().is_empty());
}
