//! SQLite with nothing around it: the rows of jobs, inserted again into a new file.

#![allow(clippy::disallowed_methods, reason = "what it takes is what is measured")]

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::path::Path;
use std::time::{Duration, Instant};

/// The tables that a task has a row in.
const TABLES: [&str; 2] = ["task", "task_detail"];
/// Rows of a table that one commit holds, as in the server.
const ROWS_PER_COMMIT: i64 = 10_000;

/// What was done, and what the inserts and commits alone took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    pub tasks: u64,
    pub commits: u64,
    pub took: Duration,
    pub cpu: Duration,
}

/// Inserts the newest `tasks_max` tasks of the database `from` into a new one at `to`, which has their tables and
/// indexes and the settings of the server's: a write-ahead log, and an fsync for each commit.
///
/// # Errors
/// When `from` is no database of the server, or `to` is there already.
pub fn copy(from: &Path, to: &Path, tasks_max: u32) -> rusqlite::Result<Inserted> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let target = Connection::open(to)?;
    target.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4096;",
    )?;
    for table in TABLES {
        let mut made = source.prepare(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type DESC",
        )?;
        for sql in made.query_map([table], |row| row.get::<_, String>(0))? {
            target.execute_batch(&sql?)?;
        }
    }
    let mut done = Inserted::default();
    let mut after = source.query_row(
        "SELECT coalesce((SELECT no FROM task ORDER BY no DESC LIMIT 1 OFFSET ?1), 0)",
        [tasks_max],
        |row| row.get(0),
    )?;
    loop {
        let mut parts = Vec::new();
        for table in TABLES {
            parts.push((table, rows(&source, table, after)?));
        }
        let Some(last) = parts[0].1.last() else { return Ok(done) };
        let Value::Integer(no) = last[0] else { return Err(rusqlite::Error::InvalidQuery) };
        after = no;
        done.tasks += parts[0].1.len() as u64;
        let (begun, cpu) = (Instant::now(), cpu_time());
        insert(&target, parts)?;
        done.took += begun.elapsed();
        done.cpu += cpu_time().saturating_sub(cpu);
        done.commits += 1;
    }
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // It never runs backwards from 0.
    Duration::try_from(now).unwrap_or_default()
}

/// The next rows of a table, by their number, which is their first column.
fn rows(source: &Connection, table: &str, after: i64) -> rusqlite::Result<Vec<Vec<Value>>> {
    let sql = format!("SELECT * FROM {table} WHERE no > ?1 ORDER BY no LIMIT {ROWS_PER_COMMIT}");
    let mut query = source.prepare_cached(&sql)?;
    let columns = query.column_count();
    query.query_map([after], |row| (0..columns).map(|at| row.get(at)).collect())?.collect()
}

fn insert(target: &Connection, parts: Vec<(&str, Vec<Vec<Value>>)>) -> rusqlite::Result<()> {
    let change = target.unchecked_transaction()?;
    for (table, rows) in parts {
        let Some(first) = rows.first() else { continue };
        let places = vec!["?"; first.len()].join(", ");
        let mut insert =
            target.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
    }
    change.commit()
}

/// Commits `count` changes of one row each, one after the other, in a new database at `to`; how long that took.
///
/// # Errors
/// When `to` can't be made.
pub fn commits(to: &Path, count: u32) -> rusqlite::Result<Duration> {
    let target = Connection::open(to)?;
    target.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE counter (no INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT INTO counter VALUES (1, 0);",
    )?;
    let mut change = target.prepare("UPDATE counter SET value = value + 1 WHERE no = 1")?;
    let begun = Instant::now();
    for _ in 0..count {
        change.execute([])?;
    }
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_all_tasks_are_inserted_with_their_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let source = Connection::open(&from).unwrap();
        source
            .execute_batch(
                "CREATE TABLE task (no INTEGER PRIMARY KEY, job INTEGER) STRICT;
                 CREATE INDEX task_of_job ON task (job);
                 CREATE TABLE task_detail (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
                 INSERT INTO task SELECT i, i % 3 FROM n;
                 INSERT INTO task_detail SELECT no, 'task ' || no FROM task;",
            )
            .unwrap();
        let done = copy(&from, &to, 100_000).unwrap();
        assert_eq!((done.tasks, done.commits), (25_000, 3));
        let target = Connection::open(&to).unwrap();
        let count = |sql: &str| target.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM task INDEXED BY task_of_job WHERE job = 1"), 8_334);
        assert_eq!(count("SELECT no FROM task_detail WHERE id = 'task 25000'"), 25_000);
        let done = copy(&from, &folder.path().join("newest"), 7).unwrap();
        assert_eq!((done.tasks, done.commits), (7, 1));
    }

    #[test]
    fn every_change_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        commits(&to, 5).unwrap();
        let target = Connection::open(&to).unwrap();
        let value: i64 =
            target.query_row("SELECT value FROM counter", [], |row| row.get(0)).unwrap();
        assert_eq!(value, 5);
    }
}
