//! Packets from and to bytes: `rmqtt-codec`, and the rules that it doesn't check.

use crate::packet::{Connect, ConnectCode, Packet, Publish, Qos, SubscribeCode, Version};
use crate::topic;
use bytes::BytesMut;
use rmqtt_codec::error::DecodeError as WireError;
use rmqtt_codec::v3 as wire;
use tokio_util::codec::{Decoder as _, Encoder as _};

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

/// Decodes one whole packet, as [`frame_length`] cut it.
///
/// # Errors
/// [`DecodeError`] when the bytes are no packet that we speak.
pub fn decode(frame: &[u8]) -> Result<Packet, DecodeError> {
    // Two bytes more spare the codec an allocation: it reserves them for the next header.
    let mut buffer = BytesMut::with_capacity(frame.len() + 2);
    buffer.extend_from_slice(frame);
    let decoded = wire::Codec::new(0).decode(&mut buffer).map_err(|error| from_wire(&error))?;
    let Some((packet, body_length)) = decoded else { return Err(DecodeError::Malformed) };
    let body = frame
        .len()
        .checked_sub(usize::try_from(body_length).map_err(|_| DecodeError::Length)?)
        .map(|header| &frame[header..])
        .ok_or(DecodeError::Malformed)?;
    checked(packet, body)
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

fn ensure(condition: bool, error: DecodeError) -> Result<(), DecodeError> {
    if condition { Ok(()) } else { Err(error) }
}

fn checked(packet: wire::Packet, body: &[u8]) -> Result<Packet, DecodeError> {
    use DecodeError::{Malformed, Text, Topic, Unsupported};
    Ok(match packet {
        wire::Packet::Connect(connect) => {
            Packet::Connect(Box::new(checked_connect(*connect, body)?))
        }
        wire::Packet::ConnectAck(ack) => {
            ensure(body.len() == 2, Malformed)?;
            Packet::ConnAck {
                session_present: ack.session_present,
                code: code_in(ack.return_code)?,
            }
        }
        wire::Packet::Publish(publish) => {
            let publish = *publish;
            ensure(!publish.topic.contains('\0'), Text)?;
            ensure(topic::is_name(&publish.topic), Topic)?;
            let qos = qos_in(publish.qos);
            ensure(!(publish.dup && qos == Qos::AtMostOnce), Malformed)?;
            Packet::Publish(Publish {
                topic: publish.topic,
                payload: publish.payload,
                qos,
                packet_id: publish.packet_id,
                dup: publish.dup,
                retain: publish.retain,
            })
        }
        wire::Packet::PublishAck { packet_id } => Packet::PubAck(packet_id),
        wire::Packet::Subscribe { packet_id, topic_filters } => {
            let mut at = 2;
            for (filter, _) in &topic_filters {
                ensure(topic::is_filter(filter), Topic)?;
                at += 2 + filter.len();
                // The codec masks the reserved bits instead of refusing them.
                ensure(body.get(at).is_some_and(|qos| *qos <= 2), Malformed)?;
                at += 1;
            }
            let filters = topic_filters.into_iter().map(|(f, qos)| (f, qos_in(qos))).collect();
            Packet::Subscribe { packet_id, filters }
        }
        wire::Packet::SubscribeAck { packet_id, status } => {
            ensure(!status.is_empty(), Malformed)?;
            let code = |status| match status {
                wire::SubscribeReturnCode::Success(qos) => SubscribeCode::Granted(qos_in(qos)),
                wire::SubscribeReturnCode::Failure => SubscribeCode::Refused,
            };
            Packet::SubAck { packet_id, codes: status.into_iter().map(code).collect() }
        }
        wire::Packet::Unsubscribe { packet_id, topic_filters } => {
            ensure(topic_filters.iter().all(|filter| topic::is_filter(filter)), Topic)?;
            Packet::Unsubscribe { packet_id, filters: topic_filters }
        }
        wire::Packet::UnsubscribeAck { packet_id } => Packet::UnsubAck(packet_id),
        wire::Packet::PingRequest => {
            ensure(body.is_empty(), Malformed).map(|()| Packet::PingReq)?
        }
        wire::Packet::PingResponse => {
            ensure(body.is_empty(), Malformed).map(|()| Packet::PingResp)?
        }
        wire::Packet::Disconnect => {
            ensure(body.is_empty(), Malformed).map(|()| Packet::Disconnect)?
        }
        wire::Packet::PublishReceived { .. }
        | wire::Packet::PublishRelease { .. }
        | wire::Packet::PublishComplete { .. } => return Err(Unsupported),
    })
}

fn checked_connect(connect: wire::Connect, body: &[u8]) -> Result<Connect, DecodeError> {
    let wire::Connect {
        protocol,
        clean_session,
        keep_alive,
        last_will,
        client_id,
        username,
        password,
        cert: _,
    } = connect;
    let version = match (body.starts_with(b"\0\x06MQIsdp"), protocol.level()) {
        (true, 3) => Version::V31,
        (false, 4) => Version::V311,
        _ => return Err(DecodeError::Version),
    };
    let texts = [Some(&client_id), username.as_ref(), last_will.as_ref().map(|will| &will.topic)];
    ensure(!texts.into_iter().flatten().any(|text| text.contains('\0')), DecodeError::Text)?;
    if let Some(will) = &last_will {
        ensure(topic::is_name(&will.topic), DecodeError::Topic)?;
    }
    ensure(username.is_some() || password.is_none(), DecodeError::Malformed)?;

    let field = |length: usize| 2 + length;
    let read = field(protocol.name().len())
        + 4
        + field(client_id.len())
        + last_will.as_ref().map_or(0, |w| field(w.topic.len()) + field(w.message.len()))
        + username.as_ref().map_or(0, |text| field(text.len()))
        + password.as_ref().map_or(0, |bytes| field(bytes.len()));
    ensure(read == body.len(), DecodeError::Malformed)?;
    Ok(Connect {
        version,
        clean_session,
        keepalive_s: keep_alive,
        client_id,
        username,
        password,
        has_will: last_will.is_some(),
    })
}

/// Appends `packet` to `out`. A CONNECT always speaks MQTT 3.1.1 and carries no will.
///
/// # Errors
/// [`EncodeError`] when a text is longer than 65,535 bytes, the packet longer than [`REMAINING_LENGTH_MAX`], or a
/// packet id is missing or superfluous; `out` is then as before.
pub fn encode(packet: Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
    let packet = match packet {
        Packet::Connect(connect) => wire::Packet::Connect(Box::new(wire::Connect {
            clean_session: connect.clean_session,
            keep_alive: connect.keepalive_s,
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            ..wire::Connect::default()
        })),
        Packet::ConnAck { session_present, code } => wire::Packet::ConnectAck(wire::ConnectAck {
            return_code: code_out(code),
            session_present,
        }),
        Packet::Publish(publish) => {
            // The codec panics above the longest length there is.
            if publish.topic.len() + publish.payload.len() + 4 > REMAINING_LENGTH_MAX {
                return Err(EncodeError);
            }
            wire::Packet::Publish(Box::new(rmqtt_codec::types::Publish {
                dup: publish.dup,
                retain: publish.retain,
                qos: qos_out(publish.qos),
                topic: publish.topic,
                packet_id: publish.packet_id,
                payload: publish.payload,
                properties: None,
            }))
        }
        Packet::PubAck(packet_id) => wire::Packet::PublishAck { packet_id },
        Packet::Subscribe { packet_id, filters } => {
            ensure_short(filters.iter().map(|(filter, _)| filter.len()))?;
            let topic_filters = filters.into_iter().map(|(f, qos)| (f, qos_out(qos))).collect();
            wire::Packet::Subscribe { packet_id, topic_filters }
        }
        Packet::SubAck { packet_id, codes } => {
            let status = |code| match code {
                SubscribeCode::Granted(qos) => wire::SubscribeReturnCode::Success(qos_out(qos)),
                SubscribeCode::Refused => wire::SubscribeReturnCode::Failure,
            };
            wire::Packet::SubscribeAck {
                packet_id,
                status: codes.into_iter().map(status).collect(),
            }
        }
        Packet::Unsubscribe { packet_id, filters } => {
            ensure_short(filters.iter().map(|filter| filter.len()))?;
            wire::Packet::Unsubscribe { packet_id, topic_filters: filters }
        }
        Packet::UnsubAck(packet_id) => wire::Packet::UnsubscribeAck { packet_id },
        Packet::PingReq => wire::Packet::PingRequest,
        Packet::PingResp => wire::Packet::PingResponse,
        Packet::Disconnect => wire::Packet::Disconnect,
    };
    let before = out.len();
    wire::Codec::new(0).encode(packet, out).map_err(|_| {
        out.truncate(before);
        EncodeError
    })
}

fn ensure_short(lengths: impl Iterator<Item = usize>) -> Result<(), EncodeError> {
    let total: usize = lengths.map(|length| length + 3).sum();
    if total + 2 > REMAINING_LENGTH_MAX { Err(EncodeError) } else { Ok(()) }
}

fn qos_in(qos: wire::QoS) -> Qos {
    match qos {
        wire::QoS::AtMostOnce => Qos::AtMostOnce,
        wire::QoS::AtLeastOnce => Qos::AtLeastOnce,
        wire::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn qos_out(qos: Qos) -> wire::QoS {
    match qos {
        Qos::AtMostOnce => wire::QoS::AtMostOnce,
        Qos::AtLeastOnce => wire::QoS::AtLeastOnce,
        Qos::ExactlyOnce => wire::QoS::ExactlyOnce,
    }
}

fn code_in(code: wire::ConnectAckReason) -> Result<ConnectCode, DecodeError> {
    use wire::ConnectAckReason as W;
    Ok(match code {
        W::ConnectionAccepted => ConnectCode::Accepted,
        W::UnacceptableProtocolVersion => ConnectCode::UnacceptableVersion,
        W::IdentifierRejected => ConnectCode::IdentifierRejected,
        W::ServiceUnavailable => ConnectCode::ServerUnavailable,
        W::BadUserNameOrPassword => ConnectCode::BadUsernameOrPassword,
        W::NotAuthorized => ConnectCode::NotAuthorized,
        W::Reserved => return Err(DecodeError::Malformed),
    })
}

fn code_out(code: ConnectCode) -> wire::ConnectAckReason {
    use wire::ConnectAckReason as W;
    match code {
        ConnectCode::Accepted => W::ConnectionAccepted,
        ConnectCode::UnacceptableVersion => W::UnacceptableProtocolVersion,
        ConnectCode::IdentifierRejected => W::IdentifierRejected,
        ConnectCode::ServerUnavailable => W::ServiceUnavailable,
        ConnectCode::BadUsernameOrPassword => W::BadUserNameOrPassword,
        ConnectCode::NotAuthorized => W::NotAuthorized,
    }
}

#[cfg(test)]
pub(crate) mod tests;
