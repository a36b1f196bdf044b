//! A simulated device over real MQTT: connects, reports its version, upgrades when it is told to.

use super::web::download;
use crate::socket::Socket;
use crate::tls::Caller;
use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use clap::Args;
use md5::{Digest, Md5};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{ByteString, Connect, ConnectCode, Qos};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Run one simulated device that upgrades.
///
/// It connects, reports its version, waits for an upgrade, downloads and checks the package, reports progress,
/// restarts and reports the new version; then it waits for the next. Register the device first, for example with
/// `otaru call RegisterDevice`, which answers the secret.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Address of the device listener.
    #[arg(long, env = "OTARU_MQTT", default_value = "127.0.0.1:1883", value_name = "ADDR")]
    mqtt: String,
    #[arg(long, env = "OTARU_PRODUCT_KEY", value_name = "KEY")]
    product_key: String,
    #[arg(long, env = "OTARU_DEVICE_NAME", value_name = "NAME")]
    device_name: String,
    #[arg(
        long,
        env = "OTARU_DEVICE_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        required_unless_present = "tls_cert"
    )]
    device_secret: Option<String>,
    /// Connect and download under TLS, and trust this CA, as `otaru ca` prints it
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Show this certificate in the place of a secret: with its key in one file, as `otaru device-cert` prints them
    #[arg(long, value_name = "FILE", requires = "tls_ca", conflicts_with = "device_secret")]
    tls_cert: Option<PathBuf>,
    /// Version to start from.
    #[arg(long, default_value = "1.0.0")]
    version: String,
    /// Report that the download failed, instead of upgrading.
    #[arg(long)]
    fail: bool,
    /// End after one upgrade.
    #[arg(long)]
    once: bool,
}

/// Runs the command.
///
/// # Errors
/// When the server refuses the device, ends the connection, or sends what is no upgrade.
#[allow(clippy::print_stdout, reason = "a command prints")]
pub async fn command(args: DeviceArgs) -> anyhow::Result<()> {
    let DeviceArgs { mqtt, product_key, device_name, device_secret, tls_ca, mut version, .. } =
        args;
    let DeviceArgs { fail, once, tls_cert, .. } = args;
    let caller = tls_ca.map(|ca| Caller::open(&ca, None, tls_cert.as_deref())).transpose()?;
    let identity = Identity { mqtt, product_key, device_name, device_secret, caller };
    let behaviour = if fail { Behaviour::Fails } else { Behaviour::Upgrades };
    loop {
        let mut reached = None;
        let from = version.clone();
        run(&identity, &version, behaviour, |step| match step {
            Step::Connected => println!("connected, at version {from}; waiting for an upgrade"),
            Step::Told { version } => println!("told to upgrade to {version}"),
            Step::Downloaded { bytes } => println!("downloaded and checked {bytes} bytes"),
            Step::Failed => println!("reported that the download failed"),
            Step::Upgraded { version } => {
                println!("restarted and reported version {version}");
                reached = Some(version);
            }
        })
        .await?;
        version = reached.unwrap_or(version);
        if once {
            return Ok(());
        }
    }
}

/// Who a device is and where its server listens.
#[derive(Debug, Clone)]
pub struct Identity {
    pub mqtt: String,
    pub product_key: String,
    pub device_name: String,
    /// Without it the certificate of `caller` says who it is.
    pub device_secret: Option<String>,
    /// For connections and downloads under TLS; without it they are plain.
    pub caller: Option<Caller>,
}

/// What a device does when it is told to upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Upgrades,
    /// Reports that the download failed.
    Fails,
}

/// What a device did, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Connected,
    Told { version: String },
    Downloaded { bytes: usize },
    Failed,
    Upgraded { version: String },
}

/// Seconds of silence after which a ping is sent.
const PING_SECONDS: u64 = 60;

struct Session {
    stream: Socket,
    client: Client,
    out: BytesMut,
    next_id: u64,
    events: VecDeque<ClientEvent>,
    /// Messages that came while something else was waited for.
    messages: VecDeque<(ByteString, Bytes)>,
}

impl Identity {
    fn topic(&self, kind: &str) -> String {
        format!("/ota/device/{kind}/{}/{}", self.product_key, self.device_name)
    }
}

