//! Signatures that devices send: passwords of MQTT and registrations. Source: the device protocol reference,
//! authentication.

use std::str::FromStr;

use super::{hmac_md5, hmac_sha1, hmac_sha256, same_hex};

/// The hash of a device's signature, as `signmethod` names it. A device that names none means [`SignMethod::Md5`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignMethod {
    #[default]
    Md5,
    Sha1,
    Sha256,
}

/// A `signmethod` that is none of hmacmd5, hmacsha1, hmacsha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown signature method")]
pub struct UnknownSignMethod;

impl FromStr for SignMethod {
    type Err = UnknownSignMethod;

    /// Compared without case: gateways spell `hmacSha256`.
    fn from_str(text: &str) -> Result<Self, UnknownSignMethod> {
        match text.to_ascii_lowercase().as_str() {
            "hmacmd5" => Ok(Self::Md5),
            "hmacsha1" => Ok(Self::Sha1),
            "hmacsha256" => Ok(Self::Sha256),
            _ => Err(UnknownSignMethod),
        }
    }
}

impl SignMethod {
    /// As `signmethod` spells it.
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Md5 => "hmacmd5",
            Self::Sha1 => "hmacsha1",
            Self::Sha256 => "hmacsha256",
        }
    }

    /// Lower-case hex `HMAC(secret, content)`.
    pub fn sign(self, secret: &str, content: &str) -> String {
        let (key, text) = (secret.as_bytes(), content.as_bytes());
        hex::encode(match self {
            Self::Md5 => hmac_md5(key, text),
            Self::Sha1 => hmac_sha1(key, text),
            Self::Sha256 => hmac_sha256(key, text),
        })
    }

    /// Whether `given` (hex in either case) is the signature of `content`.
    pub fn verify(self, secret: &str, content: &str, given: &str) -> bool {
        same_hex(given, &self.sign(secret, content))
    }
}

/// What a signature covers: names and values run together, sorted by name, without separators.
pub fn content(pairs: &[(&str, &str)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    pairs.iter().flat_map(|(name, value)| [*name, *value]).collect()
}

/// What the password of an MQTT connection signs.
///
/// `client_id` is what stands before the first `|` of the client id and may be empty; `timestamp` is the literal text
/// that follows the bar, if it is there: it isn't compared with any clock.
pub fn connect_content(
    client_id: &str,
    device_name: &str,
    product_key: &str,
    timestamp: Option<&str>,
) -> String {
    let mut pairs =
        vec![("clientId", client_id), ("deviceName", device_name), ("productKey", product_key)];
    pairs.extend(timestamp.map(|text| ("timestamp", text)));
    content(&pairs)
}

/// What a registration with the product's secret signs.
pub fn register_content(product_key: &str, device_name: &str, random: &str) -> String {
    content(&[("deviceName", device_name), ("productKey", product_key), ("random", random)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::vectors;

    fn text<'a>(value: &'a serde_json::Value, name: &str) -> &'a str {
        value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
    }

    /// (base, what `name=` says after the first bar)
    fn client_id<'a>(client_id: &'a str, name: &str) -> (&'a str, Option<&'a str>) {
        let (base, rest) = client_id.split_once('|').expect("a bar");
        let param = rest.trim_end_matches('|').split(',').find_map(|pair| {
            pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value)
        });
        (base, param)
    }

    #[test]
    fn passwords_of_every_device_sdk_verify() {
        let vectors = vectors();
        let inputs = &vectors["inputs"];
        let cases = vectors["mqtt_auth"].as_array().expect("a list");
        assert!(cases.len() > 20);
        for case in cases {
            let id = text(case, "id");
            let (base, timestamp) = client_id(text(case, "client_id"), "timestamp");
            let (_, method) = client_id(text(case, "client_id"), "signmethod");
            let content = connect_content(
                base,
                text(inputs, "device_name"),
                text(inputs, "product_key"),
                timestamp,
            );
            assert_eq!(content, text(case, "sign_content"), "{id}");
            let method = method.map_or(SignMethod::default(), |name| name.parse().unwrap());
            assert_eq!(method.as_wire(), text(case, "sign_method"), "{id}");
            let secret = text(inputs, text(case, "key"));
            assert!(method.verify(secret, &content, text(case, "password")), "{id}");
            assert!(!method.verify("another secret", &content, text(case, "password")), "{id}");
        }
    }

    #[test]
    fn published_passwords_verify() {
        let vectors = vectors();
        for case in vectors["mqtt_auth_published"].as_array().expect("a list") {
            let method: SignMethod = text(case, "sign_method").parse().unwrap();
            assert!(
                method.verify(
                    text(case, "key"),
                    text(case, "sign_content"),
                    text(case, "password")
                ),
                "{}",
                text(case, "id")
            );
        }
    }

    #[test]
    fn registrations_sign_product_device_and_random() {
        let vectors = vectors();
        let inputs = &vectors["inputs"];
        for case in vectors["dynreg"].as_array().expect("a list") {
            let content = register_content(
                text(inputs, "product_key"),
                text(inputs, "device_name"),
                text(case, "random"),
            );
            assert_eq!(content, text(case, "sign_content"), "{}", text(case, "id"));
        }
    }

    #[test]
    fn an_unknown_method_is_refused() {
        for name in ["", "sha256", "hmacsha512", "hmacsha256 "] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name}");
        }
        assert_eq!("hmacSha256".parse(), Ok(SignMethod::Sha256));
    }
}
