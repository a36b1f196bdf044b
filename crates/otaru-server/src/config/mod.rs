//! Settings: defaults, then the file, then the environment, then flags; one checked struct comes of it.

mod devices;
mod doors;
mod instances;
mod limits;
mod quota;
mod rates;
mod sessions;
#[cfg(test)]
mod tests;
mod tls;

use crate::app::Limits;
use crate::doors::DoorLimits;
use crate::mqtt::{DeviceLimits, RateChoice};
use crate::rpc::instance::InstanceConfig;
use crate::rpc::quota::QuotaConfig;
use crate::store::postgres::{Target, Url};
use anyhow::{Context, ensure};
use clap::Args;
use devices::DeviceSettings;
use doors::DoorSettings;
use instances::InstanceSettings;
use limits::LimitSettings;
use quota::QuotaSettings;
use rates::RateSettings;
use serde::Deserialize;
use sessions::SessionSettings;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
pub use tls::TlsConfig;
use tls::TlsSettings;

/// A table of settings: each is said once, with its help, type, flag, variable and the name of its value, and what parts the
/// values of one that is a list. Makes a struct of options, `over`, and `applied`, which lays them over the defaults of the struct that
/// they set.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $settings:ident => $target:ty, $heading:literal {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $kind:ty = $flag:literal, $env:literal, $value:literal $(, $parts:literal)?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, clap::Args, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[command(next_help_heading = $heading)]
        pub(super) struct $settings {
            $(
                $(#[doc = $doc])+
                #[arg(id = $flag, long = $flag, env = $env, value_name = $value $(, value_delimiter = $parts)?)]
                $name: Option<$kind>,
            )+
        }

        impl $settings {
            pub(super) fn over(self, below: Self) -> Self {
                Self { $( $name: self.$name.or(below.$name), )+ }
            }

            #[allow(clippy::useless_conversion, reason = "a value that may be absent is set from a number too")]
            fn applied(self) -> $target {
                let mut target = <$target>::default();
                $( if let Some(value) = self.$name { target.$name = value.into(); } )+
                target
            }
        }
    };
}
use table;

/// Longest address that URLs may begin with: a download URL has 256 bytes at most.
const BASE_BYTES_MAX: usize = 128;

/// All that an operator decides, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder of everything that is kept.
    pub data: PathBuf,
    /// The database that keeps the rows in place of a file in the folder.
    pub store: Option<Url>,
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    /// Where calls, uploads and downloads come under TLS; nowhere without it.
    pub https: Option<SocketAddr>,
    /// Where devices come under TLS; nowhere without it.
    pub mqtts: Option<SocketAddr>,
    /// Where metrics are read; nowhere without it.
    pub metrics: Option<SocketAddr>,
    /// Address that callers of the API reach, when it is not that of the listener.
    pub http_base: Option<String>,
    /// Address that devices download from, when it is not the callers'.
    pub download_base: Option<String>,
    /// What is logged, as a filter of the `tracing` crates.
    pub log: String,
    pub instances: InstanceConfig,
    pub quota: QuotaConfig,
    pub limits: Limits,
    pub tls: TlsConfig,
    pub doors: DoorLimits,
    pub devices: DeviceLimits,
    pub rates: RateChoice,
}

