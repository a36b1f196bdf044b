//! Transactions: all of one or nothing.

use super::*;

pub fn holds_for<E: Engine>(open: impl Fn() -> E) {
    a_failed_transaction_leaves_nothing(&mut open());
    a_transaction_sees_its_own_writes(&mut open());
    a_failed_change_takes_no_other_with_it(open());
    a_reader_sees_what_was_committed(&mut open());
}

fn a_failed_transaction_leaves_nothing(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let job = add_job(engine, &new_job(&world.package, 1));
    let outcome = engine.transact(&mut |rows| {
        rows.insert_task(&new_task(job, world.devices[0], 1))?;
        rows.insert_product(&new_product(world.account, 5))?;
        Err(StoreError::Engine("told to fail".into()))
    });
    assert!(outcome.unwrap_err().to_string().ends_with("told to fail"));
    look(engine, |view| {
        assert_eq!(view.tasks(job, None, ALL)?, []);
        assert_eq!(view.counts(job)?, Counts::default());
        assert_eq!(view.product_count(world.account, InstanceNo(0))?, 1);
        Ok(())
    });
    let doubled = engine
        .transact(&mut |rows| rows.insert_product(&new_product(world.account, 1)).map(|_| ()));
    assert!(doubled.is_err(), "two products can't have one key");
    let missing = new_task(job, world.devices[0], 1);
    let after = Task { progress: 1, ..missing.clone() };
    assert!(
        engine.transact(&mut |rows| rows.update_task(&missing, &after)).is_err(),
        "there is no such task"
    );
}

fn a_transaction_sees_its_own_writes(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let mut job = new_job(&world.package, 1);
    change(engine, |rows| {
        assert_eq!(rows.job(JobNo(1))?, None);
        job.no = rows.insert_job(&job)?;
        assert_eq!(rows.job(job.no)?.as_deref(), Some(&job));
        job.finish_at = Some(at(77));
        rows.update_job(&job)?;
        assert_eq!(rows.job(job.no)?.as_deref(), Some(&job));
        rows.set_package_status(world.package.no, PackageStatus::Verified, 100, at(5))?;
        assert_eq!(rows.package(world.package.no)?.unwrap().status, PackageStatus::Verified);
        Ok(())
    });
}

fn a_failed_change_takes_no_other_with_it(engine: impl Engine) {
    let (store, handle) = Store::threaded(engine, 0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let name = |n: i64| format!("account {n}");
        // Holds the writer up until the others wait together.
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let wait = move |_: &mut dyn Rows| Ok(gate.recv().is_err());
        let first = store.queue(wait).await.unwrap();
        let good = store.queue(move |rows| rows.insert_account(&name(1), at(0))).await.unwrap();
        let bad = store
            .queue(move |rows| {
                rows.insert_account(&name(2), at(0))?;
                Err::<(), _>(StoreError::Engine("told to fail".into()))
            })
            .await
            .unwrap();
        let also_good =
            store.queue(move |rows| rows.insert_account(&name(3), at(0))).await.unwrap();
        drop(go);
        first.await.unwrap();
        let (good, bad, also_good) = (good.await, bad.await, also_good.await);
        assert!(bad.is_err());
        let (good, also_good) = (good.unwrap(), also_good.unwrap());
        assert!(good < also_good, "{good:?} {also_good:?}");
        let first = store.view(|view| view.first_account()).await.unwrap();
        assert_eq!(first.map(|account| account.no), Some(good));
        let kept = move |view: &mut dyn View| {
            (good.0..=also_good.0).map(|no| Ok(view.account(AccountNo(no))?.is_some())).collect()
        };
        let kept: Vec<bool> = store.view(kept).await.unwrap();
        assert_eq!(kept.iter().filter(|&&is_kept| is_kept).count(), 2);
    });
    handle.join();
}

fn a_reader_sees_what_was_committed(engine: &mut dyn Engine) {
    let Some(mut reader) = engine.reader().unwrap() else { return };
    let world = world(engine, 3);
    let mut count = 0;
    let mut read = |count: &mut u64| {
        reader.view(&mut |view| {
            *count = view.device_count(world.product)?;
            Ok(())
        })
    };
    read(&mut count).unwrap();
    assert_eq!(count, 3);
    change(engine, |rows| {
        rows.insert_device(world.account, &new_device(world.product, 9))?;
        read(&mut count)?;
        assert_eq!(count, 3, "not before the commit");
        Ok(())
    });
    read(&mut count).unwrap();
    assert_eq!(count, 4);
}
