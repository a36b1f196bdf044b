//! Making the tasks of a job.

use super::effect::Effects;
use super::report::open_tasks;
use super::task::{Judged, claim, push_ready};
use crate::planted::{self, Bug};
use crate::store::{Result, Rows};
use otaru_core::id::{DeviceNo, TaskId, TaskNo};
use otaru_core::job::Job;
use otaru_core::package::Package;
use otaru_core::selection::Conflict;
use otaru_core::task::{CancelCause, Event, Reason, Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::Version;

/// Makes the task of a device in a job and settles it with those that hold the device. When the device stays with
/// another task, the new one has failed from the start; `busy_since` is the last time that happened in this job, and
/// it is not repeated for the same holder.
#[allow(clippy::too_many_arguments, reason = "the task is made of exactly these")]
pub(super) fn task(
    rows: &mut dyn Rows,
    job: &Job,
    package: &Package,
    device: DeviceNo,
    version: Option<&Version>,
    busy_since: Option<Timestamp>,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let claim = claim(job, package);
    let settle = |judged: &Judged| judged.conflict_with(claim);
    let holders = open_tasks(rows, device)?;
    let (mut holders, canceled): (Vec<_>, Vec<_>) =
        holders.into_iter().partition(|judged| judged.status(now).is_unfinished());
    for judged in canceled {
        // A cancel that was answered holds even where it has not been carried out: such a task keeps no device busy.
        judged.meet(rows, Event::Canceled(CancelCause::User), now, effects)?;
        // The device has a new task.
        effects.freed.retain(|&freed| freed != device);
    }
    holders.retain(|judged| settle(judged) != Conflict::None);
    if planted::is(Bug::BusyIsIgnored) {
        holders.clear();
    }
    if planted::is(Bug::ModulesNeverMeet) {
        holders.retain(|judged| judged.package.module == package.module);
    }
    let holder = holders.iter().find(|judged| settle(judged) == Conflict::Fail);
    if let Some(holder) = holder
        && busy_since.is_some_and(|at| holder.task.created_at <= at)
    {
        return Ok(());
    }
    let blocked = holder.is_some();
    if !blocked {
        for judged in holders {
            judged.meet(rows, Event::Overwritten { by: &job.id }, now, effects)?;
        }
    }
    let (status, reason) =
        match (blocked, job.policy.need_confirm && !planted::is(Bug::ConsentNotAsked)) {
            (true, _) => (TaskStatus::Failed, Reason::Busy),
            (false, true) => (TaskStatus::Confirm, Reason::None),
            (false, false) => (TaskStatus::Queued, Reason::None),
        };
    let new = Task {
        no: TaskNo(0),
        job: job.no,
        device,
        status,
        progress: 0,
        failed_tries: 0,
        told: false,
        retry_at: None,
        timeout_at: None,
        reason,
        modified_at: now,
        id: TaskId::generate(rows.random()),
        src: version.cloned(),
        description: reason.sentence().to_owned(),
        timeout_minutes: job.policy.timeout_minutes,
        created_at: now,
        ended_at: blocked.then_some(now),
    };
    let no = rows.insert_task(&new)?;
    push_ready(job, &Task { no, ..new }, now, effects);
    Ok(())
}
