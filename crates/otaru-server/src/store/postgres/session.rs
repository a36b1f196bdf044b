//! One connection to PostgreSQL, used by one thread that may wait: each call comes back when the database has answered.
//!
//! The writer's also knows rows ([`Hot`]): within a batch, what it knows is not asked for, and what changes is written
//! together, at the latest with the COMMIT.

use super::super::{Result, StoreError};
use super::dialect::translated;
use super::fault::{DIVISION_BY_ZERO, Fault, fault, refusal, sentence};
use super::flush::{self, Write};
use super::hot::{Answer, Hot};
use super::names::Names;
use super::target::Target;
use super::value::{Param, values};
use futures_util::future::{join, join_all};
use otaru_core::hash::Map;
use rusqlite::types::Value;
use std::cell::{Cell, RefCell, RefMut};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

/// How a transaction begins.
#[derive(Debug, Clone, Copy)]
struct Begin {
    how: &'static str,
    /// The number of the batch and our epoch, when it writes.
    fence: Option<(i64, i64)>,
}

pub struct Session {
    runtime: Runtime,
    target: Target,
    schema: String,
    live: RefCell<Option<Live>>,
    fault: Cell<Option<Fault>>,
    /// A transaction that is to begin with the next statement.
    begin: Cell<Option<Begin>>,
    hot: RefCell<Hot>,
    /// Whether a batch is in work, which may use what is known.
    in_batch: Cell<bool>,
}

struct Live {
    client: Client,
    statements: Map<String, Arc<Prepared>>,
}

struct Prepared {
    /// Another number than any other statement of the connection has.
    id: u32,
    statement: Statement,
    names: Names,
}

/// Why a statement failed.
struct Failed {
    error: Error,
    /// It was the fence that did not hold.
    is_fence: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, is_fence: false }
    }
}

type Tried<T> = std::result::Result<T, Failed>;

