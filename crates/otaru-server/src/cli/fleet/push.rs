//! Devices that are told of an upgrade, and told again after their server was gone.

use super::crowd::{Bar, Crowd, Stage};
use super::figures::{Tally, rounded};
use super::identity::Device;
use super::line::{Line, LineError};
use super::upgrade::{Campaign, FROM};
use super::{Devices, Figures, named};
use crate::clock::Stopwatch;
use anyhow::Context;
use clap::Args;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Between two attempts of a device to come back.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    pub(super) devices: Devices,
    /// Then stay until the server is gone, come back, and see how long until all are told again
    #[arg(long)]
    again: bool,
}

/// What the devices of a run measure by.
struct Times {
    /// Runs from the call that makes the job.
    call: OnceLock<Stopwatch>,
    /// Runs from the first connection that broke.
    loss: OnceLock<Stopwatch>,
    /// Until a device was connected and subscribed again.
    back: Tally,
    /// Until a device was told again.
    again: Tally,
}

pub(super) async fn run(args: PushArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let devices = args.devices.gather(bar).await?;
    let crowd = args.devices.crowd()?;
    let campaign = Campaign::prepare(&args.devices.target, &devices, 1_024).await?;
    let times = Arc::new(Times {
        call: OnceLock::new(),
        loss: OnceLock::new(),
        back: Tally::new()?,
        again: Tally::new()?,
    });
    let (shared, comes_back) = (Arc::clone(&times), args.again);
    let version = Arc::clone(&campaign.version);
    let play = move |crowd, line, device, nth| {
        let awaited = Awaited { device, version: Arc::clone(&version) };
        push(crowd, line, awaited, nth, Arc::clone(&shared), comes_back)
    };
    let running = crowd.gather(devices, bar, play).await?;
    let connected = crowd.connects.done_count();
    bar.follow("reporting", connected, || crowd.ended() + crowd.work.failed_count()).await;

    let watched = args.devices.watched()?;
    let call = *times.call.get_or_init(Stopwatch::start);
    let job = campaign.start().await.context("making the job")?;
    let answered = call.elapsed();
    bar.follow("pushing", connected, || crowd.work.done_count() + crowd.work.failed_count()).await;
    let mut figures = named("push");
    figures.insert("devices".into(), connected.into());
    figures.insert("job_call_seconds".into(), rounded(answered.as_secs_f64()));
    figures.extend(crowd.work.figures(call.elapsed()));
    figures.insert("server".into(), watched.figures(crowd.work.done_count())?);
    figures.insert("tasks".into(), campaign.outcome(&job).await?);
    figures.insert("job_id".into(), job.into());
    if args.again {
        let told = crowd.work.done_count();
        let failed = || crowd.work.failed_count() - (connected - told);
        bar.follow("staying", 1, || times.loss.get().map_or(0, |_| 1)).await;
        bar.follow("coming back", told, || times.again.done_count() + failed()).await;
        let took = times.loss.get().map(|loss| loss.elapsed()).unwrap_or_default();
        figures.insert("back".into(), times.back.figures(took).into());
        figures.insert("again".into(), times.again.figures(took).into());
        figures.insert("failures".into(), crowd.work.figures(took)["failures"].clone());
    }
    crowd.go_on_to(Stage::Leave);
    running.join_all().await;
    Ok(figures)
}

/// A device, and the upgrade that it waits for: it may be told of one of an earlier run first.
struct Awaited {
    device: Device,
    version: Arc<str>,
}

impl Awaited {
    /// Says its version, so that the server need not wait for it.
    async fn inform(&self, line: &mut Line) -> Result<(), LineError> {
        let version = format!(r#"{{"version":"{FROM}"}}"#);
        line.say(&self.device.topic("inform"), &version).await
    }

    async fn told(&self, line: &mut Line) -> Result<(), LineError> {
        let topic = self.device.topic("upgrade");
        loop {
            let payload = line.message(&topic).await?;
            let message: Value = serde_json::from_slice(&payload).unwrap_or_default();
            if message["data"]["version"] == *self.version {
                return Ok(());
            }
        }
    }
}

async fn push(
    crowd: Arc<Crowd>,
    mut line: Line,
    awaited: Awaited,
    nth: usize,
    times: Arc<Times>,
    comes_back: bool,
) {
    let told = async {
        awaited.inform(&mut line).await?;
        crowd.end();
        awaited.told(&mut line).await
    };
    match told.await {
        Ok(()) => crowd.work.done(times.call.get_or_init(Stopwatch::start).elapsed()),
        Err(error) => return crowd.work.failed(error),
    }
    let stays = async {
        if comes_back {
            line.listen().await;
            let loss = *times.loss.get_or_init(Stopwatch::start);
            match again(&crowd, &awaited, nth, loss, &times).await {
                Ok(back) => line = back,
                Err(error) => return crowd.work.failed(error),
            }
        }
        crowd.work.failed(line.listen().await);
    };
    tokio::select! {
        () = crowd.until(Stage::Leave) => {}
        () = stays => {}
    }
}

/// Connects as soon as there is a server, and waits until it tells of the upgrade again.
async fn again(
    crowd: &Crowd,
    awaited: &Awaited,
    nth: usize,
    loss: Stopwatch,
    times: &Times,
) -> Result<Line, LineError> {
    let mut line = crowd.rejoin(nth, &awaited.device, RETRY_PAUSE).await?;
    times.back.done(loss.elapsed());
    awaited.inform(&mut line).await?;
    awaited.told(&mut line).await?;
    times.again.done(loss.elapsed());
    Ok(line)
}
