//! Settings: defaults, then the file, then the environment, then flags; one checked struct comes of it.

use crate::app::Limits;
use crate::rpc::instance::{InstanceConfig, InstanceState};
use crate::rpc::quota::{QuotaConfig, QuotaMode, Quotas};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Longest address that URLs may begin with: a download URL has 256 bytes at most.
const BASE_BYTES_MAX: usize = 128;

/// All that an operator decides, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder of everything that is kept.
    pub data: PathBuf,
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
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
}

/// One layer of settings: the file, or the command line with the environment behind it. What is not set is left to
/// the layer below.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder of everything that is kept; made when there is none [default: ./otaru-data]
    #[arg(long, env = "OTARU_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address for API calls, uploads and downloads; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "OTARU_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Address for devices; port 0 takes a free one [default: 127.0.0.1:1883]
    #[arg(long, env = "OTARU_MQTT", value_name = "ADDR")]
    mqtt: Option<SocketAddr>,
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
}

/// The table `[instances]`.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Instances")]
struct InstanceSettings {
    /// Id by which the default instance can be named too [default: it has none]
    #[arg(
        id = "instances_default",
        long = "instances-default",
        env = "OTARU_INSTANCES_DEFAULT",
        value_name = "ID"
    )]
    default: Option<String>,
    /// Further instances, which know nothing of each other; ID=on or ID=off, several parted by commas. Calls that name
    /// one that is off are refused
    #[arg(
        id = "instances_others",
        long = "instances-others",
        env = "OTARU_INSTANCES_OTHERS",
        value_parser = instances,
        value_name = "LIST"
    )]
    others: Option<BTreeMap<String, InstanceState>>,
}

/// The table `[quota]`.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Quotas")]
struct QuotaSettings {
    /// Calls per second of an account: off, or original, as the public API reference says [default: off]
    #[arg(id = "quota_mode", long = "quota-mode", env = "OTARU_QUOTA_MODE", value_parser = quota_mode, value_name = "MODE")]
    mode: Option<QuotaMode>,
    /// Calls per second of all accounts together; 0: no limit [default: 0]
    #[arg(
        long = "quota-server-per-second",
        env = "OTARU_QUOTA_SERVER_PER_SECOND",
        value_name = "CALLS"
    )]
    server_per_second: Option<u32>,
    /// Calls per second of an account and operation, in either mode; OPERATION=CALLS, several parted by commas
    #[arg(
        long = "quota-per-operation",
        env = "OTARU_QUOTA_PER_OPERATION",
        value_parser = per_operation,
        value_name = "LIST"
    )]
    per_operation: Option<BTreeMap<String, u32>>,
}

