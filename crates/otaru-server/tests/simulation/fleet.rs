//! Devices at work: each lives in a task of its own, carries its acts over a wire and tells the witness what it hears.

use crate::device::{Act, Device, Input, Publish};
use crate::messages::keeps;
use crate::node::Door;
use crate::plan::Part;
use crate::terms::Order;
use crate::witness::{DeviceIndex, JobTag, Witness};
use bytes::{Bytes, BytesMut};
use otaru_core::time::Timestamp;
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{Connect, ConnectCode, PacketId, Qos};
use otaru_server::clock::Clock;
use otaru_server::mqtt::MemoryLink;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::rc::Rc;
use tokio::sync::Notify;

/// Wall time at the start of every scenario.
pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// Milliseconds in which a push and the answer to a pull may cross.
const CROSSING_MS: u64 = 100;

/// What all actors share.
pub struct World {
    /// Simulated time since the start, whatever happens to the node and its own clock.
    pub clock: Clock,
    pub witness: RefCell<Witness>,
    /// Where devices connect; `None` while the node is down.
    pub door: RefCell<Option<Door>>,
    /// What the node's wall clock is off by, and was until the simulated millisecond beside it.
    skew_ms: Cell<i64>,
    skew_before: Cell<(i64, u64)>,
    /// The latest that it has shown before it was set: what has started by then stays started.
    latest_wall: Cell<Timestamp>,
    /// The chaos is over.
    good_times: Cell<bool>,
    good_times_came: Notify,
}

impl World {
    pub fn new(clock: Clock, witness: Witness) -> Self {
        Self {
            clock,
            witness: RefCell::new(witness),
            door: RefCell::new(None),
            skew_ms: Cell::new(0),
            skew_before: Cell::new((0, 0)),
            latest_wall: Cell::new(START),
            good_times: Cell::new(false),
            good_times_came: Notify::new(),
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now().mono_ms
    }

    pub fn note(&self, text: &str) {
        self.witness.borrow_mut().note(self.now_ms(), text);
    }

    /// The node's wall clock is set.
    pub fn step_wall(&self, ms: i64) {
        self.latest_wall.set(self.wall().max(self.latest_wall.get()));
        self.skew_before.set((self.skew_ms.get(), self.now_ms()));
        self.skew_ms.set(self.skew_ms.get() + ms);
    }

    /// The node's wall clock, in milliseconds.
    pub fn wall(&self) -> Timestamp {
        self.wall_at(self.skew_ms.get())
    }

    fn wall_at(&self, skew_ms: i64) -> Timestamp {
        let elapsed = i64::try_from(self.now_ms()).expect("some hours");
        START.plus_ms(elapsed + skew_ms)
    }

    /// The earliest that the node's wall clock may have shown when it said what is heard now, and the latest until then.
    fn walls(&self) -> (Timestamp, Timestamp) {
        let now = self.wall();
        let (before, until) = self.skew_before.get();
        let before = if until == self.now_ms() { self.wall_at(before) } else { now };
        (now.min(before), now.max(self.latest_wall.get()))
    }

    pub fn end_chaos(&self) {
        self.good_times.set(true);
        self.good_times_came.notify_waiters();
    }

    async fn chaos_ends(&self) {
        while !self.good_times.get() {
            self.good_times_came.notified().await;
        }
    }
}

/// What a device needs to be let in.
#[derive(Clone)]
pub struct Login {
    pub client_id: String,
    pub username: String,
    pub password: String,
    pub keepalive_s: u16,
}

/// One connection.
struct Line {
    link: MemoryLink,
    client: Client,
    /// Reports that wait for their PUBACK.
    waiting: BTreeMap<PacketId, (Part, usize)>,
    ping_at: u64,
    /// Jobs that were pushed here.
    pushed: BTreeSet<JobTag>,
    /// Jobs that were pulled here, and when.
    pulled: BTreeMap<JobTag, u64>,
}

struct Life {
    world: Rc<World>,
    index: DeviceIndex,
    device: Device,
    login: Login,
    line: Option<Line>,
    /// A connection that the device has lost without a word. The node does not know yet, and what it still says there
    /// is evidence all the same.
    ghost: Option<Line>,
}

/// Lives until it is dropped.
pub async fn live(world: Rc<World>, index: DeviceIndex, device: Device, login: Login) {
    let mut life = Life { world: Rc::clone(&world), index, device, login, line: None, ghost: None };
    let mut behaves = false;
    loop {
        let ping_at = life.line.as_ref().map(|line| line.ping_at);
        let wake_at =
            life.device.wake_at().into_iter().chain(ping_at).min().unwrap_or(u64::MAX / 2);
        tokio::select! {
            biased;
            () = world.chaos_ends(), if !behaves => {
                behaves = true;
                let acts = life.device.behave(world.now_ms());
                life.perform(acts);
            }
            () = readable(life.ghost.as_ref()) => life.listen_to_ghost(),
            () = readable(life.line.as_ref()) => life.listen(),
            () = world.clock.sleep_until(wake_at) => life.wake(),
        }
    }
}

async fn readable(line: Option<&Line>) {
    match line {
        Some(line) => line.link.readable().await,
        None => std::future::pending().await,
    }
}

impl Life {
    fn wake(&mut self) {
        let now = self.world.now_ms();
        if let Some(line) = &mut self.line
            && line.ping_at <= now
        {
            line.ping_at = now + u64::from(self.login.keepalive_s) * 1_000;
            let mut out = BytesMut::new();
            line.client.ping(&mut out);
            self.write(&out);
        }
        self.tell(Input::Woken);
    }

