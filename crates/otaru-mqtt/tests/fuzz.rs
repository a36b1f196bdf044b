//! Streams of packets, whole and damaged, through the decoder: it never panics, cuts the same packets wherever the
//! stream is split, keeps no more than a packet may have, and reads what a second decoder reads.
//!
//! `OTARU_FUZZ_SECONDS` is how long streams are made (default 2). `OTARU_FUZZ_SEED` is the seed of the first stream;
//! each stream has the next one, and a failure prints its own.

#![allow(clippy::print_stdout, reason = "this target is its own test runner")]

use bytes::{Bytes, BytesMut};
use mqttbytes::v4 as second;
use otaru_mqtt::codec::{self, DecodeError};
use otaru_mqtt::framer::Framer;
use otaru_mqtt::packet::{Connect, Packet, PacketId, Publish, Qos, SubscribeCode, Version};
use std::process::ExitCode;
use std::time::Duration;

/// Longest packet in bytes that is cut from a stream.
const PACKET_BYTES_MAX: usize = 2_048;

/// Streams that are made however short the share of time is.
const STREAMS_MIN: u64 = 100;

/// The generator `splitmix64`: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn bytes(&mut self, end: usize) -> Bytes {
        (0..self.below(end)).map(|_| self.byte()).collect::<Vec<_>>().into()
    }

    fn id(&mut self) -> PacketId {
        let [low, high, ..] = self.next().to_le_bytes();
        PacketId::new(u16::from_le_bytes([low, high])).unwrap_or(PacketId::MIN)
    }

    fn qos(&mut self) -> Qos {
        [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][self.below(3)]
    }

    /// A topic, or with `wild` a filter.
    fn topic(&mut self, wild: bool) -> String {
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

fn packet(chance: &mut Chance) -> Packet {
    match chance.below(8) {
        0 => Packet::Connect(Box::new(Connect {
            clean_session: true,
            keepalive_s: chance.id().get(),
            client_id: chance.topic(false).into(),
            username: Some(chance.topic(false).into()),
            password: (!chance.one_in(3)).then(|| chance.bytes(80)),
            ..Connect::default()
        })),
        1 | 2 => {
            let qos = chance.qos();
            let packet_id = (qos != Qos::AtMostOnce).then(|| chance.id());
            Packet::Publish(Publish {
                topic: chance.topic(false).into(),
                payload: chance.bytes(400),
                qos,
                packet_id,
                dup: packet_id.is_some() && chance.one_in(3),
                retain: chance.one_in(3),
            })
        }
        3 => Packet::PubAck(chance.id()),
        4 => {
            let count = chance.below(9) + 1;
            let filters = (0..count).map(|_| (chance.topic(true).into(), chance.qos())).collect();
            Packet::Subscribe { packet_id: chance.id(), filters }
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
        _ => [Packet::PingReq, Packet::PingResp, Packet::Disconnect, Packet::UnsubAck(chance.id())]
            [chance.below(4)]
        .clone(),
    }
}

fn encoded(packet: Packet) -> BytesMut {
    let mut out = BytesMut::new();
    codec::encode(packet, &mut out).expect("made packets are short");
    out
}

/// Changes a stream as a bad line or a bad client would.
fn damage(stream: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        if stream.is_empty() {
            return;
        }
        let at = chance.below(stream.len());
        match chance.below(6) {
            0 => stream[at] = chance.byte(),
            1 => stream[at] ^= 1 << chance.below(8),
            2 => drop(stream.remove(at)),
            3 => stream.insert(at, chance.byte()),
            4 => stream.truncate(at),
            _ => {
                let end = (at + chance.below(20)).min(stream.len());
                let copy = stream[at..end].to_vec();
                stream.splice(at..at, copy);
            }
        }
    }
}

type Cut = (Vec<Packet>, Option<DecodeError>);

/// The packets of a stream that comes in `pieces`, and what ended it. At a `busy` piece there is room for one packet
/// only, as in a session that waits for its acknowledgements; what is kept then is read with the last piece.
fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut busy: impl FnMut() -> bool) -> Cut {
    let (mut framer, mut packets) = (Framer::default(), Vec::new());
    for mut piece in pieces.chain([&[][..]]) {
        let is_busy = !piece.is_empty() && busy();
        loop {
            match framer.next(&mut piece, PACKET_BYTES_MAX) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
            if is_busy {
                framer.keep(&mut piece);
                break;
            }
        }
        let kept = framer.kept_bytes();
        assert!(is_busy || kept < PACKET_BYTES_MAX, "{kept} bytes are kept");
    }
    (packets, None)
}

fn same_wherever_it_is_split(stream: &[u8], chance: &mut Chance) -> Cut {
    let whole = cut(std::iter::once(stream), || false);
    assert_eq!(whole, cut(stream.chunks(1), || false), "byte by byte: {stream:02x?}");
    let size = chance.below(40) + 2;
    assert_eq!(whole, cut(stream.chunks(size), || false), "{size} bytes each: {stream:02x?}");
    let busy = cut(stream.chunks(size * 4), || chance.one_in(2));
    assert_eq!(whole, busy, "{} bytes each, kept at times: {stream:02x?}", size * 4);
    whole
}

