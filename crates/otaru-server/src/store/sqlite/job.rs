//! Jobs and the counts of their tasks.

use super::super::{Listed, Page, Result, StoreError};
use super::known;
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{AccountNo, DeviceNo, GroupNo, JobId, JobNo, PackageNo, ProductNo};
use otaru_core::job::{
    Counts, DynamicMode, Fill, GrayPercent, Job, JobGroup, JobKind, JobStatus, Selection,
    StatusSet, StoredBucket, Sweep,
};
use otaru_core::policy::{DownloadProtocol, OverwriteMode, Policy, Retry, Tag};
use otaru_core::task::{CancelCause, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use rusqlite::params;
use std::rc::Rc;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, account, product, package, id, kind, selection, selection_value, src_versions, need_push, ",
            "need_confirm, retry_interval, retry_count, timeout_minutes, overwrite_mode, multi_module, ",
            "max_per_minute, download, tags, status, created_at, modified_at, started_at, ended_at, schedule_at, ",
            "finish_at, finish_played, list, fill_until, fill_after, fill_rank_max, sweep_cancels, sweep_cause, sweep_at, sweep_after, ",
            "bucket_at, bucket_parts, group_no, group_id, group_name FROM job ",
            $rest
        )
    };
}

/// The indexes of `0001.sql` name the code of `InProgress`.
fn status_code(status: JobStatus) -> i64 {
    match status {
        JobStatus::Planned => 0,
        JobStatus::InProgress => 1,
        JobStatus::Completed => 2,
        JobStatus::Canceled => 3,
    }
}

fn kind_code(kind: JobKind) -> i64 {
    match kind {
        JobKind::Verify => 0,
        JobKind::Upgrade => 1,
    }
}

/// The indexes of `0001.sql` name the code of `Dynamic`.
fn selection_code(selection: Selection) -> (i64, u32) {
    match selection {
        Selection::All => (0, 0),
        Selection::Specific => (1, 0),
        Selection::Gray(percent) => (2, percent.thousandths()),
        Selection::Dynamic(mode) => (3, mode.as_wire().unsigned_abs()),
        Selection::Group => (4, 0),
    }
}

fn selection_of(code: i64, value: u32) -> Option<Selection> {
    match code {
        0 => Some(Selection::All),
        1 => Some(Selection::Specific),
        2 => Some(Selection::Gray(GrayPercent::from_thousandths(value))),
        3 => DynamicMode::from_wire(i32::try_from(value).ok()?).map(Selection::Dynamic),
        4 => Some(Selection::Group),
        _ => None,
    }
}

