//! Nonces: a signed request works once.

use std::collections::{BTreeSet, VecDeque};

use otaru_core::signature::sha256_hex;
use otaru_core::time::{MINUTE_MS, Timestamp};

use super::error::GatewayError;

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
}
