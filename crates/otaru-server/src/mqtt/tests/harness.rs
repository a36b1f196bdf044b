use crate::clock::Clock;
use crate::mqtt::TopoAnswer;
use crate::mqtt::{
    DeviceLimits, Devices, GateLimits, Gateway, Identity, IdentityProof, KeptMessage, Later, Link,
    MemoryClient, MemoryLink, Message, MessagePage, Peer, RateChoice, Registry, Report, Resumed,
    SessionWish, SubscriptionChange, Told, Unavailable,
};
use bytes::Bytes;
use otaru_core::block::{BlockRequest, frame};
use otaru_core::id::{DeviceName, DeviceNo, IotId, MessageNo, ProductKey, ProductNo};
use otaru_core::message::{Response, Source, Upgrade, UpgradeFile};
use otaru_core::package::SignMethod as FileSignMethod;
use otaru_core::registration::{Claim, Enrolled, Grant, RegisterError};
use otaru_core::time::Timestamp;
use otaru_core::topic_class::{Right, TopicClass, TopicRules};
use otaru_core::topology::{SubProof, TopoAsk, TopoError};
use otaru_core::version::{ModuleName, Version};
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Connect, ConnectCode, PacketId, Qos};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

pub(super) const PRODUCT: &str = "a1B2c3D4e5F";
pub(super) const PRODUCT_SECRET: &str = "PsEcReT123456789";
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const START_MS: i64 = 1_700_000_000_000;
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

type Commit = oneshot::Sender<Result<Told, Unavailable>>;

/// What the gateway told the rest of the server, and how that answers.
pub(super) struct Heard {
    pub(super) log: Mutex<Vec<String>>,
    /// Commits that a test ends by hand, when it holds them.
    pub(super) commits: Mutex<VecDeque<Commit>>,
    pub(super) holds: Mutex<bool>,
    /// Places in the queue of reports.
    pub(super) places: Semaphore,
    /// Blocks that may be given.
    pub(super) blocks: Semaphore,
    pub(super) upgrade: Mutex<Option<Upgrade>>,
    pub(super) retained: Mutex<Vec<Message>>,
    /// Look-ups of the device `slow-look-up` that may end.
    pub(super) looks: Semaphore,
    /// The session that a device is given that wants one.
    pub(super) resumed: Mutex<Resumed>,
    /// What waits in it; `None`: it can't be read now.
    pub(super) waits: Mutex<Option<Vec<KeptMessage>>>,
    /// Changes of subscriptions that may be kept.
    pub(super) filters: Semaphore,
}

impl Heard {
    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    pub(super) fn hold(&self) {
        *self.holds.lock().unwrap() = true;
    }

    pub(super) fn commit(&self, index: usize, result: Result<Told, Unavailable>) {
        let commit = self.commits.lock().unwrap().remove(index).unwrap();
        commit.send(result).unwrap();
    }

    fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }
}

impl Devices for Arc<Heard> {
    fn identity(&self, product: &ProductKey, device: &DeviceName) -> Later<Option<Identity>> {
        let has_session = self.resumed.lock().unwrap().present;
        let identity = move |no, disabled| Identity {
            device: DeviceNo(no),
            product: ProductNo(1),
            proof: IdentityProof::Secret(SECRET.into()),
            disabled,
            is_gateway: no == 2,
            has_session: no == 1 && has_session,
        };
        let result = match (product.as_str(), device.as_str()) {
            (PRODUCT, "dev-001") => Ok(Some(identity(1, false))),
            (PRODUCT, "dev-002") => Ok(Some(identity(2, false))),
            (PRODUCT, "disabled") => Ok(Some(identity(3, true))),
            (PRODUCT, "database-down") => Err(Unavailable),
            (PRODUCT, "slow-look-up") => {
                let heard = Arc::clone(self);
                return Box::pin(async move {
                    heard.looks.acquire().await.map_err(|_| Unavailable)?.forget();
                    Ok(Some(identity(4, false)))
                });
            }
            _ => Ok(None),
        };
        Box::pin(async { result })
    }