fn cause_of(code: u8) -> Option<CancelCause> {
    use CancelCause as C;
    [C::User, C::ScheduleFinished, C::DeviceDeleted, C::ProductDeleted]
        .into_iter()
        .find(|&cause| cause as u8 == code)
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Rc<Job>> {
    Ok(Rc::new(Job {
        no: JobNo(cols.take()?),
        account: AccountNo(cols.take()?),
        product: ProductNo(cols.take()?),
        package: PackageNo(cols.take()?),
        id: cols.parsed()?,
        kind: cols.decoded(|&code: &i64| {
            [JobKind::Verify, JobKind::Upgrade].into_iter().find(|&k| kind_code(k) == code)
        })?,
        selection: {
            let code = cols.take()?;
            cols.decoded(|&value| selection_of(code, value))?
        },
        src_versions: cols.decoded(|text: &String| {
            let texts: Vec<String> = serde_json::from_str(text).ok()?;
            texts.iter().map(|text| Version::reported(text)).collect()
        })?,
        policy: read_policy(cols)?,
        status: cols.decoded(|&code: &i64| {
            JobStatus::ALL.into_iter().find(|&status| status_code(status) == code)
        })?,
        created_at: cols.time()?,
        modified_at: cols.time()?,
        started_at: cols.time_opt()?,
        ended_at: cols.time_opt()?,
        schedule_at: cols.time_opt()?,
        finish_at: cols.time_opt()?,
        finish_played: cols.take()?,
        list: cols.take()?,
        fill: {
            let (until, after, rank_max) =
                (cols.take()?, cols.take::<Option<i64>>()?, cols.bits_opt()?);
            after.zip(until).map(|(after, until)| Fill { after, until, rank_max })
        },
        sweep: {
            let cancels = cols.take::<Option<u8>>()?.map(StatusSet::from_bits);
            let cause = cols.decoded(|code: &Option<u8>| match code {
                None => Some(None),
                Some(code) => cause_of(*code).map(Some),
            })?;
            let (at, after) = (cols.time_opt()?, cols.take::<Option<i64>>()?);
            match (cancels, cause, at, after) {
                (Some(cancels), Some(cause), Some(at), Some(after)) => {
                    Some(Sweep { cancels, cause, at, after })
                }
                _ => None,
            }
        },
        bucket: {
            let (at, parts) = (cols.time_opt()?, cols.bits_opt()?);
            at.zip(parts).map(|(at, parts)| StoredBucket { parts, at })
        },
        group: {
            let no = cols.take::<Option<i64>>()?.map(GroupNo);
            let id = cols.decoded(|id: &Option<String>| match id {
                None => Some(None),
                Some(id) => id.parse().ok().map(Some),
            })?;
            let name = cols.take::<Option<String>>()?;
            match (no, id, name) {
                (Some(no), Some(id), Some(name)) => Some(JobGroup { no, id, name }),
                _ => None,
            }
        },
    }))
}

fn read_policy(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Policy> {
    Ok(Policy {
        need_push: cols.take()?,
        need_confirm: cols.take()?,
        retry: {
            let (interval, count) = (cols.take::<Option<u32>>()?, cols.take::<Option<u32>>()?);
            interval.zip(count).map(|(interval_minutes, count)| Retry { interval_minutes, count })
        },
        timeout_minutes: cols.take()?,
        overwrite: cols.decoded(|&code| OverwriteMode::from_wire(code))?,
        multi_module: cols.take()?,
        max_per_minute: cols.take()?,
        download: cols.decoded(|text: &String| DownloadProtocol::from_wire(text))?,
        tags: {
            let pairs: Vec<(String, String)> = cols.json()?;
            pairs.into_iter().map(|(key, value)| Tag { key, value }).collect()
        },
    })
}

pub fn by_no(tx: &Tx<'_>, no: JobNo) -> Result<Option<Rc<Job>>> {
    tx.one(select!("WHERE no = ?1"), params![no.0], read)
}

pub fn by_id(tx: &Tx<'_>, id: &JobId) -> Result<Option<Rc<Job>>> {
    tx.one(select!("WHERE id = ?1"), params![id.as_str()], read)
}

pub fn of_package(tx: &Tx<'_>, package: PackageNo, page: Page) -> Result<Listed<Rc<Job>>> {
    let total = tx.count("SELECT count(*) FROM job WHERE package = ?1", params![package.0])?;
    let rows = tx.list(
        select!("WHERE package = ?1 ORDER BY no DESC LIMIT ?2 OFFSET ?3"),
        params![package.0, page.take, skip(page)],
        read,
    )?;
    Ok(Listed { rows, total })
}

pub fn of_device(
    tx: &Tx<'_>,
    package: PackageNo,
    device: DeviceNo,
    page: Page,
) -> Result<Listed<Rc<Job>>> {
    let total = tx.count(
        "SELECT count(*) FROM job WHERE package = ?1
             AND EXISTS (SELECT 1 FROM task WHERE task.device = ?2 AND task.job = job.no)",
        params![package.0, device.0],
    )?;
    let rows = tx.list(
        select!(
            "WHERE package = ?1 AND EXISTS (SELECT 1 FROM task WHERE task.device = ?2 AND task.job = job.no)
             ORDER BY no DESC LIMIT ?3 OFFSET ?4"
        ),
        params![package.0, device.0, page.take, skip(page)],
        read,
    )?;
    Ok(Listed { rows, total })
}

/// The counts must be flushed before.
pub fn package_is_busy(tx: &Tx<'_>, package: PackageNo) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM job CROSS JOIN job_count ON job_count.job = job.no
             WHERE job.package = ?1 AND (job.status IN (0, 1) OR c0 + c1 + c2 + c3 > 0))",
        params![package.0],
    )
}

