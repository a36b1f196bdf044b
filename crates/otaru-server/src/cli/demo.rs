//! A whole campaign on this machine: a service, a package, devices that upgrade.

use super::client::{Client, Endpoint, text};
use super::device::{Behaviour, Identity, Step, run as run_device};
use super::package::Package;
use super::serve::Server;
use crate::clock::Clock;
use crate::config::Settings;
use crate::random::Random;
use crate::rpc::client::{Credentials, Signing};
use anyhow::{Context, bail, ensure};
use clap::Args;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// Show simulated devices upgrading, on a service of its own.
///
/// Starts a service in a temporary folder on free ports, uploads a package, verifies it on one device, and upgrades
/// the rest: one fails, one is offline at first and comes back.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many devices, 3 to 1,000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(3..=1_000))]
    devices: u16,
    /// End when the campaign has ended; status 0 only if all ended as planned.
    #[arg(long)]
    exit: bool,
}

const PACKAGE_BYTES: usize = 64 * 1024;
/// Looks at the job until it is given up.
const LOOKS_MAX: u32 = 600;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

struct Demo {
    client: Client,
    mqtt: String,
    product_key: String,
}

/// Runs the command.
///
/// # Errors
/// When the service can't start, a call is refused, or the campaign does not end as planned.
#[allow(clippy::print_stdout, reason = "a command prints")]
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let random = Random::system()?;
    let folder = std::env::temp_dir().join(format!("otaru-demo-{}", random.hex(8)));
    let server = Server::start(Settings::demo(folder.clone()).load()?, None).await?;
    println!(
        "service    http://{} and mqtt://{}, data in {}",
        server.http,
        server.mqtt,
        folder.display()
    );
    // Ctrl-C at any moment still ends the service and removes its folder.
    let outcome = tokio::select! {
        outcome = show(&server, random, &args, &folder) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C"),
    };
    server.stop().await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    outcome
}

#[allow(clippy::print_stdout, reason = "a command prints")]
async fn show(
    server: &Server,
    random: Random,
    args: &DemoArgs,
    folder: &Path,
) -> anyhow::Result<()> {
    let job = campaign(server, random, args.devices).await?;
    if args.exit {
        return Ok(());
    }
    let (data, paged) = (folder.display(), "--CurrentPage 1 --PageSize 10");
    println!("\nTry next, in another terminal:");
    println!("  otaru call QueryOTAJob --JobId {job} --data {data}");
    println!(
        "  otaru call ListOTATaskByJob --JobId {job} --TaskStatus FAILED {paged} --data {data}"
    );
    println!("  otaru call ListOTAFirmware {paged} --data {data} --format xml");
    println!("Ctrl-C ends the service and removes its folder.");
    std::future::pending().await
}