    fn came_online(&self, peer: Peer, address: IpAddr) {
        self.note(format!("{} online from {address}", peer.device.0));
    }

    fn went_offline(&self, peer: Peer) {
        self.note(format!("{} offline", peer.device.0));
    }

    fn open_session(&self, peer: Peer, wish: SessionWish) -> Later<Resumed> {
        let SessionWish { clean, expiry_s } = wish;
        self.note(format!("{} opens a session: {clean} {expiry_s:?}", peer.device.0));
        let resumed = self.resumed.lock().unwrap().clone();
        Box::pin(async { Ok(resumed) })
    }

    fn keep_subscriptions(&self, peer: Peer, changes: Vec<SubscriptionChange>) -> Later<()> {
        for change in changes {
            self.note(match change {
                SubscriptionChange::Put(it) => format!("{} + {}", peer.device.0, it.filter),
                SubscriptionChange::Drop(filter) => format!("{} - {filter}", peer.device.0),
            });
        }
        let heard = Arc::clone(self);
        Box::pin(async move {
            heard.filters.acquire().await.map_err(|_| Unavailable)?.forget();
            Ok(())
        })
    }

    fn kept_messages(&self, _: Peer, after: MessageNo) -> Later<MessagePage> {
        let waits = self.waits.lock().unwrap();
        let page = waits.as_ref().ok_or(Unavailable).map(|waits| {
            let mut next: Vec<_> = waits.iter().filter(|it| it.no > after).cloned().collect();
            let has_more = next.len() > 2;
            next.truncate(2);
            MessagePage { messages: next, has_more }
        });
        Box::pin(async { page })
    }

    fn forget_messages(&self, peer: Peer, messages: &[MessageNo]) -> Result<(), Unavailable> {
        let messages: Vec<_> = messages.iter().map(|no| no.0).collect();
        self.note(format!("{} has {messages:?}", peer.device.0));
        Ok(())
    }

    fn leave_session(&self, peer: Peer, expiry_s: u32, sent_to: Option<MessageNo>) {
        let sent_to = sent_to.map(|no| no.0);
        self.note(format!("{} leaves for {expiry_s} s, sent to {sent_to:?}", peer.device.0));
    }

    fn report(&self, peer: Peer, report: Report) -> Later<Later<Told>> {
        let heard = Arc::clone(self);
        Box::pin(async move {
            heard.places.acquire().await.map_err(|_| Unavailable)?.forget();
            heard.note(match &report {
                Report::Inform(it) => format!("{} has {} {}", peer.device.0, it.module, it.version),
                Report::Progress(it) => format!("{} at {}", peer.device.0, it.step),
                Report::Pull(module) => format!("{} asks for {module}", peer.device.0),
                Report::Ask(ask) => format!("{} asks {ask:?}", peer.device.0),
                Report::Shadow(_) => format!("{} speaks of its shadow", peer.device.0),
                Report::Retain(message) => format!("{} retains {}", peer.device.0, message.topic),
            });
            let told = match report {
                Report::Inform(_) | Report::Progress(_) => Told::Nothing,
                Report::Pull(_) => match heard.upgrade.lock().unwrap().clone() {
                    Some(upgrade) => Told::Upgrade(Box::new(upgrade)),
                    None => Told::Nothing,
                },
                Report::Shadow(_) => Told::Text("shadow".into()),
                Report::Retain(message) if message.payload == "too much" => Told::Full,
                Report::Retain(message) => {
                    heard.retained.lock().unwrap().push(*message);
                    Told::Nothing
                }
                Report::Ask(_) => Told::Response(Response::success("heard".into())),
            };
            let later: Later<_> = if *heard.holds.lock().unwrap() {
                let (commit, committed) = oneshot::channel();
                heard.commits.lock().unwrap().push_back(commit);
                Box::pin(async move { committed.await.unwrap_or(Err(Unavailable)) })
            } else {
                Box::pin(async { Ok(told) })
            };
            Ok(later)
        })
    }