pub fn open_of_product(tx: &Tx<'_>, product: ProductNo, limit: u32) -> Result<Vec<Rc<Job>>> {
    tx.list(
        select!("INDEXED BY job_open WHERE product = ?1 AND status < 2 ORDER BY no LIMIT ?2"),
        params![product.0, limit],
        read,
    )
}

pub fn running_dynamic(tx: &Tx<'_>, package: PackageNo) -> Result<Option<JobNo>> {
    tx.one(
        "SELECT no FROM job INDEXED BY job_of_package WHERE package = ?1 AND selection = 3 AND status = 1
         ORDER BY no DESC LIMIT 1",
        params![package.0],
        |cols| cols.take().map(JobNo),
    )
}

pub fn dynamic(tx: &Tx<'_>, product: ProductNo, module: &ModuleName) -> Result<Vec<Rc<Job>>> {
    tx.list(
        select!("WHERE product = ?1 AND module_key = ?2 AND selection = 3 AND status = 1 ORDER BY no DESC"),
        params![product.0, module.key()],
        read,
    )
}

pub fn last_verify(tx: &Tx<'_>, package: PackageNo) -> Result<Option<JobNo>> {
    tx.one(
        "SELECT no FROM job WHERE package = ?1 AND kind = 0 ORDER BY no DESC LIMIT 1",
        params![package.0],
        |cols| cols.take().map(JobNo),
    )
}

/// The counts as they are in the file.
pub fn counts(tx: &Tx<'_>, job: JobNo) -> Result<Counts> {
    known::counts(tx, job, || read_counts(tx, job))
}

fn read_counts(tx: &Tx<'_>, job: JobNo) -> Result<Counts> {
    let counts = tx.one(
        "SELECT c0, c1, c2, c3, c4, c5, c6 FROM job_count WHERE job = ?1",
        params![job.0],
        |cols| {
            let mut counts = Counts::default();
            for status in TaskStatus::ALL {
                counts.add(status, cols.take()?);
            }
            Ok(counts)
        },
    )?;
    Ok(counts.unwrap_or_default())
}

pub fn add_counts(tx: &Tx<'_>, job: JobNo, more: Counts) -> Result<()> {
    if known::add_counts(tx, job, more)? {
        return Ok(());
    }
    let [c0, c1, c2, c3, c4, c5, c6] = TaskStatus::ALL.map(|status| more.get(status));
    tx.run_one(
        "UPDATE job_count SET c0 = c0 + ?2, c1 = c1 + ?3, c2 = c2 + ?4, c3 = c3 + ?5, c4 = c4 + ?6, c5 = c5 + ?7,
             c6 = c6 + ?8
         WHERE job = ?1",
        params![job.0, c0, c1, c2, c3, c4, c5, c6],
    )
}

pub fn planned_tasks(tx: &Tx<'_>, from: Timestamp, until: Timestamp) -> Result<u64> {
    let count: Option<i64> = tx.value(
        "SELECT CAST(sum(c0 + c1 + c2 + c3 + c4 + c5 + c6) AS BIGINT) FROM job CROSS JOIN job_count ON job_count.job = job.no
         WHERE schedule_at >= ?1 AND schedule_at < ?2 AND status = 0",
        params![from.0, until.0],
    )?;
    Ok(count.unwrap_or(0).cast_unsigned())
}

