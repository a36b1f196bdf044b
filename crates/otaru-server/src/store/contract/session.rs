//! Sessions that outlive their connection.

use super::*;
use crate::mqtt::{Beside, KeptMessage, KeptSubscription, Message};
use otaru_core::id::MessageNo;
use otaru_core::session::{Held, Session};
use otaru_mqtt::packet::{Properties, Qos};
use std::sync::Arc;

pub fn holds_for<E: Engine>(open: &impl Fn() -> E) {
    sessions_and_subscriptions_come_back_until_they_are_deleted(&mut open());
    messages_come_back_in_order_and_are_counted(&mut open());
    sessions_and_messages_are_found_by_their_end(&mut open());
    broadcasts_find_the_sessions_that_hear_them(&mut open());
    a_deleted_device_takes_its_session_along(&mut open());
}

fn subscription(filter: &str, qos: Qos) -> KeptSubscription {
    KeptSubscription { filter: filter.into(), qos, id: None, retain_as_published: false }
}

fn message(topic: &str, payload: &str) -> Message {
    Message::new(topic, payload.to_owned(), Qos::AtLeastOnce)
}

fn held(engine: &mut dyn Engine, device: DeviceNo) -> Held {
    look(engine, |view| view.session(device)).map_or(Held::default(), |session| session.held)
}

fn read(engine: &mut dyn Engine, device: DeviceNo, after: MessageNo) -> Vec<KeptMessage> {
    look(engine, |view| view.session_messages(device, after, 100, u64::MAX)).messages
}

const FIRST: MessageNo = MessageNo(0);

fn sessions_and_subscriptions_come_back_until_they_are_deleted(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let (device, other) = (world.devices[0], world.devices[1]);
    assert_eq!(look(engine, |view| view.session(device)), None);
    let full = KeptSubscription {
        id: Some(7),
        retain_as_published: true,
        ..subscription("/b", Qos::AtMostOnce)
    };
    change(engine, |rows| {
        rows.put_session(device, 60, None)?;
        rows.put_session(other, 60, None)?;
        rows.put_session_subscription(device, None, &subscription("/c", Qos::AtLeastOnce))?;
        rows.put_session_subscription(device, None, &subscription("/b", Qos::AtLeastOnce))?;
        rows.put_session_subscription(device, None, &subscription("/a", Qos::AtLeastOnce))?;
        rows.put_session_subscription(other, None, &subscription("/a", Qos::AtLeastOnce))?;
        rows.put_session_subscription(device, None, &full)?;
        rows.note_sent(other, Some(MessageNo(9)))?;
        rows.note_sent(device, Some(MessageNo(8)))?;
        rows.delete_session_subscription(device, "/c")?;
        rows.delete_session_subscription(device, "/none")?;
        rows.put_session(device, 90, Some(at(5_000)))
    });
    let session = Session {
        device,
        expiry_s: 90,
        expires_at: Some(at(5_000)),
        sent_to: Some(MessageNo(8)),
        held: Held::default(),
    };
    assert_eq!(look(engine, |view| view.session(device)), Some(session));
    let subscriptions = look(engine, |view| view.session_subscriptions(device));
    assert_eq!(subscriptions, [subscription("/a", Qos::AtLeastOnce), full]);
    change(engine, |rows| {
        rows.delete_session(device)?;
        rows.delete_session(device)
    });
    assert_eq!(look(engine, |view| view.session(device)), None);
    assert_eq!(look(engine, |view| view.session_subscriptions(device)), []);
    assert_eq!(look(engine, |view| view.session_subscriptions(other)).len(), 1);
}

fn messages_come_back_in_order_and_are_counted(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let (device, other) = (world.devices[0], world.devices[1]);
    let beside = Beside {
        properties: Properties {
            content_type: Some("text".into()),
            response_topic: Some("/r".into()),
            correlation: Some(vec![0, 255].into()),
            is_text: true,
            user: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
            ..Properties::default()
        },
        expires_at: Some(at(9_000)),
        retain: true,
    };
    let with_beside = Message { beside: Some(Arc::new(beside)), ..message("/t/2", "two") };
    let sent = [message("/t/1", "one"), with_beside, message("/t/3", "\u{0}")];
    let numbers: Vec<_> = change(engine, |rows| {
        rows.put_session(device, 60, None)?;
        rows.put_session(other, 60, None)?;
        rows.keep_message(other, &message("/t", "theirs"), at(9))?;
        sent.iter().map(|message| rows.keep_message(device, message, at(9))).collect()
    });
    assert!(numbers.is_sorted());
    let mine: u64 = sent.iter().map(Message::bytes).sum();
    assert_eq!(held(engine, device), Held { messages: 3, bytes: mine });
    let theirs = held(engine, other).bytes;
    let total = look(engine, |view| view.sessions_held());
    assert_eq!(total, Held { messages: 4, bytes: mine + theirs });
    assert_eq!(look(engine, |view| view.last_session_message(device)), numbers.last().copied());

    let found = read(engine, device, FIRST);
    assert_eq!(found.iter().map(|kept| kept.no).collect::<Vec<_>>(), numbers);
    assert_eq!(found.iter().map(|kept| kept.message.clone()).collect::<Vec<_>>(), sent);
    assert_eq!(read(engine, device, numbers[1]).len(), 1);
    for (limit, bytes, count, has_more) in
        [(2, u64::MAX, 2, true), (3, u64::MAX, 3, false), (9, 1, 1, true), (9, mine, 3, false)]
    {
        let page = look(engine, |view| view.session_messages(device, FIRST, limit, bytes));
        assert_eq!((page.messages.len(), page.has_more), (count, has_more), "{limit} {bytes}");
    }

    change(engine, |rows| {
        rows.forget_messages(other, &[numbers[1]])?;
        rows.forget_messages(device, &[numbers[0], numbers[0], numbers[2]])
    });
    let left = read(engine, device, FIRST);
    assert_eq!((left.len(), left[0].no), (1, numbers[1]));
    let bytes = sent[1].bytes();
    assert_eq!(held(engine, device), Held { messages: 1, bytes });
    // Numbers are not used again.
    let next = change(engine, |rows| {
        rows.delete_session(device)?;
        rows.put_session(device, 60, None)?;
        rows.keep_message(device, &sent[0], at(9))
    });
    assert!(next > numbers[2]);
    change(engine, |rows| {
        rows.delete_session(device)?;
        rows.delete_session(other)
    });
    assert_eq!(look(engine, |view| view.sessions_held()), Held::default());
    assert_eq!(look(engine, |view| view.last_session_message(device)), None);
}

