use super::*;
use std::num::NonZeroU16;

fn limits() -> Limits {
    Limits { uplink_in_flight_max: 2, topic_aliases_max: 2, ..Limits::default() }
}

fn bytes(packet: Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    codec::encode(packet, Version::V5, &mut out).unwrap();
    out.to_vec()
}

fn connect() -> Connect {
    Connect { version: Version::V5, keepalive_s: 60, ..Connect::default() }
}

/// The packets in `out`, in order.
fn packets(out: &BytesMut) -> Vec<Packet> {
    let (mut framer, mut input, mut packets) = (Framer::default(), &out[..], Vec::new());
    while let Some(packet) = framer.next(&mut input, usize::MAX, &mut Version::V5).unwrap() {
        packets.push(packet);
    }
    packets
}

fn connected(connect: Connect) -> Session {
    let mut session = Session::new(Arc::new(limits()), 0);
    let event = session.next(&mut &bytes(Packet::Connect(Box::new(connect)))[..], 0);
    assert!(matches!(event, Ok(Some(Event::Connect(_)))));
    session.accept(false, Granted::default(), &mut BytesMut::new());
    session
}

fn publish(topic: &str, number: u16, alias: u16) -> Vec<u8> {
    let packet_id = PacketId::new(number);
    let qos = if packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
    let properties = Properties { topic_alias: NonZeroU16::new(alias), ..Properties::default() };
    bytes(Packet::Publish(Publish {
        topic: topic.into(),
        payload: Bytes::new(),
        qos,
        packet_id,
        dup: false,
        retain: false,
        properties: Some(Box::new(properties)),
    }))
}

fn topic(session: &mut Session, packet: &[u8]) -> Result<String, ProtocolError> {
    match session.next(&mut &packet[..], 0)? {
        Some(Event::Publish { topic, .. }) => Ok(topic.to_string()),
        other => panic!("{other:?}"),
    }
}

fn outgoing(topic: &str) -> Outgoing {
    let (topic, payload) = (topic.into(), "payload".into());
    Outgoing { topic, payload, qos: Qos::AtLeastOnce, dup: false, retain: false, properties: None }
}

#[test]
fn a_client_is_told_what_it_may_do() {
    let mut session = Session::new(Arc::new(limits()), 0);
    session.next(&mut &bytes(Packet::Connect(Box::new(connect())))[..], 0).unwrap();
    let mut out = BytesMut::new();
    let granted =
        Granted { client_id: Some("id".into()), session_expiry_s: Some(0), retains: true };
    session.accept(false, granted, &mut out);
    let [Packet::ConnAck { code: ConnectCode::Accepted, welcome: Some(welcome), .. }] =
        &packets(&out)[..]
    else {
        panic!()
    };
    let want = Welcome {
        session_expiry_s: Some(0),
        receive_max: 2,
        packet_bytes_max: 5 + 2 + 512 + 2 + 256 * 1024 + 8 * 1024,
        topic_alias_max: 2,
        retains: true,
        client_id: Some("id".into()),
    };
    assert_eq!(**welcome, want);
}

#[test]
fn a_connect_that_cannot_be_granted_is_answered_with_its_reason() {
    let will = |qos| {
        let (topic, payload, properties) = ("t".into(), Bytes::new(), Properties::default());
        let will =
            crate::packet::Will { topic, payload, qos, retain: false, delay_s: 0, properties };
        bytes(Packet::Connect(Box::new(Connect { will: Some(Box::new(will)), ..connect() })))
    };
    let short = bytes(Packet::Connect(Box::new(Connect { keepalive_s: 29, ..connect() })));
    for (packet, reason) in [
        (will(Qos::ExactlyOnce), Reason::QOS),
        (short, Reason::NOT_AUTHORIZED),
        (b"\x10\x11\0\x04MQTT\x05\x02\0\x3c\x04\x15\0\x01m\0\0".to_vec(), Reason::AUTH_METHOD),
        (b"\x10\x0e\0\x04MQTT\x06\x02\0\x3c\0\0\x01a".to_vec(), Reason::VERSION),
        (b"\x10\x0e\0\x04MQTT\x05\x03\0\x3c\0\0\x01a".to_vec(), Reason::MALFORMED),
        (b"\x10\x10\0\x04MQTT\x05\x02\0\x3c\x03\x21\0\0\0\0".to_vec(), Reason::PROTOCOL),
    ] {
        let mut session = Session::new(Arc::new(limits()), 0);
        let error = session.next(&mut &packet[..], 0).unwrap_err();
        let code = error.connect_code(session.version()).unwrap();
        let mut out = BytesMut::new();
        session.refuse(code, Some(error.to_string().into()), &mut out);
        // Reason and properties: length, id, text.
        assert_eq!((out[0], out[2], Reason(out[3])), (0x20, 0, reason), "{packet:02x?}");
        assert_eq!(out[5], 0x1f);
        assert!(session.is_closed());
    }
    assert!(Session::new(Arc::new(limits()), 0).next(&mut &will(Qos::AtLeastOnce)[..], 0).is_ok());
}

