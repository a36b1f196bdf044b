//! Retained messages.

use super::*;
use crate::mqtt::{Beside, Message};
use otaru_mqtt::packet::{Properties, Qos};
use std::sync::Arc;

fn message(topic: &str, payload: &'static str, expires_at: Option<i64>) -> Message {
    let properties = Properties {
        content_type: Some("text/plain".into()),
        response_topic: Some("/r".into()),
        correlation: Some(vec![0, 255].into()),
        is_text: true,
        user: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
        ..Properties::default()
    };
    let expires_at = expires_at.map(Timestamp);
    let beside = Some(Arc::new(Beside { properties, expires_at, retain: true }));
    Message { beside, ..Message::new(topic.to_owned(), payload, Qos::AtLeastOnce) }
}

pub fn retained_messages_come_back_and_go_with_their_owner(engine: &mut dyn Engine) {
    let world = world(engine, 2);
    let [device, other] = [world.devices[0], world.devices[1]].map(Shelf::Device);
    let product = Shelf::Product(world.product);
    let list = |engine: &mut dyn Engine, shelf, now| {
        look(engine, |view| view.retained(shelf, Timestamp(now)))
    };
    let (a, b) = (message("/a", "one", None), message("/b", "two", Some(10)));
    let plain = Message::new("/é", "", Qos::AtMostOnce);
    change(engine, |rows| {
        for message in [&b, &a, &plain] {
            rows.put_retained(device, message)?;
        }
        rows.put_retained(other, &a)?;
        rows.put_retained(product, &b)
    });
    let beside = Some(Arc::new(Beside::default()));
    let plain = Message { beside, ..plain };
    assert_eq!(list(engine, device, 9), [a.clone(), b.clone(), plain.clone()]);
    assert_eq!(list(engine, device, 10), [a.clone(), plain.clone()], "one is over");
    assert_eq!(list(engine, product, 9), std::slice::from_ref(&b));

    let newer = message("/a", "three", None);
    change(engine, |rows| rows.put_retained(device, &newer));
    assert_eq!(list(engine, device, 9), [newer.clone(), b, plain]);
    change(engine, |rows| rows.delete_retained(device, "/é", Timestamp(10)));
    assert_eq!(list(engine, device, 0), [newer], "with what was over");
    change(engine, |rows| {
        let gone = rows.device(world.devices[0])?.unwrap();
        rows.delete_device(world.account, &gone)
    });
    assert_eq!(list(engine, device, 0), []);
    assert_eq!(list(engine, other, 0), [a]);
    change(engine, |rows| {
        rows.doom_product(world.product, at(1))?;
        rows.bury_product(world.product)
    });
    assert_eq!(list(engine, product, 0), []);
}
