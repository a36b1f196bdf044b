//! Deleting and disabling, and what is seen of who is connected.

use super::*;
use crate::mqtt::SessionWish;
use crate::store::Page;
use DeviceStatus::{Disable, Offline, Online, Unactive};
use otaru_core::device::DeviceStatus;
use otaru_core::policy::Policy;
use otaru_core::product::ProductProfile;

fn key(device: &Device) -> DeviceKey {
    DeviceKey { iot_id: Some(device.iot_id.to_string()), ..DeviceKey::default() }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(AppError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

const NO_DEVICE: &str = "iot.device.NotExistedDevice";
const NO_PRODUCT: &str = "iot.prod.NotExistedProduct";

impl World {
    async fn job_of(&self, package: &str, need_confirm: bool) -> String {
        let policy = Policy { need_confirm, ..Policy::default() };
        self.create(NewJob { policy, ..self.job(package, Target::All(Vec::new())) }).await
    }

    async fn by_status(&self, status: DeviceStatus, page: Page) -> (Vec<String>, u64) {
        let listed = self.app.devices_by_status(self.caller, None, status, page).await.unwrap();
        let names = listed.rows.iter().map(|(_, device)| device.name.to_string()).collect();
        (names, listed.total)
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_a_device_cancels_its_tasks_and_keeps_their_history() {
    let world = World::new().await;
    let (lamp1, lamp2) = (world.device("lamp1").await, world.device("lamp2").await);
    let (first, second) = (world.package("2.0").await, world.package("3.0").await);
    world.informs(&lamp1, "1.0").await;
    world.informs(&lamp2, "1.0").await;
    let job = world.job_of(&first, false).await;
    world.progresses(&lamp1, 40).await;
    world.app.delete_device(world.caller, key(&lamp1)).await.unwrap();
    assert_eq!(world.state(&job).await, "IN_PROGRESS: CANCELED QUEUED");
    assert_eq!(world.tasks(&job).await[0].description, "device deleted");
    assert_eq!(code(world.app.delete_device(world.caller, key(&lamp1)).await), NO_DEVICE);
    // A device that was connected may still say something.
    world.informs(&lamp1, "2.0").await;
    world.progresses(&lamp1, 50).await;
    assert!(!world.pulls(&lamp1).await);
    assert_eq!(world.state(&job).await, "IN_PROGRESS: CANCELED QUEUED");

    let again = world.device("lamp1").await;
    assert_ne!(again.no, lamp1.no);
    world.informs(&again, "1.0").await;
    world.app.delete_device(world.caller, key(&lamp2)).await.unwrap();
    assert_eq!(world.state(&job).await, "COMPLETED: CANCELED CANCELED");
    let job = world.job_of(&second, true).await;
    world.app.delete_device(world.caller, key(&again)).await.unwrap();
    assert_eq!(world.state(&job).await, "COMPLETED: CANCELED");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_product_takes_all_with_it_but_the_history_of_its_jobs() {
    let world = World::new().await;
    let (lamp1, lamp2) = (world.device("lamp1").await, world.device("lamp2").await);
    for lamp in [&lamp1, &lamp2] {
        world.informs(lamp, "1.0").await;
    }
    let full = world.package("2.0").await;
    let running = world.job_of(&full, false).await;
    world.progresses(&lamp1, 40).await;
    let dynamic = world.package("3.0").await;
    let mode = otaru_core::job::DynamicMode::CurrentAndLater;
    let target = Target::Dynamic(mode, vec![version("9.0")]);
    let dynamic = world.create(world.job(&dynamic, target)).await;
    let planned = world.package("4.0").await;
    let schedule_at = Some(START.plus_ms(3_600_000));
    let planned =
        world.create(NewJob { schedule_at, ..world.job(&planned, Target::All(Vec::new())) }).await;

    let product_key = world.product.key.to_string();
    world.app.delete_product(world.caller, product_key.clone()).await.unwrap();
    assert_eq!(world.state(&running).await, "COMPLETED: CANCELED CANCELED");
    assert_eq!(world.tasks(&running).await[0].description, "product deleted");
    assert!(world.state(&dynamic).await.starts_with("CANCELED:"));
    assert!(world.state(&planned).await.starts_with("CANCELED:"));
    let gone = world.app.product(world.caller, product_key.clone()).await;
    assert_eq!(code(gone), NO_PRODUCT);
    let new = NewDevice { product_key, name: None, nickname: String::new() };
    assert_eq!(code(world.app.register_device(world.caller, new).await), NO_PRODUCT);
    assert_eq!(code(world.app.device_detail(world.caller, key(&lamp1)).await), NO_DEVICE);
    assert_eq!(code(world.app.package(world.caller, full).await), "iot.firmware.FirmwareNotFound");
    let door = Gatekeeper(world.app.clone());
    let identity = door.identity(&world.product.key, &lamp1.name).await.unwrap();
    assert!(identity.is_none(), "its devices are not let in any more");
    let new = NewProduct { name: "lamp".into(), profile: ProductProfile::default() };
    world.app.create_product(world.caller, new).await.unwrap();
    world.passes(7_200_000).await;
    assert!(world.state(&planned).await.starts_with("CANCELED:"));
}

#[tokio::test(start_paused = true)]
async fn a_large_product_is_deleted_in_slices_and_reaches_nobody_meanwhile() {
    let world = World::new().await;
    world.fleet(2_500).await;
    let last = world.device("last").await;
    world.informs(&last, "1.0").await;
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::Specific(vec!["last".into()]))).await;
    // As far as the call itself goes: the deletion has not reached the device.
    let product = world.product.no;
    let asks = world.app.change(move |rows, now, effects| {
        rows.doom_product(product, now)?;
        effects.due(Some(now));
        let answer = report::pull(rows, last.no, &ModuleName::default(), now, effects)?;
        Ok((answer.is_some(), rows.device(last.no)?.is_some()))
    });
    assert_eq!(asks.await.unwrap(), (false, true), "its task counts as canceled");
    world.passes(1_000).await;
    let left = world.app.view(move |view| {
        Ok((view.tally(product)?.devices, view.doomed_product()?, view.device(last.no)?))
    });
    assert_eq!(left.await.unwrap(), (0, None, None));
    assert_eq!(world.state(&job).await, "COMPLETED: CANCELED");
}

#[tokio::test(start_paused = true)]
async fn a_name_goes_to_one_of_two_who_ask_at_once_and_to_nobody_after_the_product_went() {
    let world = World::new().await;
    let app = &world.app;
    let new = |name: &str| NewDevice {
        product_key: world.product.key.to_string(),
        name: Some(name.parse().unwrap()),
        nickname: String::new(),
    };
    let (a, b) = tokio::join!(
        app.register_device(world.caller, new("twin")),
        app.register_device(world.caller, new("twin"))
    );
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(code(lost), "iot.device.AlreadyExistedDeviceName");

    let twin = won.unwrap().1;
    let (deleted, again) = tokio::join!(
        app.delete_device(world.caller, key(&twin)),
        app.register_device(world.caller, new("twin"))
    );
    deleted.unwrap();
    assert_ne!(again.unwrap().1.no, twin.no);

    let product_key = world.product.key.to_string();
    let (deleted, late) = tokio::join!(
        app.delete_product(world.caller, product_key.clone()),
        app.register_device(world.caller, new("late"))
    );
    deleted.unwrap();
    assert_eq!(code(late), NO_PRODUCT);
}

#[tokio::test(start_paused = true)]
async fn devices_are_found_by_what_they_are_doing() {
    let world = World::new().await;
    let mut devices = Vec::new();
    for name in ["never", "on-1", "on-2", "off-1", "off-2", "ban-1"] {
        devices.push(world.device(name).await);
    }
    let registry = &world.app.registry;
    let mut lines = Vec::new();
    for device in &devices[1..] {
        let line = registry.plug_in(device.product, device.no);
        Gatekeeper(world.app.clone()).came_online(line.peer, IpAddr::V4(Ipv4Addr::LOCALHOST));
        lines.push(line);
    }
    world.passes(1_000).await;
    for line in &lines[2..] {
        registry.unplug(line);
        Gatekeeper(world.app.clone()).went_offline(line.peer);
    }
    world.app.set_disabled(world.caller, key(&devices[5]), true).await.unwrap();
    world.app.set_disabled(world.caller, key(&devices[5]), true).await.unwrap();
    let all = Page { skip: 0, take: 50 };
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    for (status, want) in [
        (Unactive, &["never"][..]),
        (Online, &["on-2", "on-1"]),
        (Offline, &["off-2", "off-1"]),
        (Disable, &["ban-1"]),
    ] {
        let want = (names(want), want.len() as u64);
        assert_eq!(world.by_status(status, all).await, want, "{status:?}");
    }
    for status in [Online, Offline] {
        let (rows, total) = world.by_status(status, Page { skip: 1, take: 1 }).await;
        assert_eq!((rows.len(), total), (1, 2), "{status:?}");
        let (rows, total) = world.by_status(status, Page { skip: 2, take: 9 }).await;
        assert_eq!((rows.len(), total), (0, 2), "{status:?}");
    }
    let want = Statistics { devices: 6, online: 2, activated: 5 };
    assert_eq!(world.app.statistics(world.caller, None, None).await.unwrap(), want);
    let detail = world.app.device_detail(world.caller, key(&devices[3])).await.unwrap();
    assert_eq!(detail.device.online_at, Some(START));
    assert_eq!(detail.device.status_at, START.plus_ms(1_000), "when it went offline");

    world.app.set_disabled(world.caller, key(&devices[5]), false).await.unwrap();
    let (_, total) = world.by_status(Offline, all).await;
    assert_eq!(total, 3);
    let beyond = Page { skip: 1_000_000, take: 50 };
    assert_eq!(world.by_status(Offline, beyond).await, (Vec::new(), 3));
}

#[tokio::test(start_paused = true)]
async fn pages_by_status_go_on_from_one_product_to_the_next() {
    let world = World::new().await;
    for name in ["lamp1", "lamp2", "lamp3"] {
        world.device(name).await;
    }
    let new = NewProduct { name: "other".into(), profile: ProductProfile::default() };
    let other = world.app.create_product(world.caller, new).await.unwrap();
    for name in ["other1", "other2"] {
        let product_key = other.key.to_string();
        let name = Some(name.parse().unwrap());
        let new = NewDevice { product_key, name, nickname: String::new() };
        world.app.register_device(world.caller, new).await.unwrap();
    }
    let (names, total) = world.by_status(DeviceStatus::Unactive, Page { skip: 1, take: 3 }).await;
    assert_eq!((names.join(" ").as_str(), total), ("other1 lamp3 lamp2", 5));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_or_deleted_device_is_kicked_after_the_commit() {
    let world = World::new().await;
    let app = &world.app;
    for (name, act) in [("banned", 0), ("deleted", 1), ("orphan", 2)] {
        let device = world.device(name).await;
        let line = app.registry.plug_in(device.product, device.no);
        match act {
            0 => app.set_disabled(world.caller, key(&device), true).await.unwrap(),
            1 => app.delete_device(world.caller, key(&device)).await.unwrap(),
            _ => {
                let product_key = world.product.key.to_string();
                app.delete_product(world.caller, product_key).await.unwrap();
            }
        }
        assert!(line.is_closing(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_known_is_never_let_in_as_it_was_before() {
    let world = World::new().await;
    let (app, gate) = (&world.app, Gatekeeper(world.app.clone()));
    let device = world.device("lamp1").await;
    let finds = async || {
        // The second time without a look at the store, where that may be.
        let first = gate.identity(&world.product.key, &device.name).await.unwrap();
        assert_eq!(first, gate.identity(&world.product.key, &device.name).await.unwrap());
        first
    };
    let as_it_was = finds().await.unwrap();
    assert!(app.follower.identities.find(&world.product.key, &device.name).is_some());

    let line = app.registry.plug_in(device.product, device.no);
    let keeps = SessionWish { clean: false, expiry_s: Some(60) };
    gate.open_session(line.peer, keeps).await.unwrap();
    assert!(finds().await.unwrap().has_session);

    app.set_disabled(world.caller, key(&device), true).await.unwrap();
    assert!(finds().await.unwrap().disabled);
    app.set_disabled(world.caller, key(&device), false).await.unwrap();
    assert!(!finds().await.unwrap().disabled);

    let name = otaru_core::topology::SubName {
        product_key: world.product.key.clone(),
        device_name: device.name.clone(),
    };
    let row = device.clone();
    let renewed = app.change(move |rows, now, effects| {
        Ok(crate::app::registration::renew(rows, &name, row.clone(), now, effects)?)
    });
    let secret = renewed.await.unwrap().secret;
    let found = finds().await.unwrap();
    assert_eq!(found.proof.secret(), Some(&*secret));
    assert_ne!(found.proof, as_it_was.proof);

    app.delete_device(world.caller, key(&device)).await.unwrap();
    assert_eq!(finds().await, None);
    let again = world.device("lamp1").await;
    assert_eq!(finds().await.unwrap().device, again.no);
    let product_key = world.product.key.to_string();
    app.delete_product(world.caller, product_key).await.unwrap();
    assert_eq!(finds().await, None);
}