/// Runs the campaign and returns its job.
#[allow(clippy::print_stdout, reason = "a command prints")]
async fn campaign(server: &Server, random: Random, devices: u16) -> anyhow::Result<String> {
    let credentials = Credentials {
        access_key_id: server.credentials.access_key_id.clone(),
        access_key_secret: server.credentials.access_key_secret.clone(),
        security_token: None,
    };
    let endpoint = Endpoint::parse(&server.http.to_string())?;
    let client = Client::new(endpoint, credentials, Signing::V3, Clock::system(), random.clone());
    let product =
        client.call("CreateProduct", &[("NodeType", "0"), ("ProductName", "demo-lamp")]).await?;
    let product_key = text(&product, &["ProductKey"])?;
    println!("product    {product_key}");
    let demo = Demo { client, mqtt: server.mqtt.to_string(), product_key };
    let mut identities = Vec::new();
    for n in 1..=devices {
        identities.push(demo.register(&format!("lamp-{n:04}")).await?);
    }
    println!("devices    {} registered", identities.len());
    let mut content = vec![0; PACKAGE_BYTES];
    random.fill(&mut content);
    let package = Package {
        name: "demo-firmware",
        version: "2.0.0",
        verified_first: true,
        content: content.into(),
    };
    let firmware = package.create(&demo.client, &demo.product_key).await?;
    println!("package    {firmware}, {PACKAGE_BYTES} bytes, to version 2.0.0");

    let mut running = JoinSet::new();
    start(&mut running, &identities[0], Behaviour::Upgrades);
    let (pk, first) = (demo.product_key.as_str(), identities[0].device_name.as_str());
    let verify = [("FirmwareId", &*firmware), ("ProductKey", pk), ("TargetDeviceName.1", first)];
    let job = demo.client.call("CreateOTAVerifyJob", &verify).await?;
    demo.follow("verify", &text(&job, &["Data", "JobId"])?, 1, 0).await?;

    let last = identities.len() - 1;
    for (n, identity) in identities.iter().enumerate().take(last).skip(1) {
        start(&mut running, identity, if n == 1 { Behaviour::Fails } else { Behaviour::Upgrades });
    }
    let upgrade = [("FirmwareId", &*firmware), ("ProductKey", pk), ("TargetSelection", "ALL")];
    let job =
        text(&demo.client.call("CreateOTAStaticUpgradeJob", &upgrade).await?, &["Data", "JobId"])?;
    println!(
        "job        {job}: {} is offline, {} will fail",
        identities[last].device_name, identities[1].device_name
    );
    let late = identities[last].clone();
    running.spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        run_device(&late, "1.0.0", Behaviour::Upgrades, |_| ()).await.map(|()| late.device_name)
    });
    demo.follow("upgrade", &job, u64::from(devices) - 2, 1).await?;
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    println!("done       all ended as planned");
    Ok(job)
}

fn start(running: &mut JoinSet<anyhow::Result<String>>, identity: &Identity, behaviour: Behaviour) {
    let identity = identity.clone();
    running.spawn(async move {
        let watch = |step: Step| tracing::debug!(device = identity.device_name, "{step:?}");
        run_device(&identity, "1.0.0", behaviour, watch).await?;
        Ok(identity.device_name)
    });
}

impl Demo {
    async fn register(&self, name: &str) -> anyhow::Result<Identity> {
        let params = [("ProductKey", self.product_key.as_str()), ("DeviceName", name)];
        let reply = self.client.call("RegisterDevice", &params).await?;
        Ok(Identity {
            mqtt: self.mqtt.clone(),
            product_key: self.product_key.clone(),
            device_name: name.to_owned(),
            device_secret: Some(text(&reply, &["Data", "DeviceSecret"])?),
            caller: None,
        })
    }

    /// Shows a job until it ends, and checks how.
    #[allow(clippy::print_stdout, reason = "a command prints")]
    async fn follow(
        &self,
        what: &str,
        job: &str,
        succeeded: u64,
        failed: u64,
    ) -> anyhow::Result<()> {
        let mut shown = String::new();
        for _ in 0..LOOKS_MAX {
            let status = self.client.call("QueryOTAJob", &[("JobId", job)]).await?;
            let status = text(&status, &["Data", "JobStatus"])?;
            let mut counts = Vec::new();
            for name in ["QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED"] {
                let params =
                    [("JobId", job), ("TaskStatus", name), ("CurrentPage", "1"), ("PageSize", "1")];
                let listed = self.client.call("ListOTATaskByJob", &params).await?;
                counts.push((name, listed["Total"].as_u64().unwrap_or(0)));
            }
            let line: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            let line = format!("{what:<10} {status}: {}", line.join(", "));
            if line != shown {
                println!("{line}");
                shown = line;
            }
            if status == "COMPLETED" {
                let ended = (counts[3].1, counts[4].1);
                ensure!(
                    ended == (succeeded, failed),
                    "{what}: planned were {succeeded} and {failed}"
                );
                return Ok(());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        bail!("{what}: the job has not ended")
    }
}
