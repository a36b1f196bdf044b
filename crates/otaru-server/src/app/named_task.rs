//! Tasks that callers name one by one: consenting to them, starting them again.

use super::effect::Effects;
use super::report::open_tasks;
use super::task::{Judged, claim, settle};
use super::{App, Caller, Result, dynamic, lookup, package};
use crate::store::{Rows, View};
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::{Job, JobEvent, JobKind, JobStatus};
use otaru_core::package::Package;
use otaru_core::refusal;
use otaru_core::selection::{Conflict, Fit, fit};
use otaru_core::task::{CancelCause, Event, TaskStatus};
use otaru_core::time::Timestamp;
use std::collections::BTreeSet;
use std::rc::Rc;

impl App {
    /// Consents to tasks that wait for it: all of them or none.
    pub async fn confirm_tasks(&self, caller: Caller, ids: Vec<String>) -> Result<()> {
        self.change(move |rows, now, effects| {
            let mut tasks = Vec::with_capacity(ids.len());
            for id in &ids {
                let judged = lookup::task(rows, caller, id)?;
                tasks.push(judged.ok_or_else(|| refusal::NO_TASK.with(id))?);
            }
            for judged in &tasks {
                let status = judged.status(now);
                if status != TaskStatus::Confirm {
                    let detail = format!("{} is {}", judged.task.id, status.as_wire());
                    return Err(refusal::INVALID_TASK_STATUS.with(detail).into());
                }
            }
            for judged in &tasks {
                // Before its start and after its forced end nothing of a job may reach a device.
                if !judged.job.is_open(now) {
                    let detail = format!("{} is outside its schedule", judged.task.id);
                    return Err(refusal::INVALID_TASK_STATUS.with(detail).into());
                }
            }
            for judged in tasks {
                judged.meet(rows, Event::Confirmed, now, effects)?;
            }
            Ok(())
        })
        .await
    }

    /// Starts failed and canceled tasks of a job again, all of them or none, and the job with them when it had ended.
    pub async fn reupgrade_tasks(
        &self,
        caller: Caller,
        job_id: String,
        ids: Vec<String>,
    ) -> Result<()> {
        self.change(move |rows, now, effects| {
            let (job, package) = restartable_job(rows, caller, &job_id)?;
            let tasks = restartable_tasks(rows, caller, &job, &ids, now)?;
            let mut devices = BTreeSet::new();
            for judged in &tasks {
                let device = rows.device(judged.task.device)?.filter(|_| !judged.is_doomed);
                let Some(device) = device else {
                    return Err(refusal::DEVICE_IS_DELETED.with(&judged.task.id).into());
                };
                let name = &device.name;
                if job.finish_at.is_some_and(|at| at <= now) {
                    // It would wait for ever: nothing of the job reaches a device any more.
                    let detail = format!("{name}: the schedule of the job is over");
                    return Err(refusal::DEVICE_NOT_REUPGRADED.with(detail).into());
                }
                if let Some(why) = obstacle(rows, &job, &package, device.no, now)? {
                    return Err(refusal::DEVICE_NOT_REUPGRADED
                        .with(format!("{name}: {why}"))
                        .into());
                }
                if !devices.insert(device.no) {
                    let detail = format!("{name}: it has two of the tasks");
                    return Err(refusal::DEVICE_NOT_REUPGRADED.with(detail).into());
                }
            }
            for judged in tasks.iter().filter(|judged| judged.task.status.is_unfinished()) {
                // It was canceled already; its row learns it now.
                judged.meet(rows, Event::Canceled(CancelCause::User), now, effects)?;
            }
            let job = reopen(rows, job.no, now)?;
            for judged in tasks {
                restart(rows, judged.task.no, now, effects)?;
            }
            // How far a verification has come is counted anew.
            settle(rows, &job, job.package, false, now)?;
            // These devices have their task back.
            effects.freed.retain(|device| !devices.contains(device));
            Ok(dynamic::look_at_freed(rows, now, effects)?)
        })
        .await
    }
}

