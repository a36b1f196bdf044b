//! Sub-devices that are logged in through a gateway's connection: each has its own presence, and its own topics.

use super::{Connection, End, Later};
use crate::metrics::Dropped;
use crate::mqtt::topics::{Owner, Uplink, named, reply_topic, without_query};
use crate::mqtt::{Devices, Peer, TopoAnswer};
use otaru_core::hash::Map;
use otaru_core::message::{Request, reply};
use otaru_core::registration::{Enrolled, RegisterError};
use otaru_core::topology::{SubEnd, SubName, TopoAsk, TopoError, names_json};
use otaru_mqtt::acks::Ticket;
use serde_json::Value;
use std::collections::VecDeque;

/// Requests of a gateway that may wait before its socket isn't read.
const ASKS_MAX: usize = 100;
/// Milliseconds in which logins are counted.
const SECOND_MS: u64 = 1_000;

/// What only a gateway's connection has.
#[derive(Default)]
pub(super) struct SubDevices {
    by_name: Map<(String, String), Peer>,
    /// Requests, oldest first; the first is in work.
    asks: VecDeque<Asked>,
    working: Option<Later<Result<TopoAnswer, TopoError>>>,
    /// Logins since a moment of the monotonic clock.
    logins: (u64, u32),
}

struct Asked {
    topic: String,
    id: Value,
    ask: Result<TopoAsk, TopoError>,
    ticket: Option<Ticket>,
    /// How many devices were kicked before it was taken in work.
    kicks: u64,
}

impl SubDevices {
    pub(super) fn is_full(&self) -> bool {
        self.asks.len() >= ASKS_MAX
    }

    pub(super) fn count(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = Peer> {
        self.by_name.values().copied()
    }

    /// The sub-device whose topic or filter this is.
    pub(super) fn find(&self, topic: &str) -> Option<(Owner, Peer)> {
        let (product_key, device_name) = named(topic)?;
        let peer = self.by_name.get(&(product_key.to_owned(), device_name.to_owned()))?;
        let (product_key, device_name) = (product_key.parse().ok()?, device_name.parse().ok()?);
        Some((Owner { product_key, device_name }, *peer))
    }

    /// The answer to the first request, when it is in work.
    pub(super) fn working(&mut self) -> Option<&mut Later<Result<TopoAnswer, TopoError>>> {
        self.working.as_mut()
    }

    /// Whether `more` logins still fit into this second.
    fn may_log_in(&mut self, more: usize, per_second: u32, now_ms: u64) -> bool {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if now_ms >= self.logins.0 + SECOND_MS {
            self.logins = (now_ms, 0);
        }
        self.logins.1 = self.logins.1.saturating_add(more);
        per_second == 0 || self.logins.1 <= per_second
    }
}

fn key(name: &SubName) -> (String, String) {
    (name.product_key.to_string(), name.device_name.to_string())
}

fn enrolled_json(enrolled: &[Enrolled]) -> String {
    let enrolled: Vec<_> = enrolled.iter().map(Enrolled::to_sub_device).collect();
    format!("[{}]", enrolled.join(","))
}

fn refused_json((name, error): &(SubName, RegisterError)) -> String {
    let SubName { product_key, device_name } = name;
    let code = error.code();
    format!(
        r#"{{"productKey":"{product_key}","deviceName":"{device_name}","code":{code},"message":"{error}"}}"#
    )
}

impl<D: Devices> Connection<D> {
    /// A gateway asks for something about its sub-devices.
    pub(super) fn topology_asked(
        &mut self,
        topic: &str,
        payload: &[u8],
        ticket: Option<Ticket>,
    ) -> Result<(), End> {
        let Some(request) = Request::parse(payload) else {
            return self.refuse_request(ticket, reply_topic(topic));
        };
        let topic = without_query(topic);
        let ask = TopoAsk::parse(topic, &request.params);
        let subs = self.subs.get_or_insert_default();
        let (id, topic) = (request.id, reply_topic(topic));
        subs.asks.push_back(Asked { topic, id, ask, ticket, kicks: 0 });
        self.work_on_asks();
        Ok(())
    }

