//! What another decoder makes of MQTT 5.0.

use super::second::{id, qos};
use bytes::BytesMut;
use mqttbytes::v5 as second;
use otaru_mqtt::packet::{
    ByteString, Connect, ConnectCode, Packet, PacketId, Properties, Publish, Reason,
    RetainHandling, SubscribeCode, SubscribeOptions, Version, Welcome, Will,
};
use std::num::NonZeroU16;

/// Whether the second decoder was asked: it knows no DISCONNECT without a body or for an AUTH method, no password without a
/// username or that isn't UTF-8. What we read from `frame` it has to read alike; it may read more,
/// since it checks less.
pub fn agrees(packet: &Packet, frame: &[u8]) -> bool {
    match packet {
        Packet::Connect(connect) => {
            let password = connect.password.as_deref().unwrap_or_default();
            if connect.username.is_none() || std::str::from_utf8(password).is_err() {
                return false;
            }
        }
        Packet::Disconnect { .. } if frame.len() < 4 => return false,
        Packet::Disconnect { reason: Reason::AUTH_METHOD, .. } => return false,
        // It prints a line for each.
        Packet::Unsubscribe { .. } => return false,
        _ => {}
    }
    let read = second::read(&mut BytesMut::from(frame), usize::MAX)
        .unwrap_or_else(|error| panic!("{packet:?} is not read: {error:?}, {frame:02x?}"));
    let theirs = theirs(read, packet);
    assert_eq!(&theirs, packet, "{frame:02x?}");
    true
}

/// Their packet as ours, with what they leave out taken from `ours`.
fn theirs(read: second::Packet, ours: &Packet) -> Packet {
    match read {
        second::Packet::Connect(read) => Packet::Connect(Box::new(connect(read, ours))),
        second::Packet::ConnAck(ack) => connack(ack, ours),
        second::Packet::Publish(publish) => Packet::Publish(message(publish)),
        second::Packet::PubAck(ack) => Packet::PubAck(id(ack.pkid), Reason(ack.reason as u8)),
        second::Packet::Subscribe(subscribe) => {
            let named = subscribe.properties.and_then(|properties| properties.id);
            Packet::Subscribe {
                packet_id: id(subscribe.pkid),
                id: named.map(|id| u32::try_from(id).expect("it has four bytes")),
                filters: subscribe.filters.into_iter().map(filter).collect(),
            }
        }
        second::Packet::SubAck(ack) => {
            let code = |reason| match reason {
                second::SubscribeReasonCode::QoS0 => SubscribeCode::Granted(qos_of(0)),
                second::SubscribeReasonCode::QoS1 => SubscribeCode::Granted(qos_of(1)),
                second::SubscribeReasonCode::QoS2 => SubscribeCode::Granted(qos_of(2)),
                second::SubscribeReasonCode::NotAuthorized => SubscribeCode::NotAuthorized,
                second::SubscribeReasonCode::QuotaExceeded => SubscribeCode::QuotaExceeded,
                second::SubscribeReasonCode::SharedSubscriptionsNotSupported => {
                    SubscribeCode::SharedNotSupported
                }
                _ => SubscribeCode::Refused,
            };
            let codes = ack.return_codes.into_iter().map(code).collect();
            Packet::SubAck { packet_id: id(ack.pkid), codes }
        }
        second::Packet::UnsubAck(ack) => {
            let existed = |reason| reason == second::UnsubAckReason::Success;
            let existed = ack.reasons.into_iter().map(existed).collect();
            Packet::UnsubAck { packet_id: id(ack.pkid), existed }
        }
        second::Packet::PingReq => Packet::PingReq,
        second::Packet::PingResp => Packet::PingResp,
        second::Packet::Disconnect(disconnect) => {
            let properties = disconnect.properties;
            let session_expiry_s = properties.as_ref().and_then(|p| p.session_expiry_interval);
            let text = properties.and_then(|properties| properties.reason_string);
            let reason = Reason(disconnect.reason_code as u8);
            Packet::Disconnect { reason, session_expiry_s, text: text.map(Into::into) }
        }
        other => panic!("{ours:?} is read as {other:?}"),
    }
}

fn qos_of(number: u8) -> otaru_mqtt::packet::Qos {
    qos(mqttbytes::qos(number).expect("there are three"))
}

fn text(text: Option<String>) -> Option<ByteString> {
    text.map(Into::into)
}

