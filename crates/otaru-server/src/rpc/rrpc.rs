//! The operations that speak to many devices at once, and to one that answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otaru_core::refusal::{self, Refusal};
use otaru_core::topic::CustomTopic;
use otaru_mqtt::packet::Qos;

use super::op::{Context, Op, op};
use super::publish::{MESSAGE_BYTES_MAX, decoded, parsed};
use super::request::request;
use super::tree::reply;
use crate::app::{self, RrpcAnswer, RrpcRequest};
use crate::mqtt::Message;

pub(super) const OPS: &[Op] = &[
    op!("PubBroadcast", Messaging, 1, broadcast: PubBroadcast => Broadcast, PUBLISH_FAILED),
    op!("RRpc", Messaging, 1000, rrpc: RRpc => Answered, PUBLISH_FAILED),
];

/// Bytes of a message to all devices of a product.
const BROADCAST_BYTES_MAX: usize = 64 * 1024;
/// Milliseconds that a call may wait for a device.
const TIMEOUTS_MS: std::ops::RangeInclusive<i32> = 1_000..=8_000;

request! {
    pub struct PubBroadcast {
        content: String = "MessageContent",
        product_key: String = "ProductKey",
        topic: Option<String> = "TopicFullName",
    }

    pub struct RRpc {
        device_name: String = "DeviceName",
        product_key: String = "ProductKey",
        request: String = "RequestBase64Byte",
        timeout: i32 = "Timeout",
        content_type: Option<String> = "ContentType",
        topic: Option<String> = "Topic",
    }
}

reply! {
    pub struct Broadcast {
        message_id: i64 = "MessageId",
    }

    pub struct Answered {
        message_id: i64 = "MessageId",
        payload: Option<String> = "PayloadBase64Byte",
        rrpc_code: String = "RrpcCode",
    }
}

async fn broadcast(context: Context<'_>, request: PubBroadcast) -> app::Result<Broadcast> {
    let PubBroadcast { content, product_key, topic } = request;
    let topic = topic.map(|text| parsed(&text).map(|topic| (topic, text))).transpose()?;
    if let Some((CustomTopic::OfDevice { .. }, text)) = &topic {
        return Err(refusal::NO_TOPIC.with(text).into());
    }
    let payload = decoded("MessageContent", &content, BROADCAST_BYTES_MAX)?;
    let id = number(context.app.random.number());
    match topic {
        Some((topic, text)) => {
            let message = Message::new(text.as_str(), payload, Qos::AtMostOnce);
            context.app.publish(context.caller, product_key, topic, message).await?;
        }
        None => context.app.broadcast(context.caller, product_key, id, payload).await?,
    }
    Ok(Broadcast { message_id: id })
}

async fn rrpc(context: Context<'_>, request: RRpc) -> app::Result<Answered> {
    let RRpc { device_name, product_key, request, timeout, content_type: _, topic } = request;
    let topic = topic.map(|text| parsed(&text).map(|topic| (topic, text))).transpose()?;
    let payload = decoded("RequestBase64Byte", &request, MESSAGE_BYTES_MAX)?;
    let id = number(context.app.random.number());
    let request = RrpcRequest {
        product_key,
        device_name,
        topic,
        payload,
        timeout_ms: timeout_ms(timeout)?,
        message_id: id,
    };
    let (code, payload) = match context.app.rrpc(context.caller, request).await? {
        RrpcAnswer::Success(payload) => ("SUCCESS", Some(STANDARD.encode(payload))),
        RrpcAnswer::Timeout => ("TIMEOUT", None),
        RrpcAnswer::Offline => ("OFFLINE", None),
    };
    let payload = payload.filter(|text| !text.is_empty());
    Ok(Answered { message_id: id, payload, rrpc_code: code.to_owned() })
}

/// The number of a message, which replies show as such: at most 53 bits, so that clients in JavaScript keep all of it.
fn number(random: u128) -> i64 {
    1 + i64::try_from(random % ((1 << 53) - 1)).expect("53 bits fit")
}

fn timeout_ms(timeout: i32) -> Result<u64, Refusal> {
    match u64::try_from(timeout) {
        Ok(ms) if TIMEOUTS_MS.contains(&timeout) => Ok(ms),
        _ => Err(refusal::INVALID_PARAMETER.with(format!("Timeout {timeout}"))),
    }
}
