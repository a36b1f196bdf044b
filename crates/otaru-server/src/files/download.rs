//! The download door: whole files and single ranges of them.
//!
//! Device SDKs follow no redirect, know no chunks, and keep header blocks of a kilobyte: an answer has few headers and
//! always says its length.

use super::{BlockCache, Denied, DoorError, Files, StoredFile, Urls};
use crate::http::{Answer, Body, Incoming, bytes_body};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, Response, StatusCode, header};
use otaru_core::time::Timestamp;
use std::io;
use std::ops::Range;

/// Answers a request for contents.
///
/// # Errors
/// The refusal to answer with.
pub async fn download(
    files: &Files,
    cache: &BlockCache,
    urls: &Urls,
    now: Timestamp,
    request: &Request<Incoming>,
) -> Result<Answer, DoorError> {
    let whole = request.method() == Method::HEAD;
    if !whole && request.method() != Method::GET {
        return Err(DoorError::method());
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let sha256 = match urls.check_download(target, now) {
        Ok(sha256) => sha256,
        Err(Denied::Expired) => return Err(DoorError::expired_url()),
        Err(Denied::Altered) => return Err(DoorError::wrong_signature()),
    };
    let file = open(files, sha256.clone()).await?;
    let total = file.size_bytes();
    let etag = format!("\"{sha256}\"");
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    // A range of other contents would be put behind what the device has.
    let same = text(header::IF_RANGE).is_none_or(|known| known == etag);
    let range = text(header::RANGE).filter(|_| same && !whole);
    let (status, range) = match range.map_or(Asked::Whole, |range| Asked::parse(range, total)) {
        Asked::Whole => (StatusCode::OK, 0..total),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Behind => return Err(DoorError::range(total)),
    };
    let mut answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, range.end - range.start)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag);
    if status == StatusCode::PARTIAL_CONTENT {
        let shown = format!("bytes {}-{}/{total}", range.start, range.end - 1);
        answer = answer.header(header::CONTENT_RANGE, shown);
    }
    let body =
        if whole { bytes_body(Bytes::new()) } else { stream(cache.clone(), sha256, file, range) };
    Ok(answer.body(body).expect("every header is plain text"))
}

async fn open(files: &Files, sha256: String) -> Result<StoredFile, DoorError> {
    let files = files.clone();
    let opened = tokio::task::spawn_blocking(move || files.read(&sha256)).await;
    match opened.map_err(io::Error::other).flatten() {
        Ok(file) => file.ok_or_else(DoorError::no_such_key),
        Err(error) => {
            tracing::error!(%error, "a file can't be read: {error}");
            Err(DoorError::unavailable())
        }
    }
}

/// What thousands fetch at once is read from disk once. The file stays open, so that a download that has begun goes on
/// when it is removed.
fn stream(cache: BlockCache, sha256: String, file: StoredFile, range: Range<u64>) -> Body {
    let state = (cache, sha256, file, range);
    let chunks = futures_util::stream::unfold(state, |(cache, sha256, file, range)| async move {
        if range.is_empty() {
            return None;
        }
        let piece = cache.piece(&sha256, Some(&file), range.clone()).await;
        let read = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let next = (cache, sha256, file, range.start + read..range.end);
        Some((piece.map(Frame::data).map_err(Into::into), next))
    });
    BodyExt::boxed_unsync(StreamBody::new(chunks))
}

/// What a `Range` header asks for (RFC 9110, section 14).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// All, also when the header is none that is understood: then it counts as absent.
    Whole,
    /// At least one byte.
    Part(Range<u64>),
    Behind,
}

impl Asked {
    fn parse(header: &str, total: u64) -> Self {
        Self::parts(header, total).unwrap_or(Self::Whole)
    }

    fn parts(header: &str, total: u64) -> Option<Self> {
        let (unit, range) = header.split_once('=')?;
        let (first, last) =
            range.split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // More digits than fit are a byte behind every file.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let range = match (first.trim(), last.trim()) {
            ("", last) => total.saturating_sub(number(last)?)..total,
            (first, "") => number(first)?..total,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                first..last.saturating_add(1).min(total)
            }
        };
        Some(if range.is_empty() { Self::Behind } else { Self::Part(range) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        for (header, want) in [
            ("bytes=0-", Asked::Part(0..10)),
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=3-5", Asked::Part(3..6)),
            ("bytes=3-99", Asked::Part(3..10)),
            ("bytes=9-", Asked::Part(9..10)),
            ("bytes=-4", Asked::Part(6..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("Bytes = 1 - 2", Asked::Part(1..3)),
            ("bytes=10-", Asked::Behind),
            ("bytes=10-20", Asked::Behind),
            ("bytes=-0", Asked::Behind),
            ("bytes=99999999999999999999999-", Asked::Behind),
            ("bytes=5-3", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(Asked::parse(header, 10), want, "{header}");
        }
    }
}
