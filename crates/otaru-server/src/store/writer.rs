//! Group commit: what waits becomes one transaction, and is answered after its commit.

use super::{Engine, Reader, Result, Rows, StoreError, View};
use otaru_core::id::DeviceNo;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Changes that wait at most; then callers are told [`StoreError::Busy`] or wait, as they choose.
const QUEUE: usize = 16_384;
/// Reads on one snapshot at most, beside the first.
const SHARED_READS: usize = 32;
/// Changes in one transaction at most.
const BATCH: usize = 10_000;

/// Whom a change is about, so that its rows can be fetched with those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub device: DeviceNo,
    /// Not only its unfinished tasks: its own row and its versions too.
    pub whole: bool,
}

/// A change that waits: it can run more than once, and is finished exactly once.
trait Change: Send {
    fn about(&self) -> Option<About>;
    fn run(&mut self, rows: &mut dyn Rows) -> Result<()>;
    fn finish(self: Box<Self>, outcome: Result<()>);
}

struct Call<F, T, G, U> {
    about: Option<About>,
    work: F,
    value: Option<T>,
    then: G,
    reply: oneshot::Sender<Result<U>>,
}

impl<F, T, G, U> Change for Call<F, T, G, U>
where
    F: FnMut(&mut dyn Rows) -> Result<T> + Send,
    T: Send,
    G: FnOnce(T) -> U + Send,
    U: Send,
{
    fn about(&self) -> Option<About> {
        self.about
    }

    fn run(&mut self, rows: &mut dyn Rows) -> Result<()> {
        self.value = Some((self.work)(rows)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let Self { value, then, reply, .. } = *self;
        let value = outcome.map(|()| then(value.expect("a change that committed has run")));
        // The caller may have gone; the change stands all the same.
        let _ = reply.send(value);
    }
}

enum Work {
    Change(Box<dyn Change>),
    View(Box<dyn Look>),
}

/// A read that waits: it can run more than once, and is finished exactly once.
trait Look: Send {
    fn run(&mut self, view: &mut dyn View) -> Result<()>;
    fn finish(self: Box<Self>, outcome: Result<()>);
}

struct Read<F, T> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Look for Read<F, T>
where
    F: FnMut(&mut dyn View) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, view: &mut dyn View) -> Result<()> {
        self.value = Some((self.work)(view)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let Self { value, reply, .. } = *self;
        let _ = reply.send(outcome.map(|()| value.expect("a read that succeeded has run")));
    }
}

/// The way to the store. Clones lead to the same one.
#[derive(Clone)]
pub struct Store {
    changes: mpsc::Sender<Work>,
    reads: Option<Arc<crossbeam_channel::Sender<Box<dyn Look>>>>,
}

/// What ends with the store: its threads, or its task.
pub struct StoreHandle {
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl StoreHandle {
    /// Waits until everything that was queued is committed. All clones of the [`Store`] must be dropped before.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Sees whether changes wait, for one that could do less.
#[derive(Clone)]
pub struct Waiting(mpsc::Sender<Work>);

impl Waiting {
    /// Whether a change was queued since the running one's batch was taken.
    pub fn any(&self) -> bool {
        self.0.capacity() < self.0.max_capacity()
    }
}

impl Store {
    /// Who waits while a change runs.
    pub fn waiting(&self) -> Waiting {
        Waiting(self.changes.clone())
    }

    /// Runs the engine on threads of its own: one writer and `readers` readers.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when a reader cannot be opened or a thread cannot be started.
    pub fn threaded(engine: impl Engine, readers: usize) -> Result<(Self, StoreHandle)> {
        let failed = |error: std::io::Error| StoreError::Engine(error.to_string());
        let mut threads = Vec::new();
        let (reads_in, reads_out) = crossbeam_channel::bounded::<Box<dyn Look>>(QUEUE);
        for n in 0..readers {
            let Some(mut reader) = engine.reader()? else { break };
            let reads_out = reads_out.clone();
            let run = move || serve_reads(&mut *reader, &reads_out, readers);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("reader-{n}"))
                    .spawn(run)
                    .map_err(failed)?,
            );
        }
        let reads = (!threads.is_empty()).then(|| Arc::new(reads_in));
        let (changes, mut waiting) = mpsc::channel(QUEUE);
        let mut engine = engine;
        let run = move || {
            while let Some(first) = waiting.blocking_recv() {
                run_batch(&mut engine, first, &mut waiting);
            }
        };
        threads.push(std::thread::Builder::new().name("writer".into()).spawn(run).map_err(failed)?);
        Ok((Self { changes, reads }, StoreHandle { threads }))
    }

    /// Runs the engine in the caller's runtime, as a task: for a node on simulated time. The future ends when all
    /// clones of the store are dropped; dropping it is a crash.
    pub fn inline(engine: impl Engine) -> (Self, impl Future<Output = ()>) {
        let (changes, mut waiting) = mpsc::channel(QUEUE);
        let mut engine = engine;
        let run = async move {
            while let Some(first) = waiting.recv().await {
                run_batch(&mut engine, first, &mut waiting);
            }
        };
        (Self { changes, reads: None }, run)
    }