    fn tell(&mut self, input: Input) {
        let now = self.world.now_ms();
        let acts = self.device.on(input, now);
        self.perform(acts);
    }

    fn note(&self, text: &str) {
        self.world.note(&format!("device {} {text}", self.index));
    }

    fn perform(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Connect => self.connect(),
                Act::Publish(publish) => self.publish(&publish),
                Act::Babble(bytes) => {
                    self.note("babbles");
                    self.write(&bytes);
                }
                Act::Leave => {
                    let mut out = BytesMut::new();
                    if let Some(line) = &self.line {
                        line.client.disconnect(&mut out);
                    }
                    self.write(&out);
                    self.close("leaves");
                }
                Act::Cut => self.close("is cut off"),
                Act::Vanish => {
                    self.note("vanishes");
                    self.world.witness.borrow_mut().went(self.index);
                    self.ghost = self.line.take();
                }
            }
        }
    }

    fn connect(&mut self) {
        let dialled = self.world.door.borrow().as_ref().map(Door::dial);
        let Some(link) = dialled else {
            self.tell(Input::Lost);
            return;
        };
        let now = self.world.now_ms();
        let ping_at = now + u64::from(self.login.keepalive_s) * 1_000;
        let fresh = Line {
            link,
            client: Client::default(),
            waiting: BTreeMap::new(),
            ping_at,
            pushed: BTreeSet::new(),
            pulled: BTreeMap::new(),
        };
        let connect = Connect {
            clean_session: !keeps(self.index),
            keepalive_s: self.login.keepalive_s,
            client_id: self.login.client_id.as_str().into(),
            username: Some(self.login.username.as_str().into()),
            password: Some(Bytes::copy_from_slice(self.login.password.as_bytes())),
            ..Connect::default()
        };
        let mut out = BytesMut::new();
        fresh.client.connect(connect, &mut out).expect("a short packet");
        self.line = Some(fresh);
        self.write(&out);
    }

    fn publish(&mut self, publish: &Publish) {
        let Some(line) = &mut self.line else { return };
        let mut out = BytesMut::new();
        let (topic, payload) =
            (publish.topic.as_str(), Bytes::copy_from_slice(publish.payload.as_bytes()));
        let qos = if publish.acknowledged { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let id = line
            .client
            .publish(topic.into(), payload.clone(), qos, &mut out)
            .expect("a packet within the limits");
        if let Some(id) = id
            && publish.repeated
        {
            line.client.publish_again(id, topic.into(), payload, &mut out).expect("as before");
        }
        let mut witness = self.world.witness.borrow_mut();
        let now = self.world.now_ms();
        if let Some((part, version)) = &publish.version {
            let nth = witness.sent((self.index, *part), version, now);
            if let Some(id) = id {
                line.waiting.insert(id, (*part, nth));
            }
        }
        witness
            .note(now, &format!("device {} says {} {}", self.index, short(topic), publish.payload));
        drop(witness);
        self.write(&out);
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(line) = &self.line else { return };
        if line.link.try_write(bytes).is_ok_and(|count| count == bytes.len()) {
            return;
        }
        self.close("is closed by the node");
        self.tell(Input::Lost);
    }

    /// Closes the connection; what is still on the wire reaches the witness, but not the device.
    fn close(&mut self, how: &str) {
        let Some(mut line) = self.line.take() else { return };
        self.note(how);
        self.world.witness.borrow_mut().went(self.index);
        self.overhear(&mut line);
    }

    fn listen_to_ghost(&mut self) {
        let Some(mut line) = self.ghost.take() else { return };
        if self.overhear(&mut line) {
            self.ghost = Some(line);
        }
    }

    /// Lets the witness have what the node says to nobody; false when it says no more.
    fn overhear(&self, line: &mut Line) -> bool {
        loop {
            match listen(line) {
                Ok(Some(events)) => {
                    for event in events {
                        self.witness_event(line, &event);
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn listen(&mut self) {
        loop {
            let Some(line) = &mut self.line else { return };
            match listen(line) {
                Ok(Some(events)) => events.iter().for_each(|event| self.hear(event)),
                Ok(None) => return,
                Err(how) => {
                    if how == Hangup::Rubbish {
                        let now = self.world.now_ms();
                        let mut witness = self.world.witness.borrow_mut();
                        witness.accuse(now, "the node speaks MQTT", "it does not");
                    }
                    self.close("is closed by the node");
                    return self.tell(Input::Lost);
                }
            }
        }
    }

    fn hear(&mut self, event: &ClientEvent) {
        let Some(mut line) = self.line.take() else { return };
        let told = self.witness_event(&mut line, event);
        let mut out = BytesMut::new();
        if let ClientEvent::Publish { packet_id: Some(id), .. } = event
            && !self.device.habits.rude
        {
            line.client.puback(*id, &mut out);
        }
        self.line = Some(line);
        self.write(&out);
        match event {
            ClientEvent::ConnAck { code: ConnectCode::Accepted, session_present } => {
                self.note("is connected");
                self.world.witness.borrow_mut().came(self.index, self.world.now_ms());
                if keeps(self.index) {
                    self.resume(*session_present);
                }
                self.tell(Input::Connected);
            }
            ClientEvent::ConnAck { code, .. } => {
                self.note(&format!("is refused: {code:?}"));
                self.line = None;
                self.tell(Input::Lost);
            }
            ClientEvent::SubAck { .. } => {
                self.world.witness.borrow_mut().messages.subscribed(self.index);
            }
            ClientEvent::Publish { topic, payload, .. } if topic.ends_with("/user/get") => {
                if let Some(number) =
                    std::str::from_utf8(payload).ok().and_then(|it| it.parse().ok())
                {
                    let now = self.world.now_ms();
                    self.note(&format!("hears message {number}"));
                    self.world.witness.borrow_mut().message_heard(self.index, number, now);
                }
            }
            _ => {}
        }
        if let Some(Order { part, dest, .. }) = told {
            self.tell(Input::Told { part, dest });
        }
    }

    /// Takes up its session; when there is none it subscribes, once.
    fn resume(&mut self, present: bool) {
        let now = self.world.now_ms();
        self.world.witness.borrow_mut().session_is_present(self.index, present, now);
        let Some(line) = &mut self.line else { return };
        if !present {
            let topic = format!("/{}/{}/user/get", self.device.key, self.device.name);
            let mut out = BytesMut::new();
            let filters = vec![(topic.into(), Qos::AtLeastOnce)];
            line.client.subscribe(filters, &mut out).expect("a short packet");
            self.write(&out);
        }
    }

    /// Lets the witness know; the answer is what the device is told to do.
    fn witness_event(&self, line: &mut Line, event: &ClientEvent) -> Option<Order> {
        let now = self.world.now_ms();
        let mut witness = self.world.witness.borrow_mut();
        match event {
            ClientEvent::PubAck(id) => {
                if let Some((part, nth)) = line.waiting.remove(id) {
                    witness.acknowledged((self.index, part), nth);
                }
                None
            }
            ClientEvent::Publish { topic, payload, .. } => {
                let order = Order::read(payload)?;
                let Order { job, dest, .. } = &order;
                let job = *job;
                let pushed = topic.starts_with("/ota/device/upgrade/");
                let how = if pushed { "is pushed" } else { "pulls" };
                witness.note(now, &format!("device {} {how} job {job} to {dest}", self.index));
                witness.ordered(&order, self.index, pushed, self.world.walls(), now);
                if pushed {
                    // A push that was on its way when the pull was answered crosses it.
                    let is_pulled = line.pulled.get(&job).is_some_and(|at| at + CROSSING_MS < now);
                    let again = !line.pushed.insert(job) || is_pulled;
                    witness.pushed(job, self.index, again, now);
                } else {
                    line.pulled.entry(job).or_insert(now);
                    witness.was_told(job, self.index);
                }
                Some(order)
            }
            _ => None,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Hangup {
    Closed,
    Rubbish,
}

/// What the node said, `None` when it said nothing new.
fn listen(line: &mut Line) -> Result<Option<Vec<ClientEvent>>, Hangup> {
    let mut buffer = [0; 4_096];
    let count = match line.link.try_read(&mut buffer) {
        Ok(0) => return Err(Hangup::Closed),
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(_) => return Err(Hangup::Closed),
    };
    let mut input = &buffer[..count];
    let mut events = Vec::new();
    while let Some(event) = line.client.next(&mut input).map_err(|_| Hangup::Rubbish)? {
        events.push(event);
    }
    Ok(Some(events))
}

fn short(topic: &str) -> &str {
    topic
        .rsplit_once('/')
        .map_or(topic, |(front, _)| front.rsplit_once('/').map_or(front, |(kind, _)| kind))
}
