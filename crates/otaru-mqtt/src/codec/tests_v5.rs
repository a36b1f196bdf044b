use super::*;
use crate::packet::{
    Connect, ConnectCode, PacketId, Properties, Publish, RetainHandling, SubscribeCode,
    SubscribeOptions, Welcome, Will,
};
use bytes::Bytes;
use bytestring::ByteString;
use proptest::prelude::*;

fn encoded(packet: Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, Version::V5, &mut out).unwrap();
    out
}

fn decode(frame: &[u8]) -> Result<Packet, DecodeError> {
    super::decode(frame, &mut Version::V5)
}

/// A packet of these bytes behind the first, whose length is put between them.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, u8::try_from(body.len()).unwrap()];
    frame.extend(body);
    frame
}

#[test]
fn a_length_takes_no_more_bytes_than_it_needs() {
    for padded in [&b"\xe0\x81\0\0"[..], b"\xe0\x80\0", b"\xc0\x80\x80\x80\0"] {
        assert_eq!(decode(padded), Err(DecodeError::Malformed), "{padded:?}");
        let lenient = super::decode(padded, &mut Version::V311);
        assert_ne!(lenient, Err(DecodeError::Length), "{padded:?}");
    }
    assert!(decode(b"\xe0\x01\0").is_ok() && decode(b"\xc0\0").is_ok());
}

#[test]
fn packets_that_break_a_rule_are_refused() {
    use DecodeError::{Malformed, Protocol, Text, Topic, TopicAlias, Unsupported, Version};
    let table: &[(u8, &[u8], DecodeError)] = &[
        // CONNECT: a level to come, reserved flag, will flags without will, will QoS 3, bytes that follow, too few.
        (0x10, b"\0\x04MQTT\x06\x02\0\x3c\0\0\x01a", Version),
        (0x10, b"\0\x04MQTT\x05\x03\0\x3c\0\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x0a\0\x3c\0\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x22\0\x3c\0\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x1e\0\x3c\0\0\x01a\0\0\x01t\0\x01m", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x01ax", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x02a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c", Malformed),
        (0x10, b"\0\x04MQTT\x05", Malformed),
        // Its properties: too long, unknown, of another packet, said twice, zero where there is none, no switch.
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x09\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\xff\xff\xff\xff\x01\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x02\x7f\0\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x03\x23\0\x01\0\x01a", Malformed),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x06\x21\0\x01\x21\0\x01\0\x01a", Protocol),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x03\x21\0\0\0\x01a", Protocol),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x05\x27\0\0\0\0\0\x01a", Protocol),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x02\x17\x02\0\x01a", Protocol),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x02\x19\x02\0\x01a", Protocol),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x04\x16\0\x01d\0\x01a", Protocol),
        // NUL and what isn't UTF-8: in the id, a user property, a will.
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x01\0", Text),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x01\xff", Text),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x07\x26\0\x01\0\0\x01v\0\x01a", Text),
        (0x10, b"\0\x04MQTT\x05\x02\0\x3c\x07\x26\0\x01k\0\x01\0\0\x01a", Text),
        (0x10, b"\0\x04MQTT\x05\x06\0\x3c\0\0\x01a\0\0\x01\0\0\x01m", Text),
        (0x10, b"\0\x04MQTT\x05\x06\0\x3c\0\0\x01a\0\0\x01+\0\x01m", Topic),
        (0x10, b"\0\x04MQTT\x05\x06\0\x3c\0\0\x01a\x02\x01\x02\0\x01t\0\x01m", Malformed),
        // PUBLISH: no topic and no alias, alias 0, wildcard, NUL, id 0, QoS 3, DUP at QoS 0, no properties.
        (0x30, b"\0\0\0x", Protocol),
        (0x30, b"\0\x01t\x03\x23\0\0x", TopicAlias),
        (0x30, b"\0\x01t\x06\x23\0\x01\x23\0\x02x", Protocol),
        (0x30, b"\0\x03a/#\0x", Topic),
        (0x30, b"\0\x01\0\0x", Text),
        (0x30, b"\0\x01\xc0\0x", Text),
        (0x32, b"\0\x01t\0\0\0x", Malformed),
        (0x36, b"\0\x01t\0\x01\0x", Malformed),
        (0x38, b"\0\x01t\0x", Malformed),
        (0x30, b"\0\x01t", Malformed),
        (0x30, b"\0\x01t\x02\x01\x02", Malformed),
        (0x30, b"\0\x01t\x05\x02\0\0\0", Malformed),
        (0x30, b"\0\x01t\x04\x08\0\x01+", Protocol),
        (0x30, b"\0\x01t\x02\x0b\0", Protocol),
        (0x30, b"\0\x01t\x05\x11\0\0\0\x01", Malformed),
        // SUBSCRIBE and UNSUBSCRIBE: flags, id 0, nothing, bad filters, reserved options, subscription id 0.
        (0x80, b"\0\x01\0\0\x01a\0", Malformed),
        (0x82, b"\0\0\0\0\x01a\0", Malformed),
        (0x82, b"\0\x01\0", Protocol),
        (0x82, b"\0\x01\0\0\0\0", Topic),
        (0x82, b"\0\x01\0\0\x02#a\0", Topic),
        (0x82, b"\0\x01\0\0\x01a\x03", Protocol),
        (0x82, b"\0\x01\0\0\x01a\x30", Protocol),
        (0x82, b"\0\x01\0\0\x01a\x40", Malformed),
        (0x82, b"\0\x01\0\0\x01a", Malformed),
        (0x82, b"\0\x01\x02\x0b\0\0\x01a\0", Protocol),
        (0xa2, b"\0\x01\0", Protocol),
        (0xa2, b"\0\x01\0\0\x02a+", Topic),
        (0xa0, b"\0\x01\0\0\x01a", Malformed),
        // Acknowledgements, farewells, packets without a body.
        (0x40, b"\0\0", Malformed),
        (0x40, b"\0\x01\x01", Malformed),
        (0x40, b"\0\x01\0\0\0", Malformed),
        (0x40, b"\0\x01\0\x02\x1f\0", Malformed),
        (0xe0, b"\x01", Malformed),
        (0xe0, b"\0\x0a\x11\0\0\0\x01\x11\0\0\0\x01", Protocol),
        (0xe1, b"", Malformed),
        (0xc0, b"\0", Malformed),
        (0xc1, b"", Malformed),
        (0x90, b"\0\x01\0", Protocol),
        // A reserved type, those of QoS 2, and AUTH when nobody asked for it.
        (0x00, b"", Malformed),
        (0x50, b"\0\x01", Unsupported),
        (0x62, b"\0\x01", Unsupported),
        (0x70, b"\0\x01", Unsupported),
        (0xf0, b"", Unsupported),
    ];
    for (first, body, error) in table {
        let bytes = frame(*first, body);
        assert_eq!(decode(&bytes), Err(*error), "{bytes:02x?}");
    }
}

