//! Cuts a byte stream into packets and keeps nothing but an incomplete tail.

use crate::codec::{self, DecodeError};
use crate::packet::{Packet, Version};

/// The part of a stream that came but isn't decoded yet. Holds no memory between whole packets.
#[derive(Debug, Default)]
pub struct Framer {
    tail: Vec<u8>,
    /// Bytes of `tail` that are decoded already.
    read: usize,
}

impl Framer {
    /// The next packet of what was kept and then `input`, which moves past what was used. `None` when the packet
    /// isn't whole yet; `input` is then kept and empty. `version` is as for [`codec::decode`].
    ///
    /// # Errors
    /// [`DecodeError`] when the stream is no MQTT or announces a packet of more than `max` bytes, header included.
    pub fn next(
        &mut self,
        input: &mut &[u8],
        max: usize,
        version: &mut Version,
    ) -> Result<Option<Packet>, DecodeError> {
        if self.tail.is_empty() {
            return match codec::frame_length(input, max)? {
                Some(length) if length <= input.len() => {
                    let (frame, rest) = input.split_at(length);
                    *input = rest;
                    codec::decode(frame, version).map(Some)
                }
                _ => {
                    self.keep(input);
                    Ok(None)
                }
            };
        }
        let Some(length) = self.complete_length(input, max)? else { return Ok(None) };
        let missing = length.saturating_sub(self.tail.len() - self.read);
        self.take(input, missing.min(input.len()));
        let Some(frame) = self.tail.get(self.read..self.read + length) else { return Ok(None) };
        let packet = codec::decode(frame, version)?;
        self.read += length;
        if self.read == self.tail.len() {
            *self = Self::default();
        }
        Ok(Some(packet))
    }

    /// Keeps `input` for later without decoding it.
    pub fn keep(&mut self, input: &mut &[u8]) {
        self.tail.drain(..std::mem::take(&mut self.read));
        self.take(input, input.len());
    }

    /// Bytes that are kept.
    pub fn kept_bytes(&self) -> usize {
        self.tail.len() - self.read
    }

    /// Bytes of memory for what is kept, which grows ahead of it.
    pub fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// Length of the packet at the front of the tail, whose header is completed from `input` byte by byte.
    fn complete_length(
        &mut self,
        input: &mut &[u8],
        max: usize,
    ) -> Result<Option<usize>, DecodeError> {
        loop {
            if let Some(length) = codec::frame_length(&self.tail[self.read..], max)? {
                return Ok(Some(length));
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.take(input, 1);
        }
    }

    fn take(&mut self, input: &mut &[u8], count: usize) {
        let (taken, rest) = input.split_at(count);
        self.tail.extend_from_slice(taken);
        *input = rest;
    }
}
