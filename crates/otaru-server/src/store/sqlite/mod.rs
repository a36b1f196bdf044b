//! The embedded engine: SQLite with a write-ahead log, one writer connection and any number of readers.
//!
//! The log is copied back into the file beside the commits (`log.rs`), so that no reader pays for it and no commit waits
//! long.

mod account;
mod apply;
mod beside;
mod conn;
mod device;
mod file;
mod fleet;
mod group;
mod job;
mod known;
mod log;
mod module;
mod nonce;
mod package;
mod product;
mod retained;
mod row;
mod schema;
mod session;
mod shadow;
mod subscription;
mod tag;
mod task;
#[cfg(test)]
mod tests;
mod topic_class;
mod topology;
mod transfer;
mod tx;
mod upload;

use super::{Engine, Reader, Result, Rows, StoreError, View};
use crate::planted::{self, Bug};
use crate::random::Random;
pub use conn::Conn;
use log::Log;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
pub(super) use schema::newest as newest_layout;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
#[cfg(test)]
pub(super) use tests::columns;
pub(super) use tx::Tx;

/// Before 3.51.3 two connections that checkpoint and write at once can damage the file (SQLite's document on the
/// write-ahead log, "the WAL-reset bug").
const OLDEST_VERSION: i32 = 3_051_003;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// The writer's connection.
pub struct SqliteEngine {
    conn: Connection,
    random: Random,
    /// Where readers open the file; `None` when they may not.
    readable: Option<String>,
    log: Log,
}

impl SqliteEngine {
    /// Opens the database at `path`, and makes it when there is none.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when the file can't be opened, is no database, or is of a newer version.
    pub fn open(path: &Path, random: Random) -> Result<Self> {
        let path = path.to_str().ok_or_else(|| {
            StoreError::Engine(format!("the path of the database is not UTF-8: {}", path.display()))
        })?;
        Self::open_with(path, None, random)
    }

    /// Opens the database in the file system `vfs`, registered with SQLite before; that one is used by a single
    /// connection and needs no shared memory.
    ///
    /// # Errors
    /// As [`SqliteEngine::open`].
    pub fn open_with(path: &str, vfs: Option<&str>, random: Random) -> Result<Self> {
        if rusqlite::version_number() < OLDEST_VERSION {
            let version = rusqlite::version();
            return Err(StoreError::Engine(format!(
                "SQLite {version} is older than 3.51.3 and can damage files"
            )));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match vfs {
            None => Connection::open_with_flags(path, flags)?,
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        };
        keep_plans(&conn)?;
        if vfs.is_some() {
            conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        }
        conn.execute_batch("PRAGMA busy_timeout = 10000")?;
        let journal: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if journal != "wal" {
            return Err(StoreError::Engine(format!(
                "the database can't keep a write-ahead log but only {journal}"
            )));
        }
        conn.execute_batch(
            // EXTRA is FULL for a write-ahead log, and keeps its word without one too.
            "PRAGMA synchronous = EXTRA;
             PRAGMA foreign_keys = OFF;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -65536;
             PRAGMA mmap_size = 0;
             PRAGMA temp_store = MEMORY;",
        )?;
        if planted::is(Bug::NoSync) {
            conn.execute_batch("PRAGMA synchronous = OFF")?;
        }
        conn.set_prepared_statement_cache_capacity(256);
        schema::migrate(&conn)?;
        // A disk without room can turn the switch to it down after it was answered.
        let logged: i64 = conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
        if logged < 0 {
            return Err(StoreError::Engine("the database keeps no write-ahead log yet".into()));
        }
        let readable = vfs.is_none().then(|| path.to_owned());
        let log = Log::new(readable.clone());
        Ok(Self { conn, random, readable, log })
    }

    /// Copies the log back once `round_pages` of it are not in the file yet, and empties it above `cap_pages`.
    pub fn limit_log(&mut self, round_pages: i64, cap_pages: i64) {
        self.log.limit(round_pages, cap_pages);
    }

    /// Runs `work` on the rows as they are, in one transaction that is kept when it succeeds.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError::Engine`] when the file can't be written.
    pub fn in_bulk<T>(&mut self, work: impl FnOnce(Conn<'_>) -> Result<T>) -> Result<T> {
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let value = work(Conn::Sqlite(&transaction))?;
        transaction.commit()?;
        self.log.tend(&self.conn)?;
        Ok(value)
    }
}

impl Engine for SqliteEngine {
    fn transact(&mut self, work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>) -> Result<()> {
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let mut tx = Tx::new(Conn::Sqlite(&transaction), &self.random);
        work(&mut tx)?;
        tx.flush_counts()?;
        drop(tx);
        let committed = transaction.commit();
        if !planted::is(Bug::FailedCommitIsDone) {
            committed?;
        }
        if let Err(error) = self.log.tend(&self.conn) {
            // The commit stands; the log grows until this works again.
            tracing::warn!(%error, "the log of the database was not copied: {error}");
        }
        Ok(())
    }

    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        look(&self.conn, &self.random, work)
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        let Some(path) = &self.readable else { return Ok(None) };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        keep_plans(&conn)?;
        conn.execute_batch(
            "PRAGMA busy_timeout = 10000;
             PRAGMA query_only = ON;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -16384;
             PRAGMA mmap_size = 0;
             PRAGMA temp_store = MEMORY;",
        )?;
        conn.set_prepared_statement_cache_capacity(256);
        Ok(Some(Box::new(SqliteReader {
            conn,
            random: self.random.clone(),
            gate: self.log.gate(),
        })))
    }
}

struct SqliteReader {
    conn: Connection,
    random: Random,
    gate: Arc<RwLock<()>>,
}

impl Reader for SqliteReader {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        let _open = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        look(&self.conn, &self.random, work)
    }
}

/// Lets a prepared statement keep its plan. Otherwise SQLite parses and plans it again whenever a parameter changes
/// that the planner looked at, such as a LIMIT or one beside a partial index: that cost a fifth of all time.
fn keep_plans(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn look(
    conn: &Connection,
    random: &Random,
    work: &mut dyn FnMut(&mut dyn View) -> Result<()>,
) -> Result<()> {
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let outcome = work(&mut Tx::new(Conn::Sqlite(&transaction), random));
    drop(transaction);
    outcome
}
