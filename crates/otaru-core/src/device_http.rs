//! What devices say over HTTP instead of MQTT: who they are, and the token that stands for it afterwards. Source: the
//! device protocol reference, HTTPS device access.

use crate::id::{DeviceName, DeviceNo, ProductKey};
use crate::signature::device::{SignMethod, connect_content};
use crate::signature::same;
use crate::time::{HOUR_MS, Timestamp};
use serde_json::Value;

/// How long a token is good.
pub const TOKEN_MS: i64 = 7 * 24 * HOUR_MS;

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server can't do it now.
    #[error("common error")]
    Common,
    #[error("param error")]
    Parameter,
    #[error("auth check error")]
    Auth,
    #[error("token is expired")]
    TokenExpired,
    #[error("token is null")]
    NoToken,
    /// It is none of ours, or its device is deleted, disabled or has another secret by now.
    #[error("check token error")]
    Token,
    /// A topic that is not the device's own, or of something that HTTP can't do.
    #[error("publish message error")]
    Publish,
    /// As many as may be are being answered: later there is room again.
    #[error("request too many")]
    TooMany,
}

impl HttpError {
    pub const ALL: [Self; 8] = [
        Self::Common,
        Self::Parameter,
        Self::Auth,
        Self::TokenExpired,
        Self::NoToken,
        Self::Token,
        Self::Publish,
        Self::TooMany,
    ];

    /// A device that hears one from 20001 to 20003 authenticates again.
    pub fn code(self) -> u16 {
        match self {
            Self::Common => 10_000,
            Self::Parameter => 10_001,
            Self::Auth => 20_000,
            Self::TokenExpired => 20_001,
            Self::NoToken => 20_002,
            Self::Token => 20_003,
            Self::Publish => 30_001,
            Self::TooMany => 40_000,
        }
    }
}

/// The answer to a request; `info` is JSON.
pub fn answer(outcome: &Result<String, HttpError>) -> String {
    match outcome {
        Ok(info) => format!(r#"{{"code":0,"message":"success","info":{info}}}"#),
        Err(error) => format!(r#"{{"code":{},"message":"{error}"}}"#, error.code()),
    }
}

/// A device's claim of who it is, with the proof that it knows its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpClaim {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
    method: SignMethod,
    content: String,
    sign: String,
}

impl HttpClaim {
    /// Reads the body of `POST /auth`.
    ///
    /// # Errors
    /// [`HttpError::Parameter`], and [`HttpError::Auth`] for names that nobody can have.
    pub fn parse(body: &[u8]) -> Result<Self, HttpError> {
        let body: Value = serde_json::from_slice(body).map_err(|_| HttpError::Parameter)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let needed = |name: &str| text(name).ok_or(HttpError::Parameter);
        let (client_id, sign) = (needed("clientId")?, needed("sign")?.to_owned());
        let (key, name) = (needed("productKey")?, needed("deviceName")?);
        let method = text("signmethod").or_else(|| text("signMethod"));
        let method = method.map_or(Ok(SignMethod::default()), str::parse);
        let method = method.map_err(|_| HttpError::Parameter)?;
        let timestamp = match body.get("timestamp") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => return Err(HttpError::Parameter),
        };
        let content = connect_content(client_id, name, key, timestamp.as_deref());
        let product_key = key.parse().map_err(|_| HttpError::Auth)?;
        let device_name = name.parse().map_err(|_| HttpError::Auth)?;
        Ok(Self { product_key, device_name, method, content, sign })
    }

    pub fn proves(&self, secret: &str) -> bool {
        self.method.verify(secret, &self.content, &self.sign)
    }
}

/// A token as a device hands it in. It is signed with the device's secret, so that nothing is stored of it and another
/// secret makes it void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub device: DeviceNo,
    pub expires_at: Timestamp,
    sign: String,
}

impl Token {
    /// At most 100 characters; the C SDK 3.x takes 192.
    pub fn issue(device: DeviceNo, secret: &str, expires_at: Timestamp) -> String {
        let head = head(device, expires_at);
        format!("{head}-{}", sign(secret, &head))
    }

    /// # Errors
    /// [`HttpError::Token`] when it is none, [`HttpError::NoToken`] when it is empty.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        if text.is_empty() {
            return Err(HttpError::NoToken);
        }
        let mut parts = text.split('-');
        let mut number = || i64::from_str_radix(parts.next()?, 16).ok().filter(|n| *n >= 0);
        let numbers = number().zip(number());
        let sign = parts.next().filter(|_| parts.next().is_none());
        let ((device, expires_at), sign) = numbers.zip(sign).ok_or(HttpError::Token)?;
        Ok(Self {
            device: DeviceNo(device),
            expires_at: Timestamp(expires_at),
            sign: sign.to_owned(),
        })
    }

    /// # Errors
    /// [`HttpError::Token`] when the device's secret is another, [`HttpError::TokenExpired`].
    pub fn check(&self, secret: &str, now: Timestamp) -> Result<(), HttpError> {
        if !same(&self.sign, &sign(secret, &head(self.device, self.expires_at))) {
            Err(HttpError::Token)
        } else if now >= self.expires_at {
            Err(HttpError::TokenExpired)
        } else {
            Ok(())
        }
    }
}