    fn work_on_asks(&mut self) {
        let (Some(online), Some(subs)) = (&self.online, &mut self.subs) else { return };
        if subs.working.is_some() {
            return;
        }
        let now_ms = self.gateway.clock.mono_ms();
        let limits = &self.gateway.gates;
        let online_now = subs.by_name.len();
        let Some(asked) = subs.asks.front_mut() else { return };
        // Before the rows are read, as for a connection.
        asked.kicks = self.gateway.registry.kicks();
        let ask = asked.ask.clone().and_then(|ask| {
            let TopoAsk::Login(proofs) = &ask else { return Ok(ask) };
            let is_new = |name: &SubName| !subs.by_name.contains_key(&key(name));
            let more = proofs.iter().filter(|proof| is_new(&proof.name)).count();
            if online_now + more > limits.sub_devices_max {
                return Err(TopoError::TooManyOnline);
            }
            Ok(ask)
        });
        let ask = ask.and_then(|ask| match &ask {
            TopoAsk::Login(proofs)
                if !subs.may_log_in(proofs.len(), limits.logins_per_second, now_ms) =>
            {
                Err(TopoError::TooManyLogins)
            }
            TopoAsk::Logout(names)
                if names.iter().any(|name| !subs.by_name.contains_key(&key(name))) =>
            {
                Err(TopoError::NoSession)
            }
            _ => Ok(ask),
        });
        subs.working = Some(match ask {
            Ok(TopoAsk::Logout(names)) => Box::pin(async { Ok(Ok(TopoAnswer::LoggedOut(names))) }),
            Ok(ask) => self.gateway.devices.topology(online.peer, ask),
            Err(error) => Box::pin(async move { Ok(Err(error)) }),
        });
    }

