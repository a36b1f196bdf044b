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
        store: None,
        http: "127.0.0.1:8080".parse().unwrap(),
        mqtt: "127.0.0.1:1883".parse().unwrap(),
        https: None,
        mqtts: None,
        metrics: None,
        http_base: None,
        download_base: None,
        log: "info".into(),
        instances: InstanceConfig::default(),
        quota: QuotaConfig::default(),
        limits: Limits::default(),
        tls: TlsConfig::default(),
        doors: DoorLimits::default(),
        devices: DeviceLimits::default(),
        rates: RateChoice::default(),
    };
    assert_eq!(config, want);
}

#[test]
fn every_flag_has_a_key_in_the_file() {
    let by_flags = line(&[
        "--data=d",
        "--store=postgres://otaru@db/otaru",
        "--http=127.0.0.1:0",
        "--mqtt=127.0.0.1:1",
        "--metrics=127.0.0.1:2",
        "--https=127.0.0.1:3",
        "--mqtts=127.0.0.1:4",
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
        "--sessions-expiry-s=11",
        "--sessions-message-expiry-s=12",
        "--sessions-messages-max=13",
        "--sessions-bytes-max=14",
        "--sessions-messages-total-max=15",
        "--sessions-bytes-total-max=16",
        "--tls-name=ota.example,192.0.2.1",
        "--tls-cert=a.pem,b.pem",
        "--tls-key=a.key,b.key",
        "--tls-handshake-ms=9",
        "--tls-handshakes-max=10",
        "--doors-strangers-max=11",
        "--doors-exempt-loopback=false",
        "--devices-keepalive-s-min=12",
        "--devices-held-bytes-max=13",
        "--doors-http-head-ms=14",
        "--rates-mode=original",
        "--rates-downlink-per-second=15",
    ]);
    let by_file = r#"
        data = "d"
         store = "postgres://otaru@db/otaru"
        http = "127.0.0.1:0"
        mqtt = "127.0.0.1:1"
        metrics = "127.0.0.1:2"
        https = "127.0.0.1:3"
        mqtts = "127.0.0.1:4"
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
        [sessions]
        expiry_s = 11
        message_expiry_s = 12
        messages_max = 13
        bytes_max = 14
        messages_total_max = 15
        bytes_total_max = 16
        [tls]
        name = ["ota.example", "192.0.2.1"]
        cert = ["a.pem", "b.pem"]
        key = ["a.key", "b.key"]
        handshake_ms = 9
        handshakes_max = 10
        [doors]
        strangers_max = 11
        exempt_loopback = false
        http_head_ms = 14
        [devices]
        keepalive_s_min = 12
        held_bytes_max = 13
        [rates]
        mode = "original"
        downlink_per_second = 15
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
        ("[tls]\nname = [\"a b\"]", "tls.name: `a b` is neither a host name nor an address"),
        ("[tls]\ncert = [\"a\"]", "tls.cert and tls.key: 1 and 0 files"),
        (
            "[tls]\ncert = [\"a\", \"b\", \"c\"]\nkey = [\"a\", \"b\", \"c\"]",
            "tls.cert: 3 files are more than 2",
        ),
        ("[tls]\nclient_crl = \"a\"", "tls.client_crl: it needs tls.client_ca"),
        ("[tls]\nhandshakes_max = 0", "tls.handshakes_max: at least 1 is needed"),
        ("[tls]\nhandshake_ms = 0", "tls.handshake_ms: 0 is not"),
        ("[doors]\naddresses_max = 1023", "doors.addresses_max: 1023 is less than 1024"),
        (
            "[doors]\nhttp_bodies_bytes_max = 1",
            "doors.http_bodies_bytes_max: 1 is less than 16777216",
        ),
        ("[doors]\nhttp_silence_ms = 4294967296", "4294967296 is more than 4294967295"),
        ("[doors]\nhttp_head_ms = 0", "doors.http_head_ms: 0 lets nobody ask"),
        ("[devices]\nconnect_ms = 0", "devices.connect_ms: 0 lets nobody in"),
        (
            "[devices]\nconnect_bytes_max = 511",
            "devices.connect_bytes_max: 511 is not 512 to 65536",
        ),
        ("[devices]\nkeepalive_s_min = 1201", "1201 is more than keepalive_s_max, 1200"),
        ("[rates]\nmode = \"on\"", "unknown variant `on`"),
        ("[devices]\nin_flight_max = 0", "devices.in_flight_max: 0 is not 1 to 32767"),
    ] {
        let error = file(text).unwrap_err();
        assert!(error.contains(want), "{text}: {error}");
    }
}
