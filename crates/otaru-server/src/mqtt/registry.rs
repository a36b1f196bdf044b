//! Who is connected. Sessions are keyed by the device that the username names: a client id may change at each connect.

use super::mailbox::{CloseReason, Mailbox, Message};
use super::rules::RuleBook;
use crate::metrics::{Door, Dropped, Metrics};
use otaru_core::hash::Map;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::topic_class::TopicRules;
use otaru_core::topology::{SubEnd, SubName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Number of one time that a device came online; a later time has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A device at one time that it is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    pub device: DeviceNo,
    pub epoch: Epoch,
}

impl Peer {
    /// A device that speaks without being online: no connection has this epoch.
    pub fn offline(device: DeviceNo) -> Self {
        Self { device, epoch: Epoch(0) }
    }
}

/// What became of a message for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// It waits to be written, or is.
    Accepted,
    /// That connection is over, or was given up just now since the device doesn't read.
    Gone,
}

/// Number of a connection, whoever is behind it.
pub(super) type ConnectionNo = u64;

/// Connections that one step of a sweep looks at while nobody else can enter.
const SWEEP_STEP: usize = 4_096;
/// Kicked devices that are remembered for connections that are just being checked: half a megabyte.
const KICKS_KEPT: usize = 65_536;

/// All connections of this node.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    left: Notify,
    metrics: Metrics,
    rules: RuleBook,
}

#[derive(Debug, Default)]
struct Inner {
    connections: BTreeMap<ConnectionNo, Arc<Mailbox>>,
    devices: Map<DeviceNo, Entry>,
    /// The same devices by product; no set is empty.
    products: BTreeMap<ProductNo, BTreeSet<DeviceNo>>,
    /// The last devices that were kicked, and how many there ever were: see [`Registry::kicks`].
    kicked: VecDeque<DeviceNo>,
    kicks: u64,
    last_connection: ConnectionNo,
    last_epoch: u64,
}

#[derive(Debug)]
struct Entry {
    epoch: Epoch,
    product: ProductNo,
    /// Of its own connection, or of its gateway's.
    mailbox: Arc<Mailbox>,
    /// The name of a sub-device that is online through a gateway.
    sub: Option<Box<SubName>>,
}

impl Inner {
    fn remove(&mut self, peer: Peer) {
        if self.devices.get(&peer.device).is_some_and(|entry| entry.epoch == peer.epoch)
            && let Some(entry) = self.devices.remove(&peer.device)
            && let Some(devices) = self.products.get_mut(&entry.product)
        {
            devices.remove(&peer.device);
            if devices.is_empty() {
                self.products.remove(&entry.product);
            }
        }
    }
}

impl Entry {
    /// Ends this presence: that of a sub-device without the connection of its gateway.
    fn end(&self, device: DeviceNo, reason: CloseReason, end: SubEnd) {
        match &self.sub {
            None => self.mailbox.close(reason),
            Some(name) => {
                let peer = Peer { device, epoch: self.epoch };
                self.mailbox.expel(peer, (**name).clone(), end);
            }
        }
    }
}

