//! Clients that download one file over and over, on connections that stay.

use super::crowd::Bar;
use super::figures::{Tally, Watched, rounded};
use super::{Figures, Watch, named, open_files};
use crate::cli::web::Web;

use crate::clock::Stopwatch;
use crate::tls::Caller;
use anyhow::ensure;
use clap::Args;
use http_body_util::BodyExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// What to download, such as the URL of an upgrade message
    #[arg(value_name = "URL")]
    url: String,
    /// Clients at once
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Seconds to go on for
    #[arg(long, default_value_t = 10, value_name = "S")]
    seconds: u64,
    /// Ask for the file in ranges of so many bytes, one after the other; 0: whole
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    range: u64,
    /// Trust this CA for `https`, as `otaru ca` prints it
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    #[command(flatten)]
    pub(super) watch: Watch,
}

struct Load {
    url: String,
    range: u64,
    caller: Option<Caller>,
    tally: Tally,
    is_over: AtomicBool,
}

pub(super) async fn run(args: DownloadArgs, bar: &Bar) -> anyhow::Result<Figures> {
    open_files(args.clients.into())?;
    let caller = args.tls_ca.map(|ca| Caller::open(&ca, None, None)).transpose()?;
    let (url, range, tally) = (args.url, args.range, Tally::new()?);
    let load = Load { url, range, caller, tally, is_over: false.into() };
    let load = Arc::new(load);
    let watched = Watched::start(args.watch.pid)?;
    let mut running = JoinSet::new();
    for _ in 0..args.clients {
        let load = Arc::clone(&load);
        running.spawn(async move { load.download().await });
    }
    bar.pass("downloading", args.seconds).await;
    load.is_over.store(true, Ordering::Relaxed);
    running.join_all().await;
    let (tally, took) = (&load.tally, watched.elapsed());
    #[allow(clippy::cast_precision_loss, reason = "figures are rounded to a few digits")]
    let gigabytes = tally.bytes() as f64 / 1e9;
    let mut figures = named("download");
    figures.extend(tally.figures(took));
    figures.insert("bytes".into(), tally.bytes().into());
    figures.insert("gb_per_second".into(), rounded(gigabytes / took.as_secs_f64()));
    let mut server = watched.figures(tally.done_count())?;
    if let Some(cpu) = server["cpu_seconds"].as_f64() {
        server["cpu_seconds_per_gb"] = rounded(cpu / gigabytes.max(1e-9));
    }
    figures.insert("server".into(), server);
    Ok(figures)
}

impl Load {
    async fn download(&self) {
        // One client has one connection.
        let mut web = Web::new(self.caller.clone());
        let mut from = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let watch = Stopwatch::start();
            match self.part(&mut web, &mut from).await {
                Ok(bytes) => self.tally.moved(bytes, watch.elapsed()),
                Err(error) => {
                    self.tally.failed(format!("{error:#}"));
                    // A server that refuses at once is not asked in a tight loop.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Asks for the next part, and counts its bytes without keeping them.
    async fn part(&self, web: &mut Web, from: &mut u64) -> anyhow::Result<u64> {
        let range = (self.range > 0).then(|| format!("bytes={from}-{}", *from + self.range - 1));
        let response = web.get(&self.url, range.as_deref()).await?;
        let status = response.status();
        ensure!(status.is_success(), "answered with {}", status.as_u16());
        let all = total(&response);
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        // After the last part, or a file that came whole, it begins again.
        let next = *from + bytes;
        *from = if all.is_some_and(|all| next < all) { next } else { 0 };
        Ok(bytes)
    }
}

/// How long the whole file is, of which this is a part. Source: RFC 9110, 14.4.
fn total<B>(response: &hyper::Response<B>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}
