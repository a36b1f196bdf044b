//! What a connection writes of the messages that others left for its device.

use super::{Connection, End, Subscription};
use crate::metrics::Dropped;
use crate::mqtt::mailbox::{Beside, Message};
use crate::mqtt::topics::{Owner, is_custom_rrpc};
use crate::mqtt::{Devices, Peer};
use otaru_core::time::Timestamp;
use otaru_mqtt::packet::{PacketId, Properties, Qos, Version};
use otaru_mqtt::session::{Outgoing, PublishError};

/// How a device hears a message.
struct Heard {
    qos: Qos,
    /// Of the subscriptions that cover it.
    ids: Vec<u32>,
    /// Whether it is told that the message was sent to be retained.
    tells_retain: bool,
}

impl<D: Devices> Connection<D> {
    /// Writes messages that others left, as far as the socket and the device's window take them. Beyond the device's rate those at
    /// QoS 0 are dropped, and the others wait.
    pub(super) fn empty_mailbox(&mut self) -> Result<(), End> {
        while self.backlog.is_empty() && self.session.is_connected() {
            let (has_window, is_mute) = (self.session.has_window(), self.is_mute());
            let fits = |qos| qos == Qos::AtMostOnce || (has_window && !is_mute);
            let Some(message) = self.mailbox.take_if(|message| fits(message.qos)) else { break };
            if is_mute {
                self.metrics().dropped.count(Dropped::Rate);
                continue;
            }
            self.say(message, false)?;
        }
        Ok(())
    }

    /// Says a message, unless it is not to be heard. `was_retained`: it comes late, and the device is told so.
    pub(super) fn say(&mut self, message: Message, was_retained: bool) -> Result<(), End> {
        self.say_as(message, was_retained, false).map(|_| ())
    }

    /// As [`Connection::say`]; `is_again`: it may have been said before. At QoS 1 its PUBACK will carry the id.
    pub(super) fn say_as(
        &mut self,
        message: Message,
        was_retained: bool,
        is_again: bool,
    ) -> Result<Option<PacketId>, End> {
        let Some(mut heard) = self.heard(&message) else {
            self.metrics().dropped.count(Dropped::NotSubscribed);
            return Ok(None);
        };
        heard.tells_retain |= was_retained;
        let now = self.gateway.clock.now().wall;
        let is_five = self.session.version() == Version::V5;
        let Some(mut outgoing) = outgoing(message, heard, is_five, now) else {
            self.metrics().dropped.count(Dropped::Expired);
            return Ok(None);
        };
        outgoing.dup = is_again;
        self.send_out(outgoing)
    }

    /// Writes a message; at QoS 1 its PUBACK will carry the id. One that can't be written is dropped.
    fn send_out(&mut self, outgoing: Outgoing) -> Result<Option<PacketId>, End> {
        let mut outcome = Ok(None);
        self.write(|session, out| outcome = session.send(outgoing, out))?;
        self.note_told();
        match outcome {
            Ok(packet_id) => return Ok(packet_id),
            Err(PublishError::TooLarge(_)) => self.metrics().dropped.count(Dropped::TooLarge),
            Err(error) => {
                tracing::error!(%error, "a message for a device could not be written: {error}");
            }
        }
        Ok(None)
    }

    /// How the device hears a message; `None` when it has not subscribed to its topic.
    fn heard(&self, message: &Message) -> Option<Heard> {
        let covering = || self.subscriptions.iter().filter(|it| it.covers(&message.topic));
        let subscribed = || covering().map(|subscription| subscription.qos).max();
        let qos = match self.asked_for(&message.topic) {
            None => message.qos,
            Some((peer, tail)) => match subscribed() {
                Some(granted) => granted.min(message.qos),
                None if self.hears_by_itself(peer, tail, &message.topic) => message.qos,
                None => return None,
            },
        };
        let tells_retain = message.beside.as_ref().is_some_and(|beside| beside.retain)
            && covering().any(|subscription| subscription.retain_as_published);
        Some(Heard { qos, ids: covering().filter_map(Subscription::id).collect(), tells_retain })
    }

    /// Of a topic that is heard only by who has subscribed to it: whose it is, and its tail below their names.
    fn asked_for<'a>(&self, topic: &'a str) -> Option<(Peer, Option<&'a str>)> {
        let asked = |owner: &Owner, peer: Peer| {
            owner.needs_subscription(topic).then(|| (peer, owner.tail(topic)))
        };
        let own = self.online.as_ref().and_then(|online| asked(&online.owner, online.peer));
        own.or_else(|| {
            let (owner, peer) = self.subs.as_ref()?.find(topic)?;
            asked(&owner, peer)
        })
    }

    /// Whether the product of a device, or its CONNECT, has subscribed for it.
    fn hears_by_itself(&self, peer: Peer, tail: Option<&str>, topic: &str) -> bool {
        if is_custom_rrpc(topic) {
            return self.online.as_ref().is_some_and(|online| online.knows_custom_rrpc);
        }
        tail.is_some_and(|tail| self.gateway.registry.rules_of(peer.device).is_heard(tail))
    }
}

/// The message as it is said at `now`; `None` when its time is over.
fn outgoing(message: Message, heard: Heard, is_five: bool, now: Timestamp) -> Option<Outgoing> {
    let Message { topic, payload, qos: _, beside } = message;
    let Heard { qos, ids, tells_retain: retain } = heard;
    let left_s = |beside: &Beside| beside.expires_at.map(|at| seconds_left(at, now));
    let expiry_s = beside.as_deref().and_then(left_s);
    if expiry_s == Some(0) {
        return None;
    }
    let has_properties = is_five && (beside.is_some() || !ids.is_empty());
    let properties = has_properties.then(|| {
        let said = beside.map(|beside| beside.properties.clone()).unwrap_or_default();
        Box::new(Properties { expiry_s, subscription_ids: ids, ..said })
    });
    Some(Outgoing { topic, payload, qos, dup: false, retain, properties })
}

/// Whole seconds from `now` to `at`, a started one with them; 0 when that is over.
fn seconds_left(at: Timestamp, now: Timestamp) -> u32 {
    let left_ms = at.0.saturating_sub(now.0).max(0);
    u32::try_from((left_ms + 999) / 1_000).unwrap_or(u32::MAX)
}
