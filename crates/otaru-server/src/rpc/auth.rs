//! Who is calling: the common parameters of both signature versions, and the checks up to the signature.
//!
//! The order of the checks decides which of several faults a caller is told; it is that of this file, top to bottom.

use otaru_core::signature::rpc::{V3_ALGORITHM, V3Request, v1_sign, v1_string_to_sign, v3_sign};
use otaru_core::signature::{same, sha256_hex};
use otaru_core::time::{MINUTE_MS, Timestamp};

use super::Incoming;
use super::error::GatewayError;
use super::params::Params;

/// How far the clocks of a caller and of the server may be apart, either way.
const WINDOW_MS: i64 = 15 * MINUTE_MS;

/// An access key as it is now, and what is known of the token that came with the call.
#[derive(Debug, Clone)]
pub struct AccessKey {
    pub secret: String,
    pub status: KeyStatus,
    /// `None`: the key is permanent.
    pub temporary: Option<Temporary>,
    /// Whether the token of the call was issued for a key, whichever.
    pub token_is_ours: bool,
}

/// What a temporary key has more than a permanent one.
#[derive(Debug, Clone)]
pub struct Temporary {
    pub token: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    Active,
    Inactive,
    /// The account of the key, or the user of it, is switched off.
    AccountDisabled,
}

/// Where a request keeps its common parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Signature version 1.0: everything is a parameter.
    V1,
    /// `ACS3-…`: headers.
    V3,
}

impl Scheme {
    /// Told by the `Authorization` header alone: clients send `x-acs-…` headers with version 1.0 too.
    pub fn of(request: &Incoming) -> Self {
        match request.header("authorization") {
            Some(value) if value.trim_start().starts_with("ACS3-") => Self::V3,
            _ => Self::V1,
        }
    }

    /// A common parameter by its v1 name; `None` when it is absent or empty.
    pub fn common<'a>(
        self,
        request: &'a Incoming,
        params: &'a Params,
        name: &str,
    ) -> Option<&'a str> {
        let header = match (self, name) {
            (Self::V1, _) => return params.get(name),
            (Self::V3, "Action") => "x-acs-action",
            (Self::V3, "Version") => "x-acs-version",
            (Self::V3, "Timestamp") => "x-acs-date",
            (Self::V3, "SignatureNonce") => "x-acs-signature-nonce",
            (Self::V3, "SecurityToken") => "x-acs-security-token",
            (Self::V3, _) => return None,
        };
        request.header(header).map(str::trim).filter(|value| !value.is_empty())
    }
}

/// A well-formed signed request whose signature is still to be verified with the secret of its key.
#[derive(Debug)]
pub struct Claim {
    pub access_key_id: String,
    pub nonce: String,
    /// `SecurityToken`, which only temporary keys have.
    pub token: Option<String>,
    scheme: Scheme,
    /// Whether the signature covers what it has to: body, host, `x-acs-…` headers. Always true in version 1.0.
    covers_all: bool,
    string_to_sign: String,
    signature: String,
}

/// Checks everything about the signature that doesn't need the key.
///
/// # Errors
/// The first fault, from `MissingAccessKeyId` to `MissingSignature`.
pub fn claim(request: &Incoming, params: &Params, now: Timestamp) -> Result<Claim, GatewayError> {
    let scheme = Scheme::of(request);
    let common = |name| scheme.common(request, params, name);
    let authorization = Authorization::of(request);
    let access_key_id = match scheme {
        Scheme::V1 => params.get("AccessKeyId"),
        Scheme::V3 => authorization.credential,
    };
    let access_key_id = access_key_id.ok_or_else(|| GatewayError::missing("AccessKeyId"))?;
    match scheme {
        Scheme::V1 => {
            if params.get("SignatureMethod").is_some_and(|method| method != "HMAC-SHA1") {
                return Err(GatewayError::signature_method());
            }
            for name in ["SignatureMethod", "SignatureVersion"] {
                params.get(name).ok_or_else(|| GatewayError::missing(name))?;
            }
            if params.get("SignatureVersion") != Some("1.0") {
                return Err(GatewayError::invalid("SignatureVersion"));
            }
            if params.get("SignatureType").is_some() {
                return Err(GatewayError::invalid("SignatureType"));
            }
        }
        Scheme::V3 => {
            if authorization.signed_headers.is_none() || authorization.signature.is_none() {
                return Err(GatewayError::incomplete_signature());
            }
            if authorization.algorithm != V3_ALGORITHM {
                return Err(GatewayError::signature_method());
            }
        }
    }
    let sent_at = common("Timestamp").ok_or_else(|| GatewayError::missing("Timestamp"))?;
    let sent_at = timestamp(sent_at).ok_or_else(GatewayError::timestamp_format)?;
    if now.ms_since(sent_at).abs() > WINDOW_MS {
        return Err(GatewayError::timestamp_expired());
    }
    let nonce = common("SignatureNonce").ok_or_else(|| GatewayError::missing("SignatureNonce"))?;
    let signature = match scheme {
        Scheme::V1 => params.get("Signature"),
        Scheme::V3 => authorization.signature,
    };
    let signature = signature.ok_or_else(|| GatewayError::missing("Signature"))?;
    let (string_to_sign, covers_all) = match scheme {
        Scheme::V1 => (v1_string_to_sign(request.method, params.all()), true),
        Scheme::V3 => v3(request, params, authorization.signed_headers.unwrap_or_default()),
    };
    Ok(Claim {
        access_key_id: access_key_id.to_owned(),
        nonce: nonce.to_owned(),
        token: common("SecurityToken").map(str::to_owned),
        scheme,
        covers_all,
        string_to_sign,
        signature: signature.to_owned(),
    })
}

