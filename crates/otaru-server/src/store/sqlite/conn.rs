//! What a transaction speaks to: one of the engines. Statements are written once, in what both understand; values go in
//! and out as SQLite's.

use super::super::Result;
use super::super::postgres::Session;
use super::row::Cols;
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};

#[derive(Clone, Copy)]
pub enum Conn<'c> {
    Sqlite(&'c Connection),
    Postgres(&'c Session),
}

fn statement<'c>(conn: &'c Connection, sql: &str) -> Result<CachedStatement<'c>> {
    #[cfg(test)]
    super::tests::assert_walks_indexes(conn, sql);
    Ok(conn.prepare_cached(sql)?)
}

impl<'c> Conn<'c> {
    /// The connection, when it is one to PostgreSQL.
    pub fn postgres(self) -> Option<&'c Session> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(session) => Some(session),
        }
    }

    /// The connection of a batch that knows rows without asking.
    pub fn knowing(self) -> Option<&'c Session> {
        self.postgres().filter(|session| session.is_in_batch())
    }

    pub fn one<T>(
        self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl FnOnce(&mut Cols<'_, '_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        match self {
            Self::Sqlite(conn) => Ok(statement(conn, sql)?
                .query_row(params, |row| read(&mut Cols::new(row)))
                .optional()?),
            Self::Postgres(session) => {
                let rows = session.query(sql, params)?;
                Ok(rows.first().map(|row| read(&mut Cols::of_values(row))).transpose()?)
            }
        }
    }

    pub fn list<T>(
        self,
        sql: &str,
        params: &[&dyn ToSql],
        mut read: impl FnMut(&mut Cols<'_, '_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = statement(conn, sql)?;
                let rows = statement.query_map(params, |row| read(&mut Cols::new(row)))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            }
            Self::Postgres(session) => {
                let rows = session.query(sql, params)?;
                Ok(rows
                    .iter()
                    .map(|row| read(&mut Cols::of_values(row)))
                    .collect::<rusqlite::Result<_>>()?)
            }
        }
    }

    /// Rows that it changed.
    pub fn run(self, sql: &str, params: &[&dyn ToSql]) -> Result<usize> {
        match self {
            Self::Sqlite(conn) => Ok(statement(conn, sql)?.execute(params)?),
            Self::Postgres(session) => session.execute(sql, params),
        }
    }

    /// Inserts a row and returns its number.
    pub fn insert(self, sql: &str, params: &[&dyn ToSql]) -> Result<i64> {
        match self {
            Self::Sqlite(conn) => Ok(statement(conn, sql)?.insert(params)?),
            Self::Postgres(session) => session.insert(sql, params),
        }
    }
}
