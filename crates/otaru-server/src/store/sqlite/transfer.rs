//! What moving all rows needs of an engine beside its statements.

use super::super::{Result, StoreError};
use super::conn::Conn;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

/// Rows that are fetched at once.
const FETCHED: u32 = 2_000;

impl Conn<'_> {
    /// Every row of a query, one after the other, however many they are. `name` tells it from others of the transaction.
    pub fn each(
        self,
        name: &str,
        sql: &str,
        each: &mut dyn FnMut(&[Value]) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare(sql)?;
                let columns = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let row =
                        (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<_>>>()?;
                    each(&row)?;
                }
                Ok(())
            }
            Self::Postgres(session) => {
                let cursor = format!("rows_of_{name}_{}", sql.len());
                session.declare(&cursor, sql)?;
                loop {
                    let rows = session.query(&format!("FETCH {FETCHED} FROM {cursor}"), &[])?;
                    if rows.is_empty() {
                        return session.batch(&format!("CLOSE {cursor}"));
                    }
                    rows.iter().try_for_each(|row| each(row))?;
                }
            }
        }
    }

    /// Columns of a table that are kept, by name.
    pub fn columns(self, table: &str) -> Result<Vec<String>> {
        let sql = match self {
            Self::Sqlite(_) => {
                format!("SELECT name FROM pragma_table_xinfo('{table}') WHERE hidden = 0 ORDER BY name")
            }
            Self::Postgres(session) => format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_schema = '{}'
                 AND table_name = '{table}' AND is_generated = 'NEVER' ORDER BY column_name::text COLLATE \"C\"",
                session.schema()
            ),
        };
        let mut columns = Vec::new();
        self.each(table, &sql, &mut |row| match row {
            [Value::Text(name)] => {
                columns.push(name.clone());
                Ok(())
            }
            _ => Err(StoreError::Engine(format!("a column of {table} has no name"))),
        })?;
        Ok(columns)
    }

    /// The highest number that a table ever gave, as far as that is known.
    pub fn last_number(self, table: &str) -> Result<i64> {
        match self {
            Self::Sqlite(conn) => {
                let highest = format!("SELECT coalesce(max(no), 0) FROM {table}");
                let highest: i64 = conn.query_row(&highest, [], |row| row.get(0))?;
                Ok(given(conn, table)?.unwrap_or(0).max(highest))
            }
            Self::Postgres(session) => {
                let sql = format!(
                    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_no_seq"
                );
                match session.query(&sql, &[])?.first().map(Vec::as_slice) {
                    Some([Value::Integer(last)]) => Ok(*last),
                    _ => Err(StoreError::Engine(format!("table {table} has no numbers"))),
                }
            }
        }
    }

    /// Lets a table go on above `last`. SQLite keeps that only of tables that never give a number twice.
    pub fn set_last_number(self, table: &str, last: i64) -> Result<()> {
        match self {
            Self::Sqlite(conn) => {
                let never_twice: bool = conn.query_row(
                    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND sql LIKE '%AUTOINCREMENT%')",
                    [table],
                    |row| row.get(0),
                )?;
                if never_twice {
                    conn.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
                    conn.execute(
                        "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
                        params![table, last],
                    )?;
                }
                Ok(())
            }
            Self::Postgres(session) => {
                session.query(&format!("SELECT setval('{table}_no_seq', ?1)"), params![last])?;
                Ok(())
            }
        }
    }

    /// Writes rows by a statement of its own.
    pub fn put(self, sql: &str, params: &[&dyn ToSql]) -> Result<()> {
        match self {
            Self::Sqlite(conn) => drop(conn.prepare_cached(sql)?.execute(params)?),
            Self::Postgres(session) => drop(session.execute(sql, params)?),
        }
        Ok(())
    }
}

fn given(conn: &Connection, table: &str) -> Result<Option<i64>> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    Ok(conn.query_row(sql, [table], |row| row.get(0)).optional()?)
}
