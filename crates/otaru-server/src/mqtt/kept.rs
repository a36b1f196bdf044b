//! What of a device's session outlives its connection.

use super::mailbox::Message;
use otaru_core::id::MessageNo;
use otaru_mqtt::packet::{Properties, Qos};

/// What a CONNECT wants of the device's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWish {
    /// What was kept before is to be forgotten.
    pub clean: bool,
    /// Seconds that the session is to outlive the connection; `None`: as long as the server has it.
    pub expiry_s: Option<u32>,
}

/// The session that a device has from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resumed {
    /// There was one, and it goes on.
    pub present: bool,
    /// What happens in it is kept.
    pub is_kept: bool,
    /// Seconds that it will outlive the connection.
    pub expiry_s: u32,
    pub subscriptions: Vec<KeptSubscription>,
    /// Messages wait in it.
    pub has_messages: bool,
    /// Messages up to this one may have been sent before.
    pub sent_to: Option<MessageNo>,
}

/// A subscription that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSubscription {
    pub filter: Box<str>,
    /// As it was granted.
    pub qos: Qos,
    /// What the device wants named beside the messages; MQTT 5.0 has it.
    pub id: Option<u32>,
    pub retain_as_published: bool,
}

/// What becomes of a session's subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionChange {
    Put(KeptSubscription),
    Drop(Box<str>),
}

/// A message that waits in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    pub no: MessageNo,
    pub message: Message,
}

/// Some messages of a session, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessagePage {
    pub messages: Vec<KeptMessage>,
    /// There are more behind them.
    pub has_more: bool,
}

impl Message {
    /// Bytes that keeping it takes.
    pub fn bytes(&self) -> u64 {
        let beside = self.beside.as_ref().map_or(0, |beside| length(&beside.properties));
        (self.topic.len() + self.payload.len() + beside) as u64
    }
}

fn length(properties: &Properties) -> usize {
    let Properties { content_type, response_topic, correlation, user, .. } = properties;
    let texts = [content_type, response_topic].into_iter().flatten().map(|text| text.len());
    let user = user.iter().map(|(key, value)| key.len() + value.len());
    texts.chain(user).sum::<usize>() + correlation.as_ref().map_or(0, bytes::Bytes::len)
}
