//! What has to hold whenever the tables are looked at, and what has to hold in the end.

use crate::plan::{MODULES, PACKAGES, Part};
use crate::witness::{DeviceIndex, JobTag, Witness};
use otaru_core::id::{DeviceName, DeviceNo, PackageNo, ProductKey, TaskNo};
use otaru_core::job::{Counts, Job, JobStatus, StatusSet};
use otaru_core::task::{Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use otaru_server::store::{Page, StoreError, View};
use std::collections::{BTreeMap, BTreeSet};

const EVERY: StatusSet = StatusSet::of(&TaskStatus::ALL);

/// What to look up.
#[derive(Clone)]
pub struct Wanted {
    pub product: ProductKey,
    pub devices: Vec<(DeviceNo, DeviceName)>,
    /// Devices that are deleted, or may be when nobody knows what came of the call.
    pub deleted: BTreeMap<DeviceIndex, Deletion>,
    pub modules: [ModuleName; MODULES.len()],
    /// In the order of the plans.
    pub packages: Vec<PackageNo>,
    /// Jobs whose creation was answered.
    pub answered: BTreeSet<JobTag>,
}

/// What came of a call that deletes a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Answered,
    Unclear,
}

/// A device as it was found.
#[derive(Clone, PartialEq)]
pub struct Found {
    pub no: DeviceNo,
    /// Of each module.
    pub versions: [Option<Version>; MODULES.len()],
    pub is_there: bool,
}

/// The tables at one moment.
pub struct Scan {
    pub devices: Vec<Found>,
    pub jobs: Vec<ScannedJob>,
}

pub struct ScannedJob {
    pub tag: JobTag,
    pub job: Job,
    pub dest: Version,
    pub part: Part,
    pub counts: Counts,
    pub tasks: Vec<Task>,
}

impl ScannedJob {
    /// Past the forced end of its job nothing reaches a device any more: a task in progress without a timeout then
    /// waits for a report that may never come.
    fn is_left_alone(&self, task: &Task) -> bool {
        self.job.finish_played && task.status == TaskStatus::InProgress && task.timeout_at.is_none()
    }
}

impl Scan {
    pub fn read(view: &mut dyn View, wanted: &Wanted) -> Result<Self, StoreError> {
        let gone = |what: String| StoreError::Engine(format!("{what} is gone"));
        let product =
            view.product_by_key(&wanted.product)?.ok_or_else(|| gone("the product".into()))?;
        let mut devices = Vec::new();
        for (index, &(no, ref name)) in wanted.devices.iter().enumerate() {
            let is_there = view.device_by_name(product.no, name)?.is_some_and(|it| it.no == no);
            match wanted.deleted.get(&index) {
                None if !is_there => return Err(gone(name.to_string())),
                Some(Deletion::Answered) if is_there => {
                    return Err(StoreError::Engine(format!("{name} was deleted and is there")));
                }
                _ => {}
            }
            let mut versions = [const { None }; MODULES.len()];
            for (part, version) in versions.iter_mut().enumerate() {
                *version = view.version(no, &wanted.modules[part])?;
            }
            devices.push(Found { no, versions, is_there });
        }
        let mut jobs = Vec::new();
        for (&package, plan) in wanted.packages.iter().zip(PACKAGES) {
            let dest = view.package(package)?.ok_or_else(|| gone("a package".into()))?.dest.clone();
            for job in view.jobs_of_package(package, Page { skip: 0, take: 10_000 })?.rows {
                let tag = job.policy.tags.first().and_then(|tag| tag.value.parse().ok());
                let tag = tag.ok_or_else(|| gone(format!("the tag of job {}", job.id)))?;
                let counts = view.counts(job.no)?;
                let tasks = view.tasks_after(job.no, EVERY, TaskNo(0), 1_000_000)?;
                jobs.push(ScannedJob {
                    tag,
                    job: (*job).clone(),
                    dest: dest.clone(),
                    part: plan.part,
                    counts,
                    tasks,
                });
            }
        }
        jobs.sort_by_key(|job| job.tag);
        for tag in &wanted.answered {
            if jobs.binary_search_by_key(tag, |job| job.tag).is_err() {
                return Err(gone(format!("job {tag}")));
            }
        }
        Ok(Self { devices, jobs })
    }

    pub fn index_of(&self, device: DeviceNo) -> Option<DeviceIndex> {
        self.devices.iter().position(|found| found.no == device)
    }

