//! Groups, tags, and jobs for groups.

use super::*;
use otaru_core::group::{Group, GroupKind};
use otaru_core::job::DynamicMode;
use otaru_core::policy::{OverwriteMode, Policy};
use otaru_core::rule::Rule;

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(AppError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

impl World {
    async fn group(&self, name: &str, parent: Option<&Group>) -> Group {
        self.app.create_group(self.caller, new_group(name, parent)).await.unwrap()
    }

    async fn rule(&self, name: &str, rule: &str) -> Group {
        let rule = Rule::parse(rule).unwrap();
        let new = new_group(name, None);
        self.app.create_dynamic_group(self.caller, new, rule).await.unwrap()
    }

    fn pairs(&self, names: &[&str]) -> Vec<DevicePair> {
        let key = self.product.key.to_string();
        names.iter().map(|&name| (key.clone(), name.to_owned())).collect()
    }

    async fn add(&self, group: &Group, names: &[&str]) -> Relations {
        let (id, pairs) = (group.id.to_string(), self.pairs(names));
        self.app.add_to_group(self.caller, id, pairs).await.unwrap()
    }

    async fn tag(&self, name: &str, key: &str, value: &str) {
        let tags = vec![(key.to_owned(), value.to_owned())];
        self.app.save_device_tags(self.caller, self.device_key(name), tags).await.unwrap();
    }

    fn device_key(&self, name: &str) -> DeviceKey {
        DeviceKey {
            iot_id: None,
            product_key: Some(self.product.key.to_string()),
            device_name: Some(name.to_owned()),
        }
    }

    /// Names of a dynamic group's members, page by page of `take` along their tokens, and the total of each page.
    async fn members(&self, group: &Group, take: u32) -> (Vec<String>, Vec<u64>) {
        let (mut names, mut totals) = (Vec::new(), Vec::new());
        let mut from = MembersFrom::Skip(0);
        loop {
            let (id, filter) = (group.id.to_string(), MemberFilter::default());
            let page = self.app.dynamic_group_devices(self.caller, id, filter, from, take);
            let page = page.await.unwrap();
            names.extend(page.members.iter().map(|member| member.device.name.to_string()));
            totals.push(page.total);
            let Some((product, device)) = page.next else { return (names, totals) };
            from = MembersFrom::Behind(product, device);
        }
    }

    fn watching(&self, package: &str, group: &Group, mode: DynamicMode) -> NewJob {
        self.job(package, Target::DynamicGroup(mode, group.id.to_string()))
    }
}

fn new_group(name: &str, parent: Option<&Group>) -> NewGroup {
    NewGroup {
        name: name.to_owned(),
        description: String::new(),
        parent: parent.map(|parent| parent.id.to_string()),
    }
}

const CURRENT: DynamicMode = DynamicMode::CurrentAndLater;

#[tokio::test(start_paused = true)]
async fn groups_have_their_limits() {
    let world = World::new().await;
    let top = world.group("top_", None).await;
    for n in 0..100 {
        world.group(&format!("child_{n}"), Some(&top)).await;
    }
    let create = |name: &str, parent| world.app.create_group(world.caller, new_group(name, parent));
    assert_eq!(code(create("child_100", Some(&top)).await), "iot.group.GroupCountExceedMax");
    for n in 101..1_000 {
        world.group(&format!("group_{n}"), None).await;
    }
    assert_eq!(code(create("one_more", None).await), "iot.group.GroupCountExceedMax");
    for n in 0..10 {
        world.rule(&format!("rule_{n}"), "status = 'ONLINE'").await;
    }
    let rule = Rule::parse("status = 'ONLINE'").unwrap();
    let eleventh = world.app.create_dynamic_group(world.caller, new_group("rule_10", None), rule);
    assert_eq!(code(eleventh.await), "iot.group.GroupCountExceedMax");
    let list = world.app.groups(
        world.caller,
        GroupKind::Static,
        None,
        None,
        crate::store::Page::new(5, 200),
    );
    let list = list.await.unwrap();
    assert_eq!((list.rows.len(), list.total), (200, 1_000));
    assert_eq!(list.rows[199].name, "top_");
    // A group that goes makes room, under its parent too.
    let children = crate::store::Page { skip: 0, take: 1 };
    let parent = Some(top.id.to_string());
    let newest =
        world.app.groups(world.caller, GroupKind::Static, parent, None, children).await.unwrap();
    let (id, kind) = (newest.rows[0].id.to_string(), GroupKind::Static);
    world.app.delete_group(world.caller, id, kind).await.unwrap();
    world.group("child_100", Some(&top)).await;
}

#[tokio::test(start_paused = true)]
async fn devices_enter_and_leave_groups_and_what_became_of_each_is_counted() {
    let world = World::new().await;
    for name in ["dev-a", "dev-b", "dev-c"] {
        world.device(name).await;
    }
    let group = world.group("area", None).await;
    let relations = world.add(&group, &["dev-a", "dev-b", "dev-a", "nobody", "?"]).await;
    assert_eq!(relations, Relations { valid: 3, related: 1, exceeding: 0, changed: 2 });
    for n in 0..9 {
        let other = world.group(&format!("other_{n}"), None).await;
        world.add(&other, &["dev-a"]).await;
    }
    let eleventh = world.group("eleventh", None).await;
    let relations = world.add(&eleventh, &["dev-a", "dev-c"]).await;
    assert_eq!(relations, Relations { valid: 2, related: 0, exceeding: 1, changed: 1 });
    let key = world.product.key.to_string();
    let groups = world.app.groups_of_device(world.caller, key, "dev-a".into()).await.unwrap();
    assert_eq!(groups.len(), 10);
    let leave = |names| {
        let (id, pairs) = (group.id.to_string(), world.pairs(names));
        world.app.remove_from_group(world.caller, id, pairs)
    };
    let relations = leave(&["dev-a", "dev-c", "nobody"]).await.unwrap();
    assert_eq!(relations, Relations { valid: 2, related: 1, exceeding: 0, changed: 1 });
    world.connects(&world.device("dev-d").await, 1);
    world.add(&group, &["dev-d"]).await;
    let view =
        world.app.group(world.caller, group.id.to_string(), GroupKind::Static).await.unwrap();
    assert_eq!((view.devices, view.active, view.online), (2, 1, 0), "the registry knows nobody");
}

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
async fn members_of_a_dynamic_group_are_those_its_rule_matches_now() {
    let world = World::new().await;
    for name in ["lamp-1", "lamp-2", "lamp-3", "door-1"] {
        world.device(name).await;
    }
    let lamps = world.rule("lamps", "name LIKE 'lamp%'").await;
    let newest_first = vec!["lamp-3", "lamp-2", "lamp-1"];
    for take in [1, 2, 3, 10] {
        let (names, totals) = world.members(&lamps, take).await;
        assert_eq!(names, newest_first, "{take}");
        assert!(totals.iter().all(|total| *total == 3), "{totals:?}");
    }
    let room = world.rule("room", "tag.tag_name = 'room' and tag.tag_value = '101'").await;
    assert!(world.members(&room, 9).await.0.is_empty());
    world.tag("lamp-2", "room", "101").await;
    world.tag("lamp-3", "room", "102").await;
    assert_eq!(world.members(&room, 9).await.0, ["lamp-2"]);
    let area = world.group("area", None).await;
    world.add(&area, &["lamp-1", "door-1"]).await;
    let rule = format!("group.group_id = '{}' and name LIKE 'lamp%'", area.id);
    let both = world.rule("both", &rule).await;
    assert_eq!(world.members(&both, 9).await.0, ["lamp-1"]);
    let device =
        world.app.device_detail(world.caller, world.device_key("lamp-1")).await.unwrap().device;
    world.informs(&device, "1.5").await;
    let version = world.rule("version", "ota_module.version LIKE '1.%'").await;
    assert_eq!(world.members(&version, 9).await.0, ["lamp-1"]);
    let product = format!("product_key = '{}' and status = 'UNACTIVE'", world.product.key);
    let product = world.rule("product", &product).await;
    assert_eq!(world.members(&product, 9).await.0.len(), 4);
    let nobody = world.rule("nobody", "product_key = 'a1x' or product_key = 'a1y'").await;
    assert!(world.members(&nobody, 9).await.0.is_empty());
    let info = world.app.group(world.caller, lamps.id.to_string(), GroupKind::Dynamic).await;
    assert_eq!(info.unwrap().devices, 3);
    let key = world.product.key.to_string();
    let groups = world.app.groups_of_device(world.caller, key, "lamp-1".into()).await.unwrap();
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["area", "product", "version", "both", "lamps"]);

    let page = |filter, from| {
        let id = lamps.id.to_string();
        world.app.dynamic_group_devices(world.caller, id, filter, from, 9)
    };
    for (name, count) in [
        (NameFilter::Is("lamp-2".into()), 1),
        (NameFilter::Is("lamp".into()), 0),
        (NameFilter::Holds("amp-".into()), 3),
    ] {
        let filter = MemberFilter { name: Some(name), ..MemberFilter::default() };
        assert_eq!(page(filter, MembersFrom::Skip(0)).await.unwrap().members.len(), count);
    }
    let online = otaru_core::device::DeviceStatus::Online;
    let filter = MemberFilter { status: Some(online), ..MemberFilter::default() };
    assert!(page(filter, MembersFrom::Skip(0)).await.unwrap().members.is_empty());
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
async fn a_name_is_given_once_even_to_two_groups_made_at_once() {
    let world = World::new().await;
    let rule = Rule::parse("status = 'ONLINE'").unwrap();
    let (first, second) = tokio::join!(
        world.app.create_group(world.caller, new_group("area", None)),
        world.app.create_dynamic_group(world.caller, new_group("area", None), rule),
    );
    assert!(first.is_ok());
    assert_eq!(code(second), "iot.group.GroupNameExisted");
}

#[tokio::test(start_paused = true)]
async fn devices_are_found_by_tags_and_a_device_has_a_hundred() {
    let world = World::new().await;
    for name in ["dev-a", "dev-b"] {
        world.device(name).await;
        world.tag(name, "room", "101").await;
    }
    world.tag("dev-b", "floor", "1").await;
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let found = |tags| async {
        let page = crate::store::Page { skip: 0, take: 10 };
        let listed = world.app.devices_by_tags(world.caller, tags, page).await.unwrap();
        assert_eq!(listed.total, listed.rows.len() as u64);
        listed.rows.into_iter().map(|(_, device)| device.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(vec![tag("room", "101")]).await, ["dev-b", "dev-a"]);
    assert_eq!(found(vec![tag("room", "101"), tag("floor", "1")]).await, ["dev-b"]);
    let many: Vec<_> = (0..98).map(|n| tag(&format!("k{n}"), "v")).collect();
    world.app.save_device_tags(world.caller, world.device_key("dev-b"), many).await.unwrap();
    let more = |tags| world.app.save_device_tags(world.caller, world.device_key("dev-b"), tags);
    let too_many = vec![tag("room", "102"), tag("new", "v")];
    assert_eq!(code(more(too_many).await), "iot.device.TooManyDevicePropertiesPerTime");
    more(vec![tag("room", "102")]).await.unwrap();
    assert_eq!(found(vec![tag("room", "101")]).await, ["dev-a"]);
    world
        .app
        .delete_device_tag(world.caller, world.device_key("dev-b"), "room".into())
        .await
        .unwrap();
    assert!(found(vec![tag("room", "102")]).await.is_empty());
}
