//! One task meets one event: the core decides, and what hangs on the task follows.

use super::effect::{Effects, Ready};
use crate::planted::{self, Bug};
use crate::store::{Result, Rows, View};
use otaru_core::id::PackageNo;
use otaru_core::job::{Job, JobEvent, JobKind};
use otaru_core::package::{Package, PackageEvent};
use otaru_core::selection::{Claim, Conflict, Holder, conflict};
use otaru_core::task::{CancelCause, Event, Plan, Reason, Task, TaskStatus, Verdict, decide};
use otaru_core::time::Timestamp;
use std::rc::Rc;

/// A task with what it is judged by.
pub(super) struct Judged {
    pub task: Task,
    pub job: Rc<Job>,
    pub package: Rc<Package>,
    /// Whether the product was deleted: its tasks count as canceled, even those that the deletion has not reached.
    pub is_doomed: bool,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ignored(&'static str),
    Changed(Task),
    /// The device is to be told.
    Tell(Task),
}

/// How a job wants devices for its package.
pub(super) fn claim<'a>(job: &Job, package: &'a Package) -> Claim<'a> {
    Claim {
        module: &package.module,
        multi_module: job.policy.multi_module,
        overwrite: job.policy.overwrite,
    }
}

impl Judged {
    /// Reads the job and the package of a task.
    pub fn load(view: &mut (impl View + ?Sized), task: Task) -> Result<Self> {
        let job = view.job(task.job)?.expect("a task has a job");
        let package = view.package(job.package)?.expect("a job has a package");
        let product = view.product(job.product)?.expect("a job has a product");
        let is_doomed = product.deleted_at.is_some();
        Ok(Self { task, job, package, is_doomed })
    }

    /// What becomes of this task and of one that a job wants the device for.
    pub fn conflict_with(&self, claim: Claim<'_>) -> Conflict {
        let holder = Holder {
            status: self.task.status,
            module: &self.package.module,
            multi_module: self.job.policy.multi_module,
        };
        conflict(claim, holder)
    }

    /// Lets the core decide on `event`, writes what it says, and lets job, package and device follow.
    pub fn meet(
        &self,
        rows: &mut dyn Rows,
        event: Event<'_>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Outcome> {
        let event = self.canceled_by(now).map_or(event, Event::Canceled);
        let plan = Plan {
            policy: &self.job.policy,
            dest: &self.package.dest,
            delta_src: self.package.delta_src(),
            src_versions: &self.job.src_versions,
        };
        let verdict = decide(&self.task, event, plan, now);
        let (after, tell, ready) = match verdict {
            Verdict::Ignored(why) => return Ok(Outcome::Ignored(why)),
            Verdict::Changed(task) => (task, false, false),
            Verdict::Tell(task) => (task, true, false),
            Verdict::Ready(task) => (task, false, true),
        };
        let after = if planted::is(Bug::TimeoutNotSet) {
            Task { timeout_at: None, ..after }
        } else {
            after
        };
        rows.update_task(&self.task, &after)?;
        effects.due(after.due_at());
        if ready {
            push_ready(&self.job, &after, now, effects);
        }
        if self.task.status.is_unfinished() && !after.status.is_unfinished() {
            self.ended(rows, &after, now, effects)?;
        }
        Ok(if tell { Outcome::Tell(after) } else { Outcome::Changed(after) })
    }

    /// A cancel that was answered holds even for tasks whose row it has not reached yet.
    fn canceled_by(&self, now: Timestamp) -> Option<CancelCause> {
        if self.is_doomed {
            return Some(CancelCause::ProductDeleted);
        }
        let Task { status, modified_at, .. } = self.task;
        self.job.sweep.filter(|sweep| sweep.covers(status, modified_at, now)).map(|s| s.cause)
    }

    /// The status of the task, such a cancel taken into account.
    pub fn status(&self, now: Timestamp) -> TaskStatus {
        match self.canceled_by(now) {
            Some(_) if self.task.status.is_unfinished() => TaskStatus::Canceled,
            Some(_) | None => self.task.status,
        }
    }

