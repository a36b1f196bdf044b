//! Tasks: the upgrade of one device inside a job, and what each event makes of it.

use crate::id::{DeviceNo, JobId, JobNo, TaskId, TaskNo};
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::version::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TaskStatus {
    /// Waits for somebody's consent.
    Confirm = 0,
    /// Waits to be pushed: device offline, job not started, or rate spent.
    Queued = 1,
    Notified = 2,
    /// The device has reported progress.
    InProgress = 3,
    Succeeded = 4,
    Failed = 5,
    Canceled = 6,
}

/// What moves the status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskMove {
    Confirmed,
    /// The package was pushed, or given in answer to a pull.
    Told,
    /// The connection was gone before the first push could be written.
    Untold,
    Progressed,
    /// The device has the destination version.
    AtDest,
    /// A try failed and none is left.
    TriesSpent,
    /// The device is at a version the package does not start from, found when it was to be told.
    SourceMismatch,
    TimedOut,
    Canceled,
    /// Started again by a caller.
    Reupgraded,
    /// Started again by a caller, and the job wants consent.
    ReupgradedToConfirm,
}

impl TaskMove {
    pub const ALL: [Self; 11] = [
        Self::Confirmed,
        Self::Told,
        Self::Untold,
        Self::Progressed,
        Self::AtDest,
        Self::TriesSpent,
        Self::SourceMismatch,
        Self::TimedOut,
        Self::Canceled,
        Self::Reupgraded,
        Self::ReupgradedToConfirm,
    ];
}

impl TaskStatus {
    pub const ALL: [Self; 7] = [
        Self::Confirm,
        Self::Queued,
        Self::Notified,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// The status after `event`, or `None` when it stays the same.
    #[must_use]
    pub fn next(self, event: TaskMove) -> Option<Self> {
        use {TaskMove as E, TaskStatus as S};
        match (self, event) {
            (S::Confirm, E::Confirmed) | (S::Failed | S::Canceled, E::Reupgraded) => {
                Some(S::Queued)
            }
            (S::Notified, E::Untold) => Some(S::Queued),
            (S::Failed | S::Canceled, E::ReupgradedToConfirm) => Some(S::Confirm),
            (S::Queued, E::Told) => Some(S::Notified),
            (S::Queued | S::Notified, E::Progressed) => Some(S::InProgress),
            (S::Confirm | S::Queued | S::Notified | S::InProgress, E::AtDest) => Some(S::Succeeded),
            (S::Queued | S::Notified | S::InProgress, E::TriesSpent | E::SourceMismatch) => {
                Some(S::Failed)
            }
            (S::InProgress, E::TimedOut) => Some(S::Failed),
            (S::Confirm | S::Queued | S::Notified | S::InProgress, E::Canceled) => {
                Some(S::Canceled)
            }
            // A message that arrives late never changes an ended task; only a re-upgrade does.
            (S::Succeeded, _) => None,
            (
                S::Failed | S::Canceled,
                E::Confirmed
                | E::Told
                | E::Untold
                | E::Progressed
                | E::AtDest
                | E::TriesSpent
                | E::SourceMismatch
                | E::TimedOut
                | E::Canceled,
            ) => None,
            // The rest is spelled out so that a new status or event stops the build here.
            (
                S::Confirm,
                E::Told
                | E::Untold
                | E::Progressed
                | E::TriesSpent
                | E::SourceMismatch
                | E::TimedOut
                | E::Reupgraded
                | E::ReupgradedToConfirm,
            )
            | (
                S::Queued,
                E::Confirmed | E::Untold | E::TimedOut | E::Reupgraded | E::ReupgradedToConfirm,
            )
            | (
                S::Notified,
                E::Confirmed | E::Told | E::TimedOut | E::Reupgraded | E::ReupgradedToConfirm,
            )
            | (
                S::InProgress,
                E::Confirmed
                | E::Told
                | E::Untold
                | E::Progressed
                | E::Reupgraded
                | E::ReupgradedToConfirm,
            ) => None,
        }
    }

    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Confirm | Self::Queued | Self::Notified | Self::InProgress)
    }

    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Confirm => "CONFIRM",
            Self::Queued => "QUEUED",
            Self::Notified => "NOTIFIED",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }

    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_wire() == text)
    }
}

