//! `otaru serve`: the service on one data folder.

mod admin;
pub(super) mod folder;
mod listeners;
#[cfg(test)]
mod tests;

use super::engine::{self, Opened};
use crate::app::{App, Credentials, Gatekeeper};
use crate::clock::Clock;
use crate::config::{Config, Settings};
use crate::descriptors;
use crate::doors::Guard;
use crate::files::{self, upload::Ticket};
use crate::files::{Files, Urls};
use crate::http::{self, Backend, Bodies, Router, Unavailable};
use crate::metrics::{self, Door, Metrics};
use crate::mqtt::{self, Gateway, Link, Registry};
use crate::random::Random;
use crate::rpc::quota::Quotas;
use crate::rpc::{self, Rpc};
use crate::store::StoreHandle;
use crate::tls::Acceptor;
use admin::Admin;
use anyhow::{Context, bail, ensure};
use clap::Args;
use folder::Folder;
pub use listeners::Listeners;
use listeners::{Bases, acceptor, bind};
use otaru_core::device_http::{HttpClaim, HttpError, Token};
use otaru_core::package::Blob;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Threads that read the store.
const READERS: usize = 4;
/// Time that devices, and then the store, get when the server stops. Nothing acknowledged waits for either.
const STOP_TIME: Duration = Duration::from_secs(10);

/// Run the service.
///
/// Prints one line to stdout when it listens: `ready http=ADDR mqtt=ADDR`, with --https, --mqtts and --metrics
/// also `https=ADDR`, `mqtts=ADDR` and `metrics=ADDR`. SIGHUP loads the TLS certificates anew. The first start makes an account and its
/// access key, from `OTARU_ACCESS_KEY_ID` and `OTARU_ACCESS_KEY_SECRET` when they are set.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command until SIGTERM or SIGINT.
///
/// # Errors
/// A sentence when the service can't start, or a part of it ended by itself.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = args.settings.load()?;
    descriptors::raise()?;
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log)
        .with_context(|| format!("log: {} is no filter", config.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A file that may not grow (`ulimit -f`) is then an error like that of a full disk, where it would end the process.
    let _file_too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let key = folder::key_of_environment()?;
    let mut server = Server::start(config, key).await?;
    if server.key_is_new {
        let Credentials { access_key_id, access_key_secret } = &server.credentials;
        eprintln!("A new access key, shown only now: {access_key_id} {access_key_secret}");
        eprintln!("It is kept in {}.", server.key_file.display());
    }
    let metrics = server.metrics.map(|address| format!(" metrics={address}")).unwrap_or_default();
    println!("ready {}{metrics}", server.listeners);
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        never = reloads(server.tls.clone()) => Some(Some(never)),
        ended = server.tasks.join_next() => Some(ended),
    };
    server.stop().await;
    match ended {
        None => Ok(()),
        Some(Some(Err(error))) => Err(error).context("a part of the server failed"),
        Some(_) => bail!("a part of the server ended by itself"),
    }
}

/// Loads certificates anew with each SIGHUP; ends only when that can't be heard.
async fn reloads(tls: Option<Arc<Acceptor>>) -> Result<(), tokio::task::JoinError> {
    // Without TLS the signal keeps its usual meaning: the terminal is gone.
    let (Some(tls), Ok(mut hangup)) = (tls, signal(SignalKind::hangup())) else {
        return pending().await;
    };
    while hangup.recv().await.is_some() {
        tls.reload_and_tell();
    }
    pending().await
}

/// A running service.
pub struct Server {
    /// Address of the HTTP listener.
    pub http: SocketAddr,
    /// Address of the device listener.
    pub mqtt: SocketAddr,
    /// All of them.
    pub listeners: Listeners,
    /// Address where metrics are read, if there is one.
    pub metrics: Option<SocketAddr>,
    /// The key of the first account.
    pub credentials: Credentials,
    /// The key was made at this start.
    pub key_is_new: bool,
    pub key_file: std::path::PathBuf,
    /// Parts that never end by themselves.
    tasks: JoinSet<()>,
    listening: Vec<JoinHandle<()>>,
    tls: Option<Arc<Acceptor>>,
    stop: watch::Sender<bool>,
    registry: Arc<Registry>,
    store: StoreHandle,
    /// Locked until the end.
    _folder: Arc<Folder>,
}