fn sessions_and_messages_are_found_by_their_end(engine: &mut dyn Engine) {
    let world = world(engine, 5);
    let d = &world.devices;
    change(engine, |rows| {
        for (n, end) in [(0, None), (1, Some(30)), (2, Some(10)), (3, None), (4, Some(31))] {
            rows.put_session(d[n], 60, end.map(at))?;
        }
        for (n, end) in [(0, 20), (0, 10), (1, 10), (1, 40)] {
            rows.keep_message(d[n], &message("/t", &end.to_string()), at(end))?;
        }
        Ok(())
    });
    let over = |engine: &mut dyn Engine, now, limit| {
        look(engine, |view| view.sessions_over(at(now), limit))
    };
    assert_eq!(over(engine, 9, 10), []);
    assert_eq!(over(engine, 30, 10), [d[2], d[1]]);
    assert_eq!(over(engine, 99, 1), [d[2]]);
    assert_eq!(look(engine, |view| view.endless_sessions(DeviceNo(0), 10)), [d[0], d[3]]);
    assert_eq!(look(engine, |view| view.endless_sessions(d[0], 10)), [d[3]]);
    assert_eq!(look(engine, |view| view.endless_sessions(DeviceNo(0), 1)), [d[0]]);

    assert_eq!(change(engine, |rows| rows.purge_session_messages(at(9), 10)), 0);
    assert_eq!(change(engine, |rows| rows.purge_session_messages(at(20), 1)), 1);
    assert_eq!(change(engine, |rows| rows.purge_session_messages(at(20), 10)), 2);
    assert_eq!((held(engine, d[0]).messages, held(engine, d[1]).messages), (0, 1));
    assert_eq!(look(engine, |view| view.sessions_held()), held(engine, d[1]));
}

fn broadcasts_find_the_sessions_that_hear_them(engine: &mut dyn Engine) {
    let world = world(engine, 4);
    let d = &world.devices;
    let (product, other) = (Some(ProductNo(1)), Some(ProductNo(2)));
    change(engine, |rows| {
        for (n, product, filter) in [
            (0, product, "/broadcast/p/#"),
            (0, product, "/broadcast/p/x"),
            (1, None, "/p/d/x"),
            (2, other, "/broadcast/q/x"),
            (3, product, "/broadcast/p/x"),
        ] {
            rows.put_session(d[n], 60, None)?;
            let subscription = subscription(filter, Qos::AtLeastOnce);
            rows.put_session_subscription(d[n], product, &subscription)?;
        }
        Ok(())
    });
    let find = |engine: &mut dyn Engine, after, limit| {
        look(engine, |view| view.broadcast_sessions(ProductNo(1), after, limit))
    };
    assert_eq!(find(engine, DeviceNo(0), 10), [d[0], d[3]]);
    assert_eq!(find(engine, DeviceNo(0), 1), [d[0]]);
    assert_eq!(find(engine, d[0], 10), [d[3]]);
}

fn a_deleted_device_takes_its_session_along(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let device = world.devices[0];
    change(engine, |rows| {
        rows.put_session(device, 60, None)?;
        rows.put_session_subscription(device, None, &subscription("/a", Qos::AtLeastOnce))?;
        rows.keep_message(device, &message("/a", "x"), at(9))?;
        let gone = rows.device(device)?.unwrap();
        rows.delete_device(world.account, &gone)
    });
    assert_eq!(look(engine, |view| view.session(device)), None);
    assert_eq!(look(engine, |view| view.session_subscriptions(device)), []);
    assert_eq!(read(engine, device, FIRST), []);
    assert_eq!(look(engine, |view| view.sessions_held()), Held::default());
}
