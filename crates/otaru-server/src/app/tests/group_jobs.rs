//! Jobs for groups: whom a static one takes, and who joins a group that a dynamic one watches.

use super::groups::code;
use super::*;
use otaru_core::group::{Group, GroupKind};
use otaru_core::job::DynamicMode;
use otaru_core::policy::{OverwriteMode, Policy};

impl World {
    fn watching(&self, package: &str, group: &Group, mode: DynamicMode) -> NewJob {
        self.job(package, Target::DynamicGroup(mode, group.id.to_string()))
    }
}

const CURRENT: DynamicMode = DynamicMode::CurrentAndLater;

#[tokio::test(start_paused = true)]
async fn a_group_holds_20_000_devices() {
    let world = World::new().await;
    world.fleet(20_001).await;
    let group = world.group("area", None).await;
    let names: Vec<_> = (0..20_001).map(|n| format!("device-{n:06}")).collect();
    for names in names[..20_000].chunks(200) {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        world.add(&group, &names).await;
    }
    let last = world.pairs(&["device-020000"]);
    let full = world.app.add_to_group(world.caller, group.id.to_string(), last).await;
    assert_eq!(code(full), "iot.group.BindGroupRelationFailed");
    // A job for all of them is made in slices, of the members that there were when it was made.
    let package = world.package("2.0").await;
    let leaving = world.pairs(&["device-000000"]);
    let id = || group.id.to_string();
    let (job, leave, delete) = tokio::join!(
        world.app.create_job(world.caller, world.job(&package, Target::Group(id()))),
        world.app.remove_from_group(world.caller, id(), leaving.clone()),
        world.app.delete_group(world.caller, id(), GroupKind::Static),
    );
    assert_eq!(code(leave), "iot.group.BindGroupRelationFailed");
    assert_eq!(code(delete), "iot.group.DeleteGroupFailed");
    let job = job.unwrap().0.to_string();
    world.passes(60_000).await;
    let filter = TaskFilter::Page(crate::store::Page { skip: 0, take: 1 });
    let tasks = world.app.tasks(world.caller, job, None, filter).await.unwrap();
    assert_eq!(tasks.total, 20_000);
    world.app.remove_from_group(world.caller, id(), leaving).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_job_for_several_groups_takes_each_member_once() {
    let world = World::new().await;
    world.fleet(12_000).await;
    let top = world.group("top_", None).await;
    let child = world.group("child", Some(&top)).await;
    let names: Vec<_> = (0..12_000).map(|n| format!("device-{n:06}")).collect();
    for (group, names) in [(&top, &names[6_000..]), (&child, &names[..11_000])] {
        for names in names.chunks(200) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            world.add(group, &names).await;
        }
    }
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::Group(top.id.to_string()))).await;
    world.passes(60_000).await;
    let filter = TaskFilter::Page(crate::store::Page { skip: 0, take: 1 });
    let tasks = world.app.tasks(world.caller, job, None, filter).await.unwrap();
    assert_eq!(tasks.total, 12_000);
}

