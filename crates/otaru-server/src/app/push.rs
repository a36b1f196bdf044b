//! Telling a connected device of its task.

use super::dynamic;
use super::effect::Effects;
use super::task::{Judged, Outcome, push_ready};
use crate::store::{Result, Rows};
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::{Job, StoredBucket};
use otaru_core::task::{Event, Task, TaskStatus};
use otaru_core::time::Timestamp;

/// A task whose device is to be told, and whether this is the first time, which the job's rate paid for.
pub(super) struct Push {
    pub judged: Judged,
    pub task: Task,
    pub was_queued: bool,
}

pub(super) fn told(judged: Judged, outcome: Outcome) -> Option<(Judged, Task)> {
    match outcome {
        Outcome::Tell(task) => Some((judged, task)),
        Outcome::Ignored(_) | Outcome::Changed(_) => None,
    }
}

/// Marks a task as told just before its message leaves. `is_paid`: the job's rate paid for a first push.
pub(super) fn tell(
    rows: &mut dyn Rows,
    (device, task): (DeviceNo, TaskNo),
    is_paid: bool,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<Option<Push>> {
    let Some(task) = rows.task_of(device, task)? else { return Ok(None) };
    let judged = Judged::load(rows, task)?;
    if !judged.job.is_open(now) || !judged.task.is_pushable(&judged.job.policy) {
        return Ok(None);
    }
    let was_queued = judged.task.status == TaskStatus::Queued;
    if judged.task.is_first_push() && !is_paid {
        // It was told when it was offered, but that push was lost since: it has to wait for the rate once more.
        push_ready(&judged.job, &judged.task, now, effects);
        return Ok(None);
    }
    let version = rows.version(judged.task.device, &judged.package.module)?;
    let outcome = judged.meet(rows, Event::Push { version: version.as_ref() }, now, effects)?;
    dynamic::look_at_freed(rows, now, effects)?;
    Ok(told(judged, outcome).map(|(judged, task)| Push { judged, task, was_queued }))
}

/// Writes what the rate of a job has left, with the pushes that it paid for, so that a restart never refills it.
pub(super) fn keep_rate(rows: &mut dyn Rows, job: JobNo, bucket: StoredBucket) -> Result<()> {
    let Some(current) = rows.job(job)? else { return Ok(()) };
    rows.update_job(&Job { bucket: Some(bucket), ..(*current).clone() })
}

/// Returns a task to the queue whose first push could not be written.
pub(super) fn lost(
    rows: &mut dyn Rows,
    task: TaskNo,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Some(task) = rows.task(task)? else { return Ok(()) };
    Judged::load(rows, task)?.meet(rows, Event::PushLost, now, effects)?;
    Ok(())
}