/// Whether the second decoder was asked: it knows no MQTT 3.1, and no password that isn't UTF-8. What we read from
/// `frame` it has to read alike; it may read more, since it checks less.
fn agrees_with_the_second_decoder(packet: &Packet, frame: &[u8]) -> bool {
    if let Packet::Connect(connect) = packet {
        let is_text = |password: &Bytes| std::str::from_utf8(password).is_ok();
        if connect.version == Version::V31 || !connect.password.as_ref().is_none_or(is_text) {
            return false;
        }
    }
    let read = second::read(&mut BytesMut::from(frame), usize::MAX)
        .unwrap_or_else(|error| panic!("{packet:?} is not read: {error:?}, {frame:02x?}"));
    let qos = |qos: mqttbytes::QoS| match qos {
        mqttbytes::QoS::AtMostOnce => Qos::AtMostOnce,
        mqttbytes::QoS::AtLeastOnce => Qos::AtLeastOnce,
        mqttbytes::QoS::ExactlyOnce => Qos::ExactlyOnce,
    };
    let id = |number| PacketId::new(number).expect("an id is never 0");
    let theirs = match read {
        second::Packet::Connect(connect) => {
            let Packet::Connect(ours) = packet else { panic!("{packet:?} is read as a CONNECT") };
            let (username, password) = connect.login.map_or_else(
                || (String::new(), String::new()),
                |login| (login.username, login.password),
            );
            let passwords = ours.password.as_deref().unwrap_or_default();
            assert_eq!(
                (&*connect.client_id, connect.clean_session, connect.keep_alive, &*username),
                (
                    &*ours.client_id,
                    ours.clean_session,
                    ours.keepalive_s,
                    ours.username.as_deref().unwrap_or_default()
                )
            );
            assert_eq!(password.as_bytes(), passwords);
            return true;
        }
        second::Packet::Publish(publish) => Packet::Publish(Publish {
            topic: publish.topic.into(),
            payload: publish.payload,
            qos: qos(publish.qos),
            packet_id: PacketId::new(publish.pkid),
            dup: publish.dup,
            retain: publish.retain,
        }),
        second::Packet::PubAck(ack) => Packet::PubAck(id(ack.pkid)),
        second::Packet::Subscribe(subscribe) => Packet::Subscribe {
            packet_id: id(subscribe.pkid),
            filters: subscribe.filters.into_iter().map(|f| (f.path.into(), qos(f.qos))).collect(),
        },
        second::Packet::SubAck(ack) => Packet::SubAck {
            packet_id: id(ack.pkid),
            codes: ack
                .return_codes
                .into_iter()
                .map(|code| match code {
                    second::SubscribeReasonCode::Success(granted) => {
                        SubscribeCode::Granted(qos(granted))
                    }
                    second::SubscribeReasonCode::Failure => SubscribeCode::Refused,
                })
                .collect(),
        },
        second::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
            packet_id: id(unsubscribe.pkid),
            filters: unsubscribe.topics.into_iter().map(Into::into).collect(),
        },
        second::Packet::UnsubAck(ack) => Packet::UnsubAck(id(ack.pkid)),
        second::Packet::PingReq => Packet::PingReq,
        second::Packet::PingResp => Packet::PingResp,
        second::Packet::Disconnect => Packet::Disconnect,
        other => panic!("{packet:?} is read as {other:?}"),
    };
    assert_eq!(&theirs, packet);
    true
}

#[derive(Default)]
struct Tally {
    streams: u64,
    packets: u64,
    refused: u64,
    compared: u64,
}

fn one_stream(seed: u64, tally: &mut Tally) {
    let mut chance = Chance(seed);
    let made: Vec<Packet> = (0..=chance.below(5)).map(|_| packet(&mut chance)).collect();
    let mut stream: Vec<u8> = made.iter().flat_map(|packet| encoded(packet.clone())).collect();
    let is_whole = chance.one_in(4);
    if !is_whole {
        damage(&mut stream, &mut chance);
    }
    let (packets, error) = same_wherever_it_is_split(&stream, &mut chance);
    if is_whole {
        assert_eq!((&packets, error), (&made, None));
    }
    let mut rest = &stream[..];
    for packet in &packets {
        let length = codec::frame_length(rest, PACKET_BYTES_MAX);
        let (frame, after) = rest.split_at(length.ok().flatten().expect("it was cut before"));
        tally.compared += u64::from(agrees_with_the_second_decoder(packet, frame));
        rest = after;
    }
    tally.streams += 1;
    tally.packets += packets.len() as u64;
    tally.refused += u64::from(error.is_some());
}

fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

#[allow(clippy::disallowed_methods, reason = "a share of real time is spent")]
fn main() -> ExitCode {
    // Tools that list tests or filter them by name ask the runner.
    if std::env::args().any(|arg| arg == "--list") {
        println!("fuzz: test");
        return ExitCode::SUCCESS;
    }
    let share = Duration::from_secs(number_from_env("OTARU_FUZZ_SECONDS").unwrap_or(2));
    let first = number_from_env("OTARU_FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs() << 24)
    });
    let start = std::time::Instant::now();
    let mut tally = Tally::default();
    let mut seed = first;
    loop {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one_stream(seed, &mut tally)))
            .is_err()
        {
            println!("fuzz: stream {seed} failed; OTARU_FUZZ_SEED={seed} makes it again");
            return ExitCode::FAILURE;
        }
        seed = seed.wrapping_add(1);
        if start.elapsed() >= share && tally.streams >= STREAMS_MIN {
            break;
        }
    }
    let Tally { streams, packets, refused, compared } = tally;
    assert!(packets > 0, "nothing was read");
    println!(
        "fuzz: {streams} streams from seed {first}, each split in four ways; {packets} packets read, {compared} \
         compared with a second decoder, {refused} streams refused"
    );
    ExitCode::SUCCESS
}
