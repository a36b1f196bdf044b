//! Two of the walks of the behaviour reference, message by message.

use super::*;
use otaru_core::job::{DynamicMode, GrayPercent};
use otaru_core::policy::{OverwriteMode, Policy, Retry};
use otaru_core::time::{HOUR_MS, MINUTE_MS};

const MINUTE: u64 = MINUTE_MS.unsigned_abs();
const NOTHING: [&str; 0] = [];

#[tokio::test(start_paused = true)]
async fn walk_a_a_gray_job_with_a_retry_and_a_device_that_is_offline() {
    let world = World::new().await;
    let mut fleet = Vec::new();
    for n in 1..=10 {
        let online = world.online(&format!("dev-{n:02}")).await;
        online.informs("1.0.0").await;
        fleet.push(online);
    }
    // 1: ten candidates, 3.333 of them: three tasks. Who they are is up to the job, so the third goes offline now.
    let package = world.package("2.0.0").await;
    let share = GrayPercent::parse("33.33").unwrap();
    let policy = Policy {
        retry: Some(Retry { interval_minutes: 10, count: 1 }),
        timeout_minutes: Some(60),
        // Slow enough to see who is next.
        max_per_minute: Some(10),
        ..Policy::default()
    };
    let new = NewJob { policy, ..world.job(&package, Target::Gray(share, vec![version("1.0.0")])) };
    let job = world.create(new).await;
    let chosen: Vec<_> = world.tasks(&job).await.iter().map(|task| task.device).collect();
    fleet.retain(|online| chosen.contains(&online.device.no));
    // Pushes go out in the order of the tasks.
    let [d1, d2, d9] = fleet.try_into().ok().unwrap();
    let d9 = d9.unplugs();
    // 2: pushed within the rate, one every six seconds; the third waits.
    world.passes(100).await;
    let heard = |a: &[String], b: &[String]| a.len() + b.len();
    assert_eq!(heard(&d1.hears_of(), &d2.hears_of()), 1);
    world.passes(6_100).await;
    assert_eq!(heard(&d1.hears_of(), &d2.hears_of()), 1);
    world.passes(MINUTE).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED NOTIFIED QUEUED");
    // 3: the clock starts with the first progress.
    d1.progresses(0).await;
    d1.progresses(40).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS NOTIFIED QUEUED");
    assert!(world.tasks(&job).await[0].timeout_at.is_some());
    // 4: a failed try, told twice.
    d1.progresses_of(None, -2, "no space").await;
    d1.progresses_of(None, -2, "no space").await;
    let task = world.tasks(&job).await.remove(0);
    assert_eq!((task.status.as_wire(), task.progress, task.failed_tries), ("IN_PROGRESS", 40, 1));
    assert_eq!(task.description, "no space");
    // 5: no push after a reconnect while the retry waits.
    world.passes(MINUTE).await;
    let d1 = d1.reconnects();
    world.passes(5_000).await;
    assert_eq!(d1.hears_of(), NOTHING);
    // 6: pushed again with a fresh address.
    world.passes(9 * MINUTE).await;
    let pushes = d1.hears();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0]["url"].as_str().unwrap().starts_with("http"), "{}", pushes[0]);
    let task = world.tasks(&job).await.remove(0);
    assert_eq!((task.progress, task.description.as_str()), (0, ""));
    // 7: the version right after a reconnect ends it, and nothing is pushed.
    d1.progresses(100).await;
    let d1 = d1.reconnects();
    world.passes(500).await;
    d1.informs("2.0.0").await;
    world.passes(5_000).await;
    assert_eq!(d1.hears_of(), NOTHING);
    let task = world.tasks(&job).await.remove(0);
    assert_eq!((task.status.as_wire(), task.progress), ("SUCCEEDED", 100));
    // 8: silence ends in the timeout, which is never retried.
    d2.progresses(5).await;
    world.passes(61 * MINUTE).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: SUCCEEDED FAILED QUEUED");
    assert_eq!(world.tasks(&job).await[1].description, "timeout");
    world.passes(30 * MINUTE).await;
    assert_eq!(d2.hears_of(), NOTHING);
    // 9: the third comes days later; its report ends the wait at once.
    world.passes(3 * 24 * 60 * MINUTE).await;
    let d9 = world.plugs_in(d9);
    d9.informs("1.0.0").await;
    assert_eq!(d9.hears_of(), ["2.0.0"]);
    assert_eq!(world.state(&job).await, "IN_PROGRESS: SUCCEEDED FAILED NOTIFIED");
    // 10: the last task ends, and the job with it.
    d9.informs("2.0.0").await;
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED FAILED SUCCEEDED");
    let view = world.app.job(world.caller, job).await.unwrap();
    assert!(view.job.ended_at.unwrap().ms_since(START) > 72 * HOUR_MS);
}

#[tokio::test(start_paused = true)]
async fn walk_a_a_device_that_comes_back_at_another_version_is_not_told() {
    let world = World::new().await;
    let device = world.device("dev-09").await;
    world.informs(&device, "1.0.0").await;
    let package = world.package("2.0.0").await;
    let job = world.create(world.job(&package, Target::All(vec![version("1.0.0")]))).await;
    let online = world.plugs_in(device);
    online.informs("1.5.0").await;
    world.passes(5_000).await;
    assert_eq!(online.hears_of(), NOTHING);
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
    assert_eq!(world.tasks(&job).await[0].description, "source version mismatch");
}

