//! The one place that asks the world for the time.

#![allow(clippy::disallowed_methods, reason = "this is the place that the ban points to")]

use otaru_core::time::{Now, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Measures how long something takes, finer than a [`Clock`] tells: for figures, never for a rule.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Tells the time. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    wall: Wall,
}

#[derive(Debug, Clone)]
enum Wall {
    System,
    /// Milliseconds since the epoch at `start`; moving it is a step of the wall clock.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clocks. Needs no runtime.
    pub fn system() -> Self {
        Self { start: Instant::now(), wall: Wall::System }
    }

    /// A clock that follows the runtime's paused time and shows `wall` now.
    pub fn simulated(wall: Timestamp) -> Self {
        Self { start: Instant::now(), wall: Wall::Simulated(Arc::new(AtomicI64::new(wall.0))) }
    }

    /// Milliseconds on the monotonic clock: half of what [`Clock::now`] costs.
    pub fn mono_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn now(&self) -> Now {
        let elapsed_ms = self.mono_ms();
        let wall_ms = match &self.wall {
            Wall::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Wall::Simulated(base) => base
                .load(Ordering::Relaxed)
                .saturating_add(i64::try_from(elapsed_ms).unwrap_or(i64::MAX)),
        };
        Now { wall: Timestamp(wall_ms), mono_ms: elapsed_ms }
    }

    /// Steps a simulated wall clock by `ms`, forward or back; the monotonic clock does not notice.
    pub fn step_wall(&self, ms: i64) {
        if let Wall::Simulated(base) = &self.wall {
            base.fetch_add(ms, Ordering::Relaxed);
        }
    }

    /// Waits until the monotonic clock shows `mono_ms`.
    pub async fn sleep_until(&self, mono_ms: u64) {
        tokio::time::sleep_until(self.start + Duration::from_millis(mono_ms)).await;
    }
}