/// Who or what canceled a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelCause {
    User = 1,
    ScheduleFinished = 2,
    DeviceDeleted = 3,
    ProductDeleted = 4,
}

/// Why a task ended badly, or why its last try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    None = 0,
    DeviceUpgrade = 1,
    DeviceDownload = 2,
    DeviceVerify = 3,
    DeviceFlash = 4,
    Timeout = 5,
    ForeignVersion = 6,
    /// The device still had an unfinished task that could not be replaced.
    Busy = 7,
    SourceMismatch = 8,
    CanceledByUser = 9,
    Overwritten = 10,
    DeviceDeleted = 11,
    ProductDeleted = 12,
    ScheduleFinished = 13,
}

impl Reason {
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::DeviceUpgrade,
        Self::DeviceDownload,
        Self::DeviceVerify,
        Self::DeviceFlash,
        Self::Timeout,
        Self::ForeignVersion,
        Self::Busy,
        Self::SourceMismatch,
        Self::CanceledByUser,
        Self::Overwritten,
        Self::DeviceDeleted,
        Self::ProductDeleted,
        Self::ScheduleFinished,
    ];

    fn of_step(step: i32) -> Self {
        match step {
            -2 => Self::DeviceDownload,
            -3 => Self::DeviceVerify,
            -4 => Self::DeviceFlash,
            _ => Self::DeviceUpgrade,
        }
    }

    /// The sentence in `TaskDesc` when the device or the caller gave none.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::DeviceUpgrade => "upgrade failed",
            Self::DeviceDownload => "download failed",
            Self::DeviceVerify => "verify failed",
            Self::DeviceFlash => "flash failed",
            Self::Timeout => "timeout",
            Self::ForeignVersion => "report version is not conform",
            Self::Busy => "device has unfinished task",
            Self::SourceMismatch => "source version mismatch",
            Self::CanceledByUser => "canceled by user",
            Self::Overwritten => "overwritten by another job",
            Self::DeviceDeleted => "device deleted",
            Self::ProductDeleted => "product deleted",
            Self::ScheduleFinished => "schedule finished",
        }
    }
}

impl From<CancelCause> for Reason {
    fn from(cause: CancelCause) -> Self {
        match cause {
            CancelCause::User => Self::CanceledByUser,
            CancelCause::ScheduleFinished => Self::ScheduleFinished,
            CancelCause::DeviceDeleted => Self::DeviceDeleted,
            CancelCause::ProductDeleted => Self::ProductDeleted,
        }
    }
}

/// A task as the rules see it. The fields up to `modified_at` change often, the rest seldom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub no: TaskNo,
    pub job: JobNo,
    pub device: DeviceNo,
    pub status: TaskStatus,
    /// Last step reported, 0 to 100.
    pub progress: u8,
    /// Tries that failed so far.
    pub failed_tries: u32,
    /// Whether the device was told at least once.
    pub told: bool,
    /// When the next try is due, while one waits.
    pub retry_at: Option<Timestamp>,
    /// When the task fails by timeout; set by the first progress report and never moved.
    pub timeout_at: Option<Timestamp>,
    pub reason: Reason,
    pub modified_at: Timestamp,

    pub id: TaskId,
    /// The device's version of the module when the task was made, refreshed while the task is pending.
    pub src: Option<Version>,
    /// `TaskDesc`.
    pub description: String,
    /// The job's timeout when the task was made.
    pub timeout_minutes: Option<u32>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Task {
    /// When time itself has something to do to the task.
    pub fn due_at(&self) -> Option<Timestamp> {
        match (self.retry_at, self.timeout_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (at, None) | (None, at) => at,
        }
    }

    /// Whether a push of it is paid for by the job's rate: the first that the device hears of, whatever it reported
    /// before. A first push that was lost is paid for again.
    pub fn is_first_push(&self) -> bool {
        !self.told || self.status == TaskStatus::Queued
    }

    /// Whether the task would be pushed to its device if that came online now: the job must be open and push.
    pub fn is_pushable(&self, policy: &Policy) -> bool {
        policy.need_push
            && self.retry_at.is_none()
            && matches!(
                self.status,
                TaskStatus::Queued | TaskStatus::Notified | TaskStatus::InProgress
            )
    }
}

/// What of its job and package a task is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub policy: &'a Policy,
    pub dest: &'a Version,
    /// Of a delta package: the only version it starts from.
    pub delta_src: Option<&'a Version>,
    /// Versions the job was limited to; none: any.
    pub src_versions: &'a [Version],
}