    fn ended(
        &self,
        rows: &mut dyn Rows,
        task: &Task,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<()> {
        // A task that was overwritten leaves its device to the task that overwrote it.
        if task.reason != Reason::Overwritten {
            effects.freed.push(task.device);
        }
        let by_call = task.reason == Reason::from(CancelCause::User);
        settle(rows, &self.job, self.package.no, by_call, now)
    }
}

/// Notes that a task can be pushed, when its job is open and pushes.
pub(super) fn push_ready(job: &Job, task: &Task, now: Timestamp, effects: &mut Effects) {
    if job.is_open(now) && task.is_pushable(&job.policy) {
        let first = task.is_first_push();
        effects.ready.push(Ready { task: task.no, job: task.job, device: task.device, first });
    }
}

/// Ends a job whose tasks have all ended, and gives the verdict of a verification. `by_call`: the last task was ended
/// by a cancel call.
pub(super) fn settle(
    rows: &mut dyn Rows,
    job: &Job,
    package: PackageNo,
    by_call: bool,
    now: Timestamp,
) -> Result<()> {
    let counts = rows.counts(job.no)?;
    let unfinished = counts.unfinished();
    if job.kind == JobKind::Verify && rows.last_verify_job(package)? == Some(job.no) {
        let package = rows.package(package)?.expect("a job has a package");
        let succeeded = counts.get(TaskStatus::Succeeded) == counts.total();
        let event = if succeeded { PackageEvent::AllSucceeded } else { PackageEvent::SomeFailed };
        let next = if unfinished == 0 { package.status.next(event) } else { None };
        let percent = (counts.total() - unfinished) * 100 / counts.total().max(1);
        let percent = u32::try_from(percent).expect("0 to 100");
        rows.set_package_status(package.no, next.unwrap_or(package.status), percent, now)?;
    }
    if unfinished > 0 || job.fill.is_some() || job.is_dynamic() {
        return Ok(());
    }
    let event = if by_call { JobEvent::AllCanceled } else { JobEvent::AllEnded };
    if let Some(status) = job.status.next(event) {
        let ended_at = status.is_ended().then_some(now);
        // The job's row may have been written since it was read.
        let current = rows.job(job.no)?.expect("it was read before");
        rows.update_job(&Job { status, ended_at, modified_at: now, ..(*current).clone() })?;
    }
    Ok(())
}

/// A task with all that the API shows of it.
#[derive(Debug, Clone)]
pub struct TaskView {
    pub task: Task,
    pub device: otaru_core::device::Device,
    pub package: Package,
    pub product: otaru_core::product::Product,
    pub job: Job,
}

/// Which tasks of a job to list.
#[derive(Debug, Clone)]
pub enum TaskFilter {
    /// Tasks of these devices, in their order.
    Devices(Vec<String>),
    Page(crate::store::Page),
}

impl super::App {
    /// Tasks of a job, newest first, and how many there are.
    pub async fn tasks(
        &self,
        caller: super::Caller,
        job_id: String,
        status: Option<TaskStatus>,
        filter: TaskFilter,
    ) -> super::Result<crate::store::Listed<TaskView>> {
        self.view(move |view| {
            let job = super::lookup::job(view, caller, &job_id)?;
            let package = view.package(job.package)?.expect("a job has a package");
            let product = view.product(job.product)?.expect("a job has a product");
            let (tasks, total) = match &filter {
                TaskFilter::Page(page) => {
                    let counts = view.counts(job.no)?;
                    let total = status.map_or(counts.total(), |status| counts.get(status));
                    (view.tasks(job.no, status, *page)?, u64::try_from(total).unwrap_or(0))
                }
                TaskFilter::Devices(names) => {
                    let mut tasks = Vec::new();
                    for name in names {
                        let Ok(name) = name.parse() else { continue };
                        let Some(device) = view.device_by_name(product.no, &name)? else {
                            continue;
                        };
                        tasks.extend(view.tasks_of_device(job.no, device.no)?);
                    }
                    tasks.retain(|task| status.is_none_or(|status| task.status == status));
                    let total = tasks.len() as u64;
                    (tasks, total)
                }
            };
            let mut rows = Vec::with_capacity(tasks.len());
            for task in tasks {
                let Some(device) = view.device_ever(task.device)? else { continue };
                let (package, product, job) =
                    ((*package).clone(), (*product).clone(), (*job).clone());
                rows.push(TaskView { task, device, package, product, job });
            }
            Ok(crate::store::Listed { rows, total })
        })
        .await
    }
}
