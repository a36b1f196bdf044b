//! Signatures: what both sides of a door compute from a request and a secret.
//!
//! [`rpc`] holds the two signatures of the cloud API, [`device`] those that devices put into passwords and
//! registrations. Nothing here looks up a key or a clock: whoever calls brings the secret and decides what a
//! mismatch means.

pub mod device;
pub mod psk;
pub mod rpc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Percent-encodes UTF-8 text the way both cloud API signatures want it: `A-Z a-z 0-9 - _ . ~` stay, every other
/// byte becomes `%XX` in upper case. Source: the public API reference, request signatures (RFC 3986, section 2.3).
pub fn enc(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Lower-case hex SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether two signatures are equal, letter by letter. Takes the same time wherever they differ, so that nobody can
/// find a signature by measuring.
pub fn same(given: &str, computed: &str) -> bool {
    given.as_bytes().ct_eq(computed.as_bytes()).into()
}

/// As [`same`], but hex digits in either case are equal: SDKs of devices send both.
pub fn same_hex(given: &str, computed: &str) -> bool {
    same(&given.to_ascii_lowercase(), &computed.to_ascii_lowercase())
}

/// `HMAC(key, text)` with the hash that the type of the MAC names.
fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    mac::<Hmac<sha1::Sha1>>(key, text)
}

pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    mac::<Hmac<Sha256>>(key, text)
}

fn hmac_md5(key: &[u8], text: &[u8]) -> Vec<u8> {
    mac::<Hmac<md5::Md5>>(key, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        for (text, want) in [
            ("AZaz09-_.~", "AZaz09-_.~"),
            ("a b", "a%20b"),
            ("*", "%2A"),
            ("/+=&%", "%2F%2B%3D%26%25"),
            ("!'()", "%21%27%28%29"),
            ("固", "%E5%9B%BA"),
            ("", ""),
        ] {
            assert_eq!(enc(text), want);
        }
    }

    #[test]
    fn hex_signatures_are_equal_in_either_case_and_others_are_not() {
        assert!(same_hex("AB01", "ab01"));
        assert!(!same_hex("AB01", "ab02"));
        assert!(!same_hex("AB01", "ab0"));
        assert!(!same("AB01", "ab01"));
    }
}
