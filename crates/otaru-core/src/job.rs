//! Jobs: one package, the devices chosen for it, and the policy that rules them.

use crate::id::{AccountNo, GroupId, GroupNo, JobId, JobNo, PackageNo, ProductNo};
use crate::policy::Policy;
use crate::task::{CancelCause, TaskStatus};
use crate::time::Timestamp;
use crate::version::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Scheduled and not started.
    Planned,
    InProgress,
    Completed,
    Canceled,
}

/// What moves the status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// The schedule time was reached.
    Started,
    /// The last unfinished task ended, by whatever but a cancel call.
    AllEnded,
    /// A cancel call ended the last unfinished task.
    AllCanceled,
    /// The policy of a dynamic job was canceled.
    PolicyCanceled,
    /// An ended task was started again.
    Reopened,
}

impl JobStatus {
    pub const ALL: [Self; 4] = [Self::Planned, Self::InProgress, Self::Completed, Self::Canceled];

    /// The status after `event`, or `None` when it stays the same.
    #[must_use]
    pub fn next(self, event: JobEvent) -> Option<Self> {
        use {JobEvent as E, JobStatus as S};
        match (self, event) {
            (S::Planned, E::Started) | (S::Completed | S::Canceled, E::Reopened) => {
                Some(S::InProgress)
            }
            (S::Planned | S::InProgress, E::AllCanceled) | (S::InProgress, E::PolicyCanceled) => {
                Some(S::Canceled)
            }
            (S::InProgress, E::AllEnded) => Some(S::Completed),
            // Tasks of a planned job can end by a version report; the job still completes at its start, not before.
            (S::Planned, E::AllEnded | E::PolicyCanceled | E::Reopened) => None,
            (S::InProgress, E::Started | E::Reopened) => None,
            (
                S::Completed | S::Canceled,
                E::Started | E::AllEnded | E::AllCanceled | E::PolicyCanceled,
            ) => None,
        }
    }

    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled)
    }

    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Planned => "PLANNED",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    Verify,
    Upgrade,
}

impl JobKind {
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Verify => "VERIFY_FIRMWARE",
            Self::Upgrade => "UPGRADE_FIRMWARE",
        }
    }
}

/// Share of the devices of a gray job, in thousandths of a percent: above 0, at most 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrayPercent(u32);

/// What is wrong with a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrayPercentError {
    /// No decimal number, or more than three decimals.
    Format,
    /// Not above 0, or above 100.
    Range,
}

impl GrayPercent {
    /// # Errors
    /// [`GrayPercentError`]
    pub fn parse(text: &str) -> Result<Self, GrayPercentError> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 3 {
            return Err(GrayPercentError::Format);
        }
        let thousandths =
            format!("{whole}{decimals:0<3}").parse::<u64>().map_err(|_| GrayPercentError::Range)?;
        match u32::try_from(thousandths) {
            Ok(n @ 1..=100_000) if sign > 0 => Ok(Self(n)),
            _ => Err(GrayPercentError::Range),
        }
    }

    pub fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths)
    }

    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// How many of `count` devices: rounded down, but at least one of any.
    pub fn of(self, count: u64) -> u64 {
        let share = u128::from(count) * u128::from(self.0) / 100_000;
        u64::try_from(share).unwrap_or(count).max(count.min(1))
    }
}

impl std::fmt::Display for GrayPercent {
    /// With at least two decimals: `50.00`, `33.333`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest.is_multiple_of(10) {
            write!(f, "{whole}.{:02}", rest / 10)
        } else {
            write!(f, "{whole}.{rest:03}")
        }
    }
}

/// When a dynamic job looks at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynamicMode {
    /// Devices that match now, and every later report.
    CurrentAndLater,
    /// Only a report of a new version after the job's creation.
    NewReports,
}

impl DynamicMode {
    pub fn as_wire(self) -> i32 {
        match self {
            Self::CurrentAndLater => 1,
            Self::NewReports => 2,
        }
    }

    pub fn from_wire(mode: i32) -> Option<Self> {
        [Self::CurrentAndLater, Self::NewReports].into_iter().find(|m| m.as_wire() == mode)
    }
}

