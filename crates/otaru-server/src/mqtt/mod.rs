//! The device door: sockets around `otaru-mqtt`. Topics come in, reports go to the [`Devices`]; what devices are to
//! hear comes back through the [`Registry`].
//!
//! A connection is a task that holds no buffer while its device is idle. Identity comes from the username, a device
//! uses its own topics only, and its acknowledgements leave after the commit of what they acknowledge.

mod auth;
mod connection;
mod ends;
mod kept;
mod limits;
#[cfg(test)]
mod line;
mod link;
mod listen;
mod mailbox;
mod memory_client;
mod posted;
mod rates;
mod registry;
mod rules;
#[cfg(test)]
mod tests;
mod topics;
mod websocket;
mod wills;

pub use kept::{
    KeptMessage, KeptSubscription, MessagePage, Resumed, SessionWish, SubscriptionChange,
};
pub use limits::DeviceLimits;
#[cfg(test)]
pub use line::Line;
pub use link::{Link, MemoryLink};
pub use listen::{bind, serve};
pub use mailbox::{Beside, Message};
pub use memory_client::MemoryClient;
pub use posted::{Posted, Said, posted};
pub use rates::{RateChoice, RateMode};
pub use registry::{Delivery, Epoch, Peer, Registry};
pub use rules::RuleBook;
pub use topics::{broadcast_topic, rrpc_topic, shadow_topic, upgrade_topic};
pub use websocket::WebSocket;

use crate::clock::Clock;
use crate::doors::{Guard, Held, Pass};
use bytes::Bytes;
use otaru_core::block::BlockRequest;
use otaru_core::id::{DeviceName, DeviceNo, MessageNo, ProductKey, ProductNo};
use otaru_core::message::{Ask, Inform, Progress, Response, Upgrade};
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_core::shadow::ShadowAsk;
use otaru_core::topology::{SubName, TopoAsk, TopoError};
use otaru_core::version::ModuleName;
use otaru_mqtt::session::Limits;
use rates::{Connects, Rates};
use serde_json::Value;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use wills::Wills;

/// What the rest of the server couldn't do. Its cause is logged where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server can't do this now")]
pub struct Unavailable;

/// A result that comes later. Dropping it gives up waiting, and nothing else once it was queued.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send>>;

/// A registered device, as a CONNECT is checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub device: DeviceNo,
    pub product: ProductNo,
    pub proof: IdentityProof,
    pub disabled: bool,
    pub is_gateway: bool,
    /// A session of it is kept.
    pub has_session: bool,
}

/// How a device proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityProof {
    /// It signs with this.
    Secret(String),
    /// It shows a certificate under TLS, and its secret proves nothing.
    Certificate,
}

impl IdentityProof {
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Certificate => None,
        }
    }
}

/// What became of a gateway's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopoAnswer {
    /// It is done, and there is nothing to tell.
    Nothing,
    /// These sub-devices are attached to it.
    List(Vec<SubName>),
    /// These are not any more: they are logged out.
    Detached(Vec<SubName>),
    /// These may go online through it.
    LoggedIn(Vec<(SubName, ProductNo, DeviceNo)>),
    LoggedOut(Vec<SubName>),
    /// These have a secret of their own now.
    Registered(Vec<Enrolled>),
    /// Each by itself.
    RegisteredSigned {
        enrolled: Vec<Enrolled>,
        refused: Vec<(SubName, RegisterError)>,
    },
}

/// What gateways, and who speaks MQTT 5.0, may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Sub-devices that are logged in through one gateway.
    pub sub_devices_max: usize,
    /// Logins per second of one gateway; 0: no cap.
    pub logins_per_second: u32,
    /// Whether messages can be retained.
    pub retains: bool,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self { sub_devices_max: 2_000, logins_per_second: 200, retains: false }
    }
}

/// What a device says.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Inform(Inform),
    Progress(Progress),
    /// It asks for the upgrade of a module that it is to make.
    Pull(ModuleName),
    /// It asks for something that is answered with data.
    Ask(Ask),
    /// It says something of its shadow.
    Shadow(ShadowAsk),
    /// A message on a topic of its own, for who subscribes later; an empty one ends that.
    Retain(Box<Message>),
}

/// What to answer a report that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Nothing,
    /// To a [`Report::Pull`].
    Upgrade(Box<Upgrade>),
    /// To a [`Report::Ask`].
    Response(Response),
    /// To a [`Report::Shadow`].
    Text(String),
    /// To a [`Report::Retain`]: there is no room for it.
    Full,
}

