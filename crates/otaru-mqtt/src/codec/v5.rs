//! Packets of MQTT 5.0.

use super::properties::{check, field_at};
use super::{DecodeError, EncodeError, ensure, ensure_short, from_wire, qos_in, qos_out, whole};
use crate::packet::{
    Connect, ConnectCode, Packet, Properties, Publish, Qos, Reason, RetainHandling, SubscribeCode,
    SubscribeOptions, Version, Welcome, Will,
};
use crate::topic;
use DecodeError::{Malformed, Protocol, Text, Topic, Unsupported};
use bytes::BytesMut;
use rmqtt_codec::v5 as wire;
use std::num::{NonZeroU16, NonZeroU32};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Longest remaining length that the codec is asked for: its own fields come on top of texts and payloads.
const OVERHEAD_BYTES: usize = 64;

/// What the codec would refuse and MQTT allows, as the packet says it.
#[derive(Debug, Clone, Copy, Default)]
struct Real {
    clean_start: bool,
    /// The message, or the will, is worth nothing any more.
    is_expired: bool,
}

/// Decodes one whole packet with a header of `header` bytes.
pub(super) fn decode(frame: &[u8], header: usize) -> Result<Packet, DecodeError> {
    let mut buffer = whole(frame);
    let real = prepare(frame[0], &mut buffer[header..])?;
    let decoded = wire::Codec::new(0, 0).decode(&mut buffer).map_err(|error| {
        match from_wire(&error) {
            // Of packets that aren't spoken only the flags are wrong.
            Unsupported => Malformed,
            // Nothing to subscribe to.
            Topic => Protocol,
            error => error,
        }
    })?;
    let Some((packet, _)) = decoded else { return Err(Malformed) };
    checked(packet, frame.len() == header, real)
}

/// Checks what the codec doesn't, and changes what it would refuse wrongly.
fn prepare(first: u8, body: &mut [u8]) -> Result<Real, DecodeError> {
    let mut real = Real::default();
    let at = match first >> 4 {
        1 => return prepare_connect(body),
        3 => {
            let topic = field_at(body, 0)?;
            if first & 0b0110 == 0 { topic } else { topic + 2 }
        }
        4 if body.len() > 3 => 3,
        2 | 8..=11 => 2,
        14 | 15 if body.len() > 1 => 1,
        _ => return Ok(real),
    };
    let found = check(body.get_mut(at..).ok_or(Malformed)?)?;
    real.is_expired = found.is_expired;
    if first >> 4 == 8 {
        let mut at = at + found.length;
        while at < body.len() {
            at += field_at(body, at)?;
            let options = body.get(at).ok_or(Malformed)?;
            ensure(options & 0x03 != 0x03 && options & 0x30 != 0x30, Protocol)?;
            at += 1;
        }
    }
    Ok(real)
}

fn prepare_connect(body: &mut [u8]) -> Result<Real, DecodeError> {
    ensure(body.get(..7).is_some_and(|start| start == b"\0\x04MQTT\x05"), DecodeError::Version)?;
    let flags = body.get_mut(7).ok_or(Malformed)?;
    let has = |flag: u8| *flags & flag != 0;
    let (has_will, has_username, has_password) = (has(0x04), has(0x80), has(0x40));
    ensure(has_will || !has(0x38), Malformed)?;
    let mut real = Real { clean_start: has(0x02), is_expired: false };
    // Without a clean start the codec wants a client id.
    *flags |= 0x02;
    let mut at = 10;
    at += check(body.get_mut(at..).ok_or(Malformed)?)?.length;
    at += field_at(body, at)?;
    if has_will {
        let found = check(body.get_mut(at..).ok_or(Malformed)?)?;
        real.is_expired = found.is_expired;
        at += found.length;
        at += field_at(body, at)?;
        at += field_at(body, at)?;
    }
    for has_field in [has_username, has_password] {
        if has_field {
            at += field_at(body, at)?;
        }
    }
    ensure(at == body.len(), Malformed)?;
    Ok(real)
}

