//! The engine for deployments that outgrow one machine: PostgreSQL, one connection that writes and any number that read.
//!
//! A batch is one transaction. It begins by moving the number of the batch in the one row of `engine`, which only the
//! server of the newest epoch may do: so a second server can't write beside a first one, and after a connection was lost
//! during COMMIT the row tells whether the batch was kept.
//!
//! A round trip for each statement would cost more than what the statements do. So the writer keeps rows that it has seen
//! ([`Hot`]), fetches those of a batch at once, and writes what changed together with the COMMIT: a batch whose rows are
//! known is one round trip.

mod dialect;
mod fault;
mod flush;
mod hot;
mod names;
mod schema;
mod session;
mod survey;
mod target;
#[cfg(test)]
mod tests;
mod value;
mod waiting;

pub use flush::NEXT_NUMBERS;
pub use hot::Hot;
pub use session::Session;
pub use survey::Survey;
pub use target::{Target, Url};
pub use waiting::{ChangedVersion, Differs};

use super::sqlite::{Conn, Tx};
use super::{Engine, Reader, Result, Rows, StoreError, View};
use crate::clock::Stopwatch;
use crate::random::Random;
use fault::Fault;
use rusqlite::params;
use rusqlite::types::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The schema of our tables.
const SCHEMA: &str = "otaru";
/// How often a batch is run again because another transaction was in its way.
const TRIES: u32 = 5;
/// How long a batch whose COMMIT was not answered is asked for before its callers are told that it failed.
const OUTCOME_TIME: Duration = Duration::from_mins(1);
/// Time between two tries to connect: the first and the longest.
const RETRY_TIME: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The writer's connection.
pub struct PostgresEngine {
    session: Session,
    random: Random,
    epoch: i64,
    /// The last batch that was committed.
    batch: i64,
    /// Told when another server has taken the database.
    superseded: Arc<Notify>,
    is_superseded: bool,
    /// Since when no connection was made, and how long to wait before the next try.
    pause: Option<(Stopwatch, Duration)>,
}

/// What became of a batch.
enum Outcome {
    Committed,
    Failed(StoreError),
    /// Nothing of it is kept, and it may be run again.
    Again(StoreError),
    /// COMMIT was sent and not answered.
    Unknown,
}

impl PostgresEngine {
    /// Opens the database, makes its tables when there are none, and takes it from the server that wrote to it before.
    /// Rows of about `known_bytes` are known without asking.
    ///
    /// Waits for the database: never call it on a thread of a runtime.
    ///
    /// # Errors
    /// A sentence when the database can't be reached, is none for us, or is of a newer version.
    pub fn open(target: Target, random: Random, known_bytes: usize) -> Result<Self> {
        Self::open_in(target, SCHEMA, random, known_bytes)
    }

    /// The same, in a schema of another name.
    ///
    /// # Errors
    /// As [`PostgresEngine::open`].
    pub fn open_in(
        target: Target,
        schema: &str,
        random: Random,
        known_bytes: usize,
    ) -> Result<Self> {
        let session = Session::new(target, schema, known_bytes)?;
        session.connect()?;
        schema::check_server(&session)?;
        schema::migrate(&session)?;
        let taken = session.query(
            "UPDATE engine SET epoch = epoch + 1 WHERE no = 1 RETURNING epoch, batch",
            &[],
        )?;
        let Some([Value::Integer(epoch), Value::Integer(batch)]) = taken.first().map(Vec::as_slice)
        else {
            return Err(StoreError::Engine("the table engine has no row".into()));
        };
        let (epoch, batch) = (*epoch, *batch);
        Ok(Self {
            session,
            random,
            epoch,
            batch,
            superseded: Arc::default(),
            is_superseded: false,
            pause: None,
        })
    }

    /// Is told when another server has taken the database: this one can only stop.
    pub fn superseded(&self) -> Arc<Notify> {
        self.superseded.clone()
    }

    /// Makes sure of a connection, and that the database is still ours. Waits for a transaction of ours that is still
    /// in work on a connection that was lost.
    fn connected(&mut self) -> Result<()> {
        if self.is_superseded {
            return Err(taken_over());
        }
        if self.session.is_connected() {
            return Ok(());
        }
        if let Some((since, pause)) = self.pause
            && since.elapsed() < pause
        {
            return Err(StoreError::Unreachable("PostgreSQL can't be reached".into()));
        }
        if let Err(error) = self.take_again() {
            let (first, longest) = RETRY_TIME;
            let pause = self.pause.map_or(first, |(_, pause)| (pause * 2).min(longest));
            if self.pause.is_none() {
                tracing::error!(%error, "the store can't be reached: {error}");
            }
            self.pause = Some((Stopwatch::start(), pause));
            return Err(error);
        }
        if self.pause.take().is_some() {
            tracing::info!("the store is reached again");
        }
        Ok(())
    }