/// Which devices a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    All,
    Specific,
    Gray(GrayPercent),
    Dynamic(DynamicMode),
    /// Members of a static group and its children.
    Group,
}

impl Selection {
    /// `SelectionType` on the wire.
    pub fn type_wire(self) -> &'static str {
        if matches!(self, Self::Dynamic(_)) { "DYNAMIC" } else { "STATIC" }
    }

    /// `TargetSelection` on the wire; dynamic jobs say `ALL`.
    pub fn target_wire(self) -> &'static str {
        match self {
            Self::All | Self::Dynamic(_) => "ALL",
            Self::Specific => "SPECIFIC",
            Self::Gray(_) => "GRAY",
            Self::Group => "GROUP",
        }
    }
}

/// The part of a large job's tasks that is still to be made, slice by slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Devices up to this number, or bytes of the list of names up to here, are done.
    pub after: i64,
    /// Devices above this number came after the job and are not taken; the size of the list of names.
    pub until: i64,
    /// Of a gray job: the highest rank that is taken (`selection::gray_rank`).
    pub rank_max: Option<u64>,
}

/// A cancel that is answered but not yet carried out on every row. Whoever looks at a task of the job asks here first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    pub cancels: StatusSet,
    pub cause: CancelCause,
    /// When it was answered: a task that entered its status later is not meant.
    pub at: Timestamp,
    /// Tasks up to this number are done.
    pub after: i64,
}

impl Sweep {
    /// Whether a task that is in `status` since `modified_at` counts as canceled at `now`.
    pub fn covers(self, status: TaskStatus, modified_at: Timestamp, now: Timestamp) -> bool {
        // A task of the future was there before the wall clock was set back, and so before the cancel.
        self.cancels.contains(status) && (modified_at <= self.at || now < modified_at)
    }
}

/// A set of task statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet(u8);

impl StatusSet {
    pub const UNFINISHED: Self = Self::of(&[
        TaskStatus::Confirm,
        TaskStatus::Queued,
        TaskStatus::Notified,
        TaskStatus::InProgress,
    ]);
    pub const PENDING: Self =
        Self::of(&[TaskStatus::Confirm, TaskStatus::Queued, TaskStatus::Notified]);

    pub const fn of(statuses: &[TaskStatus]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < statuses.len() {
            bits |= 1 << statuses[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    pub fn contains(self, status: TaskStatus) -> bool {
        self.0 & (1 << status as u8) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn bits(self) -> u8 {
        self.0
    }

    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub fn iter(self) -> impl Iterator<Item = TaskStatus> {
        TaskStatus::ALL.into_iter().filter(move |&status| self.contains(status))
    }
}

/// Tasks of a job by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([i64; 7]);

impl Counts {
    pub fn get(&self, status: TaskStatus) -> i64 {
        self.0[status as usize]
    }

    pub fn add(&mut self, status: TaskStatus, n: i64) {
        self.0[status as usize] += n;
    }

    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    pub fn of(&self, statuses: StatusSet) -> i64 {
        statuses.iter().map(|status| self.get(status)).sum()
    }

    pub fn unfinished(&self) -> i64 {
        self.of(StatusSet::UNFINISHED)
    }
}

/// The bucket that paces first pushes, as last written: parts of tokens and the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBucket {
    pub parts: u64,
    pub at: Timestamp,
}

/// The group that a job takes its devices from, as it was when the job was made: the group may be deleted since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobGroup {
    pub no: GroupNo,
    pub id: GroupId,
    pub name: String,
}

/// A job as the rules and the API see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub no: JobNo,
    pub account: AccountNo,
    pub product: ProductNo,
    pub package: PackageNo,
    pub id: JobId,
    pub kind: JobKind,
    pub selection: Selection,
    /// A static group of a static job, a dynamic one of a dynamic job.
    pub group: Option<JobGroup>,
    /// Only devices at one of these versions, when there are any.
    pub src_versions: Vec<Version>,
    pub policy: Policy,
    pub status: JobStatus,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub schedule_at: Option<Timestamp>,
    pub finish_at: Option<Timestamp>,
    /// Whether the forced end was carried out; tasks in progress may outlive it.
    pub finish_played: bool,
    pub fill: Option<Fill>,
    /// Contents of the list of device names that the job is filled from, by SHA-256; `None`: from the product.
    pub list: Option<String>,
    pub sweep: Option<Sweep>,
    pub bucket: Option<StoredBucket>,
}

impl Job {
    pub fn is_dynamic(&self) -> bool {
        matches!(self.selection, Selection::Dynamic(_))
    }

