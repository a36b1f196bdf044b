//! The device door's side of the use cases: identities, presence, reports, and the pushes that follow.

use super::dispatch::{Due, Turn};
use super::effect::{Effects, Ready};
use super::package::file_url;
use super::task::Judged;
use super::topology::GATEWAY;
use super::{App, ask, push, report, retained, shadow, topic_class};
use crate::mqtt::{
    Delivery, Devices, Identity, IdentityProof, Later, Message, MessagePage, Peer, Report, Resumed,
    SessionWish, SubscriptionChange, Told, TopoAnswer, Unavailable, upgrade_topic,
};
use crate::planted::{self, Bug};
use crate::store::{About, Shelf, StoreError};
use bytes::Bytes;
use otaru_core::block::{BlockRequest, StreamId, error_frame};
use otaru_core::id::{DeviceName, DeviceNo, MessageNo, ProductKey};
use otaru_core::message::{Source, Upgrade, UpgradeFile};
use otaru_core::package::PackageFile;
use otaru_core::policy::DownloadProtocol;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_core::time::Timestamp;
use otaru_core::topology::{TopoAsk, TopoError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Milliseconds to the next try after the store failed.
const PAUSE_MS: u64 = 1_000;
/// Devices whose tasks are looked up on one snapshot: some milliseconds.
const LOOKS: usize = 500;

/// Lets devices in: the use cases as the device door sees them.
#[derive(Clone)]
pub struct Gatekeeper(pub Arc<App>);

impl std::fmt::Debug for Gatekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gatekeeper")
    }
}

fn unavailable(error: &StoreError) -> Unavailable {
    tracing::warn!(%error, "a device is not served: {error}");
    Unavailable
}

impl Devices for Gatekeeper {
    fn identity(
        &self,
        product_key: &ProductKey,
        device_name: &DeviceName,
    ) -> Later<Option<Identity>> {
        let App { registry, follower, .. } = &*self.0;
        let known = follower.identities.find(product_key, device_name);
        if let Some(known) = known.filter(|known| registry.rules().knows(known.product)) {
            return Box::pin(std::future::ready(Ok(Some(known))));
        }
        let (store, key, name) = (self.0.store.clone(), product_key.clone(), device_name.clone());
        let (registry, identities) = (registry.clone(), follower.identities.clone());
        let since = identities.since();
        Box::pin(async move {
            let found = store.view(move |view| {
                let Some(product) = view.product_by_key(&key)? else { return Ok(None) };
                let Some(device) = view.device_by_name(product.no, &name)? else { return Ok(None) };
                topic_class::learn(view, registry.rules(), product.no)?;
                let has_session = view.session(device.no)?.is_some();
                let proof = if product.profile.is_by_certificate() {
                    IdentityProof::Certificate
                } else {
                    IdentityProof::Secret(device.secret)
                };
                let found = Identity {
                    device: device.no,
                    product: device.product,
                    proof,
                    disabled: device.disabled,
                    is_gateway: product.profile.node_type == GATEWAY,
                    has_session,
                };
                identities.keep(&key, &name, &found, since);
                Ok(Some(found))
            });
            found.await.map_err(|error| unavailable(&error))
        })
    }

    fn came_online(&self, peer: Peer, address: IpAddr) {
        let now = self.0.clock.now();
        self.0.follower.dispatcher.came_online(peer, now.mono_ms);
        self.0.note_online(peer, now.wall, address);
    }

    fn went_offline(&self, peer: Peer) {
        self.0.follower.dispatcher.went_offline(peer);
        self.0.rrpcs.went_offline(peer);
        // A newer connection has taken its place.
        if self.0.registry.peer(peer.device).is_some() {
            return;
        }
        let now = self.0.clock.now().wall;
        self.0.note_offline(peer, now);
    }

    fn open_session(&self, peer: Peer, wish: SessionWish) -> Later<Resumed> {
        let app = self.0.clone();
        Box::pin(
            async move { app.open_session(peer, wish).await.map_err(|error| unavailable(&error)) },
        )
    }

