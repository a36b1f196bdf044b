//! What a database holds and who works on it, seen without taking it from anybody.

use super::super::Result;
use super::session::Session;
use super::{SCHEMA, Target};
use rusqlite::params;
use rusqlite::types::Value;
use std::time::Duration;

/// How often, and after what time, is looked again for a connection that may just have been closed.
const LOOKS: (u32, Duration) = (10, Duration::from_millis(100));

/// Of a database: who works on it, and whether it holds rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The process of another connection of Otaru, and the address that it comes from as far as that may be known.
    pub at_work: Option<(i64, String)>,
    pub has_account: bool,
    /// Whether it knows the access key that was asked for.
    pub knows_key: bool,
}

impl Survey {
    /// Looks at a database. Waits for it: never call it on a thread of a runtime.
    ///
    /// # Errors
    /// A sentence when it can't be reached.
    pub fn of(target: Target, key: Option<&str>) -> Result<Self> {
        Self::of_schema(target, SCHEMA, key)
    }

    pub(super) fn of_schema(target: Target, schema: &str, key: Option<&str>) -> Result<Self> {
        let session = Session::new(target, schema, 0)?;
        session.connect()?;
        let any = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            session.query(sql, params).map(|rows| !rows.is_empty())
        };
        let has_tables = any("SELECT 1 WHERE to_regclass('access_key') IS NOT NULL", &[])?;
        Ok(Self {
            at_work: at_work(&session)?,
            has_account: has_tables && any("SELECT 1 FROM account LIMIT 1", &[])?,
            knows_key: has_tables && any("SELECT 1 FROM access_key WHERE id = ?1", params![key])?,
        })
    }
}

fn at_work(session: &Session) -> Result<Option<(i64, String)>> {
    let (looks, pause) = LOOKS;
    for look in 1..=looks {
        let rows = session.query(
            "SELECT pid, coalesce(host(client_addr), 'an address that is not shown') FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'otaru' AND pid <> pg_backend_pid()
             ORDER BY backend_start LIMIT 1",
            &[],
        )?;
        match rows.first().map(Vec::as_slice) {
            Some([Value::Integer(pid), Value::Text(address)]) if look == looks => {
                return Ok(Some((*pid, address.clone())));
            }
            Some(_) => std::thread::sleep(pause),
            None => return Ok(None),
        }
    }
    Ok(None)
}
