//! How rows that wait are written: all of a kind with one statement, whose columns are arrays.
//!
//! Each fails by itself when it doesn't find all of its rows, so that it can be sent together with a COMMIT: that
//! commits nothing once a statement before it has failed.

use super::value::escaped;
use super::waiting::{ChangedTask, ChangedVersion, Waiting};
use otaru_core::id::{DeviceNo, JobNo};
use otaru_core::job::Counts;
use otaru_core::task::{Task, TaskStatus};
use otaru_core::time::Timestamp;
use otaru_core::version::Version;
use std::collections::BTreeMap;
use tokio_postgres::types::ToSql;

/// Moves the number of the batch, which only the server of the newest epoch can; divides by zero for any other.
pub const FENCE: &str = "WITH fenced AS (UPDATE engine SET batch = $1::bigint WHERE no = 1 AND epoch = $2::bigint RETURNING 1)
     SELECT 1 / count(*) FROM fenced";

const INSERT_TASKS: &str = "INSERT INTO task (no, job, device, status, progress, failed_tries, told, retry_at, timeout_at, due_at,
         reason, modified_at)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
         $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])";

const INSERT_DETAILS: &str = "INSERT INTO task_detail (no, id, src, description, timeout_minutes, created_at, ended_at)
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])";

/// An update of the rows `c`, that divides by zero unless it finds as many as the last parameter says.
macro_rules! update {
    ($table:literal SET $set:literal FROM $arrays:literal AS $columns:literal BY $key:literal COUNT $count:literal) => {
        concat!(
            "WITH changed AS (UPDATE ",
            $table,
            " SET ",
            $set,
            " FROM unnest(",
            $arrays,
            ") AS c(",
            $columns,
            ") WHERE ",
            $table,
            ".",
            $key,
            " = c.",
            $key,
            " RETURNING 1) SELECT 1 / (count(*) = ",
            $count,
            "::bigint)::int FROM changed"
        )
    };
}

const UPDATE_TASKS: &str = update!(
    "task"
    SET "status = c.status, progress = c.progress, failed_tries = c.failed_tries, told = c.told, retry_at = c.retry_at,
         timeout_at = c.timeout_at, due_at = c.due_at, reason = c.reason, modified_at = c.modified_at"
    FROM "$1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
         $9::bigint[], $10::bigint[]"
    AS "no, status, progress, failed_tries, told, retry_at, timeout_at, due_at, reason, modified_at"
    BY "no" COUNT "$11"
);

/// Only what every report changes: it touches no index, and each array less is felt.
const UPDATE_PROGRESS: &str = update!(
    "task"
    SET "progress = c.progress, modified_at = c.modified_at"
    FROM "$1::bigint[], $2::bigint[], $3::bigint[]"
    AS "no, progress, modified_at"
    BY "no" COUNT "$4"
);

const UPDATE_DETAILS: &str = update!(
    "task_detail"
    SET "src = c.src, description = c.description, timeout_minutes = c.timeout_minutes, ended_at = c.ended_at"
    FROM "$1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]"
    AS "no, src, description, timeout_minutes, ended_at"
    BY "no" COUNT "$6"
);

const ADD_COUNTS: &str = update!(
    "job_count"
    SET "c0 = c0 + n0, c1 = c1 + n1, c2 = c2 + n2, c3 = c3 + n3, c4 = c4 + n4, c5 = c5 + n5, c6 = c6 + n6"
    FROM "$1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]"
    AS "job, n0, n1, n2, n3, n4, n5, n6"
    BY "job" COUNT "$9"
);

const PUT_VERSIONS: &str = "INSERT INTO device_version (device, module, version, reported_at, spelling)
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[])
     ON CONFLICT (device, module) DO UPDATE SET version = excluded.version, reported_at = excluded.reported_at";

/// A statement as PostgreSQL reads it, with its parameters.
pub struct Write {
    pub sql: &'static str,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Write {
    fn new(sql: &'static str) -> Self {
        Self { sql, params: Vec::new() }
    }

    fn with(mut self, param: impl ToSql + Sync + Send + 'static) -> Self {
        self.params.push(Box::new(param));
        self
    }

    pub fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect()
    }

    /// A column: one value of each row.
    fn column<R, V>(self, rows: &[R], value: impl Fn(&R) -> V) -> Self
    where
        V: ToSql + Sync + Send + 'static,
    {
        let values: Vec<V> = rows.iter().map(value).collect();
        self.with(values)
    }
}