/// Something that happened to a task.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Confirmed,
    /// The connected device, now at `version`, is about to be told of its own accord or in answer to a pull.
    Push {
        version: Option<&'a Version>,
    },
    Pull {
        version: Option<&'a Version>,
    },
    /// The first push could not be written.
    PushLost,
    /// `step` is at most 100; negative steps are failures.
    Progress {
        step: i32,
        description: &'a str,
    },
    /// The device reported `version` of the task's module.
    Reported {
        version: &'a Version,
    },
    /// `retry_at` or `timeout_at` may have passed.
    Due,
    Canceled(CancelCause),
    /// A newer job takes the device.
    Overwritten {
        by: &'a JobId,
    },
    /// Started again; the device is at `version`.
    Reupgraded {
        version: Option<&'a Version>,
    },
}

/// What an event makes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing changes; the text says why, for the log.
    Ignored(&'static str),
    /// The task as it is from now on.
    Changed(Task),
    /// The task as it is from now on, and the device is to be told.
    Tell(Task),
    /// The task as it is from now on; it should be pushed as soon as the device and the rate allow.
    Ready(Task),
}

/// Longest description that is kept, in characters (device protocol reference, progress).
const DESCRIPTION_CHARS: usize = 128;

/// Decides what `event` makes of `task` at `now` (behaviour reference, "event × state").
pub fn decide(task: &Task, event: Event<'_>, plan: Plan<'_>, now: Timestamp) -> Verdict {
    if !task.status.is_unfinished() && !matches!(event, Event::Reupgraded { .. }) {
        return Verdict::Ignored("the task has ended");
    }
    let waiting = task.retry_at.is_some();
    let change = Change { task: Task { modified_at: now, ..task.clone() }, plan, now };
    match event {
        Event::Confirmed => change.step(TaskMove::Confirmed).map_or(IGNORED_STATUS, Verdict::Ready),
        Event::Push { .. } if waiting => Verdict::Ignored("a retry waits"),
        Event::Push { version } | Event::Pull { version } => change.tell(version),
        Event::PushLost => change.step(TaskMove::Untold).map_or(IGNORED_STATUS, Verdict::Changed),
        Event::Progress { .. } if task.status == TaskStatus::Confirm => IGNORED_STATUS,
        Event::Progress { step, description } => match u8::try_from(step) {
            Ok(step) => change.progress(step),
            Err(_) if waiting => Verdict::Ignored("the try has failed already"),
            Err(_) => change.fail_try(Reason::of_step(step), description),
        },
        Event::Reported { version } => change.report(version),
        Event::Due => change.due(),
        Event::Canceled(cause) => {
            let reason = Reason::from(cause);
            change.end(TaskMove::Canceled, reason, reason.sentence().to_owned())
        }
        Event::Overwritten { by } => {
            change.end(TaskMove::Canceled, Reason::Overwritten, format!("overwritten by job {by}"))
        }
        Event::Reupgraded { version } => change.reupgrade(version),
    }
}

const IGNORED_STATUS: Verdict = Verdict::Ignored("the status does not allow it");

/// A task on its way to the next state.
struct Change<'a> {
    task: Task,
    plan: Plan<'a>,
    now: Timestamp,
}

