//! Topic classes of products.

use super::*;
use otaru_core::topic_class::{ClassNo, Right, TopicClass};

pub fn classes_come_back_in_the_order_of_their_numbers(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let other = change(engine, |rows| rows.insert_product(&new_product(world.account, 2)));
    let class = |tail: &str, right| TopicClass {
        tail: tail.into(),
        right,
        subscribes_by_itself: right == Right::Both,
        description: "主题".into(),
    };
    let news = [
        class("user/b", Right::Publish),
        class("user/a", Right::Subscribe),
        class("user/c", Right::Both),
    ];
    let numbers: Vec<_> = news
        .iter()
        .map(|new| change(engine, |rows| rows.insert_topic_class(world.product, new)))
        .collect();
    let elsewhere = change(engine, |rows| rows.insert_topic_class(other, &news[0]));
    let all = |engine: &mut dyn Engine| look(engine, |view| view.topic_classes(world.product));
    let want: Vec<_> = numbers.iter().copied().zip(news.clone()).collect();
    assert_eq!(all(engine), want);
    let changed = class("user/b/#", Right::Subscribe);
    change(engine, |rows| {
        rows.update_topic_class(numbers[0], &changed)?;
        rows.delete_topic_class(numbers[2])
    });
    assert_eq!(all(engine), [(numbers[0], changed), want[1].clone()]);
    let found = look(engine, |view| view.topic_class(elsewhere));
    assert_eq!(found, Some((other, news[0].clone())));
    let again = change(engine, |rows| rows.insert_topic_class(world.product, &news[2]));
    assert!(again > elsewhere, "a number is not used twice");
    assert_eq!(look(engine, |view| view.topic_class(numbers[2])), None);
    assert_eq!(look(engine, |view| view.topic_class(ClassNo(-1))), None);
    change(engine, |rows| {
        rows.doom_product(world.product, at(5))?;
        rows.bury_product(world.product)
    });
    assert_eq!(all(engine), []);
    assert_eq!(look(engine, |view| view.topic_classes(other)).len(), 1);
}
