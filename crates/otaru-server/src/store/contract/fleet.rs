//! States of devices, deleted devices, deleted products.

use super::*;
use otaru_core::device::DeviceState as S;
use otaru_core::id::UserNo;

pub fn holds_for<E: Engine>(open: &impl Fn() -> E) {
    products_are_listed_renamed_and_deleted(&mut open());
    devices_are_counted_and_listed_by_state(&mut open());
    a_deleted_device_leaves_its_tasks_and_its_number(&mut open());
    open_jobs_of_a_product_are_found(&mut open());
    a_device_gets_another_secret_and_is_reset_until_it_comes_back(&mut open());
}

fn a_device_gets_another_secret_and_is_reset_until_it_comes_back(engine: &mut dyn Engine) {
    let World { product, devices, .. } = world(engine, 2);
    let [device, other] = devices[..] else { panic!("two") };
    let secret = |engine: &mut dyn Engine| look(engine, |view| view.device(device)).unwrap().secret;
    let is_reset = |engine: &mut dyn Engine| look(engine, |view| view.is_reset(device));
    let untouched = look(engine, |view| view.device(other));
    assert!(!is_reset(engine));
    change(engine, |rows| rows.reset_device(device, at(10)));
    change(engine, |rows| rows.note_online(device, at(11), "::1"));
    assert!(is_reset(engine), "it has not registered itself since");
    change(engine, |rows| rows.renew_secret(device, "renewed", at(12)));
    assert_eq!(secret(engine), "renewed");
    assert!(is_reset(engine), "it may not have heard the answer");
    change(engine, |rows| rows.note_online(device, at(13), "::1"));
    assert!(!is_reset(engine));
    assert_eq!(look(engine, |view| view.device(other)), untouched);

    for registration in [Registration::Any, Registration::Known, Registration::Off] {
        change(engine, |rows| rows.set_registration(product, registration));
        let found = look(engine, |view| view.product(product)).unwrap();
        assert_eq!(found.registration, registration);
    }
}

fn products_are_listed_renamed_and_deleted(engine: &mut dyn Engine) {
    let World { account, product, .. } = world(engine, 0);
    let (second, third, foreign) = change(engine, |rows| {
        let mut plain = new_product(account, 2);
        plain.profile.commodity_code = String::new();
        let other = rows.insert_account("other", at(0))?;
        Ok((
            rows.insert_product(&plain)?,
            rows.insert_product(&new_product(account, 3))?,
            rows.insert_product(&new_product(other, 4))?,
        ))
    });
    let list = |engine: &mut dyn Engine, code: Option<&str>, page| {
        let commodity_code = code.map(str::to_owned);
        let filter =
            ProductFilter { account, instance: InstanceNo(0), listed_for: None, commodity_code };
        let listed = look(engine, |view| view.products(&filter, page));
        let numbers: Vec<_> = listed.rows.iter().map(|product| product.no).collect();
        (numbers, listed.total)
    };
    assert_eq!(list(engine, None, ALL), (vec![third, second, product], 3));
    assert_eq!(list(engine, None, Page::new(2, 2)), (vec![product], 3));
    assert_eq!(list(engine, Some("iothub_senior"), ALL), (vec![third, product], 2));
    assert_eq!(list(engine, Some("iothub"), ALL), (vec![], 0));
    let may = Permissions { read: true, write: false, all_products: false };
    let (name, created_at) = ("operator".to_owned(), at(0));
    let user = User { no: UserNo(0), account, name, may, disabled: false, created_at };
    let user = change(engine, |rows| {
        let keys = [second, third].map(|no| rows.product(no).map(|product| product.unwrap()));
        let user = rows.insert_user(&user)?;
        let keys: Vec<_> = keys.into_iter().collect::<Result<_>>()?;
        let keys: Vec<_> = keys.iter().map(|product| product.key.clone()).collect();
        rows.set_user_products(user, &keys)?;
        Ok(user)
    });
    for (instance, listed_for, commodity_code, want) in [
        (0, Some(user), None, vec![third, second]),
        (0, Some(user), Some("iothub_senior".to_owned()), vec![third]),
        (1, None, None, vec![]),
    ] {
        let instance = InstanceNo(instance);
        let filter = ProductFilter { account, instance, listed_for, commodity_code };
        let listed = look(engine, |view| view.products(&filter, ALL));
        let numbers: Vec<_> = listed.rows.iter().map(|product| product.no).collect();
        assert_eq!((numbers, listed.total), (want.clone(), want.len() as u64));
    }

    change(engine, |rows| rows.rename_product(third, "another", "and why"));
    let renamed = look(engine, |view| view.product(third)).unwrap();
    assert_eq!((&*renamed.name, &*renamed.profile.description), ("another", "and why"));

    assert_eq!(look(engine, |view| view.doomed_product()), None);
    assert_eq!(look(engine, |view| view.next_due()), None);
    change(engine, |rows| rows.doom_product(third, at(70)));
    look(engine, |view| {
        assert_eq!(view.product(third)?.unwrap().deleted_at, Some(at(70)));
        assert_eq!(view.product_by_key(&renamed.key)?, None);
        assert!(
            !view.product_name_exists(account, InstanceNo(0), "another")?,
            "the name is free again"
        );
        assert_eq!(view.product_count(account, InstanceNo(0))?, 2);
        assert_eq!((view.doomed_product()?, view.next_due()?), (Some(third), Some(at(70))));
        Ok(())
    });
    assert_eq!(list(engine, None, ALL), (vec![second, product], 2));
    assert_eq!(list(engine, Some("iothub_senior"), ALL), (vec![product], 1));
    change(engine, |rows| rows.bury_product(third));
    look(engine, |view| {
        assert_eq!((view.doomed_product()?, view.next_due()?), (None, None));
        assert!(view.product(third)?.is_some() && view.product(foreign)?.is_some());
        Ok(())
    });
}

