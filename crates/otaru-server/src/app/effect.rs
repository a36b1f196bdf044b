//! What follows a change once it is committed, and only then.

use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::time::Timestamp;

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
    /// The earliest deadline that was set.
    pub deadline: Option<Timestamp>,
    /// Devices whose task has ended, so that dynamic jobs look at them again.
    pub(super) freed: Vec<DeviceNo>,
}

impl Effects {
    pub(super) fn due(&mut self, at: Option<Timestamp>) {
        self.deadline = match (self.deadline, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