fn head(device: DeviceNo, expires_at: Timestamp) -> String {
    format!("{:x}-{:x}", device.0, expires_at.0)
}

/// What is signed can't be what a password, a registration or a login signs: those begin with a name.
fn sign(secret: &str, head: &str) -> String {
    SignMethod::Sha256.sign(secret, &format!("token {head}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    #[test]
    fn claims_of_both_c_sdks_are_right_for_their_secret_alone() {
        let vectors = vectors();
        let secret = vectors["inputs"]["device_secret"].as_str().unwrap();
        for case in vectors["https_auth"].as_array().unwrap() {
            let body = case["body"].as_str().map_or_else(
                || {
                    format!(
                        r#"{{"version":"default","clientId":"a1B2c3D4e5F.dev-001","signmethod":{},"sign":{},"productKey":"a1B2c3D4e5F","deviceName":"dev-001"}}"#,
                        case["sign_method"], case["sign"]
                    )
                },
                str::to_owned,
            );
            let claim = HttpClaim::parse(body.as_bytes()).unwrap();
            assert_eq!(claim.content, case["sign_content"].as_str().unwrap(), "{}", case["id"]);
            assert!(claim.proves(secret) && !claim.proves("another"), "{}", case["id"]);
        }
    }

    #[test]
    fn a_timestamp_is_signed_when_it_is_there_as_text_or_number() {
        let content = connect_content("c", "dev-001", "a1", Some("1700000000000"));
        let sign = SignMethod::Sha1.sign("s", &content);
        for timestamp in ["\"1700000000000\"", "1700000000000"] {
            let body = format!(
                r#"{{"clientId":"c","signmethod":"hmacsha1","sign":"{sign}","productKey":"a1","deviceName":"dev-001","timestamp":{timestamp}}}"#
            );
            assert!(HttpClaim::parse(body.as_bytes()).unwrap().proves("s"), "{timestamp}");
        }
    }

    #[test]
    fn a_claim_that_cannot_be_is_refused() {
        let good = r#"{"clientId":"c","sign":"00","productKey":"a1","deviceName":"dev-001"}"#;
        assert!(HttpClaim::parse(good.as_bytes()).is_ok());
        for (from, to, want) in [
            ("clientId", "client", HttpError::Parameter),
            ("sign", "no", HttpError::Parameter),
            ("productKey", "key", HttpError::Parameter),
            ("deviceName", "name", HttpError::Parameter),
            (r#""00""#, "0", HttpError::Parameter),
            (r#""00""#, r#""00","signmethod":"md5""#, HttpError::Parameter),
            (r#""00""#, r#""00","timestamp":[]"#, HttpError::Parameter),
            ("dev-001", "../etc", HttpError::Auth),
            ("a1", "a/1", HttpError::Auth),
            ("{", "[", HttpError::Parameter),
        ] {
            let body = good.replacen(from, to, 1);
            assert_eq!(HttpClaim::parse(body.as_bytes()), Err(want), "{body}");
        }
        assert_eq!(HttpClaim::parse(b"\xff"), Err(HttpError::Parameter));
    }

    #[test]
    fn a_token_is_good_for_its_device_its_secret_and_its_time() {
        let (device, until) = (DeviceNo(i64::MAX), Timestamp(1_900_000_000_000));
        let text = Token::issue(device, "secret", until);
        assert!(text.len() <= 192, "{text}");
        let token = Token::parse(&text).unwrap();
        assert_eq!((token.device, token.expires_at), (device, until));
        assert_eq!(token.check("secret", Timestamp(until.0 - 1)), Ok(()));
        assert_eq!(token.check("secret", until), Err(HttpError::TokenExpired));
        assert_eq!(token.check("another", until), Err(HttpError::Token));
        let (head, sign) = text.rsplit_once('-').unwrap();
        for forged in
            [format!("1{head}-{sign}"), format!("{head}0-{sign}"), format!("{head}-{sign}0")]
        {
            let checked =
                Token::parse(&forged).and_then(|token| token.check("secret", Timestamp(0)));
            assert_eq!(checked, Err(HttpError::Token), "{forged}");
        }
        assert_eq!(Token::parse(""), Err(HttpError::NoToken));
        for bad in ["x", "1-2", "1-2-3-4", "-1--2-3", "g-1-00", &"1".repeat(10_000)] {
            assert_eq!(Token::parse(bad), Err(HttpError::Token), "{bad:.20}");
        }
    }

    #[test]
    fn answers_are_compact() {
        assert_eq!(
            answer(&Ok(r#"{"messageId":1}"#.into())),
            r#"{"code":0,"message":"success","info":{"messageId":1}}"#
        );
        let codes = HttpError::ALL.map(HttpError::code);
        assert_eq!(codes, [10_000, 10_001, 20_000, 20_001, 20_002, 20_003, 30_001, 40_000]);
        assert_eq!(answer(&Err(HttpError::NoToken)), r#"{"code":20002,"message":"token is null"}"#);
    }
}
