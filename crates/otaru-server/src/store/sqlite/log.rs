//! Copying the write-ahead log back into the file.
//!
//! The log is copied in rounds, each when enough of it waits. A thread with a connection of its own copies, beside the
//! writer's commits; the writer then copies the little that came meanwhile, so that its next commit can begin the log
//! anew. Without that thread, in simulation, the writer copies all by itself.

use super::super::Result;
use rusqlite::{Connection, OpenFlags};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

/// Pages in the log that are not yet in the file before they are copied: 2 MiB of 4 KiB pages. The commits beside a round wait
/// for what it writes and syncs, so it is small.
const ROUND_PAGES: i64 = 512;
/// Pages that the writer copies by itself after a round, rather than to let the log grow on: 2 MiB.
const REST_PAGES: i64 = 512;
/// Pages in the log above which readers pause until it can be emptied: 256 MiB.
const CAP_PAGES: i64 = 65_536;

/// What is known of the log, and who copies it.
pub(super) struct Log {
    round_pages: i64,
    cap_pages: i64,
    /// Readers hold it shared while they look, the writer alone while it empties a log above its cap.
    gate: Arc<RwLock<()>>,
    /// Where the copier opens the file; `None`: there is no copier.
    path: Option<String>,
    copier: Option<Copier>,
}

struct Copier {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// A round has ended since the writer looked last.
    has_copied: Arc<AtomicBool>,
}

impl Log {
    pub fn new(path: Option<String>) -> Self {
        let (round_pages, cap_pages) = (ROUND_PAGES, CAP_PAGES);
        Self { round_pages, cap_pages, gate: Arc::default(), path, copier: None }
    }

    pub fn limit(&mut self, round_pages: i64, cap_pages: i64) {
        (self.round_pages, self.cap_pages) = (round_pages, cap_pages);
    }

    pub fn gate(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.gate)
    }

    /// Looks after the log; the writer calls it after each commit.
    pub fn tend(&mut self, writer: &Connection) -> Result<()> {
        let (pages, copied) = checkpoint(writer, "NOOP")?;
        let waiting = pages - copied;
        if waiting >= self.round_pages.min(self.cap_pages) {
            if pages < self.cap_pages && self.wake()? {
                return Ok(());
            }
            // Once all of it is copied and no reader needs it, the next commit starts at the log's beginning again.
            checkpoint(writer, "PASSIVE")?;
        } else if let Some(copier) = &self.copier
            && copier.has_copied.swap(false, Ordering::Relaxed)
            && waiting <= REST_PAGES
        {
            checkpoint(writer, "PASSIVE")?;
        }
        if pages >= self.cap_pages {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            checkpoint(writer, "TRUNCATE")?;
        }
        Ok(())
    }

    /// Waits until the copier has done what it was woken for.
    #[cfg(test)]
    pub fn rest(&mut self) {
        self.copier = None;
    }

    /// Has a round copied beside the writer; `false` when nobody can.
    fn wake(&mut self) -> Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        if self.copier.is_none() {
            self.copier = Some(Copier::start(path)?);
        }
        let wake = self.copier.as_ref().and_then(|copier| copier.wake.as_ref());
        // Full: it is at work, or about to be.
        Ok(wake
            .is_some_and(|wake| !matches!(wake.try_send(()), Err(TrySendError::Disconnected(())))))
    }
}

impl Copier {
    fn start(path: &str) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -64;
             PRAGMA mmap_size = 0;",
        )?;
        let (wake, woken) = sync_channel(1);
        let has_copied = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&has_copied);
        let run = move || {
            while woken.recv().is_ok() {
                match checkpoint(&conn, "PASSIVE") {
                    Ok(_) => told.store(true, Ordering::Relaxed),
                    // The log grows until this works again.
                    Err(error) => {
                        tracing::warn!(%error, "the log of the database was not copied: {error}");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("copier".into()).spawn(run);
        let thread = thread.map_err(|error| super::StoreError::Engine(error.to_string()))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), has_copied })
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Pages in the log, and how many of them are in the file too.
pub(super) fn checkpoint(conn: &Connection, mode: &str) -> Result<(i64, i64)> {
    let sql = match mode {
        "PASSIVE" => "PRAGMA wal_checkpoint(PASSIVE)",
        "TRUNCATE" => "PRAGMA wal_checkpoint(TRUNCATE)",
        _ => "PRAGMA wal_checkpoint(NOOP)",
    };
    Ok(conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?)
}