/// One layer of settings: the file, or the command line with the environment behind it. What is not set is left to
/// the layer below.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder of everything that is kept; made when there is none [default: ./otaru-data]
    #[arg(long, env = "OTARU_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Database of PostgreSQL that keeps all but files and keys, such as `postgres://otaru@db.example.com/otaru`; a password
    /// is safer in PGPASSWORD than on a command line [default: a file of SQLite in --data]
    #[arg(long, env = "OTARU_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<Url>,
    /// Address for API calls, uploads and downloads; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "OTARU_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Address for devices; port 0 takes a free one [default: 127.0.0.1:1883]
    #[arg(long, env = "OTARU_MQTT", value_name = "ADDR")]
    mqtt: Option<SocketAddr>,
    /// Address for API calls, uploads and downloads under TLS [default: none]
    #[arg(long, env = "OTARU_HTTPS", value_name = "ADDR")]
    https: Option<SocketAddr>,
    /// Address for devices under TLS [default: none]
    #[arg(long, env = "OTARU_MQTTS", value_name = "ADDR")]
    mqtts: Option<SocketAddr>,
    /// Address of `GET /metrics`, which asks nobody who he is: keep it on the loopback or an inner network, such as
    /// 127.0.0.1:9090 [default: none]
    #[arg(long, env = "OTARU_METRICS", value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// File of settings in TOML; flags and variables win over it
    #[arg(long, env = "OTARU_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address at which callers reach --http, such as `http://ota.example.com`, when it differs
    #[arg(long, env = "OTARU_HTTP_BASE", value_name = "URL")]
    http_base: Option<String>,
    /// Address from which devices download, when it differs from that of callers
    #[arg(long, env = "OTARU_DOWNLOAD_BASE", value_name = "URL")]
    download_base: Option<String>,
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as `otaru_server::rpc=debug`
    /// [default: info]
    #[arg(long, env = "OTARU_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(flatten)]
    instances: InstanceSettings,
    #[command(flatten)]
    quota: QuotaSettings,
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    sessions: SessionSettings,
    #[command(flatten)]
    tls: TlsSettings,
    #[command(flatten)]
    doors: DoorSettings,
    #[command(flatten)]
    devices: DeviceSettings,
    #[command(flatten)]
    rates: RateSettings,
}

impl Settings {
    /// Settings of a service that nobody else uses: its own folder, free ports.
    pub fn demo(data: PathBuf) -> Self {
        let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { data: Some(data), http: free, mqtt: free, ..Self::default() }
    }

    /// Lays these settings over the file they name and over the defaults.
    ///
    /// # Errors
    /// A sentence when the file can't be read, has an unknown key, or a value is out of its range.
    pub fn load(self) -> anyhow::Result<Config> {
        let file = match &self.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        self.over(file).check()
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} can't be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} holds no settings", path.display()))
    }

    fn over(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            store: self.store.or(below.store),
            http: self.http.or(below.http),
            mqtt: self.mqtt.or(below.mqtt),
            https: self.https.or(below.https),
            mqtts: self.mqtts.or(below.mqtts),
            metrics: self.metrics.or(below.metrics),
            config: self.config,
            http_base: self.http_base.or(below.http_base),
            download_base: self.download_base.or(below.download_base),
            log: self.log.or(below.log),
            instances: self.instances.over(below.instances),
            quota: self.quota.over(below.quota),
            limits: self.limits.over(below.limits),
            sessions: self.sessions.over(below.sessions),
            tls: self.tls.over_pairs(below.tls),
            doors: self.doors.over(below.doors),
            devices: self.devices.over(below.devices),
            rates: self.rates.over(below.rates),
        }
    }

    fn check(self) -> anyhow::Result<Config> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http_base = self.http_base.map(|url| base("http_base", &url)).transpose()?;
        let download_base =
            self.download_base.map(|url| base("download_base", &url)).transpose()?;
        if let Some(url) = &self.store {
            Target::parse(url, None).map_err(|error| anyhow::anyhow!("store: {error}"))?;
        }
        Ok(Config {
            data: self.data.unwrap_or_else(|| "otaru-data".into()),
            store: self.store,
            http: self.http.unwrap_or_else(|| local(8080)),
            mqtt: self.mqtt.unwrap_or_else(|| local(1883)),
            https: self.https,
            mqtts: self.mqtts,
            metrics: self.metrics,
            http_base,
            download_base,
            log: self.log.unwrap_or_else(|| "info".into()),
            instances: self.instances.check()?,
            quota: self.quota.check()?,
            limits: Limits { sessions: self.sessions.check(), ..self.limits.check()? },
            tls: self.tls.check()?,
            doors: self.doors.check()?,
            devices: self.devices.check()?,
            rates: self.rates.check(),
        })
    }
}

/// The beginning of URLs: scheme, host and perhaps port.
fn base(name: &str, url: &str) -> anyhow::Result<String> {
    let uri: Option<hyper::Uri> = url.parse().ok();
    let is_base = uri.is_some_and(|uri| {
        let plain =
            uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
        ["http", "https"].contains(&uri.scheme_str().unwrap_or_default())
            && plain
            && uri.path() == "/"
            && uri.query().is_none()
    });
    ensure!(is_base, "{name}: {url} is no address such as http://ota.example.com:8080");
    ensure!(url.len() <= BASE_BYTES_MAX, "{name}: {url} is longer than {BASE_BYTES_MAX} bytes");
    Ok(url.trim_end_matches('/').to_owned())
}
