//! What a device wants said when it vanishes. Source: MQTT 5.0, section 3.1.2.5.

use super::{Connection, End};
use crate::metrics::Dropped;
use crate::mqtt::mailbox::CloseReason;
use crate::mqtt::topics::{Owner, Uplink};
use crate::mqtt::wills::Said;
use crate::mqtt::{Devices, Peer, Report};
use otaru_core::id::ProductNo;
use otaru_core::message::{Ask, Inform, Progress, Request};
use otaru_core::shadow::ShadowAsk;
use otaru_mqtt::packet::{Reason, Will};

impl<D: Devices> Connection<D> {
    /// Why a will can't be taken, if it can't: it is to be said where the device itself may not speak, or to be retained
    /// where nothing is.
    pub(super) fn not_sayable(
        &self,
        will: &Will,
        owner: &Owner,
        product: ProductNo,
    ) -> Option<Reason> {
        let is_sayable = match owner.uplink(&will.topic) {
            Uplink::Custom(tail) => self.gateway.registry.rules().of(product).may_publish(tail),
            uplink => uplink != Uplink::Foreign,
        };
        if !is_sayable || !self.gateway.devices_may.admit_topic(&will.topic) {
            return Some(Reason::TOPIC_NAME);
        }
        (will.retain && !self.gateway.gates.retains).then_some(Reason::RETAIN)
    }

    /// The device went in order: there is nothing to say.
    pub(super) fn forget_will(&mut self) {
        if let Some(online) = &mut self.online {
            online.will = None;
        }
    }

    /// The will that is to be said at once, now that the connection has ended. Another one waits as long as it asks for and the
    /// session lives, unless the device has gone on with that on another connection.
    pub(super) fn will_of(&mut self, end: End) -> Option<Said> {
        let delay_s = self.online.as_ref()?.will.as_ref()?.delay_s;
        let expiry_s = self.kept.as_ref().map_or(0, |kept| kept.expiry_s());
        let (peer, report) = self.take_will()?;
        let patience_ms = u64::from(delay_s.min(expiry_s)) * 1_000;
        match end {
            End::Closed(CloseReason::Shutdown) => Some((peer, report)),
            _ if patience_ms == 0 => Some((peer, report)),
            // Its device is here already, on another connection.
            _ if self.gateway.registry.peer(peer.device).is_some_and(|now| now != peer) => {
                self.gateway.wills.was_renewed(peer.device).then_some((peer, report))
            }
            _ => {
                let until_ms = self.now_ms().saturating_add(patience_ms);
                let most = self.gateway.devices_may.wills_waiting_max;
                self.gateway.wills.hold((peer, report), until_ms, most)
            }
        }
    }

    /// The will, as if the device itself said it now. No answer reaches it any more, so what only asks for one is dropped.
    fn take_will(&mut self) -> Option<(Peer, Report)> {
        let online = self.online.as_mut()?;
        let (peer, will) = (online.peer, online.will.take()?);
        let Will { topic, payload, qos, retain, delay_s: _, properties } = *will;
        if retain && self.is_custom(&topic) {
            let report = self.to_retain(&topic, &payload, qos, Some(Box::new(properties)));
            return Some((peer, report));
        }
        let report = match self.online.as_ref()?.owner.uplink(&topic) {
            Uplink::Inform => Inform::parse(&payload).ok().map(Report::Inform),
            Uplink::Progress => Progress::parse(&payload).ok().map(Report::Progress),
            Uplink::Thing(path) => Request::parse(&payload)
                .and_then(|request| Ask::thing(path, &request).ok())
                .map(Report::Ask),
            Uplink::Shadow => ShadowAsk::parse(&payload).ok().map(Report::Shadow),
            Uplink::Pull
            | Uplink::LegacyPull
            | Uplink::Time
            | Uplink::Block
            | Uplink::Topology
            | Uplink::Rrpc(_)
            | Uplink::Custom(_)
            | Uplink::Unheard
            | Uplink::Foreign => {
                self.metrics().dropped.count(Dropped::Unheard);
                return None;
            }
        };
        if report.is_none() {
            self.metrics().dropped.count(Dropped::Malformed);
        }
        Some((peer, report?))
    }
}