fn checked(packet: wire::Packet, is_empty: bool, real: Real) -> Result<Packet, DecodeError> {
    Ok(match packet {
        wire::Packet::Connect(connect) => {
            Packet::Connect(Box::new(checked_connect(*connect, real)?))
        }
        wire::Packet::ConnectAck(ack) => connack_in(*ack),
        wire::Packet::Publish(publish) => checked_publish(*publish, real)?,
        wire::Packet::PublishAck(ack) => {
            Packet::PubAck(ack.packet_id, Reason(ack.reason_code.into()))
        }
        wire::Packet::Subscribe(subscribe) => {
            let filters = subscribe.topic_filters;
            ensure(filters.iter().all(|(filter, _)| topic::is_filter(filter)), Topic)?;
            Packet::Subscribe {
                packet_id: subscribe.packet_id,
                id: subscribe.id.map(NonZeroU32::get),
                filters: filters.into_iter().map(|(f, o)| (f, options_in(o))).collect(),
            }
        }
        wire::Packet::SubscribeAck(ack) => {
            ensure(!ack.status.is_empty(), Protocol)?;
            let codes = ack.status.into_iter().map(subscribe_code_in).collect();
            Packet::SubAck { packet_id: ack.packet_id, codes }
        }
        wire::Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.topic_filters;
            ensure(filters.iter().all(|filter| topic::is_filter(filter)), Topic)?;
            Packet::Unsubscribe { packet_id: unsubscribe.packet_id, filters }
        }
        wire::Packet::UnsubscribeAck(ack) => {
            ensure(!ack.status.is_empty(), Protocol)?;
            let existed = |reason| reason == wire::UnsubscribeAckReason::Success;
            let existed = ack.status.into_iter().map(existed).collect();
            Packet::UnsubAck { packet_id: ack.packet_id, existed }
        }
        wire::Packet::PingRequest => ensure(is_empty, Malformed).map(|()| Packet::PingReq)?,
        wire::Packet::PingResponse => ensure(is_empty, Malformed).map(|()| Packet::PingResp)?,
        wire::Packet::Disconnect(disconnect) => Packet::Disconnect {
            reason: Reason(disconnect.reason_code.into()),
            session_expiry_s: disconnect.session_expiry_interval_secs,
            text: disconnect.reason_string,
        },
        wire::Packet::PublishReceived(_)
        | wire::Packet::PublishRelease(_)
        | wire::Packet::PublishComplete(_)
        | wire::Packet::Auth(_) => return Err(Unsupported),
    })
}

fn connack_in(ack: wire::ConnectAck) -> Packet {
    let code = code_in(ack.reason_code);
    let welcome = Welcome {
        session_expiry_s: ack.session_expiry_interval_secs,
        receive_max: ack.receive_max.get(),
        packet_bytes_max: ack.max_packet_size.unwrap_or(u32::MAX),
        topic_alias_max: ack.topic_alias_max,
        retains: ack.retain_available,
        client_id: ack.assigned_client_id,
    };
    Packet::ConnAck {
        session_present: ack.session_present,
        code,
        welcome: (code == ConnectCode::Accepted).then(|| Box::new(welcome)),
        text: ack.reason_string,
    }
}

fn checked_connect(connect: wire::Connect, real: Real) -> Result<Connect, DecodeError> {
    let texts = [Some(&connect.client_id), connect.username.as_ref()];
    ensure(!texts.into_iter().flatten().any(|text| text.contains('\0')), Text)?;
    ensure(connect.auth_data.is_none() || connect.auth_method.is_some(), Protocol)?;
    let will = match connect.last_will {
        None => None,
        Some(will) => {
            ensure(!will.topic.contains('\0'), Text)?;
            ensure(topic::is_name(&will.topic), Topic)?;
            Some(Box::new(Will {
                topic: will.topic,
                payload: will.message,
                qos: qos_in(will.qos),
                retain: will.retain,
                delay_s: will.will_delay_interval_sec.unwrap_or(0),
                properties: Properties {
                    expiry_s: expiry_in(will.message_expiry_interval, real),
                    content_type: will.content_type,
                    response_topic: will.response_topic,
                    correlation: will.correlation_data,
                    is_text: will.is_utf8_payload.unwrap_or(false),
                    user: will.user_properties,
                    ..Properties::default()
                },
            }))
        }
    };
    Ok(Connect {
        version: Version::V5,
        clean_session: real.clean_start,
        keepalive_s: connect.keep_alive,
        client_id: connect.client_id,
        username: connect.username,
        password: connect.password,
        will,
        session_expiry_s: connect.session_expiry_interval_secs,
        receive_max: connect.receive_max.map_or(u16::MAX, NonZeroU16::get),
        topic_alias_max: connect.topic_alias_max,
        packet_bytes_max: connect.max_packet_size.map(NonZeroU32::get),
        has_auth_method: connect.auth_method.is_some(),
    })
}

