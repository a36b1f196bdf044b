//! Packets from and to bytes: `rmqtt-codec`, and the rules that it doesn't check.

mod properties;
mod v3;
mod v5;

use crate::packet::{Packet, Qos, Reason, Version};
use bytes::BytesMut;
use rmqtt_codec::error::DecodeError as WireError;
use rmqtt_codec::types::QoS;

/// Largest remaining length that four bytes can announce.
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// What is wrong with bytes that should be a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the remaining length is longer than four bytes")]
    Length,
    #[error("a packet of {announced} bytes is announced, {max} are allowed")]
    TooLarge { announced: usize, max: usize },
    #[error("the protocol name or level isn't spoken")]
    Version,
    #[error("an empty client id with a session that is to be kept")]
    ClientId,
    #[error("the packet is malformed")]
    Malformed,
    #[error("a text isn't UTF-8 or contains NUL")]
    Text,
    #[error("a topic name or filter is invalid")]
    Topic,
    #[error("the packet type is unknown or belongs to QoS 2")]
    Unsupported,
    #[error("the packet says what MQTT 5.0 forbids to say")]
    Protocol,
    #[error("an alias of a topic is out of range")]
    TopicAlias,
}

impl DecodeError {
    /// Why the connection is closed, for a client of MQTT 5.0.
    pub fn reason(self) -> Reason {
        match self {
            Self::Length | Self::Malformed | Self::Text | Self::Topic => Reason::MALFORMED,
            Self::TooLarge { .. } => Reason::TOO_LARGE,
            Self::Version => Reason::VERSION,
            Self::ClientId => Reason::CLIENT_ID,
            Self::Unsupported | Self::Protocol => Reason::PROTOCOL,
            Self::TopicAlias => Reason::TOPIC_ALIAS,
        }
    }
}

/// A value that can't be written as a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text or the packet is too long, or a packet id is missing")]
pub struct EncodeError;

/// Length in bytes of the packet at the front of `bytes`, header included; `None` when the header isn't complete.
///
/// # Errors
/// [`DecodeError::Length`], and [`DecodeError::TooLarge`] when more than `max` bytes are announced.
pub fn frame_length(bytes: &[u8], max: usize) -> Result<Option<usize>, DecodeError> {
    let mut remaining = 0;
    for (i, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let announced = 2 + i + remaining;
            if announced > max {
                return Err(DecodeError::TooLarge { announced, max });
            }
            return Ok(Some(announced));
        }
    }
    if bytes.len() > 4 { Err(DecodeError::Length) } else { Ok(None) }
}

/// Decodes one whole packet, as [`frame_length`] cut it. `version` is what the connection speaks; a CONNECT sets it, be
/// it well-formed or not.
///
/// # Errors
/// [`DecodeError`] when the bytes are no packet that we speak.
pub fn decode(frame: &[u8], version: &mut Version) -> Result<Packet, DecodeError> {
    let header = match frame_length(frame, usize::MAX)? {
        Some(length) if length == frame.len() => {
            2 + frame[1..].iter().take_while(|byte| **byte & 0x80 != 0).count()
        }
        _ => return Err(DecodeError::Malformed),
    };
    let body = &frame[header..];
    if frame[0] >> 4 == 1
        && let Some(level) = body.strip_prefix(b"\0\x04MQTT").and_then(<[u8]>::first)
    {
        // Who speaks a version that there isn't yet understands the last one best.
        *version = if *level >= 5 { Version::V5 } else { Version::V311 };
    }
    match version {
        Version::V31 | Version::V311 => v3::decode(frame, body),
        // A length in more bytes than it needs. Source: MQTT 5.0, section 1.5.5; 3.1.1 doesn't forbid it.
        Version::V5 if header > 2 && frame[header - 1] == 0 => Err(DecodeError::Malformed),
        Version::V5 => v5::decode(frame, header),
    }
}

/// Appends `packet` to `out`. A CONNECT of MQTT 3 carries no will, and is one of 3.1.1.
///
/// # Errors
/// [`EncodeError`] when a text is longer than 65,535 bytes, the packet longer than [`REMAINING_LENGTH_MAX`], or a
/// packet id is missing or superfluous; `out` is then as before.
pub fn encode(packet: Packet, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let before = out.len();
    let result = match version {
        Version::V31 | Version::V311 => v3::encode(packet, out),
        Version::V5 => v5::encode(packet, out),
    };
    result.inspect_err(|_| out.truncate(before))
}

/// `frame` as the codec wants it. Some bytes more spare it an allocation: it reserves them for the next header.
fn whole(frame: &[u8]) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(frame.len() + 5);
    buffer.extend_from_slice(frame);
    buffer
}

fn ensure(condition: bool, error: DecodeError) -> Result<(), DecodeError> {
    if condition { Ok(()) } else { Err(error) }
}

fn from_wire(error: &WireError) -> DecodeError {
    match error {
        WireError::InvalidProtocol | WireError::UnsupportedProtocolLevel => DecodeError::Version,
        WireError::InvalidClientId => DecodeError::ClientId,
        WireError::UnsupportedPacketType => DecodeError::Unsupported,
        WireError::InvalidTopicFilter | WireError::InvalidTopicName => DecodeError::Topic,
        WireError::Utf8Error => DecodeError::Text,
        WireError::InvalidLength
        | WireError::MalformedPacket
        | WireError::ConnectReservedFlagSet
        | WireError::InvalidConnectFlags
        | WireError::ConnAckReservedFlagSet
        | WireError::PacketIdRequired
        | WireError::MaxSizeExceeded { .. }
        | WireError::Io(_) => DecodeError::Malformed,
    }
}

/// The codec panics above the longest length there is.
fn ensure_short(lengths: impl Iterator<Item = usize>) -> Result<(), EncodeError> {
    let total: usize = lengths.map(|length| length + 3).sum();
    if total + 2 > REMAINING_LENGTH_MAX { Err(EncodeError) } else { Ok(()) }
}

fn qos_in(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn qos_out(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_v5;
