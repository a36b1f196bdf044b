//! Who counts the connections of a door.

use super::address::{Addresses, Party};
use super::{DoorLimits, Leave, Pass, Rules};
use crate::clock::Clock;
use crate::metrics::{Door, Evicted, Metrics, Turned};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Milliseconds that a connection may wait before it can be asked to go: a good device needs less, and a storm of good
/// devices is slowed down instead of being turned away.
const PATIENCE_MS: u64 = 1_000;
/// Milliseconds between two lines of the log about those that are turned away.
const LOG_EVERY_MS: u64 = 10_000;

/// Stands before one door, for all listeners that lead to it.
#[derive(Debug)]
pub struct Guard {
    rules: Rules,
    clock: Clock,
    metrics: Metrics,
    inner: Mutex<Inner>,
    /// Somebody left.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    connections: usize,
    /// Oldest first.
    waiting: BTreeMap<NonZeroU64, Waiting>,
    last_place: u64,
    addresses: Addresses,
    logged: Logged,
}

#[derive(Debug)]
struct Waiting {
    since_ms: u64,
    party: Party,
    /// Who is to be asked to go; nobody yet in the first moment of a connection.
    whom: Option<Arc<dyn Leave>>,
}

#[derive(Debug, Default)]
struct Logged {
    /// When the next line may be written.
    after_ms: u64,
    /// Turned away since the last one.
    silent: u64,
}

/// What is to be done about somebody who knocks.
enum Knock {
    Admitted(Pass),
    Turned(Turned),
    /// To be tried again then, or when somebody left.
    Later(u64),
}

impl Guard {
    /// A guard of `door`; limits that are about descriptors should be [`DoorLimits::within`] those there are.
    pub fn new(door: Door, limits: &DoorLimits, clock: Clock, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            rules: Rules::new(door, limits),
            clock,
            metrics,
            inner: Mutex::default(),
            freed: Notify::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change below is whole before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.clock.mono_ms()
    }

    /// Lets a connection from `address` in, as one that waits, or says why not. While too many wait of which none does
    /// so for long, this waits too: those that connect meanwhile stand in the queue of the system.
    pub async fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Turned> {
        loop {
            // Made before the look, so that a place that is freed in between isn't missed.
            let freed = self.freed.notified();
            match self.knock(address) {
                Knock::Admitted(pass) => return Ok(pass),
                Knock::Turned(why) => return Err(self.turned(address, why)),
                Knock::Later(at_ms) => {
                    tokio::select! {
                        () = freed => {}
                        () = self.clock.sleep_until(at_ms) => {}
                    }
                }
            }
        }
    }

