//! Bugs that are planted to see whether the simulation finds them.
//!
//! They exist in builds with the feature `planted-bugs` only, which a build without debug assertions refuses. Otherwise
//! [`is`] is `false` at compile time and the branches behind it are gone.

/// A bug, and the invariant of the simulation that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// The database does not wait for the disk.
    NoSync = 1,
    /// A commit that failed is taken for done.
    FailedCommitIsDone,
    /// Failed tasks are not counted.
    UncountedFailures,
    /// A version that ends a task is not stored.
    VersionNotStored,
    /// A job's rate holds nothing back.
    RateIgnored,
    /// A cancel spares tasks that were notified.
    CancelSparesNotified,
    /// A busy device gets one more task.
    BusyIsIgnored,
    /// Step 100 counts as success.
    EarlySuccess,
    /// A task is pushed again on a connection that heard of it.
    PushedAgain,
    /// Progress starts no timeout.
    TimeoutNotSet,
    /// A task that needs consent does not wait for it.
    ConsentNotAsked,
    /// A pull is answered before the job's start and after its forced end.
    ScheduleIgnored,
    /// Tasks of two modules live side by side whether their jobs allow it or not.
    ModulesNeverMeet,
    /// A message does not name the module of its package.
    ModuleNotNamed,
    /// A package to be fetched over MQTT comes with a URL.
    StreamIsUrl,
}

impl Bug {
    pub const ALL: [Self; 15] = [
        Self::NoSync,
        Self::FailedCommitIsDone,
        Self::UncountedFailures,
        Self::VersionNotStored,
        Self::RateIgnored,
        Self::CancelSparesNotified,
        Self::BusyIsIgnored,
        Self::EarlySuccess,
        Self::PushedAgain,
        Self::TimeoutNotSet,
        Self::ConsentNotAsked,
        Self::ScheduleIgnored,
        Self::ModulesNeverMeet,
        Self::ModuleNotNamed,
        Self::StreamIsUrl,
    ];
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use super::Bug;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[cfg(not(debug_assertions))]
    compile_error!("planted bugs are for tests: a release must not have them");

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Plants a bug in this process, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }
}

#[cfg(feature = "planted-bugs")]
pub use planted::{is, plant};

/// Whether `bug` is planted.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub const fn is(_: Bug) -> bool {
    false
}