fn expiry_in(expiry: Option<NonZeroU32>, real: Real) -> Option<u32> {
    if real.is_expired { Some(0) } else { expiry.map(NonZeroU32::get) }
}

fn checked_publish(
    publish: rmqtt_codec::types::Publish,
    real: Real,
) -> Result<Packet, DecodeError> {
    let properties = publish.properties.unwrap_or_default();
    let properties = Properties {
        expiry_s: expiry_in(properties.message_expiry_interval, real),
        content_type: properties.content_type,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data,
        is_text: properties.is_utf8_payload,
        user: properties.user_properties,
        subscription_ids: properties.subscription_ids.into_iter().map(NonZeroU32::get).collect(),
        topic_alias: properties.topic_alias,
    };
    ensure(!publish.topic.contains('\0'), Text)?;
    if publish.topic.is_empty() {
        ensure(properties.topic_alias.is_some(), Protocol)?;
    } else {
        ensure(topic::is_name(&publish.topic), Topic)?;
    }
    let qos = qos_in(publish.qos);
    ensure(!(publish.dup && qos == Qos::AtMostOnce), Malformed)?;
    Ok(Packet::Publish(Publish {
        topic: publish.topic,
        payload: publish.payload,
        qos,
        packet_id: publish.packet_id,
        dup: publish.dup,
        retain: publish.retain,
        properties: (properties != Properties::default()).then(|| Box::new(properties)),
    }))
}

