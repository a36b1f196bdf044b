//! What goes wrong with a disk, and when: at one change, or for a while.

use std::sync::Arc;
use tokio::sync::Notify;

/// What happens to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power fails before it.
    Power,
    /// It is refused, and nothing of it happens.
    Error,
    /// Half of a write happens, and an error. A sync fails and forgets what it was to make durable: the disk takes it
    /// for done and the next sync, which succeeds, leaves it out.
    Half,
    /// There is no room. A sync fails as with [`Fault::Error`].
    Full,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::Power, Self::Error, Self::Half, Self::Full];
}

/// The faults of one disk, done and to come.
#[derive(Default)]
pub struct Faults {
    /// Changes so far.
    pub changes: u64,
    planned: Option<(u64, Fault)>,
    /// Meets every change until it is taken away.
    lasting: Option<Fault>,
    /// How many changes a fault has met.
    pub injected: u64,
    /// The power has failed and nobody has restarted the machine.
    pub power_failed: bool,
    pub power_fails: Arc<Notify>,
}

impl Faults {
    /// Lets `fault` meet the change number `at`, counted from the disk's first, and only that.
    pub fn plan(&mut self, at: u64, fault: Fault) {
        self.planned = Some((at, fault));
    }

    /// Lets `fault` meet every change from now on, or none.
    pub fn last(&mut self, fault: Option<Fault>) {
        self.lasting = fault;
    }

    /// What was planned stays away.
    pub fn calm(&mut self) {
        (self.planned, self.lasting) = (None, None);
    }

    /// The machine has restarted.
    pub fn restarted(&mut self) {
        self.calm();
        self.power_failed = false;
        self.power_fails = Arc::default();
    }

    /// Counts a change and says what it meets.
    pub fn meet(&mut self) -> Option<Fault> {
        self.changes += 1;
        let due = self.planned.take_if(|(at, _)| *at <= self.changes).map(|(_, fault)| fault);
        let fault = due.or(self.lasting)?;
        self.injected += 1;
        if fault == Fault::Power {
            self.power_failed = true;
            self.power_fails.notify_one();
        }
        Some(fault)
    }
}
