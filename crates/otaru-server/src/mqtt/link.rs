//! The wire under a connection: a socket, a WebSocket, or a pipe in memory for a node on simulated time.

use super::websocket::WebSocket;
use crate::socket::Socket;
use crate::tls::Certified;
use otaru_core::time::Timestamp;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Two streams of bytes, one in each direction. `try_…` never wait: [`ErrorKind::WouldBlock`] says to wait for the
/// other method first.
#[derive(Debug)]
pub enum Link {
    Socket(Socket),
    /// Apart, as it is larger than the others.
    WebSocket(Box<WebSocket>),
    Memory(MemoryLink),
}

impl Link {
    /// The device that the peer's certificate names, if it has shown one that is good at `now`.
    pub fn certified(&self, now: Timestamp) -> Option<Certified> {
        match self {
            Self::Socket(socket) => socket.certified(now),
            // Browsers and pipes are never asked for one.
            Self::WebSocket(_) | Self::Memory(_) => None,
        }
    }

    /// Whether a read has a chance; otherwise the task is woken once it may have one. Only the task that asked last is.
    ///
    /// Nothing is kept for the wait but the task's waker, in the socket: a future of its own would cost every connection
    /// at rest 150 bytes.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let before_read = match self {
            Self::Socket(socket) => socket.before_read(),
            Self::WebSocket(socket) => socket.before_read(),
            Self::Memory(pipe) => return pipe.poll_readable(context).map(Ok),
        };
        match before_read {
            Some((socket, interest)) => poll_ready(socket, interest, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The same before a write.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let (socket, interest) = match self {
            Self::Socket(socket) => socket.before_write(),
            Self::WebSocket(socket) => socket.before_write(),
            Self::Memory(pipe) => return pipe.poll_writable(context).map(Ok),
        };
        poll_ready(socket, interest, context)
    }

    /// Waits until a read has a chance. Wakes early at times.
    pub async fn readable(&self) -> Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Waits until a write has a chance. Wakes early at times.
    pub async fn writable(&self) -> Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    /// Reads some bytes; 0 when the peer has sent all it will.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_read(buffer),
            Self::WebSocket(socket) => socket.try_read(buffer),
            Self::Memory(pipe) => pipe.try_read(buffer),
        }
    }

    /// Writes some bytes. What was not taken has to come again first.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_write(bytes),
            Self::WebSocket(socket) => socket.try_write(bytes),
            Self::Memory(pipe) => pipe.try_write(bytes),
        }
    }

    /// Sends no more. What was written still arrives.
    pub fn close(&self) {
        match self {
            Self::Socket(socket) => socket.close(),
            Self::WebSocket(socket) => socket.close(),
            Self::Memory(pipe) => pipe.close(),
        }
    }
}

fn poll_ready(
    socket: &TcpStream,
    interest: Interest,
    context: &mut Context<'_>,
) -> Poll<Result<()>> {
    if interest.is_readable()
        && let Poll::Ready(result) = socket.poll_read_ready(context)
    {
        return Poll::Ready(result);
    }
    if interest.is_writable() { socket.poll_write_ready(context) } else { Poll::Pending }
}

