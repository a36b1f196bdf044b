//! The checks that come before any look-up, and the one shape that every answer has.
//!
//! Of several faults the first in the order of [`check`] is told.

use base64::Engine;
use md5::{Digest, Md5};
use otaru_core::refusal::Refusal;
use otaru_core::time::Timestamp;

use super::auth::{self, Claim, Scheme};
use super::error::{GatewayError, refusal_fields};
use super::op::{self, Op};
use super::params::Params;
use super::tree::{Fields, Node};
use super::{Incoming, json, xml};

/// The version of the API.
pub const VERSION: &str = "2018-01-20";

/// Longest request line with headers: SDKs put everything into the query, and Chinese text grows ninefold there.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Longest body.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// The format that the caller asked for, `None` when there is none of that name.
    fn of(request: &Incoming, params: &Params) -> Option<Self> {
        match (params.get("Format"), Scheme::of(request)) {
            (None, Scheme::V1) => Some(Self::Xml),
            (None, Scheme::V3) => Some(Self::Json),
            (Some(name), _) if name.eq_ignore_ascii_case("json") => Some(Self::Json),
            (Some(name), _) if name.eq_ignore_ascii_case("xml") => Some(Self::Xml),
            (Some(_), _) => None,
        }
    }
}

/// A request whose form is right; who sent it is still only claimed.
#[derive(Debug)]
pub struct Checked {
    pub op: &'static Op,
    pub params: Params,
    pub claim: Claim,
}

/// Checks a request up to the point where its key has to be looked up; tells how to print the answer either way.
///
/// # Errors
/// The first fault, from `UnsupportedHTTPMethod` to `MissingSignature`.
pub fn check(request: &Incoming, now: Timestamp) -> (Format, Result<Checked, GatewayError>) {
    let form = read_form(request);
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let params = Params::parse(query, form);
    let asked = params.as_ref().map_or(Some(Format::Xml), |params| Format::of(request, params));
    let format = match (asked, Scheme::of(request), &params) {
        (_, Scheme::V3, Err(_)) => Format::Json,
        (asked, ..) => asked.unwrap_or(Format::Xml),
    };
    let checked = check_length(request)
        .and_then(|()| check_md5(request))
        .and(params)
        .and_then(|params| check_common(request, params, asked, now));
    (format, checked)
}

fn check_length(request: &Incoming) -> Result<(), GatewayError> {
    if !["GET", "POST"].contains(&request.method) {
        return Err(GatewayError::method());
    }
    let headers: usize =
        request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let announced = request.header("content-length").map(|length| length.trim().parse());
    let is_as_announced = announced.is_none_or(|length| length == Ok(request.body.len()));
    if request.target.len() + headers > HEAD_BYTES_MAX
        || request.body.len() > BODY_BYTES_MAX
        || !is_as_announced
    {
        return Err(GatewayError::length());
    }
    Ok(())
}

fn check_md5(request: &Incoming) -> Result<(), GatewayError> {
    let Some(announced) = request.header("content-md5") else { return Ok(()) };
    let computed = base64::engine::general_purpose::STANDARD.encode(Md5::digest(request.body));
    if announced.trim() == computed { Ok(()) } else { Err(GatewayError::content_md5()) }
}

fn check_common(
    request: &Incoming,
    params: Params,
    format: Option<Format>,
    now: Timestamp,
) -> Result<Checked, GatewayError> {
    let scheme = Scheme::of(request);
    let common =
        |name| scheme.common(request, &params, name).ok_or_else(|| GatewayError::missing(name));
    let action = common("Action")?;
    if common("Version")? != VERSION {
        return Err(GatewayError::invalid("Version"));
    }
    let op = op::find(action).ok_or_else(GatewayError::unknown_action)?;
    format.ok_or_else(GatewayError::format)?;
    if let Some(name) = params.repeated() {
        return Err(GatewayError::invalid(name));
    }
    let claim = auth::claim(request, &params, now)?;
    Ok(Checked { op, params, claim })
}

/// The body as far as it is a form. A body that says it is something else is no parameters; a v3 signature covers it
/// all the same.
fn read_form<'a>(request: &Incoming<'a>) -> Option<&'a [u8]> {
    let kind = request.header("content-type").map(|kind| kind.split(';').next().unwrap_or(kind));
    let is_form = kind
        .is_none_or(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    (is_form && request.body.len() <= BODY_BYTES_MAX).then_some(request.body)
}

/// What goes back to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn success(format: Format, action: &str, request_id: String, reply: Fields) -> Self {
        let mut fields = vec![("RequestId", Node::Text(request_id))];
        // A refusal that carries data says so itself.
        if !reply.iter().any(|(name, _)| *name == "Success") {
            fields.push(("Success", Node::Boolean(true)));
        }
        fields.extend(reply);
        Self::print(format, 200, &format!("{action}Response"), fields)
    }

    /// A refused act: HTTP 200, for SDKs read `Success`.
    pub fn refusal(format: Format, action: &str, request_id: String, refusal: &Refusal) -> Self {
        let fields = refusal_fields(refusal, request_id);
        Self::print(format, 200, &format!("{action}Response"), fields)
    }

    /// A refused request; `host` is the address that the caller used.
    pub fn error(format: Format, error: GatewayError, request_id: String, host: &str) -> Self {
        let (status, retry_after) = (error.status, error.retry_after);
        let mut answer = Self::print(format, status, "Error", error.into_fields(request_id, host));
        let retry_after = retry_after.map(|seconds| ("x-acs-retry-after", seconds.to_string()));
        answer.headers.extend(retry_after);
        answer
    }

    fn print(format: Format, status: u16, root: &str, fields: Fields) -> Self {
        // SDKs compare the content type letter by letter before they read XML.
        let (content_type, body) = match format {
            Format::Json => ("application/json;charset=utf-8", json::print(fields)),
            Format::Xml => ("text/xml;charset=utf-8", xml::print(root, fields)),
        };
        Self { status, headers: vec![("Content-Type", content_type.to_owned())], body }
    }
}

/// A request id as SDKs know it, from a random number: an upper-case UUID (RFC 9562, version 4).
pub fn request_id(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032X}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
