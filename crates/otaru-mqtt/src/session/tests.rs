use super::*;
use crate::client::{Client, ClientEvent};
use proptest::prelude::*;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn session() -> Session {
    Session::new(Arc::new(Limits::default()), 0)
}

fn connect(keepalive_s: u16) -> BytesMut {
    let mut out = BytesMut::new();
    let connect = Connect {
        clean_session: true,
        keepalive_s,
        client_id: "c".into(),
        username: Some("u".into()),
        ..Connect::default()
    };
    Client::default().connect(connect, &mut out).unwrap();
    out
}

fn connected() -> Session {
    let mut session = session();
    let event = session.next(&mut &connect(60)[..], 0).unwrap();
    assert!(matches!(event, Some(Event::Connect(_))));
    session.accept(false, Granted::default(), &mut BytesMut::new());
    session
}

fn bytes(packet: Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    codec::encode(packet, Version::V311, &mut out).unwrap();
    out.to_vec()
}

fn publish(qos: Qos, number: u16, payload: &'static [u8]) -> Vec<u8> {
    let packet_id = (qos != Qos::AtMostOnce).then(|| id(number));
    let payload = Bytes::from_static(payload);
    let topic = "/t".into();
    let (dup, retain, properties) = (false, false, None);
    bytes(Packet::Publish(Publish { topic, payload, qos, packet_id, dup, retain, properties }))
}

