use super::*;
use otaru_core::policy::Policy;

impl World {
    pub(super) fn new_module(&self, name: &str) -> NewModule {
        NewModule {
            product_key: self.product.key.to_string(),
            name: ModuleName::parse(name).unwrap(),
            alias: String::new(),
            description: String::new(),
        }
    }

    pub(super) async fn module(&self, name: &str) {
        self.app.create_module(self.caller, self.new_module(name)).await.unwrap();
    }

    fn multi(&self, package: &str) -> NewJob {
        let policy = Policy { multi_module: true, ..Policy::default() };
        NewJob { policy, ..self.job(package, Target::All(vec![])) }
    }
}

#[tokio::test(start_paused = true)]
async fn two_modules_of_a_device_are_upgraded_side_by_side() {
    let world = World::new().await;
    world.module("MCU").await;
    let device = world.online("dev-01").await;
    device.informs("1.0").await;
    device.informs_of("MCU", "1.0").await;
    let whole = world.package("2.0").await;
    let mcu = world.package_in("MCU", "7.0", None, PackageStatus::NoVerify).await;
    let first = world.create(world.multi(&whole)).await;
    let second = world.create(world.multi(&mcu)).await;
    world.settles().await;
    let pushes: Vec<_> = device
        .hears()
        .iter()
        .map(|data| (data["version"].clone(), data["module"].clone()))
        .collect();
    assert_eq!(pushes, [("2.0".into(), serde_json::Value::Null), ("7.0".into(), "MCU".into())]);
    device.progresses_of(Some("MCU"), 10, "").await;
    assert_eq!(world.state(&first).await, "IN_PROGRESS: NOTIFIED");
    assert_eq!(world.state(&second).await, "IN_PROGRESS: IN_PROGRESS");
    // With two at work, progress that names no module is that of the whole device.
    device.progresses(10).await;
    assert_eq!(world.state(&first).await, "IN_PROGRESS: IN_PROGRESS");
    device.informs_of("mcu", "7.0").await;
    assert_eq!(world.state(&second).await, "COMPLETED: SUCCEEDED");
    assert_eq!(world.state(&first).await, "IN_PROGRESS: IN_PROGRESS");
    device.informs("2.0").await;
    assert_eq!(world.state(&first).await, "COMPLETED: SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_newer_job_takes_the_module_from_an_older_one_unless_the_device_is_at_work() {
    let world = World::new().await;
    world.module("MCU").await;
    let device = world.online("dev-01").await;
    let packages = [
        world.package_in("MCU", "2.0", None, PackageStatus::NoVerify).await,
        world.package_in("MCU", "3.0", None, PackageStatus::NoVerify).await,
        world.package_in("MCU", "4.0", None, PackageStatus::NoVerify).await,
    ];
    let first = world.create(world.multi(&packages[0])).await;
    let second = world.create(world.multi(&packages[1])).await;
    assert_eq!(world.state(&first).await, "COMPLETED: CANCELED");
    device.progresses_of(Some("MCU"), 1, "").await;
    let third = world.create(world.multi(&packages[2])).await;
    assert_eq!(world.state(&second).await, "IN_PROGRESS: IN_PROGRESS");
    assert_eq!(world.state(&third).await, "COMPLETED: FAILED");
    // A job that is not for several modules minds every task of the device.
    let plain = world.package("2.0").await;
    let plain = world.create(world.job(&plain, Target::All(vec![]))).await;
    assert_eq!(world.state(&plain).await, "COMPLETED: FAILED");
}

#[tokio::test(start_paused = true)]
async fn a_device_can_name_so_many_modules_and_always_those_of_its_product() {
    let world = World::new().await;
    world.module("MCU").await;
    let device = world.device("dev-1").await;
    let informs = |module: String, text: &str| {
        let module = ModuleName::parse(&module).unwrap();
        world.says(&device, Report::Inform(Inform { module, version: version(text) }))
    };
    for n in 0..120 {
        informs(format!("m{n}"), "1").await;
    }
    informs("m7".into(), "2").await;
    informs("MCU".into(), "3").await;
    informs("default".into(), "4").await;
    let key = DeviceKey { iot_id: Some(device.iot_id.to_string()), ..DeviceKey::default() };
    let page = crate::store::Page::new(1, 200);
    let versions = world.app.module_versions(world.caller, key, page).await.unwrap().versions;
    assert_eq!((versions.total, versions.rows.len()), (102, 102));
    let of = |name: &str| {
        let row = versions.rows.iter().find(|(module, _)| module.as_str() == name);
        row.map(|(_, version)| version.to_string())
    };
    assert_eq!((of("m7"), of("MCU"), of("m100")), (Some("2".into()), Some("3".into()), None));
}

#[tokio::test(start_paused = true)]
async fn a_version_of_a_module_that_the_product_does_not_have_is_stored_and_matches_nothing() {
    let world = World::new().await;
    let device = world.online("dev-01").await;
    device.informs_of("Radio", "1.0").await;
    let key =
        || DeviceKey { iot_id: Some(device.device.iot_id.to_string()), ..DeviceKey::default() };
    let page = crate::store::Page::new(1, 10);
    let versions = world.app.module_versions(world.caller, key(), page).await.unwrap().versions;
    let shown: Vec<_> = versions.rows.iter().map(|(name, v)| format!("{name} {v}")).collect();
    assert_eq!((shown, versions.total), (vec!["Radio 1.0".to_owned()], 1));
    // Its version counts once the module is there, under the name that was given then.
    world.module("RADIO").await;
    let package = world.package_in("RADIO", "2.0", Some("1.0"), PackageStatus::NoVerify).await;
    let job = world.create(world.job(&package, Target::All(vec![version("1.0")]))).await;
    assert_eq!(world.tasks(&job).await.len(), 1);
    let versions = world.app.module_versions(world.caller, key(), page).await.unwrap().versions;
    assert_eq!(versions.rows[0].0.as_str(), "RADIO");
}
