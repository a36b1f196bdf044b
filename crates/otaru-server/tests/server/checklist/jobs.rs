//! Verifications and standing policies.

use super::world::World;
use crate::scene::text;

#[tokio::test(start_paused = true)]
async fn canceling_a_policy_ends_its_job_while_its_tasks_go_on_and_can_be_canceled_later() {
    let world = World::new().await;
    let (_, mut one) = world.device_at("lamp1", "1.0").await;
    let (_, mut two) = world.device_at("lamp2", "1.0").await;
    let package = world.package("2.0", "").await;
    let job = world.dynamic_job(&package, "SrcVersion.1=1.0").await;
    for wire in [&mut one, &mut two] {
        wire.pushed().await;
        wire.is_at(10).await;
    }
    let job_id = format!("JobId={job}");
    world.ok("CancelOTAStrategyByJob", &job_id).await;
    assert_eq!(world.state(&job).await, "CANCELED: IN_PROGRESS IN_PROGRESS");
    let (_, mut late) = world.device_at("lamp3", "1.0").await;
    assert!(late.push_within(60).await.is_none(), "the policy takes nobody any more");
    one.informs("2.0").await;
    assert_eq!(world.state(&job).await, "CANCELED: SUCCEEDED IN_PROGRESS");
    world.ok("CancelOTATaskByJob", &format!("{job_id}&CancelInProgressTask=true")).await;
    assert_eq!(world.state(&job).await, "CANCELED: SUCCEEDED CANCELED");
}

#[tokio::test(start_paused = true)]
async fn a_package_is_for_jobs_once_all_of_at_most_ten_devices_verified_it() {
    let world = World::new().await;
    let package = world.package("2.0", "NeedToVerify=true").await;
    let names = |count: usize| {
        let names = (1..=count).map(|n| format!("TargetDeviceName.{n}=lamp-{n}"));
        names.collect::<Vec<_>>().join("&")
    };
    let mut wires = Vec::new();
    for n in 1..=2 {
        wires.push(world.device_at(&format!("lamp-{n}"), "1.0").await.1);
    }
    let eleven = world.of(&package, &names(11));
    assert_eq!(world.refused("CreateOTAVerifyJob", &eleven).await, "ParameterSizeExceedMax");
    let roll_out = world.of(&package, "TargetSelection=ALL");
    let verify = world.of(&package, &names(2));
    for (ends, status) in [("1.1", 3), ("2.0", 1)] {
        let refused = world.refused("CreateOTAStaticUpgradeJob", &roll_out).await;
        assert_eq!(refused, "FirmwareNotVerified");
        let made = world.ok("CreateOTAVerifyJob", &verify).await;
        assert_eq!(world.status(&package).await, 2);
        for wire in &mut wires {
            assert_eq!(wire.pushed().await, "2.0");
            wire.is_at(50).await;
        }
        wires[0].informs("2.0").await;
        wires[1].informs(ends).await;
        assert_eq!(world.status(&package).await, status);
        let job = world.ok("QueryOTAJob", &format!("JobId={}", text(&made["Data"]["JobId"]))).await;
        assert_eq!(job["Data"]["JobStatus"], "COMPLETED");
        // Back to where they can be upgraded again.
        for wire in &mut wires {
            wire.informs("1.0").await;
        }
    }
    let job = world.static_job(&package, "TargetSelection=ALL").await;
    assert_eq!(world.tasks(&job).await.len(), 2);
}
