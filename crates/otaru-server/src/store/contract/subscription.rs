//! Subscriptions and consumer groups.

use super::*;
use otaru_core::id::{ConsumerGroupId, ConsumerGroupNo};
use otaru_core::subscription::{
    ConsumerGroup, DEFAULT_GROUP, Notice, Notices, Subscription, SubscriptionKind,
};

pub fn holds_for<E: Engine>(open: &impl Fn() -> E) {
    consumer_groups_come_back_and_are_listed_newest_first(&mut open());
    subscriptions_come_back_and_name_their_groups_in_order(&mut open());
}

fn insert(engine: &mut dyn Engine, account: AccountNo, n: u128, name: &str) -> ConsumerGroup {
    change(engine, |rows| {
        let mut group = ConsumerGroup {
            no: ConsumerGroupNo(0),
            account,
            id: ConsumerGroupId::generate(n),
            name: name.into(),
            created_at: at(9),
        };
        group.no = rows.insert_consumer_group(&group)?;
        Ok(group)
    })
}

fn names(listed: Listed<ConsumerGroup>) -> (Vec<String>, u64) {
    (listed.rows.into_iter().map(|group| group.name).collect(), listed.total)
}

fn consumer_groups_come_back_and_are_listed_newest_first(engine: &mut dyn Engine) {
    let account = change(engine, |rows| rows.insert_account("a", at(1)));
    let other = change(engine, |rows| rows.insert_account("b", at(2)));
    let (one, two) = (insert(engine, account, 1, "alpha"), insert(engine, account, 2, "beta"));
    insert(engine, other, 3, "alpha");
    look(engine, |view| {
        assert_eq!(view.consumer_group(account, &one.id)?.as_ref(), Some(&one));
        assert_eq!(view.consumer_group(other, &one.id)?, None);
        assert_eq!(view.consumer_group_by_name(account, "beta")?.as_ref(), Some(&two));
        let default = view.consumer_group(other, &DEFAULT_GROUP.parse().unwrap())?.unwrap();
        assert_eq!((default.is_default(), default.created_at), (true, at(2)));
        assert_eq!(view.consumer_group_count(account)?, 3);
        let all = view.consumer_groups(account, None, ALL)?;
        assert_eq!(names(all), (vec!["beta".into(), "alpha".into(), DEFAULT_GROUP.into()], 3));
        let second = view.consumer_groups(account, None, Page { skip: 1, take: 1 })?;
        assert_eq!(names(second), (vec!["alpha".into()], 3));
        let part = view.consumer_groups(account, Some("et"), ALL)?;
        assert_eq!(names(part), (vec!["beta".into()], 1));
        Ok(())
    });
    change(engine, |rows| rows.rename_consumer_group(one.no, "gamma"));
    change(engine, |rows| rows.delete_consumer_group(two.no));
    look(engine, |view| {
        let all = view.consumer_groups(account, None, ALL)?;
        assert_eq!(names(all), (vec!["gamma".into(), DEFAULT_GROUP.into()], 2));
        Ok(())
    });
}

fn subscriptions_come_back_and_name_their_groups_in_order(engine: &mut dyn Engine) {
    let account = change(engine, |rows| rows.insert_account("a", at(1)));
    let product = change(engine, |rows| rows.insert_product(&new_product(account, 1)));
    let (one, two) = (insert(engine, account, 1, "alpha"), insert(engine, account, 2, "beta"));
    let amqp = Subscription {
        product,
        kind: SubscriptionKind::Amqp,
        notices: Notices::of(&[(Notice::OtaJob, true)]),
        more_flags: "{}".into(),
        queue: String::new(),
        groups: vec![two.clone(), one.clone()],
    };
    let mns = Subscription {
        kind: SubscriptionKind::Mns,
        queue: "q".into(),
        groups: vec![],
        ..amqp.clone()
    };
    for subscription in [&amqp, &mns] {
        change(engine, |rows| rows.put_subscription(subscription));
    }
    look(engine, |view| {
        for subscription in [&amqp, &mns] {
            let found = view.subscription(product, subscription.kind)?;
            assert_eq!(found.as_ref(), Some(subscription));
        }
        assert!(view.consumer_group_is_used(one.no)?);
        Ok(())
    });
    let fewer = Subscription { groups: vec![two.clone()], more_flags: String::new(), ..amqp };
    change(engine, |rows| rows.put_subscription(&fewer));
    look(engine, |view| {
        assert_eq!(view.subscription(product, SubscriptionKind::Amqp)?.as_ref(), Some(&fewer));
        let used = (view.consumer_group_is_used(one.no)?, view.consumer_group_is_used(two.no)?);
        assert_eq!(used, (false, true));
        Ok(())
    });
    change(engine, |rows| rows.delete_subscription(product, SubscriptionKind::Amqp));
    look(engine, |view| {
        assert_eq!(view.subscription(product, SubscriptionKind::Amqp)?, None);
        assert!(view.subscription(product, SubscriptionKind::Mns)?.is_some());
        assert!(!view.consumer_group_is_used(two.no)?);
        Ok(())
    });
}
