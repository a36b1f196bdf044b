//! What a run showed: latencies, failures, and what it cost the server.

#![allow(clippy::cast_precision_loss, reason = "figures are rounded to a few digits")]

use crate::clock::Stopwatch;
use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest time that is told apart from longer ones, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// Kinds of failures that are told apart; what comes after counts as `other`.
const FAILURES_MAX: usize = 32;

/// Counts what happened, from many tasks.
#[derive(Debug)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    latency_us: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    failed: u64,
    bytes: u64,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        let latency_us = Histogram::new_with_max(LONGEST_US, 3).context("a histogram")?;
        let failures = BTreeMap::new();
        Ok(Self(Mutex::new(Counts { latency_us, failures, failed: 0, bytes: 0 })))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change below is whole before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was done, and took this long.
    pub(super) fn done(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
        self.counts().latency_us.saturating_record(us);
    }

    /// Something was done on `bytes`.
    pub(super) fn moved(&self, bytes: u64, took: Duration) {
        self.done(took);
        self.counts().bytes += bytes;
    }

    pub(super) fn failed(&self, why: impl Display) {
        let mut counts = self.counts();
        counts.failed += 1;
        let mut why = why.to_string();
        if counts.failures.len() >= FAILURES_MAX && !counts.failures.contains_key(&why) {
            "other".clone_into(&mut why);
        }
        *counts.failures.entry(why).or_default() += 1;
    }

    pub(super) fn done_count(&self) -> u64 {
        self.counts().latency_us.len()
    }

    pub(super) fn failed_count(&self) -> u64 {
        self.counts().failed
    }

    pub(super) fn bytes(&self) -> u64 {
        self.counts().bytes
    }

    /// Forgets all, for the next part of a run.
    pub(super) fn clear(&self) {
        let mut counts = self.counts();
        counts.latency_us.reset();
        (counts.failures, counts.failed, counts.bytes) = (BTreeMap::new(), 0, 0);
    }

    /// Counts, rate over `took` and percentiles.
    pub(super) fn figures(&self, took: Duration) -> Map<String, Value> {
        let counts = self.counts();
        let latency = &counts.latency_us;
        let ms = |us: u64| rounded(us as f64 / 1_000.0);
        let at = |quantile| ms(latency.value_at_quantile(quantile));
        let mut figures = Map::new();
        let mut put = |name: &str, value: Value| figures.insert(name.to_owned(), value);
        put("done", latency.len().into());
        put("failed", counts.failed.into());
        put("seconds", rounded(took.as_secs_f64()));
        put("per_second", rounded(latency.len() as f64 / took.as_secs_f64().max(1e-9)));
        put(
            "latency_ms",
            json!({
                "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": ms(latency.max()),
            }),
        );
        put("failures", json!(counts.failures));
        figures
    }
}

/// Three decimals are more than any of these figures is good for.
pub(super) fn rounded(value: f64) -> Value {
    json!((value * 1_000.0).round() / 1_000.0)
}

/// What a process has used so far. Source: proc(5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    cpu: Duration,
    rss_bytes: u64,
}

/// Watches the server's process, when its number is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    pid: Option<u32>,
    before: Usage,
    since: Stopwatch,
}

impl Watched {
    /// # Errors
    /// When there is no such process.
    pub(super) fn start(pid: Option<u32>) -> anyhow::Result<Self> {
        let before = pid.map(usage).transpose()?.unwrap_or_default();
        Ok(Self { pid, before, since: Stopwatch::start() })
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// What the server used since the start, in all and for each of `operations`; `null` when it isn't watched.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn figures(&self, operations: u64) -> anyhow::Result<Value> {
        let Some(pid) = self.pid else { return Ok(Value::Null) };
        let now = usage(pid)?;
        let cpu = now.cpu.saturating_sub(self.before.cpu);
        let each_us = cpu.as_secs_f64() * 1e6 / operations.max(1) as f64;
        let grown = now.rss_bytes as f64 - self.before.rss_bytes as f64;
        Ok(json!({
            "cpu_seconds": rounded(cpu.as_secs_f64()),
            "cpu_us_each": rounded(each_us),
            "rss_bytes_before": self.before.rss_bytes,
            "rss_bytes": now.rss_bytes,
            "rss_bytes_each": rounded(grown / operations.max(1) as f64),
        }))
    }
}

fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::read_to_string(&path).with_context(|| format!("{path} can't be read"))
    };
    parse(&read("stat")?, &read("statm")?, rustix::param::clock_ticks_per_second(), page_bytes())
        .with_context(|| format!("/proc/{pid} has another form than proc(5) says"))
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

fn parse(stat: &str, statm: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Usage> {
    // The second field is the program's name in brackets, which may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let used = ticks()? + ticks()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let cpu = Duration::from_millis(used * 1_000 / ticks_per_second.max(1));
    Some(Usage { cpu, rss_bytes: pages * page_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_program_is_called() {
        let stat = "7 (ota) ru) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 99";
        let usage = parse(stat, "1000 20 3 4 0 5 0", 100, 4096).unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(3), rss_bytes: 20 * 4096 });
        for (stat, statm) in [("", "1 2"), ("7 (x) S 1", "1 2"), (stat, ""), (stat, "1 x")] {
            assert_eq!(parse(stat, statm, 100, 4096), None, "{stat} {statm}");
        }
    }

    #[test]
    fn a_process_that_is_there_can_be_watched() {
        let watched = Watched::start(Some(std::process::id())).unwrap();
        assert!(watched.figures(1).unwrap()["rss_bytes"].as_u64() > Some(0));
        assert_eq!(Watched::start(None).unwrap().figures(1).unwrap(), Value::Null);
        assert!(Watched::start(Some(u32::MAX)).is_err());
    }

    #[test]
    fn a_tally_counts_what_was_done_and_why_the_rest_failed() {
        let tally = Tally::new().unwrap();
        for ms in 1..=100 {
            tally.done(Duration::from_millis(ms));
        }
        for n in 0..40 {
            tally.failed(n);
        }
        tally.failed(0);
        let figures = tally.figures(Duration::from_secs(2));
        assert_eq!((&figures["done"], &figures["failed"]), (&json!(100), &json!(41)));
        assert_eq!(figures["per_second"], json!(50.0));
        let p50 = figures["latency_ms"]["p50"].as_f64().unwrap();
        assert!((49.0..52.0).contains(&p50), "{p50}");
        assert_eq!(figures["failures"]["0"], 2);
        assert_eq!(figures["failures"]["other"], 8);
        tally.clear();
        assert_eq!((tally.done_count(), tally.failed_count(), tally.bytes()), (0, 0, 0));
    }
}
