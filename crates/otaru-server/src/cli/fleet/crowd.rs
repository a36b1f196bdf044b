//! Many devices at once: how they come in, who watches, when they go.

use super::figures::Tally;
use super::identity::Device;
use super::line::{Line, LineError};
use crate::clock::{Clock, Stopwatch};
use crate::tls::Caller;
use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Devices behind one loopback address: far fewer than it has ports.
const DEVICES_PER_SOURCE: usize = 10_000;
/// Between two looks at what is done; figures are no finer than this.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// How devices come in.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) to: SocketAddr,
    /// For connections under TLS.
    pub(super) caller: Option<Caller>,
    /// Connects that are under way at once.
    pub(super) connecting: usize,
    /// Connects per second; 0: no limit.
    pub(super) rate: u32,
    /// Whether each device subscribes to its upgrade topic.
    pub(super) subscribes: bool,
}

/// What all devices of a run share.
pub(super) struct Crowd {
    entrance: Entrance,
    gate: Semaphore,
    pace: Pace,
    /// Connects.
    pub(super) connects: Tally,
    /// What the devices do then.
    pub(super) work: Tally,
    stage: watch::Sender<Stage>,
    /// Devices that have done all they came for.
    ended: AtomicU64,
}

/// What devices are to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Connect,
    Work,
    Leave,
}

impl Crowd {
    pub(super) fn new(entrance: Entrance) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            gate: Semaphore::new(entrance.connecting),
            pace: Pace::new(entrance.rate),
            entrance,
            connects: Tally::new()?,
            work: Tally::new()?,
            stage: watch::Sender::new(Stage::Connect),
            ended: AtomicU64::new(0),
        }))
    }

    /// What opens connections under TLS, if they are to be.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.entrance.caller.as_ref()
    }

    /// Connects a device when its turn comes; what that took counts.
    pub(super) async fn join(&self, nth: usize, device: &Device) -> Option<Line> {
        self.pace.wait().await;
        // It is never closed.
        let _permit = self.gate.acquire().await.ok()?;
        let watch = Stopwatch::start();
        match self.enter(nth, device).await {
            Ok(line) => {
                self.connects.done(watch.elapsed());
                Some(line)
            }
            Err(error) => {
                self.connects.failed(error);
                None
            }
        }
    }

    /// Connects a device at once.
    ///
    /// # Errors
    /// Why it could not.
    pub(super) async fn enter(&self, nth: usize, device: &Device) -> Result<Line, LineError> {
        let Entrance { to, caller, subscribes, .. } = &self.entrance;
        let mut line = Line::connect(*to, source(*to, nth), caller.as_ref(), device).await?;
        if *subscribes {
            line.subscribe(&device.topic("upgrade")).await?;
        }
        Ok(line)
    }

    /// Connects a device whose server is gone as soon as there is one again, in its turn.
    ///
    /// # Errors
    /// When a server is there and doesn't take it.
    pub(super) async fn rejoin(
        &self,
        nth: usize,
        device: &Device,
        pause: Duration,
    ) -> Result<Line, LineError> {
        // It is never closed.
        let _permit = self.gate.acquire().await;
        loop {
            match self.enter(nth, device).await {
                Err(LineError::Connect(_) | LineError::Broken(_) | LineError::Closed) => {
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
    }

    /// Waits until the crowd is at `stage` or past it.
    pub(super) async fn until(&self, stage: Stage) {
        // The sender is in `self`.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    pub(super) fn go_on_to(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// A device has done all it came for.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Lets every device `play`, and waits until all have come in or failed to. What `play` returns is nothing: it
    /// tells the tallies.
    ///
    /// # Errors
    /// When none came in.
    pub(super) async fn gather<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        devices: Vec<Device>,
        bar: &Bar,
        play: impl Fn(Arc<Self>, Line, Device, usize) -> F + Clone + Send + 'static,
    ) -> anyhow::Result<JoinSet<()>> {
        let count = devices.len() as u64;
        let mut running = JoinSet::new();
        for (nth, device) in devices.into_iter().enumerate() {
            let (crowd, play) = (Arc::clone(self), play.clone());
            running.spawn(async move {
                if let Some(line) = crowd.join(nth, &device).await {
                    play(crowd, line, device, nth).await;
                }
            });
        }
        bar.follow("connecting", count, || {
            self.connects.done_count() + self.connects.failed_count()
        })
        .await;
        if self.connects.done_count() == 0 {
            bail!(
                "no device could connect: {:?}",
                self.connects.figures(Duration::ZERO)["failures"]
            );
        }
        Ok(running)
    }
}

/// Where the `nth` device comes from: on loopback there are as many addresses as one likes, elsewhere the system
/// chooses.
fn source(to: SocketAddr, nth: usize) -> Option<IpAddr> {
    let SocketAddr::V4(to) = to else { return None };
    if !to.ip().is_loopback() {
        return None;
    }
    let nth = u32::try_from(nth / DEVICES_PER_SOURCE).unwrap_or(u32::MAX) % 0x00ff_fffd;
    Some(Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 2).to_bits() + nth).into())
}

/// Spreads what is done over time.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    per_second: u32,
    begun: AtomicU64,
}

impl Pace {
    /// 0: as fast as it goes.
    pub(super) fn new(per_second: u32) -> Self {
        Self { clock: Clock::system(), per_second, begun: AtomicU64::new(0) }
    }

    /// Waits for the next turn.
    pub(super) async fn wait(&self) {
        if self.per_second > 0 {
            let nth = self.begun.fetch_add(1, Ordering::Relaxed);
            self.clock.sleep_until(nth * 1_000 / u64::from(self.per_second)).await;
        }
    }
}

/// A progress bar on a terminal; elsewhere a line for each part that begins.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {per_sec}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows how `done` grows until it is `all`.
    pub(super) async fn follow(&self, what: &'static str, all: u64, done: impl Fn() -> u64) {
        self.begin(what, all);
        loop {
            let now = done();
            self.0.set_position(now);
            if now >= all {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Shows `seconds` passing; an interrupt ends them, and the run has its figures all the same.
    pub(super) async fn pass(&self, what: &'static str, seconds: u64) {
        let passing = async {
            self.begin(what, seconds);
            for second in 1..=seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.0.set_position(second);
            }
        };
        tokio::select! {
            // The interrupt is waited for before the part is said to have begun.
            biased;
            Ok(()) = tokio::signal::ctrl_c() => {}
            () = passing => {}
        }
    }

    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    #[allow(clippy::print_stderr, reason = "a command says what it is doing")]
    pub(super) fn begin(&self, what: &'static str, all: u64) {
        if self.0.is_hidden() {
            eprintln!("{what}");
        }
        self.0.set_message(what);
        self.0.set_length(all);
        self.0.reset();
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
