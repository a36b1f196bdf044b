//! Sessions that outlive their connection, and the messages that wait in them: real connections over memory.

use super::*;
use crate::app::ClassText;
use crate::mqtt::{DeviceLimits, Gateway, Link, MemoryClient, MemoryLink, Message};
use otaru_core::session::{Held, SessionLimits};
use otaru_core::time::DAY_MS;
use otaru_core::topic::CustomTopic;
use otaru_core::topic_class::Right;
use otaru_mqtt::client::ClientEvent;
use otaru_mqtt::packet::{Connect, PacketId, Qos};

struct Door<'w> {
    world: &'w World,
    gateway: Arc<Gateway<Gatekeeper>>,
    device: Device,
}

struct Line {
    wire: MemoryClient,
    /// The session was there before.
    present: bool,
}

impl World {
    async fn door(&self) -> Door<'_> {
        let (app, limits) = (self.app.clone(), DeviceLimits::default());
        let (clock, registry) = (app.clock.clone(), app.registry.clone());
        let gateway = Arc::new(Gateway::new(Gatekeeper(app), registry, clock, limits));
        let text = ClassText {
            name: "#".into(),
            right: Right::Subscribe,
            description: None,
            subscribes_by_itself: None,
        };
        let key = self.product.key.to_string();
        self.app.create_topic_class(self.caller, key, text).await.unwrap();
        Door { world: self, gateway, device: self.device("lamp1").await }
    }
}

impl Door<'_> {
    fn topic(&self, end: &str) -> String {
        format!("/{}/{}/user/{end}", self.world.product.key, self.device.name)
    }

    async fn connects(&self, clean_session: bool) -> Line {
        let (near, far) = MemoryLink::pair(64 * 1024);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        tokio::spawn(Arc::clone(&self.gateway).connection(Link::Memory(far), address.into()));
        let mut wire = MemoryClient::from(near);
        let (key, name) = (self.world.product.key.as_str(), self.device.name.as_str());
        let connect = MemoryClient::signed(key, name, &self.device.secret, "c");
        let connect = Connect { clean_session, ..connect };
        wire.say(|client, out| client.connect(connect, out)).await.unwrap();
        match wire.hear().await {
            Some(ClientEvent::ConnAck { session_present: present, .. }) => Line { wire, present },
            other => panic!("{other:?}"),
        }
    }

    async fn says(&self, end: &str, payload: &str, qos: Qos) -> Result<()> {
        self.says_on(&self.topic(end), payload, qos).await
    }

    async fn says_on(&self, topic: &str, payload: &str, qos: Qos) -> Result<()> {
        let world = self.world;
        let message = Message::new(topic.to_owned(), payload.to_owned(), qos);
        let topic = CustomTopic::parse(topic).unwrap();
        let key = world.product.key.to_string();
        world.app.publish(world.caller, key, topic, message).await
    }

    async fn held(&self) -> Option<Held> {
        let no = self.device.no;
        let session = self.world.app.view(move |view| Ok(view.session(no)?)).await.unwrap();
        let total = self.world.app.view(|view| Ok(view.sessions_held()?)).await.unwrap();
        assert_eq!(session.map_or(Held::default(), |session| session.held), total);
        session.map(|session| session.held)
    }
}

impl Line {
    async fn subscribes(&mut self, filter: &str, qos: Qos) {
        let filters = vec![(filter.to_owned().into(), qos)];
        self.wire.say(|client, out| client.subscribe(filters, out)).await.unwrap();
        assert!(matches!(self.wire.hear().await, Some(ClientEvent::SubAck { .. })));
    }