impl Change<'_> {
    fn step(mut self, event: TaskMove) -> Option<Task> {
        self.task.status = self.task.status.next(event)?;
        Some(self.task)
    }

    fn end(mut self, event: TaskMove, reason: Reason, description: String) -> Verdict {
        let Some(status) = self.task.status.next(event) else { return IGNORED_STATUS };
        self.task.status = status;
        self.task.reason = reason;
        self.task.description = description;
        self.task.retry_at = None;
        self.task.timeout_at = None;
        self.task.ended_at = Some(self.now);
        Verdict::Changed(self.task)
    }

    fn succeed(mut self) -> Verdict {
        self.task.progress = 100;
        self.end(TaskMove::AtDest, Reason::None, String::new())
    }

    fn tell(mut self, version: Option<&Version>) -> Verdict {
        if self.task.status == TaskStatus::Confirm {
            return IGNORED_STATUS;
        }
        if version == Some(self.plan.dest) {
            return self.succeed();
        }
        let from_delta = self.plan.delta_src.is_none_or(|src| version == Some(src));
        // Only before the first push: a retry after a foreign version could never run otherwise.
        let from_listed = self.task.told
            || self.plan.src_versions.is_empty()
            || version.is_some_and(|v| self.plan.src_versions.contains(v));
        if !(from_delta && from_listed) {
            let reason = Reason::SourceMismatch;
            return self.end(TaskMove::SourceMismatch, reason, reason.sentence().to_owned());
        }
        self.drop_retry();
        self.task.told = true;
        if let Some(status) = self.task.status.next(TaskMove::Told) {
            self.task.status = status;
        }
        Verdict::Tell(self.task)
    }

    fn drop_retry(&mut self) {
        if self.task.retry_at.take().is_some() {
            self.task.progress = 0;
            self.task.reason = Reason::None;
            self.task.description.clear();
        }
    }

    fn progress(mut self, step: u8) -> Verdict {
        self.drop_retry();
        if let Some(status) = self.task.status.next(TaskMove::Progressed) {
            self.task.status = status;
        }
        if self.task.timeout_at.is_none() {
            self.task.timeout_at =
                self.task.timeout_minutes.map(|minutes| self.now.plus_minutes(minutes));
        }
        self.task.progress = step.min(100);
        Verdict::Changed(self.task)
    }

    fn fail_try(mut self, reason: Reason, description: &str) -> Verdict {
        let text = if description.is_empty() { reason.sentence() } else { description };
        let text: String = text.chars().take(DESCRIPTION_CHARS).collect();
        match self.plan.policy.retry {
            Some(retry) if self.task.failed_tries < retry.count => {
                self.task.failed_tries += 1;
                self.task.retry_at = Some(self.now.plus_minutes(retry.interval_minutes));
                self.task.reason = reason;
                self.task.description = text;
                Verdict::Changed(self.task)
            }
            _ => {
                self.task.failed_tries += 1;
                self.end(TaskMove::TriesSpent, reason, text)
            }
        }
    }

    fn report(mut self, version: &Version) -> Verdict {
        if version == self.plan.dest {
            return self.succeed();
        }
        let in_progress = self.task.status == TaskStatus::InProgress;
        let known = self.task.src.as_ref() == Some(version);
        match (in_progress, known) {
            (_, true) => Verdict::Ignored("the version is the source version"),
            // A device that had never reported shows its source version late; that is no foreign one.
            (true, false) if self.task.src.is_some() => {
                if self.task.retry_at.is_some() {
                    return Verdict::Ignored("the try has failed already");
                }
                // The next try starts from this version, so that the report at the next boot is not one more failure.
                let src = self.task.src.replace(version.clone());
                match self.fail_try(Reason::ForeignVersion, "") {
                    // Without a next try it stays the version that did not work: dynamic jobs take the device from
                    // any other.
                    Verdict::Changed(task) if !task.status.is_unfinished() => {
                        Verdict::Changed(Task { src, ..task })
                    }
                    verdict => verdict,
                }
            }
            (_, false) => {
                self.task.src = Some(version.clone());
                Verdict::Changed(self.task)
            }
        }
    }

    fn due(mut self) -> Verdict {
        if self.task.timeout_at.is_some_and(|at| at <= self.now) {
            let reason = Reason::Timeout;
            return self.end(TaskMove::TimedOut, reason, reason.sentence().to_owned());
        }
        if self.task.retry_at.is_some_and(|at| at <= self.now) {
            self.drop_retry();
            return Verdict::Ready(self.task);
        }
        Verdict::Ignored("nothing is due")
    }

    fn reupgrade(mut self, version: Option<&Version>) -> Verdict {
        let event = if self.plan.policy.need_confirm {
            TaskMove::ReupgradedToConfirm
        } else {
            TaskMove::Reupgraded
        };
        let Some(status) = self.task.status.next(event) else { return IGNORED_STATUS };
        self.task = Task {
            status,
            progress: 0,
            failed_tries: 0,
            told: false,
            retry_at: None,
            timeout_at: None,
            reason: Reason::None,
            src: version.cloned(),
            description: String::new(),
            ended_at: None,
            ..self.task
        };
        if status == TaskStatus::Queued {
            Verdict::Ready(self.task)
        } else {
            Verdict::Changed(self.task)
        }
    }
}

#[cfg(test)]
mod tests;
