//! Devices that are registered together.

use super::*;
use crate::store::Page;
use otaru_core::apply::{ApplyFault, ApplyStatus};
use otaru_core::id::ApplyNo;

fn names(texts: &[&str]) -> Vec<(String, String)> {
    texts.iter().map(|&text| (text.to_owned(), String::new())).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(AppError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

impl World {
    fn key(&self) -> String {
        self.product.key.to_string()
    }

    async fn checked(&self, texts: &[&str]) -> ApplyNo {
        self.app.check_names(self.caller, self.key(), names(texts)).await.unwrap().unwrap()
    }

    async fn batch_status(&self, no: ApplyNo) -> ApplyStatus {
        self.app.batch(self.caller, self.key(), no).await.unwrap().0.status
    }

    async fn devices_of(&self, no: ApplyNo, page: Page) -> (Vec<String>, u64) {
        let listed = self.app.devices_of_batch(self.caller, no, page).await.unwrap();
        let names = listed.rows.iter().map(|device| device.name.to_string()).collect();
        (names, listed.total)
    }
}

const FIRST: Page = Page { skip: 0, take: 50 };

#[tokio::test(start_paused = true)]
async fn ten_thousand_devices_are_made_in_slices() {
    let world = World::new().await;
    let no = world.app.register_batch(world.caller, world.key(), 10_000).await.unwrap();
    world.passes(1_000).await;
    assert_eq!(world.batch_status(no).await, ApplyStatus::CreateSuccess);
    let (product, devices) = world.app.product(world.caller, world.key()).await.unwrap();
    assert_eq!((product.no, devices), (world.product.no, 10_000));
    let (first, total) = world.devices_of(no, FIRST).await;
    assert_eq!((first.len(), total), (50, 10_000));
    let (last, _) = world.devices_of(no, Page { skip: 9_990, take: 50 }).await;
    assert_eq!(last.len(), 10);
    assert!(!first.contains(&last[0]));
}

#[tokio::test(start_paused = true)]
async fn checked_names_are_registered_once_with_their_nicknames() {
    let world = World::new().await;
    let given = vec![("lamp1".to_owned(), "kitchen".to_owned()), ("lamp2".into(), String::new())];
    let checked = world.app.check_names(world.caller, world.key(), given).await.unwrap();
    let no = checked.unwrap();
    world.passes(1_000).await;
    assert_eq!(world.batch_status(no).await, ApplyStatus::CheckSuccess);
    assert_eq!(world.devices_of(no, FIRST).await, (vec![], 0));
    world.app.register_checked(world.caller, world.key(), no).await.unwrap();
    world.passes(1_000).await;
    assert_eq!(world.batch_status(no).await, ApplyStatus::CreateSuccess);
    assert_eq!(world.devices_of(no, FIRST).await, (vec!["lamp1".into(), "lamp2".into()], 2));
    let key = DeviceKey {
        product_key: Some(world.key()),
        device_name: Some("lamp1".into()),
        ..DeviceKey::default()
    };
    let lamp1 = world.app.device_detail(world.caller, key).await.unwrap();
    assert_eq!(lamp1.device.nickname, "kitchen");
    let again = world.app.register_checked(world.caller, world.key(), no).await;
    assert_eq!(code(again), "iot.device.IncorrentDeviceApplyInfo");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_meanwhile_fails_alone() {
    let world = World::new().await;
    // Registered before the scheduler comes to check the batch.
    let (no, _) = tokio::join!(world.checked(&["lamp1", "lamp2"]), world.device("lamp2"));
    world.passes(1_000).await;
    assert_eq!(world.batch_status(no).await, ApplyStatus::CheckFailed);
    let refused = world.app.register_checked(world.caller, world.key(), no).await;
    assert_eq!(code(refused), "iot.device.IncorrentDeviceApplyInfo");

    let no = world.checked(&["lamp3", "lamp4", "lamp5"]).await;
    world.passes(1_000).await;
    world.device("lamp4").await;
    world.app.register_checked(world.caller, world.key(), no).await.unwrap();
    world.passes(1_000).await;
    let (batch, names) = world.app.batch(world.caller, world.key(), no).await.unwrap();
    assert_eq!((batch.status, batch.made, batch.failed), (ApplyStatus::CreateFailed, 2, 1));
    let faults: Vec<_> = names.iter().map(|name| name.fault).collect();
    assert_eq!(faults, [None, Some(ApplyFault::Taken), None]);
    assert_eq!(world.devices_of(no, FIRST).await, (vec!["lamp3".into(), "lamp5".into()], 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_interrupted_goes_on_where_it_stopped() {
    let world = World::new().await;
    let key = world.key();
    let asked = world.app.register_batch(world.caller, key, 2_500);
    let no = asked.await.unwrap();
    // Two slices by hand, as a node would have played before it stopped.
    for done in [1_000, 2_000] {
        let played = world.app.change(move |rows, now, effects| {
            let before = rows.apply(no)?.unwrap();
            if before.done < done {
                apply::slice(rows, no, None, now, effects)?;
            }
            Ok(())
        });
        played.await.unwrap();
    }
    world.passes(1_000).await;
    let (batch, names) = world.app.batch(world.caller, world.key(), no).await.unwrap();
    assert_eq!((batch.status, batch.done, batch.made), (ApplyStatus::CreateSuccess, 2_500, 2_500));
    assert!(names.iter().zip(1..).all(|(name, place)| name.place == place));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_deleted_product_makes_nothing_more() {
    let world = World::new().await;
    let no = world.checked(&["lamp1", "lamp2"]).await;
    world.passes(1_000).await;
    let (begun, deleted) = tokio::join!(
        world.app.register_checked(world.caller, world.key(), no),
        world.app.delete_product(world.caller, world.key())
    );
    begun.unwrap();
    deleted.unwrap();
    world.passes(1_000).await;
    assert_eq!(world.devices_of(no, FIRST).await, (vec![], 0));
    let product = world.product.no;
    let left = world.app.view(move |view| Ok((view.apply(no)?, view.tally(product)?.devices)));
    let (batch, devices) = left.await.unwrap();
    assert_eq!((batch.unwrap().status, devices), (ApplyStatus::CreateFailed, 0));
}

#[tokio::test(start_paused = true)]
async fn the_cap_of_devices_holds_for_batches_too() {
    let world = World::with_limits(Limits { devices_max: Some(5), ..Limits::default() }).await;
    let refused = world.app.register_batch(world.caller, world.key(), 6).await;
    assert_eq!(code(refused), "iot.device.DeviceNumerExceedTenant");
    let no = world.checked(&["lamp1", "lamp2", "lamp3"]).await;
    world.app.register_batch(world.caller, world.key(), 4).await.unwrap();
    world.passes(1_000).await;
    world.app.register_checked(world.caller, world.key(), no).await.unwrap();
    world.passes(1_000).await;
    let (batch, names) = world.app.batch(world.caller, world.key(), no).await.unwrap();
    assert_eq!((batch.status, batch.made), (ApplyStatus::CreateFailed, 1));
    assert_eq!(names[2].fault, Some(ApplyFault::Full));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_forgotten_after_30_days() {
    let world = World::new().await;
    let no = world.checked(&["lamp1"]).await;
    world.passes(1_000).await;
    let days = |n: i64| n * 24 * 60 * 60 * 1_000;
    world.app.clock.step_wall(days(29));
    world.app.forget_expired().await.unwrap();
    assert_eq!(world.batch_status(no).await, ApplyStatus::CheckSuccess);
    world.app.clock.step_wall(days(2));
    world.app.forget_expired().await.unwrap();
    let gone = world.app.batch(world.caller, world.key(), no).await;
    assert_eq!(code(gone), "iot.device.DeviceApplyIsNotFound");
}
