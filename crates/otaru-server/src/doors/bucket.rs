//! Token buckets.

/// What is left of a rate. Kept in thousandths, so that n per second are n of them each millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Negative after something that was larger than what was left.
    milli: i64,
    filled_ms: u64,
}

impl Bucket {
    /// A bucket with room for `size`, full.
    pub fn full(size: u32, now_ms: u64) -> Self {
        Self { milli: i64::from(size) * 1_000, filled_ms: now_ms }
    }

    fn refill(&mut self, per_second: u32, size: u32, now_ms: u64) {
        let passed_ms = i64::try_from(now_ms.saturating_sub(self.filled_ms)).unwrap_or(i64::MAX);
        let refill = passed_ms.saturating_mul(per_second.into());
        self.milli = self.milli.saturating_add(refill).min(i64::from(size) * 1_000);
        self.filled_ms = self.filled_ms.max(now_ms);
    }

    /// Takes one; `false` when none is left.
    pub fn take(&mut self, per_second: u32, size: u32, now_ms: u64) -> bool {
        self.take_many(1, per_second, size, now_ms)
    }

    /// Takes `count`; `false` and none when fewer are left.
    pub fn take_many(&mut self, count: u32, per_second: u32, size: u32, now_ms: u64) -> bool {
        self.refill(per_second, size, now_ms);
        let milli = i64::from(count) * 1_000;
        let is_left = self.milli >= milli;
        if is_left {
            self.milli -= milli;
        }
        is_left
    }

    /// As [`Bucket::spend`], but says when a whole one is left again.
    pub fn spend_whole(&mut self, count: u32, per_second: u32, size: u32, now_ms: u64) -> u64 {
        self.spend(count, per_second, size, now_ms);
        u64::try_from(1_000 - self.milli).unwrap_or(0).div_ceil(u64::from(per_second.max(1)))
    }

    /// Takes `count`, which may be more than is left, and says in how many milliseconds something is left again.
    pub fn spend(&mut self, count: u32, per_second: u32, size: u32, now_ms: u64) -> u64 {
        self.refill(per_second, size, now_ms);
        self.milli -= i64::from(count) * 1_000;
        u64::try_from(-self.milli).unwrap_or(0).div_ceil(u64::from(per_second.max(1)))
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&mut self, per_second: u32, size: u32, now_ms: u64) -> bool {
        self.refill(per_second, size, now_ms);
        self.milli >= i64::from(size) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_size_and_then_its_rate() {
        let mut bucket = Bucket::full(3, 0);
        let mut given = |now_ms| (0..10).filter(|_| bucket.take(2, 3, now_ms)).count();
        for (now_ms, want) in [(0, 3), (499, 0), (500, 1), (1_500, 2), (1_000_000, 3), (0, 0)] {
            assert_eq!(given(now_ms), want, "at {now_ms}");
        }
        assert!(!bucket.is_full(2, 3, 1_001_499) && bucket.is_full(2, 3, 1_001_500));
    }

    #[test]
    fn a_whole_one_is_waited_for_and_many_are_taken_or_none() {
        let mut bucket = Bucket::full(3, 0);
        let waits: Vec<_> = (0..4).map(|_| bucket.spend_whole(1, 2, 3, 0)).collect();
        assert_eq!(waits, [0, 0, 500, 1_000]);
        assert!(!bucket.take_many(2, 2, 3, 1_499) && bucket.take_many(2, 2, 3, 1_500));
        assert_eq!(bucket.spend_whole(0, 2, 3, 1_500), 500);
    }

    #[test]
    fn what_is_larger_than_a_bucket_is_waited_for_afterwards() {
        let mut bucket = Bucket::full(1_000, 0);
        assert_eq!(bucket.spend(400, 1_000, 1_000, 0), 0);
        assert_eq!(bucket.spend(2_600, 1_000, 1_000, 0), 2_000);
        assert_eq!(bucket.spend(0, 1_000, 1_000, 1_999), 1);
        assert_eq!(bucket.spend(0, 1_000, 1_000, 2_000), 0);
    }
}
