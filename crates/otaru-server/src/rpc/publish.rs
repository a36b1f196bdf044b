//! The operation that sends a message to devices.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otaru_core::refusal::{self, Refusal};
use otaru_core::topic::{CustomTopic, TopicError};
use otaru_mqtt::packet::Qos;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use crate::app;
use crate::mqtt::Message;

pub(super) const OPS: &[Op] =
    &[op!("Pub", Messaging, 1600, publish: Pub => Published, PUBLISH_FAILED)];

/// Bytes of a message: what the device protocol allows.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// User properties of a message.
const PROPS_MAX: usize = 20;

request! {
    pub struct Pub {
        content: String = "MessageContent",
        product_key: String = "ProductKey",
        topic: String = "TopicFullName",
        content_type: Option<String> = "ContentType",
        correlation: Option<String> = "CorrelationData",
        device_name: Option<String> = "DeviceName",
        expiry: Option<i64> = "MessageExpiryInterval",
        format: Option<i32> = "PayloadFormatIndicator",
        qos: Option<i32> = "Qos",
        response_topic: Option<String> = "ResponseTopic",
        retained: Option<bool> = "Retained",
        topic_alias: Option<i32> = "TopicAlias",
        props: Vec<UserProp> = "UserProp",
    }

    pub item UserProp {
        key: Option<String> = "Key",
        value: Option<String> = "Value",
    }
}

reply! {
    pub struct Published {
        message_id: String = "MessageId",
    }
}

async fn publish(context: Context<'_>, request: Pub) -> app::Result<Published> {
    let topic = CustomTopic::parse(&request.topic).map_err(|error| match error {
        TopicError::Format => refusal::MALFORMED_TOPIC.with(&request.topic),
        TopicError::Kind => refusal::NO_TOPIC.with(&request.topic),
    })?;
    let message = message(&request)?;
    context.app.publish(context.caller, request.product_key, topic, message).await?;
    Ok(Published { message_id: message_id(context.app.random.number()) })
}

fn message(request: &Pub) -> Result<Message, Refusal> {
    let payload = STANDARD.decode(&request.content).map_err(|_| refusal::NOT_BASE64)?;
    if payload.len() > MESSAGE_BYTES_MAX {
        let detail =
            format!("MessageContent of {} bytes, at most {MESSAGE_BYTES_MAX}", payload.len());
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    let qos = match request.qos.unwrap_or(0) {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        other => return Err(refusal::INVALID_PARAMETER.with(format!("Qos {other}"))),
    };
    // What follows is for MQTT 5 devices; it is checked, and the devices that there are don't hear of it.
    if let Some(other) = request.format.filter(|format| !(0..=1).contains(format)) {
        let detail = format!("PayloadFormatIndicator {other}");
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    if request.props.len() > PROPS_MAX {
        let detail = format!("{} of UserProp, at most {PROPS_MAX}", request.props.len());
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    Ok(Message { topic: request.topic.as_str().into(), payload: payload.into(), qos })
}

/// 19 digits, as those of the original have.
fn message_id(random: u128) -> String {
    const LEAST: u128 = 1_000_000_000_000_000_000;
    (LEAST + random % (8 * LEAST)).to_string()
}
