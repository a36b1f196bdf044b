//! What is counted of one address.

use super::{Bucket, Rules};
use otaru_core::hash::Map;
use std::net::IpAddr;

/// Those whom one party is taken for: an IPv4 address, or the 64 bits of an IPv6 network, of whose addresses one
/// machine may have any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Party(u64);

impl Party {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No network of IPv6 begins with so many zeros, except that of the loopback.
            IpAddr::V4(address) => Self(u64::from(u32::from(address)) | 1 << 32),
            IpAddr::V6(address) => {
                Self(u64::try_from(u128::from(address) >> 64).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Addresses below which nobody looks for those that are as good as new.
const SWEEP_ABOVE: usize = 1_024;
/// Milliseconds after a look in vain.
const LOOK_AGAIN_MS: u64 = 1_000;

#[derive(Debug)]
struct Counted {
    /// Connections that count for the address.
    open: usize,
    bucket: Bucket,
}

/// All addresses that anything is known of; bounded.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    counted: Map<Party, Counted>,
    /// Size at which those that are as good as new are looked for.
    sweep_above: usize,
    /// When nobody had a place: no look is worth its time for a second.
    full_ms: Option<u64>,
}

impl Addresses {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counted.len()
    }

    /// Connections that count for an address.
    pub(super) fn open(&self, party: Party) -> usize {
        self.counted.get(&party).map_or(0, |counted| counted.open)
    }

    /// Takes one new connection from what the address has left; `false` when that is nothing.
    pub(super) fn connects(&mut self, party: Party, rules: &Rules, now_ms: u64) -> bool {
        if rules.connects_per_second == 0 {
            return true;
        }
        let (rate, size) = (rules.connects_per_second, size_of_bucket(rules));
        match self.entry(party, rules, now_ms) {
            Some(counted) => counted.bucket.take(rate, size, now_ms),
            None => true,
        }
    }

    /// A connection counts from now on. Whoever has no place in the map isn't counted.
    pub(super) fn opened(&mut self, party: Party, rules: &Rules, now_ms: u64) -> bool {
        self.entry(party, rules, now_ms).map(|counted| counted.open += 1).is_some()
    }

    pub(super) fn closed(&mut self, party: Party, rules: &Rules) {
        if let Some(counted) = self.counted.get_mut(&party) {
            counted.open = counted.open.saturating_sub(1);
            // Without a rate there is nothing else to remember.
            if counted.open == 0 && rules.connects_per_second == 0 {
                self.counted.remove(&party);
            }
        }
    }

    fn entry(&mut self, party: Party, rules: &Rules, now_ms: u64) -> Option<&mut Counted> {
        let (rate, size) = (rules.connects_per_second, size_of_bucket(rules));
        let is_new = !self.counted.contains_key(&party);
        if is_new && self.full_ms.is_some_and(|full_ms| now_ms < full_ms + LOOK_AGAIN_MS) {
            return None;
        }
        if is_new
            && self.counted.len() >= self.sweep_above.max(SWEEP_ABOVE).min(rules.addresses_max)
        {
            self.counted.retain(|_, it| it.open > 0 || !it.bucket.is_full(rate, size, now_ms));
            // Each look costs as much as the map is large.
            self.sweep_above = self.counted.len() * 2;
            self.full_ms = (self.counted.len() >= rules.addresses_max).then_some(now_ms);
            if self.full_ms.is_some() {
                return None;
            }
        }
        let new = || Counted { open: 0, bucket: Bucket::full(size, now_ms) };
        Some(self.counted.entry(party).or_insert_with(new))
    }
}

fn size_of_bucket(rules: &Rules) -> u32 {
    rules.connects_per_second.saturating_add(rules.connects_burst)
}