/// The module MCU, two packages of it, and a device at MCU 1.0 that is online.
struct Mcu<'w> {
    world: &'w World,
    a: String,
    b: String,
    device: online::Online<'w>,
}

impl<'w> Mcu<'w> {
    async fn new(world: &'w World) -> Self {
        world.module("MCU").await;
        let device = world.online("dev-01").await;
        device.informs_of("mcu", "1.0").await;
        let a = world.package_in("MCU", "2.0", None, PackageStatus::NoVerify).await;
        let b = world.package_in("MCU", "3.0", None, PackageStatus::NoVerify).await;
        Self { world, a, b, device }
    }

    fn policy(&self, package: &str, versions: &[&str], policy: Policy) -> NewJob {
        let versions = versions.iter().map(|text| version(text)).collect();
        let target = Target::Dynamic(DynamicMode::CurrentAndLater, versions);
        NewJob { policy, ..self.world.job(package, target) }
    }

    /// Step 1.
    async fn first(&self) -> String {
        let job = self.world.create(self.policy(&self.a, &["1.0"], Policy::default())).await;
        self.world.settles().await;
        let pushes = self.device.hears();
        assert_eq!((pushes.len(), &pushes[0]["module"]), (1, &"MCU".into()));
        assert_eq!(self.world.state(&job).await, "IN_PROGRESS: NOTIFIED");
        job
    }

    /// Step 2.
    async fn second(&self) -> String {
        let replace = Policy { overwrite: OverwriteMode::Replace, ..Policy::default() };
        let job = self.world.create(self.policy(&self.b, &["1.0", "2.0"], replace)).await;
        self.world.settles().await;
        job
    }
}

#[tokio::test(start_paused = true)]
async fn walk_b_two_policies_on_a_module() {
    let world = World::new().await;
    let mcu = Mcu::new(&world).await;
    let one = mcu.first().await;
    let two = mcu.second().await;
    let old = world.tasks(&one).await.remove(0);
    assert_eq!(old.status.as_wire(), "CANCELED");
    assert_eq!(old.description, format!("overwritten by job {two}"));
    assert_eq!(world.state(&one).await, "IN_PROGRESS: CANCELED");
    assert_eq!(world.state(&two).await, "IN_PROGRESS: NOTIFIED");
    assert_eq!(mcu.device.hears_of(), ["3.0"], "the device is not told of the cancel");
    // 3: progress that names no module goes to the only task.
    mcu.device.progresses(20).await;
    assert_eq!(world.state(&two).await, "IN_PROGRESS: IN_PROGRESS");
    // 4: it had installed the first package already; the second policy takes it from there.
    mcu.device.informs_of("MCU", "2.0").await;
    assert_eq!(world.tasks(&two).await[0].description, "report version is not conform");
    assert_eq!(world.state(&two).await, "IN_PROGRESS: FAILED NOTIFIED");
    assert_eq!(world.state(&one).await, "IN_PROGRESS: CANCELED", "2.0 is its destination");
    assert_eq!(mcu.device.hears_of(), ["3.0"]);
    // 5
    mcu.device.progresses(50).await;
    mcu.device.informs_of("MCU", "3.0").await;
    assert_eq!(world.state(&two).await, "IN_PROGRESS: FAILED SUCCEEDED");
    // 7
    let again = mcu.policy(&mcu.b, &["1.0"], Policy::default());
    assert_eq!(world.refused(again).await, "iot.firmware.InProgressDynamicJobExisted");
    // 8: reports after the end of the second policy match the first one alone.
    let later = world.online("dev-02").await;
    later.informs_of("MCU", "1.0").await;
    assert_eq!(later.hears_of(), ["3.0"]);
    world.app.cancel_strategy(world.caller, two.clone()).await.unwrap();
    assert_eq!(world.state(&two).await, "CANCELED: FAILED SUCCEEDED NOTIFIED");
    later.progresses(10).await;
    assert_eq!(world.state(&two).await, "CANCELED: FAILED SUCCEEDED IN_PROGRESS");
    let last = world.online("dev-03").await;
    last.informs_of("MCU", "1.0").await;
    assert_eq!(last.hears_of(), ["2.0"]);
    assert_eq!(world.state(&one).await, "IN_PROGRESS: CANCELED NOTIFIED");
}

#[tokio::test(start_paused = true)]
async fn walk_b_a_device_at_work_is_looked_at_again_when_its_task_ends() {
    let world = World::new().await;
    let mcu = Mcu::new(&world).await;
    let one = mcu.first().await;
    // 6
    mcu.device.progresses(20).await;
    let two = mcu.second().await;
    assert_eq!(world.state(&one).await, "IN_PROGRESS: IN_PROGRESS");
    assert_eq!(world.state(&two).await, "IN_PROGRESS: FAILED");
    assert_eq!(world.tasks(&two).await[0].description, "device has unfinished task");
    mcu.device.informs_of("MCU", "2.0").await;
    assert_eq!(world.state(&one).await, "IN_PROGRESS: SUCCEEDED");
    assert_eq!(world.state(&two).await, "IN_PROGRESS: FAILED NOTIFIED");
    assert_eq!(mcu.device.hears_of(), ["3.0"]);
}
