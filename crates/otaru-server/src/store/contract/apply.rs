//! Batches of devices that are registered together.

use super::*;
use otaru_core::apply::{Apply, ApplyFault, ApplyName, ApplyStatus};
use otaru_core::id::ApplyNo;

pub fn holds_for<E: Engine>(open: &impl Fn() -> E) {
    batches_come_back_and_are_found_while_they_run(&mut open());
    devices_of_a_batch_are_listed_in_its_order(&mut open());
    batches_that_ended_are_purged_oldest_first(&mut open());
}

fn new_apply(world: &World, status: ApplyStatus, created_at: Timestamp) -> Apply {
    Apply {
        no: ApplyNo(0),
        account: world.account,
        product: world.product,
        status,
        is_named: true,
        count: 3,
        done: 0,
        failed: 0,
        made: 0,
        created_at,
    }
}

fn named(place: u32) -> ApplyName {
    let name = format!("name-{place}").parse().unwrap();
    ApplyName { place, name, nickname: "灯具".into(), fault: None, device: None }
}

fn batches_come_back_and_are_found_while_they_run(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let names = [1, 2, 3].map(named);
    let mut numbers = Vec::new();
    for status in ApplyStatus::ALL {
        let mut batch = new_apply(&world, status, at(7));
        batch.no = change(engine, |rows| rows.insert_apply(&batch, &names));
        assert_eq!(look(engine, |view| view.apply(batch.no)).as_ref(), Some(&batch));
        numbers.push(batch.no);
    }
    assert_eq!(look(engine, |view| view.due_applies(at(9), 9)), [numbers[0], numbers[3]]);
    assert_eq!(look(engine, |view| view.due_applies(at(9), 1)), [numbers[0]]);
    assert!(look(engine, |view| view.next_due()).is_some());
    let mut batch = look(engine, |view| view.apply(numbers[0])).unwrap();
    (batch.status, batch.done, batch.failed, batch.made) = (ApplyStatus::CreateFailed, 3, 1, 2);
    change(engine, |rows| rows.update_apply(&batch));
    assert_eq!(look(engine, |view| view.apply(batch.no)), Some(batch));
    assert_eq!(look(engine, |view| view.due_applies(at(9), 9)), [numbers[3]]);

    for fault in ApplyFault::ALL {
        let bad = ApplyName { fault: Some(fault), ..named(2) };
        change(engine, |rows| rows.put_apply_name(numbers[1], &bad));
        let kept = look(engine, |view| view.apply_names(numbers[1], 1, 1));
        assert_eq!(kept, [bad]);
    }
    assert_eq!(look(engine, |view| view.apply_names(numbers[2], 0, 9)), names);
    assert_eq!(look(engine, |view| view.apply_names(numbers[2], 3, 9)), []);
}

fn devices_of_a_batch_are_listed_in_its_order(engine: &mut dyn Engine) {
    let world = world(engine, 3);
    let batch = new_apply(&world, ApplyStatus::Create, at(7));
    let batch = change(engine, |rows| rows.insert_apply(&batch, &[1, 2, 3].map(named)));
    let d = &world.devices;
    change(engine, |rows| {
        for (place, device) in [(1, d[2]), (2, d[0]), (3, d[1])] {
            rows.put_apply_name(batch, &ApplyName { device: Some(device), ..named(place) })?;
        }
        Ok(())
    });
    let list = |engine: &mut dyn Engine, page| {
        let devices = look(engine, |view| view.apply_devices(batch, page));
        devices.iter().map(|device| device.no).collect::<Vec<_>>()
    };
    assert_eq!(list(engine, ALL), [d[2], d[0], d[1]]);
    assert_eq!(list(engine, Page::new(2, 2)), [d[1]]);
    change(engine, |rows| {
        let gone = rows.device(d[0])?.unwrap();
        rows.delete_device(world.account, &gone)
    });
    assert_eq!(list(engine, ALL), [d[2], d[1]]);
    assert_eq!(look(engine, |view| view.apply_devices(ApplyNo(99), ALL)), []);
}

fn batches_that_ended_are_purged_oldest_first(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let add = |engine: &mut dyn Engine, status, ms| {
        let batch = new_apply(&world, status, at(ms));
        change(engine, |rows| rows.insert_apply(&batch, &[1, 2, 3].map(named)))
    };
    let old = add(engine, ApplyStatus::CreateSuccess, 10);
    let running = add(engine, ApplyStatus::Create, 10);
    let older = add(engine, ApplyStatus::CheckFailed, 5);
    let young = add(engine, ApplyStatus::CheckSuccess, 20);
    let left = |engine: &mut dyn Engine| {
        look(engine, |view| {
            let all = [old, running, older, young];
            all.into_iter().map(|no| Ok(view.apply(no)?.is_some())).collect::<Result<Vec<_>>>()
        })
    };
    change(engine, |rows| rows.purge_applies(at(20), 2));
    assert_eq!(left(engine), [true, true, true, true]);
    assert_eq!(look(engine, |view| view.apply_names(older, 0, 9)).len(), 1);
    change(engine, |rows| rows.purge_applies(at(20), 2));
    assert_eq!(left(engine), [true, true, false, true]);
    change(engine, |rows| rows.purge_applies(at(20), 100));
    assert_eq!(left(engine), [false, true, false, true]);
    assert_eq!(look(engine, |view| view.apply_names(old, 0, 9)), []);
    let newest = add(engine, ApplyStatus::Check, 30);
    assert!(newest > young, "a number that callers know is not given again");
}
