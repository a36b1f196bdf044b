//! Token buckets on a clock that is handed in.

/// A bucket that holds at most `capacity` tokens and regains `per_minute` of them evenly over each minute.
///
/// It counts in millitokens-per-minute parts, so that no fraction is lost however often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// What is in the bucket, in 1/60,000 tokens: one millisecond at one token per minute is one part.
    parts: u64,
    at_ms: u64,
}

const PARTS: u64 = 60_000;

impl Bucket {
    /// A bucket with `tokens` in it at `now_ms`.
    pub fn with(tokens: u32, now_ms: u64) -> Self {
        Self { parts: u64::from(tokens) * PARTS, at_ms: now_ms }
    }

    /// What the bucket holds in parts, for storing it; [`Bucket::from_parts`] is the way back.
    pub fn parts(self) -> u64 {
        self.parts
    }

    pub fn from_parts(parts: u64, now_ms: u64) -> Self {
        Self { parts, at_ms: now_ms }
    }

    /// Adds what `now_ms` has brought since the last look. A clock that stands still or goes back adds nothing.
    pub fn refill(&mut self, per_minute: u32, capacity: u32, now_ms: u64) {
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(per_minute));
        self.parts = self.parts.saturating_add(gained).min(u64::from(capacity) * PARTS);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Takes one token if there is one.
    pub fn take(&mut self) -> bool {
        let enough = self.parts >= PARTS;
        if enough {
            self.parts -= PARTS;
        }
        enough
    }

    /// Whole tokens in the bucket.
    pub fn tokens(self) -> u64 {
        self.parts / PARTS
    }

    /// Milliseconds until the next token is there; 0 when one is, `None` when none will ever come.
    pub fn wait_ms(self, per_minute: u32) -> Option<u64> {
        let missing = PARTS.saturating_sub(self.parts);
        if missing == 0 {
            return Some(0);
        }
        (per_minute > 0).then(|| missing.div_ceil(u64::from(per_minute)))
    }
}

/// Push rate of a job: at most `max_per_minute` first pushes in any minute, spread evenly over it.
///
/// The bucket of a job holds one second's worth, so that a queue can be drained in small batches. What it holds can be
/// spent on top of a minute's refill, so the refill is lower by that much; the sum never exceeds the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushRate {
    pub max_per_minute: u32,
}

impl PushRate {
    pub fn capacity(self) -> u32 {
        (self.max_per_minute / 60).max(1)
    }

    /// Tokens regained per minute.
    pub fn refill_per_minute(self) -> u32 {
        self.max_per_minute.saturating_add(1).saturating_sub(self.capacity())
    }

    /// The bucket of a job that has pushed nothing yet.
    pub fn full(self, now_ms: u64) -> Bucket {
        Bucket::with(self.capacity(), now_ms)
    }

    pub fn refill(self, bucket: &mut Bucket, now_ms: u64) {
        bucket.refill(self.refill_per_minute(), self.capacity(), now_ms);
    }

    /// Milliseconds until `bucket` has a token.
    pub fn wait_ms(self, bucket: Bucket) -> u64 {
        bucket.wait_ms(self.refill_per_minute()).unwrap_or(60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_sees_more_pushes_than_the_rate_allows() {
        for max_per_minute in [10, 59, 60, 61, 600, 9_999, 10_000] {
            let rate = PushRate { max_per_minute };
            let mut bucket = rate.full(0);
            let mut pushed = Vec::new();
            // A queue that is drained every 7 ms, rests for the second minute and goes on: the worst burst.
            for ms in (0..240_000_u64).step_by(7).filter(|ms| !(60_000..120_000).contains(ms)) {
                rate.refill(&mut bucket, ms);
                while bucket.take() {
                    pushed.push(ms);
                }
            }
            let most = pushed
                .iter()
                .enumerate()
                .map(|(i, &from)| pushed[i..].iter().take_while(|&&at| at < from + 60_000).count());
            let most = most.max().expect("something was pushed");
            assert!(most <= max_per_minute as usize, "{max_per_minute}: {most}");
            assert!(most * 100 >= max_per_minute as usize * 96, "{max_per_minute}: only {most}");
        }
    }

    #[test]
    fn a_bucket_regains_its_rate_evenly() {
        let mut bucket = Bucket::with(0, 0);
        let mut taken = 0;
        for ms in 0..60_000 {
            bucket.refill(600, 1, ms);
            taken += u32::from(bucket.take());
        }
        assert_eq!(taken, 599, "600 per minute is one each 100 ms, the first after 100 ms");
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_capacity() {
        let mut bucket = Bucket::with(5, 0);
        bucket.refill(60, 5, 3_600_000);
        assert_eq!(bucket.tokens(), 5);
    }

    #[test]
    fn a_clock_that_goes_back_brings_no_token() {
        let mut bucket = Bucket::with(0, 100_000);
        bucket.refill(60, 60, 40_000);
        assert_eq!(bucket.tokens(), 0);
        bucket.refill(60, 60, 101_000);
        assert_eq!(bucket.tokens(), 1);
    }

    #[test]
    fn the_wait_for_a_token_is_exact() {
        let mut bucket = Bucket::with(0, 0);
        assert_eq!(bucket.wait_ms(10), Some(6_000));
        bucket.refill(10, 10, 5_999);
        assert_eq!((bucket.take(), bucket.wait_ms(10)), (false, Some(1)));
        bucket.refill(10, 10, 6_000);
        assert!(bucket.take());
        assert_eq!(bucket.wait_ms(0), None);
    }
}
