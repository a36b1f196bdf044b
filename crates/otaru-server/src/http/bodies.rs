//! Bodies that come in: how slowly they may, and what all of them together may take.

use super::Incoming;
use crate::clock::Clock;
use crate::doors::DoorLimits;
use crate::metrics::{BodyCut, Metrics};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Why a body didn't come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It breaks off, or its chunks are malformed.
    #[error("the body is malformed or breaks off")]
    Broken,
    /// It comes more slowly than it may.
    #[error("the body comes too slowly")]
    Slow,
    /// All of them together take as much as they may.
    #[error("there is no room for the body now")]
    Full,
}

/// What is between a body that comes and its limits.
#[derive(Debug)]
pub struct Bodies {
    clock: Clock,
    metrics: Metrics,
    silence_ms: u64,
    bytes_per_second_min: u32,
    /// Bytes of all bodies together; 0: any number.
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// Room that a body has among all of them, as long as this lives.
#[derive(Debug)]
pub struct Room {
    bodies: Arc<Bodies>,
    bytes: usize,
}

/// How a body has come so far.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    since_ms: u64,
    bytes: u64,
}

/// A body that is there, and its room.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Vec<u8>,
    _room: Room,
}

/// When something has to be over that began at `since_ms` and has moved so many bytes: at a rate of at least `per_second_min`, 0
/// for any, after a first while that is free.
pub(super) fn deadline_ms(since_ms: u64, free_ms: u64, bytes: u64, per_second_min: u32) -> u64 {
    match per_second_min {
        0 => u64::MAX,
        rate => since_ms
            .saturating_add(free_ms)
            .saturating_add(bytes.saturating_mul(1_000) / u64::from(rate)),
    }
}

impl Bodies {
    pub fn new(limits: &DoorLimits, clock: Clock, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            clock,
            metrics,
            silence_ms: limits.http_silence_ms,
            bytes_per_second_min: limits.http_bytes_per_second_min,
            bytes_max: limits.http_bodies_bytes_max,
            bytes: AtomicUsize::new(0),
        })
    }

    pub fn pace(&self) -> Pace {
        Pace { since_ms: self.clock.mono_ms(), bytes: 0 }
    }

    /// The next part of a body, `None` at its end.
    ///
    /// # Errors
    /// [`BodyError::Broken`] and [`BodyError::Slow`].
    pub async fn next(
        &self,
        body: &mut Incoming,
        pace: &mut Pace,
    ) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = match self.patience(*pace) {
                None => body.frame().await,
                Some(patience) => {
                    tokio::time::timeout(patience, body.frame()).await.map_err(|_| {
                        self.metrics.http_bodies_cut.count(BodyCut::Slow);
                        BodyError::Slow
                    })?
                }
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing here.
            if let Ok(chunk) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                pace.bytes += chunk.len() as u64;
                return Ok(Some(chunk));
            }
        }
    }

    /// For how long the next part may be waited for; `None`: for any time.
    fn patience(&self, pace: Pace) -> Option<Duration> {
        let Pace { since_ms, bytes } = pace;
        let now_ms = self.clock.mono_ms();
        let slow_ms = deadline_ms(since_ms, self.silence_ms, bytes, self.bytes_per_second_min);
        let silent_ms = if self.silence_ms == 0 { u64::MAX } else { now_ms + self.silence_ms };
        let until_ms = slow_ms.min(silent_ms);
        (until_ms < u64::MAX).then(|| Duration::from_millis(until_ms.saturating_sub(now_ms)))
    }

    /// Room for so many bytes.
    ///
    /// # Errors
    /// [`BodyError::Full`]
    pub fn room(self: &Arc<Self>, bytes: usize) -> Result<Room, BodyError> {
        let mut room = Room { bodies: Arc::clone(self), bytes: 0 };
        room.grow(bytes)?;
        Ok(room)
    }

    /// All of a body, or a little more than the longest one that is accepted.
    ///
    /// # Errors
    /// [`BodyError`]
    pub async fn collect(
        self: &Arc<Self>,
        mut body: Incoming,
        bytes_max: usize,
    ) -> Result<Whole, BodyError> {
        let (mut pace, mut room, mut bytes) = (self.pace(), self.room(0)?, Vec::new());
        while let Some(chunk) = self.next(&mut body, &mut pace).await? {
            let length = bytes.len() + chunk.len();
            if length > bytes.capacity() {
                let capacity = length.max(bytes.capacity() * 2);
                room.grow(capacity - bytes.capacity())?;
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() > bytes_max {
                break;
            }
        }
        Ok(Whole { bytes, _room: room })
    }
}

impl Room {
    fn grow(&mut self, more: usize) -> Result<(), BodyError> {
        let Bodies { bytes, bytes_max, metrics, .. } = &*self.bodies;
        let grown = |bytes: usize| {
            let bytes = bytes.saturating_add(more);
            (*bytes_max == 0 || bytes <= *bytes_max || more == 0).then_some(bytes)
        };
        if bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).is_err() {
            metrics.http_bodies_cut.count(BodyCut::Full);
            return Err(BodyError::Full);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bodies.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaru_core::time::Timestamp;

    #[tokio::test]
    async fn room_is_given_back_and_what_does_not_fit_takes_none() {
        let limits = DoorLimits { http_bodies_bytes_max: 100, ..DoorLimits::default() };
        let metrics = Metrics::default();
        let bodies = Bodies::new(&limits, Clock::simulated(Timestamp(0)), metrics.clone());
        let first = bodies.room(60).unwrap();
        assert_eq!(bodies.room(41).unwrap_err(), BodyError::Full);
        let mut second = bodies.room(40).unwrap();
        assert_eq!(second.grow(1), Err(BodyError::Full));
        assert!(bodies.room(0).is_ok());
        drop(first);
        assert_eq!(second.grow(60), Ok(()));
        drop(second);
        assert_eq!(bodies.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(metrics.http_bodies_cut.get(BodyCut::Full), 2);
    }

    #[test]
    fn a_deadline_moves_with_what_has_come() {
        for (bytes, rate, want) in [(0, 500, 1_100), (500, 500, 2_100), (1_000_000, 0, u64::MAX)] {
            assert_eq!(deadline_ms(1_000, 100, bytes, rate), want);
        }
    }
}
