//! Why handshakes fail, as it is counted.

use super::socket::HandshakeError;
use crate::metrics::TlsFailed;
use openssl::ssl::ErrorCode;
use openssl::x509::X509VerifyResult;

/// How TLS libraries say it, in lower case with blanks; the first that fits counts.
const REASONS: [(&str, TlsFailed); 15] = [
    ("http request", TlsFailed::NotTls),
    ("https proxy request", TlsFailed::NotTls),
    ("wrong version number", TlsFailed::NotTls),
    ("unsupported protocol", TlsFailed::Version),
    ("version too low", TlsFailed::Version),
    ("protocol version", TlsFailed::Version),
    ("no shared", TlsFailed::Suite),
    ("no suitable", TlsFailed::Suite),
    ("unknown ca", TlsFailed::Distrusted),
    ("bad certificate", TlsFailed::Distrusted),
    ("certificate unknown", TlsFailed::Distrusted),
    ("certificate expired", TlsFailed::Distrusted),
    ("unsupported certificate", TlsFailed::Distrusted),
    ("psk identity", TlsFailed::Psk),
    ("unexpected eof", TlsFailed::Eof),
];

/// How the check of a peer's certificate can end, as the library numbers it.
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;

/// What it says before there was any check: 65 is AWS-LC's `X509_V_ERR_INVALID_CALL`, where OpenSSL says that all is well.
const UNCHECKED: i32 = if cfg!(feature = "aws-lc") { 65 } else { 0 };

/// Under which label a failed handshake is counted.
pub fn reason(error: &HandshakeError) -> TlsFailed {
    let HandshakeError { error, certificate } = error;
    match *certificate {
        X509VerifyResult::OK => {}
        unchecked if unchecked.as_raw() == UNCHECKED => {}
        X509VerifyResult::APPLICATION_VERIFICATION => return TlsFailed::ClientRevoked,
        other if [NOT_YET_VALID, EXPIRED].contains(&other.as_raw()) => {
            return TlsFailed::ClientExpired;
        }
        _ => return TlsFailed::ClientUntrusted,
    }
    if let Some(stack) = error.ssl_error() {
        let reasons = stack.errors().iter().filter_map(openssl::error::Error::reason);
        let said: Vec<_> =
            reasons.map(|text| text.to_ascii_lowercase().replace('_', " ")).collect();
        let known = REASONS.iter().find(|(text, _)| said.iter().any(|said| said.contains(text)));
        return known.map_or(TlsFailed::Other, |(_, reason)| *reason);
    }
    match error.io_error() {
        Some(_) => TlsFailed::Broken,
        None if [ErrorCode::SYSCALL, ErrorCode::ZERO_RETURN].contains(&error.code()) => {
            TlsFailed::Eof
        }
        None => TlsFailed::Other,
    }
}