    fn take_again(&mut self) -> Result<()> {
        self.session.connect()?;
        let taken = self.session.query(
            "UPDATE engine SET epoch = epoch + 1 WHERE no = 1 AND epoch = ?1 RETURNING epoch, batch",
            params![self.epoch],
        );
        let taken = match taken {
            Ok(rows) => rows,
            Err(error) => {
                self.session.disconnect();
                return Err(error);
            }
        };
        let Some([Value::Integer(epoch), Value::Integer(batch)]) = taken.first().map(Vec::as_slice)
        else {
            return Err(self.lose());
        };
        (self.epoch, self.batch) = (*epoch, *batch);
        Ok(())
    }

    /// Another server writes to the database now.
    fn lose(&mut self) -> StoreError {
        self.session.disconnect();
        self.is_superseded = true;
        self.superseded.notify_one();
        taken_over()
    }

    fn attempt(&mut self, work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>) -> Outcome {
        let outcome = self.batch(work);
        if !matches!(outcome, Outcome::Committed) {
            self.session.forget();
        }
        outcome
    }

    fn batch(&mut self, work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>) -> Outcome {
        self.session.begin_batch(self.batch + 1, self.epoch);
        let mut tx = Tx::new(Conn::Postgres(&self.session), &self.random);
        if let Err(error) = work(&mut tx).and_then(|()| tx.flush_counts()) {
            return self.failed(error, Outcome::Again);
        }
        match self.session.commit_batch() {
            Ok(()) => {
                self.batch += 1;
                Outcome::Committed
            }
            Err(error) => self.failed(error, |_| Outcome::Unknown),
        }
    }

    /// Runs `work` on the rows as they are, in one transaction that is kept when it succeeds; it is never run again.
    ///
    /// # Errors
    /// Those of `work`, and those of the database.
    pub fn in_bulk<T>(&mut self, work: impl FnOnce(Conn<'_>) -> Result<T>) -> Result<T> {
        self.connected()?;
        self.session.forget();
        self.session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        let outcome = self
            .session
            .execute(
                "UPDATE engine SET batch = ?1 WHERE no = 1 AND epoch = ?2",
                params![self.batch + 1, self.epoch],
            )
            .and_then(|fenced| if fenced == 1 { Ok(()) } else { Err(taken_over()) })
            .and_then(|()| work(Conn::Postgres(&self.session)));
        if outcome.is_err() {
            self.roll_back();
            return outcome;
        }
        self.session.batch("COMMIT")?;
        self.batch += 1;
        outcome
    }

    /// What became of a batch by an error of it; `when_lost`: and by the end of its connection.
    fn failed(&mut self, error: StoreError, when_lost: fn(StoreError) -> Outcome) -> Outcome {
        let fault = self.session.take_fault();
        if fault == Some(Fault::Lost) {
            return when_lost(error);
        }
        self.roll_back();
        match fault {
            Some(Fault::InTheWay) => Outcome::Again(error),
            Some(Fault::Superseded) => Outcome::Failed(self.lose()),
            Some(Fault::Failed | Fault::Lost) | None => Outcome::Failed(error),
        }
    }

    fn roll_back(&self) {
        if self.session.end("ROLLBACK").is_err() {
            self.session.disconnect();
        }
    }

    /// Asks whether the batch after the last known one was committed, until the database answers.
    fn outcome(&mut self) -> Result<bool> {
        let (expected, since) = (self.batch + 1, Stopwatch::start());
        loop {
            match self.connected() {
                Ok(()) => return Ok(self.batch == expected),
                Err(error) if self.is_superseded || since.elapsed() > OUTCOME_TIME => {
                    return Err(error);
                }
                Err(_) => std::thread::sleep(RETRY_TIME.0),
            }
        }
    }
}

fn taken_over() -> StoreError {
    StoreError::Engine("another server has taken the database: this one must stop".into())
}

impl Engine for PostgresEngine {
    fn transact(&mut self, work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>) -> Result<()> {
        let mut tries = 0;
        loop {
            self.connected()?;
            let error = match self.attempt(work) {
                Outcome::Committed => return Ok(()),
                Outcome::Failed(error) => return Err(error),
                Outcome::Again(error) => error,
                Outcome::Unknown => {
                    if self.outcome()? {
                        return Ok(());
                    }
                    StoreError::Unreachable("the connection was lost".into())
                }
            };
            tries += 1;
            if tries == TRIES {
                return Err(error);
            }
            tracing::debug!(%error, "a batch is run again: {error}");
        }
    }

    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        self.connected()?;
        look(&self.session, &self.random, work)
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        let session = self.session.another()?;
        session.connect()?;
        Ok(Some(Box::new(PostgresReader { session, random: self.random.clone() })))
    }
}

struct PostgresReader {
    session: Session,
    random: Random,
}

impl Reader for PostgresReader {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        if self.session.is_connected() {
            let outcome = look(&self.session, &self.random, work);
            // A connection that broke while nobody used it is found out by its first use.
            if !matches!(outcome, Err(StoreError::Unreachable(_))) {
                return outcome;
            }
        }
        self.session.connect()?;
        look(&self.session, &self.random, work)
    }
}

fn look(
    session: &Session,
    random: &Random,
    work: &mut dyn FnMut(&mut dyn View) -> Result<()>,
) -> Result<()> {
    session.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    let outcome = work(&mut Tx::new(Conn::Postgres(session), random));
    if session.end("ROLLBACK").is_err() {
        session.disconnect();
    }
    outcome
}
