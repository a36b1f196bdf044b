//! Devices that come by WebSocket. Source: RFC 6455, section 4; MQTT 3.1.1, section 6.

use super::listen::limit_stall;
use super::long::LongTargets;
use super::{Answer, Incoming, bytes_body};
use crate::files::DoorError;
use crate::mqtt::WebSocket;
use crate::socket::Socket;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;

/// Takes devices over.
#[derive(Clone)]
pub struct Devices(Arc<dyn Fn(WebSocket, IpAddr) + Send + Sync>);

impl Devices {
    pub fn new(take: impl Fn(WebSocket, IpAddr) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Devices")
    }
}

/// Sub-protocols that mean MQTT, in the order in which they are taken.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub IpAddr);

/// Whether a request asks for a WebSocket.
pub(super) fn is_websocket(request: &Request<Incoming>) -> bool {
    words(request.headers(), &header::UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket"))
}

/// Answers such a request, and hands the device over once the answer is out.
///
/// # Errors
/// When the request lacks something, or nobody takes devices.
pub(super) fn accept(
    devices: Option<&Devices>,
    mut request: Request<Incoming>,
) -> Result<Answer, DoorError> {
    let Devices(take) = devices.ok_or_else(DoorError::no_such_key)?.clone();
    if request.method() != Method::GET {
        return Err(DoorError::method());
    }
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if text(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(DoorError::websocket("Sec-WebSocket-Version is not 13"));
    }
    let key = text(header::SEC_WEBSOCKET_KEY)
        .ok_or_else(|| DoorError::websocket("Sec-WebSocket-Key is missing"))?;
    let key = derive_accept_key(key.as_bytes());
    let offered: Vec<_> = words(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    let protocol = PROTOCOLS.into_iter().find(|known| offered.contains(known));
    if protocol.is_none() && !offered.is_empty() {
        return Err(DoorError::websocket("Sec-WebSocket-Protocol does not name mqtt"));
    }
    let mut answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, key);
    // One that offers none gets none: it would close the connection otherwise.
    if let Some(protocol) = protocol {
        answer = answer.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let answer = answer.body(bytes_body(Bytes::new())).map_err(|_| DoorError::unavailable())?;
    let peer = request.extensions().get::<PeerAddress>().copied();
    let PeerAddress(peer) = peer.ok_or_else(DoorError::unavailable)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => take(below(upgraded), peer),
            Err(error) => tracing::debug!(%error, "a WebSocket was not opened: {error}"),
        }
    });
    Ok(answer)
}

/// The socket below all that HTTP has put on it, so that none of its buffers stays.
fn below(upgraded: Upgraded) -> WebSocket {
    let parts = upgraded
        .downcast::<TokioIo<LongTargets<Socket>>>()
        .expect("every connection is served on such a socket");
    let (socket, unread) = parts.io.into_inner().into_parts();
    // Devices have limits of their own.
    limit_stall(socket.before_write().0, 0);
    WebSocket::new(socket, [&parts.read_buf[..], &unread].concat())
}

/// Words of a header that lists them, over all its lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}