#[test]
fn an_alias_stands_for_the_topic_that_it_was_last_said_with() {
    let mut session = connected(connect());
    let mut say = |topic_said, alias| topic(&mut session, &publish(topic_said, 0, alias));
    assert_eq!(say("/a", 1), Ok("/a".into()));
    assert_eq!(say("/b", 2), Ok("/b".into()));
    assert_eq!(say("", 1), Ok("/a".into()));
    assert_eq!(say("/c", 1), Ok("/c".into()));
    assert_eq!(say("", 1), Ok("/c".into()));
    assert_eq!(say("", 2), Ok("/b".into()));
    assert_eq!(say("/d", 3), Err(DecodeError::TopicAlias.into()));
    let mut session = connected(connect());
    assert_eq!(topic(&mut session, &publish("", 0, 2)), Err(DecodeError::Protocol.into()));
}

#[test]
fn a_topic_is_said_once_to_a_client_that_takes_aliases() {
    let mut session = connected(Connect { topic_alias_max: 9, ..connect() });
    let mut out = BytesMut::new();
    for topic in ["/a", "/b", "/a", "/c", "/c", "/b"] {
        session.send(outgoing(topic), &mut out).unwrap();
    }
    let said: Vec<(String, Option<u16>)> = packets(&out)
        .into_iter()
        .map(|packet| {
            let Packet::Publish(Publish { topic, properties, .. }) = packet else { panic!() };
            let alias = properties.and_then(|properties| properties.topic_alias);
            (topic.to_string(), alias.map(NonZeroU16::get))
        })
        .collect();
    let want = [
        ("/a", Some(1)),
        ("/b", Some(2)),
        ("", Some(1)),
        // There are two aliases only.
        ("/c", None),
        ("/c", None),
        ("", Some(2)),
    ];
    assert_eq!(said, want.map(|(topic, alias)| (topic.to_owned(), alias)));
}

#[test]
fn a_client_that_takes_no_aliases_is_given_none() {
    let mut session = connected(connect());
    let mut out = BytesMut::new();
    session.send(outgoing("/a"), &mut out).unwrap();
    let [Packet::Publish(publish)] = &packets(&out)[..] else { panic!() };
    assert_eq!((&*publish.topic, &publish.properties), ("/a", &None));
}

#[test]
fn the_window_is_what_the_client_can_receive() {
    let mut session = connected(Connect { receive_max: 1, ..connect() });
    let mut out = BytesMut::new();
    let id = session.send(outgoing("/a"), &mut out).unwrap().unwrap();
    assert_eq!(session.send(outgoing("/a"), &mut out), Err(PublishError::WindowFull));
    assert!(!session.has_window());
    // A client that didn't want the message has it all the same.
    let ack = bytes(Packet::PubAck(id, Reason::QUOTA));
    assert_eq!(session.next(&mut &ack[..], 0), Ok(Some(Event::PubAck(id))));
    assert!(session.has_window());
}

#[test]
fn a_client_that_sends_more_than_may_wait_is_told() {
    let mut session = connected(connect());
    for number in [1, 2] {
        topic(&mut session, &publish("/a", number, 0)).unwrap();
    }
    assert!(session.wants_input());
    // Said again: it waits already.
    assert_eq!(session.next(&mut &publish("/a", 2, 0)[..], 0), Ok(None));
    assert_eq!(topic(&mut session, &publish("/a", 3, 0)), Err(ProtocolError::ReceiveMax));
    let mut out = BytesMut::new();
    session.disconnect(ProtocolError::ReceiveMax.reason(), Some("why".into()), &mut out);
    let (reason, text) = (Reason::RECEIVE_MAX, Some("why".into()));
    assert_eq!(packets(&out), [Packet::Disconnect { reason, session_expiry_s: None, text }]);
    // Once is enough.
    session.disconnect(Reason::SHUTTING_DOWN, None, &mut out);
    assert_eq!(packets(&out).len(), 1);
}