fn devices_are_counted_and_listed_by_state(engine: &mut dyn Engine) {
    let World { account, product, devices: d, .. } = world(engine, 5);
    let other = change(engine, |rows| rows.insert_product(&new_product(account, 2)));
    change(engine, |rows| rows.insert_device(account, &new_device(other, 1)));
    let tally = |engine: &mut dyn Engine| {
        let Tally { devices, unactive, disabled, activated } =
            look(engine, |view| view.tally(product));
        (devices, unactive, disabled, activated)
    };
    assert_eq!(tally(engine), (5, 5, 0, 0));
    change(engine, |rows| {
        for &device in &d[..3] {
            rows.note_online(device, at(10), "10.0.0.1")?;
            rows.note_online(device, at(20), "10.0.0.1")?;
        }
        rows.set_disabled(d[0], true, at(30))?;
        rows.set_disabled(d[0], true, at(31))?;
        rows.set_disabled(d[4], true, at(32))?;
        rows.note_offline(d[0], at(33))?;
        rows.note_offline(d[1], at(34))?;
        rows.note_offline(DeviceNo(999), at(34))?;
        rows.set_disabled(DeviceNo(999), true, at(34))
    });
    assert_eq!(tally(engine), (5, 1, 2, 3));
    let numbers = |devices: Vec<Device>| devices.iter().map(|device| device.no).collect::<Vec<_>>();
    look(engine, |view| {
        assert_eq!(numbers(view.devices_in(product, S::Active, ALL)?), [d[2], d[1]]);
        assert_eq!(numbers(view.devices_in(product, S::Active, Page::new(2, 1))?), [d[1]]);
        assert_eq!(numbers(view.devices_in(product, S::Unactive, ALL)?), [d[3]]);
        assert_eq!(numbers(view.devices_in(product, S::Disabled, ALL)?), [d[4], d[0]]);
        let newest = DeviceNo(i64::MAX);
        assert_eq!(view.numbers_in(product, S::Active, newest, 9)?, [d[2], d[1]]);
        assert_eq!(view.numbers_in(product, S::Active, newest, 1)?, [d[2]]);
        assert_eq!(view.numbers_in(product, S::Active, d[2], 9)?, [d[1]]);
        let status_at = |device: Option<Device>| device.unwrap().status_at;
        let changed = d.iter().map(|&no| view.device(no).map(status_at));
        let changed: Vec<_> = changed.collect::<Result<_>>()?;
        // The first was disabled before its connection ended.
        assert_eq!(changed, [at(30), at(34), at(20), at(2_000), at(32)]);
        Ok(())
    });
    change(engine, |rows| {
        rows.set_disabled(d[4], false, at(40))?;
        rows.set_disabled(d[0], false, at(40))?;
        rows.reset_device(d[0], at(41))
    });
    assert_eq!(tally(engine), (5, 2, 0, 3));
    change(engine, |rows| {
        for device in [d[0], d[3], d[4]] {
            let device = rows.device(device)?.unwrap();
            rows.delete_device(account, &device)?;
        }
        Ok(())
    });
    assert_eq!(tally(engine), (2, 0, 0, 2));
    assert_eq!(look(engine, |view| view.account_device_count(account)), 3);
    assert_eq!(look(engine, |view| view.tally(ProductNo(999))), Tally::default());
}

