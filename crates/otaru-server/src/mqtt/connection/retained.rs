//! Messages that are retained: for who subscribes later. MQTT 5.0 has them here, and only topics of a device's own.

use super::{Answer, Connection, End, Filters, Waiting};
use crate::mqtt::mailbox::{Beside, Message};
use crate::mqtt::topics::{Uplink, without_query};
use crate::mqtt::{Devices, Peer, Report, Unavailable};
use bytes::Bytes;
use otaru_core::time::SECOND_MS;
use otaru_core::topic::CustomTopic;
use otaru_mqtt::acks::Ticket;
use otaru_mqtt::packet::{Properties, Qos, Version};
use std::sync::Arc;

impl<D: Devices> Connection<D> {
    /// Whether who speaks here owns the topic and may say there what it likes.
    pub(super) fn is_custom(&self, topic: &str) -> bool {
        let Some((peer, Uplink::Custom(tail))) = self.meant(topic) else { return false };
        self.session.version() == Version::V5
            && CustomTopic::parse(without_query(topic)).is_ok()
            && self.gateway.registry.rules_of(peer.device).may_publish(tail)
    }

    /// Retains a device's message.
    pub(super) fn retain(
        &mut self,
        topic: &str,
        payload: &Bytes,
        ticket: Option<Ticket>,
        properties: Option<Box<Properties>>,
    ) {
        let Some((peer, _)) = self.meant(topic) else { return };
        let qos = if ticket.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let report = self.to_retain(topic, payload, qos, properties);
        let place = self.gateway.devices.report(peer, report);
        self.waiting = Some(Waiting::Place(place, Box::new(Answer { ticket, reply: None })));
    }

    /// A message as it is retained.
    pub(super) fn to_retain(
        &self,
        topic: &str,
        payload: &Bytes,
        qos: Qos,
        properties: Option<Box<Properties>>,
    ) -> Report {
        let now = self.gateway.clock.now().wall;
        let mut properties = properties.map(|properties| *properties).unwrap_or_default();
        let expires_at = properties.expiry_s.take().map(|s| now.plus_ms(i64::from(s) * SECOND_MS));
        properties.topic_alias = None;
        let beside = Some(Arc::new(Beside { properties, expires_at, retain: true }));
        let topic = without_query(topic).to_owned();
        Report::Retain(Box::new(Message { beside, ..Message::new(topic, payload.clone(), qos) }))
    }

    /// Looks for messages that who has just subscribed to these filters is to hear. Until they are found the device's
    /// socket isn't read.
    pub(super) fn look_for_retained(&mut self, filters: Vec<Box<str>>) {
        let Some(online) = &self.online else { return };
        if filters.is_empty() {
            return;
        }
        let mut peers: Vec<Peer> = vec![online.peer];
        let subs = self.subs.as_ref();
        let of_subs = filters.iter().filter_map(|filter| Some(subs?.find(filter)?.1));
        peers.extend(of_subs);
        peers.sort_unstable();
        peers.dedup();
        let found = self.gateway.devices.retained(peers);
        self.waiting = Some(Waiting::Retained(found, Box::new(Filters(filters))));
    }

    /// What is retained was looked up.
    pub(super) fn found_retained(
        &mut self,
        result: Result<Vec<Message>, Unavailable>,
    ) -> Result<(), End> {
        let Some(Waiting::Retained(_, filters)) = self.waiting.take() else { return Ok(()) };
        let messages = result.map_err(|Unavailable| End::Unkept)?;
        let is_meant = |message: &Message| {
            filters.0.iter().any(|filter| otaru_mqtt::topic::matches(filter, &message.topic))
        };
        if let Some(online) = &mut self.online {
            online.retained.extend(messages.into_iter().filter(is_meant));
        }
        Ok(())
    }

    /// Writes retained messages, as far as the socket and the device's window take them.
    pub(super) fn send_retained(&mut self) -> Result<(), End> {
        while self.backlog.is_empty() && !self.is_mute() {
            let has_window = self.session.has_window();
            let fits = |message: &mut Message| message.qos == Qos::AtMostOnce || has_window;
            let Some(online) = &mut self.online else { return Ok(()) };
            let Some(message) = online.retained.pop_front_if(fits) else {
                if online.retained.is_empty() {
                    online.retained.shrink_to_fit();
                }
                return Ok(());
            };
            self.say(message, true)?;
        }
        Ok(())
    }
}
