//! MQTT inside the binary frames of a WebSocket. Source: RFC 6455; MQTT 3.1.1, section 6.
//!
//! Packets don't follow frames, so nothing is collected until a frame is whole: payloads are unmasked where they lie and
//! handed on, and an idle connection holds no more than the header it is in.

mod frames;

use crate::socket::Socket;
use frames::Frames;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tungstenite::protocol::frame::coding::CloseCode;

/// Bytes that go into one frame, and may wait for the socket once it is begun.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes that may wait before pings go unanswered.
const PONG_BACKLOG_BYTES_MAX: usize = 4 * 1024;

/// A WebSocket whose handshake is done.
#[derive(Debug)]
pub struct WebSocket {
    socket: Socket,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    frames: Frames,
    /// What came behind the handshake, before anybody read frames.
    early: Vec<u8>,
    /// What the socket has not taken. A frame that was begun has to be ended, so this is empty before the next one.
    out: Vec<u8>,
    /// Nothing is said any more: goodbye is on its way.
    said_goodbye: bool,
}

impl WebSocket {
    /// `early` are the bytes that came behind the handshake.
    pub fn new(socket: Socket, early: Vec<u8>) -> Self {
        let (frames, out, said_goodbye) = (Frames::default(), Vec::new(), false);
        Self { socket, state: Mutex::new(State { frames, early, out, said_goodbye }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to wait for, and where, before a read; `None` when there is something already. What still has to go out is
    /// written on the way, as nobody else would wait for it.
    pub fn before_read(&self) -> Option<(&TcpStream, Interest)> {
        let mut state = self.state();
        if !state.early.is_empty() || state.flush(&self.socket).is_err() {
            return None;
        }
        let (socket, interest) = self.socket.before_read()?;
        let writes = (!state.out.is_empty()).then(|| self.socket.before_write().1);
        Some((socket, writes.map_or(interest, |writes| interest | writes)))
    }

    /// What to wait for, and where, before a write.
    pub fn before_write(&self) -> (&TcpStream, Interest) {
        self.socket.before_write()
    }

    /// Reads some bytes of MQTT; 0 when the peer has sent all it will.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] when it sends what it must not, which it is told.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut state = self.state();
        loop {
            state.flush(&self.socket)?;
            if state.frames.is_over() {
                return Ok(0);
            }
            let read = if state.early.is_empty() {
                self.socket.try_read(buffer)?
            } else {
                let count = state.early.len().min(buffer.len());
                buffer[..count].copy_from_slice(&state.early[..count]);
                state.early.drain(..count);
                count
            };
            if read == 0 {
                return Ok(0);
            }
            let count = state.decode(&mut buffer[..read])?;
            // Answers to pings and goodbyes leave at once if they can; else with the next look.
            state.flush(&self.socket)?;
            if count > 0 {
                return Ok(count);
            }
        }
    }

    /// Writes some bytes of MQTT. A frame that is begun counts as written: its rest leaves before anything else.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        let mut state = self.state();
        if state.said_goodbye {
            return Err(ErrorKind::BrokenPipe.into());
        }
        state.flush(&self.socket)?;
        if !state.out.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES_MAX)];
        frames::binary(chunk, &mut state.out);
        state.flush(&self.socket)?;
        Ok(chunk.len())
    }

    /// Says goodbye and sends no more.
    pub fn close(&self) {
        let mut state = self.state();
        state.say_goodbye(CloseCode::Normal);
        // Whoever doesn't take it is not told.
        let _ = state.flush(&self.socket);
        drop(state);
        self.socket.close();
    }
}

impl State {
    /// Leaves the payload of `raw` at its beginning, answers what has to be answered, and says how long it is.
    fn decode(&mut self, raw: &mut [u8]) -> Result<usize> {
        let Self { frames, out, said_goodbye, .. } = self;
        let mut answer = |frame: &[u8], is_goodbye: bool| {
            if !*said_goodbye && (is_goodbye || out.len() < PONG_BACKLOG_BYTES_MAX) {
                out.extend_from_slice(frame);
                *said_goodbye = is_goodbye;
            }
        };
        frames.decode(raw, &mut answer).map_err(|code| {
            self.say_goodbye(code);
            Error::new(ErrorKind::InvalidData, format!("a WebSocket was misused: {code}"))
        })
    }

    fn say_goodbye(&mut self, code: CloseCode) {
        if !self.said_goodbye {
            self.said_goodbye = true;
            frames::close(code, &mut self.out);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&mut self, socket: &Socket) -> Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match socket.try_write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if sent == self.out.len() {
            // An idle connection holds nothing.
            self.out = Vec::new();
        } else {
            self.out.drain(..sent);
        }
        Ok(())
    }
}
