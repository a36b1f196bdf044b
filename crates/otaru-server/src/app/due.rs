//! What time does: retries, timeouts, schedules, and the slices of large jobs.

use super::effect::Effects;
use super::select::{READ, SLICE, STEP};
use super::task::{Judged, push_ready, settle};
use super::{App, Result, apply, cancel, dynamic, forget, job};
use crate::files::Files;
use crate::store::{Rows, Waiting};
use otaru_core::id::{JobNo, TaskNo};
use otaru_core::job::{Job, JobEvent, JobStatus, StatusSet};
use otaru_core::task::{CancelCause, Event};
use otaru_core::time::{MINUTE_MS, Timestamp};
use std::sync::Arc;

/// Deadlines that one change plays at most.
const BATCH: u32 = 1_000;
/// Milliseconds to the next look when nothing is known to be due.
const IDLE_MS: i64 = MINUTE_MS;
/// Milliseconds to the next look after the store failed.
const RETRY_MS: u64 = 1_000;

impl App {
    /// Plays deadlines as they come due; never ends.
    pub async fn run_scheduler(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let wait_ms = match self.play_due(now.wall).await {
                Ok(true) => 0,
                Ok(false) => match self.view(|view| Ok(view.next_due()?)).await {
                    Ok(next) => next
                        .map_or(IDLE_MS, |at| at.ms_since(now.wall).clamp(1, IDLE_MS))
                        .unsigned_abs(),
                    Err(_) => RETRY_MS,
                },
                Err(error) => {
                    tracing::warn!(%error, "deadlines wait: {error}");
                    RETRY_MS
                }
            };
            if wait_ms > 0 {
                tokio::select! {
                    biased;
                    () = self.follower.deadline_set.notified() => {}
                    () = self.clock.sleep_until(now.mono_ms + wait_ms) => {}
                }
            }
        }
    }

    /// Plays what is due at `now`, a batch of it; whether there was any.
    async fn play_due(&self, now: Timestamp) -> Result<bool> {
        let (jobs, tasks, doomed, batches) = self
            .view(move |view| {
                let (jobs, tasks) = (view.due_jobs(now, BATCH)?, view.due_tasks(now, BATCH)?);
                Ok((jobs, tasks, view.doomed_product()?, view.due_applies(now, BATCH)?))
            })
            .await?;
        let any = !jobs.is_empty() || !tasks.is_empty() || doomed.is_some() || !batches.is_empty();
        let devices_max = self.limits.devices_max;
        for batch in batches {
            self.change(move |rows, now, effects| {
                Ok(apply::slice(rows, batch, devices_max, now, effects)?)
            })
            .await?;
        }
        if let Some(doomed) = doomed {
            self.change(move |rows, now, effects| {
                let product = rows.product(doomed)?.expect("a deleted product keeps its row");
                Ok(forget::slice(rows, &product, now, effects)?)
            })
            .await?;
        }
        for job in jobs {
            let (files, waiting) = (self.files.clone(), self.store.waiting());
            // One job a change: a slice is as much as devices should wait for.
            let change = self.change(move |rows, now, effects| {
                job_due(rows, &files, job, &waiting, now, effects)
            });
            if change.await? {
                self.offer(job).await;
            }
        }
        if !tasks.is_empty() {
            self.change(move |rows, now, effects| {
                tasks.iter().try_for_each(|&task| task_due(rows, task, now, effects))?;
                Ok(dynamic::look_at_freed(rows, now, effects)?)
            })
            .await?;
        }
        Ok(any)
    }

    /// Offers the tasks of a job that has started, beside all other work. A device that connects meanwhile brings its own.
    async fn offer(&self, job: JobNo) {
        let mut after = TaskNo(0);
        loop {
            let now = self.clock.now();
            let page = self.view(move |view| {
                let Some(job) = view.job(job)? else { return Ok(None) };
                let tasks = view.tasks_after(job.no, StatusSet::PENDING, after, READ)?;
                let mut effects = Effects::default();
                for task in &tasks {
                    push_ready(&job, task, now.wall, &mut effects);
                }
                Ok(tasks.last().map(|last| (last.no, effects)))
            });
            match page.await {
                Ok(Some((last, effects))) => {
                    after = last;
                    self.follower.follow(effects);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the start of a job waits: {error}");
                    self.clock.sleep_until(now.mono_ms + RETRY_MS).await;
                }
            }
        }
    }
}

fn task_due(
    rows: &mut dyn Rows,
    task: TaskNo,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    if let Some(task) = rows.task(task)? {
        Judged::load(rows, task)?.meet(rows, Event::Due, now, effects)?;
    }
    Ok(())
}

/// Plays what is due of a job; whether it has started by that. Of a slice it does as much as others let it.
fn job_due(
    rows: &mut dyn Rows,
    files: &Files,
    no: JobNo,
    waiting: &Waiting,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<bool> {
    let mut done = 0;
    loop {
        let Some(job) = rows.job(no)? else { return Ok(false) };
        if job.sweep.is_some() {
            cancel::slice(rows, &job, STEP, now, effects)?;
        } else if job.fill.is_some() {
            job::fill_slice(rows, files, &job, STEP, now, effects)?;
        } else if done == 0 {
            return turn(rows, &job, now, effects);
        } else {
            return Ok(false);
        }
        done += STEP as usize;
        if done >= SLICE || waiting.any() {
            return Ok(false);
        }
    }
}

/// Starts or finishes a job when its time has come; whether it has started.
fn turn(rows: &mut dyn Rows, job: &Job, now: Timestamp, effects: &mut Effects) -> Result<bool> {
    match job.status {
        JobStatus::Planned if job.schedule_at.is_some_and(|at| at <= now) => {
            start(rows, job, now, effects)
        }
        JobStatus::InProgress if job.finish_at.is_some_and(|at| at <= now) => {
            let finished = Job { finish_played: true, ..job.clone() };
            let cause = CancelCause::ScheduleFinished;
            cancel::begin(rows, finished, StatusSet::PENDING, cause, now, effects)?;
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn start(rows: &mut dyn Rows, job: &Job, now: Timestamp, effects: &mut Effects) -> Result<bool> {
    let Some(status) = job.status.next(JobEvent::Started) else { return Ok(false) };
    let job = Job { status, started_at: Some(now), modified_at: now, ..job.clone() };
    rows.update_job(&job)?;
    effects.due(job.due_at());
    // Every task may have ended before the start.
    settle(rows, &job, job.package, false, now)?;
    Ok(true)
}
