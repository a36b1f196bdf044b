//! What a device wants said when it vanishes. Source: MQTT 5.0, section 3.1.2.5.

use super::Connection;
use crate::metrics::Dropped;
use crate::mqtt::topics::{Owner, Uplink};
use crate::mqtt::{Devices, Peer, Report};
use otaru_core::id::ProductNo;
use otaru_core::message::{Ask, Inform, Progress, Request};
use otaru_core::shadow::ShadowAsk;
use otaru_mqtt::packet::{Reason, Will};
use std::pin::Pin;

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

    /// Says the will, if there is one. It is kept when this ends, or the store can't keep anything now and says so
    /// itself.
    pub(super) fn say_will(&mut self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let (peer, report) = self.take_will()?;
        let place = self.gateway.devices.report(peer, report);
        Some(Box::pin(async move {
            if let Ok(kept) = place.await {
                let _ = kept.await;
            }
        }))
    }

    /// The will, as if the device itself said it now. No answer reaches it any more, so what only asks for one is dropped.
    /// No session outlives its connection, so that a delay has nothing to wait for.
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