#[tokio::test(start_paused = true)]
async fn a_job_for_a_group_has_no_more_devices_than_the_operator_allows() {
    let world = World::with_limits(Limits { job_devices_max: Some(1), ..Limits::default() }).await;
    let group = world.group("area", None).await;
    for name in ["dev-a", "dev-b"] {
        world.device(name).await;
    }
    world.add(&group, &["dev-a", "dev-b"]).await;
    let package = world.package("2.0").await;
    let new = || world.job(&package, Target::Group(group.id.to_string()));
    assert_eq!(world.refused(new()).await, "iot.firmware.TooManyDeviceUpgrade");
    let pair = world.pairs(&["dev-a"]);
    world.app.remove_from_group(world.caller, group.id.to_string(), pair).await.unwrap();
    world.create(new()).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_for_a_group_takes_members_of_its_product_and_of_child_groups_once() {
    let world = World::new().await;
    for name in ["dev-a", "dev-b", "dev-c", "dev-d"] {
        world.device(name).await;
    }
    let new = NewProduct { name: "other".into(), profile: ProductProfile::default() };
    let other = world.app.create_product(world.caller, new).await.unwrap();
    let foreign = NewDevice {
        product_key: other.key.to_string(),
        name: Some("dev-x".parse().unwrap()),
        nickname: String::new(),
    };
    world.app.register_device(world.caller, foreign).await.unwrap();
    let top = world.group("top_", None).await;
    let child = world.group("child", Some(&top)).await;
    let leaf = world.group("leaf", Some(&child)).await;
    world.add(&top, &["dev-a"]).await;
    world.add(&child, &["dev-a", "dev-b"]).await;
    world.add(&leaf, &["dev-c"]).await;
    let pair = vec![(other.key.to_string(), "dev-x".to_owned())];
    world.app.add_to_group(world.caller, top.id.to_string(), pair).await.unwrap();
    let at_dest =
        world.app.device_detail(world.caller, world.device_key("dev-b")).await.unwrap().device;
    world.informs(&at_dest, "2.0").await;
    let package = world.package("2.0").await;
    let job = world.create(world.job(&package, Target::Group(top.id.to_string()))).await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED QUEUED");
    let view = world.app.job(world.caller, job.clone()).await.unwrap();
    assert_eq!(view.job.selection.target_wire(), "GROUP");
    assert_eq!(view.job.group.map(|group| group.name).as_deref(), Some("top_"));
    let empty = world.group("empty", None).await;
    assert_eq!(
        world.refused(world.job(&package, Target::Group(empty.id.to_string()))).await,
        "iot.firmware.NoDeviceCanUpgrade"
    );
    // Whoever leaves, and whatever is deleted, the tasks stay, and the job knows its group.
    let pair = world.pairs(&["dev-a"]);
    world.app.remove_from_group(world.caller, top.id.to_string(), pair).await.unwrap();
    for group in [&leaf, &child, &top] {
        let id = group.id.to_string();
        world.app.delete_group(world.caller, id, GroupKind::Static).await.unwrap();
    }
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED QUEUED");
    let view = world.app.job(world.caller, job).await.unwrap();
    assert_eq!(view.job.group.map(|group| group.name).as_deref(), Some("top_"));
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_job_for_a_group_takes_members_and_whoever_joins() {
    let world = World::new().await;
    let (a, b) = (world.device("dev-a").await, world.device("dev-b").await);
    world.informs(&b, "1.0").await;
    world.tag("dev-a", "ring", "1").await;
    let ring = world.rule("ring", "tag.tag_name = 'ring' and tag.tag_value = '1'").await;
    let package = world.package("2.0").await;
    let job = world.create(world.watching(&package, &ring, CURRENT)).await;
    assert_eq!(
        world.state(&job).await,
        "IN_PROGRESS: QUEUED",
        "it never reported and fits all the same"
    );
    world.informs(&b, "1.1").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED", "no member");
    world.tag("dev-b", "ring", "1").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED QUEUED");
    // Leaving a group and joining it again changes nothing for a task that is there.
    world.tag("dev-b", "ring", "2").await;
    world.tag("dev-b", "ring", "1").await;
    assert_eq!(world.tasks(&job).await.len(), 2);
    // There is no end of matches.
    for _ in 0..11 {
        world.informs(&a, "2.0").await;
        world.informs(&a, "1.0").await;
    }
    assert_eq!(world.tasks(&job).await.len(), 13);
    let view = world.app.job(world.caller, job.clone()).await.unwrap();
    assert_eq!(
        (view.job.selection.type_wire(), view.job.selection.target_wire()),
        ("DYNAMIC", "ALL")
    );
    assert_eq!(view.job.group.map(|group| group.id), Some(ring.id.clone()));
    // A group that is gone has no members; its job goes on with the tasks that it has.
    let id = ring.id.to_string();
    world.app.delete_group(world.caller, id, GroupKind::Dynamic).await.unwrap();
    world.device("dev-c").await;
    world.tag("dev-c", "ring", "1").await;
    assert_eq!(world.tasks(&job).await.len(), 13);
    assert!(world.pulls(&b).await);
}

#[tokio::test(start_paused = true)]
async fn each_change_that_can_make_a_device_join_a_group_is_noticed() {
    let world = World::new().await;
    let area = world.group("area", None).await;
    let rules = [
        ("tags", "tag.tag_name = 'ring'".to_owned()),
        ("area_", format!("group.group_id = '{}'", area.id)),
        ("modules", "ota_module.name = 'mcu' and ota_module.version = '7'".to_owned()),
        ("fresh", "name LIKE 'fresh%'".to_owned()),
        ("active", "active_time > 1990-01-01".to_owned()),
        ("status", "status = 'OFFLINE' and nickname = ''".to_owned()),
    ];
    let mut jobs = Vec::new();
    for (n, (name, rule)) in rules.iter().enumerate() {
        let group = world.rule(name, rule).await;
        let package = world.package(&format!("2.{n}")).await;
        // Several policies may want one device, so each has a device of its own and the newest comes last.
        jobs.push(world.create(world.watching(&package, &group, CURRENT)).await);
    }
    let count = async |job: usize| world.tasks(&jobs[job]).await.len();
    world.device("dev-tag").await;
    world.tag("dev-tag", "ring", "").await;
    assert_eq!(count(0).await, 1);
    world.device("dev-area").await;
    world.add(&area, &["dev-area"]).await;
    assert_eq!(count(1).await, 1);
    let device = world.device("dev-mcu").await;
    let inform = Inform { module: ModuleName::parse("MCU").unwrap(), version: version("7") };
    world.says(&device, Report::Inform(inform)).await;
    assert_eq!(count(2).await, 1);
    world.device("fresh-1").await;
    assert_eq!(count(3).await, 1);
    let device = world.device("dev-active").await;
    world.connects(&device, 1);
    world.passes(1).await;
    // The registry knows no such connection, so it is offline at once; the newer job has it.
    assert_eq!((count(4).await, count(5).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_job_for_a_group_in_mode_2_takes_new_reports_only() {
    let world = World::new().await;
    let device = world.device("dev-a").await;
    world.informs(&device, "1.0").await;
    let group = world.rule("lamps", "name LIKE 'dev%'").await;
    let package = world.package("2.0").await;
    let job = world.create(world.watching(&package, &group, DynamicMode::NewReports)).await;
    world.tag("dev-a", "ring", "1").await;
    world.informs(&device, "1.0").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: ");
    world.informs(&device, "1.1").await;
    assert_eq!(world.state(&job).await, "IN_PROGRESS: QUEUED");
}

#[tokio::test(start_paused = true)]
async fn a_delta_package_for_a_dynamic_group_goes_to_its_source_version_only() {
    let world = World::new().await;
    let (fits, other) = (world.device("dev-fits").await, world.device("dev-other").await);
    world.device("dev-silent").await;
    world.informs(&fits, "1.0").await;
    world.informs(&other, "1.5").await;
    let group = world.rule("lamps", "name LIKE 'dev%'").await;
    let package = world.package_of("2.0", Some("1.0"), PackageStatus::NoVerify).await;
    let job = world.create(world.watching(&package, &group, CURRENT)).await;
    assert_eq!(world.tasks(&job).await.len(), 1);
    world.informs(&other, "1.0").await;
    assert_eq!(world.tasks(&job).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_one_dynamic_group_have_the_same_modes_even_when_made_at_once() {
    let world = World::new().await;
    let group = world.rule("lamps", "name LIKE 'dev%'").await;
    let (a, b) = (world.package("2.0").await, world.package("3.0").await);
    let replace = Policy { overwrite: OverwriteMode::Replace, ..Policy::default() };
    let new = |package: &str, policy: &Policy| NewJob {
        policy: policy.clone(),
        ..world.watching(package, &group, CURRENT)
    };
    let keep = Policy::default();
    let (first, second) = tokio::join!(
        world.app.create_job(world.caller, new(&a, &keep)),
        world.app.create_job(world.caller, new(&b, &replace)),
    );
    let refused = [first, second].into_iter().filter_map(std::result::Result::err);
    let codes: Vec<_> = refused.map(|error| code::<()>(Err(error))).collect();
    assert_eq!(codes, ["iot.firmware.InvalidOverwriteMode"]);
    let multi = Policy { multi_module: true, ..Policy::default() };
    let c = world.package("4.0").await;
    assert_eq!(world.refused(new(&c, &multi)).await, "iot.firmware.InvalidOverwriteMode");
    world.create(new(&c, &keep)).await;
    // Two jobs of one package do not both run either.
    let again = tokio::join!(
        world.app.create_job(world.caller, new(&b, &keep)),
        world.app.create_job(world.caller, new(&b, &keep)),
    );
    let made = [again.0.is_ok(), again.1.is_ok()];
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_joins_by_its_status_when_it_comes_goes_or_is_disabled() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for (n, status) in ["ONLINE", "OFFLINE", "DISABLE"].into_iter().enumerate() {
        let group = world.rule(&format!("is_{status}"), &format!("status = '{status}'")).await;
        let package = world.package(&format!("2.{n}")).await;
        let replace = Policy { overwrite: OverwriteMode::Replace, ..Policy::default() };
        let new = NewJob { policy: replace, ..world.watching(&package, &group, CURRENT) };
        jobs.push(world.create(new).await);
    }
    let states = async || {
        let mut states = Vec::new();
        for job in &jobs {
            let tasks = world.tasks(job).await;
            states
                .push(tasks.iter().map(|task| task.status.as_wire()).collect::<Vec<_>>().join(" "));
        }
        states
    };
    let device = world.online("dev-a").await;
    world.settles().await;
    assert_eq!(states().await, ["QUEUED", "", ""]);
    let device = device.unplugs();
    world.settles().await;
    assert_eq!(states().await, ["CANCELED", "QUEUED", ""]);
    let key = world.device_key("dev-a");
    world.app.set_disabled(world.caller, key.clone(), true).await.unwrap();
    assert_eq!(states().await, ["CANCELED", "CANCELED", "QUEUED"]);
    // A member that is there again is taken from another version only.
    world.app.set_disabled(world.caller, key, false).await.unwrap();
    assert_eq!(states().await, ["CANCELED", "CANCELED", "QUEUED"]);
    world.informs(&device, "1.0").await;
    assert_eq!(states().await, ["CANCELED", "CANCELED QUEUED", "CANCELED"]);
}
