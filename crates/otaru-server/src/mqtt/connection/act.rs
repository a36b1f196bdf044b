//! What a connection does about each thing that a device says.

use super::kept::FilterAnswer;
use super::{Answer, Claim, Connection, End, Online, Reply, Waiting};
use crate::metrics::{Delayed, Dropped, Refused};
use crate::mqtt::auth::{Credentials, Visitor};
use crate::mqtt::topics::{
    Owner, Uplink, named, reply_topic, shadow_reply_topic, time_topic, without_query,
};
use crate::mqtt::{Devices, Identity, Later, REPORTS_MAX, Report, SessionWish, Told, Unavailable};
use bytes::Bytes;
use otaru_core::message::{Ask, Inform, Progress, Request, Response, code, reply};
use otaru_core::shadow::ShadowAsk;
use otaru_core::version::ModuleName;
use otaru_mqtt::acks::Ticket;
use otaru_mqtt::packet::{Connect, ConnectCode, Qos, Reason, Version};
use otaru_mqtt::session::Event;
use serde_json::Value;
use std::collections::VecDeque;

impl<D: Devices> Connection<D> {
    pub(super) fn act(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Connect(connect) => self.connect(*connect),
            Event::Publish { topic, payload, ticket, retain, properties, dup: _ } => {
                let qos = if ticket.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
                if !self.is_within_rate(qos) {
                    return self.drop_one(ticket, Dropped::Rate);
                }
                if !self.gateway.devices_may.admit_topic(&topic) {
                    self.metrics().dropped.count(Dropped::Topic);
                    return self.ack_with(ticket, Reason::TOPIC_NAME);
                }
                if self.session.acks_waiting() >= self.gateway.limits.uplink_in_flight_max {
                    self.metrics().delayed.count(Delayed::Acknowledgements);
                }
                if retain && self.is_custom(&topic) {
                    self.retain(&topic, &payload, ticket, properties);
                    return Ok(());
                }
                self.published(&topic, &payload, ticket)
            }
            Event::Subscribe { packet_id, id, filters } => {
                let (codes, changes, wanted) = self.subscribe(id, &filters);
                self.keep_filters(changes, FilterAnswer::Subscribed(packet_id, codes, wanted))
            }
            Event::Unsubscribe { packet_id, filters } => {
                let (existed, changes) = self.unsubscribe(&filters);
                self.keep_filters(changes, FilterAnswer::Unsubscribed(packet_id, existed))
            }
            // The window has room again: what waits is looked at before the next wait.
            Event::PubAck(packet_id) => {
                self.acknowledged(packet_id);
                Ok(())
            }
            Event::Ping => {
                self.try_again();
                self.write(|session, out| session.pingresp(out))
            }
            Event::Disconnect { with_will, session_expiry_s } => {
                if !with_will {
                    self.forget_will();
                }
                self.outlive(session_expiry_s);
                Err(End::Farewell)
            }
        }
    }

    fn connect(&mut self, connect: Connect) -> Result<(), End> {
        let certified = self.link.certified(self.gateway.clock.now().wall);
        let visitor = Visitor::parse(&connect, certified.as_ref());
        // One that registers itself is not held to it.
        let is_newcomer = matches!(visitor, Ok(Visitor::Newcomer(..)));
        if !is_newcomer && !self.gateway.keepalive_s.contains(&connect.keepalive_s) {
            // MQTT has no code for this one.
            return self.refuse(ConnectCode::NotAuthorized, Refused::Keepalive, None);
        }
        match visitor {
            Ok(Visitor::Newcomer(claim, grant)) => {
                self.enrol(claim, grant);
                Ok(())
            }
            Ok(Visitor::Device(credentials)) => {
                let Credentials { product_key, device_name, .. } = &credentials;
                let kicks = self.gateway.registry.kicks();
                let identity = self.gateway.devices.identity(product_key, device_name);
                // MQTT 3 has wills too, but devices are promised none there.
                let wish = SessionWish::of(&connect);
                let will = connect.will.filter(|_| connect.version == Version::V5);
                let claim = Claim { credentials, kicks, wish, will };
                self.waiting = Some(Waiting::Identity(identity, Box::new(claim)));
                Ok(())
            }
            Err((code, why)) => self.refuse(code, why, None),
        }
    }

    /// The device that the CONNECT names was looked up.
    pub(super) fn identified(
        &mut self,
        result: Result<Option<Identity>, Unavailable>,
    ) -> Result<(), End> {
        let Some(Waiting::Identity(_, mut claim)) = self.waiting.take() else { return Ok(()) };
        let Ok(identity) = result else {
            return self.refuse(ConnectCode::ServerUnavailable, Refused::Unavailable, None);
        };
        let checked = claim.credentials.check(identity.as_ref());
        let identity = checked.and_then(|()| identity.ok_or(Refused::UnknownDevice));
        let identity = match identity {
            Ok(identity) => identity,
            Err(why) => return self.refuse(ConnectCode::BadUsernameOrPassword, why, None),
        };
        if identity.disabled {
            return self.refuse(ConnectCode::NotAuthorized, Refused::Disabled, None);
        }
        if !self.gateway.connects.take(identity.device, self.now_ms()) {
            return self.refuse(ConnectCode::ServerUnavailable, Refused::Rate, None);
        }
        let Credentials { product_key, device_name, knows_custom_rrpc, .. } = &claim.credentials;
        let Identity { device, product, is_gateway, .. } = identity;
        let (product_key, device_name) = (product_key.clone(), device_name.clone());
        let owner = Owner { product_key, device_name };
        let will = claim.will.take();
        if let Some(why) = will.as_ref().and_then(|will| self.not_sayable(will, &owner, product)) {
            return self.refuse(ConnectCode::Other(why), Refused::Protocol, None);
        }
        let registry = &self.gateway.registry;
        // What its older connection keeps may not be read by anybody yet.
        let has_older = registry.peer(device).is_some();
        let has_session = identity.has_session || has_older;
        self.gateway.wills.coming_back(device, claim.wish.clean, has_older);
        let Some(peer) = registry.enter(product, device, &self.mailbox, claim.kicks) else {
            return self.refuse(ConnectCode::ServerUnavailable, Refused::Kicked, None);
        };
        if let Some(will) = self.gateway.wills.back(device, claim.wish.clean) {
            tokio::spawn(self.gateway.say(will));
        }
        let retained = VecDeque::new();
        let knows_custom_rrpc = *knows_custom_rrpc;
        self.online = Some(Box::new(Online {
            peer,
            owner,
            is_gateway,
            will,
            retained,
            pace: None,
            knows_custom_rrpc,
        }));
        // Before the CONNACK: a caller who saw the device connect finds it online.
        self.gateway.devices.came_online(peer, self.pass.address());
        self.pass.settle();
        self.open_session(claim, has_session)
    }

    fn published(
        &mut self,
        topic: &str,
        payload: &Bytes,
        ticket: Option<Ticket>,
    ) -> Result<(), End> {
        // Nobody listens to one who only registers itself.
        let Some((peer, uplink)) = self.meant(topic) else {
            return self.drop_one(ticket, Dropped::Unheard);
        };
        let report = match uplink {
            Uplink::Inform => Inform::parse(payload).map(|inform| (Report::Inform(inform), None)),
            Uplink::Progress => {
                Progress::parse(payload).map(|progress| (Report::Progress(progress), None))
            }
            Uplink::Pull => {
                let topic = reply_topic(topic);
                let Some(request) = Request::parse(payload) else {
                    return self.refuse_request(ticket, topic);
                };
                // An unknown module has no task, and so no answer of its own; nor has one that can't be.
                let Some(module) = ModuleName::reported(request.module()) else {
                    return self.answer(ticket, topic, reply(&request.id, "{}"));
                };
                Ok((Report::Pull(module), Some(Reply::Id { topic, id: request.id })))
            }
            Uplink::Block => {
                let topic = reply_topic(topic);
                return self.block_asked(peer, topic, payload, ticket);
            }
            Uplink::LegacyPull => {
                let Some(request) = Request::parse(payload) else {
                    return self.drop_one(ticket, Dropped::Malformed);
                };
                let Some(module) = ModuleName::reported(request.module()) else {
                    return self.ack(ticket);
                };
                let topic = without_query(topic).to_owned();
                Ok((Report::Pull(module), Some(Reply::Legacy { topic })))
            }
            Uplink::Thing(path) => {
                let topic = reply_topic(topic);
                let Some(request) = Request::parse(payload) else {
                    return self.refuse_request(ticket, topic);
                };
                match Ask::thing(path, &request) {
                    Ok(ask) => Ok((Report::Ask(ask), Some(Reply::Id { topic, id: request.id }))),
                    Err(response) => {
                        return self.answer(ticket, topic, response.to_reply(&request.id));
                    }
                }
            }
            Uplink::Rrpc(id) => {
                if self.gateway.devices.rrpc_answered(peer, id, payload) {
                    return self.ack(ticket);
                }
                return self.drop_one(ticket, Dropped::Unheard);
            }
            Uplink::Shadow => {
                let topic = shadow_reply_topic(topic);
                match ShadowAsk::parse(payload) {
                    Ok(ask) => Ok((Report::Shadow(ask), Some(Reply::Plain { topic }))),
                    Err(error) => {
                        self.metrics().dropped.count(Dropped::Malformed);
                        self.metrics().shadow_refused.count(error.into());
                        let now = self.gateway.clock.now().wall;
                        return self.answer(ticket, topic, error.to_reply(now));
                    }
                }
            }
            Uplink::Topology => return self.topology_asked(topic, payload, ticket),
            Uplink::Time => return self.tell_time(topic, ticket, payload),
            Uplink::Custom(tail) => {
                if self.gateway.registry.rules_of(peer.device).may_publish(tail) {
                    return self.drop_one(ticket, Dropped::Unheard);
                }
                return self.drop_unauthorized(ticket, Dropped::NotAllowed);
            }
            Uplink::Unheard => return self.drop_one(ticket, Dropped::Unheard),
            Uplink::Foreign => {
                if let Some(online) = &self.online {
                    let Owner { product_key, device_name } = &online.owner;
                    tracing::debug!(%product_key, %device_name, "a message to a foreign topic was dropped");
                }
                return self.foreign(topic, ticket);
            }
        };
        match report {
            Ok((report, reply)) => {
                let place = self.gateway.devices.report(peer, report);
                self.waiting = Some(Waiting::Place(place, Box::new(Answer { ticket, reply })));
                Ok(())
            }
            Err(error) => {
                let (product_key, device_name) = named(without_query(topic)).unwrap_or_default();
                tracing::info!(%product_key, %device_name, "a report was ignored: {error}");
                self.drop_one(ticket, Dropped::Malformed)
            }
        }
    }

    /// Acknowledges a message that goes nowhere.
    pub(super) fn drop_one(&mut self, ticket: Option<Ticket>, why: Dropped) -> Result<(), End> {
        self.metrics().dropped.count(why);
        self.ack(ticket)
    }

    /// Acknowledges a message that the device may not send; MQTT 5.0 tells it so.
    pub(super) fn drop_unauthorized(
        &mut self,
        ticket: Option<Ticket>,
        why: Dropped,
    ) -> Result<(), End> {
        self.metrics().dropped.count(why);
        self.ack_with(ticket, Reason::NOT_AUTHORIZED)
    }

    /// Acknowledges a message with what became of it, which MQTT 3 has no words for.
    fn ack_with(&mut self, ticket: Option<Ticket>, reason: Reason) -> Result<(), End> {
        let Some(ticket) = ticket else { return Ok(()) };
        self.write(|session, out| session.ack_with(ticket, reason, out))
    }

    pub(super) fn ack(&mut self, ticket: Option<Ticket>) -> Result<(), End> {
        match ticket {
            Some(ticket) => self.write(|session, out| session.ack(ticket, out)),
            None => Ok(()),
        }
    }

    /// Sends an answer: at QoS 0, since on one connection nothing is lost between us.
    pub(super) fn send(&mut self, topic: String, payload: String) -> Result<(), End> {
        let mut outcome = Ok(None);
        self.write(|session, out| {
            outcome = session.publish(topic.into(), payload.into(), Qos::AtMostOnce, out);
        })?;
        self.note_told();
        if let Err(error) = outcome {
            tracing::error!(%error, "an answer could not be written: {error}");
        }
        Ok(())
    }

    /// Answers a request that needs nobody.
    fn answer(
        &mut self,
        ticket: Option<Ticket>,
        topic: String,
        payload: String,
    ) -> Result<(), End> {
        self.ack(ticket)?;
        self.send(topic, payload)
    }

    /// Answers a request that is no JSON object, and so has no id to be told by.
    pub(super) fn refuse_request(
        &mut self,
        ticket: Option<Ticket>,
        topic: String,
    ) -> Result<(), End> {
        self.metrics().dropped.count(Dropped::Malformed);
        let refusal = Response::refusal(code::PARAMETER);
        self.answer(ticket, topic, refusal.to_reply(&Value::from("")))
    }

    fn tell_time(
        &mut self,
        topic: &str,
        ticket: Option<Ticket>,
        payload: &[u8],
    ) -> Result<(), End> {
        self.ack(ticket)?;
        let now = self.gateway.clock.now().wall.0;
        let sent = match serde_json::from_slice::<Value>(payload) {
            Ok(Value::Object(mut members)) => members.remove("deviceSendTime"),
            _ => None,
        };
        let sent = match sent {
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            _ => return Ok(()),
        };
        let sent = Value::from(sent);
        self.send(
            time_topic(topic),
            format!(
                r#"{{"deviceSendTime":{sent},"serverRecvTime":"{now}","serverSendTime":"{now}"}}"#
            ),
        )
    }

    /// A report has its place in the queue.
    pub(super) fn placed(&mut self, result: Result<Later<Told>, Unavailable>) -> Result<(), End> {
        let Some(Waiting::Place(_, answer)) = self.waiting.take() else { return Ok(()) };
        self.reports.push_back((result.map_err(|Unavailable| End::Unkept)?, answer));
        if self.reports.len() >= REPORTS_MAX {
            self.metrics().delayed.count(Delayed::Reports);
        }
        Ok(())
    }

    /// The oldest report is kept, or it never will be.
    pub(super) fn kept(&mut self, result: Result<Told, Unavailable>) -> Result<(), End> {
        let Some((_, answer)) = self.reports.pop_front() else { return Ok(()) };
        if self.reports.is_empty() {
            self.reports.shrink_to_fit();
        }
        // Without an acknowledgement the device says it again on its next connection.
        let told = result.map_err(|Unavailable| End::Unkept)?;
        if told == Told::Full {
            return self.ack_with(answer.ticket, Reason::QUOTA);
        }
        self.ack(answer.ticket)?;
        match (answer.reply, told) {
            (Some(Reply::Id { topic, id }), told) => {
                let text = match told {
                    Told::Upgrade(upgrade) => upgrade.to_reply(&id),
                    Told::Response(response) => response.to_reply(&id),
                    Told::Text(text) => text,
                    Told::Nothing | Told::Full => reply(&id, "{}"),
                };
                self.send(topic, text)
            }
            (Some(Reply::Legacy { topic }), Told::Upgrade(upgrade)) => {
                let id = self.gateway.clock.now().wall.0;
                self.send(topic, upgrade.to_push(id))
            }
            (Some(Reply::Plain { topic }), Told::Text(text)) => self.send(topic, text),
            (Some(Reply::Legacy { .. } | Reply::Plain { .. }) | None, _) => Ok(()),
        }
    }
}