pub fn due(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<JobNo>> {
    tx.list(
        "SELECT no FROM job WHERE due_at <= ?1 ORDER BY due_at, no LIMIT ?2",
        params![now.0, limit],
        |cols| cols.take().map(JobNo),
    )
}

pub fn next_due(tx: &Tx<'_>) -> Result<Option<Timestamp>> {
    tx.value("SELECT min(due_at) FROM job WHERE due_at IS NOT NULL", &[])
        .map(|at: Option<i64>| at.map(Timestamp))
}

/// `module` is that of the job's package.
pub fn insert(tx: &Tx<'_>, new: &Job, module: &ModuleName) -> Result<JobNo> {
    let Policy {
        need_push,
        need_confirm,
        retry,
        timeout_minutes,
        overwrite,
        multi_module,
        max_per_minute,
        download,
        tags,
    } = &new.policy;
    let (selection, selection_value) = selection_code(new.selection);
    let no = tx.insert(
        "INSERT INTO job (account, product, package, module_key, id, kind, selection, selection_value, src_versions,
             need_push, need_confirm, retry_interval, retry_count, timeout_minutes, overwrite_mode, multi_module,
             max_per_minute, download, tags, created_at, group_no, group_id, group_name, status, modified_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, 0, 0)",
        params![
            new.account.0,
            new.product.0,
            new.package.0,
            module.key(),
            new.id.as_str(),
            kind_code(new.kind),
            selection,
            selection_value,
            src_versions_json(&new.src_versions)?,
            need_push,
            need_confirm,
            retry.map(|retry| retry.interval_minutes),
            retry.map(|retry| retry.count),
            timeout_minutes,
            overwrite.as_wire(),
            multi_module,
            max_per_minute,
            download.as_wire(),
            tags_json(tags)?,
            new.created_at.0,
            new.group.as_ref().map(|group| group.no.0),
            new.group.as_ref().map(|group| group.id.as_str()),
            new.group.as_ref().map(|group| group.name.as_str())
        ],
    )?;
    tx.run("INSERT INTO job_count (job) VALUES (?1)", params![no])?;
    update(tx, JobNo(no), new)?;
    Ok(JobNo(no))
}

fn json(list: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(list).map_err(|error| StoreError::Engine(error.to_string()))
}

fn src_versions_json(versions: &[Version]) -> Result<String> {
    json(&versions.iter().map(Version::as_str).collect::<Vec<_>>())
}

fn tags_json(tags: &[Tag]) -> Result<String> {
    json(&tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect::<Vec<_>>())
}

/// Writes what a caller may change of the policy.
pub fn update_policy(tx: &Tx<'_>, job: &Job) -> Result<()> {
    let Policy { max_per_minute, timeout_minutes, tags, .. } = &job.policy;
    tx.run_one(
        "UPDATE job SET max_per_minute = ?2, timeout_minutes = ?3, tags = ?4, src_versions = ?5 WHERE no = ?1",
        params![
            job.no.0,
            max_per_minute,
            timeout_minutes,
            tags_json(tags)?,
            src_versions_json(&job.src_versions)?
        ],
    )
}

/// Writes what of `job` can change to row `no`.
pub fn update(tx: &Tx<'_>, no: JobNo, job: &Job) -> Result<()> {
    let ms = |at: Option<Timestamp>| at.map(|at| at.0);
    tx.run_one(
        "UPDATE job SET status = ?2, modified_at = ?3, started_at = ?4, ended_at = ?5, schedule_at = ?6,
             finish_at = ?7, fill_until = ?8, fill_after = ?9, fill_rank_max = ?10, sweep_cancels = ?11,
             sweep_cause = ?12, sweep_at = ?13, sweep_after = ?14, bucket_at = ?15, bucket_parts = ?16, due_at = ?17,
             finish_played = ?18, list = ?19
         WHERE no = ?1",
        params![
            no.0,
            status_code(job.status),
            job.modified_at.0,
            ms(job.started_at),
            ms(job.ended_at),
            ms(job.schedule_at),
            ms(job.finish_at),
            job.fill.map(|fill| fill.until),
            job.fill.map(|fill| fill.after),
            job.fill.and_then(|fill| fill.rank_max).map(u64::cast_signed),
            job.sweep.map(|sweep| sweep.cancels.bits()),
            job.sweep.map(|sweep| sweep.cause as u8),
            job.sweep.map(|sweep| sweep.at.0),
            job.sweep.map(|sweep| sweep.after),
            job.bucket.map(|bucket| bucket.at.0),
            job.bucket.map(|bucket| bucket.parts.cast_signed()),
            ms(job.due_at()),
            job.finish_played,
            job.list
        ],
    )
}
