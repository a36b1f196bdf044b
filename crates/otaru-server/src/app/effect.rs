//! What follows a change once it is committed, and only then.

use super::dispatch::Dispatcher;
use super::identities::Identities;
use crate::clock::Clock;
use crate::mqtt::{Delivery, Message, Registry};
use otaru_core::id::{DeviceNo, JobNo, ProductNo, TaskNo};
use otaru_core::job::Job;
use otaru_core::time::Timestamp;
use otaru_core::topic_class::TopicRules;
use otaru_core::topology::SubEnd;
use otaru_mqtt::packet::Qos;
use std::sync::Arc;
use tokio::sync::Notify;

/// A task that could be pushed now, as far as its job and its own state go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub task: TaskNo,
    pub job: JobNo,
    pub device: DeviceNo,
    /// The device was never told of it, so its push is charged to the job's rate.
    pub first: bool,
}

/// Collected while a change runs; dropped with it when it does not commit.
#[derive(Debug, Default)]
pub struct Effects {
    pub ready: Vec<Ready>,
    /// Jobs whose rate was changed.
    pub(super) rates: Vec<Job>,
    /// The earliest deadline that was set.
    pub deadline: Option<Timestamp>,
    /// Devices that were disabled or deleted: their connections are to be closed.
    pub kicked: Vec<(DeviceNo, SubEnd)>,
    /// A product was deleted, and nobody is to find its devices any more.
    pub(super) has_doomed: bool,
    /// Messages to devices that are connected: whom, on which topic, what.
    pub(super) notices: Vec<(DeviceNo, String, String)>,
    /// Sub-devices that have left their gateway.
    pub(super) logged_out: Vec<DeviceNo>,
    /// Devices that a message waits for in their session.
    pub(super) told: Vec<DeviceNo>,
    /// Devices whose task has ended, so that dynamic jobs look at them again.
    pub(super) freed: Vec<DeviceNo>,
    /// Products whose topic rules have changed; `None`: deleted.
    pub(super) rules: Vec<(ProductNo, Option<TopicRules>)>,
    /// Who is connected, for rules of dynamic groups that ask.
    pub(super) registry: Arc<Registry>,
}

impl Effects {
    /// Of a change that may ask who is connected.
    pub fn seeing(registry: &Arc<Registry>) -> Self {
        // Field by field: the rest of a default would make a registry, and drop it, with every change.
        Self {
            ready: Vec::new(),
            rates: Vec::new(),
            deadline: None,
            has_doomed: false,
            kicked: Vec::new(),
            notices: Vec::new(),
            logged_out: Vec::new(),
            told: Vec::new(),
            freed: Vec::new(),
            rules: Vec::new(),
            registry: Arc::clone(registry),
        }
    }

    pub(super) fn due(&mut self, at: Option<Timestamp>) {
        self.deadline = match (self.deadline, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Lets happen what a committed change brought about. The store carries it along, since the caller may have hung up
/// by the time of the commit.
#[derive(Clone)]
pub(super) struct Follower {
    pub dispatcher: Arc<Dispatcher>,
    pub identities: Arc<Identities>,
    pub clock: Clock,
    pub registry: Arc<Registry>,
    /// Rung when a deadline was set that may be earlier than the one the scheduler waits for.
    pub deadline_set: Arc<Notify>,
}

impl Follower {
    pub fn follow(&self, effects: Effects) {
        for job in effects.rates {
            self.dispatcher.rate_changed(&job, self.clock.now());
        }
        if effects.has_doomed {
            self.identities.forget_all();
        }
        for (device, end) in effects.kicked {
            // In this order: who looks the device up after the kick may not find it as it was.
            self.identities.forget(device);
            self.registry.kick(device, end);
        }
        for (device, topic, text) in effects.notices {
            let Some(peer) = self.registry.peer(device) else { continue };
            let message = Message::new(topic, text, Qos::AtLeastOnce);
            if self.registry.deliver(peer, message) == Delivery::Gone {
                tracing::debug!(device.no = device.0, "a gateway is gone and not told");
            }
        }
        for (product, rules) in effects.rules {
            match rules {
                Some(rules) => self.registry.rules().change(product, rules),
                None => self.registry.rules().forget(product),
            }
        }
        for device in effects.logged_out {
            self.registry.log_out(device);
        }
        for device in effects.told {
            self.registry.tell_kept(device);
        }
        for ready in effects.ready {
            self.dispatcher.ready(ready);
        }
        if effects.deadline.is_some() {
            self.deadline_set.notify_one();
        }
    }
}
