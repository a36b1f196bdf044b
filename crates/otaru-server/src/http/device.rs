//! What devices ask for over HTTP. Source: the device protocol reference, dynamic registration.

use super::{Answer, Backend, BodyError, Incoming, Router, bytes_body};
use crate::files::DoorError;
use crate::rpc::params::Params;
use hyper::{Method, Request, Response, header};
use otaru_core::registration::{Claim, Grant, RegisterError};

/// Where a device gets a secret of its own.
const REGISTER: &str = "/auth/register/device";
/// Longest form of a registration in bytes.
const FORM_BYTES_MAX: usize = 4 * 1024;

/// Whether the path is one of these.
pub(super) fn is_for_devices(path: &str) -> bool {
    path == REGISTER
}

impl<B: Backend> Router<B> {
    pub(super) async fn for_device(&self, request: Request<Incoming>) -> Result<Answer, DoorError> {
        if request.method() != Method::POST {
            return Err(DoorError::method());
        }
        let body = match self.bodies.collect(request.into_body(), FORM_BYTES_MAX).await {
            Ok(body) => Ok(body),
            Err(BodyError::Full) => Err(RegisterError::Internal),
            Err(error) => return Err(error.into()),
        };
        let outcome = match body.and_then(|body| read_claim(&body.bytes)) {
            Ok(claim) => self
                .backend
                .enrol(claim, Grant::Secret)
                .await
                .unwrap_or(Err(RegisterError::Internal)),
            Err(error) => {
                // Who proves nothing is counted where the proof is looked at; this one never gets there.
                self.metrics.registrations.count(Some(error).into());
                Err(error)
            }
        };
        Ok(json(match outcome {
            Ok(enrolled) => {
                let data = enrolled.to_secret();
                format!(r#"{{"code":200,"data":{data},"message":"success"}}"#)
            }
            Err(error) => {
                format!(r#"{{"code":{},"data":{{}},"message":"{error}"}}"#, error.code())
            }
        }))
    }
}

fn read_claim(body: &[u8]) -> Result<Claim, RegisterError> {
    if body.len() > FORM_BYTES_MAX {
        return Err(RegisterError::Parameter);
    }
    let form = Params::parse("", Some(body)).map_err(|_| RegisterError::Parameter)?;
    let text = |name: &str| form.get(name).unwrap_or_default();
    let method = form.get("signMethod").ok_or(RegisterError::Parameter)?;
    Claim::new(text("productKey"), text("deviceName"), text("random"), method, text("sign"))
}

/// A body of known length: the C SDKs look for `Content-Length` and read no chunks.
pub(super) fn json(text: String) -> Answer {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, text.len())
        .body(bytes_body(text.into()))
        .expect("these headers are well-formed")
}
