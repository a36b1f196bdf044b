//! Devices that report progress.

use super::crowd::{Bar, Crowd, Pace, Stage};
use super::identity::Device;
use super::line::Line;
use super::upgrade::Campaign;
use super::{Devices, Figures, named};
use crate::clock::Stopwatch;
use clap::Args;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    pub(super) devices: Devices,
    /// Seconds to report for
    #[arg(long, default_value_t = 10, value_name = "S")]
    seconds: u64,
    /// Reports per second of all devices; 0: each reports as soon as its last report is acknowledged
    #[arg(long, default_value_t = 0, value_name = "N")]
    rate: u32,
    /// Make no job: the reports are of no upgrade, for a server that knows none
    #[arg(long)]
    no_job: bool,
}

pub(super) async fn run(args: ReportArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let devices = args.devices.gather(bar).await?;
    let crowd = args.devices.crowd()?;
    let pace = Arc::new(Pace::new(args.rate));
    let campaign = if args.no_job {
        None
    } else {
        Some(Campaign::prepare(&args.devices.target, &devices, 1_024).await?)
    };
    let waits = campaign.is_some();
    let play =
        move |crowd, line, device, nth| report(crowd, line, device, nth, Arc::clone(&pace), waits);
    let running = crowd.gather(devices, bar, play).await?;
    if let Some(campaign) = &campaign {
        let connected = crowd.connects.done_count();
        campaign.start().await?;
        bar.follow("pushing", connected, || crowd.ended() + crowd.work.failed_count()).await;
        crowd.work.clear();
    }
    let watched = args.devices.watched()?;
    crowd.go_on_to(Stage::Work);
    bar.pass("reporting", args.seconds).await;
    let mut figures = named("report");
    figures.insert("devices".into(), crowd.connects.done_count().into());
    figures.extend(crowd.work.figures(watched.elapsed()));
    figures.insert("server".into(), watched.figures(crowd.work.done_count())?);
    crowd.go_on_to(Stage::Leave);
    running.join_all().await;
    Ok(figures)
}

async fn report(
    crowd: Arc<Crowd>,
    mut line: Line,
    device: Device,
    nth: usize,
    pace: Arc<Pace>,
    waits: bool,
) {
    let ready = async {
        if waits {
            line.message(&device.topic("upgrade")).await?;
            line.say(&device.topic("progress"), r#"{"step":"1","desc":""}"#).await?;
            crowd.end();
        }
        Ok::<_, super::line::LineError>(())
    };
    if let Err(error) = ready.await {
        return crowd.work.failed(error);
    }
    crowd.until(Stage::Work).await;
    let topic = device.topic("progress");
    let again = async {
        for step in nth.. {
            pace.wait().await;
            let watch = Stopwatch::start();
            let params = format!(r#"{{"step":"{}","desc":"fleet"}}"#, 2 + step % 97);
            line.say(&topic, &params).await?;
            crowd.work.done(watch.elapsed());
        }
        Ok::<_, super::line::LineError>(())
    };
    tokio::select! {
        () = crowd.until(Stage::Leave) => {}
        Err(error) = again => crowd.work.failed(error),
    }
}
