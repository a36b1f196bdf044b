//! Forgetting what nobody can use any more, so that a server that runs for years does not grow by it.

use super::{App, Result};
use otaru_core::time::{DAY_MS, HOUR_MS};

/// Nonces and tickets that one change forgets at most.
const BATCH: u32 = 10_000;
/// A ticket is good for a minute and its file for an hour; later nothing can name it.
const TICKET_MS: i64 = 2 * HOUR_MS;
/// For so long a temporary key is told that it has ended; later nobody knows it.
const KEY_MS: i64 = DAY_MS;
/// What became of a batch of devices can be asked for so long.
const BATCH_MS: i64 = 30 * DAY_MS;

impl App {
    /// Forgets temporary keys and nonces that have expired, tickets that can no longer be used and old batches of
    /// devices, some of each, and the sessions and messages whose time is over.
    pub async fn forget_expired(&self) -> Result<()> {
        self.change(|rows, now, _| {
            // The tickets' files are found by looking at the files: those of deleted packages are meant too.
            rows.purge_temporary_keys(now.plus_ms(-KEY_MS), BATCH)?;
            rows.purge(now, now.plus_ms(-TICKET_MS), BATCH)?;
            rows.purge_applies(now.plus_ms(-BATCH_MS), BATCH)?;
            Ok(())
        })
        .await?;
        self.forget_sessions().await
    }

    /// Which of these contents no package or ticket needs.
    pub async fn unused_blobs(&self, sha256: Vec<String>) -> Result<Vec<String>> {
        self.view(move |view| {
            let mut unused = Vec::new();
            for digest in &sha256 {
                if !view.blob_is_used(digest)? {
                    unused.push(digest.clone());
                }
            }
            Ok(unused)
        })
        .await
    }
}
