//! One connection to PostgreSQL, used by one thread that may wait: each call comes back when the database has answered.

use super::super::{Result, StoreError};
use super::dialect::translated;
use super::target::Target;
use super::value::{Param, values};
use futures_util::future;
use otaru_core::hash::Map;
use rusqlite::types::Value;
use std::cell::{Cell, RefCell};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

/// What a failed statement says of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is over; nothing else is known.
    Failed,
    /// Another transaction was in its way: it may succeed when it is run again.
    InTheWay,
    /// The connection is gone.
    Lost,
}

pub struct Session {
    runtime: Runtime,
    target: Target,
    schema: String,
    live: RefCell<Option<Live>>,
    fault: Cell<Option<Fault>>,
    /// A transaction that is to begin with the next statement.
    begin: Cell<Option<&'static str>>,
}

struct Live {
    client: Client,
    statements: Map<String, Statement>,
}

impl Session {
    /// A session that is not connected yet.
    pub fn new(target: Target, schema: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: runtime.map_err(|error| StoreError::Engine(error.to_string()))?,
            target,
            schema: schema.to_owned(),
            live: RefCell::default(),
            fault: Cell::default(),
            begin: Cell::default(),
        })
    }

    pub fn another(&self) -> Result<Self> {
        Self::new(self.target.clone(), &self.schema)
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn is_connected(&self) -> bool {
        self.live.borrow().as_ref().is_some_and(|live| !live.client.is_closed())
    }

    pub fn disconnect(&self) {
        *self.live.borrow_mut() = None;
    }

    /// Connects anew.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when nobody answers there, [`StoreError::Engine`] when the database is none for us.
    pub fn connect(&self) -> Result<()> {
        self.disconnect();
        self.begin.set(None);
        let failed = |error: Error| refusal(&self.target, &error);
        let connecting = self.target.config.connect(self.target.tls.clone());
        let (client, connection) = self.runtime.block_on(connecting).map_err(failed)?;
        // It is driven by whoever waits for an answer.
        self.runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended: {error}");
            }
        });
        let set = format!(
            "SET search_path = \"{}\"; SET jit = off; SET enable_seqscan = off; SET random_page_cost = 1.1;
             SET idle_in_transaction_session_timeout = '60s';
             SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')",
            self.schema
        );
        self.runtime.block_on(client.batch_execute(&set)).map_err(failed)?;
        *self.live.borrow_mut() = Some(Live { client, statements: Map::default() });
        Ok(())
    }

    /// What the last statement that failed says of its transaction; asked once.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.take()
    }

    /// Begins a transaction, on the way of its first statement.
    pub fn begin(&self, how: &'static str) {
        self.fault.set(None);
        self.begin.set(Some(how));
    }

    /// Runs statements that return nothing and take nothing.
    pub fn batch(&self, sql: &str) -> Result<()> {
        self.with(|runtime, live| runtime.block_on(live.client.batch_execute(sql)))
    }

    /// Opens a cursor on a query, within a transaction.
    pub fn declare(&self, cursor: &str, sql: &str) -> Result<()> {
        self.batch(&format!("DECLARE {cursor} NO SCROLL CURSOR FOR {}", translated(sql)))
    }

    /// Ends the transaction, if it has begun.
    pub fn end(&self, how: &str) -> Result<()> {
        if self.begin.take().is_some() {
            return Ok(());
        }
        self.batch(how)
    }

    pub fn query(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Vec<Value>>> {
        let rows = self.ask(sql, false, params)?;
        rows.iter().map(values).collect()
    }

    pub fn execute(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<usize> {
        let params = params.iter().map(|param| Param::of(*param)).collect::<Result<Vec<_>>>()?;
        let begin = self.begin.take();
        let changed = self.with(|runtime, live| {
            let statement = live.statement(runtime, sql, false, &params)?;
            let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
            runtime.block_on(after(begin, &live.client, live.client.execute(&statement, &params)))
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Inserts a row and returns its number.
    pub fn insert(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<i64> {
        let rows = self.ask(sql, true, params)?;
        let no = rows.first().map(|row| row.try_get(0)).transpose();
        let no = no.map_err(|error| StoreError::Engine(error.to_string()))?;
        no.ok_or_else(|| StoreError::Engine(format!("nothing was inserted: {sql}")))
    }

    fn ask(&self, sql: &str, numbered: bool, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Row>> {
        let params = params.iter().map(|param| Param::of(*param)).collect::<Result<Vec<_>>>()?;
        let begin = self.begin.take();
        self.with(|runtime, live| {
            let statement = live.statement(runtime, sql, numbered, &params)?;
            let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
            runtime.block_on(after(begin, &live.client, live.client.query(&statement, &params)))
        })
    }

    /// Notes what an error says of the transaction, and of the connection.
    fn with<T>(
        &self,
        work: impl FnOnce(&Runtime, &mut Live) -> std::result::Result<T, Error>,
    ) -> Result<T> {
        let mut live = self.live.borrow_mut();
        let Some(connected) = live.as_mut() else {
            self.fault.set(Some(Fault::Lost));
            return Err(StoreError::Unreachable("there is no connection".into()));
        };
        let error = match work(&self.runtime, connected) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let fault = fault(&error, &connected.client);
        self.fault.set(Some(fault));
        if fault == Fault::Lost {
            *live = None;
            return Err(StoreError::Unreachable(sentence(&error)));
        }
        Err(StoreError::Engine(sentence(&error)))
    }
}

/// Sends BEGIN, when one is due, right before a statement, and waits for both together.
async fn after<T>(
    begin: Option<&'static str>,
    client: &Client,
    statement: impl Future<Output = std::result::Result<T, Error>>,
) -> std::result::Result<T, Error> {
    match begin {
        None => statement.await,
        Some(begin) => {
            let (started, done) = future::join(client.batch_execute(begin), statement).await;
            started?;
            done
        }
    }
}

impl Live {
    fn statement(
        &mut self,
        runtime: &Runtime,
        sql: &str,
        numbered: bool,
        params: &[Param],
    ) -> std::result::Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let mut text = translated(sql);
        if numbered {
            text += " RETURNING no";
        }
        let kinds: Vec<_> = params.iter().map(Param::kind).collect();
        let statement = runtime.block_on(self.client.prepare_typed(&text, &kinds))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn fault(error: &Error, client: &Client) -> Fault {
    let Some(code) = error.code() else {
        let io = std::error::Error::source(error)
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if io || error.is_closed() || client.is_closed() {
            Fault::Lost
        } else {
            Fault::Failed
        };
    };
    match code.code() {
        "40001" | "40P01" => Fault::InTheWay,
        // Class 08: the connection; 57P01 to 57P05: the server ends, crashed, starts, or ended what was idle; 25P03: a
        // transaction that stood still for too long.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Fault::Lost,
        code if code.starts_with("08") => Fault::Lost,
        _ => Fault::Failed,
    }
}

/// An error with its cause and code.
pub fn sentence(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} (SQLSTATE {})", told.message(), told.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Why a connection was not made, and what to do.
fn refusal(target: &Target, error: &Error) -> StoreError {
    let told = sentence(error);
    let what_to_do = match error.code().map(SqlState::code) {
        Some("28P01" | "28000") => {
            "check the user and the password of the URL or of PGPASSWORD, and pg_hba.conf"
        }
        Some("3D000") => {
            "make the database: CREATE DATABASE name OWNER user ENCODING 'UTF8' TEMPLATE template0"
        }
        Some(_) => return StoreError::Unreachable(format!("{target} refuses: {told}")),
        None if told.contains("password missing") => {
            "the server asks for a password: put one into the URL or into PGPASSWORD"
        }
        None if told.contains("TLS") || told.contains("SSL") || told.contains("ssl") => {
            "check sslmode and sslrootcert"
        }
        None => {
            return StoreError::Unreachable(format!("{target} can't be reached: {told}"));
        }
    };
    StoreError::Engine(format!("{target} refuses: {told}; {what_to_do}"))
}
