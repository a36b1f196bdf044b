//! Request targets that are longer than hyper takes.
//!
//! SDKs put every parameter into the query, and a few thousand Chinese characters are 40 KB there; hyper stops at
//! 64 KiB. [`LongTargets`] stands between it and the socket, follows heads and bodies, and puts a short target in the
//! place of a long one, under which [`Kept::take`] gives the long one back.

use super::taking::Taken;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest target that is left to hyper.
const SHORT_BYTES: usize = 32 * 1024;
/// Bytes of a head that are kept until it is whole; a longer one is left to hyper, which refuses it.
const HEAD_BYTES_MAX: usize = super::listen::HEAD_BYTES_MAX;
/// Bytes of a body that are read at once.
const BODY_READ_BYTES: usize = 64 * 1024;
/// Targets that may wait for their requests: a client that waits for answers has one.
const KEPT_MAX: usize = 2;
/// How short targets that stand for long ones begin.
const STAND_IN: &str = "/?long-target=";

/// The long targets of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<VecDeque<(String, String)>>>);

impl Kept {
    /// The long target that `target` stands for.
    pub fn take(&self, target: &str) -> Option<String> {
        // Nothing panics while it is half changed.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(short, _)| short == target)?;
        kept.remove(at).map(|(_, long)| long)
    }

    /// Keeps `long` under `short`; `false` when too many are kept.
    fn keep(&self, short: &str, long: &str) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = kept.len() < KEPT_MAX;
        if room {
            kept.push_back((short.to_owned(), long.to_owned()));
        }
        room
    }
}

/// What the next byte from the socket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Head,
    /// A body with so many bytes to come.
    Body(u64),
    /// Something that isn't followed any more: chunks, or what is no HTTP.
    Unknown,
}

/// A socket whose long targets are kept aside.
#[derive(Debug)]
pub(super) struct LongTargets<S> {
    socket: S,
    kept: Kept,
    next: Next,
    /// The head so far.
    head: BytesMut,
    /// What may be read.
    ready: BytesMut,
    heads: u64,
    taken: Taken,
}

impl<S> LongTargets<S> {
    pub fn new(socket: S, kept: Kept, taken: Taken) -> Self {
        let (head, ready) = (BytesMut::new(), BytesMut::new());
        Self { socket, kept, next: Next::Head, head, ready, heads: 0, taken }
    }

    /// The socket, and what came from it that nobody has read.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        let Self { socket, head, ready, .. } = self;
        (socket, [ready, head].concat())
    }

    /// Takes in bytes that begin where the last ones ended.
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.next {
                Next::Unknown => {
                    self.ready.extend_from_slice(bytes);
                    return;
                }
                Next::Body(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.ready.extend_from_slice(&bytes[..length]);
                    self.read_of_body(length);
                    bytes = &bytes[length..];
                }
                Next::Head => {
                    let before = self.head.len();
                    self.head.extend_from_slice(bytes);
                    let Some(end) = head_end(&self.head, before) else {
                        if self.head.len() > HEAD_BYTES_MAX {
                            self.give_up();
                        }
                        return;
                    };
                    self.head.truncate(end);
                    bytes = &bytes[end - before..];
                    self.head_is_whole();
                }
            }
        }
    }

    fn read_of_body(&mut self, length: usize) {
        if let Next::Body(left) = self.next {
            let left = left.saturating_sub(length as u64);
            self.next = if left == 0 { Next::Head } else { Next::Body(left) };
        }
    }

    fn give_up(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.ready.unsplit(head);
        self.next = Next::Unknown;
    }

    fn head_is_whole(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.next = body_of(&head);
        self.heads += 1;
        let short = format!("{STAND_IN}{}", self.heads);
        match long_target(&head) {
            Some((before, target, after)) if self.kept.keep(&short, target) => {
                self.ready.extend_from_slice(before);
                self.ready.extend_from_slice(short.as_bytes());
                self.ready.extend_from_slice(after);
            }
            _ => self.ready.unsplit(head),
        }
    }
}

/// Where the head ends of which all bytes before `seen` were looked at: behind an empty line. hyper takes line feeds
/// without carriage returns too.
fn head_end(head: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let ends = |rest: &[u8]| match rest {
        [b'\n', b'\n', ..] => Some(2),
        [b'\n', b'\r', b'\n', ..] => Some(3),
        _ => None,
    };
    (from..head.len()).find_map(|at| Some(at + ends(&head[at..])?))
}

/// What follows a whole head. Whatever could be understood in two ways is not followed.
fn body_of(head: &[u8]) -> Next {
    let mut lengths = Vec::new();
    for line in head.split(|&b| b == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade")
        {
            return Next::Unknown;
        }
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            lengths
                .push(str::from_utf8(value).ok().filter(|_| digits).and_then(|v| v.parse().ok()));
        }
    }
    match lengths[..] {
        [] | [Some(0)] => Next::Head,
        [Some(length)] => Next::Body(length),
        _ => Next::Unknown,
    }
}

