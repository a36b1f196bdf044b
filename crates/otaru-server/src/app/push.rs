//! Telling a connected device of its task.

use super::dynamic;
use super::effect::Effects;
use super::task::{Judged, Outcome};
use crate::store::{Result, Rows};
use otaru_core::id::TaskNo;
use otaru_core::job::{Job, StoredBucket};
use otaru_core::task::{Event, Task, TaskStatus};
use otaru_core::time::Timestamp;

/// A task whose device is to be told, and whether the job's rate paid for it.
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

/// Marks a task as told just before its message leaves. `bucket` is what the job's rate has left after it; it is
/// written with the task, so that a restart never refills it.
pub(super) fn tell(
    rows: &mut dyn Rows,
    task: TaskNo,
    bucket: Option<StoredBucket>,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<Option<Push>> {
    let Some(task) = rows.task(task)? else { return Ok(None) };
    let judged = Judged::load(rows, task)?;
    if !judged.job.is_open(now) || !judged.task.is_pushable(&judged.job.policy) {
        return Ok(None);
    }
    let was_queued = judged.task.status == TaskStatus::Queued;
    let version = rows.version(judged.task.device, &judged.package.module)?;
    let outcome = judged.meet(rows, Event::Push { version: version.as_ref() }, now, effects)?;
    dynamic::look_at_freed(rows, now, effects)?;
    let Some((judged, task)) = told(judged, outcome) else { return Ok(None) };
    if was_queued && let Some(bucket) = bucket {
        let current = rows.job(judged.job.no)?.expect("it was read before");
        rows.update_job(&Job { bucket: Some(bucket), ..(*current).clone() })?;
    }
    Ok(Some(Push { judged, task, was_queued }))
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