    fn keep_subscriptions(&self, peer: Peer, changes: Vec<SubscriptionChange>) -> Later<()> {
        let app = self.0.clone();
        Box::pin(async move {
            app.keep_subscriptions(peer, changes).await.map_err(|error| unavailable(&error))
        })
    }

    fn kept_messages(&self, peer: Peer, after: MessageNo) -> Later<MessagePage> {
        let app = self.0.clone();
        Box::pin(async move {
            app.kept_messages(peer, after).await.map_err(|error| unavailable(&error))
        })
    }

    fn forget_messages(
        &self,
        peer: Peer,
        messages: &[MessageNo],
    ) -> std::result::Result<(), Unavailable> {
        self.0.forget_messages(peer, messages.to_vec()).map_err(|_| Unavailable)
    }

    fn leave_session(&self, peer: Peer, expiry_s: u32, sent_to: Option<MessageNo>) {
        self.0.leave_session(peer, expiry_s, sent_to);
    }

    fn report(&self, peer: Peer, report: Report) -> Later<Later<Told>> {
        let app = self.0.clone();
        Box::pin(async move {
            let now = app.clock.now().wall;
            let (urls, limits) = (app.urls.clone(), app.limits.clone());
            let is_inform = matches!(report, Report::Inform(_));
            let (follower, registry) = (app.follower.clone(), app.registry.clone());
            let counts = registry.clone();
            let about = About { device: peer.device, whole: is_inform };
            let queued = app.store.queue_about(
                Some(about),
                move |rows| {
                    let mut effects = Effects::seeing(&registry);
                    let (mut task_told, mut shadow_refused) = (None, None);
                    let told = match &report {
                        Report::Inform(inform) => {
                            if let Some(device) = rows.device(peer.device)? {
                                report::inform(rows, &device, inform, now, &mut effects)?;
                            }
                            Told::Nothing
                        }
                        Report::Progress(progress) => {
                            report::progress(rows, peer.device, progress, now, &mut effects)?;
                            Told::Nothing
                        }
                        Report::Pull(module) => {
                            match report::pull(rows, peer.device, module, now, &mut effects)? {
                                Some((judged, task)) => {
                                    task_told = Some(task.no);
                                    Told::Upgrade(Box::new(upgrade(&judged, &urls, now)))
                                }
                                None => Told::Nothing,
                            }
                        }
                        Report::Retain(message) => {
                            let whose = Shelf::Device(peer.device);
                            // A device that was deleted meanwhile leaves nothing behind.
                            let has_room = rows.device(peer.device)?.is_none()
                                || retained::keep(rows, whose, message, &limits, now)?;
                            if has_room { Told::Nothing } else { Told::Full }
                        }
                        Report::Shadow(ask) => {
                            let (text, refused) =
                                shadow::answer(rows, peer.device, ask, &limits, now)?;
                            shadow_refused = refused;
                            Told::Text(text)
                        }
                        Report::Ask(ask) => {
                            Told::Response(ask::answer(rows, peer.device, ask, now, &mut effects)?)
                        }
                    };
                    Ok((told, task_told, shadow_refused, effects))
                },
                move |(told, task_told, shadow_refused, effects)| {
                    if is_inform {
                        follower.dispatcher.reported(peer);
                    }
                    follower.follow(effects);
                    if let Some(error) = shadow_refused {
                        counts.metrics().shadow_refused.count(error.into());
                    }
                    if let Some(task) = task_told {
                        follower.dispatcher.told(peer, task);
                    }
                    told
                },
            );
            let committed = queued.await.map_err(|error| unavailable(&error))?;
            let told: Later<Told> =
                Box::pin(async move { committed.await.map_err(|error| unavailable(&error)) });
            Ok(told)
        })
    }

