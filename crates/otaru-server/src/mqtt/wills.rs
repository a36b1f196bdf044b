//! Wills whose delay is running: the connection is over, and its device may be back in time. Source: MQTT 5.0, section 3.1.3.2.2.

use super::{Peer, Report};
use otaru_core::hash::{Map, Set};
use otaru_core::id::DeviceNo;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A will to be said for a device.
pub(super) type Said = (Peer, Report);

#[derive(Debug, Default)]
pub(super) struct Wills {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Map<DeviceNo, (u64, Peer, Report)>,
    /// Devices that have begun a new session while their older connection was still there.
    renewed: Set<DeviceNo>,
}

impl Wills {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change below is whole before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a will until `until_ms` of the monotonic clock, among at most `most`; without room it comes back, to be said at once.
    pub(super) fn hold(&self, (peer, report): Said, until_ms: u64, most: usize) -> Option<Said> {
        let mut inner = self.inner();
        if inner.waiting.len() >= most && !inner.waiting.contains_key(&peer.device) {
            return Some((peer, report));
        }
        inner.waiting.insert(peer.device, (until_ms, peer, report));
        None
    }

    /// A device is about to be back, before its older connection, if there is one, hears of that. `clean`: with a new session.
    pub(super) fn coming_back(&self, device: DeviceNo, clean: bool, has_older: bool) {
        let mut inner = self.inner();
        if clean && has_older {
            inner.renewed.insert(device);
        } else {
            inner.renewed.remove(&device);
        }
    }

    /// A device is back. When it is `clean` its older session is over and the will to be said; otherwise it goes on with that and
    /// the will is forgotten.
    pub(super) fn back(&self, device: DeviceNo, clean: bool) -> Option<Said> {
        let (_, peer, report) = self.inner().waiting.remove(&device)?;
        clean.then_some((peer, report))
    }

    /// Whether the connection that has replaced another one of the device began a new session.
    pub(super) fn was_renewed(&self, device: DeviceNo) -> bool {
        self.inner().renewed.remove(&device)
    }

    /// Wills whose delay is over, in the order in which it ended.
    pub(super) fn due(&self, now_ms: u64) -> Vec<Said> {
        let mut inner = self.inner();
        let mut due: Vec<_> =
            inner.waiting.extract_if(|_, (until_ms, ..)| *until_ms <= now_ms).collect();
        due.sort_by_key(|(device, (until_ms, ..))| (*until_ms, *device));
        due.into_iter().map(|(_, (_, peer, report))| (peer, report)).collect()
    }
}