impl Server {
    /// Starts the service; it listens when this returns. `key`: the access key that the first account is to have, and
    /// has at later starts.
    ///
    /// # Errors
    /// A sentence when an address is taken, another server has the folder, the folder can't be written, or `key` is
    /// not the one of the first account.
    pub async fn start(config: Config, key: Option<Credentials>) -> anyhow::Result<Self> {
        let random = Random::system()?;
        let clock = Clock::system();
        let folder = Arc::new(Folder::open(&config.data)?);
        let (http_listener, http) = bind(config.http, "http")?;
        let (mqtt_listener, mqtt) = bind(config.mqtt, "mqtt")?;
        let under_tls = |address: Option<SocketAddr>, name| {
            address.map(|address| bind(address, name)).transpose()
        };
        let (calls_under_tls, https) = under_tls(config.https, "https")?.unzip();
        let (devices_under_tls, mqtts) = under_tls(config.mqtts, "mqtts")?.unzip();
        let listeners = Listeners { http, mqtt, https, mqtts };
        let metrics_listener =
            config.metrics.map(|address| bind(address, "metrics")).transpose()?;
        let secret = folder.secret(&random)?;
        let place = engine::place(&folder, config.store.as_ref())?;
        engine::ensure_known(&place, &folder, key.as_ref()).await?;
        let key = folder.access_key(key, &random)?;

        let Opened { store, handle: store_handle, superseded } =
            engine::open(place.clone(), random.clone(), READERS, config.limits.store_cache_bytes)
                .await?;
        let bases = Bases::new(config.http_base, config.download_base, &listeners);
        let metrics = Metrics::default();
        let urls = Urls::new(bases.callers.clone(), secret)
            .with_download_base(Some(bases.devices.clone()));
        let gates = mqtt::GateLimits {
            sub_devices_max: usize::try_from(config.limits.sub_devices_max).unwrap_or(usize::MAX),
            logins_per_second: config.limits.sub_logins_per_second,
            retains: config.limits.retained_messages_max > 0,
        };
        let registry = Arc::new(Registry::new(metrics.clone()));
        let files = Files::open(&folder.files())
            .with_context(|| format!("{} can't be opened", folder.files().display()))?;
        let app = App::new(
            store,
            clock.clone(),
            random.clone(),
            registry.clone(),
            config.limits,
            urls.clone(),
            files.clone(),
        );
        let tls = if https.is_some() || mqtts.is_some() {
            let shared = (clock.clone(), random.clone(), metrics.clone());
            let tls = acceptor(config.tls, app.clone(), &folder, &bases, shared)?;
            Some(Arc::new(tls))
        } else {
            None
        };
        let kept = app.ensure_account(key.credentials.clone()).await?;
        if let Some(kept) = kept {
            ensure!(
                kept.secret == key.credentials.access_key_secret,
                "the access key {} has another secret in {place}",
                kept.id
            );
        } else {
            tracing::warn!(
                "the access key of {} was deleted: calls on this machine need another one",
                folder.key_file().display()
            );
        }

        let quotas = Quotas::new(config.quota).map_err(anyhow::Error::msg)?;
        let rpc = Rpc::open(app.clone(), quotas).await?.with_instances(&config.instances).await?;
        let backend = Doors { app: app.clone(), rpc };
        let housekeeping = files::sweep::run(app.clone(), files.clone(), clock.clone());
        let gatekeeper = Gatekeeper(app.clone());
        let doors = config.doors.within(descriptors::limit());
        let guard = |door| Guard::new(door, &doors, clock.clone(), metrics.clone());
        let gateway = Gateway::new(gatekeeper, registry.clone(), clock.clone(), config.devices)
            .with_gates(gates)
            .with_guard(guard(Door::Mqtt))
            .with_rates(&config.rates);
        let gateway = Arc::new(gateway);
        let router = Router {
            backend,
            files,
            cache: app.block_cache(),
            urls,
            clock: clock.clone(),
            random,
            metrics: metrics.clone(),
            devices: Some(by_websocket(gateway.clone())),
            guard: Some(guard(Door::Http)),
            limits: config.doors,
            bodies: Bodies::new(&config.doors, clock.clone(), metrics.clone()),
        };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        if let Some(superseded) = superseded {
            tasks.spawn(async move {
                superseded.notified().await;
                tracing::error!("another server has taken the database: this one stops");
            });
        }
        tasks.spawn(app.clone().run_dispatcher());
        tasks.spawn(app.clone().run_scheduler());
        match Admin::bind(&config.data) {
            Ok(admin) => drop(tasks.spawn(admin.serve(app, folder.clone()))),
            Err(error) => {
                tracing::warn!(%error, "`otaru key` and `otaru user` can't reach this server: {error}");
            }
        }
        tasks.spawn(housekeeping);
        tasks.spawn(gateway.clone().sweep());
        if let Some(tls) = tls.clone() {
            tasks.spawn(async move { tls.tend().await });
        }
        tasks.spawn(mqtt::serve(gateway.clone(), mqtt_listener, None));
        if let Some(listener) = devices_under_tls {
            tasks.spawn(mqtt::serve(gateway, listener, tls.clone()));
        }
        let router = Arc::new(router);
        let plain = http::serve(router.clone(), http_listener, None, stopped.clone());
        let mut listening = vec![tokio::spawn(plain)];
        if let Some(listener) = calls_under_tls {
            listening.push(tokio::spawn(http::serve(router, listener, tls.clone(), stopped)));
        }
        let metrics_address = metrics_listener.map(|(listener, address)| {
            tasks.spawn(metrics::serve(metrics, listener));
            address
        });
        folder.write_endpoint(&listeners)?;
        Ok(Self {
            http,
            mqtt,
            listeners,
            metrics: metrics_address,
            credentials: key.credentials,
            key_is_new: key.is_new,
            key_file: folder.key_file(),
            tasks,
            listening,
            tls,
            stop,
            registry,
            store: store_handle,
            _folder: folder,
        })
    }

