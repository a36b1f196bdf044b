//! Rows that a batch knows without asking, on PostgreSQL: behind the reads and writes of their nouns.

use super::super::postgres::{ChangedVersion, Differs, Hot, NEXT_NUMBERS, Session};
use super::super::{About, Result};
use super::tx::Tx;
use super::{device, task};
use otaru_core::device::Device;
use otaru_core::id::{DeviceNo, JobNo, TaskNo};
use otaru_core::job::Counts;
use otaru_core::task::Task;
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use rusqlite::types::Value;
use std::collections::BTreeMap;

/// What is known, or else what the database answers, which is known from then on.
fn known_or<T: Clone>(
    tx: &Tx<'_>,
    known: impl FnOnce(&mut Hot) -> Option<T>,
    ask: impl FnOnce() -> Result<T>,
    learn: impl FnOnce(&mut Hot, T),
) -> Result<T> {
    let Some(session) = tx.knowing() else { return ask() };
    if let Some(found) = session.hot().and_then(|mut hot| known(&mut hot)) {
        return Ok(found);
    }
    let found = ask()?;
    if let Some(mut hot) = session.hot() {
        learn(&mut hot, found.clone());
    }
    Ok(found)
}

/// Changes what is known, to be written later; `false` when the caller has to write it now.
fn change(tx: &Tx<'_>, change: impl FnOnce(&mut Hot)) -> Result<bool> {
    let Some(session) = tx.knowing() else { return Ok(false) };
    let is_full = session.hot().is_some_and(|mut hot| {
        change(&mut hot);
        hot.is_full()
    });
    if is_full {
        session.flush()?;
    }
    Ok(true)
}

/// Unfinished tasks of a device.
pub fn unfinished(
    tx: &Tx<'_>,
    device: DeviceNo,
    ask: impl FnOnce() -> Result<Vec<Task>>,
) -> Result<Vec<Task>> {
    let known = |hot: &mut Hot| hot.tasks(device).cloned();
    known_or(tx, known, ask, |hot, tasks| hot.learn_tasks(device, tasks))
}

/// A task that waits to be written.
pub fn waiting_task(tx: &Tx<'_>, no: TaskNo) -> Option<Task> {
    tx.knowing()?.hot()?.waiting_task(no).cloned()
}

/// Writes later what a task has become; see [`Hot::change_task`].
pub fn change_task(tx: &Tx<'_>, after: &Task, differs: Differs) -> Result<bool> {
    change(tx, |hot| hot.change_task(after, differs))
}

/// Writes a new task later; its number, or `None` when the caller has to write it now.
pub fn add_task(tx: &Tx<'_>, new: &Task) -> Result<Option<TaskNo>> {
    let Some(session) = tx.knowing() else { return Ok(None) };
    let no = TaskNo(next_number(session)?);
    change(tx, |hot| hot.add_task(Task { no, ..new.clone() }))?;
    Ok(Some(no))
}

fn next_number(session: &Session) -> Result<i64> {
    let known = || session.hot().and_then(|mut hot| hot.next_number());
    if let Some(number) = known() {
        return Ok(number);
    }
    let rows = session.rows(NEXT_NUMBERS, &[])?;
    let mut numbers: Vec<_> = rows
        .iter()
        .filter_map(|row| match row.first() {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        })
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(mut hot) = session.hot() {
        hot.learn_numbers(numbers);
    }
    known().ok_or_else(|| super::StoreError::Engine("there are no numbers for tasks".into()))
}

pub fn counts(tx: &Tx<'_>, job: JobNo, ask: impl FnOnce() -> Result<Counts>) -> Result<Counts> {
    known_or(tx, |hot| hot.counts(job), ask, |hot, counts| hot.learn_counts(job, counts))
}

pub fn add_counts(tx: &Tx<'_>, job: JobNo, more: Counts) -> Result<bool> {
    change(tx, |hot| hot.add_counts(job, more))
}

pub fn version(
    tx: &Tx<'_>,
    device: DeviceNo,
    module: &ModuleName,
    ask: impl FnOnce() -> Result<Option<Version>>,
) -> Result<Option<Version>> {
    let key = module.key();
    let known = |hot: &mut Hot| {
        let versions = hot.versions(device)?;
        Some(versions.iter().find(|(known, _)| *known == key).map(|(_, version)| version.clone()))
    };
    // One version alone is not worth keeping.
    known_or(tx, known, ask, |_, _| ())
}

pub fn change_version(
    tx: &Tx<'_>,
    device: DeviceNo,
    module: &ModuleName,
    version: &Version,
    at: Timestamp,
    spelling: Option<&str>,
) -> Result<bool> {
    let changed =
        ChangedVersion { version: version.clone(), at, spelling: spelling.map(str::to_owned) };
    change(tx, |hot| hot.change_version(device, &module.key(), changed))
}

pub fn device(
    tx: &Tx<'_>,
    no: DeviceNo,
    ask: impl FnOnce() -> Result<Option<Device>>,
) -> Result<Option<Device>> {
    known_or(tx, |hot| hot.device(no).cloned(), ask, |hot, row| hot.learn_device(no, row))
}

/// Learns at once what many changes are going to ask for one after the other.
pub fn prefetch(session: &Session, about: &[About]) -> Result<()> {
    let all = about.iter().map(|about| about.device);
    let whole = about.iter().filter(|about| about.whole).map(|about| about.device);
    let Some(mut hot) = session.hot() else { return Ok(()) };
    let (tasks, rows) = (hot.without_tasks(all), hot.without_row(whole));
    drop(hot);
    if !tasks.is_empty() {
        let found = task::unfinished_of(session, &tasks)?;
        learn(session, &tasks, found, Hot::learn_tasks);
    }
    if !rows.is_empty() {
        let found = device::versions_of(session, &rows)?;
        learn(session, &rows, found, Hot::learn_versions);
        let found = device::by_numbers(session, &rows)?;
        learn(session, &rows, found, Hot::learn_device);
    }
    Ok(())
}

/// Also learns of those of which nothing was found that there is nothing.
fn learn<T: Default>(
    session: &Session,
    devices: &[i64],
    mut found: BTreeMap<DeviceNo, T>,
    learn: fn(&mut Hot, DeviceNo, T),
) {
    let Some(mut hot) = session.hot() else { return };
    for &device in devices {
        let device = DeviceNo(device);
        learn(&mut hot, device, found.remove(&device).unwrap_or_default());
    }
}
