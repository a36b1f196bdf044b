//! What all connections of a door keep in buffers together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that connections, known by number, keep for what isn't whole yet or was not taken yet. Above a bound the one
/// that keeps most has to go: a device that says what others say keeps next to nothing.
#[derive(Debug)]
pub struct Held {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    total: usize,
    by_number: BTreeMap<u64, usize>,
    by_size: BTreeSet<(usize, u64)>,
}

impl Inner {
    fn set(&mut self, no: u64, bytes: usize) {
        let before =
            if bytes == 0 { self.by_number.remove(&no) } else { self.by_number.insert(no, bytes) };
        if let Some(before) = before {
            self.total -= before;
            self.by_size.remove(&(before, no));
        }
        if bytes > 0 {
            self.total += bytes;
            self.by_size.insert((bytes, no));
        }
    }
}

impl Held {
    /// With room for `bytes_max` bytes; 0: for any number of them.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a connection keeps from now on, and returns who has to go for it, perhaps that connection itself.
    /// They are not counted any more.
    pub fn set(&self, no: u64, bytes: usize) -> Vec<u64> {
        let mut inner = self.inner();
        inner.set(no, bytes);
        let mut going = Vec::new();
        while self.bytes_max > 0 && inner.total > self.bytes_max {
            let Some(&(_, largest)) = inner.by_size.last() else { break };
            inner.set(largest, 0);
            going.push(largest);
        }
        going
    }

    pub fn bytes(&self) -> usize {
        self.inner().total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_most_goes_first_and_frees_what_he_kept() {
        let held = Held::new(100);
        for (no, bytes, going, left) in [
            (1, 60, vec![], 60),
            (2, 30, vec![], 90),
            (3, 10, vec![], 100),
            (3, 11, vec![1], 41),
            (1, 0, vec![], 41),
            (4, 200, vec![4], 41),
            (2, 0, vec![], 11),
            (3, 0, vec![], 0),
            (3, 0, vec![], 0),
        ] {
            assert_eq!(held.set(no, bytes), going, "{no} keeps {bytes}");
            assert_eq!(held.bytes(), left);
        }
        let unlimited = Held::new(0);
        assert_eq!(unlimited.set(1, usize::MAX / 2), Vec::<u64>::new());
    }
}
