//! Packets as they may come, drawn from a seed.

use bytes::Bytes;
use otaru_mqtt::packet::{
    Connect, ConnectCode, Packet, PacketId, Properties, Publish, Qos, Reason, RetainHandling,
    SubscribeCode, SubscribeOptions, Version, Welcome, Will,
};
use std::num::NonZeroU16;

/// The generator `splitmix64`: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn bytes(&mut self, end: usize) -> Bytes {
        (0..self.below(end)).map(|_| self.byte()).collect::<Vec<_>>().into()
    }

    pub fn id(&mut self) -> PacketId {
        let [low, high, ..] = self.next().to_le_bytes();
        PacketId::new(u16::from_le_bytes([low, high])).unwrap_or(PacketId::MIN)
    }

    pub fn qos(&mut self) -> Qos {
        [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][self.below(3)]
    }

    /// A topic, or with `wild` a filter.
    pub fn topic(&mut self, wild: bool) -> String {
        let mut topic = String::new();
        for _ in 0..=self.below(6) {
            topic.push('/');
            match self.below(if wild { 8 } else { 6 }) {
                0 => {}
                1 => topic.push_str("thing"),
                2 => topic.push_str("主题"),
                3 => topic.push_str("$SYS"),
                4 => topic.push_str(&"x".repeat(self.below(60))),
                5 => topic.push('ÿ'),
                6 => topic.push('+'),
                _ => {
                    topic.push('#');
                    break;
                }
            }
        }
        topic
    }
}

impl Chance {
    fn text(&mut self) -> Option<otaru_mqtt::packet::ByteString> {
        self.one_in(2).then(|| self.topic(false).into())
    }

    /// What may stand beside a message; with `of_message` also what a will has not.
    fn properties(&mut self, of_message: bool) -> Properties {
        let count = if of_message { self.below(3) } else { 0 };
        let subscription_ids = (0..count).map(|_| self.id().get().into()).collect();
        let alias = if of_message { self.below(4) } else { 0 };
        Properties {
            expiry_s: self.one_in(2).then(|| self.id().get().into()),
            content_type: self.text(),
            response_topic: self.text(),
            correlation: self.one_in(2).then(|| self.bytes(40)),
            is_text: self.one_in(2),
            user: (0..self.below(3))
                .map(|_| (self.topic(true).into(), self.topic(true).into()))
                .collect(),
            subscription_ids,
            topic_alias: NonZeroU16::new(u16::try_from(alias).expect("it is small")),
        }
    }

    fn options(&mut self, version: Version) -> SubscribeOptions {
        let qos = self.qos();
        if version != Version::V5 {
            return qos.into();
        }
        let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
        SubscribeOptions {
            qos,
            no_local: self.one_in(2),
            retain_as_published: self.one_in(2),
            retain_handling: handling[self.below(3)],
        }
    }

    fn will(&mut self) -> Will {
        Will {
            topic: self.topic(false).into(),
            payload: self.bytes(80),
            qos: self.qos(),
            retain: self.one_in(2),
            delay_s: self.id().get().into(),
            properties: self.properties(false),
        }
    }
}

fn connect(chance: &mut Chance, version: Version) -> Connect {
    let connect = Connect {
        version,
        clean_session: true,
        keepalive_s: chance.id().get(),
        client_id: chance.topic(false).into(),
        username: Some(chance.topic(false).into()),
        password: (!chance.one_in(3)).then(|| chance.bytes(80)),
        ..Connect::default()
    };
    if version != Version::V5 {
        return connect;
    }
    Connect {
        clean_session: chance.one_in(2),
        will: chance.one_in(2).then(|| Box::new(chance.will())),
        session_expiry_s: chance.id().get().into(),
        receive_max: chance.id().get(),
        topic_alias_max: chance.id().get(),
        packet_bytes_max: chance.one_in(2).then(|| chance.id().get().into()),
        ..connect
    }
}

fn connack(chance: &mut Chance) -> Packet {
    let welcome = Welcome {
        session_expiry_s: chance.one_in(2).then(|| chance.id().get().into()),
        receive_max: chance.id().get(),
        packet_bytes_max: chance.id().get().into(),
        topic_alias_max: chance.id().get(),
        retains: chance.one_in(2),
        client_id: chance.text(),
    };
    let (code, welcome) = if chance.one_in(2) {
        (ConnectCode::Accepted, Some(Box::new(welcome)))
    } else {
        (ConnectCode::Other(Reason::QUOTA), None)
    };
    Packet::ConnAck { session_present: chance.one_in(2), code, welcome, text: chance.text() }
}

fn publish(chance: &mut Chance, version: Version) -> Publish {
    let qos = chance.qos();
    let packet_id = (qos != Qos::AtMostOnce).then(|| chance.id());
    let properties = (version == Version::V5 && !chance.one_in(3))
        .then(|| chance.properties(true))
        .filter(|properties| *properties != Properties::default());
    let is_alias = chance.one_in(3) && properties.as_ref().is_some_and(|p| p.topic_alias.is_some());
    let topic = if is_alias { String::new() } else { chance.topic(false) };
    Publish {
        topic: topic.into(),
        payload: chance.bytes(400),
        qos,
        packet_id,
        dup: packet_id.is_some() && chance.one_in(3),
        retain: chance.one_in(3),
        properties: properties.map(Box::new),
    }
}

pub fn packet(chance: &mut Chance, version: Version) -> Packet {
    let is_five = version == Version::V5;
    match chance.below(10) {
        0 => Packet::Connect(Box::new(connect(chance, version))),
        1 | 2 => Packet::Publish(publish(chance, version)),
        3 => {
            let reason = if is_five && chance.one_in(2) { Reason::QUOTA } else { Reason::SUCCESS };
            Packet::PubAck(chance.id(), reason)
        }
        4 => {
            let count = chance.below(9) + 1;
            let filter = |_| (chance.topic(true).into(), chance.options(version));
            let filters = (0..count).map(filter).collect();
            let id = (is_five && chance.one_in(2)).then(|| chance.id().get().into());
            Packet::Subscribe { packet_id: chance.id(), id, filters }
        }
        5 => {
            let count = chance.below(9) + 1;
            let filters = (0..count).map(|_| chance.topic(true).into()).collect();
            Packet::Unsubscribe { packet_id: chance.id(), filters }
        }
        6 => {
            let codes = vec![SubscribeCode::Granted(chance.qos()), SubscribeCode::Refused];
            Packet::SubAck { packet_id: chance.id(), codes }
        }
        7 => {
            let count = if is_five { chance.below(3) + 1 } else { 0 };
            let existed = (0..count).map(|_| chance.one_in(2)).collect();
            Packet::UnsubAck { packet_id: chance.id(), existed }
        }
        8 if is_five => connack(chance),
        9 if is_five => Packet::Disconnect {
            reason: [Reason::SUCCESS, Reason::WITH_WILL][chance.below(2)],
            session_expiry_s: chance.one_in(2).then(|| chance.id().get().into()),
            text: chance.text(),
        },
        _ => [Packet::PingReq, Packet::PingResp, Packet::GOODBYE][chance.below(3)].clone(),
    }
}
