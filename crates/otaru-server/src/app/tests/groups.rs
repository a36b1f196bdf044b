//! Groups and tags.

use super::*;
use otaru_core::group::{Group, GroupKind};
use otaru_core::rule::Rule;

pub(super) fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(AppError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

impl World {
    pub(super) async fn group(&self, name: &str, parent: Option<&Group>) -> Group {
        self.app.create_group(self.caller, new_group(name, parent)).await.unwrap()
    }

    pub(super) async fn rule(&self, name: &str, rule: &str) -> Group {
        let rule = Rule::parse(rule).unwrap();
        let new = new_group(name, None);
        self.app.create_dynamic_group(self.caller, new, rule).await.unwrap()
    }

    pub(super) fn pairs(&self, names: &[&str]) -> Vec<DevicePair> {
        let key = self.product.key.to_string();
        names.iter().map(|&name| (key.clone(), name.to_owned())).collect()
    }

    pub(super) async fn add(&self, group: &Group, names: &[&str]) -> Relations {
        let (id, pairs) = (group.id.to_string(), self.pairs(names));
        self.app.add_to_group(self.caller, id, pairs).await.unwrap()
    }

    pub(super) async fn tag(&self, name: &str, key: &str, value: &str) {
        let tags = vec![(key.to_owned(), value.to_owned())];
        self.app.save_device_tags(self.caller, self.device_key(name), tags).await.unwrap();
    }

    pub(super) fn device_key(&self, name: &str) -> DeviceKey {
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
}

fn new_group(name: &str, parent: Option<&Group>) -> NewGroup {
    NewGroup {
        name: name.to_owned(),
        description: String::new(),
        parent: parent.map(|parent| parent.id.to_string()),
    }
}

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

#[tokio::test(start_paused = true)]
async fn a_rule_with_more_devices_than_the_operator_allows_is_refused() {
    let world =
        World::with_limits(Limits { group_devices_max: Some(2), ..Limits::default() }).await;
    for name in ["lamp-1", "lamp-2", "lamp-3", "door-1"] {
        world.device(name).await;
    }
    let create = |name: &str, rule: &str| {
        let rule = Rule::parse(rule).unwrap();
        world.app.create_dynamic_group(world.caller, new_group(name, None), rule)
    };
    create("two_lamps", "name = 'lamp-1' or name = 'lamp-2'").await.unwrap();
    assert_eq!(
        code(create("lamps", "name LIKE 'lamp%'").await),
        "iot.group.DynamicGroupMatchedDeviceCountExceedMax"
    );
    let taken = create("two_lamps", "name LIKE 'lamp%'").await;
    assert_eq!(code(taken), "iot.group.GroupNameExisted", "the name is looked at first");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_leaves_its_groups_and_tags() {
    let world = World::new().await;
    let (a, _) = (world.device("dev-a").await, world.device("dev-b").await);
    let group = world.group("area", None).await;
    world.add(&group, &["dev-a", "dev-b"]).await;
    world.tag("dev-a", "room", "101").await;
    world.app.delete_device(world.caller, world.device_key("dev-a")).await.unwrap();
    let devices = async || {
        let id = group.id.to_string();
        world.app.group(world.caller, id, GroupKind::Static).await.unwrap().devices
    };
    assert_eq!(devices().await, 1);
    let left = world.app.view(move |view| Ok(view.device_tags(a.no)?));
    assert!(left.await.unwrap().is_empty());
    let tags = vec![("area".to_owned(), "1".to_owned())];
    let key = world.product.key.to_string();
    world.app.create_product_tags(world.caller, key.clone(), tags).await.unwrap().unwrap();
    world.app.delete_product(world.caller, key).await.unwrap();
    assert_eq!(devices().await, 0);
    let page = crate::store::Page { skip: 0, take: 9 };
    let tagged = vec![("area".to_owned(), None)];
    assert!(world.app.products_by_tags(world.caller, tagged, page).await.unwrap().is_empty());
    let all = world.rule("all_", "name LIKE '%'").await;
    assert!(world.members(&all, 9).await.0.is_empty());
}
