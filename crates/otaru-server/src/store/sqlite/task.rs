//! Tasks: a narrow row that changes often, and a wide one that seldom does.

use super::super::postgres::{Differs, Session};
use super::super::{Page, Result};
use super::known;
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{DeviceNo, JobNo, PackageNo, TaskId, TaskNo};
use otaru_core::job::StatusSet;
use otaru_core::task::{Reason, Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::Version;
use rusqlite::params;
use std::collections::BTreeMap;

macro_rules! columns {
    () => {
        "SELECT t.no, t.job, t.device, t.status, t.progress, t.failed_tries, t.told, t.retry_at, t.timeout_at, t.reason,
             t.modified_at, d.id, d.src, d.description, d.timeout_minutes, d.created_at, d.ended_at "
    };
}

/// Whole tasks by a condition on the narrow row `t`.
macro_rules! select {
    ($rest:literal) => {
        concat!(columns!(), "FROM task t CROSS JOIN task_detail d ON d.no = t.no ", $rest)
    };
}

/// Whole tasks of a page that is found in an index alone.
macro_rules! page_of {
    ($index:literal, $condition:literal) => {
        concat!(
            columns!(),
            "FROM (SELECT no FROM task INDEXED BY ", $index, " WHERE ", $condition,
            " ORDER BY no DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN task t ON t.no = page.no CROSS JOIN task_detail d ON d.no = page.no ORDER BY page.no DESC"
        )
    };
}

fn status_of(code: u8) -> Option<TaskStatus> {
    TaskStatus::ALL.into_iter().find(|&status| status as u8 == code)
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Task> {
    Ok(Task {
        no: TaskNo(cols.take()?),
        job: JobNo(cols.take()?),
        device: DeviceNo(cols.take()?),
        status: cols.decoded(|&code| status_of(code))?,
        progress: cols.take()?,
        failed_tries: cols.take()?,
        told: cols.take()?,
        retry_at: cols.time_opt()?,
        timeout_at: cols.time_opt()?,
        reason: cols
            .decoded(|&code: &u8| Reason::ALL.into_iter().find(|&reason| reason as u8 == code))?,
        modified_at: cols.time()?,
        id: cols.parsed()?,
        src: cols.version_opt()?,
        description: cols.take()?,
        timeout_minutes: cols.take()?,
        created_at: cols.time()?,
        ended_at: cols.time_opt()?,
    })
}

pub fn by_no(tx: &Tx<'_>, no: TaskNo) -> Result<Option<Task>> {
    if let Some(task) = known::waiting_task(tx, no) {
        return Ok(Some(task));
    }
    tx.one(select!("WHERE t.no = ?1"), params![no.0], read)
}

/// A task of a device. Where those of the device are known, nothing is asked for.
pub fn of(tx: &Tx<'_>, device: DeviceNo, no: TaskNo) -> Result<Option<Task>> {
    let found = match tx.knowing() {
        Some(_) => unfinished(tx, device)?.into_iter().find(|task| task.no == no),
        None => None,
    };
    if found.is_some() { Ok(found) } else { by_no(tx, no) }
}

/// Tasks by their numbers, in that order; those that are not there are left out.
fn by_numbers(tx: &Tx<'_>, numbers: &[TaskNo]) -> Result<Vec<Task>> {
    let Some(session) = tx.postgres() else {
        let each = numbers.iter().map(|&no| by_no(tx, no));
        return Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect());
    };
    let wanted: Vec<_> = numbers.iter().map(|no| no.0).collect();
    let rows = session.rows(
        concat!(
            columns!(),
            "FROM unnest($1::bigint[]) AS wanted(no) JOIN task t ON t.no = wanted.no JOIN task_detail d ON d.no = t.no"
        ),
        &[&wanted],
    )?;
    let read = |row: &Vec<_>| read(&mut Cols::of_values(row)).map(|task| (task.no, task));
    let mut found = rows.iter().map(read).collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    Ok(numbers.iter().filter_map(|no| found.remove(no)).collect())
}

pub fn by_id(tx: &Tx<'_>, id: &TaskId) -> Result<Option<Task>> {
    tx.one(
        concat!(columns!(), "FROM task_detail d CROSS JOIN task t ON t.no = d.no WHERE d.id = ?1"),
        params![id.as_str()],
        read,
    )
}

pub fn unfinished(tx: &Tx<'_>, device: DeviceNo) -> Result<Vec<Task>> {
    known::unfinished(tx, device, || {
        tx.list(
            select!("WHERE t.device = ?1 AND t.status < 4 ORDER BY t.no"),
            params![device.0],
            read,
        )
    })
}

/// The same of many devices, on PostgreSQL.
pub fn unfinished_of(session: &Session, devices: &[i64]) -> Result<BTreeMap<DeviceNo, Vec<Task>>> {
    let rows = session.rows(
        concat!(
            columns!(),
            "FROM unnest($1::bigint[]) AS wanted(device) JOIN task t ON t.device = wanted.device AND t.status < 4
             JOIN task_detail d ON d.no = t.no"
        ),
        &[&devices],
    )?;
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let task = read(&mut Cols::of_values(&row))?;
        found.entry(task.device).or_default().push(task);
    }
    for tasks in found.values_mut() {
        tasks.sort_unstable_by_key(|task| task.no);
    }
    Ok(found)
}