/// Connects, reports `version`, and follows one upgrade to its end; `watch` hears of each step.
///
/// # Errors
/// When the server refuses the device, ends the connection, or sends what is no upgrade.
pub async fn run(
    identity: &Identity,
    version: &str,
    behaviour: Behaviour,
    mut watch: impl FnMut(Step),
) -> anyhow::Result<()> {
    let mut session = Session::connect(identity).await?;
    watch(Step::Connected);
    session.say(&identity.topic("inform"), &json!({ "version": version })).await?;
    let message = session.upgrade(&identity.topic("upgrade")).await?;
    let data = &message["data"];
    let text = |name: &str| data[name].as_str().map(str::to_owned);
    let dest = text("version").context("the upgrade names no version")?;
    watch(Step::Told { version: dest.clone() });
    let progress = identity.topic("progress");
    if behaviour == Behaviour::Fails {
        session
            .say(&progress, &json!({ "step": "-2", "desc": "the simulated download broke" }))
            .await?;
        watch(Step::Failed);
        return session.close().await;
    }
    session.say(&progress, &json!({ "step": "1", "desc": "" })).await?;
    let url = text("url").context("the upgrade names no single file")?;
    let content = download(&url, identity.caller.as_ref()).await?;
    let digest = match text("signMethod").as_deref() {
        Some("SHA256") => hex::encode(Sha256::digest(&content)),
        _ => hex::encode(Md5::digest(&content)),
    };
    ensure!(
        Some(&digest) == text("sign").as_ref(),
        "the file has another digest than the message says"
    );
    ensure!(
        data["size"].as_u64() == Some(content.len() as u64),
        "the file has another size than the message says"
    );
    watch(Step::Downloaded { bytes: content.len() });
    for step in ["50", "100"] {
        session.say(&progress, &json!({ "step": step, "desc": "" })).await?;
    }
    // A real device restarts here.
    session.close().await?;
    let mut session = Session::connect(identity).await?;
    session.say(&identity.topic("inform"), &json!({ "version": dest })).await?;
    watch(Step::Upgraded { version: dest });
    session.close().await
}

impl Session {
    async fn connect(identity: &Identity) -> anyhow::Result<Self> {
        let Identity { mqtt, product_key, device_name, device_secret, caller } = identity;
        let tcp =
            TcpStream::connect(mqtt).await.with_context(|| format!("connecting to {mqtt}"))?;
        let stream = match caller {
            Some(caller) => caller.connect(tcp).await.context("shaking hands")?.into(),
            None => Socket::from(tcp),
        };
        let base = format!("{product_key}.{device_name}");
        let signed = connect_content(&base, device_name, product_key, None);
        let sign = |secret: &String| SignMethod::Sha256.sign(secret, &signed).into_bytes().into();
        let connect = Connect {
            client_id: format!(
                "{base}|securemode={},signmethod=hmacsha256|",
                if caller.is_some() { 2 } else { 3 }
            )
            .into(),
            username: Some(format!("{device_name}&{product_key}").into()),
            password: device_secret.as_ref().map(sign),
            clean_session: true,
            keepalive_s: 120,
            ..Connect::default()
        };
        let mut session = Self {
            stream,
            client: Client::default(),
            out: BytesMut::new(),
            next_id: 1,
            events: VecDeque::new(),
            messages: VecDeque::new(),
        };
        session.client.connect(connect, &mut session.out)?;
        session.flush().await?;
        match session.event().await? {
            ClientEvent::ConnAck { code: ConnectCode::Accepted, .. } => Ok(session),
            ClientEvent::ConnAck { code, .. } => bail!("the server refused the device: {code:?}"),
            other => bail!("the server greeted with {other:?}"),
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out.split()).await.context("writing to the server")
    }

    async fn event(&mut self) -> anyhow::Result<ClientEvent> {
        while self.events.is_empty() {
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(
                Duration::from_secs(PING_SECONDS),
                self.stream.read(&mut buffer),
            );
            let Ok(read) = read.await else {
                self.client.ping(&mut self.out);
                self.flush().await?;
                continue;
            };
            let read = read.context("reading from the server")?;
            ensure!(read > 0, "the server closed the connection");
            let mut input = &buffer[..read];
            while let Some(event) = self.client.next(&mut input)? {
                self.events.push_back(event);
            }
        }
        let event = self.events.pop_front().context("an event was there")?;
        if let ClientEvent::Publish { packet_id: Some(id), .. } = &event {
            self.client.puback(*id, &mut self.out);
            self.flush().await?;
        }
        Ok(event)
    }

    /// Reports and waits for the acknowledgement, which says that the report is kept.
    async fn say(&mut self, topic: &str, params: &Value) -> anyhow::Result<()> {
        let payload = json!({ "id": self.next_id.to_string(), "params": params }).to_string();
        self.next_id += 1;
        let id =
            self.client.publish(topic.into(), payload.into(), Qos::AtLeastOnce, &mut self.out)?;
        self.flush().await?;
        loop {
            match self.event().await? {
                ClientEvent::PubAck(acknowledged) if Some(acknowledged) == id => return Ok(()),
                // The upgrade may overtake the acknowledgement.
                ClientEvent::Publish { topic, payload, .. } => {
                    self.messages.push_back((topic, payload));
                }
                _ => {}
            }
        }
    }

    async fn upgrade(&mut self, on: &str) -> anyhow::Result<Value> {
        loop {
            let (topic, payload) = match self.messages.pop_front() {
                Some(message) => message,
                None => match self.event().await? {
                    ClientEvent::Publish { topic, payload, .. } => (topic, payload),
                    _ => continue,
                },
            };
            if *topic == *on {
                return serde_json::from_slice(&payload).context("the upgrade is no JSON");
            }
        }
    }

    async fn close(mut self) -> anyhow::Result<()> {
        self.client.disconnect(&mut self.out);
        self.flush().await
    }
}