/// The statements that write what waits.
pub fn writes(waiting: &Waiting) -> Vec<Write> {
    let tasks = || waiting.tasks.values();
    let of = |wanted: fn(&ChangedTask) -> bool| -> Vec<&Task> {
        tasks().filter(|changed| wanted(changed)).map(|changed| &changed.task).collect()
    };
    let new = of(|changed| changed.is_new);
    let states = of(|changed| changed.differs.state && !changed.is_new);
    let steps = of(|changed| changed.differs.progress && !changed.differs.state && !changed.is_new);
    let details = of(|changed| changed.differs.detail && !changed.is_new);
    let mut writes = Vec::new();
    if !new.is_empty() {
        writes.push(insert_tasks(&new));
        writes.push(insert_details(&new));
    }
    if !states.is_empty() {
        writes.push(update_tasks(&states));
    }
    if !steps.is_empty() {
        writes.push(update_progress(&steps));
    }
    if !details.is_empty() {
        writes.push(update_details(&details));
    }
    if !waiting.versions.is_empty() {
        writes.push(put_versions(&waiting.versions));
    }
    if !waiting.counts.is_empty() {
        writes.push(add_counts(&waiting.counts));
    }
    writes
}

fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.0)
}

fn count<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

fn src(task: &Task) -> Option<String> {
    task.src.as_ref().map(|version| escaped(version.as_str()))
}

fn insert_tasks(tasks: &[&Task]) -> Write {
    let write = Write::new(INSERT_TASKS)
        .column(tasks, |task| task.no.0)
        .column(tasks, |task| task.job.0)
        .column(tasks, |task| task.device.0);
    with_state(write, tasks)
}

/// Adds the columns of a task's narrow row that change, from its status on.
fn with_state(write: Write, tasks: &[&Task]) -> Write {
    write
        .column(tasks, |task| i64::from(task.status as u8))
        .column(tasks, |task| i64::from(task.progress))
        .column(tasks, |task| i64::from(task.failed_tries))
        .column(tasks, |task| i64::from(task.told))
        .column(tasks, |task| ms(task.retry_at))
        .column(tasks, |task| ms(task.timeout_at))
        .column(tasks, |task| ms(task.due_at()))
        .column(tasks, |task| i64::from(task.reason as u8))
        .column(tasks, |task| task.modified_at.0)
}

fn insert_details(tasks: &[&Task]) -> Write {
    Write::new(INSERT_DETAILS)
        .column(tasks, |task| task.no.0)
        .column(tasks, |task| task.id.as_str().to_owned())
        .column(tasks, |task| src(task))
        .column(tasks, |task| escaped(&task.description))
        .column(tasks, |task| task.timeout_minutes.map(i64::from))
        .column(tasks, |task| task.created_at.0)
        .column(tasks, |task| ms(task.ended_at))
}

fn update_tasks(tasks: &[&Task]) -> Write {
    let write = Write::new(UPDATE_TASKS).column(tasks, |task| task.no.0);
    with_state(write, tasks).with(count(tasks))
}

fn update_progress(tasks: &[&Task]) -> Write {
    Write::new(UPDATE_PROGRESS)
        .column(tasks, |task| task.no.0)
        .column(tasks, |task| i64::from(task.progress))
        .column(tasks, |task| task.modified_at.0)
        .with(count(tasks))
}

fn update_details(tasks: &[&Task]) -> Write {
    Write::new(UPDATE_DETAILS)
        .column(tasks, |task| task.no.0)
        .column(tasks, |task| src(task))
        .column(tasks, |task| escaped(&task.description))
        .column(tasks, |task| task.timeout_minutes.map(i64::from))
        .column(tasks, |task| ms(task.ended_at))
        .with(count(tasks))
}

fn add_counts(counts: &BTreeMap<JobNo, Counts>) -> Write {
    let rows: Vec<_> = counts.iter().collect();
    let jobs = Write::new(ADD_COUNTS).column(&rows, |(job, _)| job.0);
    let all = TaskStatus::ALL
        .into_iter()
        .fold(jobs, |write, status| write.column(&rows, |(_, more)| more.get(status)));
    all.with(count(&rows))
}

fn put_versions(versions: &BTreeMap<(DeviceNo, String), ChangedVersion>) -> Write {
    let rows: Vec<_> = versions.iter().collect();
    let version = |version: &Version| escaped(version.as_str());
    Write::new(PUT_VERSIONS)
        .column(&rows, |((device, _), _)| device.0)
        .column(&rows, |((_, key), _)| escaped(key))
        .column(&rows, |(_, changed)| version(&changed.version))
        .column(&rows, |(_, changed)| changed.at.0)
        .column(&rows, |(_, changed)| changed.spelling.as_deref().map(escaped))
}

/// Takes numbers for new tasks.
pub const NEXT_NUMBERS: &str =
    "SELECT nextval(pg_get_serial_sequence('task', 'no')) FROM generate_series(1, 1000)";