pub fn of_device(tx: &Tx<'_>, job: JobNo, device: DeviceNo) -> Result<Vec<Task>> {
    tx.list(
        select!("WHERE t.job = ?1 AND t.device = ?2 ORDER BY t.no DESC"),
        params![job.0, device.0],
        read,
    )
}

pub fn of_package_exists(tx: &Tx<'_>, package: PackageNo, device: DeviceNo) -> Result<bool> {
    // By way of the device: it is in fewer jobs than a package may have.
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM task INDEXED BY task_of_device CROSS JOIN job ON job.no = task.job
             WHERE task.device = ?1 AND job.package = ?2)",
        params![device.0, package.0],
    )
}

pub fn page(tx: &Tx<'_>, job: JobNo, status: Option<TaskStatus>, page: Page) -> Result<Vec<Task>> {
    match status {
        None => tx.list(
            page_of!("task_of_job", "job = ?1"),
            params![job.0, page.take, skip(page)],
            read,
        ),
        Some(status) => tx.list(
            page_of!("task_by_status", "job = ?1 AND status = ?4"),
            params![job.0, page.take, skip(page), status as u8],
            read,
        ),
    }
}

pub fn after(
    tx: &Tx<'_>,
    job: JobNo,
    statuses: StatusSet,
    after: TaskNo,
    limit: u32,
) -> Result<Vec<Task>> {
    // One walk for each status, since an index gives numbers in order only within one.
    let mut numbers = Vec::new();
    for status in statuses.iter() {
        numbers.append(&mut tx.list(
            "SELECT no FROM task INDEXED BY task_by_status WHERE job = ?1 AND status = ?2 AND no > ?3
             ORDER BY no LIMIT ?4",
            params![job.0, status as u8, after.0, limit],
            |cols| cols.take().map(TaskNo),
        )?);
    }
    numbers.sort_unstable();
    numbers.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    by_numbers(tx, &numbers)
}

pub fn due(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<TaskNo>> {
    tx.list(
        "SELECT no FROM task WHERE due_at <= ?1 ORDER BY due_at, no LIMIT ?2",
        params![now.0, limit],
        |cols| cols.take().map(TaskNo),
    )
}

pub fn next_due(tx: &Tx<'_>) -> Result<Option<Timestamp>> {
    tx.value("SELECT min(due_at) FROM task WHERE due_at IS NOT NULL", &[])
        .map(|at: Option<i64>| at.map(Timestamp))
}

fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.0)
}