    /// The next message as payload, its packet and whether it may be known.
    async fn reads(&mut self) -> (String, Option<PacketId>, bool) {
        match self.wire.hear().await {
            Some(ClientEvent::Publish { payload, packet_id, dup, .. }) => {
                (String::from_utf8(payload.to_vec()).unwrap(), packet_id, dup)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn hears_nothing(&mut self) -> bool {
        self.wire.say(|client, out| client.ping(out)).await;
        self.wire.hear().await == Some(ClientEvent::Pong)
    }

    async fn takes(&mut self) -> String {
        let (payload, packet_id, _) = self.reads().await;
        self.wire.say(|client, out| client.puback(packet_id.unwrap(), out)).await;
        payload
    }
}

const ONE: Qos = Qos::AtLeastOnce;

#[tokio::test(start_paused = true)]
async fn subscriptions_stay_until_a_clean_session_or_their_time_is_over() {
    let world = World::new().await;
    let door = world.door().await;
    let mut line = door.connects(false).await;
    assert!(!line.present);
    line.subscribes(&door.topic("get"), ONE).await;
    drop(line);
    world.settles().await;
    let mut line = door.connects(false).await;
    assert!(line.present);
    door.says("get", "one", ONE).await.unwrap();
    assert_eq!(line.takes().await, "one");
    // A second connection takes the session over.
    let mut second = door.connects(false).await;
    assert!(second.present);
    assert_eq!(line.wire.hear().await, None);
    door.says("get", "two", ONE).await.unwrap();
    assert_eq!(second.takes().await, "two");
    drop(second);
    world.settles().await;
    let mut line = door.connects(true).await;
    assert!(!line.present);
    door.says("get", "three", ONE).await.unwrap();
    assert!(line.hears_nothing().await);
    assert_eq!(door.held().await, None);
    drop(line);
    world.settles().await;

    let mut line = door.connects(false).await;
    assert!(!line.present);
    line.subscribes(&door.topic("get"), ONE).await;
    // It is counted from the end of the connection, however long that lasted.
    world.passes(9 * DAY_MS as u64).await;
    world.app.forget_expired().await.unwrap();
    assert!(line.hears_nothing().await);
    drop(line);
    world.passes(6 * DAY_MS as u64).await;
    world.app.forget_expired().await.unwrap();
    let line = door.connects(false).await;
    assert!(line.present);
    drop(line);
    world.passes(8 * DAY_MS as u64).await;
    let line = door.connects(false).await;
    assert!(!line.present, "nobody looked, and it is over all the same");
    drop(line);
    world.passes(8 * DAY_MS as u64).await;
    world.app.forget_expired().await.unwrap();
    assert_eq!(door.held().await, None);
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_a_device_that_is_offline_and_go_once_it_has_them() {
    let world = World::new().await;
    let door = world.door().await;
    let mut line = door.connects(false).await;
    line.subscribes(&door.topic("+"), ONE).await;
    drop(line);
    world.settles().await;
    for n in 0..40 {
        door.says("get", &n.to_string(), ONE).await.unwrap();
    }
    door.says("get", "at most once", Qos::AtMostOnce).await.unwrap();
    door.says("else/where", "not subscribed", ONE).await.unwrap();
    assert_eq!(door.held().await.unwrap().messages, 40);
    let mut line = door.connects(false).await;
    for n in 0..10 {
        assert_eq!(line.takes().await, n.to_string());
    }
    for n in 10..40 {
        let (payload, _, dup) = line.reads().await;
        assert_eq!((payload, dup), (n.to_string(), false));
    }
    assert!(line.hears_nothing().await);
    assert_eq!(door.held().await.unwrap().messages, 30);
    drop(line);
    world.settles().await;
    door.says("set", "new", ONE).await.unwrap();
    let mut line = door.connects(false).await;
    for n in 10..40 {
        let (payload, packet_id, dup) = line.reads().await;
        assert_eq!((payload, dup), (n.to_string(), true), "it was sent and not acknowledged");
        line.wire.say(|client, out| client.puback(packet_id.unwrap(), out)).await;
    }
    let (payload, packet_id, dup) = line.reads().await;
    assert_eq!((payload.as_str(), dup), ("new", false));
    line.wire.say(|client, out| client.puback(packet_id.unwrap(), out)).await;
    assert!(line.hears_nothing().await);
    assert_eq!(door.held().await, Some(Held::default()));
}

#[tokio::test(start_paused = true)]
async fn a_session_without_room_refuses_the_newest_and_keeps_what_was_acknowledged() {
    let limits = SessionLimits { messages_max: 2, message_expiry_s: 60, ..Default::default() };
    let world = World::with_limits(Limits { sessions: limits, ..Limits::default() }).await;
    let door = world.door().await;
    let mut line = door.connects(false).await;
    line.subscribes(&door.topic("get"), ONE).await;
    let broadcast = format!("/broadcast/{}/news", world.product.key);
    line.subscribes(&broadcast, ONE).await;
    drop(line);
    world.settles().await;
    door.says("get", "one", ONE).await.unwrap();
    door.says_on(&broadcast, "two", ONE).await.unwrap();
    match door.says("get", "three", ONE).await {
        Err(AppError::Refused(refusal)) => {
            assert_eq!(refusal.code, "iot.messagebroker.PublishMessageFailed");
        }
        other => panic!("{other:?}"),
    }
    // A broadcast does without those that have no room.
    door.says_on(&broadcast, "four", ONE).await.unwrap();
    let mut line = door.connects(false).await;
    assert_eq!((line.takes().await, line.takes().await), ("one".into(), "two".into()));
    assert!(line.hears_nothing().await);
    door.says_on(&broadcast, "five", ONE).await.unwrap();
    assert_eq!(line.takes().await, "five");
    assert!(line.hears_nothing().await, "it came once");
    drop(line);
    world.settles().await;
    door.says("get", "six", ONE).await.unwrap();
    world.passes(61_000).await;
    world.app.forget_expired().await.unwrap();
    assert_eq!(door.held().await, Some(Held::default()));
    // What is reset has no session any more.
    let key = DeviceKey { iot_id: Some(door.device.iot_id.to_string()), ..DeviceKey::default() };
    world.app.reset_device(world.caller, key).await.unwrap();
    assert_eq!(door.held().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_end_nobody_noted_is_found() {
    let world = World::new().await;
    let door = world.door().await;
    let no = door.device.no;
    // As a crash leaves it.
    world
        .app
        .change(move |rows, _, _| {
            rows.put_session(no, 60, None)?;
            let message = Message::new("/t", "x", ONE);
            rows.keep_message(no, &message, START.plus_ms(DAY_MS))?;
            Ok(())
        })
        .await
        .unwrap();
    world.app.forget_expired().await.unwrap();
    let session = world.app.view(move |view| Ok(view.session(no)?)).await.unwrap().unwrap();
    assert!(session.expires_at.is_some() && session.sent_to.is_some(), "{session:?}");
    world.passes(61_000).await;
    world.app.forget_expired().await.unwrap();
    assert_eq!(door.held().await, None);
}
