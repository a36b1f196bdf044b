//! The HTTP listener: which door a request is for.
//!
//! A request for a WebSocket on `/` or `/mqtt` is a device, `POST /` with a form of several parts is an upload, everything
//! else on `/` a signed call, `/d/…` a download, `/auth…` and `/topic/…` are for devices.

mod bodies;
mod device;
mod device_api;
mod listen;
mod long;
mod presence;
mod taking;
#[cfg(test)]
mod tests;
mod turned;
mod upgrade;

pub use bodies::{Bodies, BodyError, Pace};
pub use listen::serve;
pub use upgrade::Devices;

use crate::clock::Clock;
use crate::doors::{DoorLimits, Guard};
use crate::files::upload::{Ticket, is_form, upload};
use crate::files::{BlockCache, DoorError, Files, Urls, download::download};
use crate::metrics::{FileCode, Metrics, RpcCode};
use crate::random::Random;
use crate::rpc;
use crate::rpc::error::GatewayError;
use crate::rpc::gateway::{BODY_BYTES_MAX, request_id};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, header};
use otaru_core::device_http::{HttpClaim, HttpError, Token};
use otaru_core::package::Blob;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use std::net::IpAddr;
use std::sync::Arc;

/// What the body of a request is.
pub type Incoming = hyper::body::Incoming;
type SendError = Box<dyn std::error::Error + Send + Sync>;
pub type Body = UnsyncBoxBody<Bytes, SendError>;
pub type Answer = Response<Body>;

/// The target of a request as it came, where the request has a stand-in for it.
#[derive(Debug, Clone)]
struct LongTarget(String);

/// The rest of the server couldn't do it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server can't do this now")]
pub struct Unavailable;

/// The rest of the server, as this listener needs it.
pub trait Backend: Send + Sync + 'static {
    /// Answers a request to `/`.
    fn call(&self, request: rpc::Incoming<'_>)
    -> impl Future<Output = rpc::gateway::Answer> + Send;

    /// The upload ticket of a key, `None` when none was issued.
    fn ticket(
        &self,
        key: String,
    ) -> impl Future<Output = Result<Option<Ticket>, Unavailable>> + Send;

    /// A token for a device that proves its secret.
    fn authenticate(
        &self,
        claim: HttpClaim,
        address: IpAddr,
    ) -> impl Future<Output = Result<Result<String, HttpError>, Unavailable>> + Send;

    /// Takes a message of a device in; the inner value is JSON that the device is told, if any.
    fn post(
        &self,
        token: Token,
        topic: String,
        payload: Vec<u8>,
        address: IpAddr,
    ) -> impl Future<Output = Result<Result<Option<String>, HttpError>, Unavailable>> + Send;

    /// Gives a device that proves its product's secret a secret of its own.
    fn enrol(
        &self,
        claim: Claim,
        grant: Grant,
    ) -> impl Future<Output = Result<Result<Enrolled, RegisterError>, Unavailable>> + Send;

    /// Notes that the file of a ticket is stored; `false` when the ticket can't take it any more.
    fn uploaded(
        &self,
        key: String,
        blob: Blob,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;
}

/// All that requests share.
#[derive(Debug)]
pub struct Router<B> {
    pub backend: B,
    pub files: Files,
    /// What is hot of them.
    pub cache: BlockCache,
    pub urls: Urls,
    pub clock: Clock,
    pub random: Random,
    pub metrics: Metrics,
    /// Who takes devices that come by WebSocket; such requests are refused without it.
    pub devices: Option<Devices>,
    /// Who says who may connect; without one anybody may.
    pub guard: Option<Arc<Guard>>,
    pub limits: DoorLimits,
    pub bodies: Arc<Bodies>,
}

/// A body that is there already.
pub fn bytes_body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

impl<B: Backend> Router<B> {
    /// Answers one request.
    pub async fn route(&self, request: Request<Incoming>) -> Answer {
        let now = self.clock.now().wall;
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default().to_owned();
        let path = request.uri().path();
        let outcome = if upgrade::is_websocket(&request) && ["/", "/mqtt"].contains(&path) {
            upgrade::accept(self.devices.as_ref(), request)
        } else if path == "/" && is_form(&request) && request.method() != Method::GET {
            self.form(now, request).await
        } else if path == "/" {
            self.call(request).await
        } else if device::is_for_devices(path) {
            self.for_device(request).await
        } else if device_api::is_device_api(path) {
            self.device_api(request).await
        } else if Urls::is_download(path) {
            download(&self.files, &self.cache, &self.urls, now, &request).await
        } else if !path.starts_with("/ota/") {
            Err(DoorError::no_such_key())
        } else if [Method::GET, Method::HEAD].contains(request.method()) {
            // The address by which calls name a file; only the URLs that devices get can be fetched.
            Err(DoorError::unsigned_url())
        } else {
            Err(DoorError::method())
        };
        outcome.unwrap_or_else(|error| {
            self.metrics.file_errors.count(FileCode::of(error.code));
            error.answer(&request_id(self.random.number()), &host)
        })
    }

    async fn form(
        &self,
        now: otaru_core::time::Timestamp,
        request: Request<Incoming>,
    ) -> Result<Answer, DoorError> {
        if request.method() != Method::POST {
            return Err(DoorError::method());
        }
        upload(&self.backend, &self.files, &self.urls, &self.bodies, now, request).await
    }

    async fn call(&self, request: Request<Incoming>) -> Result<Answer, DoorError> {
        let (head, body) = request.into_parts();
        // Nobody reads it when the sender is gone; one whose body is malformed does.
        let body = match self.bodies.collect(body, BODY_BYTES_MAX).await {
            Ok(whole) => Ok(whole),
            Err(BodyError::Full) => Err(()),
            Err(error) => return Err(error.into()),
        };
        let text =
            |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        let target = match head.extensions.get::<LongTarget>() {
            Some(LongTarget(target)) => target,
            None => head.uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        let bytes = body.as_ref().map_or(&[][..], |whole| &whole.bytes);
        let incoming =
            rpc::Incoming { method: head.method.as_str(), target, headers: &headers, body: bytes };
        let answer = match body {
            Ok(_) => self.backend.call(incoming).await,
            Err(()) => self.no_room(&incoming),
        };
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response = response.header(header::CONTENT_LENGTH, answer.body.len());
        response.body(bytes_body(answer.body.into())).map_err(|error| {
            tracing::error!(%error, "an answer can't be sent: {error}");
            DoorError::unavailable()
        })
    }

    /// The answer to a call for whose body there is no room.
    fn no_room(&self, call: &rpc::Incoming<'_>) -> rpc::gateway::Answer {
        self.metrics.rpc_errors.count(RpcCode::Unavailable);
        let host = call.header("host").unwrap_or_default();
        let (format, _) = rpc::gateway::check(call, self.clock.now().wall);
        let id = request_id(self.random.number());
        rpc::gateway::Answer::error(format, GatewayError::unavailable(), id, host)
    }
}
