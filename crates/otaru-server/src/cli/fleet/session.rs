//! Devices that only connect, and devices that then stay.

use super::crowd::{Bar, Crowd, Stage};
use super::identity::Device;
use super::line::Line;
use super::{Devices, Figures, named};
use clap::Args;
use serde_json::json;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    #[command(flatten)]
    pub(super) devices: Devices,
    /// How often all connect; between two rounds all leave
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    pub(super) devices: Devices,
    /// Seconds to stay
    #[arg(long, default_value_t = 10, value_name = "S")]
    seconds: u64,
}

/// Connects all, lets go, and again.
pub(super) async fn connect(args: ConnectArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let devices = args.devices.gather(bar).await?;
    let mut rounds = Vec::new();
    let mut figures = named("connect");
    for _ in 0..args.rounds {
        let crowd = args.devices.crowd()?;
        let watched = args.devices.watched()?;
        let running = crowd.gather(devices.clone(), bar, stay).await?;
        let round = crowd.connects.figures(watched.elapsed());
        figures.extend(round.clone());
        figures.insert("server".into(), watched.figures(crowd.connects.done_count())?);
        rounds.push(json!({ "per_second": round["per_second"], "server": figures["server"] }));
        crowd.go_on_to(Stage::Leave);
        running.join_all().await;
    }
    // The figures above are those of the last round.
    figures.insert("rounds".into(), rounds.into());
    Ok(figures)
}

/// Connects all and stays.
pub(super) async fn idle(args: IdleArgs, bar: &Bar) -> anyhow::Result<Figures> {
    let devices = args.devices.gather(bar).await?;
    let crowd = args.devices.crowd()?;
    let watched = args.devices.watched()?;
    let running = crowd.gather(devices, bar, stay).await?;
    let mut figures = named("idle");
    figures.extend(crowd.connects.figures(watched.elapsed()));
    let staying = args.devices.watched()?;
    bar.pass("idle", args.seconds).await;
    let connected = crowd.connects.done_count();
    let lost = crowd.work.figures(staying.elapsed());
    figures.insert("lost".into(), lost["failed"].clone());
    figures.insert("lost_why".into(), lost["failures"].clone());
    figures.insert("server".into(), watched.figures(connected)?);
    figures.insert("server_while_idle".into(), staying.figures(connected)?);
    crowd.go_on_to(Stage::Leave);
    running.join_all().await;
    Ok(figures)
}

/// Stays until all leave.
async fn stay(crowd: Arc<Crowd>, mut line: Line, _: Device, _: usize) {
    tokio::select! {
        () = crowd.until(Stage::Leave) => {}
        error = line.listen() => crowd.work.failed(error),
    }
}