/// The table `[limits]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Limits")]
struct LimitSettings {
    /// Packages of an account [default: 500]
    #[arg(long = "limits-packages-max", env = "OTARU_LIMITS_PACKAGES_MAX", value_name = "N")]
    packages_max: Option<u64>,
    /// Products of an account [default: 1000]
    #[arg(long = "limits-products-max", env = "OTARU_LIMITS_PRODUCTS_MAX", value_name = "N")]
    products_max: Option<u64>,
    /// Consumer groups of an account [default: 1000]
    #[arg(
        long = "limits-consumer-groups-max",
        env = "OTARU_LIMITS_CONSUMER_GROUPS_MAX",
        value_name = "N"
    )]
    consumer_groups_max: Option<u64>,
    /// Devices of an account [default: no limit]
    #[arg(long = "limits-devices-max", env = "OTARU_LIMITS_DEVICES_MAX", value_name = "N")]
    devices_max: Option<u64>,
    /// Bytes of a package file [default: 1048576000]
    #[arg(
        long = "limits-package-bytes-max",
        env = "OTARU_LIMITS_PACKAGE_BYTES_MAX",
        value_name = "BYTES"
    )]
    package_bytes_max: Option<u64>,
    /// Bytes of a file of device names [default: 67108864]
    #[arg(
        long = "limits-device-list-bytes-max",
        env = "OTARU_LIMITS_DEVICE_LIST_BYTES_MAX",
        value_name = "BYTES"
    )]
    device_list_bytes_max: Option<u64>,
    /// Devices of a job [default: no limit]
    #[arg(long = "limits-job-devices-max", env = "OTARU_LIMITS_JOB_DEVICES_MAX", value_name = "N")]
    job_devices_max: Option<u64>,
    /// Devices of all jobs that are scheduled for one minute [default: no limit]
    #[arg(
        long = "limits-minute-devices-max",
        env = "OTARU_LIMITS_MINUTE_DEVICES_MAX",
        value_name = "N"
    )]
    minute_devices_max: Option<u64>,
    /// Devices that are in a new dynamic group [default: no limit]
    #[arg(
        long = "limits-group-devices-max",
        env = "OTARU_LIMITS_GROUP_DEVICES_MAX",
        value_name = "N"
    )]
    group_devices_max: Option<u64>,
    /// Pushes per minute of the whole server; 0: no limit [default: 0]
    #[arg(
        long = "limits-pushes-per-minute",
        env = "OTARU_LIMITS_PUSHES_PER_MINUTE",
        value_name = "N"
    )]
    pushes_per_minute: Option<u32>,
    /// Milliseconds between a device's connect and its push, unless it reports its version before; up to 60000
    /// [default: 2000]
    #[arg(long = "limits-grace-ms", env = "OTARU_LIMITS_GRACE_MS", value_name = "MS")]
    grace_ms: Option<u64>,
    /// Blocks per second of a device that downloads through MQTT, later ones wait; 0: no limit [default: 100]
    #[arg(
        long = "limits-blocks-per-second",
        env = "OTARU_LIMITS_BLOCKS_PER_SECOND",
        value_name = "N"
    )]
    blocks_per_second: Option<u32>,
    /// The same of all devices together; 0: no limit [default: 10000]
    #[arg(
        long = "limits-blocks-per-second-total",
        env = "OTARU_LIMITS_BLOCKS_PER_SECOND_TOTAL",
        value_name = "N"
    )]
    blocks_per_second_total: Option<u32>,
    /// Bytes of files kept in memory for downloads through MQTT [default: 67108864]
    #[arg(
        long = "limits-block-cache-bytes",
        env = "OTARU_LIMITS_BLOCK_CACHE_BYTES",
        value_name = "BYTES"
    )]
    block_cache_bytes: Option<u64>,
    /// Sub-devices of one gateway, attached and logged in [default: 2000]
    #[arg(long = "limits-sub-devices-max", env = "OTARU_LIMITS_SUB_DEVICES_MAX", value_name = "N")]
    sub_devices_max: Option<u32>,
    /// Logins of sub-devices per second through one gateway; 0: no limit [default: 200]
    #[arg(
        long = "limits-sub-logins-per-second",
        env = "OTARU_LIMITS_SUB_LOGINS_PER_SECOND",
        value_name = "N"
    )]
    sub_logins_per_second: Option<u32>,
    /// Logins of one sub-device per minute; 0: no limit [default: 5]
    #[arg(
        long = "limits-sub-logins-per-minute",
        env = "OTARU_LIMITS_SUB_LOGINS_PER_MINUTE",
        value_name = "N"
    )]
    sub_logins_per_minute: Option<u32>,
}

fn quota_mode(text: &str) -> Result<QuotaMode, String> {
    match text {
        "off" => Ok(QuotaMode::Off),
        "original" => Ok(QuotaMode::Original),
        _ => Err("neither off nor original".into()),
    }
}

