//! Callers of the cloud API.

use super::crowd::Bar;
use super::figures::{Tally, Watched};
use super::template::Template;
use super::{Figures, Watch, client, identity, named, open_files};
use crate::cli::call::parameters;
use crate::cli::target::Target;
use crate::clock::Stopwatch;
use crate::rpc::gateway::Format;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    target: Target,
    /// Callers at once, each with one call under way
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    callers: u32,
    /// Seconds to go on for
    #[arg(long, default_value_t = 10, value_name = "S")]
    seconds: u64,
    /// Devices whose names are filled in for `{device}`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) watch: Watch,
    /// Operation, such as `ListOTAJobByDevice`
    action: String,
    /// Parameters of the operation, as `--Name value`; with --file a value `{product}` or `{device}` is that of another
    /// device in each call, and `{A-B}` another number from A to B
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--PARAM VALUE")]
    params: Vec<String>,
}

pub(super) async fn run(args: LoadArgs, bar: &Bar) -> anyhow::Result<Figures> {
    open_files(args.callers.into())?;
    let devices = args.file.as_deref().map(identity::read).transpose()?.unwrap_or_default();
    let params = Arc::new(Template::new(parameters(&args.action, args.params)?, devices)?);
    let calls = Arc::new(AtomicU64::new(0));
    let action: Arc<str> = args.action.into();
    let tally = Arc::new(Tally::new()?);
    let is_over = Arc::new(AtomicBool::new(false));
    let watched = Watched::start(args.watch.pid)?;
    let mut running = JoinSet::new();
    for _ in 0..args.callers {
        // A client of its own has a connection of its own.
        let client = client(&args.target)?;
        let (action, params) = (Arc::clone(&action), Arc::clone(&params));
        let (tally, is_over) = (Arc::clone(&tally), Arc::clone(&is_over));
        let calls = Arc::clone(&calls);
        running.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let sent = async {
                    let params = params.fill(calls.fetch_add(1, Ordering::Relaxed))?;
                    client.send(&action, &params, Format::Json).await
                };
                let watch = Stopwatch::start();
                match sent.await {
                    Ok(reply) => match reply.refused() {
                        None => tally.done(watch.elapsed()),
                        Some(refused) => tally.failed(refused.code),
                    },
                    Err(error) => {
                        tally.failed(error);
                        // A server that is gone is not asked in a tight loop.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }
    bar.pass("calling", args.seconds).await;
    is_over.store(true, Ordering::Relaxed);
    running.join_all().await;
    let mut figures = named("call");
    figures.insert("action".into(), (&*action).into());
    figures.extend(tally.figures(watched.elapsed()));
    figures.insert("server".into(), watched.figures(tally.done_count())?);
    Ok(figures)
}