    /// As [`Guard::admit`], but whoever would have to wait is turned away.
    pub fn admit_now(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Turned> {
        match self.knock(address) {
            Knock::Admitted(pass) => Ok(pass),
            Knock::Turned(why) => Err(self.turned(address, why)),
            Knock::Later(_) => Err(self.turned(address, Turned::Full)),
        }
    }

    fn turned(&self, address: IpAddr, why: Turned) -> Turned {
        self.metrics.turned.count((self.rules.door, why));
        self.log(address, why);
        why
    }

    fn knock(self: &Arc<Self>, address: IpAddr) -> Knock {
        let (rules, now_ms, party) = (&self.rules, self.now_ms(), Party::of(address));
        let counts = !(rules.exempt_loopback && address.to_canonical().is_loopback());
        let mut inner = self.inner();
        let is_full = |limit: usize, now: usize| limit > 0 && now >= limit;
        if counts && is_full(rules.per_address_max, inner.addresses.open(party)) {
            let oldest = inner.waiting.iter().find(|(_, it)| it.party == party);
            match oldest.map(|(place, it)| (*place, it.since_ms)) {
                Some((place, since_ms)) if since_ms + PATIENCE_MS <= now_ms => {
                    self.evict(&mut inner, place, Evicted::Address);
                }
                _ => return Knock::Turned(Turned::Address),
            }
        }
        let are_waiting_full = is_full(rules.waiting_max, inner.waiting.len());
        if are_waiting_full || is_full(rules.connections_max, inner.connections) {
            match inner.waiting.first_key_value().map(|(place, it)| (*place, it.since_ms)) {
                Some((place, since_ms)) if since_ms + PATIENCE_MS <= now_ms => {
                    self.evict(&mut inner, place, Evicted::Full);
                }
                Some((_, since_ms)) => return Knock::Later(since_ms + PATIENCE_MS),
                None => return Knock::Turned(Turned::Full),
            }
        }
        if counts && !inner.addresses.connects(party, rules, now_ms) {
            return Knock::Turned(Turned::Rate);
        }
        let counts = counts && inner.addresses.opened(party, rules, now_ms);
        inner.connections += 1;
        let mut pass = Pass::new(address, Arc::clone(self), counts);
        inner.put_in_place(&mut pass, party, now_ms, None);
        self.tell(&inner);
        Knock::Admitted(pass)
    }

    /// Asks one that waits to go. Its place is free at once.
    fn evict(&self, inner: &mut Inner, place: NonZeroU64, why: Evicted) {
        let Some(Waiting { whom, .. }) = inner.waiting.remove(&place) else { return };
        self.metrics.evicted.count((self.rules.door, why));
        if let Some(whom) = whom {
            whom.leave();
        }
    }

    pub(super) fn ask(&self, pass: &Pass, whom: Arc<dyn Leave>) {
        let Some(place) = pass.place else { return };
        match self.inner().waiting.get_mut(&place) {
            Some(waiting) => waiting.whom = Some(whom),
            None => whom.leave(),
        }
    }

    pub(super) fn settle(&self, pass: &mut Pass) {
        let Some(place) = pass.place.take() else { return };
        let mut inner = self.inner();
        inner.waiting.remove(&place);
        if !self.rules.counts_all && std::mem::take(&mut pass.counts) {
            inner.addresses.closed(Party::of(pass.address()), &self.rules);
        }
        self.tell(&inner);
        drop(inner);
        self.freed.notify_waiters();
    }

    pub(super) fn wait(&self, pass: &mut Pass, whom: Arc<dyn Leave>) {
        let now_ms = self.now_ms();
        let mut inner = self.inner();
        if let Some(place) = pass.place.take() {
            inner.waiting.remove(&place);
        }
        inner.put_in_place(pass, Party::of(pass.address()), now_ms, Some(whom));
        self.tell(&inner);
        drop(inner);
        // One that can be asked to go makes room too.
        self.freed.notify_waiters();
    }

    pub(super) fn leave(&self, pass: &mut Pass) {
        let mut inner = self.inner();
        if let Some(place) = pass.place.take() {
            inner.waiting.remove(&place);
        }
        inner.connections -= 1;
        if pass.counts {
            inner.addresses.closed(Party::of(pass.address()), &self.rules);
        }
        self.tell(&inner);
        drop(inner);
        self.freed.notify_waiters();
    }

    fn tell(&self, inner: &Inner) {
        let count = i64::try_from(inner.waiting.len()).unwrap_or(i64::MAX);
        self.metrics.waiting.gauge(self.rules.door).set(count);
    }

    /// One line in a while: somebody who is turned away a thousand times a second must not fill the disk.
    fn log(&self, address: IpAddr, why: Turned) {
        let now_ms = self.now_ms();
        let mut inner = self.inner();
        if now_ms < inner.logged.after_ms {
            inner.logged.silent += 1;
            return;
        }
        let silent = std::mem::take(&mut inner.logged.silent);
        inner.logged.after_ms = now_ms + LOG_EVERY_MS;
        drop(inner);
        let (door, why) = (self.rules.door.as_str(), why.as_str());
        tracing::warn!(%address, door, why, "a connection was turned away: {why}; {silent} more since the last such line");
    }

    /// Connections that are in, those that wait, and addresses that something is known of.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let inner = self.inner();
        (inner.connections, inner.waiting.len(), inner.addresses.len())
    }
}

impl Inner {
    fn put_in_place(
        &mut self,
        pass: &mut Pass,
        party: Party,
        since_ms: u64,
        whom: Option<Arc<dyn Leave>>,
    ) {
        self.last_place += 1;
        let place = NonZeroU64::new(self.last_place).expect("it is counted up from 0");
        self.waiting.insert(place, Waiting { since_ms, party, whom });
        pass.place = Some(place);
    }
}
