//! How both file doors turn a request down.

use crate::http::{Answer, BodyError, bytes_body};
use hyper::{Response, StatusCode};

/// A refusal with its answer. The codes are those of the storage service that clients of the cloud API upload to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct DoorError {
    pub status: u16,
    /// Clients match on it.
    pub code: &'static str,
    pub message: String,
    /// Bytes of the file whose end a range is behind.
    total: Option<u64>,
}

impl From<BodyError> for DoorError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken => Self::broken_body(),
            BodyError::Slow => Self::timeout(),
            BodyError::Full => Self::unavailable(),
        }
    }
}

impl DoorError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), total: None }
    }

    pub fn malformed() -> Self {
        let message = "The body of your POST request is not well-formed multipart/form-data.";
        Self::new(400, "MalformedPOSTRequest", message)
    }

    /// The body of a call breaks off, or its chunks are malformed.
    pub fn broken_body() -> Self {
        Self::new(400, "MalformedPOSTRequest", "The body of your request is not well-formed.")
    }

    pub fn file_count() -> Self {
        let message = "The form must hold exactly one file.";
        Self::new(400, "IncorrectNumberOfFilesInPOSTRequest", message)
    }

    pub fn long_field() -> Self {
        Self::new(400, "FieldItemTooLong", "A form field is too long.")
    }

    pub fn unknown_key_id() -> Self {
        let message = "The OSS Access Key Id you provided does not exist in our records.";
        Self::new(403, "InvalidAccessKeyId", message)
    }

    pub fn wrong_signature() -> Self {
        let message =
            "The request signature we calculated does not match the signature you provided.";
        Self::new(403, "SignatureDoesNotMatch", message)
    }

    /// `why` completes "Invalid according to Policy: ".
    pub fn policy(why: &str) -> Self {
        Self::new(403, "AccessDenied", format!("Invalid according to Policy: {why}"))
    }

    pub fn expired_url() -> Self {
        Self::new(403, "AccessDenied", "Request has expired.")
    }

    pub fn unsigned_url() -> Self {
        Self::new(403, "AccessDenied", "You have no right to access this object.")
    }

    pub fn too_large(bytes_max: u64) -> Self {
        let message = format!("The entity size exceeds the maximum limit. {bytes_max}");
        Self::new(400, "EntityTooLarge", message)
    }

    pub fn no_such_key() -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.")
    }

    pub fn method() -> Self {
        Self::new(405, "MethodNotAllowed", "The method is not allowed.")
    }

    /// A range behind the end of a file of `total` bytes.
    pub fn range(total: u64) -> Self {
        let error = Self::new(416, "InvalidRange", "The requested range cannot be satisfied.");
        Self { total: Some(total), ..error }
    }

    /// `why` says what a request for a WebSocket lacks.
    pub fn websocket(why: &str) -> Self {
        Self::new(400, "InvalidArgument", format!("The WebSocket can't be opened: {why}."))
    }

    /// A body that comes too slowly.
    pub fn timeout() -> Self {
        let message = "Your socket connection to the server was not read from or written to within the timeout period.";
        Self::new(400, "RequestTimeout", message)
    }

    pub fn unavailable() -> Self {
        let message = "The request has failed due to a temporary failure of the server.";
        Self::new(503, "ServiceUnavailable", message)
    }

    /// The answer; `host` is the address that the caller used.
    pub fn answer(&self, request_id: &str, host: &str) -> Answer {
        let text = |text: &str| quick_xml::escape::escape(text).into_owned();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{}</RequestId><HostId>{}</HostId></Error>",
            self.code,
            text(&self.message),
            text(request_id),
            text(host)
        );
        let length = body.len();
        let mut answer = Response::builder();
        if let Some(total) = self.total {
            answer = answer.header("Content-Range", format!("bytes */{total}"));
        }
        answer
            .status(StatusCode::from_u16(self.status).expect("every status here is one"))
            .header("Content-Type", "application/xml")
            .header("Content-Length", length)
            .body(bytes_body(body.into()))
            .expect("every header is plain text")
    }
}
