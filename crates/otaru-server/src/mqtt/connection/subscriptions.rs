//! What a device has subscribed to.

use super::Connection;
use crate::mqtt::topics::Owner;
use crate::mqtt::{Devices, KeptSubscription, Peer, SubscriptionChange};
use otaru_mqtt::packet::{
    ByteString, Qos, RetainHandling, SubscribeCode, SubscribeOptions, Version,
};
use otaru_mqtt::topic::matches;
use std::num::NonZeroU32;

/// One subscription of a device.
#[derive(Clone, PartialEq)]
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

impl From<KeptSubscription> for Subscription {
    fn from(kept: KeptSubscription) -> Self {
        let KeptSubscription { filter, qos, id, retain_as_published } = kept;
        Self { filter, id: id.and_then(NonZeroU32::new), qos, retain_as_published }
    }
}

impl From<&Subscription> for KeptSubscription {
    fn from(subscription: &Subscription) -> Self {
        let Subscription { filter, id, qos, retain_as_published } = subscription;
        let (id, retain_as_published) = (id.map(NonZeroU32::get), *retain_as_published);
        Self { filter: filter.clone(), qos: *qos, id, retain_as_published }
    }
}

impl<D: Devices> Connection<D> {
    /// Takes subscriptions in, or says why not, what of it is new, and for which filters to look what is retained. That
    /// a device doesn't want to hear itself needs no doing: it never does.
    pub(super) fn subscribe(
        &mut self,
        id: Option<u32>,
        filters: &[(ByteString, SubscribeOptions)],
    ) -> (Vec<SubscribeCode>, Vec<SubscriptionChange>, Vec<Box<str>>) {
        let id = id.and_then(NonZeroU32::new);
        let limits = self.gateway.devices_may;
        let is_short = filters.len() <= limits.filters_per_subscribe_max;
        let retains = self.gateway.gates.retains && self.session.version() == Version::V5;
        let mut codes = Vec::with_capacity(filters.len());
        let (mut changes, mut wanted) = (Vec::new(), Vec::new());
        for (filter, options) in filters {
            if !is_short {
                codes.push(SubscribeCode::QuotaExceeded);
                continue;
            }
            let is_new = !self.subscriptions.iter().any(|had| *had.filter == **filter);
            let qos = options.qos.min(Qos::AtLeastOnce);
            let retain_as_published = options.retain_as_published;
            let kept = (&**filter).into();
            let subscription = Subscription { filter: kept, id, qos, retain_as_published };
            let code = self.grant(subscription, &mut changes);
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
        (codes, changes, wanted)
    }

    fn grant(
        &mut self,
        subscription: Subscription,
        changes: &mut Vec<SubscriptionChange>,
    ) -> SubscribeCode {
        let (filter, granted) = (&*subscription.filter, SubscribeCode::Granted(subscription.qos));
        let own = self.online.as_ref().map(|online| (&online.owner, online.peer));
        let subs = self.subs.as_ref();
        let may = |owner: &Owner, peer: Peer| {
            owner.may_subscribe(filter, || self.gateway.registry.rules_of(peer.device))
        };
        let is_ours = || {
            let sub = || subs.and_then(|subs| subs.find(filter));
            own.is_some_and(|(owner, peer)| may(owner, peer))
                || sub().is_some_and(|(owner, peer)| may(&owner, peer))
        };
        if filter.starts_with("$share/") {
            return SubscribeCode::SharedNotSupported;
        }
        if !is_ours() {
            return SubscribeCode::NotAuthorized;
        }
        if !self.gateway.devices_may.admit_topic(filter) {
            return SubscribeCode::QuotaExceeded;
        }
        // Each sub-device brings the room of a device along.
        let devices = 1 + subs.map_or(0, |subs| subs.count());
        let is_full =
            self.subscriptions.len() >= self.gateway.devices_may.subscriptions_max * devices;
        let had = self.subscriptions.iter_mut().find(|had| *had.filter == *filter);
        match had {
            // SDKs subscribe again on each connection.
            Some(had) if *had == subscription => return granted,
            None if is_full => return SubscribeCode::QuotaExceeded,
            _ => changes.push(SubscriptionChange::Put((&subscription).into())),
        }
        match had {
            Some(had) => *had = subscription,
            None => self.subscriptions.push(subscription),
        }
        granted
    }

    /// Drops subscriptions; says for each whether there was one, and what of it is new.
    pub(super) fn unsubscribe(
        &mut self,
        filters: &[ByteString],
    ) -> (Vec<bool>, Vec<SubscriptionChange>) {
        let (mut existed, mut changes) = (Vec::with_capacity(filters.len()), Vec::new());
        for filter in filters {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|had| *had.filter != **filter);
            let is_gone = self.subscriptions.len() < before;
            existed.push(is_gone);
            if is_gone {
                changes.push(SubscriptionChange::Drop((&**filter).into()));
            }
        }
        (existed, changes)
    }
}
