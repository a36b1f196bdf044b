//! The upload door: a form with one file, posted to `/`.

use super::{DoorError, Files, Form, NewFile, Urls};
use crate::http::{Answer, Backend, Bodies, BodyError, Incoming, Pace, bytes_body};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::{Request, Response, StatusCode, header, header::HeaderMap};
use multer::{Field, Multipart};
use otaru_core::package::Blob;
use otaru_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::{JoinHandle, spawn_blocking};

/// Longest field beside the file.
const FIELD_BYTES_MAX: usize = 4 * 1024;
/// Most fields beside the file.
const FIELDS_MAX: usize = 32;
/// Bytes that may come in without anything being done with them: the parser keeps what it can't use yet.
const UNUSED_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are written at once, while the next ones come in.
const WRITE_BYTES: usize = 512 * 1024;
/// Bytes of a refused upload that are still read, for clients that only listen after they have sent all.
const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that an upload takes at most while it comes in: a piece that comes, one that is written, and two for MD5.
const ROOM_BYTES: usize = 4 * WRITE_BYTES + 1024 * 1024;

/// A ticket as this door checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub bytes_max: u64,
    /// A call has used the file; it can't be replaced any more.
    pub used: bool,
}

/// Why an upload has no answer of success.
enum Failure {
    Refused(DoorError),
    /// Nothing more is worth waiting for.
    Slow(DoorError),
    /// The sender is gone, or so it seems.
    Gone,
}

impl From<DoorError> for Failure {
    fn from(error: DoorError) -> Self {
        Self::Refused(error)
    }
}

impl From<multer::Error> for Failure {
    fn from(error: multer::Error) -> Self {
        match error {
            multer::Error::StreamReadFailed(cause) if cause.is::<Flood>() => {
                DoorError::long_field().into()
            }
            multer::Error::StreamReadFailed(cause) => {
                match cause.downcast_ref::<BodyError>().copied() {
                    Some(error @ (BodyError::Slow | BodyError::Full)) => Self::Slow(error.into()),
                    Some(BodyError::Broken) | None => Self::Gone,
                }
            }
            _ => DoorError::malformed().into(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing can be done with what comes in")]
struct Flood;

/// Whether a request is for this door.
pub fn is_form(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Takes a form in. The answer of success leaves when the file and the row that knows it are durable.
///
/// # Errors
/// The refusal to answer with, and with it nothing is kept.
pub async fn upload<B: Backend>(
    backend: &B,
    files: &Files,
    urls: &Urls,
    bodies: &Arc<Bodies>,
    now: Timestamp,
    request: Request<Incoming>,
) -> Result<Answer, DoorError> {
    let _room = bodies.room(ROOM_BYTES)?;
    let (head, body) = request.into_parts();
    let mut coming = Coming { body, bodies, pace: bodies.pace() };
    match receive(backend, files, urls, now, &head.headers, &mut coming).await {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused(error)) => {
            drain(&mut coming).await;
            Err(error)
        }
        Err(Failure::Slow(error)) => Err(error),
        // Whatever is answered, nobody reads it.
        Err(Failure::Gone) => Err(DoorError::malformed()),
    }
}

/// A body that comes in.
struct Coming<'a> {
    body: Incoming,
    bodies: &'a Bodies,
    pace: Pace,
}

impl Coming<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.bodies.next(&mut self.body, &mut self.pace).await
    }
}

async fn receive<B: Backend>(
    backend: &B,
    files: &Files,
    urls: &Urls,
    now: Timestamp,
    headers: &HeaderMap,
    body: &mut Coming<'_>,
) -> Result<Answer, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let boundary =
        kind.and_then(|kind| multer::parse_boundary(kind).ok()).ok_or_else(DoorError::malformed)?;
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let allowance = Arc::new(AtomicU64::new(UNUSED_BYTES_MAX));
    let mut form = Multipart::new(metered(body, Arc::clone(&allowance)), boundary);

