//! Bytes between a connection and its socket.

use super::{Connection, End};
use crate::mqtt::Devices;
use bytes::BytesMut;
use otaru_mqtt::session::Session;
use std::cell::RefCell;
use std::io::ErrorKind;

const READ_BYTES: usize = 64 * 1024;
/// A larger buffer is given back after use.
const WRITE_BYTES_KEPT: usize = 64 * 1024;

thread_local! {
    /// Buffers of whichever connection works just now, so that idle ones hold none.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITE: RefCell<BytesMut> = RefCell::default();
}

impl<D: Devices> Connection<D> {
    pub(super) fn read(&mut self) -> Result<(), End> {
        let mut buffer = READ.take();
        buffer.resize(READ_BYTES, 0);
        // What follows a CONNECT stays where it is until that has been judged.
        let is_stranger = !self.session.is_connected();
        let most =
            if is_stranger { self.gateway.devices_may.connect_bytes_max } else { READ_BYTES };
        let result = match self.link.try_read(&mut buffer[..most.min(READ_BYTES)]) {
            Ok(0) => Err(End::Eof),
            Ok(count) => {
                let result = self.advance(&mut &buffer[..count]);
                self.note_read(count);
                result
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(End::Broken(error.kind())),
        };
        READ.set(buffer);
        result
    }

    /// Writes what `compose` makes to the socket, and keeps what that doesn't take.
    pub(super) fn write(
        &mut self,
        compose: impl FnOnce(&mut Session, &mut BytesMut),
    ) -> Result<(), End> {
        let mut out = WRITE.take();
        compose(&mut self.session, &mut out);
        let mut sent = 0;
        let mut result = Ok(());
        while self.backlog.is_empty() && sent < out.len() {
            match self.link.try_write(&out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if is_passing(&error) => break,
                Err(error) => {
                    result = Err(End::Broken(error.kind()));
                    break;
                }
            }
        }
        self.backlog.push(&out[sent..], self.now_ms());
        self.note_written(out.len());
        if out.capacity() <= WRITE_BYTES_KEPT {
            out.clear();
            WRITE.set(out);
        }
        let is_slow = self.backlog.bytes().len() > self.gateway.devices_may.backlog_bytes_max;
        if is_slow { Err(End::Slow) } else { result }
    }

    pub(super) fn flush(&mut self) -> Result<(), End> {
        while !self.backlog.is_empty() {
            match self.link.try_write(self.backlog.bytes()) {
                Ok(count) => self.backlog.taken(count, self.now_ms()),
                Err(error) if is_passing(&error) => return Ok(()),
                Err(error) => return Err(End::Broken(error.kind())),
            }
        }
        Ok(())
    }

    /// Counts what is kept for packets that aren't whole yet, or not taken yet, among what all connections keep.
    pub(super) fn note_held(&mut self) {
        let bytes = self.session.kept_capacity() + self.backlog.capacity();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes != self.held_bytes {
            self.held_bytes = bytes;
            for no in self.gateway.held.set(self.no, bytes as usize) {
                self.gateway.registry.relieve(no);
            }
        }
    }
}

/// Whether a socket only has to be waited for.
fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
