use super::*;
use otaru_core::job::{DynamicMode, GrayPercent};
use otaru_core::policy::{OverwriteMode, Policy, Retry};
use otaru_core::time::{HOUR_MS, MINUTE_MS};

fn with(new: NewJob, policy: Policy) -> NewJob {
    NewJob { policy, ..new }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

const MINUTE: u64 = MINUTE_MS.unsigned_abs();

#[tokio::test(start_paused = true)]
async fn a_full_package_for_all_skips_devices_at_its_version() {
    let world = World::new().await;
    let (old, _silent, new) = (
        world.device("dev-old").await,
        world.device("dev-silent").await,
        world.device("dev-new").await,
    );
    world.informs(&old, "1.0").await;
    world.informs(&new, "2.0").await;
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::All(vec![]))).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED QUEUED");
    world.informs(&old, "2.0").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: SUCCEEDED QUEUED");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_pulls_progresses_and_reports_the_version_succeeds_and_completes_the_job() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::Specific(names(&["dev-1"])))).await;
    assert!(world.pulls(&device).await);
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED");
    world.progresses(&device, 100).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS", "100 percent is no success");
    world.informs(&device, "2.0").await;
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED");
    assert!(!world.pulls(&device).await, "nothing is left to do");
}

#[tokio::test(start_paused = true)]
async fn an_offline_device_is_looked_up_after_the_grace_time_of_its_connect() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::All(vec![]))).await;
    world.passes(10 * MINUTE).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    // The registry knows no such connection, so the push is lost and the task waits again: but it was tried.
    world.connects(&device, 2);
    world.passes(1_900).await;
    assert!(!world.tasks(&job).await[0].told);
    world.passes(200).await;
    let task = &world.tasks(&job).await[0];
    assert_eq!(
        (task.told, task.status.as_wire()),
        (true, "QUEUED"),
        "a push that can't be written is returned"
    );
}

#[tokio::test(start_paused = true)]
async fn progress_without_a_version_ends_in_the_timeout() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let package = world.package("2.0").await;
    let retry = Some(Retry { interval_minutes: 0, count: 5 });
    let policy = Policy { timeout_minutes: Some(1), retry, ..Policy::default() };
    let job = world.create(with(world.job(&package, Target::All(vec![])), policy)).await;
    world.pulls(&device).await;
    world.passes(60 * MINUTE).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED", "the clock has not started");
    world.progresses(&device, 100).await;
    world.passes(MINUTE + 1_000).await;
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
    assert_eq!(world.tasks(&job).await[0].description, "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_retried_as_often_as_the_job_says() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let package = world.package("2.0").await;
    let policy =
        Policy { retry: Some(Retry { interval_minutes: 10, count: 2 }), ..Policy::default() };
    let job = world.create(with(world.job(&package, Target::All(vec![])), policy)).await;
    world.pulls(&device).await;
    for _ in 0..2 {
        world.progresses(&device, -2).await;
        world.progresses(&device, -2).await;
        assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED");
        world.passes(11 * MINUTE).await;
        assert_eq!(world.tasks(&job).await[0].retry_at, None);
    }
    world.progresses(&device, -2).await;
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
    assert_eq!(world.tasks(&job).await[0].description, "download failed");
}