    /// Queues a change, waiting for a place; the future it returns ends after the commit. Changes are decided in the
    /// order in which they were queued.
    pub async fn queue<T, F>(
        &self,
        work: F,
    ) -> Result<impl Future<Output = Result<T>> + Send + use<T, F>>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Rows) -> Result<T> + Send + 'static,
    {
        self.queue_then(work, |value| value).await
    }

    /// As [`Store::queue`], and after the commit, before the answer, runs `then`: even when the caller has gone by then,
    /// but not when the commit failed. It holds up every other change, so it may neither wait nor take long.
    pub async fn queue_then<T, U, F, G>(
        &self,
        work: F,
        then: G,
    ) -> Result<impl Future<Output = Result<U>> + Send + use<T, U, F, G>>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnMut(&mut dyn Rows) -> Result<T> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
    {
        self.queue_about(None, work, then).await
    }

    /// The same with a hint whom it is about.
    pub async fn queue_about<T, U, F, G>(
        &self,
        about: Option<About>,
        work: F,
        then: G,
    ) -> Result<impl Future<Output = Result<U>> + Send + use<T, U, F, G>>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnMut(&mut dyn Rows) -> Result<T> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
    {
        let (reply, done) = oneshot::channel();
        let call = Box::new(Call { about, work, value: None, then, reply });
        self.changes.send(Work::Change(call)).await.map_err(|_| StoreError::Busy)?;
        Ok(async move { done.await.unwrap_or(Err(StoreError::Busy)) })
    }

    /// Runs a change and waits for its commit.
    pub async fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Rows) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.queue(work).await?.await
    }

    /// Queues a change without waiting for its commit or for a place; it is dropped when there is none.
    pub fn change_lazily(
        &self,
        work: impl FnMut(&mut dyn Rows) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.change_lazily_then(work, |()| ())
    }

    /// The same, and runs `then` after the commit.
    pub fn change_lazily_then<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut dyn Rows) -> Result<T> + Send + 'static,
        then: impl FnOnce(T) + Send + 'static,
    ) -> Result<()> {
        let (reply, _) = oneshot::channel();
        let work = move |rows: &mut dyn Rows| work(rows);
        let call = Box::new(Call { about: None, work, value: None, then, reply });
        self.changes.try_send(Work::Change(call)).map_err(|_| StoreError::Busy)
    }

    /// Runs a read on a snapshot that holds at least everything that was committed before the call.
    pub async fn view<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, done) = oneshot::channel();
        let read: Box<dyn Look> = Box::new(Read { work, value: None, reply });
        match &self.reads {
            Some(reads) => reads.try_send(read).map_err(|_| StoreError::Busy)?,
            None => self.changes.send(Work::View(read)).await.map_err(|_| StoreError::Busy)?,
        }
        done.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// Serves reads, several on one snapshot when many wait: each reader takes its share.
fn serve_reads(
    reader: &mut dyn Reader,
    reads: &crossbeam_channel::Receiver<Box<dyn Look>>,
    readers: usize,
) {
    while let Ok(first) = reads.recv() {
        let share = (reads.len() / readers).min(SHARED_READS);
        if share == 0 {
            look(first, |work| reader.view(work));
            continue;
        }
        let mut waiting: VecDeque<_> = reads.try_iter().take(share).collect();
        waiting.push_front(first);
        // One that fails may spoil the snapshot for those after it.
        let _ = reader.view(&mut |view| {
            while let Some(mut read) = waiting.pop_front() {
                if let Err(error) = read.run(view) {
                    waiting.push_front(read);
                    return Err(error);
                }
                read.finish(Ok(()));
            }
            Ok(())
        });
        for read in waiting {
            look(read, |work| reader.view(work));
        }
    }
}

/// Runs one read on a snapshot of its own.
fn look(
    mut read: Box<dyn Look>,
    view: impl FnOnce(&mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()>,
) {
    let outcome = view(&mut |view| read.run(view));
    read.finish(outcome);
}

fn run_batch(engine: &mut dyn Engine, first: Work, waiting: &mut mpsc::Receiver<Work>) {
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(work) = next {
        match work {
            Work::Change(change) => batch.push(change),
            Work::View(read) => {
                // A read sees what was queued before it.
                commit(engine, std::mem::take(&mut batch));
                look(read, |work| engine.view(work));
            }
        }
        next = if batch.len() < BATCH { waiting.try_recv().ok() } else { None };
    }
    commit(engine, batch);
}

fn commit(engine: &mut dyn Engine, mut batch: Vec<Box<dyn Change>>) {
    if batch.is_empty() {
        return;
    }
    let about: Vec<_> = batch.iter().filter_map(|change| change.about()).collect();
    let outcome = engine.transact(&mut |rows| {
        rows.prefetch(&about)?;
        batch.iter_mut().try_for_each(|change| change.run(rows))
    });
    // But while the engine can't be reached, none has a better chance alone.
    let is_refused = matches!(outcome, Err(StoreError::Engine(_) | StoreError::Busy));
    if is_refused && batch.len() > 1 {
        // One change may be what the engine can't do; the others should not fail with it.
        for change in batch {
            commit(engine, vec![change]);
        }
        return;
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, "a commit failed: {error}");
    }
    for change in batch {
        change.finish(outcome.clone());
    }
}