impl Session {
    /// A session that is not connected yet, and knows rows of about so many bytes between batches.
    pub fn new(target: Target, schema: &str, known_bytes: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: runtime.map_err(|error| StoreError::Engine(error.to_string()))?,
            target,
            schema: schema.to_owned(),
            live: RefCell::default(),
            fault: Cell::default(),
            begin: Cell::default(),
            hot: RefCell::new(Hot::new(known_bytes)),
            in_batch: Cell::default(),
        })
    }

    pub fn another(&self) -> Result<Self> {
        Self::new(self.target.clone(), &self.schema, 0)
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn is_connected(&self) -> bool {
        self.live.borrow().as_ref().is_some_and(|live| !live.client.is_closed())
    }

    pub fn disconnect(&self) {
        self.forget();
        *self.live.borrow_mut() = None;
    }

    /// Knows nothing any more.
    pub fn forget(&self) {
        self.in_batch.set(false);
        self.hot.borrow_mut().clear();
    }

    pub fn is_in_batch(&self) -> bool {
        self.in_batch.get()
    }

    /// The rows that are known, in a batch of the writer.
    pub fn hot(&self) -> Option<RefMut<'_, Hot>> {
        self.in_batch.get().then(|| self.hot.borrow_mut())
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
        self.begin.set(Some(Begin { how, fence: None }));
    }

    /// The same for batch number `batch` of the server of an epoch. Until its end, what is known is used.
    pub fn begin_batch(&self, batch: i64, epoch: i64) {
        self.fault.set(None);
        self.begin.set(Some(Begin { how: "BEGIN", fence: Some((batch, epoch)) }));
        self.in_batch.set(true);
    }

    /// Writes what waits and commits, in one round trip.
    ///
    /// # Errors
    /// Those of the database. Unless the connection was lost, nothing is kept then.
    pub fn commit_batch(&self) -> Result<()> {
        if self.fault.get().is_some() {
            // Whoever made it went on all the same; the transaction is over.
            return Err(StoreError::Engine("a statement of the batch failed".into()));
        }
        let waiting = self.hot.borrow_mut().take_waiting();
        self.send(&flush::writes(&waiting), Some("COMMIT"))?;
        self.in_batch.set(false);
        self.hot.borrow_mut().settle();
        Ok(())
    }

    /// Writes what waits.
    pub fn flush(&self) -> Result<()> {
        let waiting = self.hot.borrow_mut().take_waiting();
        self.send(&flush::writes(&waiting), None)
    }

    /// Makes sure that a statement sees what was changed before it, and that nothing is known that it changes.
    fn make_way(&self, names: Names) -> Result<()> {
        let Some(mut hot) = self.hot() else { return Ok(()) };
        hot.forget(names.written);
        let must_write = hot.must_write_before(names);
        drop(hot);
        if must_write { self.flush() } else { Ok(()) }
    }

    /// Runs statements that return nothing and take nothing.
    pub fn batch(&self, sql: &str) -> Result<()> {
        self.with(|runtime, live| Ok(runtime.block_on(live.client.batch_execute(sql))?))
    }

    /// Opens a cursor on a query, within a transaction that knows nothing.
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

    pub fn query(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Answer> {
        let params = params.iter().map(|param| Param::of(*param)).collect::<Result<Vec<_>>>()?;
        let prepared = self.prepared(sql, false, &params)?;
        self.make_way(prepared.names)?;
        let question = (prepared.id, params);
        if let Some(answer) = self.hot().and_then(|mut hot| hot.result(&question)) {
            return Ok(answer);
        }
        let rows = self.ask(&prepared, &refs(&question.1))?;
        let answer = Arc::new(rows.iter().map(values).collect::<Result<_>>()?);
        if let Some(mut hot) = self.hot() {
            hot.learn_result(question, prepared.names, &answer);
        }
        Ok(answer)
    }

    /// A query of ours alone, as PostgreSQL reads it, of rows that nothing waits for.
    pub fn rows(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Vec<Value>>> {
        let prepared = self.with(|runtime, live| live.own(runtime, sql))?;
        self.make_way(prepared.names)?;
        self.ask(&prepared, params)?.iter().map(values).collect()
    }

    pub fn execute(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<usize> {
        let params = params.iter().map(|param| Param::of(*param)).collect::<Result<Vec<_>>>()?;
        let prepared = self.prepared(sql, false, &params)?;
        self.make_way(prepared.names)?;
        let begin = self.begin.take();
        let changed = self.with(|runtime, live| {
            let fence = live.fence(runtime, begin)?;
            let (client, params) = (&live.client, refs(&params));
            let statement = client.execute(&prepared.statement, &params);
            runtime.block_on(after(begin, fence, client, statement))
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Inserts a row and returns its number.
    pub fn insert(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<i64> {
        let params = params.iter().map(|param| Param::of(*param)).collect::<Result<Vec<_>>>()?;
        let prepared = self.prepared(sql, true, &params)?;
        self.make_way(prepared.names)?;
        let rows = self.ask(&prepared, &refs(&params))?;
        let no = rows.first().map(|row| row.try_get(0)).transpose();
        let no = no.map_err(|error| StoreError::Engine(error.to_string()))?;
        no.ok_or_else(|| StoreError::Engine(format!("nothing was inserted: {sql}")))
    }

    fn prepared(&self, sql: &str, numbered: bool, params: &[Param]) -> Result<Arc<Prepared>> {
        self.with(|runtime, live| live.statement(runtime, sql, numbered, params))
    }

    fn ask(&self, prepared: &Prepared, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let begin = self.begin.take();
        self.with(|runtime, live| {
            let fence = live.fence(runtime, begin)?;
            let statement = live.client.query(&prepared.statement, params);
            runtime.block_on(after(begin, fence, &live.client, statement))
        })
    }

    /// Sends writes of ours, and what ends the transaction, all at once.
    fn send(&self, writes: &[Write], end: Option<&'static str>) -> Result<()> {
        if writes.is_empty() && end.is_none() {
            return Ok(());
        }
        let begin = self.begin.take();
        self.with(|runtime, live| {
            let fence = live.fence(runtime, begin)?;
            let own = writes.iter().map(|write| live.own(runtime, write.sql));
            let prepared = own.collect::<Tried<Vec<_>>>()?;
            let params: Vec<Vec<_>> = writes.iter().map(Write::params).collect();
            let client = &live.client;
            let all = prepared.iter().zip(&params);
            let written = join_all(all.map(|(own, params)| client.execute(&own.statement, params)));
            let rest = async {
                let ended = async {
                    match end {
                        Some(end) => client.batch_execute(end).await,
                        None => Ok(()),
                    }
                };
                let (written, ended) = join(written, ended).await;
                // A COMMIT after a statement that failed has ended the transaction without an error of its own.
                written.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
                ended
            };
            runtime.block_on(after(begin, fence, client, rest))
        })
    }

    /// Notes what an error says of the transaction, and of the connection.
    fn with<T>(&self, work: impl FnOnce(&Runtime, &mut Live) -> Tried<T>) -> Result<T> {
        let mut live = self.live.borrow_mut();
        let Some(connected) = live.as_mut() else {
            self.fault.set(Some(Fault::Lost));
            return Err(StoreError::Unreachable("there is no connection".into()));
        };
        let Failed { error, is_fence } = match work(&self.runtime, connected) {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let fault = fault(&error, is_fence, &connected.client);
        if !is_fence && error.code().is_some_and(|code| code.code() == DIVISION_BY_ZERO) {
            // Only writes of ours divide.
            self.fault.set(Some(fault));
            return Err(StoreError::Engine("a row to change is not there".into()));
        }
        self.fault.set(Some(fault));
        if fault == Fault::Lost {
            *live = None;
            return Err(StoreError::Unreachable(sentence(&error)));
        }
        Err(StoreError::Engine(sentence(&error)))
    }
}

fn refs(params: &[Param]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// Sends BEGIN and the fence, when they are due, right before a statement, and waits for all together.
async fn after<T>(
    begin: Option<Begin>,
    fence: Option<Arc<Prepared>>,
    client: &Client,
    statement: impl Future<Output = std::result::Result<T, Error>>,
) -> Tried<T> {
    let Some(Begin { how, fence: numbers }) = begin else { return Ok(statement.await?) };
    let fenced = async {
        let (Some(fence), Some((batch, epoch))) = (fence, numbers) else { return Ok(()) };
        client.execute(&fence.statement, &[&batch, &epoch]).await.map(drop)
    };
    let rest = join(fenced, statement);
    let (started, (fenced, done)) = join(client.batch_execute(how), rest).await;
    started?;
    fenced.map_err(|error| Failed { error, is_fence: true })?;
    Ok(done?)
}

impl Live {
    /// A statement that both engines read.
    fn statement(
        &mut self,
        runtime: &Runtime,
        sql: &str,
        numbered: bool,
        params: &[Param],
    ) -> Tried<Arc<Prepared>> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(prepared.clone());
        }
        let mut text = translated(sql);
        if numbered {
            text += " RETURNING no";
        }
        let kinds: Vec<_> = params.iter().map(Param::kind).collect();
        let statement = runtime.block_on(self.client.prepare_typed(&text, &kinds))?;
        #[cfg(test)]
        super::tests::plan::assert_walks_indexes(runtime, &self.client, &text, &statement);
        Ok(self.keep(sql, statement))
    }

    /// A statement of ours, as PostgreSQL reads it.
    fn own(&mut self, runtime: &Runtime, sql: &str) -> Tried<Arc<Prepared>> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(prepared.clone());
        }
        let statement = runtime.block_on(self.client.prepare(sql))?;
        #[cfg(test)]
        super::tests::plan::assert_walks_indexes(runtime, &self.client, sql, &statement);
        Ok(self.keep(sql, statement))
    }

    fn fence(&mut self, runtime: &Runtime, begin: Option<Begin>) -> Tried<Option<Arc<Prepared>>> {
        let is_due = begin.is_some_and(|begin| begin.fence.is_some());
        is_due.then(|| self.own(runtime, flush::FENCE)).transpose()
    }

    fn keep(&mut self, sql: &str, statement: Statement) -> Arc<Prepared> {
        let id = u32::try_from(self.statements.len()).expect("few statements");
        let prepared = Arc::new(Prepared { id, statement, names: Names::of(sql) });
        self.statements.insert(sql.to_owned(), prepared.clone());
        prepared
    }
}