fn instances(text: &str) -> Result<BTreeMap<String, InstanceState>, String> {
    let pair = |pair: &str| {
        let (id, state) = pair.split_once('=')?;
        let state = match state.trim() {
            "on" => InstanceState::On,
            "off" => InstanceState::Off,
            _ => return None,
        };
        Some((id.trim().to_owned(), state))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    pairs.map(|text| pair(text).ok_or_else(|| format!("`{text}` is not ID=on or ID=off"))).collect()
}

fn per_operation(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let pair = |pair: &str| {
        let (name, calls) = pair.split_once('=')?;
        Some((name.trim().to_owned(), calls.trim().parse().ok()?))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    pairs.map(|text| pair(text).ok_or_else(|| format!("`{text}` is not OPERATION=CALLS"))).collect()
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
        let (instances, quota, limits) = (self.instances, self.quota, self.limits);
        Self {
            data: self.data.or(below.data),
            http: self.http.or(below.http),
            mqtt: self.mqtt.or(below.mqtt),
            metrics: self.metrics.or(below.metrics),
            config: self.config,
            http_base: self.http_base.or(below.http_base),
            download_base: self.download_base.or(below.download_base),
            log: self.log.or(below.log),
            instances: InstanceSettings {
                default: instances.default.or(below.instances.default),
                others: instances.others.or(below.instances.others),
            },
            quota: QuotaSettings {
                mode: quota.mode.or(below.quota.mode),
                server_per_second: quota.server_per_second.or(below.quota.server_per_second),
                per_operation: quota.per_operation.or(below.quota.per_operation),
            },
            limits: LimitSettings {
                packages_max: limits.packages_max.or(below.limits.packages_max),
                products_max: limits.products_max.or(below.limits.products_max),
                consumer_groups_max: limits
                    .consumer_groups_max
                    .or(below.limits.consumer_groups_max),
                devices_max: limits.devices_max.or(below.limits.devices_max),
                package_bytes_max: limits.package_bytes_max.or(below.limits.package_bytes_max),
                device_list_bytes_max: limits
                    .device_list_bytes_max
                    .or(below.limits.device_list_bytes_max),
                job_devices_max: limits.job_devices_max.or(below.limits.job_devices_max),
                minute_devices_max: limits.minute_devices_max.or(below.limits.minute_devices_max),
                group_devices_max: limits.group_devices_max.or(below.limits.group_devices_max),
                pushes_per_minute: limits.pushes_per_minute.or(below.limits.pushes_per_minute),
                grace_ms: limits.grace_ms.or(below.limits.grace_ms),
                blocks_per_second: limits.blocks_per_second.or(below.limits.blocks_per_second),
                blocks_per_second_total: limits
                    .blocks_per_second_total
                    .or(below.limits.blocks_per_second_total),
                block_cache_bytes: limits.block_cache_bytes.or(below.limits.block_cache_bytes),
                sub_devices_max: limits.sub_devices_max.or(below.limits.sub_devices_max),
                sub_logins_per_second: limits
                    .sub_logins_per_second
                    .or(below.limits.sub_logins_per_second),
                sub_logins_per_minute: limits
                    .sub_logins_per_minute
                    .or(below.limits.sub_logins_per_minute),
            },
        }
    }

    fn check(self) -> anyhow::Result<Config> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http_base = self.http_base.map(|url| base("http_base", &url)).transpose()?;
        let download_base =
            self.download_base.map(|url| base("download_base", &url)).transpose()?;
        let instances = InstanceConfig {
            default_id: self.instances.default,
            others: self.instances.others.unwrap_or_default(),
        };
        instances.check().map_err(anyhow::Error::msg)?;
        let quota = QuotaConfig {
            mode: self.quota.mode.unwrap_or_default(),
            per_operation: self.quota.per_operation.unwrap_or_default(),
            server_per_second: self.quota.server_per_second.unwrap_or_default(),
        };
        Quotas::new(quota.clone()).map_err(anyhow::Error::msg)?;
        let (given, usual) = (self.limits, Limits::default());
        let limits = Limits {
            packages_max: given.packages_max.unwrap_or(usual.packages_max),
            products_max: given.products_max.unwrap_or(usual.products_max),
            consumer_groups_max: given.consumer_groups_max.unwrap_or(usual.consumer_groups_max),
            devices_max: given.devices_max.or(usual.devices_max),
            package_bytes_max: given.package_bytes_max.unwrap_or(usual.package_bytes_max),
            device_list_bytes_max: given
                .device_list_bytes_max
                .unwrap_or(usual.device_list_bytes_max),
            job_devices_max: given.job_devices_max.or(usual.job_devices_max),
            minute_devices_max: given.minute_devices_max.or(usual.minute_devices_max),
            group_devices_max: given.group_devices_max.or(usual.group_devices_max),
            pushes_per_minute: given.pushes_per_minute.unwrap_or(usual.pushes_per_minute),
            grace_ms: given.grace_ms.unwrap_or(usual.grace_ms),
            blocks_per_second: given.blocks_per_second.unwrap_or(usual.blocks_per_second),
            blocks_per_second_total: given
                .blocks_per_second_total
                .unwrap_or(usual.blocks_per_second_total),
            block_cache_bytes: given.block_cache_bytes.unwrap_or(usual.block_cache_bytes),
            sub_devices_max: given.sub_devices_max.unwrap_or(usual.sub_devices_max),
            sub_logins_per_second: given
                .sub_logins_per_second
                .unwrap_or(usual.sub_logins_per_second),
            sub_logins_per_minute: given
                .sub_logins_per_minute
                .unwrap_or(usual.sub_logins_per_minute),
        };
        ensure!(
            limits.grace_ms <= 60_000,
            "limits.grace_ms: {} is more than 60000",
            limits.grace_ms
        );
        Ok(Config {
            data: self.data.unwrap_or_else(|| "otaru-data".into()),
            http: self.http.unwrap_or_else(|| local(8080)),
            mqtt: self.mqtt.unwrap_or_else(|| local(1883)),
            metrics: self.metrics,
            http_base,
            download_base,
            log: self.log.unwrap_or_else(|| "info".into()),
            instances,
            quota,
            limits,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn line(args: &[&str]) -> Settings {
        Line::try_parse_from([&["otaru"], args].concat()).unwrap().settings
    }

    fn file(text: &str) -> Result<Config, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn nothing_set_is_the_documented_default() {
        let config = Settings::default().check().unwrap();
        let want = Config {
            data: "otaru-data".into(),
            http: "127.0.0.1:8080".parse().unwrap(),
            mqtt: "127.0.0.1:1883".parse().unwrap(),
            metrics: None,
            http_base: None,
            download_base: None,
            log: "info".into(),
            instances: InstanceConfig::default(),
            quota: QuotaConfig::default(),
            limits: Limits::default(),
        };
        assert_eq!(config, want);
    }

    #[test]
    fn every_flag_has_a_key_in_the_file() {
        let by_flags = line(&[
            "--data=d",
            "--http=127.0.0.1:0",
            "--mqtt=127.0.0.1:1",
            "--metrics=127.0.0.1:2",
            "--http-base=http://a/",
            "--download-base=https://b:1",
            "--log=debug",
            "--instances-default=iot-a",
            "--instances-others=iot-b=on, iot-c=off",
            "--quota-mode=original",
            "--quota-server-per-second=7",
            "--quota-per-operation=QueryOTAJob=3, ListOTAJobByDevice=4",
            "--limits-packages-max=1",
            "--limits-products-max=2",
            "--limits-devices-max=3",
            "--limits-package-bytes-max=4",
            "--limits-device-list-bytes-max=5",
            "--limits-job-devices-max=6",
            "--limits-group-devices-max=9",
            "--limits-minute-devices-max=10",
            "--limits-pushes-per-minute=7",
            "--limits-grace-ms=8",
        ]);
        let by_file = r#"
            data = "d"
            http = "127.0.0.1:0"
            mqtt = "127.0.0.1:1"
            metrics = "127.0.0.1:2"
            http_base = "http://a/"
            download_base = "https://b:1"
            log = "debug"
            [instances]
            default = "iot-a"
            others = { iot-b = "on", iot-c = "off" }
            [quota]
            mode = "original"
            server_per_second = 7
            per_operation = { QueryOTAJob = 3, ListOTAJobByDevice = 4 }
            [limits]
            packages_max = 1
            products_max = 2
            devices_max = 3
            package_bytes_max = 4
            device_list_bytes_max = 5
            job_devices_max = 6
            group_devices_max = 9
            minute_devices_max = 10
            pushes_per_minute = 7
            grace_ms = 8
        "#;
        let by_flags = by_flags.check().unwrap();
        assert_eq!(by_flags.http_base.as_deref(), Some("http://a"));
        assert_eq!(file(by_file), Ok(by_flags));
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("otaru.toml");
        std::fs::write(&path, "data = \"file\"\nlog = \"warn\"\n[limits]\ngrace_ms = 1").unwrap();
        let config = line(&["--data=flag", "--config", path.to_str().unwrap()]).load().unwrap();
        assert_eq!(
            (config.data, config.log, config.limits.grace_ms),
            ("flag".into(), "warn".into(), 1)
        );
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said() {
        for (text, want) in [
            ("htp = \"127.0.0.1:1\"", "unknown field `htp`"),
            ("[limits]\npackage_max = 1", "unknown field `package_max`"),
            ("[instances]\nothers = { a = \"yes\" }", "unknown variant `yes`"),
            ("[instances]\nothers = { \"a b\" = \"on\" }", "`a b` is no id"),
            ("[instances]\ndefault = \"\"", "`` is no id"),
            ("[instances]\ndefault = \"a\"\nothers = { a = \"on\" }", "`a` is the default one"),
            ("[quota]\nmod = \"off\"", "unknown field `mod`"),
            ("[quota]\nmode = \"on\"", "unknown variant `on`"),
            ("[quota]\nper_operation = { Query = 1 }", "`Query` is no operation"),
            ("http = \"8080\"", "invalid socket address"),
            ("download_base = \"ota.example\"", "download_base: ota.example is no address"),
            ("download_base = \"http://a/b\"", "is no address"),
            ("http_base = \"http://u@a\"", "http_base: http://u@a is no address"),
            ("[limits]\ngrace_ms = 60001", "limits.grace_ms: 60001 is more than 60000"),
            ("[limits]\npackages_max = -1", "invalid value"),
        ] {
            let error = file(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
