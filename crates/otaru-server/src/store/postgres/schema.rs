//! Brings a database to the layout that this version knows, and says who writes to it.
//!
//! Layouts have the numbers of SQLite's, so that rows move between the engines; a new database starts at [`FIRST`].

use super::super::{Result, StoreError};
use super::session::Session;
use rusqlite::params;
use rusqlite::types::Value;

/// The layout of the first step.
const FIRST: i64 = 15;

/// Step `n` leads to layout `FIRST + n`. Released steps never change.
pub const STEPS: &[&str] =
    &[include_str!("migrations/0015.sql"), include_str!("migrations/0016.sql")];

/// The oldest PostgreSQL that is tested: 14.
const OLDEST_VERSION: i64 = 140_000;

/// Refuses a server that can't keep what it is given.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_server(session: &Session) -> Result<()> {
    let rows = session.query(
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'), current_setting('fsync'),
             current_setting('full_page_writes'), current_setting('transaction_read_only')",
        &[],
    )?;
    let text = |at: usize| match rows.first().and_then(|row| row.get(at)) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let refused = |why: String| Err(StoreError::Engine(why));
    let version: i64 = text(0).parse().unwrap_or(0);
    if version < OLDEST_VERSION {
        return refused(format!("PostgreSQL {} is older than 14", version / 10_000));
    }
    if text(1) != "UTF8" {
        return refused(format!(
            "the encoding of the database is {}, not UTF8: make it with ENCODING 'UTF8' TEMPLATE template0",
            text(1)
        ));
    }
    if text(4) == "on" {
        return refused(
            "the server takes no writes: it is a standby, or read-only by its settings".into(),
        );
    }
    if text(2) == "off" || text(3) == "off" {
        tracing::warn!(
            "fsync or full_page_writes is off in PostgreSQL: what was acknowledged can be lost when its machine fails"
        );
    }
    Ok(())
}

/// Runs the steps that the database has not seen, in one transaction.
///
/// # Errors
/// When the database was written by a newer version, or a step fails.
pub fn migrate(session: &Session) -> Result<()> {
    let schema = session.schema();
    let exists = session
        .query("SELECT 1 FROM pg_namespace WHERE nspname = ?1", params![schema])
        .map(|rows| !rows.is_empty())?;
    if !exists {
        session.batch(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).map_err(|error| {
            StoreError::Engine(format!(
                "{error}: let the user make a schema by GRANT CREATE ON DATABASE, or be the owner of the database"
            ))
        })?;
    }
    session.batch(
        "BEGIN;
         CREATE TABLE IF NOT EXISTS engine (
             no     BIGINT PRIMARY KEY CHECK (no = 1),
             layout BIGINT NOT NULL, -- 0: nothing is there yet
             epoch  BIGINT NOT NULL, -- of the server that may write
             batch  BIGINT NOT NULL  -- the last one that it committed
         );
         INSERT INTO engine VALUES (1, 0, 0, 0) ON CONFLICT DO NOTHING;
         LOCK TABLE engine IN ACCESS EXCLUSIVE MODE",
    )?;
    let outcome = steps(session);
    session.end(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    outcome
}

fn steps(session: &Session) -> Result<()> {
    let rows = session.query("SELECT layout FROM engine WHERE no = 1", &[])?;
    let Some(Some(Value::Integer(layout))) = rows.first().map(|row| row.first()) else {
        return Err(StoreError::Engine("the table engine has no row".into()));
    };
    let newest = newest();
    if *layout > newest {
        return Err(StoreError::Engine(format!(
            "the database has layout {layout} and this version of otaru knows up to {newest}: run a newer version"
        )));
    }
    for (to, step) in (FIRST..).zip(STEPS).filter(|(to, _)| to > layout) {
        session.batch(step)?;
        session.execute("UPDATE engine SET layout = ?1 WHERE no = 1", params![to])?;
    }
    Ok(())
}

/// The layout that this version knows.
pub fn newest() -> i64 {
    FIRST + i64::try_from(STEPS.len()).expect("few steps") - 1
}