    /// The first request is answered.
    pub(super) fn topology_answered(
        &mut self,
        answer: Result<TopoAnswer, TopoError>,
    ) -> Result<(), End> {
        let Some(subs) = &mut self.subs else { return Ok(()) };
        subs.working = None;
        let Some(Asked { topic, id, ticket, kicks, .. }) = subs.asks.pop_front() else {
            return Ok(());
        };
        let is_list = topic.contains("/batch_");
        let data = answer.and_then(|answer| self.settle(answer, kicks, is_list));
        let text = match data {
            Ok(data) => reply(&id, &data),
            Err(error) => {
                let code = error.code();
                format!(r#"{{"id":{id},"code":{code},"message":"{error}","data":{{}}}}"#)
            }
        };
        self.ack(ticket)?;
        self.send(topic, text)?;
        self.work_on_asks();
        Ok(())
    }

    /// Does what the answer says; the data of the reply. `is_list`: one sub-device is told as a list too.
    fn settle(
        &mut self,
        answer: TopoAnswer,
        kicks: u64,
        is_list: bool,
    ) -> Result<String, TopoError> {
        let told = |names: &[SubName]| match names {
            [one] if !is_list => one.to_json(),
            _ => names_json(names),
        };
        match answer {
            TopoAnswer::Nothing => Ok("{}".into()),
            TopoAnswer::List(names) => Ok(names_json(&names)),
            TopoAnswer::Registered(enrolled) => Ok(enrolled_json(&enrolled)),
            TopoAnswer::RegisteredSigned { enrolled, refused } => {
                let refused: Vec<_> = refused.iter().map(refused_json).collect();
                let (successes, failures) = (enrolled_json(&enrolled), refused.join(","));
                Ok(format!(r#"{{"successes":{successes},"failures":[{failures}]}}"#))
            }
            TopoAnswer::Detached(names) => {
                self.log_out(&names);
                Ok(names_json(&names))
            }
            TopoAnswer::LoggedOut(names) => {
                self.log_out(&names);
                Ok(told(&names))
            }
            TopoAnswer::LoggedIn(devices) => {
                let mut names = Vec::with_capacity(devices.len());
                for (name, product, device) in devices {
                    let entered = self.gateway.registry.enter_through(
                        product,
                        device,
                        &self.mailbox,
                        &name,
                        kicks,
                    );
                    let Some(peer) = entered else {
                        // Disabled or deleted meanwhile: all log in or none.
                        self.log_out(&names);
                        return Err(TopoError::Internal);
                    };
                    let subs = self.subs.get_or_insert_default();
                    let older = subs.by_name.insert(key(&name), peer);
                    self.mailbox.set_sub_devices(subs.count());
                    if let Some(older) = older {
                        self.gateway.devices.went_offline(older);
                    }
                    self.gateway.devices.came_online(peer, self.pass.address());
                    names.push(name);
                }
                Ok(told(&names))
            }
        }
    }

    fn log_out(&mut self, names: &[SubName]) {
        let Some(subs) = &mut self.subs else { return };
        for name in names {
            if let Some(peer) = subs.by_name.remove(&key(name)) {
                self.gateway.registry.leave_through(peer);
                self.gateway.devices.went_offline(peer);
            }
        }
        self.mailbox.set_sub_devices(subs.count());
    }

    /// Sub-devices that somebody else logged out: the gateway is told.
    pub(super) fn expel(&mut self) -> Result<(), End> {
        for (peer, name, end) in self.mailbox.take_expelled() {
            let Some(subs) = &mut self.subs else { continue };
            // It may have logged in again here meanwhile.
            if subs.by_name.get(&key(&name)) != Some(&peer) {
                continue;
            }
            subs.by_name.remove(&key(&name));
            self.mailbox.set_sub_devices(subs.count());
            self.gateway.devices.went_offline(peer);
            self.tell_end(end, &name)?;
        }
        Ok(())
    }

    fn tell_end(&mut self, end: SubEnd, name: &SubName) -> Result<(), End> {
        let Some(online) = &self.online else { return Ok(()) };
        let Owner { product_key, device_name } = &online.owner;
        let topic = format!("/ext/error/{product_key}/{device_name}");
        self.send(topic, end.to_error(self.gateway.clock.now().wall.0, name))
    }

    /// Who speaks on this topic, and what a message to it is: the device itself, or a sub-device.
    pub(super) fn meant<'a>(&self, topic: &'a str) -> Option<(Peer, Uplink<'a>)> {
        let online = self.online.as_ref()?;
        let uplink = online.owner.uplink(topic);
        if uplink == Uplink::Foreign
            && let Some((owner, peer)) = self.subs.as_ref().and_then(|subs| subs.find(topic))
        {
            // A sub-device has no sub-devices.
            let uplink = match owner.uplink(topic) {
                Uplink::Topology => Uplink::Foreign,
                uplink => uplink,
            };
            return Some((peer, uplink));
        }
        Some((online.peer, uplink))
    }

    /// A message to a topic of somebody else is dropped; a gateway may have meant a sub-device that is not logged in.
    pub(super) fn foreign(&mut self, topic: &str, ticket: Option<Ticket>) -> Result<(), End> {
        self.drop_unauthorized(ticket, Dropped::Foreign)?;
        let is_gateway = self.online.as_ref().is_some_and(|online| online.is_gateway);
        let name = named(without_query(topic)).and_then(|(product_key, device_name)| {
            Some(SubName {
                product_key: product_key.parse().ok()?,
                device_name: device_name.parse().ok()?,
            })
        });
        match name.filter(|_| is_gateway) {
            Some(name) => self.tell_end(SubEnd::NoSession, &name),
            None => Ok(()),
        }
    }

    /// Lets all sub-devices go with their gateway.
    pub(super) fn leave_with_sub_devices(&mut self) {
        let Some(subs) = self.subs.take() else { return };
        for peer in subs.peers() {
            self.gateway.registry.leave_through(peer);
            self.gateway.devices.went_offline(peer);
        }
    }
}