    fn enrol(&self, claim: Claim, _grant: Grant) -> Later<Result<Enrolled, RegisterError>> {
        self.note(format!("{} registers", claim.device_name));
        let Claim { product_key, device_name, .. } = claim.clone();
        let result = match device_name.as_str() {
            "database-down" => Err(Unavailable),
            _ if !claim.proves(PRODUCT_SECRET) => Ok(Err(RegisterError::Sign)),
            _ => {
                let (iot_id, secret) = (IotId::generate(1), SECRET.to_owned());
                let client_id = "chosen".to_owned();
                Ok(Ok(Enrolled { product_key, device_name, iot_id, secret, client_id }))
            }
        };
        Box::pin(async { result })
    }

    fn topology(&self, gateway: Peer, ask: TopoAsk) -> Later<Result<TopoAnswer, TopoError>> {
        self.note(format!("gateway {} asks", gateway.device.0));
        let list = |proofs: &[SubProof]| proofs.iter().map(|it| it.name.clone()).collect();
        let answer = match &ask {
            TopoAsk::Add(proofs) => TopoAnswer::List(list(proofs)),
            TopoAsk::Delete(names) => TopoAnswer::Detached(names.clone()),
            TopoAsk::Get => TopoAnswer::List(vec![]),
            TopoAsk::Found
            | TopoAsk::Register(_)
            | TopoAsk::RegisterSigned(_)
            | TopoAsk::Logout(_) => TopoAnswer::Nothing,
            TopoAsk::Login(proofs) => TopoAnswer::LoggedIn(
                proofs
                    .iter()
                    .map(|proof| {
                        let name = proof.name.clone();
                        let number = name.device_name.as_str().strip_prefix("sub-").unwrap();
                        let device = DeviceNo(100 + number.parse::<i64>().unwrap());
                        (name, ProductNo(2), device)
                    })
                    .collect(),
            ),
        };
        Box::pin(async { Ok(Ok(answer)) })
    }

    fn retained(&self, _: Vec<Peer>) -> Later<Vec<Message>> {
        let messages = self.retained.lock().unwrap().clone();
        Box::pin(async { Ok(messages) })
    }

    fn rrpc_answered(&self, peer: Peer, id: i64, payload: &Bytes) -> bool {
        self.note(format!("{} answers {id} {payload:?}", peer.device.0));
        id == 1
    }

    fn block(&self, peer: Peer, id: Value, request: BlockRequest) -> Later<Bytes> {
        asks_block(self, peer, &request);
        let heard = Arc::clone(self);
        Box::pin(async move {
            heard.blocks.acquire().await.map_err(|_| Unavailable)?.forget();
            let size = usize::try_from(request.size).unwrap();
            Ok(frame(&id, request.offset, 1 << 24, &vec![7; size]).into())
        })
    }
}

fn asks_block(heard: &Heard, peer: Peer, request: &BlockRequest) {
    let BlockRequest { stream, offset, size, .. } = request;
    heard.note(format!("{} asks for {size} of {stream} from {offset}", peer.device.0));
}

/// Topics that the devices of tests have beside the usual ones.
fn rules() -> TopicRules {
    let class = |tail: &str, right, subscribes_by_itself| TopicClass {
        tail: tail.to_owned(),
        right,
        subscribes_by_itself,
        description: String::new(),
    };
    let more = [
        class("#", Right::Subscribe, false),
        class("get", Right::Both, false),
        class("user/state", Right::Both, false),
        class("user/told", Right::Subscribe, true),
    ];
    TopicRules::new(TopicClass::defaults().into_iter().chain(more).collect())
}

pub(super) struct Node {
    pub(super) heard: Arc<Heard>,
    pub(super) registry: Arc<Registry>,
    pub(super) gateway: Arc<Gateway<Arc<Heard>>>,
}

impl Node {
    /// Needs a runtime of one thread with paused time.
    pub(super) fn new() -> Self {
        Self::with(DeviceLimits::default(), GateLimits::default())
    }

