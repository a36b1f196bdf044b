use super::*;
use otaru_core::job::{DynamicMode, StatusSet};
use otaru_core::policy::Policy;
use otaru_core::task::TaskStatus;

fn code(outcome: Result<()>) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(AppError::Refused(refusal)) => refusal.code,
        Err(other) => panic!("{other}"),
    }
}

impl World {
    async fn confirms(&self, ids: &[String]) -> &'static str {
        code(self.app.confirm_tasks(self.caller, ids.to_vec()).await)
    }

    async fn restarts(&self, job: &str, ids: &[String]) -> &'static str {
        code(self.app.reupgrade_tasks(self.caller, job.to_owned(), ids.to_vec()).await)
    }

    async fn ids(&self, job: &str) -> Vec<String> {
        self.tasks(job).await.iter().map(|task| task.id.to_string()).collect()
    }

    async fn unfinished(&self, device: &Device, statuses: StatusSet) -> Vec<String> {
        let key = DeviceKey { iot_id: Some(device.iot_id.to_string()), ..DeviceKey::default() };
        let wanted = Unfinished { key, module: None, statuses };
        let rows = self.app.unfinished_tasks(self.caller, wanted).await.unwrap();
        rows.iter().map(|row| row.task.status.as_wire().to_owned()).collect()
    }

    fn wants_consent(&self, package: &str) -> NewJob {
        let policy = Policy { need_confirm: true, ..Policy::default() };
        NewJob { policy, ..self.job(package, Target::All(vec![])) }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_reaches_a_device_before_its_task_is_confirmed() {
    let world = World::new().await;
    let device = world.online("dev-1").await;
    world.passes(3_000).await;
    let package = world.package("2.0").await;
    let job = world.create(world.wants_consent(&package)).await;
    world.passes(60_000).await;
    assert!(!world.pulls(&device.device).await);
    assert_eq!(device.hears_of(), [""; 0]);
    assert_eq!(world.unfinished(&device.device, StatusSet::UNFINISHED).await, ["CONFIRM"]);
    assert_eq!(world.confirms(&world.ids(&job).await).await, "ok");
    world.settles().await;
    assert_eq!(device.hears_of(), ["2.0"]);
    assert!(world.pulls(&device.device).await);
    let queued = StatusSet::of(&[TaskStatus::Confirm, TaskStatus::Queued]);
    assert_eq!(world.unfinished(&device.device, queued).await, [""; 0]);
    assert_eq!(world.unfinished(&device.device, StatusSet::UNFINISHED).await, ["NOTIFIED"]);
    assert_eq!(world.confirms(&world.ids(&job).await).await, "iot.firmware.InvalidTaskStatus");
}

#[tokio::test(start_paused = true)]
async fn failed_and_canceled_tasks_start_again_and_their_job_with_them() {
    let world = World::new().await;
    for need_confirm in [false, true] {
        let online = [
            world.online(&format!("dev-a{need_confirm}")).await,
            world.online(&format!("dev-b{need_confirm}")).await,
            world.online(&format!("dev-c{need_confirm}")).await,
        ];
        world.passes(3_000).await;
        let package = world.package(if need_confirm { "2.1" } else { "2.0" }).await;
        let names = online.iter().map(|online| online.device.name.to_string()).collect();
        let policy = Policy { need_confirm, timeout_minutes: Some(9), ..Policy::default() };
        let new = NewJob { policy, ..world.job(&package, Target::Specific(names)) };
        let job = world.create(new).await;
        let ids = world.ids(&job).await;
        if need_confirm {
            world.confirms(&ids).await;
        }
        world.settles().await;
        online[0].progresses(30).await;
        online[0].progresses(-4).await;
        online[2].informs(if need_confirm { "2.1" } else { "2.0" }).await;
        let flags = CancelFlags { notified: true, ..CancelFlags::default() };
        world.app.cancel_tasks(world.caller, job.clone(), flags).await.unwrap();
        assert_eq!(world.state(&job).await, "CANCELED: FAILED CANCELED SUCCEEDED");
        assert_eq!(world.restarts(&job, &ids).await, "iot.ota.InvalidTaskExist", "all or nothing");
        assert_eq!(world.restarts(&job, &ids[2..]).await, "iot.ota.FailedTaskNotFound");
        for online in &online {
            online.hears();
        }
        assert_eq!(world.restarts(&job, &ids[..2]).await, "ok");
        let view = world.app.job(world.caller, job.clone()).await.unwrap();
        assert_eq!(view.job.ended_at, None);
        let tasks = world.tasks(&job).await;
        assert_eq!((tasks[0].progress, tasks[0].failed_tries, tasks[0].timeout_at), (0, 0, None));
        assert_eq!((tasks[0].description.as_str(), tasks[0].timeout_minutes), ("", Some(9)));
        assert_eq!(world.ids(&job).await, ids, "the tasks are the same ones");
        if need_confirm {
            assert_eq!(world.state(&job).await, "IN_PROGRESS: CONFIRM CONFIRM SUCCEEDED");
            assert_eq!(world.confirms(&ids[..2]).await, "ok");
        }
        world.settles().await;
        assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED NOTIFIED SUCCEEDED");
        assert_eq!(online[0].hears_of().len(), 1);
        for online in &online[..2] {
            online.informs(if need_confirm { "2.1" } else { "2.0" }).await;
        }
        assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED SUCCEEDED SUCCEEDED");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_does_not_start_again_beside_another_of_its_device() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let (a, b) = (world.package("2.0").await, world.package("3.0").await);
    let first = world.create(world.job(&a, Target::All(vec![]))).await;
    let flags = CancelFlags { queued: true, ..CancelFlags::default() };
    world.app.cancel_tasks(world.caller, first.clone(), flags).await.unwrap();
    let ids = world.ids(&first).await;
    let second = world.create(world.job(&b, Target::All(vec![]))).await;
    assert_eq!(world.restarts(&first, &ids).await, "iot.ota.DeviceNotReUpgraded");
    assert_eq!(world.state(&first).await, "CANCELED: CANCELED");
    world.app.cancel_tasks(world.caller, second, flags).await.unwrap();
    assert_eq!(world.restarts(&first, &ids).await, "ok");
    assert_eq!(world.state(&first).await, "IN_PROGRESS: QUEUED");
    world.informs(&device, "2.0").await;
    assert_eq!(world.restarts(&first, &ids).await, "iot.ota.FailedTaskNotFound");
}

#[tokio::test(start_paused = true)]
async fn of_two_tasks_of_a_device_one_starts_again() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let package = world.package("2.0").await;
    let versions = vec![version("1.0"), version("1.1")];
    let target = Target::Dynamic(DynamicMode::CurrentAndLater, versions);
    let job = world.create(world.job(&package, target)).await;
    for text in ["1.0", "1.1"] {
        world.informs(&device, text).await;
        world.pulls(&device).await;
        world.progresses(&device, -1).await;
    }
    assert_eq!(world.state(&job).await, "IN_PROGRESS: FAILED FAILED");
    let ids = world.ids(&job).await;
    assert_eq!(world.restarts(&job, &ids).await, "iot.ota.DeviceNotReUpgraded");
    assert_eq!(world.restarts(&job, &ids[..1]).await, "ok");
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED FAILED");
    assert_eq!(
        world.tasks(&job).await[0].src,
        Some(version("1.1")),
        "its source is looked up anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_delta_package_does_not_start_again_from_another_version() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    world.informs(&device, "1.0").await;
    let package = world.package_of("2.0", Some("1.0"), PackageStatus::NoVerify).await;
    let job = world.create(world.job(&package, Target::Specific(vec!["dev-1".into()]))).await;
    world.pulls(&device).await;
    world.progresses(&device, -3).await;
    world.informs(&device, "1.5").await;
    let ids = world.ids(&job).await;
    assert_eq!(world.restarts(&job, &ids).await, "iot.ota.DeviceNotReUpgraded");
    world.informs(&device, "1.0").await;
    assert_eq!(world.restarts(&job, &ids).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_failed_verification_passes_when_its_task_starts_again_and_succeeds() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    let package = world.package_of("2.0", None, PackageStatus::Unverified).await;
    let status = || async {
        let view = world.app.package(world.caller, package.clone()).await.unwrap();
        (view.package.status, view.package.verify_percent)
    };
    let names = vec!["dev-a".to_owned(), "dev-b".to_owned()];
    let job = world.create(world.job(&package, Target::Verify(names))).await;
    world.informs(&a, "2.0").await;
    world.pulls(&b).await;
    world.progresses(&b, -1).await;
    assert_eq!(status().await, (PackageStatus::Failed, 100));
    assert_eq!(world.restarts(&job, &world.ids(&job).await[1..]).await, "ok");
    assert_eq!(status().await, (PackageStatus::Verifying, 50));
    assert_eq!(world.state(&job).await, "IN_PROGRESS: SUCCEEDED QUEUED");
    world.informs(&b, "2.0").await;
    assert_eq!(status().await, (PackageStatus::Verified, 100));
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_is_no_longer_the_last_moves_its_package_no_more() {
    let world = World::new().await;
    let (a, _b) = (world.device("dev-a").await, world.device("dev-b").await);
    let package = world.package_of("2.0", None, PackageStatus::Unverified).await;
    let verify = |name: &str| world.job(&package, Target::Verify(vec![name.to_owned()]));
    let first = world.create(verify("dev-a")).await;
    world.pulls(&a).await;
    world.progresses(&a, -1).await;
    let second = world.create(verify("dev-b")).await;
    assert_eq!(world.restarts(&first, &world.ids(&first).await).await, "ok");
    world.informs(&a, "2.0").await;
    let view = world.app.package(world.caller, package.clone()).await.unwrap();
    assert_eq!(view.package.status, PackageStatus::Verifying);
    assert_eq!(world.state(&second).await, "IN_PROGRESS: QUEUED");
}

/// Marks the queued tasks of a job as canceled without reaching any row.
async fn sweep(world: &World, job: &str) {
    let id = job.parse().unwrap();
    let marked = world.app.change(move |rows, now, _| {
        let job = rows.job_by_id(&id)?.unwrap();
        let cancels = StatusSet::of(&[TaskStatus::Queued, TaskStatus::Confirm]);
        let cause = otaru_core::task::CancelCause::User;
        let sweep = otaru_core::job::Sweep { cancels, cause, at: now, after: 0 };
        Ok(rows.update_job(&otaru_core::job::Job { sweep: Some(sweep), ..(*job).clone() })?)
    });
    marked.await.unwrap();
    // Only what happens later is not meant by the cancel.
    world.passes(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_cancel_has_not_reached_yet_counts_as_canceled() {
    let world = World::new().await;
    let device = world.device("dev-1").await;
    let package = world.package("2.0").await;
    let job = world.create(world.wants_consent(&package)).await;
    sweep(&world, &job).await;
    let ids = world.ids(&job).await;
    assert_eq!(world.unfinished(&device, StatusSet::UNFINISHED).await, [""; 0]);
    assert_eq!(world.confirms(&ids).await, "iot.firmware.InvalidTaskStatus");
    let wanted = DevicesOfPackage {
        firmware_id: package.clone(),
        product_key: world.product.key.to_string(),
        job_id: None,
        names: vec!["dev-1".into()],
    };
    let again = world.app.cancel_tasks_of_devices(world.caller, wanted).await;
    assert_eq!(code(again), "iot.firmware.IncorrectDeviceUpgradeJobStatus");
    assert_eq!(world.restarts(&job, &ids).await, "ok");
    assert_eq!(world.state(&job).await, "IN_PROGRESS: CONFIRM");
    world.passes(120_000).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: CONFIRM", "the cancel was before");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_cancel_has_not_reached_yet_keeps_no_device_busy() {
    let world = World::new().await;
    world.device("dev-1").await;
    let (old, new) = (world.package("2.0").await, world.package("3.0").await);
    let canceled = world.create(world.job(&old, Target::All(vec![]))).await;
    sweep(&world, &canceled).await;
    let job = world.create(world.job(&new, Target::All(vec![]))).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    assert_eq!(world.state(&canceled).await, "CANCELED: CANCELED");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_canceled_before_its_start_is_not_started_by_a_restart_of_its_tasks() {
    let world = World::new().await;
    world.device("dev-1").await;
    let package = world.package("2.0").await;
    let start = world.app.clock.now().wall.plus_minutes(10);
    let planned = NewJob { schedule_at: Some(start), ..world.job(&package, Target::All(vec![])) };
    let job = world.create(planned).await;
    sweep(&world, &job).await;
    assert_eq!(world.restarts(&job, &world.ids(&job).await).await, "iot.ota.JobCanceled");
    assert_eq!(world.state(&job).await, "PLANNED: QUEUED");
    world.passes(120_000).await;
    assert_eq!(world.state(&job).await, "CANCELED: CANCELED");
}