fn ticket(session: &mut Session, input: &[u8]) -> Ticket {
    match session.next(&mut &input[..], 0) {
        Ok(Some(Event::Publish { ticket: Some(ticket), .. })) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_begins_with_one_connect() {
    for first in [publish(Qos::AtMostOnce, 1, b""), bytes(Packet::PingReq), b"GET / HTTP".to_vec()]
    {
        assert_eq!(session().next(&mut &first[..], 0), Err(ProtocolError::NotConnected));
    }
    let mut session = connected();
    assert_eq!(session.next(&mut &connect(60)[..], 0), Err(ProtocolError::ConnectedTwice));
    assert_eq!(session.next(&mut &bytes(Packet::PingReq)[..], 0), Err(ProtocolError::Closed));
}

#[test]
fn a_stranger_cannot_announce_more_than_a_connect() {
    let result = session().next(&mut &b"\x10\xff\x1f"[..], 0);
    let too_large = DecodeError::TooLarge { announced: 4_098, max: 4_096 };
    assert_eq!(result, Err(ProtocolError::Decode(too_large)));
}

#[test]
fn refusals_have_their_code() {
    let code = |bytes: &[u8]| {
        let mut session = session();
        let error = session.next(&mut &bytes[..], 0).unwrap_err();
        error.connect_code(session.version())
    };
    for (bytes, want) in [
        (&connect(29)[..], Some(ConnectCode::NotAuthorized)),
        (&connect(0), Some(ConnectCode::NotAuthorized)),
        (&connect(1_201), Some(ConnectCode::NotAuthorized)),
        (b"\x10\x0d\0\x04MQTT\x06\x02\0\x3c\0\x01a", Some(ConnectCode::UnacceptableVersion)),
        (b"\x10\x0c\0\x04MQTT\x04\0\0\x3c\0\0", Some(ConnectCode::IdentifierRejected)),
        (b"\x10\x0d\0\x04MQTT\x04\x03\0\x3c\0\x01a", None),
        (b"\x16\x03\x01\x02\0", None),
    ] {
        assert_eq!(code(bytes), want, "{bytes:02x?}");
    }
    for keepalive_s in [30, 1_200] {
        assert!(session().next(&mut &connect(keepalive_s)[..], 0).is_ok());
    }
}

#[test]
fn what_only_servers_send_and_qos_2_close_the_connection() {
    for (packet, error) in [
        (bytes(Packet::PingResp), ProtocolError::Direction),
        (
            bytes(Packet::UnsubAck { packet_id: id(1), existed: Vec::new() }),
            ProtocolError::Direction,
        ),
        (publish(Qos::ExactlyOnce, 1, b""), ProtocolError::Qos2),
        (
            bytes(Packet::Publish(Publish {
                topic: "/t".into(),
                payload: vec![0; 256 * 1024 + 1].into(),
                qos: Qos::AtMostOnce,
                packet_id: None,
                dup: false,
                retain: false,
                properties: None,
            })),
            ProtocolError::PayloadTooLarge(256 * 1024 + 1),
        ),
    ] {
        let mut session = connected();
        assert_eq!(session.next(&mut &packet[..], 0), Err(error));
        assert!(session.is_closed());
    }
}

#[test]
fn nothing_is_read_while_connect_is_judged() {
    let mut session = session();
    let stream = [&connect(60)[..], &bytes(Packet::PingReq)].concat();
    let mut input = &stream[..];
    assert!(matches!(session.next(&mut input, 0), Ok(Some(Event::Connect(_)))));
    assert_eq!(session.next(&mut input, 0), Ok(None));
    assert!(!session.wants_input() && session.has_kept() && input.is_empty());
    let mut out = BytesMut::new();
    session.accept(true, Granted::default(), &mut out);
    assert_eq!(&out[..], b"\x20\x02\x01\0");
    assert_eq!(session.next(&mut &[][..], 0), Ok(Some(Event::Ping)));
    assert!(!session.has_kept());
}

#[test]
fn a_refused_client_hears_why_and_nothing_else() {
    let mut session = session();
    session.next(&mut &connect(60)[..], 0).unwrap();
    let mut out = BytesMut::new();
    session.refuse(ConnectCode::BadUsernameOrPassword, Some("why".into()), &mut out);
    session.accept(false, Granted::default(), &mut out);
    assert_eq!(&out[..], b"\x20\x02\0\x04");
    assert!(session.is_closed());
}

#[test]
fn pubacks_leave_in_the_order_of_their_messages() {
    let mut session = connected();
    let first = ticket(&mut session, &publish(Qos::AtLeastOnce, 9, b"1"));
    let second = ticket(&mut session, &publish(Qos::AtLeastOnce, 4, b"2"));
    // Sent again before the answer: still one message.
    assert_eq!(session.next(&mut &publish(Qos::AtLeastOnce, 9, b"1")[..], 0), Ok(None));
    let mut out = BytesMut::new();
    session.ack(second, &mut out);
    assert!(out.is_empty());
    session.ack(first, &mut out);
    assert_eq!(&out[..], b"\x40\x02\0\x09\x40\x02\0\x04");
    assert_eq!(session.acks_waiting(), 0);
}

#[test]
fn a_client_that_waits_for_too_many_acknowledgements_is_not_read() {
    let limits = Limits { uplink_in_flight_max: 2, ..Limits::default() };
    let mut session = Session { limits: Arc::new(limits), ..connected() };
    let stream: Vec<u8> = (1..=3).flat_map(|n| publish(Qos::AtLeastOnce, n, b"")).collect();
    let mut input = &stream[..];
    let first = ticket(&mut session, input.split_off(..input.len() / 3).unwrap());
    ticket(&mut session, input.split_off(..input.len() / 2).unwrap());
    assert_eq!(session.next(&mut input, 0), Ok(None));
    assert!(!session.wants_input() && session.has_kept());
    session.ack(first, &mut BytesMut::new());
    ticket(&mut session, b"");
}

#[test]
fn the_window_of_unacknowledged_messages_is_limited() {
    let mut session = connected();
    let mut out = BytesMut::new();
    let mut send =
        |session: &mut Session, qos| session.publish("/t".into(), Bytes::new(), qos, &mut out);
    let ids: Vec<_> =
        (0..100).map(|_| send(&mut session, Qos::AtLeastOnce).unwrap().unwrap()).collect();
    assert_eq!(send(&mut session, Qos::AtLeastOnce), Err(PublishError::WindowFull));
    assert_eq!(send(&mut session, Qos::AtMostOnce), Ok(None));
    let ack = bytes(Packet::puback(ids[50]));
    assert_eq!(session.next(&mut &ack[..], 0), Ok(Some(Event::PubAck(ids[50]))));
    // An acknowledgement of nothing is no event.
    assert_eq!(session.next(&mut &ack[..], 0), Ok(None));
    let next = send(&mut session, Qos::ExactlyOnce).unwrap().unwrap();
    assert!(!ids.contains(&next));
    assert_eq!(session.in_flight(), 100);
}

#[test]
fn an_id_in_flight_is_not_given_again() {
    let (mut last, used) = (u16::MAX - 1, [id(u16::MAX), id(1), id(2)]);
    assert_eq!(next_id(&mut last, &used), id(3));
}

#[test]
fn silence_ends_after_one_and_a_half_keepalives_and_only_whole_packets_are_heard() {
    let mut session = Session::new(Arc::new(Limits::default()), 1_000);
    assert_eq!(session.deadline_ms(), 11_000);
    session.next(&mut &connect(60)[..], 5_000).unwrap();
    session.accept(false, Granted::default(), &mut BytesMut::new());
    assert_eq!(session.deadline_ms(), 95_000);
    assert_eq!(session.next(&mut &b"\xc0"[..], 50_000), Ok(None));
    assert_eq!(session.deadline_ms(), 95_000);
    assert_eq!(session.next(&mut &b"\0"[..], 60_000), Ok(Some(Event::Ping)));
    assert_eq!(session.deadline_ms(), 150_000);
    session.heard(70_000);
    assert_eq!(session.deadline_ms(), 160_000);
}

#[test]
fn an_idle_session_is_small_and_holds_no_buffer() {
    assert!(size_of::<Session>() <= 160, "{}", size_of::<Session>());
    assert!(size_of::<Client>() <= 48, "{}", size_of::<Client>());
    let mut session = connected();
    let half = publish(Qos::AtLeastOnce, 1, b"abc");
    session.next(&mut &half[..5], 0).unwrap();
    assert!(session.has_kept());
    let first = ticket(&mut session, &half[5..]);
    session.ack(first, &mut BytesMut::new());
    let sent = session.publish("/t".into(), Bytes::new(), Qos::AtLeastOnce, &mut BytesMut::new());
    let ack = bytes(Packet::puback(sent.unwrap().unwrap()));
    session.next(&mut &ack[..], 0).unwrap();
    assert!(!session.has_kept() && session.acks.is_empty());
    assert_eq!(session.in_flight.capacity(), 0);
}

#[test]
fn client_and_session_understand_each_other() {
    let (mut client, mut session) = (Client::default(), connected());
    let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
    let asked = client.subscribe(vec![("/a/#".into(), Qos::AtLeastOnce)], &mut up).unwrap();
    let left = client.unsubscribe(vec!["/a/#".into()], &mut up).unwrap();
    let sent = client.publish("/a".into(), "x".into(), Qos::AtLeastOnce, &mut up).unwrap().unwrap();
    client.publish_again(sent, "/a".into(), "x".into(), &mut up).unwrap();
    client.ping(&mut up);
    client.disconnect(&mut up);

    session.publish("/d".into(), "y".into(), Qos::AtLeastOnce, &mut down).unwrap();
    let mut input = &up[..];
    while let Ok(Some(event)) = session.next(&mut input, 0) {
        match event {
            Event::Subscribe { packet_id, filters, .. } => {
                let granted =
                    |(_, options): &(_, SubscribeOptions)| SubscribeCode::Granted(options.qos);
                let codes = filters.iter().map(granted).collect();
                session.suback(packet_id, codes, &mut down);
            }
            Event::Unsubscribe { packet_id, .. } => {
                session.unsuback(packet_id, vec![true], &mut down);
            }
            Event::Publish { ticket, .. } => session.ack(ticket.unwrap(), &mut down),
            Event::Ping => session.pingresp(&mut down),
            Event::Disconnect { .. } | Event::PubAck(_) => {}
            Event::Connect(_) => panic!("connected already"),
        }
    }
    assert!(session.is_closed());

    let mut heard = Vec::new();
    let mut input = &down[..];
    while let Some(event) = client.next(&mut input).unwrap() {
        heard.push(event);
    }
    let codes = vec![SubscribeCode::Granted(Qos::AtLeastOnce)];
    let pushed = ClientEvent::Publish {
        topic: "/d".into(),
        payload: "y".into(),
        packet_id: Some(id(1)),
        dup: false,
    };
    let puback = || ClientEvent::PubAck(sent);
    assert_eq!(
        heard,
        [
            pushed,
            ClientEvent::SubAck { packet_id: asked, codes },
            ClientEvent::UnsubAck(left),
            puback(),
            puback(),
            ClientEvent::Pong
        ]
    );
}

/// Events of a whole stream that comes in these pieces; every event is answered at once.
fn events(stream: &[u8], cuts: &[usize]) -> (Vec<Event>, Option<ProtocolError>) {
    let mut session = session();
    let mut events = Vec::new();
    let mut out = BytesMut::new();
    let mut rest = stream;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (mut piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        loop {
            match session.next(&mut piece, 0) {
                Ok(Some(event)) => {
                    match &event {
                        Event::Connect(_) => session.accept(false, Granted::default(), &mut out),
                        Event::Publish { ticket: Some(ticket), .. } => {
                            session.ack(*ticket, &mut out);
                        }
                        _ => {}
                    }
                    events.push(event);
                }
                Ok(None) if piece.is_empty() => break,
                Ok(None) => panic!("input left over"),
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

proptest! {
    #[test]
    fn a_stream_gives_the_same_events_however_it_is_cut(
        packets in proptest::collection::vec(crate::codec::tests::any_packet(), 0..12),
        cuts in proptest::collection::vec(0usize..40, 0..60),
    ) {
        let mut stream = connect(60).to_vec();
        stream.extend(packets.into_iter().flat_map(bytes));
        let whole = events(&stream, &[]);
        let single: Vec<usize> = vec![1; stream.len()];
        prop_assert_eq!(&events(&stream, &cuts), &whole);
        prop_assert_eq!(&events(&stream, &single), &whole);
    }

    #[test]
    fn garbage_never_makes_a_session_panic(
        junk in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec(0usize..20, 0..20),
    ) {
        let stream = [&connect(60)[..], &junk].concat();
        prop_assert_eq!(events(&stream, &cuts), events(&stream, &[]));
        events(&junk, &cuts);
    }
}
