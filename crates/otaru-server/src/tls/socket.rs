//! A socket that speaks TLS once its handshake is done.

use super::psk::Watch;
use super::trust::Certified;
use openssl::ssl::{ErrorCode, Ssl, SslRef, SslStream};
use openssl::x509::X509VerifyResult;
use otaru_core::signature::psk::PskIdentity;
use otaru_core::time::Timestamp;
use std::future::Ready;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read at once while somebody looks at them.
const WATCHED_BYTES: usize = 2 * 1024;

/// The bytes below TLS. Never waits.
#[derive(Debug)]
struct Bytes {
    tcp: Arc<TcpStream>,
    /// During the handshake, where it may ask for a key; afterwards for what it has read too far.
    watch: Option<Box<Watch>>,
    shaken: bool,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shaken {
            // Nobody is asked any more, and an idle connection holds no bytes that are read already.
            self.watch.take_if(|watch| watch.is_empty());
        }
        let Some(watch) = &mut self.watch else { return self.tcp.try_read(buffer) };
        loop {
            let count = watch.read(buffer);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if watch.is_asking() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let mut bytes = [0; WATCHED_BYTES];
            match self.tcp.try_read(&mut bytes)? {
                0 => return Ok(0),
                count => watch.feed(&bytes[..count]),
            }
        }
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which way the socket has to be ready before TLS gets on. Either may be the case for a read as for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Read,
    Write,
}

impl Need {
    fn interest(self) -> Interest {
        match self {
            Self::Read => Interest::READABLE,
            Self::Write => Interest::WRITABLE,
        }
    }
}

#[derive(Debug)]
struct Wire {
    stream: SslStream<Bytes>,
    /// What the last read waits for.
    reading: Need,
    /// What the last write waits for.
    writing: Need,
}

/// A socket under TLS. `try_…` never wait, as those of a plain one.
#[derive(Debug)]
pub struct TlsSocket {
    // Beside the one in the stream, so that it can be waited for without the lock.
    tcp: Arc<TcpStream>,
    wire: Mutex<Wire>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct HandshakeError {
    pub error: openssl::ssl::Error,
    /// What the check of the peer's certificate came to, as far as there was one.
    pub certificate: X509VerifyResult,
}

impl<E: Into<openssl::ssl::Error>> From<E> for HandshakeError {
    fn from(error: E) -> Self {
        Self { error: error.into(), certificate: X509VerifyResult::OK }
    }
}

impl TlsSocket {
    /// Shakes hands over `tcp`, as the side that `ssl` was prepared for. Sets no deadline.
    ///
    /// # Errors
    /// What TLS says when the sides don't agree or the peer goes.
    pub async fn shake_hands(ssl: Ssl, tcp: TcpStream) -> Result<Self, HandshakeError> {
        Self::shake_hands_with(ssl, tcp, None::<fn(PskIdentity) -> Ready<()>>).await
    }

