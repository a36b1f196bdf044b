//! Nonces: a signed request works once.

use std::collections::{BTreeSet, VecDeque};

use otaru_core::signature::sha256_hex;
use otaru_core::time::{MINUTE_MS, Timestamp};

use super::error::GatewayError;
use crate::store::Nonce;

/// How long a nonce is remembered: longer than a request is valid on either side of the server's clock.
pub const LIFE_MS: i64 = 31 * MINUTE_MS;

/// A nonce that was used, as it is kept: its digest with the key's id, so that no caller decides how much we keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedNonce {
    pub digest: u128,
    pub expires_at: Timestamp,
}

/// The nonces of the last 31 minutes.
#[derive(Debug)]
pub struct Nonces {
    seen: BTreeSet<u128>,
    /// In the order they were used, which is that of their expiry as long as the clock goes forward.
    by_age: VecDeque<UsedNonce>,
    capacity: usize,
}

impl Nonces {
    /// Remembers at most `capacity` nonces; when that many are alive, calls are refused rather than replays let in.
    pub fn new(capacity: usize) -> Self {
        Self { seen: BTreeSet::new(), by_age: VecDeque::new(), capacity }
    }

    /// Takes back what an earlier run used.
    pub fn restore(&mut self, used: impl IntoIterator<Item = UsedNonce>) {
        let mut used: Vec<_> = used.into_iter().collect();
        used.sort_unstable_by_key(|nonce| nonce.expires_at);
        for nonce in used {
            self.remember(nonce);
        }
    }

    /// Marks a nonce as used. To be called only for requests whose signature was right, so that nobody can burn the
    /// nonces of another. What it returns has to be kept over restarts.
    ///
    /// # Errors
    /// `SignatureNonceUsed`; `Throttling.Api` when too many are alive.
    pub fn admit(
        &mut self,
        access_key_id: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<UsedNonce, GatewayError> {
        self.forget_until(now);
        let digest = digest(access_key_id, nonce);
        if self.seen.contains(&digest) {
            return Err(GatewayError::nonce_used());
        }
        if self.by_age.len() >= self.capacity {
            return Err(GatewayError::throttled_server());
        }
        let used = UsedNonce { digest, expires_at: now.plus_ms(LIFE_MS) };
        self.remember(used);
        Ok(used)
    }

    fn remember(&mut self, used: UsedNonce) {
        if self.seen.insert(used.digest) {
            self.by_age.push_back(used);
        }
    }

    fn forget_until(&mut self, now: Timestamp) {
        while let Some(oldest) = self.by_age.front().filter(|oldest| oldest.expires_at <= now) {
            self.seen.remove(&oldest.digest);
            self.by_age.pop_front();
        }
    }
}

/// Nonces of calls that only read, until they are kept together: a row for each would cost more than many such a call.
/// Whoever kills the server lets the reads of the last second be repeated, which changes nothing.
#[derive(Debug, Default)]
pub struct Reads {
    waiting: Vec<UsedNonce>,
}

/// Nonces in one row of the store, whose text is no longer then than an index of PostgreSQL takes.
const TOGETHER_MAX: usize = 64;
/// How long they wait for others, unless no call comes at all.
const WAIT_MS: i64 = 1_000;

impl Reads {
    /// Adds a nonce; gives those that are to be kept now.
    pub fn add(&mut self, used: UsedNonce) -> Option<Vec<UsedNonce>> {
        self.waiting.push(used);
        let waited_ms = used.expires_at.ms_since(self.waiting[0].expires_at);
        (self.waiting.len() >= TOGETHER_MAX || waited_ms >= WAIT_MS).then(|| self.take())
    }

