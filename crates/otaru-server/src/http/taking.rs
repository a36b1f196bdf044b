//! How an answer is taken. A reader that takes nothing is cut by the system (`TCP_USER_TIMEOUT`), which alone knows what arrives;
//! one that takes next to nothing is cut here.

use super::bodies::deadline_ms;
use crate::clock::Clock;
use crate::doors::DoorLimits;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the socket has taken of one answer. The one who answers begins it, the socket's writer counts.
#[derive(Debug)]
pub(super) struct Taking {
    clock: Clock,
    free_ms: u64,
    bytes_per_second_min: u32,
    since_ms: AtomicU64,
    bytes: AtomicU64,
}

/// The writer's part.
pub(super) struct Taken {
    taking: Arc<Taking>,
    alarm: Option<Alarm>,
}

impl Taking {
    pub fn new(limits: &DoorLimits, clock: Clock) -> Arc<Self> {
        let since_ms = AtomicU64::new(clock.mono_ms());
        let (free_ms, bytes_per_second_min) =
            (limits.http_silence_ms, limits.http_bytes_per_second_min);
        Arc::new(Self { clock, free_ms, bytes_per_second_min, since_ms, bytes: AtomicU64::new(0) })
    }

    /// Another answer begins.
    pub fn begin(&self) {
        self.since_ms.store(self.clock.mono_ms(), Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn deadline_ms(&self) -> u64 {
        let (since_ms, bytes) =
            (self.since_ms.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        deadline_ms(since_ms, self.free_ms, bytes, self.bytes_per_second_min)
    }
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taken").field("taking", &self.taking).finish_non_exhaustive()
    }
}

impl Taken {
    pub fn new(taking: Arc<Taking>) -> Self {
        Self { taking, alarm: None }
    }

    /// Watches a write: one that waits for too long fails with [`io::ErrorKind::TimedOut`].
    pub fn watch(
        &mut self,
        write: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &write {
            Poll::Ready(Ok(count)) => {
                self.taking.bytes.fetch_add(*count as u64, Ordering::Relaxed);
                return write;
            }
            Poll::Ready(Err(_)) => return write,
            Poll::Pending => {}
        }
        loop {
            let until_ms = self.taking.deadline_ms();
            if until_ms == u64::MAX {
                return Poll::Pending;
            }
            if until_ms <= self.taking.clock.mono_ms() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // An alarm that is too early is set anew when it goes off: cheaper than with each write.
            let clock = &self.taking.clock;
            let alarm = self.alarm.get_or_insert_with(|| {
                let clock = clock.clone();
                Box::pin(async move { clock.sleep_until(until_ms).await })
            });
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
        }
    }
}
