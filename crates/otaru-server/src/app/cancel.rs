//! Canceling tasks of a job by their status.

use super::effect::Effects;
use super::select::{READ, STEP};
use super::task::{Judged, settle};
use super::{App, Caller, Result, dynamic, lookup};
use crate::planted::{self, Bug};
use crate::store::Rows;
use otaru_core::id::TaskNo;
use otaru_core::job::{Job, JobStatus, StatusSet, Sweep};
use otaru_core::refusal;
use otaru_core::task::{CancelCause, Event, TaskStatus};
use otaru_core::time::Timestamp;

/// Which tasks a call means.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "the call has these five flags")]
pub struct CancelFlags {
    pub scheduled: bool,
    pub queued: bool,
    pub notified: bool,
    pub in_progress: bool,
    /// `None`: tasks that wait for consent follow `queued`.
    pub unconfirmed: Option<bool>,
}

impl CancelFlags {
    pub fn any(self) -> bool {
        self.scheduled
            || self.queued
            || self.notified
            || self.in_progress
            || self.unconfirmed == Some(true)
    }

    /// The statuses that are meant in a job of `status`.
    fn statuses(self, status: JobStatus) -> StatusSet {
        if self.scheduled && status == JobStatus::Planned {
            return StatusSet::UNFINISHED;
        }
        let flags = [
            (self.queued, TaskStatus::Queued),
            (self.unconfirmed.unwrap_or(self.queued), TaskStatus::Confirm),
            (self.notified, TaskStatus::Notified),
            (self.in_progress, TaskStatus::InProgress),
        ];
        StatusSet::of(
            &flags.into_iter().filter(|(on, _)| *on).map(|(_, status)| status).collect::<Vec<_>>(),
        )
    }
}

impl App {
    pub async fn cancel_tasks(
        &self,
        caller: Caller,
        job_id: String,
        flags: CancelFlags,
    ) -> Result<()> {
        self.change(move |rows, now, effects| {
            let job = lookup::job(rows, caller, &job_id)?;
            if flags.scheduled && job.schedule_at.is_none() {
                return Err(refusal::NOT_SCHEDULED.with(&job_id).into());
            }
            let cancels = flags.statuses(job.status);
            let mut job = (*job).clone();
            if job.status == JobStatus::Planned && cancels == StatusSet::UNFINISHED {
                // Nothing more is to be made of it either.
                job.fill = None;
            }
            begin(rows, job, cancels, CancelCause::User, now, effects)
        })
        .await
    }
}

/// Marks the tasks of a job in `cancels` as canceled and carries it out, or begins to when they are many. An unfinished
/// sweep is widened.
pub(super) fn begin(
    rows: &mut dyn Rows,
    job: Job,
    cancels: StatusSet,
    cause: CancelCause,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    if cancels.is_empty() {
        return Ok(());
    }
    let earlier = job.sweep.map_or(StatusSet::default(), |sweep| sweep.cancels);
    let cancels = StatusSet::from_bits(cancels.bits() | earlier.bits());
    let job =
        Job { sweep: Some(Sweep { cancels, cause, at: now, after: 0 }), modified_at: now, ..job };
    rows.update_job(&job)?;
    let is_small = rows.counts(job.no)?.of(cancels) <= i64::from(READ);
    slice(rows, &job, if is_small { READ } else { STEP }, now, effects)
}

/// Carries out the next `most` rows of a sweep.
pub(super) fn slice(
    rows: &mut dyn Rows,
    job: &Job,
    most: u32,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Some(sweep) = job.sweep else { return Ok(()) };
    let tasks = rows.tasks_after(job.no, sweep.cancels, TaskNo(sweep.after), most)?;
    let is_last = tasks.len() < most as usize;
    let after = tasks.last().map_or(sweep.after, |task| task.no.0);
    for task in tasks {
        if task.status == TaskStatus::Notified && planted::is(Bug::CancelSparesNotified) {
            continue;
        }
        if sweep.covers(task.status, task.modified_at, now) {
            Judged::load(rows, task)?.meet(rows, Event::Canceled(sweep.cause), now, effects)?;
        }
    }
    let current = rows.job(job.no)?.expect("it was read before");
    let rest = (!is_last).then_some(Sweep { after, ..sweep });
    let job = Job { sweep: rest, ..(*current).clone() };
    rows.update_job(&job)?;
    effects.due(job.due_at());
    if is_last && !job.status.is_ended() {
        // The sweep may have found nothing, or a job without tasks.
        let by_call = sweep.cause == CancelCause::User;
        let has_tasks = rows.counts(job.no)?.total() > 0;
        if has_tasks && !by_call {
            settle(rows, &job, job.package, by_call, now)?;
        }
    }
    Ok(dynamic::look_at_freed(rows, now, effects)?)
}
