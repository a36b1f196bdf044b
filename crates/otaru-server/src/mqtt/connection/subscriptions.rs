//! What a device has subscribed to.

use super::Connection;
use crate::mqtt::{Devices, FILTERS_PER_SUBSCRIBE_MAX, SUBSCRIPTIONS_MAX};
use otaru_mqtt::packet::{
    ByteString, Qos, RetainHandling, SubscribeCode, SubscribeOptions, Version,
};
use otaru_mqtt::topic::matches;
use std::num::NonZeroU32;

/// One subscription of a device.
pub(super) struct Subscription {
    filter: Box<str>,
    /// What the device wants named beside the messages; MQTT 5.0 has it.
    id: Option<NonZeroU32>,
    /// As it was granted.
    pub(super) qos: Qos,
    /// Whether the device hears that a message was sent to be retained.
    pub(super) retain_as_published: bool,
}

impl Subscription {
    pub(super) fn covers(&self, topic: &str) -> bool {
        matches(&self.filter, topic)
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.id.map(NonZeroU32::get)
    }
}

impl<D: Devices> Connection<D> {
    /// Takes subscriptions in, or says why not, and looks for what is retained for them. That a device doesn't want to
    /// hear itself needs no doing: it never does.
    pub(super) fn subscribe(
        &mut self,
        id: Option<u32>,
        filters: &[(ByteString, SubscribeOptions)],
    ) -> Vec<SubscribeCode> {
        let id = id.and_then(NonZeroU32::new);
        let is_short = filters.len() <= FILTERS_PER_SUBSCRIBE_MAX;
        let retains = self.gateway.gates.retains && self.session.version() == Version::V5;
        let mut codes = Vec::with_capacity(filters.len());
        let mut wanted = Vec::new();
        for (filter, options) in filters {
            if !is_short {
                codes.push(SubscribeCode::QuotaExceeded);
                continue;
            }
            let is_new = !self.subscriptions.iter().any(|had| *had.filter == **filter);
            let qos = options.qos.min(Qos::AtLeastOnce);
            let retain_as_published = options.retain_as_published;
            let kept = (&**filter).into();
            let code = self.grant(Subscription { filter: kept, id, qos, retain_as_published });
            let wants = match options.retain_handling {
                RetainHandling::Always => true,
                RetainHandling::IfNew => is_new,
                RetainHandling::Never => false,
            };
            if retains && wants && matches!(code, SubscribeCode::Granted(_)) {
                wanted.push((&**filter).into());
            }
            codes.push(code);
        }
        self.look_for_retained(wanted);
        codes
    }

    fn grant(&mut self, subscription: Subscription) -> SubscribeCode {
        let (filter, granted) = (&*subscription.filter, SubscribeCode::Granted(subscription.qos));
        let owner = self.online.as_ref().map(|online| &online.owner);
        let subs = self.subs.as_ref();
        let is_ours = || {
            let sub = subs.and_then(|subs| subs.find(filter));
            owner.is_some_and(|owner| owner.may_subscribe(filter))
                || sub.is_some_and(|(sub, _)| sub.may_subscribe(filter))
        };
        if filter.starts_with("$share/") {
            return SubscribeCode::SharedNotSupported;
        }
        if !is_ours() {
            return SubscribeCode::NotAuthorized;
        }
        // Each sub-device brings the room of a device along.
        let devices = 1 + subs.map_or(0, |subs| subs.count());
        let is_full = self.subscriptions.len() >= SUBSCRIPTIONS_MAX * devices;
        match self.subscriptions.iter_mut().find(|had| *had.filter == *filter) {
            Some(had) => *had = subscription,
            None if is_full => return SubscribeCode::QuotaExceeded,
            None => self.subscriptions.push(subscription),
        }
        granted
    }

    /// Drops subscriptions; says for each whether there was one.
    pub(super) fn unsubscribe(&mut self, filters: &[ByteString]) -> Vec<bool> {
        let mut existed = Vec::with_capacity(filters.len());
        for filter in filters {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|had| *had.filter != **filter);
            existed.push(self.subscriptions.len() < before);
        }
        existed
    }
}
