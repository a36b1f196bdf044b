//! Time as a value: the wall clock for what people and rows see, the monotonic one for pacing.

/// Milliseconds since 1970-01-01T00:00:00Z on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

pub const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

impl Timestamp {
    /// This moment moved by `ms` milliseconds; stops at the ends of the range instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    #[must_use]
    pub fn plus_minutes(self, minutes: u32) -> Self {
        self.plus_ms(i64::from(minutes) * MINUTE_MS)
    }

    /// Milliseconds from `earlier` to this moment; negative when the clock went back in between.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The present, as both clocks show it.
///
/// Deadlines are stored as wall time, since they outlive the process. Keepalive, rates and pacing follow `mono_ms`,
/// which never steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    pub wall: Timestamp,
    /// Milliseconds since an arbitrary point, the same one as long as the process lives.
    pub mono_ms: u64,
}