fn a_deleted_device_leaves_its_tasks_and_its_number(engine: &mut dyn Engine) {
    let World { account, product, devices: d, package } = world(engine, 3);
    let job = add_job(engine, &new_job(&package, 1));
    let task = change(engine, |rows| {
        rows.put_version(d[1], &module("mcu"), &version("1.0"), at(1))?;
        rows.insert_task(&new_task(job, d[1], 1))
    });
    let (with, without) =
        look(engine, |view| Ok((view.device(d[1])?.unwrap(), view.device(d[2])?.unwrap())));
    let oldest = look(engine, |view| view.oldest_devices(product, 2));
    assert_eq!(oldest.iter().map(|device| device.no).collect::<Vec<_>>(), d[..2]);
    change(engine, |rows| {
        rows.delete_device(account, &with)?;
        rows.delete_device(account, &without)
    });
    look(engine, |view| {
        assert_eq!((view.device(d[1])?, view.device(d[2])?), (None, None));
        assert_eq!(view.device_by_name(product, &with.name)?, None);
        assert_eq!(view.device_by_iot_id(&with.iot_id)?, None);
        assert_eq!(view.version(d[1], &module("mcu"))?, None);
        assert_eq!(view.task(task)?.unwrap().device, d[1]);
        let kept = view.device_ever(d[1])?.unwrap();
        assert_eq!((&kept.name, &kept.iot_id, kept.product), (&with.name, &with.iot_id, product));
        assert_eq!(kept.secret, "", "nobody needs it any more");
        assert_eq!(view.device_ever(d[2])?, None, "it had no task");
        assert_eq!(view.device_ever(d[0])?.map(|device| device.no), Some(d[0]));
        Ok(())
    });
    // The name may come again, the number may not: the task would become the new device's.
    let again = change(engine, |rows| rows.insert_device(account, &new_device(product, 1)));
    assert!(again > d[2], "{again:?}");
    assert_eq!(look(engine, |view| view.unfinished_tasks(again)), []);
}

fn open_jobs_of_a_product_are_found(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let mut jobs = Vec::new();
    for (n, status) in (1..).zip(JobStatus::ALL) {
        jobs.push(add_job(engine, &Job { status, ..new_job(&world.package, n) }));
    }
    let open = |engine: &mut dyn Engine, limit| {
        let jobs = look(engine, |view| view.open_jobs(world.product, limit));
        jobs.iter().map(|job| job.no).collect::<Vec<_>>()
    };
    assert_eq!(open(engine, 9), jobs[..2]);
    assert_eq!(open(engine, 1), jobs[..1]);
    assert_eq!(look(engine, |view| view.open_jobs(ProductNo(999), 9)), []);
}
