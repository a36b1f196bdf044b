//! Accounts, users, access keys and instances.

use super::*;
use otaru_core::id::UserNo;

fn new_key(account: AccountNo, id: &str) -> AccessKey {
    AccessKey {
        id: id.into(),
        secret: "s".into(),
        account,
        user: None,
        active: true,
        token: None,
        expires_at: None,
        created_at: at(2),
    }
}

fn new_user(account: AccountNo, name: &str) -> User {
    User {
        no: UserNo(0),
        account,
        name: name.into(),
        may: Permissions { read: true, write: false, all_products: false },
        disabled: false,
        created_at: at(3),
    }
}

pub(super) fn accounts_and_keys_come_back(engine: &mut dyn Engine) {
    assert_eq!(look(engine, |view| view.first_account()), None);
    let first = change(engine, |rows| rows.insert_account("one", at(1)));
    let second = change(engine, |rows| rows.insert_account("two", at(1)));
    assert_ne!(first, second);
    assert_eq!(
        look(engine, |view| view.first_account()),
        Some(Account { no: first, disabled: false })
    );
    for disabled in [true, false] {
        let account = Account { no: second, disabled };
        change(engine, |rows| rows.update_account(account));
        assert_eq!(look(engine, |view| view.account(second)), Some(account));
    }

    let plain = new_key(second, "b");
    let temporary = AccessKey {
        user: Some(UserNo(5)),
        active: false,
        token: Some("t".into()),
        expires_at: Some(at(9)),
        ..new_key(second, "a")
    };
    let other = new_key(first, "c");
    for key in [&plain, &temporary, &other] {
        change(engine, |rows| rows.insert_access_key(key));
        assert_eq!(look(engine, |view| view.access_key(&key.id)).as_ref(), Some(key));
    }
    assert_eq!(look(engine, |view| view.access_key("other")), None);
    assert!(look(engine, |view| view.token_exists("t")));
    assert!(!look(engine, |view| view.token_exists("a")));
    let ended = AccessKey { active: false, expires_at: Some(at(7)), ..plain };
    change(engine, |rows| rows.update_access_key(&ended));
    assert_eq!(look(engine, |view| view.access_keys(second)), [temporary, ended]);
    change(engine, |rows| rows.delete_access_key("b"));
    assert_eq!(look(engine, |view| view.access_keys(second)).len(), 1);
}

pub(super) fn temporary_keys_are_purged_some_time_after_their_end(engine: &mut dyn Engine) {
    let account = change(engine, |rows| rows.insert_account("one", at(1)));
    for (id, token, expires_at) in
        [("late", "t3", Some(30)), ("soon", "t1", Some(10)), ("next", "t2", Some(20))]
    {
        let (token, expires_at) = (Some(token.to_owned()), expires_at.map(at));
        let key = AccessKey { token, expires_at, ..new_key(account, id) };
        change(engine, |rows| rows.insert_access_key(&key));
    }
    let rotated = AccessKey { expires_at: Some(at(5)), ..new_key(account, "rotated") };
    change(engine, |rows| rows.insert_access_key(&rotated));
    let left = |engine: &mut dyn Engine| -> Vec<_> {
        look(engine, |view| view.access_keys(account)).into_iter().map(|key| key.id).collect()
    };
    change(engine, |rows| rows.purge_temporary_keys(at(30), 1));
    assert_eq!(left(engine), ["late", "next", "rotated"]);
    change(engine, |rows| rows.purge_temporary_keys(at(30), 10));
    assert_eq!(left(engine), ["late", "rotated"]);
}