    /// Ends what is in work, closes all connections, and waits until the store has committed what waits.
    pub async fn stop(self) {
        let Self { mut tasks, listening, stop, registry, store, tls, _folder, .. } = self;
        stop.send_replace(true);
        for listening in listening {
            if let Err(error) = listening.await {
                tracing::error!(%error, "an HTTP listener failed: {error}");
            }
        }
        // Nobody new is let in; then those who are in have to go.
        tasks.shutdown().await;
        if tokio::time::timeout(STOP_TIME, registry.close_all()).await.is_err() {
            tracing::warn!("devices did not go in time");
        }
        // It looks devices' keys up, and the store ends once nobody can ask it any more.
        drop(tls);
        let drained = tokio::task::spawn_blocking(move || store.join());
        if tokio::time::timeout(STOP_TIME, drained).await.is_err() {
            tracing::warn!("the store was not drained in time");
        }
    }
}

/// Serves devices that come through the HTTP listeners.
fn by_websocket(gateway: Arc<Gateway<Gatekeeper>>) -> http::Devices {
    http::Devices::new(move |socket, address| {
        let link = Link::WebSocket(Box::new(socket));
        // Nobody waits here for his turn: he isn't in the queue of the system any more.
        if let Some(pass) = gateway.admit_now(address) {
            drop(tokio::spawn(gateway.clone().connection(link, pass)));
        }
    })
}

/// What the HTTP listener finds behind it.
struct Doors {
    app: Arc<App>,
    rpc: Rpc,
}

impl Backend for Doors {
    async fn call(&self, request: rpc::Incoming<'_>) -> rpc::gateway::Answer {
        self.rpc.handle(request).await
    }

    async fn ticket(&self, key: String) -> Result<Option<Ticket>, Unavailable> {
        let slot = self.app.upload_slot(key).await.map_err(|error| unavailable(&error))?;
        Ok(slot.map(|slot| Ticket { bytes_max: slot.bytes_max, used: slot.used }))
    }

    async fn authenticate(
        &self,
        claim: HttpClaim,
        address: IpAddr,
    ) -> Result<Result<String, HttpError>, Unavailable> {
        let token = self.app.authenticate_http(claim, address).await;
        token.map_err(|error| unavailable(&error.into()))
    }

    async fn post(
        &self,
        token: Token,
        topic: String,
        payload: Vec<u8>,
        address: IpAddr,
    ) -> Result<Result<Option<String>, HttpError>, Unavailable> {
        let told = self.app.clone().post_http(token, topic, payload, address).await;
        told.map_err(|error| unavailable(&error.into()))
    }

    async fn enrol(
        &self,
        claim: Claim,
        grant: Grant,
    ) -> Result<Result<Enrolled, RegisterError>, Unavailable> {
        self.app.enrol(claim, grant).await.map_err(|error| unavailable(&error))
    }

    async fn uploaded(&self, key: String, blob: Blob) -> Result<bool, Unavailable> {
        self.app.uploaded(key, blob).await.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &crate::app::AppError) -> Unavailable {
    tracing::warn!(%error, "a request over HTTP is not served: {error}");
    Unavailable
}