    /// Whether every task has ended and every job that can.
    pub fn is_settled(&self) -> bool {
        self.jobs.iter().all(|job| {
            let left = job.tasks.iter().filter(|task| task.status.is_unfinished());
            let (stuck, open): (Vec<_>, Vec<_>) = left.partition(|task| job.is_left_alone(task));
            open.is_empty()
                && (job.job.status.is_ended() || job.job.is_dynamic() || !stuck.is_empty())
        })
    }
}

/// What was seen of tasks before.
#[derive(Default)]
pub struct History {
    ends: BTreeMap<TaskNo, (TaskStatus, Option<Timestamp>)>,
    /// When, in milliseconds, a task was first seen past its deadline.
    overdue: BTreeMap<TaskNo, u64>,
    /// Since when, in milliseconds, a task could be pushed if its device and the rate allowed.
    pushable: BTreeMap<TaskNo, u64>,
}

impl History {
    /// These tasks were started again, or may have been.
    pub fn restarted(&mut self, tasks: impl Iterator<Item = TaskNo>) {
        for task in tasks {
            self.ends.remove(&task);
        }
    }
}

/// The moment of a look, on the simulation's clock and on the node's wall clock.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at_ms: u64,
    pub wall: Timestamp,
}

/// How long the slowest rate may need for the largest job: 300 devices at 10 a minute, and some more.
const QUEUE_MS_MAX: u64 = 40 * 60_000;

/// What holds at any moment at which nothing is being committed.
pub fn check(scan: &Scan, history: &mut History, witness: &mut Witness, now: Moment) {
    let at_ms = now.at_ms;
    for (index, found) in scan.devices.iter().enumerate() {
        for (part, version) in found.versions.iter().enumerate() {
            let version = version.as_ref().map(Version::as_str);
            if !found.is_there {
                if version.is_some() {
                    let evidence = format!("device {index} is deleted and at {version:?}");
                    witness.accuse(at_ms, "nothing of a deleted device is left", &evidence);
                }
            } else if !witness.may_be_stored((index, part), version) {
                let evidence =
                    format!("{} of device {index} is stored at {version:?}", MODULES[part]);
                witness.accuse(at_ms, "no acknowledged report is lost", &evidence);
            }
        }
    }
    let mut holders = BTreeMap::<DeviceNo, Vec<&ScannedJob>>::new();
    for job in &scan.jobs {
        check_counts(job, witness, at_ms);
        for task in &job.tasks {
            check_end(scan, job, task, history, witness, at_ms);
            check_told(scan, job, task, history, witness, now);
            check_deadlines(job, task, history, witness, now);
            let swept = job
                .job
                .sweep
                .is_some_and(|sweep| sweep.covers(task.status, task.modified_at, now.wall));
            if task.status.is_unfinished() {
                check_holder(scan, job, task, witness, at_ms);
            }
            if task.status.is_unfinished() && !swept {
                holders.entry(task.device).or_default().push(job);
            }
        }
        let unfinished = job.counts.unfinished();
        let ended = job.job.status.is_ended();
        if ended && !job.job.is_dynamic() && job.job.sweep.is_none() && unfinished > 0 {
            let evidence =
                format!("job {} is {:?} with {unfinished} unfinished", job.tag, job.job.status);
            witness.accuse(at_ms, "a job ends after its tasks", &evidence);
        }
    }
    for (device, jobs) in holders {
        check_side_by_side(device, &jobs, witness, at_ms);
    }
}

/// A device has one unfinished task, or one of each module when all of their jobs allow that.
fn check_side_by_side(device: DeviceNo, jobs: &[&ScannedJob], witness: &mut Witness, at_ms: u64) {
    let parts: BTreeSet<Part> = jobs.iter().map(|job| job.part).collect();
    let may = parts.len() == jobs.len() && jobs.iter().all(|job| job.job.policy.multi_module);
    if jobs.len() > 1 && !may {
        let tags: Vec<JobTag> = jobs.iter().map(|job| job.tag).collect();
        let evidence = format!("{device:?} has unfinished tasks of jobs {tags:?}");
        witness.accuse(at_ms, "a device has one unfinished task", &evidence);
    }
    if jobs.len() > 1 && may {
        witness.side_by_side += 1;
    }
}

/// A device that goes takes its unfinished tasks along.
fn check_holder(scan: &Scan, job: &ScannedJob, task: &Task, witness: &mut Witness, at_ms: u64) {
    let is_gone = |index: DeviceIndex| !scan.devices[index].is_there;
    if scan.index_of(task.device).is_none_or(is_gone) {
        let evidence = format!("job {}: {task:?}", job.tag);
        witness.accuse(at_ms, "a deleted device has no unfinished task", &evidence);
    }
}

