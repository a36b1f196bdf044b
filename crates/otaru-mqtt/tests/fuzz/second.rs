//! What another decoder makes of MQTT 3.1.1.

use bytes::{Bytes, BytesMut};
use mqttbytes::v4 as second;
use otaru_mqtt::packet::{Packet, PacketId, Publish, Qos, SubscribeCode, Version};

/// Whether the second decoder was asked: it knows no MQTT 3.1, and no password that isn't UTF-8. What we read from
/// `frame` it has to read alike; it may read more, since it checks less.
pub fn agrees(packet: &Packet, frame: &[u8]) -> bool {
    if let Packet::Connect(connect) = packet {
        let is_text = |password: &Bytes| std::str::from_utf8(password).is_ok();
        if connect.version == Version::V31 || !connect.password.as_ref().is_none_or(is_text) {
            return false;
        }
    }
    let read = second::read(&mut BytesMut::from(frame), usize::MAX)
        .unwrap_or_else(|error| panic!("{packet:?} is not read: {error:?}, {frame:02x?}"));
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
            properties: None,
        }),
        second::Packet::PubAck(ack) => Packet::puback(id(ack.pkid)),
        second::Packet::Subscribe(subscribe) => Packet::Subscribe {
            packet_id: id(subscribe.pkid),
            id: None,
            filters: subscribe
                .filters
                .into_iter()
                .map(|f| (f.path.into(), qos(f.qos).into()))
                .collect(),
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
        second::Packet::UnsubAck(ack) => {
            Packet::UnsubAck { packet_id: id(ack.pkid), existed: Vec::new() }
        }
        second::Packet::PingReq => Packet::PingReq,
        second::Packet::PingResp => Packet::PingResp,
        second::Packet::Disconnect => Packet::GOODBYE,
        other => panic!("{packet:?} is read as {other:?}"),
    };
    assert_eq!(&theirs, packet);
    true
}

pub fn qos(qos: mqttbytes::QoS) -> Qos {
    match qos {
        mqttbytes::QoS::AtMostOnce => Qos::AtMostOnce,
        mqttbytes::QoS::AtLeastOnce => Qos::AtLeastOnce,
        mqttbytes::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

pub fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("an id is never 0")
}