#[test]
fn nothing_longer_than_the_client_takes_is_sent() {
    let mut session =
        connected(Connect { packet_bytes_max: Some(19), topic_alias_max: 1, ..connect() });
    let mut out = BytesMut::new();
    assert_eq!(session.send(outgoing("/long"), &mut out), Err(PublishError::TooLarge(22)));
    assert_eq!((out.len(), session.in_flight()), (0, 0));
    // The alias was not given away: a shorter topic has it.
    session.send(outgoing("/a"), &mut out).unwrap();
    assert_eq!(out.len(), 19);
    out.clear();
    session.disconnect(Reason::SHUTTING_DOWN, Some("a text of some length".into()), &mut out);
    let (reason, text) = (Reason::SHUTTING_DOWN, None);
    assert_eq!(packets(&out), [Packet::Disconnect { reason, session_expiry_s: None, text }]);
}

#[test]
fn acknowledgements_say_what_became_of_a_message() {
    let mut session = connected(connect());
    let mut ticket = |number| match session.next(&mut &publish("/a", number, 0)[..], 0) {
        Ok(Some(Event::Publish { ticket, .. })) => ticket.unwrap(),
        other => panic!("{other:?}"),
    };
    let (first, second) = (ticket(1), ticket(2));
    let mut out = BytesMut::new();
    session.ack(second, &mut out);
    session.ack_with(first, Reason::NOT_AUTHORIZED, &mut out);
    session.unsuback(PacketId::MIN, vec![true, false], &mut out);
    let want = [
        Packet::PubAck(PacketId::MIN, Reason::NOT_AUTHORIZED),
        Packet::puback(PacketId::new(2).unwrap()),
        Packet::UnsubAck { packet_id: PacketId::MIN, existed: vec![true, false] },
    ];
    assert_eq!(packets(&out), want);
}

#[test]
fn a_farewell_says_whether_the_will_stands_and_may_not_make_a_session_of_none() {
    let farewell = |connected_with: u32, reason, session_expiry_s| {
        let mut session = connected(Connect { session_expiry_s: connected_with, ..connect() });
        let packet = bytes(Packet::Disconnect { reason, session_expiry_s, text: None });
        session.next(&mut &packet[..], 0)
    };
    for (reason, with_will) in [(Reason::SUCCESS, false), (Reason::WITH_WILL, true)] {
        let event = Event::Disconnect { with_will, session_expiry_s: Some(0) };
        assert_eq!(farewell(0, reason, Some(0)), Ok(Some(event)));
    }
    let event = Event::Disconnect { with_will: false, session_expiry_s: Some(9) };
    assert_eq!(farewell(5, Reason::SUCCESS, Some(9)), Ok(Some(event)));
    assert_eq!(farewell(0, Reason::SUCCESS, Some(9)), Err(DecodeError::Protocol.into()));
}

#[test]
fn what_a_client_may_not_say_is_an_error_with_a_reason() {
    let named = Properties { subscription_ids: vec![1], ..Properties::default() };
    let publish = |qos, properties: Option<Properties>, size| {
        let packet_id = (qos != Qos::AtMostOnce).then_some(PacketId::MIN);
        let (topic, payload, properties) =
            ("/t".into(), vec![0; size].into(), properties.map(Box::new));
        let (dup, retain) = (false, false);
        bytes(Packet::Publish(Publish { topic, payload, qos, packet_id, dup, retain, properties }))
    };
    for (packet, reason) in [
        (publish(Qos::ExactlyOnce, None, 0), Reason::QOS),
        (publish(Qos::AtMostOnce, Some(named), 0), Reason::PROTOCOL),
        (publish(Qos::AtMostOnce, None, 256 * 1024 + 1), Reason::TOO_LARGE),
        (publish(Qos::AtMostOnce, None, 300 * 1024), Reason::TOO_LARGE),
        (bytes(Packet::Connect(Box::new(connect()))), Reason::PROTOCOL),
        (bytes(Packet::PingResp), Reason::PROTOCOL),
        (b"\x31\x04\0\x01a\0".to_vec(), Reason::RETAIN),
        (b"\xf0\0".to_vec(), Reason::PROTOCOL),
        (b"\x30\x04\0\x01+\0".to_vec(), Reason::MALFORMED),
    ] {
        let mut session = connected(connect());
        let error = session.next(&mut &packet[..], 0).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
    }
}