    pub(super) fn with_gates(gates: GateLimits) -> Self {
        Self::with(DeviceLimits::default(), gates)
    }

    pub(super) fn with(limits: DeviceLimits, gates: GateLimits) -> Self {
        Self::with_rates(limits, gates, &RateChoice::default())
    }

    pub(super) fn with_rates(limits: DeviceLimits, gates: GateLimits, rates: &RateChoice) -> Self {
        let heard = Arc::new(Heard {
            log: Mutex::default(),
            commits: Mutex::default(),
            holds: Mutex::default(),
            places: Semaphore::new(Semaphore::MAX_PERMITS),
            blocks: Semaphore::new(Semaphore::MAX_PERMITS),
            upgrade: Mutex::default(),
            retained: Mutex::default(),
            looks: Semaphore::new(0),
            resumed: Mutex::default(),
            waits: Mutex::new(Some(Vec::new())),
            filters: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let registry = Arc::new(Registry::default());
        for product in [1, 2] {
            registry.rules().change(ProductNo(product), rules());
        }
        let clock = Clock::simulated(Timestamp(START_MS));
        let gateway = Gateway::new(Arc::clone(&heard), Arc::clone(&registry), clock, limits);
        let gateway = Arc::new(gateway.with_gates(gates).with_rates(rates));
        tokio::spawn(Arc::clone(&gateway).sweep());
        Self { heard, registry, gateway }
    }

    /// A connection on which nothing was said yet, with pipes of this size.
    pub(super) fn dial(&self, capacity: usize) -> Device {
        let (near, far) = MemoryLink::pair(capacity);
        tokio::spawn(Arc::clone(&self.gateway).connection(Link::Memory(far), ADDRESS.into()));
        near.into()
    }

    pub(super) async fn device(&self, name: &str) -> Device {
        let mut device = self.dial(64 * 1024);
        assert_eq!(device.connect(&connect(name, "c")).await, Some(ConnectCode::Accepted));
        device
    }
}

/// A CONNECT with the right password.
pub(super) fn connect(name: &str, client_id: &str) -> Connect {
    Connect { keepalive_s: 60, ..Device::signed(PRODUCT, name, SECRET, client_id) }
}

pub(super) fn upgrade() -> Upgrade {
    let file = UpgradeFile {
        name: "f".into(),
        size_bytes: 1,
        source: Source::Url("http://h/f".into()),
        md5: "00".into(),
        sign: "00".into(),
    };
    Upgrade {
        dest: Version::parse("2.0.0").unwrap(),
        is_delta: false,
        module: ModuleName::default(),
        sign_method: FileSignMethod::Md5,
        files: vec![file],
        tags: vec![],
        udi: String::new(),
    }
}

pub(super) type Device = MemoryClient;

impl Device {
    pub(super) async fn connect(&mut self, connect: &Connect) -> Option<ConnectCode> {
        self.say(|client, out| client.connect(connect.clone(), out)).await.unwrap();
        match self.hear().await {
            Some(ClientEvent::ConnAck { code, session_present: false }) => Some(code),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn publish(
        &mut self,
        topic: &str,
        payload: &str,
        qos: Qos,
    ) -> Option<PacketId> {
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        self.say(|client, out| client.publish(topic.into(), payload.into(), qos, out))
            .await
            .unwrap()
    }

    /// A message as (topic, payload).
    pub(super) async fn message(&mut self) -> (String, String) {
        match self.hear().await {
            Some(ClientEvent::Publish { topic, payload, .. }) => {
                (topic.to_string(), String::from_utf8(payload.to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether the server says nothing until it answers a ping.
    pub(super) async fn hears_nothing(&mut self) -> bool {
        self.say(|client, out| client.ping(out)).await;
        self.hear().await == Some(ClientEvent::Pong)
    }
}

/// Lets everybody else do what can be done now.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn topic(prefix: &str, suffix: &str) -> String {
    format!("{prefix}/{PRODUCT}/dev-001{suffix}")
}
