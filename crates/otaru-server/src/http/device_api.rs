//! Devices that speak HTTP instead of MQTT: they prove who they are, and report. Source: the device protocol reference,
//! HTTPS device access.
//!
//! Answers have HTTP status 200 whatever their code: old SDKs read no other.

use super::bodies::{BodyError, Whole};
use super::device::json;
use super::upgrade::PeerAddress;
use super::{Answer, Backend, Incoming, Router};
use crate::files::DoorError;
use crate::metrics::DeviceHttp;
use hyper::{Method, Request};
use otaru_core::device_http::{HttpClaim, HttpError, Token, answer};
use std::net::{IpAddr, Ipv4Addr};

const AUTH_PATH: &str = "/auth";
const TOPIC_PATH: &str = "/topic/";
/// Longest proof in bytes. Those of SDKs have 200.
const PROOF_BYTES_MAX: usize = 4 * 1024;
/// Longest message in bytes.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Bits of a message's number: it is positive whichever integers a device has for it.
const MESSAGE_ID_BITS: u32 = 62;

/// Whether a path is one of these.
pub(super) fn is_device_api(path: &str) -> bool {
    path == AUTH_PATH || path.starts_with(TOPIC_PATH)
}

impl<B: Backend> Router<B> {
    /// Answers a device.
    ///
    /// # Errors
    /// For another method than POST.
    pub(super) async fn device_api(&self, request: Request<Incoming>) -> Result<Answer, DoorError> {
        if request.method() != Method::POST {
            return Err(DoorError::method());
        }
        let outcome = if request.uri().path() == AUTH_PATH {
            self.authenticate(request).await
        } else {
            self.post(request).await
        };
        self.metrics.device_http.count(DeviceHttp::of(&outcome));
        Ok(json(answer(&outcome)))
    }

    async fn authenticate(&self, request: Request<Incoming>) -> Result<String, HttpError> {
        let address = address(&request);
        let body = self.whole(request.into_body(), PROOF_BYTES_MAX).await?;
        let claim = HttpClaim::parse(&body.bytes)?;
        let token = self.backend.authenticate(claim, address).await;
        let token = token.unwrap_or(Err(HttpError::Common))?;
        Ok(format!(r#"{{"token":"{token}"}}"#))
    }

    async fn post(&self, request: Request<Incoming>) -> Result<String, HttpError> {
        let address = address(&request);
        let token = request.headers().get("password").ok_or(HttpError::NoToken)?;
        let token = Token::parse(token.to_str().map_err(|_| HttpError::Token)?)?;
        // With the slash before it.
        let topic = request.uri().path()[TOPIC_PATH.len() - 1..].to_owned();
        let mut payload = self.whole(request.into_body(), MESSAGE_BYTES_MAX).await?;
        let bytes = std::mem::take(&mut payload.bytes);
        let told = self.backend.post(token, topic, bytes, address).await;
        let told = told.unwrap_or(Err(HttpError::Common))?;
        let number = self.random.number() >> (u128::BITS - MESSAGE_ID_BITS);
        Ok(match told {
            None => format!(r#"{{"messageId":{number}}}"#),
            Some(data) => format!(r#"{{"messageId":{number},"data":{data}}}"#),
        })
    }

    /// A body that is all there and not too long.
    async fn whole(&self, body: Incoming, bytes_max: usize) -> Result<Whole, HttpError> {
        match self.bodies.collect(body, bytes_max).await {
            Ok(body) if body.bytes.len() <= bytes_max => Ok(body),
            Ok(_) | Err(BodyError::Broken | BodyError::Slow) => Err(HttpError::Parameter),
            Err(BodyError::Full) => Err(HttpError::TooMany),
        }
    }
}

fn address(request: &Request<Incoming>) -> IpAddr {
    let peer = request.extensions().get::<PeerAddress>();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddress(peer)| *peer)
}