/// Appends `packet` to `out`, which may hold half of it after an error.
pub(super) fn encode(packet: Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
    let packet = match packet {
        Packet::Connect(connect) => wire::Packet::Connect(Box::new(connect_out(*connect))),
        Packet::ConnAck { session_present, code, welcome, text } => {
            let mut ack = wire::ConnectAck {
                session_present,
                reason_code: code_out(code),
                reason_string: text,
                ..wire::ConnectAck::default()
            };
            if let Some(welcome) = welcome {
                ack.session_expiry_interval_secs = welcome.session_expiry_s;
                ack.receive_max = NonZeroU16::new(welcome.receive_max).ok_or(EncodeError)?;
                ack.max_packet_size = Some(welcome.packet_bytes_max);
                ack.topic_alias_max = welcome.topic_alias_max;
                ack.retain_available = welcome.retains;
                ack.assigned_client_id = welcome.client_id;
                ack.max_qos = wire::QoS::AtLeastOnce;
                ack.shared_subscription_available = false;
            }
            wire::Packet::ConnectAck(Box::new(ack))
        }
        Packet::Publish(publish) => {
            let properties = publish.properties.map(|properties| *properties).unwrap_or_default();
            let lengths = [publish.topic.len(), publish.payload.len(), length(&properties)];
            ensure_short(lengths.into_iter().chain([OVERHEAD_BYTES]))?;
            wire::Packet::Publish(Box::new(rmqtt_codec::types::Publish {
                dup: publish.dup,
                retain: publish.retain,
                qos: qos_out(publish.qos),
                topic: publish.topic,
                packet_id: publish.packet_id,
                payload: publish.payload,
                properties: Some(properties_out(properties)),
            }))
        }
        Packet::PubAck(packet_id, reason) => wire::Packet::PublishAck(wire::PublishAck {
            packet_id,
            reason_code: (reason.0.try_into()).unwrap_or(wire::PublishAckReason::UnspecifiedError),
            ..wire::PublishAck::default()
        }),
        Packet::Subscribe { packet_id, id, filters } => {
            ensure_short(filters.iter().map(|(filter, _)| filter.len()).chain([OVERHEAD_BYTES]))?;
            wire::Packet::Subscribe(wire::Subscribe {
                packet_id,
                id: id.and_then(NonZeroU32::new),
                user_properties: Vec::new(),
                topic_filters: filters.into_iter().map(|(f, o)| (f, options_out(o))).collect(),
            })
        }
        Packet::SubAck { packet_id, codes } => wire::Packet::SubscribeAck(wire::SubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: codes.into_iter().map(subscribe_code_out).collect(),
        }),
        Packet::Unsubscribe { packet_id, filters } => {
            ensure_short(filters.iter().map(|filter| filter.len()).chain([OVERHEAD_BYTES]))?;
            wire::Packet::Unsubscribe(wire::Unsubscribe {
                packet_id,
                user_properties: Vec::new(),
                topic_filters: filters,
            })
        }
        Packet::UnsubAck { packet_id, existed } => {
            let status = |existed| {
                if existed {
                    wire::UnsubscribeAckReason::Success
                } else {
                    wire::UnsubscribeAckReason::NoSubscriptionExisted
                }
            };
            wire::Packet::UnsubscribeAck(wire::UnsubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: existed.into_iter().map(status).collect(),
            })
        }
        Packet::PingReq => wire::Packet::PingRequest,
        Packet::PingResp => wire::Packet::PingResponse,
        Packet::Disconnect { reason, session_expiry_s, text } => {
            wire::Packet::Disconnect(wire::Disconnect {
                reason_code: (reason.0.try_into())
                    .unwrap_or(wire::DisconnectReasonCode::UnspecifiedError),
                session_expiry_interval_secs: session_expiry_s,
                reason_string: text,
                server_reference: None,
                user_properties: Vec::new(),
            })
        }
    };
    wire::Codec::new(0, 0).encode(packet, out).map_err(|_| EncodeError)
}

/// Bytes of texts and data in properties.
fn length(properties: &Properties) -> usize {
    let text = |text: &Option<bytestring::ByteString>| text.as_ref().map_or(0, |text| text.len());
    text(&properties.content_type)
        + text(&properties.response_topic)
        + properties.correlation.as_ref().map_or(0, bytes::Bytes::len)
        + properties.user.iter().map(|(k, v)| k.len() + v.len() + 5).sum::<usize>()
        + properties.subscription_ids.len() * 5
}

fn connect_out(connect: Connect) -> wire::Connect {
    wire::Connect {
        clean_start: connect.clean_session,
        keep_alive: connect.keepalive_s,
        client_id: connect.client_id,
        username: connect.username,
        password: connect.password,
        session_expiry_interval_secs: connect.session_expiry_s,
        receive_max: NonZeroU16::new(connect.receive_max).filter(|max| *max != NonZeroU16::MAX),
        topic_alias_max: connect.topic_alias_max,
        max_packet_size: connect.packet_bytes_max.and_then(NonZeroU32::new),
        last_will: connect.will.map(|will| {
            let Will { topic, payload, qos, retain, delay_s, properties } = *will;
            let properties = properties_out(properties);
            wire::LastWill {
                qos: qos_out(qos),
                retain,
                topic,
                message: payload,
                will_delay_interval_sec: Some(delay_s),
                correlation_data: properties.correlation_data,
                message_expiry_interval: properties.message_expiry_interval,
                content_type: properties.content_type,
                user_properties: properties.user_properties,
                is_utf8_payload: Some(properties.is_utf8_payload),
                response_topic: properties.response_topic,
            }
        }),
        ..wire::Connect::default()
    }
}