pub(super) fn users_come_back_with_what_they_may_touch(engine: &mut dyn Engine) {
    let account = change(engine, |rows| rows.insert_account("one", at(1)));
    let other = change(engine, |rows| rows.insert_account("two", at(1)));
    let mut user = new_user(account, "zoe");
    user.no = change(engine, |rows| rows.insert_user(&user));
    let second = change(engine, |rows| rows.insert_user(&new_user(account, "ada")));
    assert_eq!(look(engine, |view| view.user(user.no)).as_ref(), Some(&user));
    assert_eq!(look(engine, |view| view.user_by_name(account, "zoe")).as_ref(), Some(&user));
    assert_eq!(look(engine, |view| view.user_by_name(other, "zoe")), None);
    let names: Vec<_> =
        look(engine, |view| view.users(account)).into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["ada", "zoe"]);

    let [lamp, door] = [1, 2].map(ProductKey::generate);
    change(engine, |rows| rows.set_user_products(user.no, &[door.clone(), door.clone()]));
    change(engine, |rows| rows.set_user_products(user.no, &[lamp.clone(), lamp.clone()]));
    assert_eq!(look(engine, |view| view.user_products(user.no)), std::slice::from_ref(&lamp));
    let may = |engine: &mut dyn Engine, user, key: &ProductKey| {
        look(engine, |view| view.user_may_touch(user, key))
    };
    assert_eq!((may(engine, user.no, &lamp), may(engine, user.no, &door)), (true, false));
    assert!(!may(engine, second, &lamp));
    let changed = User {
        may: Permissions { read: false, write: true, all_products: true },
        disabled: true,
        ..user
    };
    change(engine, |rows| rows.update_user(&changed));
    assert_eq!(look(engine, |view| view.user(changed.no)).as_ref(), Some(&changed));
    assert!(may(engine, changed.no, &door));

    for (id, user) in [("a", None), ("b", Some(changed.no)), ("c", Some(second))] {
        change(engine, |rows| rows.insert_access_key(&AccessKey { user, ..new_key(account, id) }));
    }
    change(engine, |rows| rows.delete_user(changed.no));
    assert_eq!(look(engine, |view| view.user(changed.no)), None);
    assert!(!may(engine, changed.no, &lamp));
    let keys = look(engine, |view| view.access_keys(account));
    assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

pub(super) fn instances_are_numbered(engine: &mut dyn Engine) {
    assert_eq!(look(engine, |view| view.instance("iot-a")), None);
    let [a, b] = ["iot-a", "iot-b"].map(|id| change(engine, |rows| rows.insert_instance(id)));
    assert_eq!((a, b), (InstanceNo(1), InstanceNo(2)));
    assert_eq!(look(engine, |view| view.instance("iot-b")), Some(b));
}

pub(super) fn packages_are_listed_by_instance_and_for_users(engine: &mut dyn Engine) {
    let account = change(engine, |rows| rows.insert_account("one", at(1)));
    let user = change(engine, |rows| rows.insert_user(&new_user(account, "zoe")));
    let products: Vec<_> = [(1, 0), (2, 0), (3, 7)]
        .map(|(n, instance)| {
            let instance = InstanceNo(instance);
            let product = Product { instance, ..new_product(account, n) };
            let no = change(engine, |rows| rows.insert_product(&product));
            for more in 0..2 {
                let n = u64::try_from(n).unwrap() * 10 + more;
                change(engine, |rows| rows.insert_package(&new_package(account, no, n)));
            }
            (no, product.key)
        })
        .into();
    change(engine, |rows| {
        rows.set_user_products(user, &[products[0].1.clone(), products[2].1.clone()])
    });
    let all = PackageFilter {
        account,
        instance: InstanceNo(0),
        listed_for: None,
        product: None,
        dest: None,
    };
    let for_user = PackageFilter { listed_for: Some(user), ..all.clone() };
    let other = PackageFilter { instance: InstanceNo(7), ..for_user.clone() };
    let one = PackageFilter { product: Some(products[0].0), ..for_user.clone() };
    let elsewhere = PackageFilter { instance: InstanceNo(7), ..one.clone() };
    let newest = PackageFilter { dest: Some(version("2.11")), ..for_user.clone() };
    for (filter, want) in [
        (all, vec!["2.21", "2.20", "2.11", "2.10"]),
        (for_user, vec!["2.11", "2.10"]),
        (other, vec!["2.31", "2.30"]),
        (one, vec!["2.11", "2.10"]),
        (elsewhere, vec![]),
        (newest, vec!["2.11"]),
    ] {
        let listed = look(engine, |view| view.packages(&filter, ALL));
        let dests: Vec<_> = listed.rows.iter().map(|package| package.dest.as_str()).collect();
        assert_eq!(dests, want, "{filter:?}");
        assert_eq!(listed.total, want.len() as u64);
        let second = look(engine, |view| view.packages(&filter, Page { skip: 1, take: 1 }));
        let dests: Vec<_> = second.rows.iter().map(|package| package.dest.as_str()).collect();
        assert_eq!(dests, want.iter().skip(1).take(1).copied().collect::<Vec<_>>());
    }
}
