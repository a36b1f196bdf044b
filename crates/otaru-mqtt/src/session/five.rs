//! What both ends of a connection of MQTT 5.0 have agreed on. Source: MQTT 5.0, sections 3.1.2.11 and 3.3.2.3.4.

use super::{Limits, ProtocolError, PublishError};
use crate::codec::{self, DecodeError};
use crate::packet::{Connect, Packet, Properties, Publish, Qos, Version};
use bytes::BytesMut;
use bytestring::ByteString;
use std::num::NonZeroU16;

/// Holds what CONNECT said, and topics of at most twice [`Limits::topic_aliases_max`].
#[derive(Debug)]
pub(super) struct Five {
    receive_max: u16,
    packet_bytes_max: usize,
    session_expiry_s: u32,
    /// Whether the client was told that messages can be retained.
    pub(super) retains: bool,
    /// Topics by the client's alias, less 1; an empty one has none yet.
    theirs: Vec<ByteString>,
    theirs_max: u16,
    /// Topics by our alias, less 1.
    ours: Vec<ByteString>,
    ours_max: u16,
}

impl Five {
    /// What a CONNECT asks for, as far as it is granted.
    ///
    /// # Errors
    /// [`ProtocolError`] when it asks for something that isn't spoken.
    pub(super) fn agreed(connect: &Connect, limits: &Limits) -> Result<Self, ProtocolError> {
        if connect.has_auth_method {
            return Err(ProtocolError::AuthMethod);
        }
        if connect.will.as_ref().is_some_and(|will| will.qos == Qos::ExactlyOnce) {
            return Err(ProtocolError::Qos2);
        }
        Ok(Self {
            receive_max: connect.receive_max,
            packet_bytes_max: connect
                .packet_bytes_max
                .and_then(|max| usize::try_from(max).ok())
                .unwrap_or(usize::MAX),
            session_expiry_s: connect.session_expiry_s,
            retains: false,
            theirs: Vec::new(),
            theirs_max: limits.topic_aliases_max,
            ours: Vec::new(),
            ours_max: limits.topic_aliases_max.min(connect.topic_alias_max),
        })
    }

    pub(super) fn receive_max(&self) -> usize {
        usize::from(self.receive_max)
    }

    /// Whether the client takes a packet of `bytes`.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        bytes <= self.packet_bytes_max
    }

    /// Whether a DISCONNECT may change the expiry of the session: not from nothing to something.
    pub(super) fn may_end_with(&self, session_expiry_s: Option<u32>) -> Result<(), ProtocolError> {
        match session_expiry_s {
            Some(1..) if self.session_expiry_s == 0 => {
                Err(ProtocolError::Decode(DecodeError::Protocol))
            }
            _ => Ok(()),
        }
    }

    /// The topic of a message from the client, which may be an alias.
    pub(super) fn topic_of(
        &mut self,
        topic: ByteString,
        properties: Option<&Properties>,
    ) -> Result<ByteString, ProtocolError> {
        let Some(properties) = properties else { return Ok(topic) };
        if !properties.subscription_ids.is_empty() {
            return Err(DecodeError::Protocol.into());
        }
        let Some(alias) = properties.topic_alias.map(NonZeroU16::get) else { return Ok(topic) };
        if alias > self.theirs_max {
            return Err(DecodeError::TopicAlias.into());
        }
        let place = usize::from(alias - 1);
        if topic.is_empty() {
            let known = self.theirs.get(place).filter(|topic| !topic.is_empty());
            return known.cloned().ok_or(DecodeError::Protocol.into());
        }
        if self.theirs.len() <= place {
            self.theirs.resize(place + 1, ByteString::new());
        }
        // A copy: the topic shares the bytes of its message, which would stay with it.
        self.theirs[place] = (&*topic).into();
        Ok(topic)
    }

    /// Writes a message, with an alias for its topic as long as there are any.
    pub(super) fn publish(
        &mut self,
        mut publish: Publish,
        out: &mut BytesMut,
    ) -> Result<(), PublishError> {
        let known = self.ours.iter().position(|topic| *topic == publish.topic);
        let is_new = known.is_none() && self.ours.len() < usize::from(self.ours_max);
        let place = known.or(is_new.then_some(self.ours.len()));
        let alias = place.and_then(|place| NonZeroU16::new(u16::try_from(place + 1).ok()?));
        let topic: Option<ByteString> = is_new.then(|| (&*publish.topic).into());
        if alias.is_some() || publish.properties.is_some() {
            publish.properties.get_or_insert_default().topic_alias = alias;
        }
        if known.is_some() {
            publish.topic = ByteString::new();
        }
        let before = out.len();
        codec::encode(Packet::Publish(publish), Version::V5, out)?;
        let length = out.len() - before;
        if !self.takes(length) {
            out.truncate(before);
            return Err(PublishError::TooLarge(length));
        }
        self.ours.extend(topic);
        Ok(())
    }
}