fn properties_out(properties: Properties) -> wire::PublishProperties {
    wire::PublishProperties {
        topic_alias: properties.topic_alias,
        correlation_data: properties.correlation,
        // The codec can't write 0. A message that is worth nothing isn't sent to begin with.
        message_expiry_interval: properties
            .expiry_s
            .map(|seconds| NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN)),
        content_type: properties.content_type,
        user_properties: properties.user,
        is_utf8_payload: properties.is_text,
        response_topic: properties.response_topic,
        subscription_ids: properties
            .subscription_ids
            .into_iter()
            .filter_map(NonZeroU32::new)
            .collect(),
    }
}

fn options_in(options: wire::SubscriptionOptions) -> SubscribeOptions {
    SubscribeOptions {
        qos: qos_in(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            wire::RetainHandling::AtSubscribe => RetainHandling::Always,
            wire::RetainHandling::AtSubscribeNew => RetainHandling::IfNew,
            wire::RetainHandling::NoAtSubscribe => RetainHandling::Never,
        },
    }
}

fn options_out(options: SubscribeOptions) -> wire::SubscriptionOptions {
    wire::SubscriptionOptions {
        qos: qos_out(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            RetainHandling::Always => wire::RetainHandling::AtSubscribe,
            RetainHandling::IfNew => wire::RetainHandling::AtSubscribeNew,
            RetainHandling::Never => wire::RetainHandling::NoAtSubscribe,
        },
    }
}

fn subscribe_code_in(code: wire::SubscribeAckReason) -> SubscribeCode {
    use wire::SubscribeAckReason as W;
    match code {
        W::GrantedQos0 => SubscribeCode::Granted(Qos::AtMostOnce),
        W::GrantedQos1 => SubscribeCode::Granted(Qos::AtLeastOnce),
        W::GrantedQos2 => SubscribeCode::Granted(Qos::ExactlyOnce),
        W::NotAuthorized => SubscribeCode::NotAuthorized,
        W::QuotaExceeded => SubscribeCode::QuotaExceeded,
        W::SharedSubscriptionNotSupported => SubscribeCode::SharedNotSupported,
        _ => SubscribeCode::Refused,
    }
}

fn subscribe_code_out(code: SubscribeCode) -> wire::SubscribeAckReason {
    use wire::SubscribeAckReason as W;
    match code {
        SubscribeCode::Granted(Qos::AtMostOnce) => W::GrantedQos0,
        SubscribeCode::Granted(Qos::AtLeastOnce) => W::GrantedQos1,
        SubscribeCode::Granted(Qos::ExactlyOnce) => W::GrantedQos2,
        SubscribeCode::Refused => W::UnspecifiedError,
        SubscribeCode::NotAuthorized => W::NotAuthorized,
        SubscribeCode::QuotaExceeded => W::QuotaExceeded,
        SubscribeCode::SharedNotSupported => W::SharedSubscriptionNotSupported,
    }
}

fn code_in(code: wire::ConnectAckReason) -> ConnectCode {
    use wire::ConnectAckReason as W;
    match code {
        W::Success => ConnectCode::Accepted,
        W::UnsupportedProtocolVersion => ConnectCode::UnacceptableVersion,
        W::ClientIdentifierNotValid => ConnectCode::IdentifierRejected,
        W::ServerUnavailable => ConnectCode::ServerUnavailable,
        W::BadUserNameOrPassword => ConnectCode::BadUsernameOrPassword,
        W::NotAuthorized => ConnectCode::NotAuthorized,
        other => ConnectCode::Other(Reason(other.into())),
    }
}

fn code_out(code: ConnectCode) -> wire::ConnectAckReason {
    use wire::ConnectAckReason as W;
    match code {
        ConnectCode::Accepted => W::Success,
        ConnectCode::UnacceptableVersion => W::UnsupportedProtocolVersion,
        ConnectCode::IdentifierRejected => W::ClientIdentifierNotValid,
        ConnectCode::ServerUnavailable => W::ServerUnavailable,
        ConnectCode::BadUsernameOrPassword => W::BadUserNameOrPassword,
        ConnectCode::NotAuthorized => W::NotAuthorized,
        // Every reason that CONNACK doesn't know is one that the client can't do anything about.
        ConnectCode::Other(reason) => reason.0.try_into().unwrap_or(W::UnspecifiedError),
    }
}