fn check_counts(job: &ScannedJob, witness: &mut Witness, at_ms: u64) {
    let mut counted = Counts::default();
    for task in &job.tasks {
        counted.add(task.status, 1);
    }
    if counted != job.counts {
        let evidence = format!("job {}: {:?} kept, {counted:?} counted", job.tag, job.counts);
        witness.accuse(at_ms, "counters equal the tasks", &evidence);
    }
}

fn check_end(
    scan: &Scan,
    job: &ScannedJob,
    task: &Task,
    history: &mut History,
    witness: &mut Witness,
    at_ms: u64,
) {
    let now = (task.status, task.ended_at);
    if let Some(&before) = history.ends.get(&task.no)
        && before != now
    {
        let evidence = format!("{:?} of job {} was {before:?} and is {now:?}", task.no, job.tag);
        witness.accuse(at_ms, "a task ends once", &evidence);
    }
    if task.status.is_unfinished() {
        if job.job.sweep.is_none() && task.ended_at.is_some() {
            let evidence = format!("{:?} of job {} is {now:?}", task.no, job.tag);
            witness.accuse(at_ms, "only ended tasks have an end", &evidence);
        }
        return;
    }
    history.ends.insert(task.no, now);
    if task.status == TaskStatus::Succeeded {
        let said = scan
            .index_of(task.device)
            .is_some_and(|index| witness.has_said((index, job.part), job.dest.as_str()));
        if !said {
            let evidence = format!("{:?} of job {} went to {}", task.no, job.tag, job.dest);
            witness.accuse(at_ms, "success only on the right version", &evidence);
        }
    }
}

/// Longer than a node is down, and than its disk fails, taken together a few times.
const OVERDUE_MS_MAX: u64 = 20 * 60_000;

/// The first progress starts the timeout, and deadlines are played.
fn check_deadlines(
    job: &ScannedJob,
    task: &Task,
    history: &mut History,
    witness: &mut Witness,
    now: Moment,
) {
    if task.status == TaskStatus::InProgress
        && task.timeout_minutes.is_some()
        && task.timeout_at.is_none()
    {
        let evidence = format!("job {}: {task:?}", job.tag);
        witness.accuse(now.at_ms, "a task in progress has its limit", &evidence);
    }
    if task.due_at().is_none_or(|at| now.wall <= at) {
        history.overdue.remove(&task.no);
        return;
    }
    let since = *history.overdue.entry(task.no).or_insert(now.at_ms);
    if now.at_ms.saturating_sub(since) > OVERDUE_MS_MAX {
        let evidence = format!("job {} since {since} ms: {task:?}", job.tag);
        witness.accuse(now.at_ms, "deadlines are played", &evidence);
    }
}

/// A device that is connected is not left waiting for longer than the rate demands.
fn check_told(
    scan: &Scan,
    job: &ScannedJob,
    task: &Task,
    history: &mut History,
    witness: &mut Witness,
    now: Moment,
) {
    let waits = task.status == TaskStatus::Queued
        && task.is_pushable(&job.job.policy)
        && job.job.is_open(now.wall);
    if !waits {
        history.pushable.remove(&task.no);
        return;
    }
    let since = *history.pushable.entry(task.no).or_insert(now.at_ms);
    let Some(device) = scan.index_of(task.device) else { return };
    let Some(connected) = witness.connected_since(device) else { return };
    if now.at_ms.saturating_sub(since.max(connected)) > QUEUE_MS_MAX {
        let evidence = format!(
            "device {device} is connected since {connected} ms and its task of job {} waits since {since} ms: {task:?}",
            job.tag
        );
        witness.accuse(now.at_ms, "a connected device is told", &evidence);
    }
}

/// What holds once every device has behaved for long enough.
pub fn check_final(scan: &Scan, witness: &mut Witness, at_ms: u64) {
    for job in &scan.jobs {
        let left: Vec<_> = job.tasks.iter().filter(|task| task.status.is_unfinished()).collect();
        for task in left.iter().filter(|task| !job.is_left_alone(task)) {
            let device = scan.index_of(task.device);
            let evidence = format!("job {}, device {device:?}: {task:?}", job.tag);
            witness.accuse(at_ms, "every task can end", &evidence);
        }
        let open = matches!(job.job.status, JobStatus::Planned | JobStatus::InProgress);
        if open && left.is_empty() && !job.job.is_dynamic() {
            let evidence = format!("job {} is {:?}", job.tag, job.job.status);
            witness.accuse(at_ms, "a job without unfinished tasks ends", &evidence);
        }
    }
}
