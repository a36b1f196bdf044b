//! The other side of a handshake, for simulated devices.

use super::socket::{HandshakeError, TlsSocket};
use anyhow::Context;
use openssl::ssl::{Ssl, SslContext, SslFiletype, SslMethod, SslMode, SslVerifyMode, SslVersion};
use std::path::Path;
use tokio::net::TcpStream;

/// Opens connections under TLS.
#[derive(Clone)]
pub struct Caller(SslContext);

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller")
    }
}

impl Caller {
    /// Trusts servers whose certificate comes of `authority`, whatever their name. With `suite`, in the spelling of
    /// OpenSSL, that one of TLS 1.2 is offered alone. `own` is a certificate with its key, to show where one is asked for.
    ///
    /// # Errors
    /// A sentence when a file holds something else, or there is no such suite.
    pub fn open(authority: &Path, suite: Option<&str>, own: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        builder
            .set_ca_file(authority)
            .with_context(|| format!("{} can't be used as a CA", authority.display()))?;
        builder.set_verify(SslVerifyMode::PEER);
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        if let Some(suite) = suite {
            builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            builder
                .set_cipher_list(suite)
                .with_context(|| format!("{suite} is no suite of TLS 1.2"))?;
        }
        if let Some(own) = own {
            let unusable =
                || format!("{} can't be used as a certificate with its key", own.display());
            builder.set_certificate_chain_file(own).with_context(unusable)?;
            builder.set_private_key_file(own, SslFiletype::PEM).with_context(unusable)?;
        }
        builder.set_mode(
            SslMode::RELEASE_BUFFERS
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER
                | SslMode::ENABLE_PARTIAL_WRITE,
        );
        Ok(Self(builder.build()))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// What TLS says when the sides don't agree, the certificate isn't trusted, or the peer goes.
    pub async fn connect(&self, tcp: TcpStream) -> Result<TlsSocket, HandshakeError> {
        let mut ssl = Ssl::new(&self.0)?;
        ssl.set_connect_state();
        TlsSocket::shake_hands(ssl, tcp).await
    }
}