    /// The same, where `prepare` puts the key of an identity where the library finds it.
    pub(super) async fn shake_hands_with<F: Future<Output = ()>>(
        ssl: Ssl,
        tcp: TcpStream,
        prepare: Option<impl Fn(PskIdentity) -> F>,
    ) -> Result<Self, HandshakeError> {
        let tcp = Arc::new(tcp);
        let watch = prepare.is_some().then(Box::default);
        let mut stream =
            SslStream::new(ssl, Bytes { tcp: Arc::clone(&tcp), watch, shaken: false })?;
        while let Err(error) = stream.do_handshake() {
            if let (Some(watch), Some(prepare)) = (&mut stream.get_mut().watch, &prepare)
                && let Some(identity) = watch.asked()
            {
                prepare(identity).await;
                watch.go_on();
                continue;
            }
            // A socket that failed meanwhile fails the next step too, which says how.
            let _ = match need(&error) {
                Some(Need::Read) => tcp.readable().await,
                Some(Need::Write) => tcp.writable().await,
                None => {
                    let certificate = stream.ssl().verify_result();
                    return Err(HandshakeError { error, certificate });
                }
            };
        }
        stream.get_mut().shaken = true;
        let wire = Mutex::new(Wire { stream, reading: Need::Read, writing: Need::Write });
        Ok(Self { tcp, wire })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // TLS leaves nothing half done when it panics; the next step fails instead.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the session.
    pub fn session<T>(&self, ask: impl FnOnce(&SslRef) -> T) -> T {
        ask(self.wire().stream.ssl())
    }

    /// The device that the peer's certificate names, if it has shown one that is good at `now`.
    pub fn certified(&self, now: Timestamp) -> Option<Certified> {
        self.session(|session| Certified::of(session, now))
    }

    /// Waits until a read has a chance. Wakes early at times.
    pub async fn readable(&self) -> io::Result<()> {
        match self.before_read() {
            Some(interest) => self.tcp.ready(interest).await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits until a write has a chance. Wakes early at times.
    pub async fn writable(&self) -> io::Result<()> {
        self.tcp.ready(self.before_write()).await.map(drop)
    }

    /// The socket below, to wait for what [`Self::before_read`] and [`Self::before_write`] say.
    pub fn below(&self) -> &TcpStream {
        &self.tcp
    }

    /// What to wait for before a read; `None` when there is something already.
    pub fn before_read(&self) -> Option<Interest> {
        let wire = self.wire();
        // Deciphered bytes wait in memory, where no socket tells of them.
        (wire.stream.ssl().pending() == 0).then(|| wire.reading.interest())
    }

    /// What to wait for before a write.
    pub fn before_write(&self) -> Interest {
        self.wire().writing.interest()
    }

    /// Reads some bytes; 0 when the peer has sent all it will.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire().read(buffer)
    }

    /// Writes some bytes. What was not taken has to come again first, since a part of it may be on its way.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.wire().write(bytes)
    }

    /// Sends no more: says goodbye, then closes this direction. What the peer sent meanwhile is read away, as on a
    /// plain socket.
    pub fn close(&self) {
        // The peer may have closed before us; then there is nobody to tell.
        let _ = self.wire().stream.shutdown();
        crate::socket::close(&self.tcp);
    }
}

impl Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.ssl_read(buffer);
        self.reading = result.as_ref().err().and_then(need).unwrap_or(Need::Read);
        result.or_else(|error| match error.code() {
            // The second: it closed without goodbye, which many devices do.
            ErrorCode::ZERO_RETURN => Ok(0),
            ErrorCode::SYSCALL if error.io_error().is_none() => Ok(0),
            _ => Err(as_io(error)),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stream.ssl_write(bytes);
        self.writing = result.as_ref().err().and_then(need).unwrap_or(Need::Write);
        result.map_err(as_io)
    }
}

fn need(error: &openssl::ssl::Error) -> Option<Need> {
    match error.code() {
        ErrorCode::WANT_READ => Some(Need::Read),
        ErrorCode::WANT_WRITE => Some(Need::Write),
        _ => None,
    }
}

fn as_io(error: openssl::ssl::Error) -> Error {
    match need(&error) {
        Some(_) => ErrorKind::WouldBlock.into(),
        None => error.into_io_error().unwrap_or_else(|error| match error.code() {
            ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN => ErrorKind::BrokenPipe.into(),
            _ => Error::new(ErrorKind::InvalidData, error),
        }),
    }
}

impl TlsSocket {
    /// Does `work` until it needs no socket.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut work: impl FnMut(&mut Wire) -> (io::Result<T>, Need),
    ) -> Poll<io::Result<T>> {
        let wire = self.wire.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            match work(wire) {
                (Err(error), need) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(match need {
                        Need::Read => self.tcp.poll_read_ready(context),
                        Need::Write => self.tcp.poll_write_ready(context),
                    })?;
                }
                (result, _) => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read =
            self.poll(context, |wire| (wire.read(buffer.initialize_unfilled()), wire.reading));
        let count = ready!(read)?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |wire| (wire.write(bytes), wire.writing))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}