#[test]
fn refusals_have_the_reason_that_the_specification_asks_for() {
    for (error, reason) in [
        (DecodeError::Malformed, 0x81),
        (DecodeError::Text, 0x81),
        (DecodeError::Topic, 0x81),
        (DecodeError::Length, 0x81),
        (DecodeError::Protocol, 0x82),
        (DecodeError::Unsupported, 0x82),
        (DecodeError::Version, 0x84),
        (DecodeError::ClientId, 0x85),
        (DecodeError::TopicAlias, 0x94),
        (DecodeError::TooLarge { announced: 2, max: 1 }, 0x95),
    ] {
        assert_eq!(error.reason(), Reason(reason), "{error}");
    }
}

#[test]
fn a_connect_names_its_version() {
    let mut version = Version::V311;
    // Without a clean start the client id may still be empty: the server names one.
    let bytes = frame(0x10, b"\0\x04MQTT\x05\0\0\x3c\0\0\0");
    let Ok(Packet::Connect(connect)) = super::decode(&bytes, &mut version) else { panic!() };
    assert_eq!((version, connect.version), (Version::V5, Version::V5));
    assert!(!connect.clean_session && connect.client_id.is_empty());
    let bytes = frame(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\0");
    assert!(super::decode(&bytes, &mut version).is_ok());
    assert_eq!(version, Version::V311);
    // A malformed one too: it is answered in its own version.
    assert!(super::decode(&frame(0x10, b"\0\x04MQTT\x05\x03"), &mut version).is_err());
    assert_eq!(version, Version::V5);
}

#[test]
fn a_connect_and_a_will_are_read_with_all_that_they_say() {
    let body = b"\0\x04MQTT\x05\xec\0\x3c\x14\x11\0\0\0\x05\x21\0\x07\x27\0\0\0\x09\x22\0\x03\x17\0\x19\x01\
        \0\x01a\x18\x18\0\0\0\x02\x02\0\0\0\0\x01\x01\x03\0\x02ct\x26\0\x01k\0\x01v\0\x01t\0\x01m\0\x01u\0\x01p";
    let Ok(Packet::Connect(connect)) = decode(&frame(0x10, body)) else { panic!() };
    let will = Will {
        topic: "t".into(),
        payload: "m".into(),
        qos: Qos::AtLeastOnce,
        retain: true,
        delay_s: 2,
        properties: Properties {
            expiry_s: Some(0),
            is_text: true,
            content_type: Some("ct".into()),
            user: vec![("k".into(), "v".into())],
            ..Properties::default()
        },
    };
    let want = Connect {
        version: Version::V5,
        clean_session: false,
        keepalive_s: 60,
        client_id: "a".into(),
        username: Some("u".into()),
        password: Some("p".into()),
        will: Some(Box::new(will)),
        session_expiry_s: 5,
        receive_max: 7,
        topic_alias_max: 3,
        packet_bytes_max: Some(9),
        has_auth_method: false,
    };
    assert_eq!(*connect, want);
    for length in 0..body.len() {
        assert!(decode(&frame(0x10, &body[..length])).is_err(), "the first {length} bytes");
    }
}

#[test]
fn a_message_that_is_worth_nothing_any_more_is_read() {
    let bytes = frame(0x30, b"\0\x01t\x05\x02\0\0\0\0x");
    let Ok(Packet::Publish(publish)) = decode(&bytes) else { panic!() };
    assert_eq!(publish.properties.unwrap().expiry_s, Some(0));
    assert_eq!(publish.payload, "x");
}

#[test]
fn a_server_says_what_it_has_not() {
    let welcome = Welcome {
        session_expiry_s: Some(0),
        receive_max: 100,
        packet_bytes_max: 300_000,
        topic_alias_max: 16,
        retains: false,
        client_id: Some("c".into()),
    };
    let (code, welcome) = (ConnectCode::Accepted, Some(Box::new(welcome)));
    let ack = Packet::ConnAck { session_present: false, code, welcome, text: None };
    assert_eq!(
        &encoded(ack)[..],
        b"\x20\x1d\0\0\x1a\x11\0\0\0\0\x21\0\x64\x24\x01\x25\0\x27\0\x04\x93\xe0\x12\0\x01c\x22\0\x10\x2a\0"
    );
    let code = ConnectCode::UnacceptableVersion;
    let ack = Packet::ConnAck { session_present: false, code, welcome: None, text: None };
    assert_eq!(&encoded(ack)[..], b"\x20\x03\0\x84\0");
}

fn text() -> impl Strategy<Value = ByteString> {
    "[a-zA-Z0-9/_.é-]{1,40}".prop_map(Into::into)
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn properties() -> impl Strategy<Value = Properties> {
    use proptest::collection::vec;
    use proptest::option::of;
    let correlation = of(vec(any::<u8>(), 0..30).prop_map(Bytes::from));
    let users = vec((text(), text()), 0..3);
    let ids = vec(1..=268_435_455_u32, 0..3);
    (of(1..=u32::MAX), of(text()), of(text()), correlation, any::<bool>(), users, ids, 0..9_u16)
        .prop_map(|(expiry_s, content_type, response_topic, correlation, is_text, user, ids, n)| {
            Properties {
                expiry_s,
                content_type,
                response_topic,
                correlation,
                is_text,
                user,
                subscription_ids: ids,
                topic_alias: std::num::NonZeroU16::new(n),
            }
        })
}

/// Every packet of MQTT 5.0 that can be written.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    use proptest::collection::vec;
    use proptest::option::of;
    let id = || (1..=u16::MAX).prop_map(|n| PacketId::new(n).unwrap());
    let payload = || vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let will = (text(), payload(), qos(), any::<bool>(), any::<u32>(), properties()).prop_map(
        |(topic, payload, qos, retain, delay_s, properties)| {
            let (subscription_ids, topic_alias) = (Vec::new(), None);
            let properties = Properties { subscription_ids, topic_alias, ..properties };
            Box::new(Will { topic, payload, qos, retain, delay_s, properties })
        },
    );
    let numbers = (any::<u32>(), 1..=u16::MAX, any::<u16>(), of(1..=u32::MAX), any::<u16>());
    let texts = (of(text()), of(text()), of(payload()));
    let connect = (any::<bool>(), numbers, texts, of(will)).prop_map(
        |(clean_session, numbers, (client_id, username, password), will)| {
            Packet::Connect(Box::new(Connect {
                version: Version::V5,
                clean_session,
                keepalive_s: numbers.4,
                client_id: client_id.unwrap_or_default(),
                username,
                password,
                will,
                session_expiry_s: numbers.0,
                receive_max: numbers.1,
                topic_alias_max: numbers.2,
                packet_bytes_max: numbers.3,
                has_auth_method: false,
            }))
        },
    );
    let welcome = (of(any::<u32>()), 1..=u16::MAX, 1..=u32::MAX, any::<u16>(), any::<bool>())
        .prop_map(|(session_expiry_s, receive_max, packet_bytes_max, topic_alias_max, retains)| {
            let client_id = retains.then(|| "id".into());
            let welcome = Welcome {
                session_expiry_s,
                receive_max,
                packet_bytes_max,
                topic_alias_max,
                retains,
                client_id,
            };
            let (code, welcome) = (ConnectCode::Accepted, Some(Box::new(welcome)));
            Packet::ConnAck { session_present: retains, code, welcome, text: None }
        });
    let refusal = of(text()).prop_map(|text| {
        let code = ConnectCode::Other(Reason::QUOTA);
        Packet::ConnAck { session_present: false, code, welcome: None, text }
    });
    let publish = (text(), payload(), qos(), id(), any::<(bool, bool)>(), of(properties()))
        .prop_map(|(topic, payload, qos, id, (dup, retain), properties)| {
            let packet_id = (qos != Qos::AtMostOnce).then_some(id);
            let dup = dup && packet_id.is_some();
            let properties = properties.filter(|it| *it != Properties::default()).map(Box::new);
            Packet::Publish(Publish { topic, payload, qos, packet_id, dup, retain, properties })
        });
    let handling = prop_oneof![
        Just(RetainHandling::Always),
        Just(RetainHandling::IfNew),
        Just(RetainHandling::Never)
    ];
    let options = (qos(), any::<(bool, bool)>(), handling).prop_map(
        |(qos, (no_local, retain_as_published), retain_handling)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    );
    let code = prop_oneof![
        qos().prop_map(SubscribeCode::Granted),
        Just(SubscribeCode::Refused),
        Just(SubscribeCode::NotAuthorized),
        Just(SubscribeCode::QuotaExceeded),
        Just(SubscribeCode::SharedNotSupported)
    ];
    let reason = prop_oneof![Just(Reason::SUCCESS), Just(Reason::NOT_AUTHORIZED)];
    prop_oneof![
        connect,
        welcome,
        refusal,
        publish,
        (id(), reason).prop_map(|(packet_id, reason)| Packet::PubAck(packet_id, reason)),
        (id(), of(1..=268_435_455_u32), vec((text(), options), 1..9))
            .prop_map(|(packet_id, id, filters)| Packet::Subscribe { packet_id, id, filters }),
        (id(), vec(code, 1..9)).prop_map(|(packet_id, codes)| Packet::SubAck { packet_id, codes }),
        (id(), vec(text(), 1..9))
            .prop_map(|(packet_id, filters)| Packet::Unsubscribe { packet_id, filters }),
        (id(), vec(any::<bool>(), 1..9))
            .prop_map(|(packet_id, existed)| Packet::UnsubAck { packet_id, existed }),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        (of(any::<u32>()), of(text())).prop_map(|(session_expiry_s, text)| {
            Packet::Disconnect { reason: Reason::WITH_WILL, session_expiry_s, text }
        }),
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
        let _ = decode(&frame(first, &body));
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
