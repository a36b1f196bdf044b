//! Addresses of files: the form that uploads one, the URL that shows where it went, the URL that devices fetch.

use super::DoorError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use otaru_core::signature::same;
use otaru_core::time::{SECOND_MS, Timestamp};
use serde_json::json;
use sha1::Sha1;
use sha2::Sha256;
use std::fmt;

/// Hex digits of the signature in a download URL: 128 bits.
const PROOF_DIGITS: usize = 32;
/// Hex digits of a SHA-256.
const DIGEST_DIGITS: usize = 64;
/// Longest suffix of a download URL; it only tells people what the file is.
const SUFFIX_MAX: usize = 16;
/// Where download URLs begin below their base.
const DOWNLOAD_ROOT: &str = "/d/";

/// Makes and checks addresses with the server's secret.
#[derive(Clone)]
pub struct Urls {
    base: String,
    download_base: String,
    secret: [u8; 32],
    /// What forms name as their key id.
    key_id: String,
}

impl fmt::Debug for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Urls").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The fields of an upload form that a caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadForm {
    /// Address to post the form to.
    pub host: String,
    pub key: String,
    pub access_key_id: String,
    pub policy: String,
    pub signature: String,
}

/// The fields of an upload form that came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pub key: String,
    pub access_key_id: String,
    pub policy: String,
    pub signature: String,
}

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URL")]
pub struct MalformedUrl;

/// Why a download URL is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the URL has expired")]
    Expired,
    #[error("the URL is none that was issued")]
    Altered,
}

impl Urls {
    /// `base` is the address of the HTTP listener as callers of the API reach it, `http://host:port`.
    pub fn new(mut base: String, secret: [u8; 32]) -> Self {
        base.truncate(base.trim_end_matches('/').len());
        let key_id = format!("otaru{}", &hex::encode(sha256(&secret, b"upload key id"))[..16]);
        Self { download_base: base.clone(), base, secret, key_id }
    }

    /// Lets download URLs begin with another address, the one that devices reach.
    #[must_use]
    pub fn with_download_base(mut self, base: Option<String>) -> Self {
        if let Some(base) = base {
            base.trim_end_matches('/').clone_into(&mut self.download_base);
        }
        self
    }

    /// The address that an uploaded file is named by in calls. It can't be fetched.
    pub fn file_url(&self, key: &str) -> String {
        format!("{}/{key}", self.base)
    }

    /// The key in an address as [`Urls::file_url`] makes it; `None` when it is not one of this server. A query is not
    /// looked at.
    ///
    /// # Errors
    /// When `url` is no http or https URL.
    pub fn key_of(&self, url: &str) -> Result<Option<String>, MalformedUrl> {
        let url = url.split(['?', '#']).next().unwrap_or(url);
        let uri: hyper::Uri = url.parse().map_err(|_| MalformedUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(MalformedUrl);
        };
        if !["http", "https"].contains(&scheme) || authority.host().is_empty() {
            return Err(MalformedUrl);
        }
        let key = [&self.base, &self.download_base].into_iter().find_map(|base| {
            let (start, key) = url.split_at_checked(base.len())?;
            start.eq_ignore_ascii_case(base).then_some(key)?.strip_prefix('/')
        });
        Ok(key.filter(|key| !key.is_empty()).map(str::to_owned))
    }

    /// A form that uploads a file of at most `bytes_max` bytes as `key` until `expires`.
    pub fn upload_form(&self, key: &str, bytes_max: u64, expires: Timestamp) -> UploadForm {
        let policy = json!({
            "expiration": moment(expires),
            "conditions": [["content-length-range", 0, bytes_max], ["eq", "$key", key]],
        });
        let policy = STANDARD.encode(policy.to_string());
        UploadForm {
            host: self.base.clone(),
            key: key.to_owned(),
            access_key_id: self.key_id.clone(),
            signature: self.policy_signature(&policy),
            policy,
        }
    }

