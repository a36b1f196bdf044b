//! The table `[tls]`.

use super::table;
use crate::tls::{Pair, ServerName, TlsLimits};
use anyhow::{Context, ensure};
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

table! {
    /// The table `[tls]`.
    TlsSettings => TlsChoice, "TLS" {
        /// Names and addresses by which devices reach the server, for the certificate that it makes for itself; those of
        /// --http-base and --download-base are added [default: localhost]
        name: Vec<String> = "tls-name", "OTARU_TLS_NAME", "NAME", ',';
        /// Certificate with its chain in PEM; two where one has an RSA key and one an EC key [default: made by the server]
        cert: Vec<PathBuf> = "tls-cert", "OTARU_TLS_CERT", "FILE", ',';
        /// Key of each --tls-cert in PEM, in the same order
        key: Vec<PathBuf> = "tls-key", "OTARU_TLS_KEY", "FILE", ',';
        /// Certificates of the CAs whose certificates devices of X.509 products may show, in PEM, beside the CA that
        /// `otaru device-cert` makes
        client_ca: PathBuf = "tls-client-ca", "OTARU_TLS_CLIENT_CA", "FILE";
        /// Lists of the certificates that the CAs of --tls-client-ca have revoked, in PEM
        client_crl: PathBuf = "tls-client-crl", "OTARU_TLS_CLIENT_CRL", "FILE";
        /// Milliseconds from a connection to the end of its handshake, up to 120000 [default: 10000]
        handshake_ms: u64 = "tls-handshake-ms", "OTARU_TLS_HANDSHAKE_MS", "MS";
        /// Handshakes at once; more wait, and their time runs [default: 512]
        handshakes_max: u32 = "tls-handshakes-max", "OTARU_TLS_HANDSHAKES_MAX", "N";
    }
}

/// What the table says, over what holds without it.
struct TlsChoice {
    name: Vec<String>,
    cert: Vec<PathBuf>,
    key: Vec<PathBuf>,
    client_ca: Option<PathBuf>,
    client_crl: Option<PathBuf>,
    handshake_ms: u64,
    handshakes_max: u32,
}

impl Default for TlsChoice {
    fn default() -> Self {
        let TlsLimits { handshake_ms, handshakes_max } = TlsLimits::default();
        let (name, cert, key) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, cert, key, client_ca: None, client_crl: None, handshake_ms, handshakes_max }
    }
}

impl TlsSettings {
    /// As `over`, but a certificate is never taken together with the key of another.
    pub(super) fn over_pairs(self, mut below: Self) -> Self {
        if self.cert.is_some() || self.key.is_some() {
            (below.cert, below.key) = (None, None);
        }
        self.over(below)
    }

    pub(super) fn check(self) -> anyhow::Result<TlsConfig> {
        let TlsChoice {
            name: names,
            cert,
            key,
            client_ca,
            client_crl,
            handshake_ms,
            handshakes_max,
        } = self.applied();
        let name = |text: String| {
            ServerName::parse(&text).with_context(|| {
                format!("tls.name: `{text}` is neither a host name nor an address")
            })
        };
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
        ensure!(
            client_crl.is_none() || client_ca.is_some(),
            "tls.client_crl: it needs tls.client_ca, whose CAs sign it"
        );
        ensure!(
            (1..=HANDSHAKE_MS_MAX).contains(&handshake_ms),
            "tls.handshake_ms: {handshake_ms} is not between 1 and {HANDSHAKE_MS_MAX}"
        );
        ensure!(handshakes_max > 0, "tls.handshakes_max: at least 1 is needed");
        ensure!(
            handshakes_max <= HANDSHAKES_MAX,
            "tls.handshakes_max: {handshakes_max} is more than {HANDSHAKES_MAX}"
        );
        let pairs = cert.into_iter().zip(key).map(|(certificate, key)| Pair { certificate, key });
        Ok(TlsConfig {
            names: names.into_iter().map(name).collect::<anyhow::Result<_>>()?,
            pairs: pairs.collect(),
            client_ca,
            client_crl,
            limits: TlsLimits { handshake_ms, handshakes_max },
        })
    }
}
