//! What a socket did not take.

use bytes::{Buf, BytesMut};

/// Bytes that wait for a socket. Holds no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Backlog(Option<Box<Waiting>>);

#[derive(Debug)]
struct Waiting {
    bytes: BytesMut,
    /// When the socket last took some, on the monotonic clock.
    since_ms: u64,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| &waiting.bytes)
    }

    /// Bytes of memory.
    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes.capacity())
    }

    pub(super) fn push(&mut self, bytes: &[u8], now_ms: u64) {
        if !bytes.is_empty() {
            let new = || Box::new(Waiting { bytes: BytesMut::new(), since_ms: now_ms });
            self.0.get_or_insert_with(new).bytes.extend_from_slice(bytes);
        }
    }

    /// The socket took so many.
    pub(super) fn taken(&mut self, count: usize, now_ms: u64) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.bytes.advance(count);
        waiting.since_ms = now_ms;
        if waiting.bytes.is_empty() {
            self.0 = None;
        }
    }

    /// When the socket has taken nothing for `patience_ms`; 0: there is any amount of that.
    pub(super) fn deadline_ms(&self, patience_ms: u64) -> u64 {
        match &self.0 {
            Some(waiting) if patience_ms > 0 => waiting.since_ms.saturating_add(patience_ms),
            _ => u64::MAX,
        }
    }
}