    fn policy_signature(&self, policy: &str) -> String {
        let key = sha256(&self.secret, b"upload policy");
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&key).expect("HMAC takes any key");
        mac.update(policy.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// Checks a form whose request began at `now`.
    ///
    /// # Errors
    /// The first of: not our key id, not our signature, too late, another key than the policy's.
    pub fn check_form(&self, form: &Form, now: Timestamp) -> Result<(), DoorError> {
        if form.access_key_id != self.key_id {
            return Err(DoorError::unknown_key_id());
        }
        if !same(&form.signature, &self.policy_signature(&form.policy)) {
            return Err(DoorError::wrong_signature());
        }
        let (expires, key) = read_policy(&form.policy).ok_or_else(DoorError::wrong_signature)?;
        if now > expires {
            return Err(DoorError::policy("Policy expired."));
        }
        if form.key != key {
            return Err(DoorError::policy("Policy Condition failed: [\"eq\", \"$key\"]"));
        }
        Ok(())
    }

    /// A URL of contents, good until `expires` (to the second): below its base `/d/DIGEST.SUFFIX?EXPIRES-PROOF`,
    /// 120 bytes or so. Old device SDKs stop at `:` and at 256 bytes, and JSON must escape nothing.
    pub fn download(&self, sha256: &str, key_suffix: &str, expires: Timestamp) -> String {
        let suffix: String = key_suffix
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
            .take(SUFFIX_MAX)
            .collect();
        let expires = format!("{:x}", expires.0.max(0) / SECOND_MS);
        let file = format!("{sha256}.{suffix}");
        let proof = self.proof(&expires, &file);
        format!("{}{DOWNLOAD_ROOT}{file}?{expires}-{proof}", self.download_base)
    }

    fn proof(&self, expires: &str, file: &str) -> String {
        let text = format!("download\n{expires}\n{file}");
        let mut proof = hex::encode(sha256(&self.secret, text.as_bytes()));
        proof.truncate(PROOF_DIGITS);
        proof
    }

    /// Whether a path is one that [`Urls::download`] could have made.
    pub fn is_download(path: &str) -> bool {
        path.starts_with(DOWNLOAD_ROOT)
    }

    /// The digest of the contents that a URL allows to read.
    ///
    /// # Errors
    /// Anything that was not issued is altered; what was issued and is over has expired.
    pub fn check_download(&self, path_and_query: &str, now: Timestamp) -> Result<String, Denied> {
        let parts =
            path_and_query.strip_prefix(DOWNLOAD_ROOT).and_then(|rest| rest.split_once('?'));
        let (file, ticket) = parts.ok_or(Denied::Altered)?;
        let (expires, proof) = ticket.split_once('-').ok_or(Denied::Altered)?;
        if !same(proof, &self.proof(expires, file)) {
            return Err(Denied::Altered);
        }
        let until = i64::from_str_radix(expires, 16).map_err(|_| Denied::Altered)?;
        if now.0 / SECOND_MS > until {
            return Err(Denied::Expired);
        }
        file.get(..DIGEST_DIGITS).map(str::to_owned).ok_or(Denied::Altered)
    }
}

fn sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn moment(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

/// When a policy ends, and the key it is for.
fn read_policy(policy: &str) -> Option<(Timestamp, String)> {
    let policy: serde_json::Value = serde_json::from_slice(&STANDARD.decode(policy).ok()?).ok()?;
    let expires: jiff::Timestamp = policy["expiration"].as_str()?.parse().ok()?;
    let key = policy["conditions"][1][2].as_str()?;
    Some((Timestamp(expires.as_millisecond()), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_714_000_000_000);
    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn urls() -> Urls {
        Urls::new("http://127.0.0.1:8080".into(), [7; 32])
    }

    #[test]
    fn only_addresses_of_this_server_have_a_key() {
        let other = urls().with_download_base(Some("http://ota.example/".into()));
        for (url, want) in [
            ("http://127.0.0.1:8080/ota/1/ab.bin", Ok(Some("ota/1/ab.bin"))),
            ("HTTP://127.0.0.1:8080/ota/1/ab.bin", Ok(Some("ota/1/ab.bin"))),
            ("http://127.0.0.1:8080/ota/1/ab.bin?Expires=1", Ok(Some("ota/1/ab.bin"))),
            ("http://ota.example/ota/1/ab.bin", Ok(Some("ota/1/ab.bin"))),
            ("http://127.0.0.1:8080/", Ok(None)),
            ("http://127.0.0.1:8080", Ok(None)),
            ("http://127.0.0.1:80801/ota/1/ab.bin", Ok(None)),
            ("https://elsewhere/ota/1/ab.bin", Ok(None)),
            ("ftp://127.0.0.1/x", Err(MalformedUrl)),
            ("/ota/1/ab.bin", Err(MalformedUrl)),
            ("http://", Err(MalformedUrl)),
            ("", Err(MalformedUrl)),
            ("固件", Err(MalformedUrl)),
        ] {
            assert_eq!(other.key_of(url), want.map(|key| key.map(str::to_owned)), "{url}");
        }
    }

    #[test]
    fn a_form_is_taken_as_issued_and_turned_down_with_the_first_fault() {
        let issued = urls().upload_form("ota/1/ab.bin", 100, NOW.plus_ms(60_000));
        let form = Form {
            key: issued.key,
            access_key_id: issued.access_key_id,
            policy: issued.policy,
            signature: issued.signature,
        };
        let altered = |change: fn(&mut Form)| {
            let mut form = form.clone();
            change(&mut form);
            form
        };
        for (form, late_ms, want) in [
            (form.clone(), 0, None),
            (form.clone(), 60_000, None),
            (form.clone(), 60_001, Some("AccessDenied")),
            (altered(|f| f.key.push_str("/../x")), 0, Some("AccessDenied")),
            (altered(|f| f.signature.push('A')), 99_999, Some("SignatureDoesNotMatch")),
            (altered(|f| f.policy.push('A')), 0, Some("SignatureDoesNotMatch")),
            (altered(|f| f.access_key_id.clear()), 99_999, Some("InvalidAccessKeyId")),
        ] {
            let code = urls().check_form(&form, NOW.plus_ms(late_ms)).err().map(|e| e.code);
            assert_eq!(code, want, "{form:?} {late_ms}");
        }
        let elsewhere = Urls::new("http://127.0.0.1:8080".into(), [8; 32]);
        assert!(elsewhere.check_form(&form, NOW).is_err());
    }

    #[test]
    fn a_policy_tells_its_end_and_its_conditions() {
        let form = urls().upload_form("ota/1/ab.bin", 100, Timestamp(1_714_000_060_000));
        let policy = String::from_utf8(STANDARD.decode(form.policy).unwrap()).unwrap();
        let want = r#"{"expiration":"2024-04-24T23:07:40.000Z","conditions":[["content-length-range",0,100],["eq","$key","ota/1/ab.bin"]]}"#;
        assert_eq!(policy, want);
    }

    #[test]
    fn a_download_url_is_short_plain_and_ends() {
        let url = urls().download(DIGEST, "tar.gz", NOW.plus_ms(5_000));
        assert!(url.len() <= 256, "{url}");
        let path = url.strip_prefix("http://127.0.0.1:8080").unwrap().to_owned();
        assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "/-.?".contains(c)), "{path}");
        for (path, late_ms, want) in [
            (path.clone(), 0, Ok(DIGEST.to_owned())),
            (path.clone(), 5_999, Ok(DIGEST.to_owned())),
            (path.clone(), 6_000, Err(Denied::Expired)),
            (path.replace("/ba7", "/ba8"), 9_000, Err(Denied::Altered)),
            (format!("{path}x"), 0, Err(Denied::Altered)),
            (path.split('?').next().unwrap().to_owned(), 0, Err(Denied::Altered)),
            ("/d/".into(), 0, Err(Denied::Altered)),
            ("/d/x?ff-".into(), 0, Err(Denied::Altered)),
            ("/d/../../etc/passwd".into(), 0, Err(Denied::Altered)),
        ] {
            assert_eq!(urls().check_download(&path, NOW.plus_ms(late_ms)), want, "{path}");
        }
    }

    #[test]
    fn a_download_url_with_one_character_changed_is_refused() {
        let url = urls().download(DIGEST, "bin", NOW.plus_ms(5_000));
        let path = url.strip_prefix("http://127.0.0.1:8080").unwrap();
        for at in 0..path.len() {
            let new = if &path[at..=at] == "1" { "2" } else { "1" };
            let other = format!("{}{new}{}", &path[..at], &path[at + 1..]);
            assert_eq!(urls().check_download(&other, NOW), Err(Denied::Altered), "{other}");
        }
    }

    #[test]
    fn devices_are_shown_the_address_they_reach() {
        let urls = urls().with_download_base(Some("http://ota.example".into()));
        assert!(urls.download(DIGEST, "bin", NOW).starts_with("http://ota.example/d/"));
        assert_eq!(urls.file_url("k"), "http://127.0.0.1:8080/k");
    }
}
