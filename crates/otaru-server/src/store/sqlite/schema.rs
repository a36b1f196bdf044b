//! Brings a database file to the layout that this version knows.

use super::super::{Result, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Step `n` (from 0) leads from layout `n` to `n + 1`. Released steps never change.
const STEPS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
    include_str!("migrations/0016.sql"),
];

/// The layout that this version knows.
pub fn newest() -> i64 {
    i64::try_from(STEPS.len()).expect("few steps")
}

/// Runs the steps that the file has not seen, each in a transaction with its number.
///
/// # Errors
/// When the file was written by a newer version, or a step fails.
pub fn migrate(conn: &Connection) -> Result<()> {
    migrate_to(conn, STEPS.len())
}

/// As [`migrate`], but to the layout `newest`.
pub(super) fn migrate_to(conn: &Connection, newest: usize) -> Result<()> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let seen = usize::try_from(version).unwrap_or(usize::MAX);
    if seen > newest {
        return Err(StoreError::Engine(format!(
            "the database has layout {version} and this version of otaru knows up to {newest}: run a newer version"
        )));
    }
    for (n, step) in STEPS.iter().enumerate().take(newest).skip(seen) {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", n + 1))?;
        transaction.commit()?;
    }
    Ok(())
}
