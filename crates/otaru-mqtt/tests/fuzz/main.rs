//! Streams of packets, whole and damaged, through the decoder: it never panics, cuts the same packets wherever the
//! stream is split, keeps no more than a packet may have, and reads what a second decoder reads.
//!
//! `OTARU_FUZZ_SECONDS` is how long streams are made (default 2). `OTARU_FUZZ_SEED` is the seed of the first stream;
//! each stream has the next one, and a failure prints its own.

#![allow(clippy::print_stdout, reason = "this target is its own test runner")]

mod made;
mod second;
mod second_v5;

use bytes::BytesMut;
use made::{Chance, packet};
use otaru_mqtt::codec::{self, DecodeError};
use otaru_mqtt::framer::Framer;
use otaru_mqtt::packet::{Packet, Version};
use std::process::ExitCode;
use std::time::Duration;

/// Longest packet in bytes that is cut from a stream.
const PACKET_BYTES_MAX: usize = 2_048;

/// Streams that are made however short the share of time is.
const STREAMS_MIN: u64 = 100;

fn encoded(packet: Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    codec::encode(packet, version, &mut out).expect("made packets are short");
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

/// Packets, each with the version that it was read in, and what ended them.
type Cut = (Vec<(Packet, Version)>, Option<DecodeError>);

/// The packets of a stream that comes in `pieces`, and what ended it. At a `busy` piece there is room for one packet
/// only, as in a session that waits for its acknowledgements; what is kept then is read with the last piece.
fn cut<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut version: Version,
    mut busy: impl FnMut() -> bool,
) -> Cut {
    let (mut framer, mut packets) = (Framer::default(), Vec::new());
    for mut piece in pieces.chain([&[][..]]) {
        let is_busy = !piece.is_empty() && busy();
        loop {
            match framer.next(&mut piece, PACKET_BYTES_MAX, &mut version) {
                Ok(Some(packet)) => packets.push((packet, version)),
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

fn same_wherever_it_is_split(stream: &[u8], version: Version, chance: &mut Chance) -> Cut {
    let whole = cut(std::iter::once(stream), version, || false);
    assert_eq!(whole, cut(stream.chunks(1), version, || false), "byte by byte: {stream:02x?}");
    let size = chance.below(40) + 2;
    let pieces = cut(stream.chunks(size), version, || false);
    assert_eq!(whole, pieces, "{size} bytes each: {stream:02x?}");
    let busy = cut(stream.chunks(size * 4), version, || chance.one_in(2));
    assert_eq!(whole, busy, "{} bytes each, kept at times: {stream:02x?}", size * 4);
    whole
}

#[derive(Default)]
struct Tally {
    streams: u64,
    packets: u64,
    /// Those of MQTT 5.0.
    five: u64,
    refused: u64,
    compared: u64,
}

fn one_stream(seed: u64, tally: &mut Tally) {
    let mut chance = Chance(seed);
    let version = if chance.one_in(2) { Version::V5 } else { Version::V311 };
    let made: Vec<(Packet, Version)> =
        (0..=chance.below(5)).map(|_| (packet(&mut chance, version), version)).collect();
    let mut stream: Vec<u8> =
        made.iter().flat_map(|(packet, version)| encoded(packet.clone(), *version)).collect();
    let is_whole = chance.one_in(4);
    if !is_whole {
        damage(&mut stream, &mut chance);
    }
    let (packets, error) = same_wherever_it_is_split(&stream, version, &mut chance);
    if is_whole {
        assert_eq!((&packets, error), (&made, None));
    }
    let mut rest = &stream[..];
    for (packet, version) in &packets {
        let length = codec::frame_length(rest, PACKET_BYTES_MAX);
        let (frame, after) = rest.split_at(length.ok().flatten().expect("it was cut before"));
        let is_five = *version == Version::V5;
        let was_asked =
            if is_five { second_v5::agrees(packet, frame) } else { second::agrees(packet, frame) };
        tally.compared += u64::from(was_asked);
        tally.five += u64::from(is_five);
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
    let Tally { streams, packets, five, refused, compared } = tally;
    assert!(packets > five && five > 0, "nothing was read");
    println!(
        "fuzz: {streams} streams from seed {first}, each split in four ways; {packets} packets read, {five} of them \
         of MQTT 5.0, {compared} compared with a second decoder, {refused} streams refused"
    );
    ExitCode::SUCCESS
}
