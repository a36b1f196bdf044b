//! The operation that sends a message to devices.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use otaru_core::refusal::{self, Refusal};
use otaru_core::time::{SECOND_MS, Timestamp};
use otaru_core::topic::{CustomTopic, TopicError};
use otaru_mqtt::packet::{Properties, Qos};
use otaru_mqtt::topic::is_name;
use std::sync::Arc;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use crate::app;
use crate::mqtt::{Beside, Message};

pub(super) const OPS: &[Op] =
    &[op!("Pub", Messaging, 1600, publish: Pub => Published, PUBLISH_FAILED)];

/// Bytes of a message: what the device protocol allows.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// User properties of a message.
const PROPS_MAX: usize = 20;
/// Bytes of all that is said beside a message.
const BESIDE_BYTES_MAX: usize = 8 * 1024;

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
    let topic = parsed(&request.topic)?;
    let message = message(&request, context.app.clock.now().wall)?;
    context.app.publish(context.caller, request.product_key, topic, message).await?;
    Ok(Published { message_id: message_id(context.app.random.number()) })
}

/// A topic that a call names.
pub(super) fn parsed(topic: &str) -> Result<CustomTopic, Refusal> {
    CustomTopic::parse(topic).map_err(|error| match error {
        TopicError::Format => refusal::MALFORMED_TOPIC.with(topic),
        TopicError::Kind => refusal::NO_TOPIC.with(topic),
    })
}

/// The bytes that a parameter holds in Base64.
pub(super) fn decoded(name: &str, text: &str, bytes_max: usize) -> Result<Bytes, Refusal> {
    let payload = STANDARD.decode(text).map_err(|_| refusal::NOT_BASE64)?;
    if payload.len() > bytes_max {
        let detail = format!("{name} of {} bytes, at most {bytes_max}", payload.len());
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    Ok(payload.into())
}

fn message(request: &Pub, now: Timestamp) -> Result<Message, Refusal> {
    let payload = decoded("MessageContent", &request.content, MESSAGE_BYTES_MAX)?;
    let qos = match request.qos.unwrap_or(0) {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        other => return Err(refusal::INVALID_PARAMETER.with(format!("Qos {other}"))),
    };
    let beside = beside(request, now)?;
    let beside = (beside != Beside::default()).then(|| Arc::new(beside));
    Ok(Message { beside, ..Message::new(request.topic.as_str(), payload, qos) })
}

/// What devices that speak MQTT 5.0 are told beside the message. An alias of the topic is each connection's own affair,
/// so the one of the call says nothing.
fn beside(request: &Pub, now: Timestamp) -> Result<Beside, Refusal> {
    let refuse = |detail: String| Err(refusal::INVALID_PARAMETER.with(detail));
    let is_text = match request.format.unwrap_or(0) {
        0 => false,
        1 => true,
        other => return refuse(format!("PayloadFormatIndicator {other}")),
    };
    let expiry_s = match request.expiry.map(u32::try_from) {
        None => None,
        Some(Ok(seconds)) => Some(seconds),
        Some(Err(_)) => {
            return refuse(format!("MessageExpiryInterval {}", request.expiry.unwrap_or_default()));
        }
    };
    if request.props.len() > PROPS_MAX {
        return refuse(format!("{} of UserProp, at most {PROPS_MAX}", request.props.len()));
    }
    if let Some(topic) = request.response_topic.as_deref().filter(|topic| !is_name(topic)) {
        return refuse(format!("ResponseTopic {topic}"));
    }
    let user: Vec<_> = request.props.iter().map(UserProp::texts).collect();
    let texts = [&request.content_type, &request.correlation, &request.response_topic];
    let bytes = texts.into_iter().flatten().map(String::len).sum::<usize>()
        + user.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    if bytes > BESIDE_BYTES_MAX {
        return refuse(format!("{bytes} bytes beside the message, at most {BESIDE_BYTES_MAX}"));
    }
    Ok(Beside {
        properties: Properties {
            content_type: request.content_type.as_deref().map(Into::into),
            response_topic: request.response_topic.as_deref().map(Into::into),
            correlation: request.correlation.clone().map(Into::into),
            is_text,
            user: user.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ..Properties::default()
        },
        expires_at: expiry_s.map(|seconds| now.plus_ms(i64::from(seconds) * SECOND_MS)),
        retain: request.retained == Some(true),
    })
}

impl UserProp {
    fn texts(&self) -> (&str, &str) {
        (self.key.as_deref().unwrap_or_default(), self.value.as_deref().unwrap_or_default())
    }
}

/// 19 digits, as those of the original have.
fn message_id(random: u128) -> String {
    const LEAST: u128 = 1_000_000_000_000_000_000;
    (LEAST + random % (8 * LEAST)).to_string()
}
