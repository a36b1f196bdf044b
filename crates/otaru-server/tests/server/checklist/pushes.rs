//! When a device is told, and how an upgrade fails.

use super::world::{World, seconds_pass};

#[tokio::test(start_paused = true)]
async fn an_offline_device_is_pushed_once_after_the_grace_time_of_its_connect() {
    let world = World::new().await;
    let device = world.offline_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let job = world.static_job(&package, "TargetSelection=ALL").await;
    seconds_pass(3_600).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    let mut wire = world.online(&device).await;
    assert!(wire.push_within(1).await.is_none(), "it may report first");
    assert_eq!(wire.pushed().await, "2.0");
    assert_eq!(world.state(&job).await, "IN_PROGRESS: NOTIFIED");
    assert!(wire.push_within(600).await.is_none(), "once for each connection");
}

#[tokio::test(start_paused = true)]
async fn progress_of_100_without_the_version_ends_in_the_timeout_and_is_not_retried() {
    let world = World::new().await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let policy = "RetryInterval=0&RetryCount=5&TimeoutInMinutes=1";
    let job = world.static_job(&package, &format!("TargetSelection=ALL&{policy}")).await;
    wire.pushed().await;
    wire.is_at(100).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS");
    assert!(wire.push_within(600).await.is_none(), "a timeout is final");
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
    assert_eq!(world.tasks(&job).await[0]["TaskDesc"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_failed_download_is_pushed_again_as_often_as_the_job_says_and_then_fails() {
    let world = World::new().await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let policy = "RetryInterval=0&RetryCount=2";
    let job = world.static_job(&package, &format!("TargetSelection=ALL&{policy}")).await;
    wire.pushed().await;
    wire.is_at(5).await;
    for _ in 0..2 {
        wire.is_at(-2).await;
        assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS");
        assert_eq!(wire.pushed().await, "2.0");
    }
    wire.is_at(-2).await;
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
    assert_eq!(world.tasks(&job).await[0]["TaskDesc"], "download failed");
    assert!(wire.push_within(600).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_version_fails_an_upgrade_in_progress_but_not_one_that_was_only_announced() {
    let world = World::new().await;
    let package = world.package("2.0", "").await;
    let (_, mut begun) = world.device_at("begun", "1.0").await;
    let (_, mut told) = world.device_at("told", "1.0").await;
    let job = world.static_job(&package, "TargetSelection=ALL").await;
    for wire in [&mut begun, &mut told] {
        wire.pushed().await;
    }
    begun.is_at(10).await;
    for wire in [&mut begun, &mut told] {
        wire.informs("1.5").await;
    }
    assert_eq!(world.state(&job).await, "IN_PROGRESS: FAILED NOTIFIED");
    let tasks = world.tasks(&job).await;
    assert_eq!(tasks[0]["TaskDesc"], "report version is not conform");
    assert_eq!(tasks[1]["SrcVersion"], "1.5");
}

#[tokio::test(start_paused = true)]
async fn each_reconnect_of_an_upgrade_in_progress_pushes_again_and_leaves_its_clock_alone() {
    let world = World::new().await;
    let (device, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let job = world.static_job(&package, "TargetSelection=ALL&TimeoutInMinutes=10").await;
    wire.pushed().await;
    wire.is_at(10).await;
    for _ in 0..5 {
        wire.breaks();
        seconds_pass(60).await;
        wire = world.online(&device).await;
        assert_eq!(wire.pushed().await, "2.0");
    }
    // Five minutes and five times the grace time are over.
    seconds_pass(4 * 60).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: IN_PROGRESS");
    seconds_pass(60).await;
    assert_eq!(world.state(&job).await, "COMPLETED: FAILED");
}

#[tokio::test(start_paused = true)]
async fn a_device_pulls_nothing_before_its_task_is_confirmed_and_confirming_keeps_to_the_schedule()
{
    let world = World::new().await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let job =
        world.static_job(&package, "TargetSelection=ALL&NeedConfirm=true&NeedPush=false").await;
    assert_eq!(wire.pulls().await, serde_json::json!({}));
    assert_eq!(world.state(&job).await, "IN_PROGRESS: CONFIRM");
    let id = &world.task_ids(&job).await[0];
    world.ok("ConfirmOTATask", &format!("TaskId.1={id}")).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    assert_eq!(wire.pulls().await["version"], "2.0");
    wire.informs("2.0").await;
    assert_eq!(world.state(&job).await, "COMPLETED: SUCCEEDED");

    let next = world.package("3.0", "").await;
    let schedule = format!(
        "ScheduleTime={}&ScheduleFinishTime={}",
        world.in_minutes(10),
        world.in_minutes(10 + 60)
    );
    let more = format!("TargetSelection=ALL&NeedConfirm=true&{schedule}");
    let job = world.static_job(&next, &more).await;
    let confirm = format!("TaskId.1={}", world.task_ids(&job).await[0]);
    assert_eq!(world.refused("ConfirmOTATask", &confirm).await, "InvalidTaskStatus");
    wire.breaks();
    seconds_pass(2 * 3_600).await;
    assert_eq!(world.state(&job).await, "COMPLETED: CANCELED");
    assert_eq!(world.refused("ConfirmOTATask", &confirm).await, "InvalidTaskStatus");
}

#[tokio::test(start_paused = true)]
async fn reporting_the_same_version_again_is_no_change() {
    let world = World::new().await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let package = world.package("2.0", "").await;
    let job = world.dynamic_job(&package, "SrcVersion.1=1.0&DynamicMode=2").await;
    wire.informs("1.0").await;
    assert!(wire.push_within(60).await.is_none());
    assert_eq!(world.state(&job).await, "IN_PROGRESS: ");
    wire.informs("0.9").await;
    wire.informs("1.0").await;
    assert_eq!(wire.pushed().await, "2.0");
}
