//! What devices say: versions, progress, pulls.

use super::dynamic;
use super::effect::Effects;
use super::push;
use super::task::{Judged, Outcome};
use crate::planted::{self, Bug};
use crate::store::{Result, Rows};
use otaru_core::device::Device;
use otaru_core::id::DeviceNo;
use otaru_core::message::{Inform, Progress};
use otaru_core::task::{Event, Task};
use otaru_core::time::Timestamp;
use otaru_core::version::ModuleName;

/// Unfinished tasks of a device with their jobs and packages.
pub(super) fn open_tasks(rows: &mut dyn Rows, device: DeviceNo) -> Result<Vec<Judged>> {
    let tasks = rows.unfinished_tasks(device)?;
    tasks.into_iter().map(|task| Judged::load(rows, task)).collect()
}

/// Modules whose version is kept of one device, beside those that its product has: nothing that a device sends may grow
/// without bound.
const VERSIONS_MAX: u64 = 100;

fn of_module(tasks: Vec<Judged>, module: &ModuleName) -> Option<Judged> {
    tasks.into_iter().find(|judged| judged.package.module == *module)
}

/// Stores a version, lets the task of the module know, and lets dynamic jobs look at the device.
pub(super) fn inform(
    rows: &mut dyn Rows,
    device: &Device,
    inform: &Inform,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Inform { module, version } = inform;
    let stored = rows.version(device.no, module)?;
    let changed = stored.as_ref() != Some(version);
    if stored.is_none()
        && rows.version_count(device.no)? >= VERSIONS_MAX
        && rows.module(device.product, module)?.is_none()
    {
        tracing::debug!(device.no = device.no.0, %module, "a version too many is ignored");
        return Ok(());
    }
    let tasks = open_tasks(rows, device.no)?;
    if changed && (tasks.is_empty() || !planted::is(Bug::VersionNotStored)) {
        rows.put_version(device.no, module, version, now)?;
    }
    if let Some(judged) = of_module(tasks, module) {
        judged.meet(rows, Event::Reported { version }, now, effects)?;
    }
    let sight = if changed { dynamic::Sight::NewVersion } else { dynamic::Sight::SameVersion };
    dynamic::look(rows, device, module, sight, now, effects)?;
    if changed {
        // The version of one module can make it join a group that a job of another module watches.
        dynamic::changed(rows, device.no, now, effects)?;
    }
    dynamic::look_at_freed(rows, now, effects)
}

/// Progress counts for the unfinished task of its module. Older SDKs never name one: then for the task of the default
/// module, or for the only one there is.
pub(super) fn progress(
    rows: &mut dyn Rows,
    device: DeviceNo,
    progress: &Progress,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let mut tasks = open_tasks(rows, device)?;
    let meant = match &progress.module {
        Some(module) => of_module(tasks, module),
        None => match tasks.iter().position(|judged| judged.package.module.is_default()) {
            Some(default) => Some(tasks.swap_remove(default)),
            None if tasks.len() == 1 => tasks.pop(),
            None => None,
        },
    };
    let Some(judged) = meant else {
        tracing::debug!(device.no = device.0, "progress of a device without a task is ignored");
        return Ok(());
    };
    let mut event = Event::Progress { step: progress.step, description: &progress.description };
    if progress.step == 100 && planted::is(Bug::EarlySuccess) {
        event = Event::Reported { version: &judged.package.dest };
    }
    if let Outcome::Ignored(why) = judged.meet(rows, event, now, effects)? {
        tracing::debug!(task.id = %judged.task.id, "progress is ignored: {why}");
    }
    dynamic::look_at_freed(rows, now, effects)
}

/// The task that a device is to be told of in answer to its pull.
pub(super) fn pull(
    rows: &mut dyn Rows,
    device: DeviceNo,
    module: &ModuleName,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<Option<(Judged, Task)>> {
    let Some(judged) = of_module(open_tasks(rows, device)?, module) else { return Ok(None) };
    if !judged.job.is_open(now) && !planted::is(Bug::ScheduleIgnored) {
        return Ok(None);
    }
    let version = rows.version(device, module)?;
    let outcome = judged.meet(rows, Event::Pull { version: version.as_ref() }, now, effects)?;
    dynamic::look_at_freed(rows, now, effects)?;
    Ok(push::told(judged, outcome))
}