#[tokio::test(start_paused = true)]
async fn a_gray_job_takes_its_share() {
    let world = World::new().await;
    for n in 0..10 {
        let device = world.device(&format!("dev-{n}")).await;
        world.informs(&device, "1.0").await;
    }
    let package = world.package("2.0").await;
    let share = GrayPercent::parse("33.33").unwrap();
    let job = world.create(world.job(&package, Target::Gray(share, vec![version("1.0")]))).await;
    assert_eq!(world.tasks(&job).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_busy_device_keeps_its_task_or_gives_it_up_as_the_new_job_says() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let (a, b, c) =
        (world.package("2.0").await, world.package("3.0").await, world.package("4.0").await);
    let first = world.create(world.job(&a, Target::All(vec![]))).await;
    let kept = world.create(world.job(&b, Target::All(vec![]))).await;
    assert_eq!(world.state(&kept).await, "COMPLETED: FAILED");
    let replace = Policy { overwrite: OverwriteMode::Replace, ..Policy::default() };
    let second = world.create(with(world.job(&b, Target::All(vec![])), replace.clone())).await;
    assert_eq!(world.state(&first).await, "COMPLETED: CANCELED");
    assert_eq!(world.state(&second).await, "IN_PROGRESS: QUEUED");
    world.progresses(&device, 5).await;
    let third = world.create(with(world.job(&c, Target::All(vec![])), replace)).await;
    assert_eq!(
        world.state(&third).await,
        "COMPLETED: FAILED",
        "a device at work is left to finish"
    );
    assert_eq!(world.state(&second).await, "IN_PROGRESS: IN_PROGRESS");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_job_starts_at_its_time_and_ends_at_its_end() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    let package = world.package("2.0").await;
    let start = START.plus_ms(HOUR_MS);
    let new = NewJob {
        schedule_at: Some(start),
        finish_at: Some(start.plus_ms(HOUR_MS)),
        ..world.job(&package, Target::All(vec![]))
    };
    let job = world.create(new).await;
    assert_eq!(world.state(&job).await, "PLANNED: QUEUED QUEUED");
    assert!(!world.pulls(&a).await, "nothing reaches a device before the start");
    world.passes(61 * MINUTE).await;
    assert!(world.pulls(&a).await);
    world.progresses(&a, 10).await;
    world.passes(60 * MINUTE).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS CANCELED");
    assert!(!world.pulls(&b).await);
    world.informs(&a, "2.0").await;
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED CANCELED");
}

#[tokio::test(start_paused = true)]
async fn verification_opens_or_closes_the_package() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    let package = world.package_of("2.0", None, PackageStatus::Unverified).await;
    assert_eq!(
        world.refused(world.job(&package, Target::All(vec![]))).await,
        "iot.firmware.FirmwareNotVerified"
    );
    let verify = || world.job(&package, Target::Verify(names(&["dev-a", "dev-b"])));
    let status = || async {
        let view = world.app.package(world.caller, package.clone()).await.unwrap();
        (view.package.status, view.package.verify_percent)
    };
    world.create(verify()).await;
    assert_eq!(status().await, (PackageStatus::Verifying, 0));
    assert_eq!(world.refused(verify()).await, "iot.firmware.InProgressVerifyJobExisted");
    world.informs(&a, "2.0").await;
    assert_eq!(status().await, (PackageStatus::Verifying, 50));
    world.pulls(&b).await;
    world.progresses(&b, -1).await;
    assert_eq!(status().await, (PackageStatus::Failed, 100));
    world.informs(&a, "1.0").await;
    world.create(verify()).await;
    world.informs(&a, "2.0").await;
    world.informs(&b, "2.0").await;
    assert_eq!(status().await, (PackageStatus::Verified, 100));
    assert_eq!(world.refused(verify()).await, "iot.firmware.VerifyFirmwareFailed");
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_job_takes_current_and_later_devices_at_most_ten_times() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package("2.0").await;
    let target = || Target::Dynamic(DynamicMode::CurrentAndLater, vec![version("1.0")]);
    let job = world.create(world.job(&package, target())).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    assert_eq!(
        world.refused(world.job(&package, target())).await,
        "iot.firmware.InProgressDynamicJobExisted"
    );
    for _ in 0..12 {
        world.informs(&device, "2.0").await;
        world.informs(&device, "1.0").await;
    }
    assert_eq!(world.tasks(&job).await.len(), 10);
    let later = world.device("dev-2").await;
    world.informs(&later, "1.0").await;
    assert_eq!(world.tasks(&job).await.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_job_for_new_reports_ignores_current_devices() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package("2.0").await;
    let target = Target::Dynamic(DynamicMode::NewReports, vec![version("1.0")]);
    let job = world.create(world.job(&package, target)).await;
    world.informs(&device, "1.0").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: ", "the version is not new");
    world.informs(&device, "0.9").await;
    world.informs(&device, "1.0").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
}

#[tokio::test(start_paused = true)]
async fn canceling_takes_the_statuses_that_are_named() {
    let world = World::new().await;
    for name in ["dev-a", "dev-b", "dev-c"] {
        world.device(name).await;
    }
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::All(vec![]))).await;
    let told = world.app.device_detail(
        world.caller,
        DeviceKey {
            product_key: Some(world.product.key.to_string()),
            device_name: Some("dev-a".into()),
            ..DeviceKey::default()
        },
    );
    let told = told.await.unwrap().device;
    world.pulls(&told).await;
    let cancel = |flags| world.app.cancel_tasks(world.caller, job.clone(), flags);
    cancel(CancelFlags { queued: true, ..CancelFlags::default() }).await.unwrap();
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED CANCELED CANCELED");
    cancel(CancelFlags { notified: true, ..CancelFlags::default() }).await.unwrap();
    assert_eq!(world.state(&job).await, "CANCELED: CANCELED CANCELED CANCELED");
    cancel(CancelFlags { in_progress: true, ..CancelFlags::default() }).await.unwrap();
    let scheduled = cancel(CancelFlags { scheduled: true, ..CancelFlags::default() }).await;
    assert!(
        matches!(scheduled, Err(AppError::Refused(r)) if r.code == "iot.firmware.JobHasNoScheduleTime")
    );
}

#[tokio::test(start_paused = true)]
async fn a_delta_package_goes_to_its_source_version_only() {
    let world = World::new().await;
    let (fits, other, _silent) = (
        world.device("dev-fits").await,
        world.device("dev-other").await,
        world.device("dev-silent").await,
    );
    world.informs(&fits, "1.0").await;
    world.informs(&other, "1.5").await;
    let package = world.package_of("2.0", Some("1.0"), PackageStatus::NoVerify).await;
    let one = vec![version("1.0")];
    for (target, code) in [
        (Target::All(vec![]), "iot.firmware.NullSrcVersions"),
        (Target::All(vec![version("1.5")]), "iot.firmware.UpgradeSrcVersionMismatch"),
        (Target::All(vec![version("1.0"), version("1.5")]), "iot.firmware.MoreThanOneSrcVersion"),
        (Target::Specific(names(&["dev-other"])), "iot.firmware.SrcVersionMismatch"),
        (Target::Specific(names(&["dev-silent"])), "iot.firmware.NonVersionedDeviceInArray"),
        (Target::Specific(names(&["dev-nobody"])), "iot.device.NotExistedDevice"),
    ] {
        assert_eq!(world.refused(world.job(&package, target)).await, code);
    }
    let job = world.create(world.job(&package, Target::All(one))).await;
    assert_eq!(world.tasks(&job).await.len(), 1);
    world.informs(&fits, "1.5").await;
    assert!(!world.pulls(&fits).await);
    assert_eq!(world.tasks(&job).await[0].description, "source version mismatch");
}