fn pairs(pairs: Vec<(String, String)>) -> Vec<(ByteString, ByteString)> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn filter(filter: second::SubscribeFilter) -> (ByteString, SubscribeOptions) {
    let options = SubscribeOptions {
        qos: qos(filter.qos),
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        retain_handling: match filter.retain_forward_rule {
            second::RetainForwardRule::OnEverySubscribe => RetainHandling::Always,
            second::RetainForwardRule::OnNewSubscribe => RetainHandling::IfNew,
            second::RetainForwardRule::Never => RetainHandling::Never,
        },
    };
    (filter.path.into(), options)
}

fn message(publish: second::Publish) -> Publish {
    let properties = publish.properties.map(|properties| Properties {
        expiry_s: properties.message_expiry_interval,
        content_type: text(properties.content_type),
        response_topic: text(properties.response_topic),
        correlation: properties.correlation_data,
        is_text: properties.payload_format_indicator == Some(1),
        user: pairs(properties.user_properties),
        subscription_ids: (properties.subscription_identifiers.into_iter())
            .map(|id| u32::try_from(id).expect("it has four bytes"))
            .collect(),
        topic_alias: properties.topic_alias.and_then(NonZeroU16::new),
    });
    Publish {
        topic: publish.topic.into(),
        payload: publish.payload,
        qos: qos(publish.qos),
        packet_id: PacketId::new(publish.pkid),
        dup: publish.dup,
        retain: publish.retain,
        properties: properties.filter(|it| *it != Properties::default()).map(Box::new),
    }
}

fn connect(read: second::Connect, ours: &Packet) -> Connect {
    let Packet::Connect(ours) = ours else { panic!("{ours:?} is read as a CONNECT") };
    let properties = read.properties;
    let properties = properties.as_ref();
    let login = read.login;
    let (username, password) =
        login.map(|login| (login.username, login.password)).unwrap_or_default();
    let will = read.last_will.map(|will| {
        let mut delay_s = 0;
        let properties = will.properties.map(|properties| {
            delay_s = properties.delay_interval.unwrap_or(0);
            Properties {
                expiry_s: properties.message_expiry_interval,
                content_type: text(properties.content_type),
                response_topic: text(properties.response_topic),
                correlation: properties.correlation_data,
                is_text: properties.payload_format_indicator == Some(1),
                user: pairs(properties.user_properties),
                ..Properties::default()
            }
        });
        Box::new(Will {
            topic: will.topic.into(),
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            delay_s,
            properties: properties.unwrap_or_default(),
        })
    });
    Connect {
        version: Version::V5,
        clean_session: read.clean_session,
        keepalive_s: read.keep_alive,
        client_id: read.client_id.into(),
        username: Some(username.into()),
        // They don't tell an empty password from none.
        password: ours.password.as_ref().map(|_| password.into()),
        will,
        session_expiry_s: properties.and_then(|it| it.session_expiry_interval).unwrap_or(0),
        receive_max: properties.and_then(|it| it.receive_maximum).unwrap_or(u16::MAX),
        topic_alias_max: properties.and_then(|it| it.topic_alias_max).unwrap_or(0),
        packet_bytes_max: properties.and_then(|it| it.max_packet_size),
        has_auth_method: properties.is_some_and(|it| it.authentication_method.is_some()),
    }
}

fn connack(ack: second::ConnAck, ours: &Packet) -> Packet {
    let Packet::ConnAck { code, .. } = ours else { panic!("{ours:?} is read as a CONNACK") };
    let is_accepted = ack.code == second::ConnectReturnCode::Success;
    assert_eq!(is_accepted, *code == ConnectCode::Accepted);
    let properties = ack.properties;
    let reason = properties.as_ref().and_then(|it| it.reason_string.clone());
    let welcome = is_accepted.then(|| {
        let properties = properties.as_ref();
        Box::new(Welcome {
            session_expiry_s: properties.and_then(|it| it.session_expiry_interval),
            receive_max: properties.and_then(|it| it.receive_max).unwrap_or(u16::MAX),
            packet_bytes_max: properties.and_then(|it| it.max_packet_size).unwrap_or(u32::MAX),
            topic_alias_max: properties.and_then(|it| it.topic_alias_max).unwrap_or(0),
            retains: properties.and_then(|it| it.retain_available).is_none_or(|it| it == 1),
            client_id: text(properties.and_then(|it| it.assigned_client_identifier.clone())),
        })
    });
    Packet::ConnAck {
        session_present: ack.session_present,
        code: *code,
        welcome,
        text: text(reason),
    }
}
