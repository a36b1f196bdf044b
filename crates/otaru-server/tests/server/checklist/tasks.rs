//! Devices that are busy, and tasks that are canceled and started again.

use super::world::World;

const ALL: &str = "TargetSelection=ALL";

#[tokio::test(start_paused = true)]
async fn a_busy_device_fails_the_newcomer_in_mode_1_and_is_taken_over_in_mode_2_unless_it_has_begun()
 {
    let world = World::new().await;
    let (first, second) = (world.package("2.0", "").await, world.package("3.0", "").await);
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    let old = world.static_job(&first, ALL).await;
    assert_eq!(wire.pushed().await, "2.0");
    let newcomer = world.static_job(&second, &format!("{ALL}&OverwriteMode=1")).await;
    assert_eq!(world.state(&newcomer).await, "COMPLETED: FAILED");
    assert_eq!(world.state(&old).await, "IN_PROGRESS: NOTIFIED");

    let taker = world.static_job(&second, &format!("{ALL}&OverwriteMode=2")).await;
    assert_eq!(world.state(&old).await, "COMPLETED: CANCELED");
    assert_eq!(wire.pushed().await, "3.0");
    wire.is_at(1).await;
    let late = world.static_job(&first, &format!("{ALL}&OverwriteMode=2")).await;
    assert_eq!(world.state(&late).await, "COMPLETED: FAILED");
    assert_eq!(world.state(&taker).await, "IN_PROGRESS: IN_PROGRESS");
}

#[tokio::test(start_paused = true)]
async fn two_modules_are_upgraded_side_by_side_and_a_newer_job_of_one_takes_the_place_of_the_older()
{
    let world = World::new().await;
    let module = format!("ProductKey={}&ModuleName=radio", world.product);
    world.ok("CreateOTAModule", &module).await;
    let main = world.package("2.0", "").await;
    let radio = world.package("0.2", "ModuleName=radio").await;
    let newer = world.package("0.3", "ModuleName=radio").await;
    let (_, mut wire) = world.device_at("lamp", "1.0").await;
    wire.informs_of("radio", "0.1").await;
    let multi = format!("{ALL}&MultiModuleMode=true");
    let one = world.static_job(&main, &multi).await;
    let two = world.static_job(&radio, &multi).await;
    let mut pushed = [wire.pushed().await, wire.pushed().await];
    pushed.sort_unstable();
    assert_eq!(pushed, ["0.2", "2.0"]);
    let three = world.static_job(&newer, &multi).await;
    assert_eq!(wire.pushed().await, "0.3");
    assert_eq!(world.state(&one).await, "IN_PROGRESS: NOTIFIED");
    assert_eq!(world.state(&two).await, "COMPLETED: CANCELED");
    wire.informs_of("radio", "0.3").await;
    assert_eq!(world.state(&three).await, "COMPLETED: SUCCEEDED");
    assert_eq!(world.state(&one).await, "IN_PROGRESS: NOTIFIED");
    let both = world.of(&main, &format!("{multi}&OverwriteMode=2"));
    let refused = world.refused("CreateOTAStaticUpgradeJob", &both).await;
    assert_eq!(refused, "InvalidOverwriteMode");
}

#[tokio::test(start_paused = true)]
async fn canceling_queued_tasks_takes_unconfirmed_ones_along_unless_they_are_spared() {
    let world = World::new().await;
    world.device("lamp1").await;
    world.device("lamp2").await;
    let package = world.package("2.0", "").await;
    for (flags, state) in [
        ("CancelQueuedTask=true", "CANCELED: CANCELED CANCELED"),
        ("CancelQueuedTask=true&CancelUnconfirmedTask=false", "IN_PROGRESS: CANCELED CONFIRM"),
    ] {
        let job = world.static_job(&package, &format!("{ALL}&NeedConfirm=true")).await;
        let ids = world.task_ids(&job).await;
        world.ok("ConfirmOTATask", &format!("TaskId.1={}", ids[0])).await;
        assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED CONFIRM");
        let job_id = format!("JobId={job}");
        for none in
            [String::new(), "&CancelQueuedTask=false&CancelUnconfirmedTask=false".to_owned()]
        {
            let refused = world.refused("CancelOTATaskByJob", &format!("{job_id}{none}")).await;
            assert_eq!(refused, "CancelOptionIsMandatory");
        }
        world.ok("CancelOTATaskByJob", &format!("{job_id}&{flags}")).await;
        assert_eq!(world.state(&job).await, state, "{flags}");
        world.ok("CancelOTATaskByJob", &format!("{job_id}&CancelUnconfirmedTask=true")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn failed_and_canceled_tasks_start_again_and_their_job_with_them_but_not_succeeded_ones() {
    let world = World::new().await;
    for (need_confirm, waits) in [("false", "QUEUED"), ("true", "CONFIRM")] {
        let package = world.package(&format!("2.0-{need_confirm}"), "").await;
        let dest = format!("2.0-{need_confirm}");
        let names = ["fails", "canceled", "succeeds"].map(|name| format!("{name}-{need_confirm}"));
        let mut wires = Vec::new();
        let mut more =
            format!("TargetSelection=SPECIFIC&NeedPush=false&NeedConfirm={need_confirm}");
        for (n, name) in names.iter().enumerate() {
            wires.push(world.device_at(name, "1.0").await.1);
            more = format!("{more}&TargetDeviceName.{}={name}", n + 1);
        }
        let job = world.static_job(&package, &more).await;
        let ids = world.task_ids(&job).await;
        if need_confirm == "true" {
            let params = format!("TaskId.1={}&TaskId.2={}", ids[0], ids[2]);
            world.ok("ConfirmOTATask", &params).await;
        }
        wires[0].pulls().await;
        wires[0].is_at(-1).await;
        wires[2].informs(&dest).await;
        world.ok("CancelOTATaskByJob", &format!("JobId={job}&CancelQueuedTask=true")).await;
        assert_eq!(world.state(&job).await, "CANCELED: FAILED CANCELED SUCCEEDED");

        let again = |id: &str| format!("JobId={job}&TaskId.1={id}");
        let refused = world.refused("ReupgradeOTATask", &again(&ids[2])).await;
        assert!(refused.starts_with("iot.ota."), "{refused}");
        for id in &ids[..2] {
            world.ok("ReupgradeOTATask", &again(id)).await;
        }
        let state = format!("IN_PROGRESS: {waits} {waits} SUCCEEDED");
        assert_eq!(world.state(&job).await, state);
        world.ok("CancelOTATaskByJob", &format!("JobId={job}&CancelQueuedTask=true")).await;
    }
}
