//! Identities of TLS with a pre-shared key. Source: the device protocol reference, other device identities.

use super::device::{SignMethod, content};
use crate::id::{DeviceName, ProductKey};
use std::str::FromStr;

/// Longest identity in bytes. Source: RFC 4279, 5.3, asks for at least 128 where identities are configured.
pub const PSK_IDENTITY_BYTES_MAX: usize = 256;

/// Who opens a TLS connection with a key that comes of a device's secret: `devicename|METHOD|PK&DN|TIMESTAMP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PskIdentity {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
    method: SignMethod,
    /// Literally, as it isn't compared with any clock.
    timestamp: String,
}

/// An identity of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identity names no device")]
pub struct NoDevice;

impl FromStr for PskIdentity {
    type Err = NoDevice;

    fn from_str(text: &str) -> Result<Self, NoDevice> {
        let parts: Vec<_> = text.split('|').collect();
        let ["devicename", method, name, timestamp] = parts[..] else { return Err(NoDevice) };
        let (product_key, device_name) = name.split_once('&').ok_or(NoDevice)?;
        if text.len() > PSK_IDENTITY_BYTES_MAX {
            return Err(NoDevice);
        }
        Ok(Self {
            product_key: product_key.parse().map_err(|_| NoDevice)?,
            device_name: device_name.parse().map_err(|_| NoDevice)?,
            method: method.parse().map_err(|_| NoDevice)?,
            timestamp: timestamp.to_owned(),
        })
    }
}

impl PskIdentity {
    /// The key for a device with this secret: not bytes, but their upper-case hex as text.
    pub fn key(&self, secret: &str) -> String {
        let Self { product_key, device_name, method, timestamp } = self;
        let id = format!("{product_key}&{device_name}");
        let signed = content(&[("id", id.as_str()), ("timestamp", timestamp.as_str())]);
        method.sign(secret, &signed).to_ascii_uppercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_the_device_sdk() {
        let vectors = crate::vectors::vectors();
        let secret = vectors["inputs"]["device_secret"].as_str().unwrap();
        let cases = vectors["tls_psk"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let identity: PskIdentity = case["psk_identity"].as_str().unwrap().parse().unwrap();
            assert_eq!(identity.key(secret), case["psk"].as_str().unwrap());
            assert_ne!(identity.key("another secret"), case["psk"].as_str().unwrap());
        }
    }

    #[test]
    fn what_names_no_device_is_refused() {
        let good = "devicename|hmacsha256|a1B2c3D4e5F&dev-001|2524608000000";
        assert!(good.parse::<PskIdentity>().is_ok());
        let long = format!("{good}{}", "0".repeat(PSK_IDENTITY_BYTES_MAX));
        for bad in [
            "",
            "devicename",
            "devicename|hmacsha256|a1B2c3D4e5F&dev-001",
            "devicename|hmacsha256|a1B2c3D4e5F&dev-001|1|",
            "devicename|sha256|a1B2c3D4e5F&dev-001|1",
            "devicename|hmacsha256|a1B2c3D4e5F|1",
            "devicename|hmacsha256|a1B2c3D4e5F&|1",
            "devicename|hmacsha256|&dev-001|1",
            "productkey|hmacsha256|a1B2c3D4e5F&dev-001|1",
            &long,
        ] {
            assert_eq!(bad.parse::<PskIdentity>(), Err(NoDevice), "{bad}");
        }
    }
}