impl Claim {
    /// Verifies the signature with the key that the claim names, `None` when there is no such key.
    ///
    /// # Errors
    /// The first fault, from `InvalidAccessKeyId.NotFound` to `SignatureDoesNotMatch`.
    pub fn verify(&self, key: Option<&AccessKey>, now: Timestamp) -> Result<(), GatewayError> {
        let key = key.ok_or_else(GatewayError::unknown_key)?;
        match key.status {
            KeyStatus::Active => {}
            KeyStatus::Inactive => return Err(GatewayError::inactive_key()),
            KeyStatus::AccountDisabled => return Err(GatewayError::disabled_account()),
        }
        self.check_token(key, now)?;
        let computed = match self.scheme {
            Scheme::V1 => v1_sign(&key.secret, &self.string_to_sign),
            Scheme::V3 => v3_sign(&key.secret, &self.string_to_sign),
        };
        if self.covers_all && same(&self.signature, &computed) {
            return Ok(());
        }
        Err(GatewayError::signature(&self.string_to_sign))
    }

    fn check_token(&self, key: &AccessKey, now: Timestamp) -> Result<(), GatewayError> {
        match (&self.token, &key.temporary) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(GatewayError::missing("SecurityToken")),
            (Some(_), _) if !key.token_is_ours => Err(GatewayError::foreign_token()),
            (Some(token), Some(of_key)) if same(token, &of_key.token) => {
                if now < of_key.expires_at {
                    return Ok(());
                }
                Err(GatewayError::token_expired())
            }
            (Some(_), _) => Err(GatewayError::token_of_other_key()),
        }
    }
}

/// What to sign, and whether the signature covers the body, the host and every `x-acs-…` header.
fn v3(request: &Incoming, params: &Params, signed_headers: &str) -> (String, bool) {
    let payload_sha256 = sha256_hex(request.body);
    let is_signed = |name: &str| {
        signed_headers.split(';').any(|signed| signed.trim().eq_ignore_ascii_case(name))
    };
    let announced = request.header("x-acs-content-sha256").unwrap_or_default();
    let has_to_be_signed = |name: &str| name.len() > 6 && name[..6].eq_ignore_ascii_case("x-acs-");
    let covers_all = announced.trim().eq_ignore_ascii_case(&payload_sha256)
        && is_signed("host")
        && request.headers.iter().all(|(name, _)| !has_to_be_signed(name) || is_signed(name));
    let signed = V3Request {
        method: request.method,
        query: params.query(),
        headers: request.headers,
        signed_headers,
        payload_sha256: &payload_sha256,
    };
    (signed.string_to_sign(), covers_all)
}

/// The parts of an `Authorization` header, each `None` when absent or empty.
#[derive(Default)]
struct Authorization<'a> {
    algorithm: &'a str,
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Authorization<'a> {
    fn of(request: &'a Incoming) -> Self {
        let header = request.header("authorization").unwrap_or_default().trim();
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        let mut parts = Self { algorithm, ..Self::default() };
        for pair in rest.split(',') {
            match pair.trim().split_once('=') {
                None | Some((_, "")) => {}
                Some(("Credential", value)) => parts.credential = Some(value),
                Some(("SignedHeaders", value)) => parts.signed_headers = Some(value),
                Some(("Signature", value)) => parts.signature = Some(value),
                Some(_) => {}
            }
        }
        parts
    }
}

/// `yyyy-MM-ddTHH:mm:ssZ` and nothing else.
fn timestamp(text: &str) -> Option<Timestamp> {
    const PATTERN: &[u8] = b"0000-00-00T00:00:00Z";
    let fits = text.len() == PATTERN.len()
        && text.bytes().zip(PATTERN).all(|(byte, &pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        });
    // RFC 3339 allows a leap second, which has no number of its own.
    let moment: jiff::Timestamp = text.parse().ok().filter(|_| fits && !text.ends_with("60Z"))?;
    Some(Timestamp(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_of_time_is_read() {
        assert_eq!(timestamp("1970-01-01T00:00:01Z"), Some(Timestamp(1_000)));
        assert_eq!(timestamp("2026-01-02T03:04:05Z"), Some(Timestamp(1_767_323_045_000)));
        for text in [
            "",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02t03:04:05z",
            "2026-13-02T03:04:05Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:60Z",
            "1767323045000",
            "2026-01-02T03:04:0５Z",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
