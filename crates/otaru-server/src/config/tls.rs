//! The table `[tls]`.

use crate::tls::{Pair, ServerName, TlsLimits};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// Certificates of one server: one for keys of each kind.
const PAIRS_MAX: usize = 2;
/// Longest time for a handshake, in milliseconds.
const HANDSHAKE_MS_MAX: u64 = 120_000;
/// Handshakes that can be told to be under way at once: some 60 kB each.
const HANDSHAKES_MAX: u32 = 100_000;

/// What an operator decides about TLS, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Names by which devices reach the server, beside those in the addresses of URLs.
    pub names: Vec<ServerName>,
    /// Certificates of the operator's; without them the server makes its own.
    pub pairs: Vec<Pair>,
    /// Certificates of the operator's CAs for devices.
    pub client_ca: Option<PathBuf>,
    /// What they have revoked.
    pub client_crl: Option<PathBuf>,
    pub limits: TlsLimits,
}

/// The table `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsSettings {
    /// Names and addresses by which devices reach the server, for the certificate that it makes for itself; those of
    /// --http-base and --download-base are added [default: localhost]
    #[arg(
        id = "tls_name",
        long = "tls-name",
        env = "OTARU_TLS_NAME",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    name: Option<Vec<String>>,
    /// Certificate with its chain in PEM; two where one has an RSA key and one an EC key [default: made by the server]
    #[arg(
        id = "tls_cert",
        long = "tls-cert",
        env = "OTARU_TLS_CERT",
        value_delimiter = ',',
        value_name = "FILE"
    )]
    cert: Option<Vec<PathBuf>>,
    /// Key of each --tls-cert in PEM, in the same order
    #[arg(
        id = "tls_key",
        long = "tls-key",
        env = "OTARU_TLS_KEY",
        value_delimiter = ',',
        value_name = "FILE"
    )]
    key: Option<Vec<PathBuf>>,
    /// Certificates of the CAs whose certificates devices of X.509 products may show, in PEM, beside the CA that
    /// `otaru device-cert` makes
    #[arg(
        id = "tls_client_ca",
        long = "tls-client-ca",
        env = "OTARU_TLS_CLIENT_CA",
        value_name = "FILE"
    )]
    client_ca: Option<PathBuf>,
    /// Lists of the certificates that the CAs of --tls-client-ca have revoked, in PEM
    #[arg(
        id = "tls_client_crl",
        long = "tls-client-crl",
        env = "OTARU_TLS_CLIENT_CRL",
        value_name = "FILE"
    )]
    client_crl: Option<PathBuf>,
    /// Milliseconds from a connection to the end of its handshake, up to 120000 [default: 10000]
    #[arg(
        id = "tls_handshake_ms",
        long = "tls-handshake-ms",
        env = "OTARU_TLS_HANDSHAKE_MS",
        value_name = "MS"
    )]
    handshake_ms: Option<u64>,
    /// Handshakes at once; more wait, and their time runs [default: 512]
    #[arg(
        id = "tls_handshakes_max",
        long = "tls-handshakes-max",
        env = "OTARU_TLS_HANDSHAKES_MAX",
        value_name = "N"
    )]
    handshakes_max: Option<u32>,
}

impl TlsSettings {
    pub(super) fn over(self, below: Self) -> Self {
        // A certificate without its key would be taken together with another's.
        let (cert, key) = match (self.cert, self.key) {
            (None, None) => (below.cert, below.key),
            own => own,
        };
        Self {
            name: self.name.or(below.name),
            cert,
            key,
            client_ca: self.client_ca.or(below.client_ca),
            client_crl: self.client_crl.or(below.client_crl),
            handshake_ms: self.handshake_ms.or(below.handshake_ms),
            handshakes_max: self.handshakes_max.or(below.handshakes_max),
        }
    }

    pub(super) fn check(self) -> anyhow::Result<TlsConfig> {
        let name = |text: String| {
            ServerName::parse(&text).with_context(|| {
                format!("tls.name: `{text}` is neither a host name nor an address")
            })
        };
        let names = self.name.unwrap_or_default().into_iter().map(name);
        let (cert, key) = (self.cert.unwrap_or_default(), self.key.unwrap_or_default());
        ensure!(
            cert.len() == key.len(),
            "tls.cert and tls.key: {} and {} files, where each certificate has its key",
            cert.len(),
            key.len()
        );
        ensure!(
            cert.len() <= PAIRS_MAX,
            "tls.cert: {} files are more than {PAIRS_MAX}",
            cert.len()
        );
        let pairs = cert.into_iter().zip(key).map(|(certificate, key)| Pair { certificate, key });
        ensure!(
            self.client_crl.is_none() || self.client_ca.is_some(),
            "tls.client_crl: it needs tls.client_ca, whose CAs sign it"
        );
        let mut limits = TlsLimits::default();
        limits.handshake_ms = self.handshake_ms.unwrap_or(limits.handshake_ms);
        limits.handshakes_max = self.handshakes_max.unwrap_or(limits.handshakes_max);
        ensure!(
            (1..=HANDSHAKE_MS_MAX).contains(&limits.handshake_ms),
            "tls.handshake_ms: {} is not between 1 and {HANDSHAKE_MS_MAX}",
            limits.handshake_ms
        );
        ensure!(limits.handshakes_max > 0, "tls.handshakes_max: at least 1 is needed");
        ensure!(
            limits.handshakes_max <= HANDSHAKES_MAX,
            "tls.handshakes_max: {} is more than {HANDSHAKES_MAX}",
            limits.handshakes_max
        );
        Ok(TlsConfig {
            names: names.collect::<anyhow::Result<_>>()?,
            pairs: pairs.collect(),
            client_ca: self.client_ca,
            client_crl: self.client_crl,
            limits,
        })
    }
}
