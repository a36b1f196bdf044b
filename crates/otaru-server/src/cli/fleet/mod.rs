//! `otaru fleet`: many simulated devices, or callers, and what they cost.

mod call;
mod crowd;
mod download;
mod figures;
mod identity;
mod line;
mod push;
mod report;
mod session;
mod template;
mod upgrade;

use super::client::{Client, text};
use super::package::Package;
use super::target::Target;
use crate::clock::Clock;
use crate::random::Random;
use crate::rpc::client::Signing;
use crate::tls::Caller;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::{Args, Subcommand};
use crowd::{Bar, Crowd, Entrance};
use figures::Watched;
use identity::Device;
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Load a server with simulated devices or callers, and print what it did as one line of JSON.
///
/// Devices are registered in a product of their own, or read from a file that `otaru fleet register` wrote. Address and
/// key come from flags, the environment, or the data folder of a server on this machine. A process holds as many
/// devices as it may open files; on loopback they come from as many addresses as they need.
#[derive(Debug, Args)]
pub struct FleetArgs {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Register devices and write them to a file
    Register(RegisterArgs),
    /// Connect all devices, in rounds
    Connect(session::ConnectArgs),
    /// Connect all devices and stay
    Idle(session::IdleArgs),
    /// A whole campaign: connect, push, download, progress, restart, new version
    Upgrade(upgrade::UpgradeArgs),
    /// A job for devices that are online: how long until all are told
    Push(push::PushArgs),
    /// Report progress as fast as it is acknowledged, or at a rate
    Report(report::ReportArgs),
    /// Download a package over and over
    Download(download::DownloadArgs),
    /// Call an operation of the cloud API over and over
    Call(call::LoadArgs),
}