fn restartable_job(
    view: &mut dyn View,
    caller: Caller,
    job_id: &str,
) -> Result<(Rc<Job>, Rc<Package>)> {
    let job = lookup::restarted_job(view, caller, job_id)?;
    let package = view.package(job.package)?.expect("a job has a package");
    let product = view.product(job.product)?.expect("a job has a product");
    // Packages of a deleted product go in slices.
    let kept = view.package_by_id(&package.id)?.filter(|_| product.deleted_at.is_none());
    let package = kept.ok_or(refusal::PACKAGE_IS_DELETED)?;
    let started = job.started_at.is_some();
    // A cancel that is being carried out may be about to cancel a job that has not started.
    let canceling = job.status == JobStatus::Planned && job.sweep.is_some();
    if job.status == JobStatus::Canceled && (job.is_dynamic() || !started) || canceling {
        return Err(refusal::JOB_IS_CANCELED.with(job_id).into());
    }
    Ok((job, package))
}

fn restartable_tasks(
    rows: &mut dyn Rows,
    caller: Caller,
    job: &Job,
    ids: &[String],
    now: Timestamp,
) -> Result<Vec<Judged>> {
    let mut tasks = Vec::with_capacity(ids.len());
    let mut unknown = None;
    for id in ids {
        match lookup::task(rows, caller, id)? {
            Some(judged) => tasks.push(judged),
            None => unknown = unknown.or(Some(id)),
        }
    }
    match unknown {
        Some(id) if tasks.is_empty() => return Err(refusal::NO_REUPGRADED_TASK.with(id).into()),
        Some(id) => return Err(refusal::SOME_TASKS_INVALID.with(id).into()),
        None => {}
    }
    if let Some(judged) = tasks.iter().find(|judged| judged.job.no != job.no) {
        return Err(refusal::TASK_OF_OTHER_JOB.with(&judged.task.id).into());
    }
    let can_restart =
        |judged: &&Judged| matches!(judged.status(now), TaskStatus::Failed | TaskStatus::Canceled);
    if !tasks.iter().any(|judged| can_restart(&judged)) {
        return Err(refusal::NO_FAILED_TASK.into());
    }
    match tasks.iter().find(|judged| !can_restart(judged)) {
        Some(judged) => Err(refusal::SOME_TASKS_INVALID.with(&judged.task.id).into()),
        None => Ok(tasks),
    }
}

/// What keeps a device from being upgraded again.
fn obstacle(
    rows: &mut dyn Rows,
    job: &Job,
    package: &Package,
    device: DeviceNo,
    now: Timestamp,
) -> Result<Option<&'static str>> {
    let version = rows.version(device, &package.module)?;
    match fit(version.as_ref(), &package.dest, package.delta_src(), &[]) {
        Fit::Fits => {}
        Fit::AtDest => return Ok(Some("it has the destination version")),
        Fit::OtherSource | Fit::NeverReported => {
            return Ok(Some("it is not at the version that the package starts from"));
        }
    }
    let claim = claim(job, package);
    // A caller who starts an old task again does not mean to end a newer one.
    let blocks = |judged: &Judged| {
        judged.status(now).is_unfinished() && judged.conflict_with(claim) != Conflict::None
    };
    let blocked = open_tasks(rows, device)?.iter().any(blocks);
    Ok(blocked.then_some("it has another unfinished task"))
}

/// Lets a job go on that has ended, and a package whose verification has failed be verified again.
fn reopen(rows: &mut dyn Rows, no: JobNo, now: Timestamp) -> Result<Rc<Job>> {
    let job = rows.job(no)?.expect("it was read before");
    if let Some(status) = job.status.next(JobEvent::Reopened) {
        rows.update_job(&Job { status, ended_at: None, modified_at: now, ..(*job).clone() })?;
    }
    if job.kind == JobKind::Verify && rows.last_verify_job(job.package)? == Some(no) {
        let package = rows.package(job.package)?.expect("a job has a package");
        package::verify_started(rows, &package, now)?;
    }
    Ok(rows.job(no)?.expect("it was read before"))
}

fn restart(rows: &mut dyn Rows, task: TaskNo, now: Timestamp, effects: &mut Effects) -> Result<()> {
    let task = rows.task(task)?.expect("it was read before");
    let judged = Judged::load(rows, task)?;
    let version = rows.version(judged.task.device, &judged.package.module)?;
    judged.meet(rows, Event::Reupgraded { version: version.as_ref() }, now, effects)?;
    Ok(())
}