    fn enrol(
        &self,
        claim: Claim,
        grant: Grant,
    ) -> Later<std::result::Result<Enrolled, RegisterError>> {
        let app = self.0.clone();
        Box::pin(async move {
            app.enrol(claim, grant).await.map_err(|error| {
                tracing::warn!(%error, "a registration is not served: {error}");
                Unavailable
            })
        })
    }

    fn topology(
        &self,
        gateway: Peer,
        ask: TopoAsk,
    ) -> Later<std::result::Result<TopoAnswer, TopoError>> {
        let app = self.0.clone();
        Box::pin(
            async move { app.topology(gateway, ask).await.map_err(|error| unavailable(&error)) },
        )
    }

    fn retained(&self, peers: Vec<Peer>) -> Later<Vec<Message>> {
        let (store, now) = (self.0.store.clone(), self.0.clock.now().wall);
        Box::pin(async move {
            let found = store.view(move |view| retained::of(view, &peers, now));
            found.await.map_err(|error| unavailable(&error))
        })
    }

    fn rrpc_answered(&self, peer: Peer, id: i64, payload: &Bytes) -> bool {
        // A copy: what a call keeps must not keep a buffer of the connection alive.
        self.0.rrpcs.answered(peer, id, Bytes::copy_from_slice(payload))
    }

    fn block(&self, peer: Peer, id: Value, request: BlockRequest) -> Later<Bytes> {
        let app = self.0.clone();
        Box::pin(async move {
            let block = app.block(peer, &id, request).await;
            Ok(block.unwrap_or_else(|error| error_frame(&id, error).into()))
        })
    }
}

/// What a device is told of a task, with URLs that are good for a day.
fn upgrade(judged: &Judged, urls: &crate::files::Urls, now: Timestamp) -> Upgrade {
    let Judged { package, job, task, .. } = judged;
    let source = |file: &PackageFile| match job.policy.download {
        DownloadProtocol::Https => Source::Url(file_url(urls, file, now)),
        DownloadProtocol::Mqtt if planted::is(Bug::StreamIsUrl) => {
            Source::Url(file_url(urls, file, now))
        }
        DownloadProtocol::Mqtt => Source::Stream(StreamId::of(task.no)),
    };
    let file = |file: &PackageFile| UpgradeFile {
        name: file.name.clone(),
        size_bytes: file.blob.size_bytes,
        source: source(file),
        md5: file.blob.md5.clone(),
        sign: file.blob.digest(package.sign_method).to_owned(),
    };
    Upgrade {
        dest: package.dest.clone(),
        is_delta: package.is_delta,
        module: if planted::is(Bug::ModuleNotNamed) {
            otaru_core::version::ModuleName::default()
        } else {
            package.module.clone()
        },
        sign_method: package.sign_method,
        files: package.files.iter().map(file).collect(),
        tags: job.policy.tags.clone(),
        udi: package.udi.clone(),
    }
}

/// A message that is ready to leave.
struct Letter {
    due: Due,
    topic: String,
    text: String,
    was_queued: bool,
}

