//! A connection that was accepted: plain or under TLS.

use crate::tls::{Certified, TlsSocket};
use otaru_core::time::Timestamp;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A socket. `try_…` never wait: [`io::ErrorKind::WouldBlock`] says to wait for the other method first.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    /// Apart, as it is larger.
    Tls(Box<TlsSocket>),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl From<TlsSocket> for Socket {
    fn from(socket: TlsSocket) -> Self {
        Self::Tls(Box::new(socket))
    }
}

impl Socket {
    /// The device that the peer's certificate names, if it has shown one that is good at `now`.
    pub fn certified(&self, now: Timestamp) -> Option<Certified> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(socket) => socket.certified(now),
        }
    }

    /// What to wait for, and where, before a read; `None` when there is something already.
    pub fn before_read(&self) -> Option<(&TcpStream, Interest)> {
        match self {
            Self::Tcp(socket) => Some((socket, Interest::READABLE)),
            Self::Tls(socket) => Some((socket.below(), socket.before_read()?)),
        }
    }

    /// What to wait for, and where, before a write.
    pub fn before_write(&self) -> (&TcpStream, Interest) {
        match self {
            Self::Tcp(socket) => (socket, Interest::WRITABLE),
            Self::Tls(socket) => (socket.below(), socket.before_write()),
        }
    }

    /// Reads some bytes; 0 when the peer has sent all it will.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => read(socket, buffer),
            Self::Tls(socket) => socket.try_read(buffer),
        }
    }

    /// Writes some bytes. What was not taken has to come again first.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write(bytes),
            Self::Tls(socket) => socket.try_write(bytes),
        }
    }

    /// Sends no more. What was written still arrives: what the peer sent meanwhile is read away, since a socket that
    /// closes on unread bytes resets the connection and takes our last words along.
    pub fn close(&self) {
        match self {
            Self::Tcp(socket) => close(socket),
            Self::Tls(socket) => socket.close(),
        }
    }
}

/// Reads some bytes of a plain socket. One that had less than there was room for is empty, so that it is waited for next
/// without a second read that finds nothing.
fn read(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (mut count, room) = (0, buffer.len());
    let result = socket.try_io(Interest::READABLE, || {
        count = rustix::io::read(socket, &mut *buffer)?;
        // Which also says that there is no more to read for now.
        let is_empty = 0 < count && count < room;
        if is_empty { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if count > 0 { Ok(count) } else { result.map(|()| 0) }
}

/// Closes our direction of a plain socket, and reads away what has come.
pub(crate) fn close(socket: &TcpStream) {
    // The peer may have closed before us; then there is nobody to tell.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
    let mut waste = [0; 4096];
    // A few rounds only: somebody who sends without end loses our last words.
    (0..16).take_while(|_| matches!(socket.try_read(&mut waste), Ok(1..))).count();
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, parts),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            // Its records are made one by one.
            Self::Tls(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0.into(), far)
    }

    /// The next bytes, at most as many as there is room for.
    async fn read(socket: &Socket, room: usize) -> Vec<u8> {
        let mut buffer = vec![0; room];
        loop {
            let (tcp, _) = socket.before_read().unwrap();
            poll_fn(|context| tcp.poll_read_ready(context)).await.unwrap();
            match socket.try_read(&mut buffer) {
                Ok(count) => return buffer[..count].to_vec(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    #[tokio::test]
    async fn what_comes_after_a_read_that_left_room_is_read_too() {
        let (socket, mut far) = pair().await;
        far.write_all(b"abcd").await.unwrap();
        assert_eq!(read(&socket, 2).await, b"ab");
        assert_eq!(read(&socket, 8).await, b"cd");
        let nothing = socket.try_read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        far.write_all(b"ef").await.unwrap();
        assert_eq!(read(&socket, 8).await, b"ef");
    }

    #[tokio::test]
    async fn the_end_that_came_with_the_last_bytes_is_seen() {
        let (socket, mut far) = pair().await;
        far.write_all(b"ab").await.unwrap();
        far.shutdown().await.unwrap();
        assert_eq!(read(&socket, 8).await, b"ab");
        assert_eq!(read(&socket, 8).await, b"");
        drop(far);
        assert_eq!(read(&socket, 8).await, b"");
    }
}
