//! What this server speaks.

use super::psk;
use super::trust::Trusted;
use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVersion,
};
use std::path::PathBuf;

/// Suites of TLS 1.2, best first. The last ones are all that the mbedTLS in the vendor's C SDKs has besides PSK: no
/// forward secrecy, but neither is there another way to serve those devices. AES-128 stands before AES-256 among them
/// as it costs small devices less.
const SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
    ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:\
    AES128-GCM-SHA256:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA";

/// Groups for the exchange of keys, best first. The hybrid with ML-KEM comes last, for who offers nothing else: it costs a
/// handshake twice the time and a connection 6 kB more for as long as it lives, and no client in a device has it.
const GROUPS: &str = "X25519:P-256:P-384:X25519MLKEM768";

/// A certificate with the chain that leads to its CA, and its key, in PEM. Both may be one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("{0} can't be used as a certificate: {1}")]
    Certificate(PathBuf, ErrorStack),
    #[error("{0} can't be used as a key: {1}")]
    Key(PathBuf, ErrorStack),
    #[error("{0} is not the key of {1}")]
    Mismatch(PathBuf, PathBuf),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] ErrorStack),
}

/// A server's context with these certificates, of which those are used that a client takes; `with_psk` also lets devices
/// in by keys of theirs, `trusted` by certificates of theirs. Its session tickets are good for this context alone.
///
/// # Errors
/// When a file can't be read or is something else.
pub fn context(
    pairs: &[Pair],
    with_psk: bool,
    trusted: Option<Trusted>,
) -> Result<SslContext, ContextError> {
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    for pair in pairs {
        add(&mut builder, pair)?;
    }
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    if with_psk {
        psk::allow(&mut builder);
        builder.set_cipher_list(&format!("{SUITES}:{}", psk::SUITE))?;
    } else {
        builder.set_cipher_list(SUITES)?;
    }
    if let Some(trusted) = trusted {
        trusted.allow(&mut builder)?;
    }
    builder.set_groups_list(GROUPS)?;
    builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE | backend_options());
    builder.set_mode(
        // An idle connection holds no buffers, and a write may come again from elsewhere, with more behind it.
        SslMode::RELEASE_BUFFERS
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            // Our chain is what the files say; CAs of devices, which are known here too, are no part of it.
            | SslMode::NO_AUTO_CHAIN,
    );
    // Sessions are resumed by tickets, which hold all there is to know.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"otaru")?;
    backend(&mut builder)?;
    Ok(builder.build())
}

#[cfg(not(feature = "aws-lc"))]
fn backend_options() -> SslOptions {
    // A renegotiation costs the server a handshake per packet, and a device that loses power says no goodbye.
    SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::IGNORE_UNEXPECTED_EOF
}

#[cfg(not(feature = "aws-lc"))]
fn backend(builder: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    // One ticket for the next connection: two are the default, for browsers that open several at once.
    builder.set_num_tickets(1)
}

/// AWS-LC compresses nothing, never renegotiates as a server, and has no say in the rest.
#[cfg(feature = "aws-lc")]
fn backend_options() -> SslOptions {
    SslOptions::empty()
}

#[cfg(feature = "aws-lc")]
fn backend(_: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    Ok(())
}

fn add(builder: &mut SslContextBuilder, pair: &Pair) -> Result<(), ContextError> {
    let Pair { certificate, key } = pair;
    builder
        .set_certificate_chain_file(certificate)
        .map_err(|error| ContextError::Certificate(certificate.clone(), error))?;
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(|error| {
        if is_mismatch(&error) {
            ContextError::Mismatch(key.clone(), certificate.clone())
        } else {
            ContextError::Key(key.clone(), error)
        }
    })?;
    builder
        .check_private_key()
        .map_err(|_| ContextError::Mismatch(key.clone(), certificate.clone()))
}

fn is_mismatch(error: &ErrorStack) -> bool {
    error
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .any(|reason| reason.to_ascii_lowercase().replace('_', " ").contains("mismatch"))
}