pub fn insert(tx: &Tx<'_>, new: &Task) -> Result<TaskNo> {
    if let Some(no) = known::add_task(tx, new)? {
        return Ok(no);
    }
    let Task {
        no: _,
        job,
        device,
        status,
        progress,
        failed_tries,
        told,
        retry_at,
        timeout_at,
        reason,
        modified_at,
        id,
        src,
        description,
        timeout_minutes,
        created_at,
        ended_at,
    } = new;
    let no = tx.insert(
        "INSERT INTO task (job, device, status, progress, failed_tries, told, retry_at, timeout_at, due_at, reason,
             modified_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            job.0,
            device.0,
            *status as u8,
            progress,
            failed_tries,
            told,
            ms(*retry_at),
            ms(*timeout_at),
            ms(new.due_at()),
            *reason as u8,
            modified_at.0
        ],
    )?;
    tx.run(
        "INSERT INTO task_detail (no, id, src, description, timeout_minutes, created_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            no,
            id.as_str(),
            src.as_ref().map(Version::as_str),
            description,
            timeout_minutes,
            created_at.0,
            ms(*ended_at)
        ],
    )?;
    Ok(TaskNo(no))
}

fn detail(task: &Task) -> (&Option<Version>, &str, Option<u32>, Option<Timestamp>) {
    (&task.src, &task.description, task.timeout_minutes, task.ended_at)
}

fn difference(before: &Task, after: &Task) -> Differs {
    let progress = |task: &Task| (task.progress, task.modified_at);
    let state = |task: &Task| {
        let Task { failed_tries, told, retry_at, timeout_at, .. } = *task;
        (
            task.status as u8,
            failed_tries,
            told,
            retry_at,
            timeout_at,
            task.due_at(),
            task.reason as u8,
        )
    };
    Differs {
        progress: progress(before) != progress(after),
        state: state(before) != state(after),
        detail: detail(before) != detail(after),
    }
}

/// Writes what differs. An index is touched only when a column of it changes: most reports change none.
pub fn update(tx: &Tx<'_>, before: &Task, after: &Task) -> Result<()> {
    let (old_due, new_due) = (before.due_at(), after.due_at());
    let differs = difference(before, after);
    if differs == Differs::default() || known::change_task(tx, after, differs)? {
        return Ok(());
    }
    if differs.row() {
        // The last two conditions always hold; they let all four take the same parameters.
        macro_rules! update {
            ($more:literal) => {
                concat!(
                    "UPDATE task SET progress = ?2, failed_tries = ?3, told = ?4, retry_at = ?5, timeout_at = ?6, ",
                    "reason = ?7, modified_at = ?8", $more, " WHERE no = ?1 AND ?9 = ?9 AND CAST(?10 AS BIGINT) IS NOT DISTINCT FROM CAST(?10 AS BIGINT)"
                )
            };
        }
        let sql = match (before.status != after.status, old_due != new_due) {
            (false, false) => update!(""),
            (true, false) => update!(", status = ?9"),
            (false, true) => update!(", due_at = ?10"),
            (true, true) => update!(", status = ?9, due_at = ?10"),
        };
        let Task {
            progress,
            failed_tries,
            told,
            retry_at,
            timeout_at,
            reason,
            modified_at,
            status,
            ..
        } = after;
        tx.run_one(
            sql,
            params![
                before.no.0,
                progress,
                failed_tries,
                told,
                ms(*retry_at),
                ms(*timeout_at),
                *reason as u8,
                modified_at.0,
                *status as u8,
                ms(new_due)
            ],
        )?;
    }
    if differs.detail {
        let Task { src, description, timeout_minutes, ended_at, .. } = after;
        tx.run_one(
            "UPDATE task_detail SET src = ?2, description = ?3, timeout_minutes = ?4, ended_at = ?5 WHERE no = ?1",
            params![before.no.0, src.as_ref().map(Version::as_str), description, timeout_minutes, ms(*ended_at)],
        )?;
    }
    Ok(())
}
