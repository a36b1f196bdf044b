//! A whole campaign.

use super::crowd::{Bar, Crowd, Stage};
use super::identity::Device;
use super::line::{Line, LineError};
use super::{Client, Devices, Figures, client, named, package, text, unique};
use crate::cli::target::Target;
use crate::cli::web::download;
use crate::clock::Stopwatch;
use anyhow::Context;
use clap::Args;
use md5::{Digest, Md5};
use serde_json::Value;
use sha2::Sha256;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Version that devices start from.
pub(super) const FROM: &str = "1.0.0";
/// Percentages that a device reports on its way.
const STEPS: [&str; 3] = ["1", "50", "100"];

#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    pub(super) devices: Devices,
    /// Bytes of the package
    #[arg(long, default_value_t = 64 * 1_024, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    bytes: u32,
    /// Downloads at once: each takes an open file more
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    downloads: u32,
    /// Report the new version on the same connection, instead of a new one as after a restart
    #[arg(long)]
    no_restart: bool,
}

/// A job for every device of the fleet's product.
pub(super) struct Campaign {
    api: Client,
    product_key: String,
    package: String,
    /// Where the package leads; no other campaign leads there.
    pub(super) version: Arc<str>,
}

impl Campaign {
    /// Uploads the package; no device hears of it yet.
    ///
    /// # Errors
    /// When the devices are of several products, or a call is refused.
    pub(super) async fn prepare(
        target: &Target,
        devices: &[Device],
        bytes: usize,
    ) -> anyhow::Result<Self> {
        let products: BTreeSet<_> = devices.iter().map(|device| &*device.product_key).collect();
        anyhow::ensure!(products.len() == 1, "a campaign is for devices of one product");
        let product_key = devices[0].product_key.to_string();
        let api = client(target)?;
        let version = unique("2.0.0")?;
        let package = package(&api, &product_key, &version, bytes).await?;
        Ok(Self { api, product_key, package, version: version.into() })
    }

    /// Makes the job; its id.
    ///
    /// # Errors
    /// When the call is refused.
    pub(super) async fn start(&self) -> anyhow::Result<String> {
        let params = [
            ("FirmwareId", &*self.package),
            ("ProductKey", &self.product_key),
            ("TargetSelection", "ALL"),
            // Devices of an earlier run may still have a task that nobody will end.
            ("OverwriteMode", "2"),
        ];
        text(&self.api.call("CreateOTAStaticUpgradeJob", &params).await?, &["Data", "JobId"])
    }

    /// How many tasks of `job` are in each status.
    pub(super) async fn outcome(&self, job: &str) -> anyhow::Result<Value> {
        let mut counts = serde_json::Map::new();
        for status in ["QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"] {
            let params =
                [("JobId", job), ("TaskStatus", status), ("CurrentPage", "1"), ("PageSize", "1")];
            let reply = self.api.call("ListOTATaskByJob", &params).await?;
            counts.insert(status.to_owned(), reply["Total"].clone());
        }
        Ok(Value::Object(counts))
    }
}

/// How each device goes about it.
struct Road {
    restarts: bool,
    /// Places for downloads.
    downloads: Semaphore,
}

/// Why a device did not upgrade.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the upgrade is not what the reference says")]
    Message,
    #[error("downloading: {0:#}")]
    Download(anyhow::Error),
    #[error("the file has another digest than the message says")]
    Digest,
}

pub(super) async fn run(args: UpgradeArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let devices = args.devices.gather(bar).await?;
    let crowd = args.devices.crowd()?;
    let campaign = Campaign::prepare(&args.devices.target, &devices, args.bytes as usize).await?;
    let road = Arc::new(Road {
        restarts: !args.no_restart,
        downloads: Semaphore::new(args.downloads as usize),
    });
    let play = move |crowd, line, device, nth| upgrade(crowd, line, device, nth, road.clone());
    let running = crowd.gather(devices, bar, play).await?;
    let connected = crowd.connects.done_count();
    bar.follow("reporting", connected, || crowd.ended() + crowd.work.failed_count()).await;
    let reported = crowd.ended();
    crowd.connects.clear();
    let watched = args.devices.watched()?;
    let job = campaign.start().await.context("making the job")?;
    let call = watched.elapsed();
    crowd.go_on_to(Stage::Work);
    bar.follow("upgrading", connected, || crowd.ended() - reported + crowd.work.failed_count())
        .await;
    let took = watched.elapsed();
    let upgraded = crowd.ended() - reported;
    let mut figures = named("upgrade");
    figures.insert("devices".into(), connected.into());
    figures.insert("upgraded".into(), upgraded.into());
    figures.insert("job_call_seconds".into(), super::figures::rounded(call.as_secs_f64()));
    figures.insert("bytes".into(), crowd.work.bytes().into());
    figures.extend(crowd.work.figures(took));
    figures.insert("server".into(), watched.figures(upgraded)?);
    figures.insert("tasks".into(), campaign.outcome(&job).await?);
    figures.insert("job_id".into(), job.into());
    crowd.go_on_to(Stage::Leave);
    running.join_all().await;
    Ok(figures)
}

async fn upgrade(crowd: Arc<Crowd>, mut line: Line, device: Device, nth: usize, road: Arc<Road>) {
    if let Err(error) =
        line.say(&device.topic("inform"), &format!(r#"{{"version":"{FROM}"}}"#)).await
    {
        return crowd.work.failed(error);
    }
    crowd.end();
    let watch = Stopwatch::start();
    match follow(&crowd, line, &device, nth, &road).await {
        Ok((line, bytes)) => {
            crowd.work.moved(bytes, watch.elapsed());
            crowd.end();
            crowd.until(Stage::Leave).await;
            drop(line);
        }
        Err(error) => crowd.work.failed(error),
    }
}

/// Follows one upgrade to its end.
async fn follow(
    crowd: &Crowd,
    mut line: Line,
    device: &Device,
    nth: usize,
    road: &Road,
) -> Result<(Line, u64), Trouble> {
    let message = line.message(&device.topic("upgrade")).await?;
    let message: Value = serde_json::from_slice(&message).map_err(|_| Trouble::Message)?;
    let text = |name: &str| message["data"][name].as_str().ok_or(Trouble::Message);
    let (version, url, digest) = (text("version")?, text("url")?, text("sign")?);
    let progress = device.topic("progress");
    line.say(&progress, &step(STEPS[0])).await?;
    let place = road.downloads.acquire().await.expect("nobody closes it");
    let content = download(url, crowd.caller()).await.map_err(Trouble::Download)?;
    drop(place);
    let found = match text("signMethod")? {
        "SHA256" => hex::encode(Sha256::digest(&content)),
        _ => hex::encode(Md5::digest(&content)),
    };
    if found != digest {
        return Err(Trouble::Digest);
    }
    for percent in &STEPS[1..] {
        line.say(&progress, &step(percent)).await?;
    }
    if road.restarts {
        drop(line);
        line = crowd.enter(nth, device).await?;
    }
    line.say(&device.topic("inform"), &format!(r#"{{"version":"{version}"}}"#)).await?;
    Ok((line, content.len() as u64))
}

fn step(percent: &str) -> String {
    format!(r#"{{"step":"{percent}","desc":""}}"#)
}
