//! Packets of MQTT 3.1 and 3.1.1.

use super::{DecodeError, EncodeError, ensure, ensure_short, from_wire, qos_in, qos_out, whole};
use crate::packet::{
    Connect, ConnectCode, Packet, Properties, Publish, Qos, SubscribeCode, Version, Will,
};
use crate::topic;
use bytes::BytesMut;
use rmqtt_codec::v3 as wire;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Decodes one whole packet.
pub(super) fn decode(frame: &[u8], body: &[u8]) -> Result<Packet, DecodeError> {
    let decoded =
        wire::Codec::new(0).decode(&mut whole(frame)).map_err(|error| from_wire(&error))?;
    let Some((packet, _)) = decoded else { return Err(DecodeError::Malformed) };
    checked(packet, body)
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
                welcome: None,
                text: None,
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
                properties: None,
            })
        }
        wire::Packet::PublishAck { packet_id } => Packet::puback(packet_id),
        wire::Packet::Subscribe { packet_id, topic_filters } => {
            let mut at = 2;
            for (filter, _) in &topic_filters {
                ensure(topic::is_filter(filter), Topic)?;
                at += 2 + filter.len();
                // The codec masks the reserved bits instead of refusing them.
                ensure(body.get(at).is_some_and(|qos| *qos <= 2), Malformed)?;
                at += 1;
            }
            let filters =
                topic_filters.into_iter().map(|(f, qos)| (f, qos_in(qos).into())).collect();
            Packet::Subscribe { packet_id, id: None, filters }
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
        wire::Packet::UnsubscribeAck { packet_id } => {
            Packet::UnsubAck { packet_id, existed: Vec::new() }
        }
        wire::Packet::PingRequest => {
            ensure(body.is_empty(), Malformed).map(|()| Packet::PingReq)?
        }
        wire::Packet::PingResponse => {
            ensure(body.is_empty(), Malformed).map(|()| Packet::PingResp)?
        }
        wire::Packet::Disconnect => ensure(body.is_empty(), Malformed).map(|()| Packet::GOODBYE)?,
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
        will: last_will.map(|will| {
            Box::new(Will {
                topic: will.topic,
                payload: will.message,
                qos: qos_in(will.qos),
                retain: will.retain,
                delay_s: 0,
                properties: Properties::default(),
            })
        }),
        ..Connect::default()
    })
}

/// Appends `packet` to `out`, which may hold half of it after an error.
pub(super) fn encode(packet: Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
    let packet = match packet {
        Packet::Connect(connect) => wire::Packet::Connect(Box::new(wire::Connect {
            clean_session: connect.clean_session,
            keep_alive: connect.keepalive_s,
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            ..wire::Connect::default()
        })),
        Packet::ConnAck { session_present, code, .. } => {
            wire::Packet::ConnectAck(wire::ConnectAck {
                return_code: code_out(code),
                session_present,
            })
        }
        Packet::Publish(publish) => {
            ensure_short([publish.topic.len(), publish.payload.len()].into_iter())?;
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
        Packet::PubAck(packet_id, _) => wire::Packet::PublishAck { packet_id },
        Packet::Subscribe { packet_id, id: _, filters } => {
            ensure_short(filters.iter().map(|(filter, _)| filter.len()))?;
            let topic_filters =
                filters.into_iter().map(|(f, options)| (f, qos_out(options.qos))).collect();
            wire::Packet::Subscribe { packet_id, topic_filters }
        }
        Packet::SubAck { packet_id, codes } => {
            let status = |code| match code {
                SubscribeCode::Granted(qos) => wire::SubscribeReturnCode::Success(qos_out(qos)),
                SubscribeCode::Refused
                | SubscribeCode::NotAuthorized
                | SubscribeCode::QuotaExceeded
                | SubscribeCode::SharedNotSupported => wire::SubscribeReturnCode::Failure,
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
        Packet::UnsubAck { packet_id, existed: _ } => wire::Packet::UnsubscribeAck { packet_id },
        Packet::PingReq => wire::Packet::PingRequest,
        Packet::PingResp => wire::Packet::PingResponse,
        Packet::Disconnect { .. } => wire::Packet::Disconnect,
    };
    wire::Codec::new(0).encode(packet, out).map_err(|_| EncodeError)
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
        ConnectCode::NotAuthorized | ConnectCode::Other(_) => W::NotAuthorized,
    }
}
