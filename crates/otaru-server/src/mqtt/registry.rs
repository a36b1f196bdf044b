//! Who is connected. Sessions are keyed by the device that the username names: a client id may change at each connect.

use super::mailbox::{CloseReason, Mailbox, Message};
use otaru_core::hash::Map;
use otaru_core::id::DeviceNo;
use std::collections::BTreeMap;
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

/// All connections of this node.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    connections: BTreeMap<ConnectionNo, Arc<Mailbox>>,
    devices: Map<DeviceNo, (Epoch, Arc<Mailbox>)>,
    last_connection: ConnectionNo,
    last_epoch: u64,
}

impl Registry {
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
        (no, mailbox)
    }

    /// A connection turns out to be `device`; an older one of it is closed.
    pub(super) fn enter(&self, device: DeviceNo, mailbox: &Arc<Mailbox>) -> Peer {
        let mut inner = self.inner();
        inner.last_epoch += 1;
        let epoch = Epoch(inner.last_epoch);
        if let Some((_, older)) = inner.devices.insert(device, (epoch, Arc::clone(mailbox))) {
            older.close(CloseReason::Replaced);
        }
        Peer { device, epoch }
    }

    /// A connection ends.
    pub(super) fn leave(&self, no: ConnectionNo, peer: Option<Peer>) {
        let mut inner = self.inner();
        inner.connections.remove(&no);
        if let Some(peer) = peer
            && inner.devices.get(&peer.device).is_some_and(|(epoch, _)| *epoch == peer.epoch)
        {
            inner.devices.remove(&peer.device);
        }
        drop(inner);
        self.left.notify_waiters();
    }

    /// Sends a message to a device, but only on the connection that `peer` names.
    pub fn deliver(&self, peer: Peer, message: Message) -> Delivery {
        let mailbox = match self.inner().devices.get(&peer.device) {
            Some((epoch, mailbox)) if *epoch == peer.epoch => Arc::clone(mailbox),
            _ => return Delivery::Gone,
        };
        if mailbox.put(message) { Delivery::Accepted } else { Delivery::Gone }
    }

    /// The connection of a device.
    pub fn peer(&self, device: DeviceNo) -> Option<Peer> {
        self.inner().devices.get(&device).map(|(epoch, _)| Peer { device, epoch: *epoch })
    }

    /// Closes the connection of a device that was disabled or deleted.
    pub fn kick(&self, device: DeviceNo) {
        if let Some((_, mailbox)) = self.inner().devices.get(&device) {
            mailbox.close(CloseReason::Kicked);
        }
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
                    mailbox.close(CloseReason::Silent);
                }
                (after, seen) = (*no, seen + 1);
            }
            if seen < SWEEP_STEP {
                return;
            }
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
        Message { topic: "/t".into(), payload: "x".into(), qos: Qos::AtMostOnce }
    }

    #[test]
    fn the_newest_connection_of_a_device_wins_and_the_older_closes() {
        let registry = Registry::default();
        let (device, other) = (DeviceNo(7), DeviceNo(8));
        let ((first_no, first), (second_no, second)) = (registry.open(), registry.open());
        let older = registry.enter(device, &second);
        let newer = registry.enter(device, &first);
        assert!(newer.epoch > older.epoch);
        assert_eq!(second.closed(), Some(CloseReason::Replaced));
        assert_eq!(first.closed(), None);
        assert_eq!(registry.deliver(older, message()), Delivery::Gone);
        assert_eq!(registry.deliver(newer, message()), Delivery::Accepted);
        assert_eq!(registry.deliver(Peer { device: other, ..newer }, message()), Delivery::Gone);
        // The older one leaves late: the newer stays.
        registry.leave(second_no, Some(older));
        assert_eq!(registry.peer(device), Some(newer));
        registry.leave(first_no, Some(newer));
        assert_eq!((registry.peer(device), registry.online()), (None, 0));
    }

    #[test]
    fn a_sweep_closes_who_is_past_the_deadline() {
        let registry = Registry::default();
        let mailboxes: Vec<_> = (0..SWEEP_STEP as u64 + 10)
            .map(|deadline_ms| {
                let (_, mailbox) = registry.open();
                mailbox.set_deadline_ms(deadline_ms);
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
