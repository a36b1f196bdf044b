//! The caller's side of the door: builds signed requests. Sends nothing.

use otaru_core::signature::rpc::{V3_ALGORITHM, V3Request, v1_sign, v1_string_to_sign, v3_sign};
use otaru_core::signature::{enc, sha256_hex};
use otaru_core::time::Timestamp;

use super::Incoming;
use super::gateway::{Format, VERSION};

/// An access key with its secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub access_key_secret: String,
    /// Of a temporary key.
    pub security_token: Option<String>,
}

/// Which signature to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    V1,
    V3,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Signed {
    /// As the door sees it.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: self.method,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// What makes a request the one it is: when and by which number it was signed.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    pub now: Timestamp,
    /// Must differ from call to call.
    pub nonce: &'a str,
}

/// Signs a POST of `params` to `host` (with the port, as the `Host` header will say it). Parameters travel in a form
/// body, where they may be long.
pub fn sign(
    signing: Signing,
    credentials: &Credentials,
    host: &str,
    action: &str,
    params: &[(String, String)],
    format: Format,
    moment: Moment,
) -> Signed {
    let date = date(moment.now);
    let mut params = params.to_vec();
    let format = if format == Format::Json { "JSON" } else { "XML" };
    params.push(("Format".to_owned(), format.to_owned()));
    match signing {
        Signing::V1 => v1(credentials, host, action, params, &date, moment.nonce),
        Signing::V3 => v3(credentials, host, action, &params, &date, moment.nonce),
    }
}

fn v1(
    credentials: &Credentials,
    host: &str,
    action: &str,
    mut params: Vec<(String, String)>,
    date: &str,
    nonce: &str,
) -> Signed {
    let common = [
        ("Action", action),
        ("Version", VERSION),
        ("AccessKeyId", &credentials.access_key_id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", nonce),
        ("Timestamp", date),
    ];
    params.extend(common.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let token = credentials.security_token.clone();
    params.extend(token.map(|token| ("SecurityToken".to_owned(), token)));
    let pairs = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signature = v1_sign(&credentials.access_key_secret, &v1_string_to_sign("POST", pairs));
    params.push(("Signature".to_owned(), signature));
    let headers = headers(&[("host", host), ("content-type", FORM)]);
    Signed { method: "POST", target: "/".to_owned(), headers, body: form(&params) }
}

fn v3(
    credentials: &Credentials,
    host: &str,
    action: &str,
    params: &[(String, String)],
    date: &str,
    nonce: &str,
) -> Signed {
    let body = form(params);
    let payload_sha256 = sha256_hex(&body);
    let mut pairs = vec![
        ("content-type", FORM),
        ("host", host),
        ("x-acs-action", action),
        ("x-acs-content-sha256", &payload_sha256),
        ("x-acs-date", date),
        ("x-acs-signature-nonce", nonce),
        ("x-acs-version", VERSION),
    ];
    if let Some(token) = &credentials.security_token {
        pairs.insert(2, ("x-acs-accesskey-id", &credentials.access_key_id));
        pairs.insert(6, ("x-acs-security-token", token));
    }
    let mut headers = headers(&pairs);
    let signed_headers: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let signed_headers = signed_headers.join(";");
    let request = V3Request {
        method: "POST",
        query: &[],
        headers: &headers,
        signed_headers: &signed_headers,
        payload_sha256: &payload_sha256,
    };
    let signature = v3_sign(&credentials.access_key_secret, &request.string_to_sign());
    let id = &credentials.access_key_id;
    let authorization = format!(
        "{V3_ALGORITHM} Credential={id},SignedHeaders={signed_headers},Signature={signature}"
    );
    headers.push(("authorization".to_owned(), authorization));
    Signed { method: "POST", target: "/".to_owned(), headers, body }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn form(params: &[(String, String)]) -> Vec<u8> {
    let pairs: Vec<_> =
        params.iter().map(|(name, value)| format!("{}={}", enc(name), enc(value))).collect();
    pairs.join("&").into_bytes()
}

/// `yyyy-MM-ddTHH:mm:ssZ`
fn date(now: Timestamp) -> String {
    let seconds = now.0.div_euclid(1_000);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_written_in_whole_seconds() {
        assert_eq!(date(Timestamp(1_767_323_045_999)), "2026-01-02T03:04:05Z");
    }
}