    pub fn take(&mut self) -> Vec<UsedNonce> {
        std::mem::take(&mut self.waiting)
    }
}

/// As the store keeps nonces: digests in hex in place of the callers' texts, and the last time of all.
pub fn to_stored(used: &[UsedNonce], access_key_id: &str) -> Nonce {
    let digests: Vec<_> = used.iter().flat_map(|used| used.digest.to_be_bytes()).collect();
    let expires_at = used.iter().map(|used| used.expires_at).max().unwrap_or(Timestamp(0));
    Nonce { access_key: access_key_id.to_owned(), nonce: hex::encode(digests), expires_at }
}

/// What is no digest is none of ours, and means nothing.
pub fn from_stored(stored: &Nonce) -> impl Iterator<Item = UsedNonce> + '_ {
    let digests = stored.nonce.as_bytes().chunks(32).filter_map(|hex| str::from_utf8(hex).ok());
    digests.filter_map(|hex| {
        let digest = u128::from_str_radix(hex, 16).ok()?;
        Some(UsedNonce { digest, expires_at: stored.expires_at })
    })
}

/// Half of a SHA-256 over both, the id's length first so that no two pairs run together the same way.
fn digest(access_key_id: &str, nonce: &str) -> u128 {
    let text = format!("{}:{access_key_id}{nonce}", access_key_id.len());
    let hex = sha256_hex(text.as_bytes());
    u128::from_str_radix(&hex[..32], 16).expect("32 hex digits fill 128 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn code(result: Result<UsedNonce, GatewayError>) -> String {
        result.map_or_else(|error| error.code, |_| "admitted".into())
    }

    #[test]
    fn a_nonce_works_once_per_key_until_it_is_forgotten() {
        let mut nonces = Nonces::new(10);
        assert_eq!(code(nonces.admit("a", "n", NOW)), "admitted");
        assert_eq!(code(nonces.admit("b", "n", NOW)), "admitted");
        let late = NOW.plus_ms(LIFE_MS - 1);
        assert_eq!(code(nonces.admit("a", "n", late)), "SignatureNonceUsed");
        assert_eq!(code(nonces.admit("a", "n", NOW.plus_ms(LIFE_MS))), "admitted");
    }

    #[test]
    fn a_restored_nonce_is_still_used() {
        let used = Nonces::new(10).admit("a", "n", NOW).unwrap();
        let mut nonces = Nonces::new(10);
        nonces.restore([used]);
        assert_eq!(code(nonces.admit("a", "n", NOW.plus_ms(1))), "SignatureNonceUsed");
        assert_eq!(code(nonces.admit("a", "n", used.expires_at)), "admitted");
    }

    #[test]
    fn too_many_nonces_are_refused_not_forgotten() {
        let mut nonces = Nonces::new(2);
        assert_eq!(code(nonces.admit("a", "1", NOW)), "admitted");
        assert_eq!(code(nonces.admit("a", "2", NOW)), "admitted");
        assert_eq!(code(nonces.admit("a", "3", NOW)), "Throttling.Api");
        assert_eq!(code(nonces.admit("a", "1", NOW)), "SignatureNonceUsed");
        assert_eq!(code(nonces.admit("a", "3", NOW.plus_ms(LIFE_MS))), "admitted");
    }

    #[test]
    fn nonces_of_reads_are_kept_many_at_a_time_or_after_a_second() {
        let mut nonces = Nonces::new(1_000);
        let mut reads = Reads::default();
        let mut call = |n: usize, at: Timestamp| {
            reads.add(nonces.admit("a", &n.to_string(), at).unwrap()).map(|kept| kept.len())
        };
        let kept: Vec<_> = (1..=130).filter_map(|n| call(n, NOW)).collect();
        assert_eq!(kept, [64, 64]);
        assert_eq!(call(131, NOW.plus_ms(999)), None);
        assert_eq!(call(132, NOW.plus_ms(1_000)), Some(4));
    }

    #[test]
    fn nonces_that_were_kept_together_come_back_one_by_one() {
        let mut nonces = Nonces::new(10);
        let used = [1, 7].map(|ms| nonces.admit("a", &ms.to_string(), NOW.plus_ms(ms)).unwrap());
        let stored = to_stored(&used, "a");
        let restored: Vec<_> = from_stored(&stored).collect();
        let expires_at = used[1].expires_at;
        assert_eq!(restored, used.map(|used| UsedNonce { expires_at, ..used }));
        let broken =
            Nonce { nonce: "no digest, and é at its thirty-first place".into(), ..stored };
        assert_eq!(from_stored(&broken).count(), 0);
    }
}