/// The parts of a head around a target of the path `/` that is too long for hyper.
fn long_target(head: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let line = head.iter().position(|&b| b == b'\n')?;
    if line < SHORT_BYTES {
        return None;
    }
    let begin = head.iter().position(|&b| b == b' ')? + 1;
    let length = head[begin..line].iter().position(|&b| b == b' ')?;
    let (target, after) = head[begin..].split_at(length);
    let is_plain = target.starts_with(b"/?") && target.iter().all(u8::is_ascii_graphic);
    let target = str::from_utf8(target).ok().filter(|_| is_plain && length > SHORT_BYTES)?;
    Some((&head[..begin], target, after))
}

impl<S: AsyncRead + Unpin> AsyncRead for LongTargets<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let length = this.ready.len().min(out.remaining());
                out.put_slice(&this.ready[..length]);
                this.ready.advance(length);
                if this.ready.is_empty() {
                    // An idle connection holds nothing.
                    this.ready = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if let Next::Unknown = this.next {
                return Pin::new(&mut this.socket).poll_read(cx, out);
            }
            if let Next::Body(left) = this.next {
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let most = most.min(out.remaining()).min(BODY_READ_BYTES);
                let mut part = ReadBuf::new(out.initialize_unfilled_to(most));
                ready!(Pin::new(&mut this.socket).poll_read(cx, &mut part))?;
                let length = part.filled().len();
                out.advance(length);
                this.read_of_body(length);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; 8 * 1024];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                if this.head.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.give_up();
            }
            this.feed(read.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LongTargets<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.taken.watch(write, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write_vectored(cx, parts);
        this.taken.watch(write, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::taking::Taking;
    use super::*;
    use crate::clock::Clock;
    use crate::doors::DoorLimits;

    /// What comes out when `input` comes in by `step` bytes, and the targets that were kept.
    fn through(input: &[u8], step: usize) -> (String, Vec<String>) {
        let kept = Kept::default();
        let taken = Taken::new(Taking::new(&DoorLimits::default(), Clock::system()));
        let mut targets = LongTargets::new((), kept.clone(), taken);
        let mut out = Vec::new();
        let mut taken = Vec::new();
        for chunk in input.chunks(step) {
            targets.feed(chunk);
            out.extend_from_slice(&targets.ready.split());
            let known: Vec<String> =
                kept.0.lock().unwrap().iter().map(|(short, _)| short.clone()).collect();
            taken.extend(known.iter().filter_map(|short| kept.take(short)));
        }
        out.extend_from_slice(&targets.head);
        (String::from_utf8(out).unwrap(), taken)
    }

    #[test]
    fn a_long_target_is_kept_wherever_its_request_begins() {
        let long = format!("/?Action=A&Udi={}", "%E5".repeat(30_000));
        let get = format!("GET {long} HTTP/1.1\r\nHost: h\r\n\r\n");
        for (before, n) in [
            ("", 1),
            ("GET /?short HTTP/1.1\r\nHost: h\r\n\r\n", 2),
            ("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /\r\n\r\nabc", 2),
            ("POST / HTTP/1.1\ncontent-length : 0\n\n", 2),
        ] {
            for step in [1, 7, 8_192, 1_000_000] {
                let (out, kept) = through(format!("{before}{get}").as_bytes(), step);
                let want = format!("{before}GET /?long-target={n} HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_eq!((out, kept), (want, vec![long.clone()]), "{before} {step}");
            }
        }
    }

    #[test]
    fn everything_else_passes_as_it_came() {
        let x = "x".repeat(70_000);
        for input in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "garbage".into(),
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(),
            format!("GET /{x} HTTP/1.1\r\n\r\n"),
            format!("GET /?\u{e9}{x} HTTP/1.1\r\n\r\n"),
            format!("{x}\r\n\r\n"),
            "x".repeat(HEAD_BYTES_MAX + 9),
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET /?{x} HTTP/1.1\r\n\r\n"
            ),
            format!(
                "POST / HTTP/1.1\r\nContent-Length: 9\r\nContent-Length: 0\r\n\r\nGET /?{x} HTTP/1.1\r\n\r\n"
            ),
            format!("POST / HTTP/1.1\r\nContent-Length: +0\r\n\r\nGET /?{x} HTTP/1.1\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nContent-Length: 90000\r\n\r\nGET /?{x} HTTP/1.1\r\n\r\n"),
        ] {
            for step in [1, 7, 8_192, 1_000_000] {
                let (out, kept) = through(input.as_bytes(), step);
                assert!(
                    out == input && kept.is_empty(),
                    "{step} {}",
                    &input[..input.len().min(80)]
                );
            }
        }
    }
}