/// The rest of the server, as devices need it: the use cases, or a test's list of what was said.
pub trait Devices: Send + Sync + 'static {
    /// The device of this name, if there is one.
    fn identity(
        &self,
        product_key: &ProductKey,
        device_name: &DeviceName,
    ) -> Later<Option<Identity>>;

    /// A device came online; later news of it have higher epochs. Never waits.
    fn came_online(&self, peer: Peer, address: IpAddr);

    /// A connection ended. The device may be back already with a higher epoch. Never waits.
    fn went_offline(&self, peer: Peer);

    /// Takes up the session that the device has from now on: what was kept, or a new one.
    fn open_session(&self, peer: Peer, wish: SessionWish) -> Later<Resumed>;

    /// Keeps changes of the subscriptions of a session. The result comes with the commit.
    fn keep_subscriptions(&self, peer: Peer, changes: Vec<SubscriptionChange>) -> Later<()>;

    /// The next messages that wait in the session of a device behind `after`.
    fn kept_messages(&self, peer: Peer, after: MessageNo) -> Later<MessagePage>;

    /// Takes messages out of the session, sooner or later. Never waits.
    ///
    /// # Errors
    /// [`Unavailable`] when there is no place for that now; nothing is forgotten then.
    fn forget_messages(&self, peer: Peer, messages: &[MessageNo]) -> Result<(), Unavailable>;

    /// The connection of a session has ended; it stays for `expiry_s`. Messages up to `sent_to` were sent, and those that
    /// are there were not acknowledged. Never waits.
    fn leave_session(&self, peer: Peer, expiry_s: u32, sent_to: Option<MessageNo>);

    /// Takes a report in. The outer result comes when it has its place among all reports: until then the device's
    /// socket isn't read. The inner one comes with the commit, and says what to answer.
    fn report(&self, peer: Peer, report: Report) -> Later<Later<Told>>;

    /// Gives a device that proves its product's secret a secret of its own. The outer result comes with the commit.
    fn enrol(&self, claim: Claim, grant: Grant) -> Later<Result<Enrolled, RegisterError>>;

    /// Carries out what a gateway asks for about its sub-devices; logging out needs nobody.
    fn topology(&self, gateway: Peer, ask: TopoAsk) -> Later<Result<TopoAnswer, TopoError>>;

    /// What is retained on topics of these devices, and on those on which they hear broadcasts.
    fn retained(&self, peers: Vec<Peer>) -> Later<Vec<Message>>;

    /// A device answers a request of a back end; `false` when nobody waits for it. Never waits.
    fn rrpc_answered(&self, peer: Peer, id: i64, payload: &Bytes) -> bool;

    /// The answer to a request for a block, framed, when it is its turn: also one that there is none. `id` is the
    /// request's own. Changes nothing.
    fn block(&self, peer: Peer, id: Value, request: BlockRequest) -> Later<Bytes>;
}

/// Reports of one connection that may wait for their commit before its socket is read again.
const REPORTS_MAX: usize = 100;
/// Milliseconds between two looks for connections that were silent for too long.
const SWEEP_MS: u64 = 5_000;

/// All that connections share.
#[derive(Debug)]
pub struct Gateway<D> {
    devices: D,
    registry: Arc<Registry>,
    clock: Clock,
    limits: Arc<Limits>,
    devices_may: DeviceLimits,
    gates: GateLimits,
    /// Seconds between two packets that a device may announce.
    keepalive_s: RangeInclusive<u16>,
    guard: Option<Arc<Guard>>,
    held: Held,
    rates: Rates,
    connects: Connects,
    wills: Wills,
}

impl<D: Devices> Gateway<D> {
    /// `registry` is where the rest of the server leaves messages.
    pub fn new(devices: D, registry: Arc<Registry>, clock: Clock, limits: DeviceLimits) -> Self {
        // Whom it doesn't hold for is known after the CONNECT is read.
        let mut session = limits.session();
        let keepalive_s = std::mem::replace(&mut session.keepalive_s, 0..=u16::MAX);
        Self {
            devices,
            registry,
            clock,
            limits: Arc::new(session),
            devices_may: limits,
            gates: GateLimits::default(),
            keepalive_s,
            guard: None,
            held: Held::new(limits.held_bytes_max),
            rates: Rates::default(),
            connects: Connects::new(&Rates::default(), &RateChoice::default()),
            wills: Wills::default(),
        }
    }

    /// How much each device may say and hear; without it there is no limit.
    #[must_use]
    pub fn with_rates(self, choice: &RateChoice) -> Self {
        let rates = Rates::of(choice);
        Self { rates, connects: Connects::new(&rates, choice), ..self }
    }

    /// `guard` says who may connect; without one anybody may.
    #[must_use]
    pub fn with_guard(self, guard: Arc<Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// As [`Gateway::admit`], but never waits: too many strangers are too many.
    pub fn admit_now(&self, address: IpAddr) -> Option<Pass> {
        match &self.guard {
            Some(guard) => guard.admit_now(address).ok(),
            None => Some(address.into()),
        }
    }

    /// The pass of somebody who connects, whatever listener he came to; `None`: his socket is to be closed at once.
    /// Waits while there are too many strangers.
    pub async fn admit(&self, address: IpAddr) -> Option<Pass> {
        match &self.guard {
            Some(guard) => guard.admit(address).await.ok(),
            None => Some(address.into()),
        }
    }

    #[must_use]
    pub fn with_gates(self, gates: GateLimits) -> Self {
        Self { gates, ..self }
    }

    /// Serves one connection until it ends.
    // No `async fn`: its future would hold the arguments beside the connection made of them.
    pub fn connection(
        self: Arc<Self>,
        link: Link,
        pass: Pass,
    ) -> impl Future<Output = ()> + Send + use<D> {
        connection::Connection::new(self, link, pass).run()
    }

    /// Says a will. It is kept when this ends, or the store can't keep anything now and says so itself.
    fn say(&self, (peer, report): wills::Said) -> impl Future<Output = ()> + Send + use<D> {
        let place = self.devices.report(peer, report);
        async move {
            if let Ok(kept) = place.await {
                let _ = kept.await;
            }
        }
    }

    /// Closes connections that were silent for too long, and says wills whose delay is over; never ends. One timer serves
    /// all of them, since an exact one per connection would cost more than the moments it saves.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            self.clock.sleep_until(self.clock.mono_ms() + SWEEP_MS).await;
            let now_ms = self.clock.mono_ms();
            self.registry.sweep(now_ms);
            self.connects.sweep(now_ms);
            for will in self.wills.due(now_ms) {
                tokio::spawn(self.say(will));
            }
        }
    }
}
