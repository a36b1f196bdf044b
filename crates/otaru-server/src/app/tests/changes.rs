use super::*;
use otaru_core::job::{DynamicMode, JobStatus};
use otaru_core::policy::{OverwriteMode, Policy, Tag};
use otaru_core::time::MINUTE_MS;
use otaru_core::update::JobUpdate;

const MINUTE: u64 = MINUTE_MS.unsigned_abs();

fn rate(max_per_minute: u32, target: &str) -> JobUpdate {
    JobUpdate {
        max_per_minute,
        dynamic: false,
        target: target.to_owned(),
        timeout_minutes: None,
        src_versions: None,
        tags: Vec::new(),
    }
}

fn policy_of(versions: &[&str]) -> JobUpdate {
    let src_versions = Some(versions.iter().map(|text| version(text)).collect());
    JobUpdate { dynamic: true, src_versions, ..rate(10_000, "ALL") }
}

impl World {
    fn dynamic(&self, package: &str, mode: DynamicMode, versions: &[&str]) -> NewJob {
        let versions = versions.iter().map(|text| version(text)).collect();
        self.job(package, Target::Dynamic(mode, versions))
    }

    async fn changes(&self, job: &str, update: JobUpdate) {
        self.app.update_job(self.caller, job.to_owned(), update).await.unwrap();
        self.settles().await;
    }

