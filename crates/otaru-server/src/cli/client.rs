//! A client of the cloud API of a running server, for the commands that need one.

use std::fmt;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::clock::Clock;
use crate::random::Random;
use crate::rpc::client::{Credentials, Moment, Signing, sign};
use crate::rpc::gateway::Format;

/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where a server listens, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// Reads `host:port` or `http://host:port`.
    ///
    /// # Errors
    /// Anything else, `https` included: calls are signed, and this client speaks no TLS.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.strip_suffix('/').unwrap_or(address);
        ensure!(!address.starts_with("https://"), "{text}: https is not supported here, use http");
        let is_address = !address.is_empty() && !address.contains(['/', '?', '#', '@', ' ']);
        ensure!(is_address, "{text} is no address such as http://127.0.0.1:8080");
        Ok(Self(address.to_owned()))
    }

    /// As the `Host` header says it.
    pub fn host(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// A reply as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    pub code: String,
    pub message: String,
}

/// Opens connections whose packets are not held back for more: nobody here has more to say.
pub(super) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

/// Calls one server with one access key.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    credentials: Credentials,
    signing: Signing,
    clock: Clock,
    random: Random,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub fn new(
        endpoint: Endpoint,
        credentials: Credentials,
        signing: Signing,
        clock: Clock,
        random: Random,
    ) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build(connector());
        Self { endpoint, credentials, signing, clock, random, http }
    }

    /// Calls `action` and returns what the server answers, a refusal too.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(
        &self,
        action: &str,
        params: &[(String, String)],
        format: Format,
    ) -> anyhow::Result<Reply> {
        let host = self.endpoint.host();
        let nonce = self.random.hex(16);
        let moment = Moment { now: self.clock.now().wall, nonce: &nonce };
        let signed = sign(self.signing, &self.credentials, host, action, params, format, moment);
        let uri = format!("{}{}", self.endpoint, signed.target);
        let mut request = Request::builder().method(signed.method).uri(uri);
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(signed.body)))?;
        let unreachable = || format!("no answer from {}", self.endpoint);
        let response = self.http.request(request).await.with_context(unreachable)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
        let Ok(body) = body else { bail!("the answer of {} broke off", self.endpoint) };
        Ok(Reply { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
    }

    /// Calls `action` and returns the reply as JSON.
    ///
    /// # Errors
    /// When no answer comes, and [`Refused`] when the server refuses.
    pub async fn call(
        &self,
        action: &str,
        params: &[(&str, &str)],
    ) -> anyhow::Result<serde_json::Value> {
        let params: Vec<_> =
            params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let reply = self.send(action, &params, Format::Json).await?;
        if let Some(refused) = reply.refused() {
            return Err(refused).with_context(|| action.to_owned());
        }
        serde_json::from_str(&reply.body).context("the answer is no JSON")
    }
}

impl Reply {
    /// The code and message of a refused call, in whichever format it was answered.
    pub fn refused(&self) -> Option<Refused> {
        let field = |name| field(&self.body, name);
        if self.status == 200 && field("Success").as_deref() == Some("true") {
            return None;
        }
        let code = field("Code").unwrap_or_else(|| format!("HTTP {}", self.status));
        let message = field("Message").or_else(|| field("ErrorMessage")).unwrap_or_default();
        Some(Refused { code, message })
    }
}

/// The text at `path` of a reply.
///
/// # Errors
/// A sentence when there is none.
pub(super) fn text(reply: &serde_json::Value, path: &[&str]) -> anyhow::Result<String> {
    let value = path.iter().fold(reply, |value, name| &value[*name]);
    Ok(value.as_str().with_context(|| format!("the reply has no {}", path.join(".")))?.to_owned())
}

/// A field directly under the root of a reply.
fn field(body: &str, name: &str) -> Option<String> {
    if !body.trim_start().starts_with('<') {
        let json: serde_json::Value = serde_json::from_str(body).ok()?;
        let value = json.get(name)?;
        return Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    quick_xml::escape::unescape(text).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_or_without_its_scheme() {
        for text in ["127.0.0.1:80", "http://127.0.0.1:80", "http://127.0.0.1:80/"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), "http://127.0.0.1:80");
        }
        for text in ["", "https://a:1", "http://a:1/path", "http://u@a:1", "ftp://a"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_either_format_and_layer() {
        let refused = |status, body: &str| Reply { status, body: body.to_owned() }.refused();
        let want = |code: &str, message: &str| {
            Some(Refused { code: code.to_owned(), message: message.to_owned() })
        };
        assert_eq!(refused(200, r#"{"RequestId":"R","Success":true}"#), None);
        assert_eq!(refused(200, "<A><RequestId>R</RequestId><Success>true</Success></A>"), None);
        assert_eq!(
            refused(200, r#"{"Success":false,"Code":"c","ErrorMessage":"m"}"#),
            want("c", "m")
        );
        assert_eq!(
            refused(
                400,
                "<Error><Code>c</Code><Message>a &lt; b.</Message><Success>false</Success></Error>"
            ),
            want("c", "a < b.")
        );
        assert_eq!(refused(502, "bad gateway"), want("HTTP 502", ""));
    }
}