/// One end of a connection in memory. Dropping it closes it.
#[derive(Debug)]
pub struct MemoryLink {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    state: Mutex<PipeState>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct PipeState {
    /// Who waits for a change.
    waiting: Vec<Waker>,
    bytes: VecDeque<u8>,
    /// The writer is gone: after the bytes comes the end.
    ended: bool,
    /// The connection is reset: both ends get errors and the bytes are lost.
    reset: bool,
    /// Nothing passes any more and nobody is told.
    silent: bool,
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), capacity })
    }

    fn state(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut PipeState)) {
        let mut state = self.state();
        change(&mut state);
        let woken = std::mem::take(&mut state.waiting);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>, ready: impl FnOnce(&PipeState) -> bool) -> Poll<()> {
        let mut state = self.state();
        if ready(&state) {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl MemoryLink {
    /// Both ends of a connection that holds up to `capacity` bytes in each direction.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (there, back) = (Pipe::new(capacity), Pipe::new(capacity));
        let near = Self { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) };
        (near, Self { incoming: there, outgoing: back })
    }

    /// Resets the connection: both ends get errors, bytes on the way are lost.
    pub fn cut(&self) {
        for pipe in [&self.incoming, &self.outgoing] {
            pipe.change(|state| {
                state.bytes = VecDeque::new();
                state.reset = true;
            });
        }
    }

    /// Lets everything vanish from now on without either end being told, as when a device loses its network.
    pub fn silence(&self) {
        for pipe in [&self.incoming, &self.outgoing] {
            pipe.change(|state| {
                state.bytes = VecDeque::new();
                state.silent = true;
            });
        }
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.incoming.poll(context, |state| {
            !state.silent && (!state.bytes.is_empty() || state.ended || state.reset)
        })
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        let capacity = self.outgoing.capacity;
        self.outgoing
            .poll(context, |state| state.silent || state.reset || state.bytes.len() < capacity)
    }

    pub async fn readable(&self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    pub async fn writable(&self) {
        poll_fn(|context| self.poll_writable(context)).await;
    }

    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut count = 0;
        let mut end = Err(Error::from(ErrorKind::WouldBlock));
        self.incoming.change(|state| {
            if state.silent {
                return;
            }
            if state.reset {
                end = Err(Error::from(ErrorKind::ConnectionReset));
            } else if state.bytes.is_empty() && state.ended {
                end = Ok(0);
            }
            count = buffer.len().min(state.bytes.len());
            for (to, from) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
                *to = from;
            }
            if state.bytes.is_empty() {
                state.bytes = VecDeque::new();
            }
        });
        if count > 0 { Ok(count) } else { end }
    }

    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        let capacity = self.outgoing.capacity;
        let mut result = Ok(bytes.len());
        self.outgoing.change(|state| {
            if state.silent {
                return;
            }
            let room = capacity.saturating_sub(state.bytes.len()).min(bytes.len());
            if state.reset || state.ended {
                result = Err(Error::from(ErrorKind::BrokenPipe));
            } else if room == 0 && !bytes.is_empty() {
                result = Err(Error::from(ErrorKind::WouldBlock));
            } else {
                state.bytes.extend(&bytes[..room]);
                result = Ok(room);
            }
        });
        result
    }

    /// Sends no more; what was written still arrives.
    pub fn close(&self) {
        self.outgoing.change(|state| state.ended = true);
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.close();
        // Nobody will read what the other end still writes.
        self.incoming.change(|state| {
            state.bytes = VecDeque::new();
            state.reset = true;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(link: &MemoryLink) -> std::result::Result<Vec<u8>, ErrorKind> {
        let mut buffer = [0; 8];
        let count = link.try_read(&mut buffer).map_err(|error| error.kind())?;
        Ok(buffer[..count].to_vec())
    }

    fn write(link: &MemoryLink, bytes: &[u8]) -> std::result::Result<usize, ErrorKind> {
        link.try_write(bytes).map_err(|error| error.kind())
    }

    #[test]
    fn a_pipe_holds_its_capacity_and_ends_after_its_bytes() {
        let (a, b) = MemoryLink::pair(4);
        assert_eq!(read(&b), Err(ErrorKind::WouldBlock));
        assert_eq!(write(&a, b"abcdef"), Ok(4));
        assert_eq!(write(&a, b"ef"), Err(ErrorKind::WouldBlock));
        a.close();
        assert_eq!(read(&b), Ok(b"abcd".to_vec()));
        assert_eq!(read(&b), Ok(vec![]));
        assert_eq!(write(&b, b"x"), Ok(1));
        assert_eq!(read(&a), Ok(b"x".to_vec()));
        drop(b);
        assert_eq!(write(&a, b"y"), Err(ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_cut_is_seen_by_both_ends_and_loses_what_was_on_the_way() {
        let (a, b) = MemoryLink::pair(4);
        write(&a, b"ab").unwrap();
        b.cut();
        for end in [&a, &b] {
            assert_eq!(read(end), Err(ErrorKind::ConnectionReset));
            assert_eq!(write(end, b"x"), Err(ErrorKind::BrokenPipe));
        }
    }

    #[test]
    fn silence_is_noticed_by_nobody() {
        let (a, b) = MemoryLink::pair(4);
        write(&a, b"ab").unwrap();
        a.silence();
        for end in [&a, &b] {
            assert_eq!(read(end), Err(ErrorKind::WouldBlock));
            assert_eq!(write(end, b"longer than the pipe"), Ok(20));
        }
    }

    #[tokio::test]
    async fn waiting_ends_with_the_change() {
        let (a, b) = MemoryLink::pair(2);
        tokio::join!(biased; b.readable(), async { write(&a, b"ab").unwrap() });
        tokio::join!(biased; a.writable(), async { read(&b).unwrap() });
        tokio::join!(biased; b.readable(), async { a.cut() });
        b.writable().await;
    }
}
