//! Who is taken.

use super::world::World;
use crate::scene::text;

#[tokio::test(start_paused = true)]
async fn a_full_package_for_all_takes_reported_and_silent_devices_and_skips_those_that_have_it() {
    let world = World::new().await;
    world.offline_at("reported", "1.0").await;
    world.device("silent").await;
    world.offline_at("at-dest", "2.0").await;
    let package = world.package("2.0", "").await;
    let job = world.static_job(&package, "TargetSelection=ALL").await;
    let names: Vec<_> =
        world.tasks(&job).await.iter().map(|task| text(&task["DeviceName"])).collect();
    assert_eq!(names, ["reported", "silent"]);
}

#[tokio::test(start_paused = true)]
async fn a_delta_package_takes_its_exact_source_and_names_are_refused_where_a_list_is_sifted() {
    let world = World::new().await;
    world.offline_at("right", "1.0").await;
    world.offline_at("wrong", "1.1").await;
    world.device("silent").await;
    let delta = world.package("2.0", "Type=1&SrcVersion=1.0").await;
    for (name, code) in [("wrong", "SrcVersionMismatch"), ("silent", "NonVersionedDeviceInArray")] {
        let more =
            format!("TargetSelection=SPECIFIC&TargetDeviceName.1=right&TargetDeviceName.2={name}");
        let refused = world.refused("CreateOTAStaticUpgradeJob", &world.of(&delta, &more)).await;
        assert_eq!(refused, code);
    }
    let url = world.list_file("right\nwrong\nsilent\n").await;
    let listed =
        world.static_job(&delta, &format!("TargetSelection=SPECIFIC&DnListFileUrl={url}")).await;
    assert_eq!(world.state(&listed).await, "IN_PROGRESS: QUEUED");
    assert_eq!(world.tasks(&listed).await[0]["DeviceName"], "right");
    let all = world.static_job(&delta, "TargetSelection=ALL&SrcVersion.1=1.0").await;
    assert_eq!(world.tasks(&all).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gray_job_takes_its_share_of_the_devices_still_to_update_rounded_down_and_at_least_one() {
    let world = World::new().await;
    for n in 0..100 {
        world.device(&format!("lamp-{n:03}")).await;
    }
    for n in 0..20 {
        world.offline_at(&format!("done-{n:03}"), "2.0").await;
    }
    for (percent, taken) in [("33.33", 33), ("0.5", 1)] {
        let package = world.package("2.0", &format!("ModuleName=default&Udi={percent}")).await;
        let more = format!("TargetSelection=GRAY&GrayPercent={percent}");
        let job = world.static_job(&package, &more).await;
        assert_eq!(world.tasks(&job).await.len(), taken, "{percent} %");
        world.ok("CancelOTATaskByJob", &format!("JobId={job}&CancelQueuedTask=true")).await;
        world.ok("DeleteOTAFirmware", &format!("FirmwareId={package}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_job_is_alone_on_its_package_the_newest_policy_wins_and_a_device_matches_ten_times()
 {
    let world = World::new().await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let (older, newer) = (world.package("2.0", "").await, world.package("3.0", "").await);
    // Mode 2 leaves alone who has the version already.
    let first = world.dynamic_job(&older, "SrcVersion.1=1.0&DynamicMode=2").await;
    assert_eq!(world.state(&first).await, "IN_PROGRESS: ");
    let again = world.of(&older, "SrcVersion.1=7.0");
    let refused = world.refused("CreateOTADynamicUpgradeJob", &again).await;
    assert_eq!(refused, "InProgressDynamicJobExisted");
    let second = world.dynamic_job(&newer, "SrcVersion.1=1.0&DynamicMode=2").await;
    for round in 1..=11 {
        wire.informs("0.9").await;
        wire.informs("1.0").await;
        let matches = round.min(10);
        assert_eq!(world.tasks(&second).await.len(), matches, "round {round}");
        if round <= 10 {
            assert_eq!(wire.pushed().await, "3.0");
            wire.informs("3.0").await;
        }
    }
    // What the newest policy does not take any more, no older one takes either.
    assert_eq!(world.state(&first).await, "IN_PROGRESS: ");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_begins_5_minutes_to_7_days_ahead_and_ends_1_hour_to_30_days_later() {
    const DAY: i64 = 24 * 60;
    let world = World::new().await;
    world.device("lamp").await;
    let package = world.package("2.0", "").await;
    let at = |minutes| world.in_minutes(minutes);
    for (schedule, code) in [
        (format!("ScheduleTime={}", at(4)), "FireTimeTooShort"),
        (format!("ScheduleTime={}", at(8 * DAY)), "FireTimeTooLate"),
        (
            format!("ScheduleTime={}&ScheduleFinishTime={}", at(10), at(10 + 59)),
            "ScheduleFinishTimeTooEarly",
        ),
        (
            format!("ScheduleTime={}&ScheduleFinishTime={}", at(10), at(10 + 31 * DAY)),
            "ScheduleFinishTimeTooLate",
        ),
        (format!("ScheduleFinishTime={}", at(100)), "ScheduleFinishTimeWithoutStartTime"),
    ] {
        let params = world.of(&package, &format!("TargetSelection=ALL&{schedule}"));
        let refused = world.refused("CreateOTAStaticUpgradeJob", &params).await;
        assert_eq!(refused, code, "{schedule}");
    }
    let schedule = format!("ScheduleTime={}&ScheduleFinishTime={}", at(5), at(5 + 60));
    let job = world.static_job(&package, &format!("TargetSelection=ALL&{schedule}")).await;
    assert_eq!(world.state(&job).await, "PLANNED: QUEUED");
    super::world::seconds_pass(5 * 60 + 1).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
    super::world::seconds_pass(60 * 60).await;
    assert_eq!(world.state(&job).await, "COMPLETED: CANCELED");
}