#[derive(Debug, Args)]
struct RegisterArgs {
    #[command(flatten)]
    target: Target,
    /// Devices to register, in a new product
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    devices: u32,
    /// File to write, a line `PRODUCT_KEY,DEVICE_NAME,DEVICE_SECRET` for each; it holds secrets
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// Who the devices are and how they come in.
#[derive(Debug, Args)]
struct Devices {
    #[command(flatten)]
    target: Target,
    /// Address of the device listener [default: as the data folder says]
    #[arg(long, env = "OTARU_MQTT", value_name = "ADDR")]
    mqtt: Option<SocketAddr>,
    /// Connect under TLS, and trust this CA, as `otaru ca` prints it
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Offer this suite of TLS 1.2 alone, such as AES128-SHA256 [default: TLS 1.3]
    #[arg(long, value_name = "SUITE", requires = "tls_ca")]
    tls_suite: Option<String>,
    /// How many devices
    #[arg(long = "devices", default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Devices from a file instead of new ones; the first N of it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Connects that are under way at once
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connecting: u32,
    /// Connects per second; 0: as fast as they are answered
    #[arg(long, default_value_t = 0, value_name = "N")]
    connect_rate: u32,
    /// Don't subscribe to upgrades: the server sends them all the same
    #[arg(long)]
    no_subscribe: bool,
    #[command(flatten)]
    watch: Watch,
}

/// How figures are made.
#[derive(Debug, Clone, Copy, Args)]
struct Watch {
    /// Threads of this process
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Process of the server, whose CPU time and memory are shown too
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

/// Figures of a run, in the order in which they are printed.
type Figures = Map<String, Value>;

/// Runs the command and prints its figures.
///
/// # Errors
/// A sentence when the run could not be made. Devices that failed are figures.
#[allow(clippy::print_stdout, reason = "a command prints")]
pub async fn run(args: FleetArgs) -> anyhow::Result<()> {
    let threads = match &args.mode {
        Mode::Register(_) => 1,
        Mode::Connect(args) => args.devices.watch.threads,
        Mode::Idle(args) => args.devices.watch.threads,
        Mode::Upgrade(args) => args.devices.watch.threads,
        Mode::Push(args) => args.devices.watch.threads,
        Mode::Report(args) => args.devices.watch.threads,
        Mode::Download(args) => args.watch.threads,
        Mode::Call(args) => args.watch.threads,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.into())
        .enable_all()
        .build()?;
    // A runtime of its own: the one we are in has as many threads as there are cores.
    let (told, figures) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let bar = Bar::new();
        let outcome = runtime.block_on(play(args.mode, &bar));
        bar.clear();
        // Nobody waits any more only when the command is being ended.
        let _ = told.send(outcome);
    });
    let figures = figures.await.context("the run broke off")??;
    if thread.join().is_err() {
        bail!("the run broke off");
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

async fn play(mode: Mode, bar: &Bar) -> anyhow::Result<Figures> {
    match mode {
        Mode::Register(args) => register(args, bar).await,
        Mode::Connect(args) => session::connect(args, bar).await,
        Mode::Idle(args) => session::idle(args, bar).await,
        Mode::Upgrade(args) => upgrade::run(args, bar).await,
        Mode::Push(args) => push::run(args, bar).await,
        Mode::Report(args) => report::run(args, bar).await,
        Mode::Download(args) => download::run(args, bar).await,
        Mode::Call(args) => call::run(args, bar).await,
    }
}

async fn register(args: RegisterArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let api = client(&args.target)?;
    let product_key = product(&api).await?;
    let count = args.devices as usize;
    let devices = registered(&api, &product_key, count, bar).await?;
    identity::write(&args.file, &devices)?;
    let mut figures = named("register");
    figures.insert("devices".into(), devices.len().into());
    figures.insert("product_key".into(), product_key.into());
    Ok(figures)
}

fn named(mode: &str) -> Figures {
    Map::from_iter([("mode".to_owned(), Value::from(mode))])
}

async fn registered(
    api: &Client,
    product_key: &str,
    count: usize,
    bar: &Bar,
) -> anyhow::Result<Vec<Device>> {
    bar.begin("registering", count as u64);
    identity::register(api, product_key, count, |done| bar.at(done as u64)).await
}

fn client(target: &Target) -> anyhow::Result<Client> {
    let (endpoint, credentials) = (target.endpoint()?, target.credentials()?);
    Ok(Client::new(endpoint, credentials, Signing::V3, Clock::system(), Random::system()?))
}

/// Makes a product that nobody else uses; its key.
async fn product(api: &Client) -> anyhow::Result<String> {
    let name = unique("fleet")?;
    let reply = api.call("CreateProduct", &[("NodeType", "0"), ("ProductName", &name)]).await?;
    text(&reply, &["ProductKey"])
}

/// A name not used before: products and packages have names of their own in an account.
fn unique(prefix: &str) -> anyhow::Result<String> {
    Ok(format!("{prefix}-{}", Random::system()?.hex(6)))
}

/// Uploads `bytes` of noise as a package of `product_key` to `version`; its id.
async fn package(
    api: &Client,
    product_key: &str,
    version: &str,
    bytes: usize,
) -> anyhow::Result<String> {
    let mut content = vec![0; bytes];
    Random::system()?.fill(&mut content);
    let name = unique("fleet")?;
    let content = Bytes::from(content);
    Package { name: &name, version, verified_first: false, content }.create(api, product_key).await
}

impl Devices {
    /// The devices, from the file or new ones.
    async fn gather(&self, bar: &Bar) -> anyhow::Result<Vec<Device>> {
        open_files(u64::from(self.count))?;
        let count = self.count as usize;
        let Some(file) = &self.file else {
            let api = client(&self.target)?;
            let product_key = product(&api).await?;
            return registered(&api, &product_key, count, bar).await;
        };
        let mut devices = identity::read(file)?;
        ensure!(devices.len() >= count, "{} holds {} devices only", file.display(), devices.len());
        devices.truncate(count);
        Ok(devices)
    }

    fn crowd(&self) -> anyhow::Result<Arc<Crowd>> {
        let to = match self.mqtt {
            Some(to) => to,
            None => mqtt_of(&self.target, if self.tls_ca.is_some() { "mqtts" } else { "mqtt" })?,
        };
        let caller = self.tls_ca.as_ref();
        let caller =
            caller.map(|ca| Caller::open(ca, self.tls_suite.as_deref(), None)).transpose()?;
        Crowd::new(Entrance {
            to,
            caller,
            connecting: self.connecting as usize,
            rate: self.connect_rate,
            subscribes: !self.no_subscribe,
        })
    }

    fn watched(&self) -> anyhow::Result<Watched> {
        Watched::start(self.watch.pid)
    }
}

/// The device listener of the server of a data folder.
fn mqtt_of(target: &Target, protocol: &str) -> anyhow::Result<SocketAddr> {
    let address = target.listener(protocol)?;
    address.parse().with_context(|| format!("{address} is no address of a device listener"))
}

/// Makes room for `devices` connections.
fn open_files(devices: u64) -> anyhow::Result<()> {
    /// For everything that is no device.
    const OTHERS: u64 = 64;
    let most = crate::descriptors::raise()?;
    ensure!(
        most >= devices + OTHERS,
        "{devices} devices need {} open files, and a process may have {most} here",
        devices + OTHERS
    );
    Ok(())
}