impl Registry {
    /// `metrics` count what becomes of connections and messages.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What products let their devices do.
    pub fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// What a device that is online may do.
    pub(super) fn rules_of(&self, device: DeviceNo) -> Arc<TopicRules> {
        let product = self.inner().devices.get(&device).map(|entry| entry.product);
        product.map(|product| self.rules.of(product)).unwrap_or_default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change below is whole before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins, of a stranger still.
    pub(super) fn open(&self) -> (ConnectionNo, Arc<Mailbox>) {
        let mut inner = self.inner();
        inner.last_connection += 1;
        let (no, mailbox) = (inner.last_connection, Arc::new(Mailbox::default()));
        inner.connections.insert(no, Arc::clone(&mailbox));
        self.metrics.accepted.count(Door::Mqtt);
        self.metrics.connections.gauge(Door::Mqtt).inc();
        (no, mailbox)
    }

    /// How many devices were kicked so far. Asked for before a device is looked up: one that is kicked between that and
    /// [`Registry::enter`] is not let in.
    pub(super) fn kicks(&self) -> u64 {
        self.inner().kicks
    }

    /// A connection turns out to be `device` of `product`; an older one of it is closed. `None` when the device was, or
    /// may have been, kicked since there were `kicks`.
    pub(super) fn enter(
        &self,
        product: ProductNo,
        device: DeviceNo,
        mailbox: &Arc<Mailbox>,
        kicks: u64,
    ) -> Option<Peer> {
        self.enter_as(product, device, mailbox, None, kicks)
    }

    /// A sub-device logs in through the connection of its gateway. As [`Registry::enter`].
    pub(super) fn enter_through(
        &self,
        product: ProductNo,
        device: DeviceNo,
        mailbox: &Arc<Mailbox>,
        name: &SubName,
        kicks: u64,
    ) -> Option<Peer> {
        self.enter_as(product, device, mailbox, Some(Box::new(name.clone())), kicks)
    }

    fn enter_as(
        &self,
        product: ProductNo,
        device: DeviceNo,
        mailbox: &Arc<Mailbox>,
        sub: Option<Box<SubName>>,
        kicks: u64,
    ) -> Option<Peer> {
        let mut inner = self.inner();
        let since = usize::try_from(inner.kicks - kicks).unwrap_or(usize::MAX);
        if since > inner.kicked.len()
            || inner.kicked.iter().rev().take(since).any(|&no| no == device)
        {
            return None;
        }
        inner.last_epoch += 1;
        let epoch = Epoch(inner.last_epoch);
        inner.products.entry(product).or_default().insert(device);
        let entry = Entry { epoch, product, mailbox: Arc::clone(mailbox), sub };
        if let Some(older) = inner.devices.insert(device, entry) {
            older.end(device, CloseReason::Replaced, SubEnd::Elsewhere);
        }
        Some(Peer { device, epoch })
    }

    /// A connection ends.
    pub(super) fn leave(&self, no: ConnectionNo, peer: Option<Peer>) {
        let mut inner = self.inner();
        if inner.connections.remove(&no).is_some() {
            self.metrics.connections.gauge(Door::Mqtt).dec();
        }
        if let Some(peer) = peer {
            inner.remove(peer);
        }
        drop(inner);
        self.left.notify_waiters();
    }

    /// A sub-device is logged out.
    pub(super) fn leave_through(&self, peer: Peer) {
        self.inner().remove(peer);
    }

    /// Logs a sub-device out of the gateway that it no longer belongs to.
    pub fn log_out(&self, device: DeviceNo) {
        let mut inner = self.inner();
        let Some(entry) = inner.devices.get(&device).filter(|entry| entry.sub.is_some()) else {
            return;
        };
        let peer = Peer { device, epoch: entry.epoch };
        entry.end(device, CloseReason::Kicked, SubEnd::NoSession);
        inner.remove(peer);
    }

    /// Sends a message to a device, but only on the connection that `peer` names.
    pub fn deliver(&self, peer: Peer, message: Message) -> Delivery {
        let mailbox = match self.inner().devices.get(&peer.device) {
            Some(entry) if entry.epoch == peer.epoch => Arc::clone(&entry.mailbox),
            _ => {
                self.metrics.dropped.count(Dropped::Offline);
                return Delivery::Gone;
            }
        };
        if mailbox.put(message) {
            return Delivery::Accepted;
        }
        let is_slow = mailbox.closed() == Some(CloseReason::Slow);
        self.metrics.dropped.count(if is_slow { Dropped::Slow } else { Dropped::Offline });
        Delivery::Gone
    }

    /// Tells the connection of a device, if there is one, that something waits in its session.
    pub fn tell_kept(&self, device: DeviceNo) {
        if let Some(entry) = self.inner().devices.get(&device).filter(|entry| entry.sub.is_none()) {
            entry.mailbox.tell_kept();
        }
    }

    /// The connection of a device.
    pub fn peer(&self, device: DeviceNo) -> Option<Peer> {
        self.inner().devices.get(&device).map(|entry| Peer { device, epoch: entry.epoch })
    }

    /// Closes the connection of a device that was disabled or deleted; the gateway of a sub-device is told which.
    pub fn kick(&self, device: DeviceNo, end: SubEnd) {
        let mut inner = self.inner();
        inner.kicks += 1;
        inner.kicked.push_back(device);
        if inner.kicked.len() > KICKS_KEPT {
            inner.kicked.pop_front();
        }
        if let Some(entry) = inner.devices.get(&device) {
            entry.end(device, CloseReason::Kicked, end);
            if entry.sub.is_some() {
                let peer = Peer { device, epoch: entry.epoch };
                inner.remove(peer);
            }
        }
    }

    /// Devices of a product that are online.
    pub fn online_of(&self, product: ProductNo) -> u64 {
        self.inner().products.get(&product).map_or(0, |devices| devices.len() as u64)
    }

    /// Devices of a product that are online, below `before`, by falling number. Nobody enters meanwhile: ask for few.
    pub fn online_before(
        &self,
        product: ProductNo,
        before: DeviceNo,
        skip: usize,
        take: usize,
    ) -> Vec<DeviceNo> {
        let inner = self.inner();
        let Some(devices) = inner.products.get(&product) else { return Vec::new() };
        devices.range(..before).rev().skip(skip).take(take).copied().collect()
    }

    /// Devices that are online.
    pub fn online(&self) -> usize {
        self.inner().devices.len()
    }

    /// Closes the connections that were silent for too long at `now_ms` of the monotonic clock.
    pub(super) fn sweep(&self, now_ms: u64) {
        let mut after = 0;
        loop {
            let inner = self.inner();
            let range = (Bound::Excluded(after), Bound::Unbounded);
            let mut seen = 0;
            for (no, mailbox) in inner.connections.range(range).take(SWEEP_STEP) {
                if mailbox.deadline_ms() <= now_ms {
                    mailbox.overdue();
                }
                (after, seen) = (*no, seen + 1);
            }
            if seen < SWEEP_STEP {
                return;
            }
        }
    }

    /// Closes the connection that keeps most, since all together keep too much.
    pub(super) fn relieve(&self, no: ConnectionNo) {
        if let Some(mailbox) = self.inner().connections.get(&no) {
            mailbox.close(CloseReason::Memory);
        }
    }

    /// Closes all connections and waits until they are.
    pub async fn close_all(&self) {
        loop {
            let left = self.left.notified();
            if !self.ask_all_to_close() {
                return;
            }
            left.await;
        }
    }

    /// `false` when there is nobody to ask.
    fn ask_all_to_close(&self) -> bool {
        let inner = self.inner();
        inner.connections.values().for_each(|mailbox| mailbox.close(CloseReason::Shutdown));
        !inner.connections.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_mqtt::packet::Qos;

    fn message() -> Message {
        Message::new("/t", "x", Qos::AtMostOnce)
    }

    #[test]
    fn the_newest_connection_of_a_device_wins_and_the_older_closes() {
        let registry = Registry::default();
        let (product, device, other) = (ProductNo(1), DeviceNo(7), DeviceNo(8));
        let ((first_no, first), (second_no, second)) = (registry.open(), registry.open());
        let older = registry.enter(product, device, &second, 0).unwrap();
        let newer = registry.enter(product, device, &first, 0).unwrap();
        assert!(newer.epoch > older.epoch);
        assert_eq!(second.closed(), Some(CloseReason::Replaced));
        assert_eq!(first.closed(), None);
        assert_eq!(registry.deliver(older, message()), Delivery::Gone);
        assert_eq!(registry.deliver(newer, message()), Delivery::Accepted);
        assert_eq!(registry.deliver(Peer { device: other, ..newer }, message()), Delivery::Gone);
        // The older one leaves late: the newer stays.
        registry.leave(second_no, Some(older));
        assert_eq!(registry.peer(device), Some(newer));
        assert_eq!(registry.online_of(product), 1);
        registry.leave(first_no, Some(newer));
        assert_eq!((registry.peer(device), registry.online()), (None, 0));
        assert_eq!(registry.online_of(product), 0);
    }

    #[test]
    fn devices_that_are_online_are_walked_by_falling_number_within_their_product() {
        let registry = Registry::default();
        let (_, mailbox) = registry.open();
        for (product, device) in [(1, 5), (1, 3), (2, 4), (1, 9), (1, 7)] {
            registry.enter(ProductNo(product), DeviceNo(device), &mailbox, 0).unwrap();
        }
        let walk = |product, before, skip, take| {
            let devices = registry.online_before(ProductNo(product), DeviceNo(before), skip, take);
            devices.into_iter().map(|device| device.0).collect::<Vec<_>>()
        };
        assert_eq!(walk(1, i64::MAX, 0, 3), [9, 7, 5]);
        assert_eq!(walk(1, i64::MAX, 3, 3), [3]);
        assert_eq!(walk(1, 7, 0, 9), [5, 3]);
        assert_eq!(walk(2, i64::MAX, 0, 9), [4]);
        assert_eq!(walk(3, i64::MAX, 0, 9), [0_i64; 0]);
        assert_eq!((registry.online_of(ProductNo(1)), registry.online_of(ProductNo(3))), (4, 0));
    }

    #[test]
    fn a_device_that_is_kicked_while_it_is_looked_up_is_not_let_in() {
        let registry = Registry::default();
        let ((_, mailbox), product) = (registry.open(), ProductNo(1));
        let enter =
            |device, kicks| registry.enter(product, DeviceNo(device), &mailbox, kicks).is_some();
        let before = registry.kicks();
        registry.kick(DeviceNo(1), SubEnd::Deleted);
        registry.kick(DeviceNo(2), SubEnd::Deleted);
        assert!(!enter(1, before) && !enter(2, before + 1));
        assert!(enter(1, before + 1) && enter(3, before));
        for _ in 0..KICKS_KEPT {
            registry.kick(DeviceNo(4), SubEnd::Deleted);
        }
        assert!(!enter(5, before), "nobody knows any more who was kicked since");
        assert!(enter(4, registry.kicks()));
    }

    #[test]
    fn a_sweep_closes_who_is_past_the_deadline() {
        let registry = Registry::default();
        let mailboxes: Vec<_> = (0..SWEEP_STEP as u64 + 10)
            .map(|deadline_ms| {
                let (_, mailbox) = registry.open();
                mailbox.set_deadline_ms(deadline_ms, u64::MAX);
                mailbox
            })
            .collect();
        registry.sweep(4_100);
        for (deadline_ms, mailbox) in mailboxes.iter().enumerate() {
            assert_eq!(mailbox.closed().is_some(), deadline_ms <= 4_100, "{deadline_ms}");
        }
    }

    #[tokio::test]
    async fn closing_all_waits_for_the_last_to_leave() {
        let registry = Registry::default();
        let (no, mailbox) = registry.open();
        let leaving = async {
            assert_eq!(mailbox.closed(), Some(CloseReason::Shutdown));
            registry.leave(no, None);
        };
        tokio::join!(biased; registry.close_all(), leaving);
    }
}
