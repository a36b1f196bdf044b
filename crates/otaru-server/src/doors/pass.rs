//! What a connection holds that was let in.

use super::Guard;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Somebody who can be asked to close his connection.
pub trait Leave: Send + Sync + std::fmt::Debug {
    /// The connection is to be closed. Never waits.
    fn leave(&self);
}

/// A wish to be closed that can be waited for.
#[derive(Debug, Default)]
pub struct Signal {
    is_given: AtomicBool,
    changed: Notify,
}

impl Signal {
    /// Waits until the wish was uttered.
    pub async fn given(&self) {
        loop {
            // Made before the look, so that a wish in between isn't missed.
            let changed = self.changed.notified();
            if self.is_given.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

impl Leave for Signal {
    fn leave(&self) {
        self.is_given.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// What `work` makes of a connection that waits; `None` also when that has to go before.
pub async fn unless_asked_to_go<T>(
    work: impl Future<Output = Option<T>>,
    pass: &Pass,
) -> Option<T> {
    let signal = Arc::new(Signal::default());
    pass.ask(signal.clone());
    tokio::select! {
        biased;
        () = signal.given() => None,
        made = work => made,
    }
}

/// The right to one connection. Dropping it gives the place back.
#[derive(Debug)]
pub struct Pass {
    address: IpAddr,
    /// Nobody stands at a door that is in memory only.
    guard: Option<Arc<Guard>>,
    /// Its place among those that wait.
    pub(super) place: Option<NonZeroU64>,
    pub(super) counts: bool,
}

impl Pass {
    pub(super) fn new(address: IpAddr, guard: Arc<Guard>, counts: bool) -> Self {
        Self { address, guard: Some(guard), place: None, counts }
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Says who is to be asked when this connection has to go while it waits. It may have to go now already.
    pub fn ask(&self, whom: Arc<dyn Leave>) {
        if let Some(guard) = &self.guard {
            guard.ask(self, whom);
        }
    }

    /// The connection is worth keeping: it doesn't wait any more.
    pub fn settle(&mut self) {
        if let Some(guard) = self.guard.clone() {
            guard.settle(self);
        }
    }

    /// The connection waits again, as the newest of those that do; `whom` is to be asked.
    pub fn wait(&mut self, whom: Arc<dyn Leave>) {
        if let Some(guard) = self.guard.clone() {
            guard.wait(self, whom);
        }
    }
}

impl From<IpAddr> for Pass {
    /// A connection from `address` at a door without a guard.
    fn from(address: IpAddr) -> Self {
        Self { address, guard: None, place: None, counts: false }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.leave(self);
        }
    }
}
