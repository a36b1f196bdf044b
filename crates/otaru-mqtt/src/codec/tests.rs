use super::*;
use crate::packet::{Connect, ConnectCode, Publish, SubscribeCode};
use bytes::Bytes;
use proptest::prelude::*;

fn id(number: u16) -> crate::packet::PacketId {
    crate::packet::PacketId::new(number).unwrap()
}

fn encoded(packet: Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, Version::V311, &mut out).unwrap();
    out
}

fn decode(frame: &[u8]) -> Result<Packet, DecodeError> {
    super::decode(frame, &mut Version::V311)
}

#[test]
fn packets_that_break_a_rule_are_refused() {
    use DecodeError::{ClientId, Malformed, Text, Topic, Unsupported, Version};
    let table: &[(&[u8], DecodeError)] = &[
        // CONNECT: reserved flag, will flags without will, will QoS 3, password without username, trailing bytes.
        (b"\x10\x0d\0\x04MQTT\x04\x03\0\x3c\0\x01a", Malformed),
        (b"\x10\x0d\0\x04MQTT\x04\x0a\0\x3c\0\x01a", Malformed),
        (b"\x10\x0d\0\x04MQTT\x04\x22\0\x3c\0\x01a", Malformed),
        (b"\x10\x13\0\x04MQTT\x04\x1e\0\x3c\0\x01a\0\x01t\0\x01m", Malformed),
        (b"\x10\x10\0\x04MQTT\x04\x42\0\x3c\0\x01a\0\x01p", Malformed),
        (b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x01ax", Malformed),
        // A text that reaches over the end, half a header.
        (b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x09a", Malformed),
        (b"\x10\x04\0\x04MQ", Malformed),
        // Names and levels that don't belong together or aren't spoken.
        (b"\x10\x0d\0\x04MQTT\x03\x02\0\x3c\0\x01a", Version),
        (b"\x10\x0d\0\x04MQTT\x06\x02\0\x3c\0\x01a", Version),
        (b"\x10\x0f\0\x06MQIsdp\x04\x02\0\x3c\0\x01a", Version),
        (b"\x10\x0d\0\x04MQTX\x04\x02\0\x3c\0\x01a", Version),
        // An empty client id whose session is to be kept; NUL and non-UTF-8 in texts.
        (b"\x10\x0c\0\x04MQTT\x04\0\0\x3c\0\0", ClientId),
        (b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01\0", Text),
        (b"\x10\x10\0\x04MQTT\x04\x82\0\x3c\0\x01a\0\x01\0", Text),
        (b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01\xff", Text),
        // PUBLISH: empty topic, wildcard, NUL, non-UTF-8, id 0, QoS 3, DUP at QoS 0.
        (b"\x30\x03\0\0x", Topic),
        (b"\x30\x05\0\x03a/#", Topic),
        (b"\x30\x03\0\x01+", Topic),
        (b"\x30\x03\0\x01\0", Text),
        (b"\x30\x03\0\x01\xc0", Text),
        (b"\x32\x05\0\x01a\0\0", Malformed),
        (b"\x36\x05\0\x01a\0\x01", Malformed),
        (b"\x38\x03\0\x01a", Malformed),
        (b"\x30\x01\0", Malformed),
        // SUBSCRIBE: flags, id 0, no filter, bad filters, reserved bits of the QoS, no QoS.
        (b"\x80\x06\0\x01\0\x01a\0", Unsupported),
        (b"\x82\x06\0\0\0\x01a\0", Malformed),
        (b"\x82\x02\0\x01", Topic),
        (b"\x82\x05\0\x01\0\0\0", Topic),
        (b"\x82\x07\0\x01\0\x02#a\0", Topic),
        (b"\x82\x06\0\x01\0\x01a\x04", Malformed),
        (b"\x82\x06\0\x01\0\x01a\x03", Malformed),
        (b"\x82\x05\0\x01\0\x01a", Malformed),
        (b"\xa2\x02\0\x01", Topic),
        (b"\xa2\x06\0\x01\0\x02a+", Topic),
        // Acknowledgements and packets without a body.
        (b"\x40\x02\0\0", Malformed),
        (b"\x40\x03\0\x01\0", Malformed),
        (b"\xc0\x01\0", Malformed),
        (b"\xe0\x01\0", Malformed),
        (b"\x20\x03\0\0\0", Malformed),
        (b"\x20\x02\x02\0", Malformed),
        (b"\x20\x02\0\x06", Malformed),
        (b"\x90\x02\0\x01", Malformed),
        // Reserved types, and those of QoS 2.
        (b"\x00\x00", Unsupported),
        (b"\xf0\x00", Unsupported),
        (b"\x50\x02\0\x01", Unsupported),
        (b"\x62\x02\0\x01", Unsupported),
        (b"\x70\x02\0\x01", Unsupported),
        // Less or more than one packet.
        (b"", Malformed),
        (b"\x40\x02\0", Malformed),
    ];
    for (bytes, error) in table {
        assert_eq!(decode(bytes), Err(*error), "{bytes:02x?}");
    }
}

#[test]
fn connects_of_both_versions_are_read() {
    let Packet::Connect(old) = decode(b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x3c\0\x01a").unwrap() else {
        panic!("no CONNECT")
    };
    assert_eq!((old.version, old.keepalive_s, &*old.client_id), (Version::V31, 60, "a"));
    let will = b"\x10\x19\0\x04MQTT\x04\xce\0\x3c\0\x01a\0\x01t\0\x01m\0\x01u\0\x01p";
    let Packet::Connect(new) = decode(will).unwrap() else { panic!("no CONNECT") };
    assert!(new.will.is_some() && new.clean_session);
    assert_eq!(new.username.as_deref(), Some("u"));
    assert_eq!(new.password.as_deref(), Some(&b"p"[..]));
}

#[test]
fn a_connack_has_four_bytes() {
    let ack = Packet::ConnAck {
        session_present: true,
        code: ConnectCode::NotAuthorized,
        welcome: None,
        text: None,
    };
    assert_eq!(&encoded(ack)[..], b"\x20\x02\x01\x05");
}

#[test]
fn what_cannot_be_written_leaves_the_output_as_it_was() {
    let long = "x".repeat(65_536);
    let publish = |topic: &str, qos, packet_id| {
        Packet::Publish(Publish {
            topic: topic.into(),
            payload: Bytes::new(),
            qos,
            packet_id,
            dup: false,
            retain: false,
            properties: None,
        })
    };
    for packet in [
        publish(&long, Qos::AtMostOnce, None),
        publish("a", Qos::AtLeastOnce, None),
        publish("a", Qos::AtMostOnce, Some(id(1))),
        Packet::Subscribe {
            packet_id: id(1),
            id: None,
            filters: vec![(long.as_str().into(), Qos::AtMostOnce.into())],
        },
        Packet::Unsubscribe { packet_id: id(1), filters: vec![long.as_str().into()] },
        Packet::Connect(Box::new(Connect {
            client_id: long.as_str().into(),
            ..Connect::default()
        })),
    ] {
        for version in [Version::V311, Version::V5] {
            let mut out = BytesMut::from(&b"before"[..]);
            assert_eq!(encode(packet.clone(), version, &mut out), Err(EncodeError));
            assert_eq!(&out[..], b"before");
        }
    }
}

#[test]
fn a_length_is_known_from_the_header_and_limited_before_the_body_comes() {
    for (bytes, want) in [
        (&b""[..], Ok(None)),
        (b"\x30", Ok(None)),
        (b"\x30\x00", Ok(Some(2))),
        (b"\x30\x7f", Ok(Some(129))),
        (b"\x30\x80", Ok(None)),
        (b"\x30\x80\x01", Ok(Some(131))),
        (b"\x30\xff\xff\xff", Ok(None)),
        (b"\x30\xff\xff\xff\xff", Err(DecodeError::Length)),
        (b"\x30\xff\x07", Ok(Some(1_026))),
        (b"\x30\x80\x08", Err(DecodeError::TooLarge { announced: 1_027, max: 1_026 })),
        (
            b"\x30\xff\xff\xff\x7f",
            Err(DecodeError::TooLarge { announced: 268_435_460, max: 1_026 }),
        ),
    ] {
        assert_eq!(frame_length(bytes, 1_026), want, "{bytes:02x?}");
    }
}

fn text() -> impl Strategy<Value = bytestring::ByteString> {
    "[a-zA-Z0-9/_.é-]{1,40}".prop_map(Into::into)
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    use proptest::collection::vec;
    use proptest::option::of;
    let id = || (1..=u16::MAX).prop_map(id);
    let payload = || vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let connect = (any::<bool>(), any::<u16>(), text(), of((text(), of(payload()))));
    let publish = (text(), payload(), qos(), id(), any::<bool>(), any::<bool>());
    let code = prop_oneof![qos().prop_map(SubscribeCode::Granted), Just(SubscribeCode::Refused)];
    prop_oneof![
        connect.prop_map(|(clean_session, keepalive_s, client_id, user)| {
            let (username, password) = user.map_or((None, None), |(u, p)| (Some(u), p));
            let version = crate::packet::Version::V311;
            Packet::Connect(Box::new(Connect {
                version,
                clean_session,
                keepalive_s,
                client_id,
                username,
                password,
                ..Connect::default()
            }))
        }),
        any::<bool>().prop_map(|session_present| Packet::ConnAck {
            session_present,
            code: ConnectCode::ServerUnavailable,
            welcome: None,
            text: None
        }),
        publish.prop_map(|(topic, payload, qos, id, dup, retain)| {
            let packet_id = (qos != Qos::AtMostOnce).then_some(id);
            let dup = dup && packet_id.is_some();
            let properties = None;
            Packet::Publish(Publish { topic, payload, qos, packet_id, dup, retain, properties })
        }),
        id().prop_map(Packet::puback),
        (id(), vec((text(), qos().prop_map(Into::into)), 1..9))
            .prop_map(|(packet_id, filters)| Packet::Subscribe { packet_id, id: None, filters }),
        (id(), vec(code, 1..9)).prop_map(|(packet_id, codes)| Packet::SubAck { packet_id, codes }),
        (id(), vec(text(), 1..9))
            .prop_map(|(packet_id, filters)| Packet::Unsubscribe { packet_id, filters }),
        id().prop_map(|packet_id| Packet::UnsubAck { packet_id, existed: Vec::new() }),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::GOODBYE),
    ]
}

proptest! {
    #[test]
    fn a_packet_survives_the_wire(packet in any_packet()) {
        let bytes = encoded(packet.clone());
        prop_assert_eq!(frame_length(&bytes, usize::MAX), Ok(Some(bytes.len())));
        prop_assert_eq!(decode(&bytes), Ok(packet));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        first in any::<u8>(),
        body in proptest::collection::vec(any::<u8>(), 0..127),
    ) {
        let mut frame = vec![first, u8::try_from(body.len()).unwrap()];
        frame.extend(body);
        let _ = decode(&frame);
    }

    #[test]
    fn a_packet_with_one_byte_changed_never_panics(
        packet in any_packet(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encoded(packet);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Some(length)) = frame_length(&bytes, usize::MAX)
            && length <= bytes.len()
        {
            let _ = decode(&bytes[..length]);
        }
    }
}