    async fn told(&self, job: &str) -> usize {
        self.tasks(job).await.iter().filter(|task| task.told).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_is_renamed_and_its_devices_are_told_the_new_text() {
    let world = World::new().await;
    let device = world.online("dev-1").await;
    world.passes(3_000).await;
    let package = world.package("2.0").await;
    let shown = || async {
        let package = world.app.package(world.caller, package.clone()).await.unwrap().package;
        (package.name, package.description, package.udi, package.modified_at.ms_since(START))
    };
    let made = shown().await;
    let change = |name: Option<&str>, udi: Option<&str>| PackageChange {
        firmware_id: package.clone(),
        product_key: world.product.key.to_string(),
        name: name.map(str::to_owned),
        description: None,
        udi: udi.map(str::to_owned),
    };
    world.passes(1_000).await;
    world.app.update_package(world.caller, change(None, None)).await.unwrap();
    world.app.update_package(world.caller, change(Some(&made.0), None)).await.unwrap();
    assert_eq!(shown().await, made, "nothing to change is no change");
    world.app.update_package(world.caller, change(Some("renamed"), Some("text"))).await.unwrap();
    let now = world.app.clock.now().wall.ms_since(START);
    assert_eq!(shown().await, ("renamed".into(), String::new(), "text".into(), now));
    world.create(world.job(&package, Target::All(vec![]))).await;
    world.settles().await;
    assert!(device.hears()[0].to_string().contains("text"));
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_rules_the_pushes_that_follow() {
    let world = World::new().await;
    let mut devices = Vec::new();
    for n in 0..60 {
        devices.push(world.online(&format!("dev-{n:02}")).await);
    }
    world.passes(3_000).await;
    let package = world.package("2.0").await;
    let slow = Policy { max_per_minute: Some(10), ..Policy::default() };
    let job =
        world.create(NewJob { policy: slow, ..world.job(&package, Target::All(vec![])) }).await;
    world.passes(MINUTE).await;
    let told = world.told(&job).await;
    assert!((9..=11).contains(&told), "{told}");
    world.changes(&job, rate(1_200, "ALL")).await;
    world.passes(1_000).await;
    let faster = world.told(&job).await - told;
    assert!((19..=25).contains(&faster), "20 a second: {faster}");
    world.changes(&job, rate(10, "ALL")).await;
    let told = world.told(&job).await;
    world.passes(MINUTE).await;
    let slower = world.told(&job).await - told;
    assert!((9..=11).contains(&slower), "{slower}");
    world.changes(&job, rate(10_000, "ALL")).await;
    world.passes(1_000).await;
    assert_eq!(world.told(&job).await, 60);
}

#[tokio::test(start_paused = true)]
async fn tags_are_replaced_as_a_whole() {
    let world = World::new().await;
    let device = world.online("dev-1").await;
    world.passes(3_000).await;
    let package = world.package("2.0").await;
    let tag = |key: &str| Tag { key: key.into(), value: "v".into() };
    let policy = Policy { tags: vec![tag("old"), tag("older")], ..Policy::default() };
    let job = world.create(NewJob { policy, ..world.job(&package, Target::All(vec![])) }).await;
    world.settles().await;
    assert!(device.hears()[0].to_string().contains("older"));
    world.changes(&job, JobUpdate { tags: vec![tag("new")], ..rate(10, "ALL") }).await;
    let device = device.reconnects();
    world.passes(3_000).await;
    let heard = device.hears()[0].to_string();
    assert!(heard.contains("new") && !heard.contains("old"), "{heard}");
    world.changes(&job, rate(10, "ALL")).await;
    let view = world.app.job(world.caller, job).await.unwrap();
    assert!(view.job.policy.tags.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_timeout_rules_the_tasks_that_are_made_later() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    world.informs(&a, "1.0").await;
    let package = world.package("2.0").await;
    let new = world.dynamic(&package, DynamicMode::CurrentAndLater, &["1.0"]);
    let policy = Policy { timeout_minutes: Some(60), ..Policy::default() };
    let job = world.create(NewJob { policy, ..new }).await;
    let update = JobUpdate { timeout_minutes: Some(5), dynamic: true, ..rate(10, "ALL") };
    world.changes(&job, update).await;
    world.informs(&b, "1.0").await;
    let timeouts: Vec<_> =
        world.tasks(&job).await.iter().map(|task| task.timeout_minutes.unwrap()).collect();
    assert_eq!(timeouts, [60, 5]);
}

#[tokio::test(start_paused = true)]
async fn new_source_versions_let_a_policy_look_at_its_devices_again() {
    let world = World::new().await;
    for (mode, taken) in [(DynamicMode::CurrentAndLater, 2), (DynamicMode::NewReports, 0)] {
        let devices = [
            world.device(&format!("dev-a{taken}")).await,
            world.device(&format!("dev-b{taken}")).await,
        ];
        world.informs(&devices[0], "1.0").await;
        world.informs(&devices[1], "1.1").await;
        let package = world.package(&format!("{taken}.9")).await;
        let job = world.create(world.dynamic(&package, mode, &["0.1"])).await;
        assert_eq!(world.tasks(&job).await.len(), 0);
        world.changes(&job, policy_of(&["1.0", "1.1"])).await;
        assert_eq!(world.tasks(&job).await.len(), taken);
        // The same again finds nobody else.
        world.changes(&job, policy_of(&["1.1", "1.0"])).await;
        assert_eq!(world.tasks(&job).await.len(), taken);
        world.informs(&devices[0], "1.2").await;
        world.informs(&devices[0], "1.1").await;
        assert_eq!(world.tasks(&job).await.len(), taken.max(1), "{mode:?}");
        world.app.cancel_strategy(world.caller, job.clone()).await.unwrap();
        let flags = CancelFlags { queued: true, ..CancelFlags::default() };
        world.app.cancel_tasks(world.caller, job, flags).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn many_devices_are_looked_at_in_slices_until_the_policy_is_canceled() {
    const DEVICES: u32 = 10_050;
    let world = World::new().await;
    world.fleet(DEVICES).await;
    world
        .app
        .change(|rows, now, _| {
            let last = rows.last_device()?.0;
            (1..=last).try_for_each(|no| {
                let device = otaru_core::id::DeviceNo(no);
                rows.put_version(device, &ModuleName::default(), &version("1.0"), now)
            })?;
            Ok(())
        })
        .await
        .unwrap();
    let counts = |job: &str| {
        let filter = TaskFilter::Page(crate::store::Page::new(1, 1));
        let listed = world.app.tasks(world.caller, job.to_owned(), None, filter);
        async move { listed.await.unwrap().total }
    };
    for (name, cancels, tasks) in [("2.0", true, 10_000), ("3.0", false, u64::from(DEVICES))] {
        let package = world.package(name).await;
        let replace = Policy { overwrite: OverwriteMode::Replace, ..Policy::default() };
        let new = world.dynamic(&package, DynamicMode::CurrentAndLater, &["0.1"]);
        let job = world.create(NewJob { policy: replace, ..new }).await;
        let update = world.app.update_job(world.caller, job.clone(), policy_of(&["1.0"]));
        if cancels {
            let cancel = world.app.cancel_strategy(world.caller, job.clone());
            let (updated, canceled) = tokio::join!(update, cancel);
            updated.and(canceled).unwrap();
        } else {
            update.await.unwrap();
        }
        world.passes(5_000).await;
        assert_eq!(counts(&job).await, tasks, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_canceled_takes_nobody_and_lets_its_tasks_go_on() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package("2.0").await;
    let new = || world.dynamic(&package, DynamicMode::CurrentAndLater, &["1.0"]);
    let job = world.create(new()).await;
    assert!(world.pulls(&device).await);
    world.progresses(&device, 10).await;
    let cancel = || world.app.cancel_strategy(world.caller, job.clone());
    cancel().await.unwrap();
    assert_eq!(world.state(&job).await, "CANCELED: IN_PROGRESS");
    let view = world.app.job(world.caller, job.clone()).await.unwrap();
    assert!(view.job.ended_at.is_some() && view.job.status == JobStatus::Canceled);
    assert!(
        matches!(cancel().await, Err(AppError::Refused(r)) if r.code == "iot.firmware.JobAlreadyCanceled")
    );
    let later = world.device("dev-2").await;
    world.informs(&later, "1.0").await;
    assert_eq!(world.tasks(&job).await.len(), 1);
    // Its tasks can still be canceled, and the package may have another policy.
    let flags = CancelFlags { in_progress: true, ..CancelFlags::default() };
    world.app.cancel_tasks(world.caller, job.clone(), flags).await.unwrap();
    assert_eq!(world.state(&job).await, "CANCELED: CANCELED");
    let next = world.create(new()).await;
    assert_eq!(world.tasks(&next).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_named_devices_are_canceled_in_all_jobs_of_the_package_or_in_one() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    let (package, other) = (world.package("2.0").await, world.package("3.0").await);
    let specific =
        |package: &str, name: &str| world.job(package, Target::Specific(vec![name.to_owned()]));
    let first = world.create(specific(&package, "dev-a")).await;
    let second = world.create(specific(&package, "dev-b")).await;
    assert!(world.pulls(&a).await && world.pulls(&b).await);
    let cancel = |package: &str, job: Option<&String>| {
        let wanted = DevicesOfPackage {
            firmware_id: package.to_owned(),
            product_key: world.product.key.to_string(),
            job_id: job.cloned(),
            names: vec!["dev-a".into(), "dev-b".into()],
        };
        world.app.cancel_tasks_of_devices(world.caller, wanted)
    };
    assert!(cancel(&other, None).await.is_err(), "no device has a task of that package");
    cancel(&package, Some(&second)).await.unwrap();
    assert_eq!(world.state(&first).await, "IN_PROGRESS: NOTIFIED");
    assert_eq!(world.state(&second).await, "CANCELED: CANCELED");
    let third = world.create(specific(&package, "dev-b")).await;
    cancel(&package, None).await.unwrap();
    assert_eq!(world.state(&first).await, "CANCELED: CANCELED");
    assert_eq!(world.state(&third).await, "CANCELED: CANCELED");
    assert!(!world.pulls(&a).await);
}