impl App {
    /// Pushes tasks as devices, grace times and rates allow; never ends.
    pub async fn run_dispatcher(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let Turn { looks, unknown, pushes, next_ms } = self.follower.dispatcher.turn(now);
            let idle = looks.is_empty() && unknown.is_empty() && pushes.is_empty();
            for peers in looks.chunks(LOOKS) {
                self.look(peers).await;
            }
            for job in unknown {
                match self
                    .store
                    .view(move |view| view.job(job).map(|job| job.map(|job| (*job).clone())))
                    .await
                {
                    Ok(Some(job)) => self.follower.dispatcher.rate_known(&job, self.clock.now()),
                    Ok(None) | Err(_) => self.pause().await,
                }
            }
            if !pushes.is_empty() {
                self.push(pushes).await;
            }
            if idle {
                tokio::select! {
                    biased;
                    () = self.follower.dispatcher.rung() => {}
                    () = self.clock.sleep_until(next_ms.unwrap_or(now.mono_ms + 60_000)) => {}
                }
            }
        }
    }

    /// Finds the tasks of devices that have connected, all on one snapshot: after a restart many come at once.
    async fn look(&self, peers: &[Peer]) {
        let now = self.clock.now().wall;
        let sought = peers.to_vec();
        let found = self.store.view(move |view| {
            let mut found = Vec::new();
            for &peer in &sought {
                let mut ready = Vec::new();
                for task in view.unfinished_tasks(peer.device)? {
                    let job = view.job(task.job)?.expect("a task has a job");
                    if job.is_open(now) && task.is_pushable(&job.policy) {
                        let first = task.is_first_push();
                        let (task, job, device) = (task.no, task.job, task.device);
                        ready.push(Ready { task, job, device, first });
                    }
                }
                if !ready.is_empty() {
                    found.push((peer, ready));
                }
            }
            Ok(found)
        });
        match found.await {
            Ok(found) => {
                for (peer, ready) in found {
                    self.follower.dispatcher.found(peer, &ready);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the tasks of devices are not found yet: {error}");
                self.pause().await;
                for &peer in peers {
                    self.follower.dispatcher.look_again(peer);
                }
            }
        }
    }

    /// Lets a store that failed come to itself.
    async fn pause(&self) {
        self.clock.sleep_until(self.clock.mono_ms() + PAUSE_MS).await;
    }

    /// Marks tasks as told, and tells their devices after the commit.
    async fn push(&self, dues: Vec<Due>) {
        let now = self.clock.now().wall;
        let urls = self.urls.clone();
        let given_back = dues.clone();
        let registry = self.registry.clone();
        let told = self.store.change(move |rows| {
            let mut effects = Effects::seeing(&registry);
            let whole = |due: &Due| About { device: due.ready.device, whole: true };
            rows.prefetch(&dues.iter().map(whole).collect::<Vec<_>>())?;
            let mut letters = Vec::with_capacity(dues.len());
            // The last push of a job knows what all of them have left.
            let left: BTreeMap<_, _> = dues
                .iter()
                .filter_map(|due| due.bucket.map(|bucket| (due.ready.job, bucket)))
                .collect();
            left.into_iter().try_for_each(|(job, bucket)| push::keep_rate(rows, job, bucket))?;
            for &due in &dues {
                let told = (due.ready.device, due.ready.task);
                let Some(push) = push::tell(rows, told, due.bucket.is_some(), now, &mut effects)?
                else {
                    continue;
                };
                let device: DeviceNo = push.task.device;
                let Some(device) = rows.device(device)? else { continue };
                let product = rows.product(device.product)?.expect("a device has a product");
                letters.push(Letter {
                    due,
                    topic: upgrade_topic(&product.key, &device.name),
                    text: upgrade(&push.judged, &urls, now).to_push(now.0),
                    was_queued: push.was_queued,
                });
            }
            Ok((letters, effects))
        });
        let (letters, effects) = match told.await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, "pushes are not sent yet: {error}");
                self.pause().await;
                self.follower.dispatcher.given_back(&given_back);
                return;
            }
        };
        self.follower.follow(effects);
        let mut lost = Vec::new();
        for Letter { due, topic, text, was_queued } in letters {
            let message = Message::new(topic, text, otaru_mqtt::packet::Qos::AtLeastOnce);
            if self.registry.deliver(due.peer, message) == Delivery::Gone && was_queued {
                lost.push(due.ready.task);
            }
        }
        if !lost.is_empty() {
            let registry = self.registry.clone();
            let returned = self.store.change(move |rows| {
                let mut effects = Effects::seeing(&registry);
                lost.iter().try_for_each(|&task| push::lost(rows, task, now, &mut effects))
            });
            if let Err(error) = returned.await {
                // It stays NOTIFIED and is pushed again at the next connect all the same.
                tracing::warn!(%error, "tasks are not returned to the queue: {error}");
            }
        }
    }
}