    /// Whether anything may reach a device at `now`: started, and not past its forced end. Tasks of a canceled dynamic
    /// job go on.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status != JobStatus::Planned && self.finish_at.is_none_or(|at| now < at)
    }

    /// The next moment at which the job itself has something to do, `None` when time does nothing to it.
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.fill.is_some() || self.sweep.is_some() {
            return Some(Timestamp(0));
        }
        match self.status {
            JobStatus::Planned => self.schedule_at,
            JobStatus::InProgress => self.finish_at.filter(|_| !self.finish_played),
            JobStatus::Completed | JobStatus::Canceled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_moves_a_job_only_from_the_statuses_listed() {
        use {JobEvent as E, JobStatus as S};
        let moves: [(E, &[S], S); 5] = [
            (E::Started, &[S::Planned], S::InProgress),
            (E::AllEnded, &[S::InProgress], S::Completed),
            (E::AllCanceled, &[S::Planned, S::InProgress], S::Canceled),
            (E::PolicyCanceled, &[S::InProgress], S::Canceled),
            (E::Reopened, &[S::Completed, S::Canceled], S::InProgress),
        ];
        for (event, from, to) in moves {
            for status in S::ALL {
                assert_eq!(
                    status.next(event),
                    from.contains(&status).then_some(to),
                    "{status:?} on {event:?}"
                );
            }
        }
    }

    #[test]
    fn a_share_is_above_0_and_at_most_100_with_three_decimals() {
        for (text, shown) in [
            ("50", "50.00"),
            ("33.333", "33.333"),
            ("0.001", "0.001"),
            ("100.0", "100.00"),
            ("0.5", "0.50"),
        ] {
            assert_eq!(GrayPercent::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "abc", "1.2345", "1,5", "1.", ".5", "+5", "1e1", "５"] {
            assert_eq!(GrayPercent::parse(text), Err(GrayPercentError::Format), "{text}");
        }
        for text in ["0", "0.000", "-5", "100.001", "99999999999999999999"] {
            assert_eq!(GrayPercent::parse(text), Err(GrayPercentError::Range), "{text}");
        }
    }

    #[test]
    fn a_share_is_rounded_down_but_never_to_nobody() {
        for (text, count, want) in [
            ("33.33", 100, 33),
            ("0.5", 100, 1),
            ("33.33", 10, 3),
            ("100", 7, 7),
            ("0.001", 1, 1),
            ("50", 0, 0),
        ] {
            assert_eq!(GrayPercent::parse(text).unwrap().of(count), want, "{text} of {count}");
        }
    }

    #[test]
    fn a_sweep_spares_what_moved_after_it() {
        let sweep = Sweep {
            cancels: StatusSet::of(&[TaskStatus::Queued]),
            cause: CancelCause::User,
            at: Timestamp(100),
            after: 0,
        };
        let now = Timestamp(200);
        assert!(sweep.covers(TaskStatus::Queued, Timestamp(100), now));
        assert!(!sweep.covers(TaskStatus::Queued, Timestamp(101), now));
        assert!(!sweep.covers(TaskStatus::Queued, Timestamp(200), now));
        assert!(!sweep.covers(TaskStatus::Notified, Timestamp(1), now));
    }

    #[test]
    fn a_sweep_takes_what_was_there_before_the_clock_was_set_back() {
        let sweep = Sweep {
            cancels: StatusSet::of(&[TaskStatus::Queued]),
            cause: CancelCause::User,
            at: Timestamp(100),
            after: 0,
        };
        assert!(sweep.covers(TaskStatus::Queued, Timestamp(900), Timestamp(100)));
    }
}
