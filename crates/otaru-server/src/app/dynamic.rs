//! Dynamic jobs: standing policies that look at devices as these report.

use super::effect::Effects;
use super::{create, dynamic_group};
use crate::mqtt::Registry;
use crate::store::{Result, Rows};
use otaru_core::device::Device;
use otaru_core::id::DeviceNo;
use otaru_core::job::{DynamicMode, Job, Selection};
use otaru_core::package::Package;
use otaru_core::selection::{Fit, fit};
use otaru_core::task::{Reason, Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};

/// How often a job for source versions takes one device at most, so that two policies can't send it back and forth for
/// ever.
const MATCHES_MAX: usize = 10;

/// Why a device is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It reported a version that differs from the stored one.
    NewVersion,
    /// It reported the version that is stored.
    SameVersion,
    /// Nothing was reported: its job was made, the task that held it has ended, or it may have joined a group.
    Current,
}

impl Sight {
    fn counts_for(self, mode: DynamicMode) -> bool {
        mode == DynamicMode::CurrentAndLater || self == Self::NewVersion
    }
}

/// Lets the dynamic jobs of a module look at a device. Only the newest job that its version matches counts.
pub(super) fn look(
    rows: &mut dyn Rows,
    device: &Device,
    module: &ModuleName,
    sight: Sight,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let jobs = rows.dynamic_jobs(device.product, module)?;
    if jobs.is_empty() {
        return Ok(());
    }
    let version = rows.version(device.no, module)?;
    let version = version.as_ref();
    for job in jobs {
        let package = rows.package(job.package)?.expect("a job has a package");
        if fit(version, &package.dest, package.delta_src(), &job.src_versions) == Fit::Fits
            && is_meant(rows, &job, device, &effects.registry)?
        {
            return take(rows, &job, &package, device, version, sight, now, effects);
        }
    }
    Ok(())
}

/// Whether a device is in the group that a job watches, if it watches one. Nobody is in a group that was deleted.
fn is_meant(rows: &mut dyn Rows, job: &Job, device: &Device, registry: &Registry) -> Result<bool> {
    let Some(group) = &job.group else { return Ok(true) };
    let Some(group) = rows.group(group.no)? else { return Ok(false) };
    let product = rows.product(device.product)?.expect("a device has a product");
    dynamic_group::contains(rows, &group, &product, device, registry)
}

/// Lets the jobs that watch groups look at a device of which something changed that a rule can ask about.
pub(super) fn changed(
    rows: &mut dyn Rows,
    device: DeviceNo,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Some(device) = rows.device(device)? else { return Ok(()) };
    for module in rows.watched_modules(device.product)? {
        look(rows, &device, &module, Sight::Current, now, effects)?;
    }
    look_at_freed(rows, now, effects)
}

/// Lets dynamic jobs look again at devices whose task has ended in this change.
pub(super) fn look_at_freed(
    rows: &mut dyn Rows,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    // A look can end a task of its own; each turn works on what the one before left.
    while let Some(device) = effects.freed.pop() {
        let Some(device) = rows.device(device)? else { continue };
        for module in rows.modules(device.product)? {
            look(rows, &device, &module.name, Sight::Current, now, effects)?;
        }
    }
    Ok(())
}

#[allow(
    clippy::too_many_arguments,
    reason = "what is looked at, by whom and why are different things"
)]
fn take(
    rows: &mut dyn Rows,
    job: &Job,
    package: &Package,
    device: &Device,
    version: Option<&Version>,
    sight: Sight,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Selection::Dynamic(mode) = job.selection else { return Ok(()) };
    if !sight.counts_for(mode) {
        return Ok(());
    }
    let earlier = rows.tasks_of_device(job.no, device.no)?;
    let matches_max = if job.group.is_some() { None } else { Some(MATCHES_MAX) };
    if !may_take(&earlier, version, matches_max) {
        return Ok(());
    }
    let busy_since =
        earlier.iter().find(|task| task.reason == Reason::Busy).map(|task| task.created_at);
    create::task(rows, job, package, device.no, version, busy_since, now, effects)
}

/// Whether a device may be taken again, by its earlier tasks in the job, newest first. Conflicts use up no match.
fn may_take(earlier: &[Task], version: Option<&Version>, matches_max: Option<usize>) -> bool {
    let mut matches = earlier.iter().filter(|task| task.reason != Reason::Busy);
    let Some(last) = matches.next() else { return true };
    let again = match last.status {
        TaskStatus::Confirm
        | TaskStatus::Queued
        | TaskStatus::Notified
        | TaskStatus::InProgress => false,
        // Only from another version than the one that did not work, or the device would go round in circles.
        TaskStatus::Failed | TaskStatus::Canceled => last.src.as_ref() != version,
        TaskStatus::Succeeded => true,
    };
    again && matches_max.is_none_or(|most| matches.count() + 1 < most)
}