    let mut fields: Vec<(String, String)> = Vec::new();
    let file = loop {
        let field = form.next_field().await?.ok_or_else(DoorError::file_count)?;
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            break field;
        }
        if fields.len() == FIELDS_MAX || fields.iter().any(|(known, _)| *known == name) {
            return Err(DoorError::malformed().into());
        }
        fields.push((name, text(field).await?));
        allowance.store(UNUSED_BYTES_MAX, Ordering::Relaxed);
    };
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        found.filter(|value| !value.is_empty()).ok_or_else(DoorError::malformed)
    };
    let claimed = Form {
        key: field("key")?,
        policy: field("policy")?,
        access_key_id: field("ossaccesskeyid")?,
        signature: field("signature")?,
    };
    urls.check_form(&claimed, now)?;
    let condition = || DoorError::policy("Policy Condition failed: [\"eq\", \"$key\"]");
    let ticket = backend.ticket(claimed.key.clone()).await.map_err(|_| DoorError::unavailable())?;
    let ticket = ticket.filter(|ticket| !ticket.used).ok_or_else(condition)?;
    // The fields of a form are far shorter than what they may be.
    let around = (FIELD_BYTES_MAX * FIELDS_MAX) as u64;
    if announced.is_some_and(|bytes| bytes > ticket.bytes_max.saturating_add(around)) {
        return Err(DoorError::too_large(ticket.bytes_max).into());
    }

    let written = write(files, file, ticket.bytes_max, &allowance).await?;
    if let Some(more) = form.next_field().await? {
        let is_file = more.name().is_some_and(|name| name.eq_ignore_ascii_case("file"));
        return Err(if is_file { DoorError::file_count() } else { DoorError::malformed() }.into());
    }
    let blob = keep(written).await?;
    let kept = backend.uploaded(claimed.key, blob).await.map_err(|_| DoorError::unavailable())?;
    if !kept {
        return Err(condition().into());
    }
    let wanted = field("success_action_status").ok();
    let status = match wanted.as_deref() {
        Some("200") => StatusCode::OK,
        Some("201") => StatusCode::CREATED,
        _ => StatusCode::NO_CONTENT,
    };
    let mut answer = Response::new(bytes_body(Bytes::new()));
    *answer.status_mut() = status;
    Ok(answer)
}

/// The chunks of a body, until more of them came in than the allowance.
fn metered<'a>(
    coming: &'a mut Coming<'_>,
    allowance: Arc<AtomicU64>,
) -> impl futures_util::Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a
{
    futures_util::stream::unfold(coming, |coming| async move {
        Some((coming.next().await.transpose()?, coming))
    })
    .map(move |chunk| {
        let chunk = chunk?;
        let length = chunk.len() as u64;
        let spent = allowance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(length));
        spent.map(|_| chunk).map_err(|_| Flood.into())
    })
}

async fn drain(coming: &mut Coming<'_>) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = coming.next().await {
        bytes += chunk.len();
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await? {
        if bytes.len() + chunk.len() > FIELD_BYTES_MAX {
            return Err(DoorError::long_field().into());
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| DoorError::malformed().into())
}

async fn write(
    files: &Files,
    mut field: Field<'_>,
    bytes_max: u64,
    allowance: &AtomicU64,
) -> Result<NewFile, Failure> {
    let files = files.clone();
    let mut written = spawn_blocking(move || Ok((files.create(bytes_max)?, true)));
    let mut waiting: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    loop {
        let chunk = field.chunk().await?;
        let ended = chunk.is_none();
        bytes += chunk.as_ref().map_or(0, Bytes::len);
        waiting.extend(chunk);
        allowance.store(UNUSED_BYTES_MAX, Ordering::Relaxed);
        if bytes < WRITE_BYTES && !ended {
            continue;
        }
        let (mut file, fits) = done(written).await?;
        if !fits {
            return Err(DoorError::too_large(bytes_max).into());
        }
        let chunks = std::mem::take(&mut waiting);
        bytes = 0;
        written = spawn_blocking(move || {
            let fits = file.write(&chunks)?;
            Ok((file, fits))
        });
        if ended {
            let (file, fits) = done(written).await?;
            return if fits { Ok(file) } else { Err(DoorError::too_large(bytes_max).into()) };
        }
    }
}

async fn keep(file: NewFile) -> Result<Blob, DoorError> {
    done(spawn_blocking(move || file.keep())).await
}

/// The end of work that was begun where it may block.
async fn done<T>(work: JoinHandle<std::io::Result<T>>) -> Result<T, DoorError> {
    work.await.map_err(std::io::Error::other).flatten().map_err(|error| {
        tracing::error!(%error, "an upload was not stored: {error}");
        DoorError::unavailable()
    })
}
