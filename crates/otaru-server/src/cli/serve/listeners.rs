//! Where the server listens, and how it is reached there.

use super::folder::Folder;
use crate::app::{App, Gatekeeper};
use crate::clock::Clock;
use crate::config::TlsConfig;
use crate::metrics::Metrics;
use crate::mqtt::{self, Devices};
use crate::random::Random;
use crate::tls::{
    Acceptor, DeviceAuthority, DeviceTrust, Files, Made, Secrets, ServerName, Source,
};
use anyhow::Context;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Addresses of the listeners that callers and devices know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    pub https: Option<SocketAddr>,
    pub mqtts: Option<SocketAddr>,
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { http, mqtt, https, mqtts } = self;
        write!(f, "http={http} mqtt={mqtt}")?;
        for (name, address) in [("https", https), ("mqtts", mqtts)] {
            if let Some(address) = address {
                write!(f, " {name}={address}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn bind(address: SocketAddr, name: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        mqtt::bind(address).with_context(|| format!("can't listen on {name} {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What URLs begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bases {
    /// Those for callers.
    pub callers: String,
    /// Those for devices.
    pub devices: String,
}

impl Bases {
    /// `callers` and `devices` are what the operator says. Devices are told the address under TLS when there is one and he
    /// names no other.
    pub fn new(callers: Option<String>, devices: Option<String>, listeners: &Listeners) -> Self {
        let devices = devices.or_else(|| callers.clone());
        let callers = callers.unwrap_or_else(|| default_base("http", listeners.http));
        let devices = devices.unwrap_or_else(|| match listeners.https {
            Some(https) => default_base("https", https),
            None => callers.clone(),
        });
        Self { callers, devices }
    }

    fn names(&self) -> impl Iterator<Item = ServerName> {
        let host = |base: &String| {
            let uri: hyper::Uri = base.parse().ok()?;
            ServerName::parse(uri.host()?)
        };
        [&self.callers, &self.devices].into_iter().filter_map(host)
    }
}

/// What URLs begin with when nobody says it.
fn default_base(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let base = format!("{scheme}://127.0.0.1:{}", address.port());
        tracing::warn!(
            "listening on {address}: URLs begin with {base} until --http-base says what others reach"
        );
        return base;
    }
    format!("{scheme}://{address}")
}

/// What listeners under TLS need.
pub(super) fn acceptor(
    config: TlsConfig,
    app: Arc<App>,
    folder: &Folder,
    bases: &Bases,
    (clock, random, metrics): (Clock, Random, Metrics),
) -> anyhow::Result<Acceptor> {
    let source = if config.pairs.is_empty() {
        let mut names = config.names;
        if names.is_empty() {
            names.push(ServerName::Dns("localhost".into()));
        }
        for name in bases.names() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Source::Made(Made { folder: folder.tls(), names })
    } else {
        Source::Own(config.pairs)
    };
    let devices = DeviceTrust {
        made: DeviceAuthority::within(&folder.tls()),
        authorities: config.client_ca,
        revoked: config.client_crl,
    };
    let files = Files { source, devices };
    Acceptor::open(files, Some(secrets(app)), config.limits, clock, random, metrics)
        .context("there is nothing to serve TLS with")
}

/// Looks up what keys of devices are made of.
fn secrets(app: Arc<App>) -> Secrets {
    let gatekeeper = Gatekeeper(app);
    Secrets::new(move |product_key, device_name| {
        let identity = gatekeeper.identity(&product_key, &device_name);
        Box::pin(async move {
            // A store that can't say has logged why.
            let known = identity.await.ok().flatten()?;
            known.proof.secret().map(str::to_owned)
        })
    })
}
