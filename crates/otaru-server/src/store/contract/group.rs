//! Groups, and jobs that are made for them.

use super::*;
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{GroupId, GroupNo, InstanceNo};
use otaru_core::job::JobGroup;
use otaru_core::rule::Rule;

const HERE: InstanceNo = InstanceNo(0);

fn here(account: AccountNo) -> Realm {
    Realm { account, instance: HERE }
}

fn new_group(account: AccountNo, n: u128, parent: Option<GroupNo>) -> Group {
    Group {
        no: GroupNo(0),
        account,
        instance: HERE,
        id: GroupId::generate(n),
        name: format!("group_{n}"),
        description: "lamps".into(),
        parent,
        level: 1 + u32::from(parent.is_some()),
        rule: None,
        children: 0,
        devices: 0,
        created_at: at(7_000),
    }
}

fn add(engine: &mut dyn Engine, group: &Group) -> GroupNo {
    change(engine, |rows| rows.insert_group(group))
}

pub fn groups_come_back_and_are_counted(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let mut parent = new_group(world.account, 1, None);
    parent.no = add(engine, &parent);
    let mut child = new_group(world.account, 2, Some(parent.no));
    child.no = add(engine, &child);
    let rule = Rule::parse(r#"name LIKE "灯%" or status = 'ONLINE'"#).unwrap();
    let mut dynamic = Group { rule: Some(rule), ..new_group(world.account, 3, None) };
    dynamic.no = add(engine, &dynamic);
    parent.children = 1;
    for group in [&parent, &child, &dynamic] {
        look(engine, |view| {
            assert_eq!(view.group(group.no)?.as_deref(), Some(group));
            assert_eq!(view.group_by_id(&group.id)?.as_deref(), Some(group));
            Ok(())
        });
    }
    let there = Realm { account: world.account, instance: InstanceNo(1) };
    look(engine, |view| {
        assert_eq!(view.group(GroupNo(99))?, None);
        assert_eq!(view.group_by_id(&GroupId::generate(99))?, None);
        assert!(view.group_name_exists(here(world.account), "group_2")?);
        assert!(!view.group_name_exists(here(AccountNo(99)), "group_2")?);
        assert!(!view.group_name_exists(there, "group_2")?);
        assert_eq!(view.group_count(here(world.account), GroupKind::Static)?, 2);
        assert_eq!(view.group_count(here(world.account), GroupKind::Dynamic)?, 1);
        assert_eq!(view.child_groups(parent.no)?, [child.no]);
        assert_eq!(view.products_of(here(world.account))?, [world.product]);
        Ok(())
    });
    change(engine, |rows| {
        rows.group(child.no)?;
        rows.describe_group(child.no, "")?;
        assert_eq!(rows.group(child.no)?.unwrap().description, "", "not the one that was read");
        rows.delete_group(&child)
    });
    look(engine, |view| {
        assert_eq!(view.group(child.no)?, None);
        assert_eq!(view.group(parent.no)?.unwrap().children, 0);
        Ok(())
    });
}

pub fn groups_are_listed_by_kind_parent_and_name(engine: &mut dyn Engine) {
    let world = world(engine, 0);
    let other = change(engine, |rows| rows.insert_account("other", at(0)));
    let rule = Rule::parse("status = 'ONLINE'").unwrap();
    let one = add(engine, &new_group(world.account, 1, None));
    let two = add(engine, &new_group(world.account, 2, Some(one)));
    let three = add(engine, &new_group(world.account, 13, Some(one)));
    let dynamic = add(engine, &Group { rule: Some(rule), ..new_group(world.account, 4, None) });
    add(engine, &new_group(other, 5, None));
    let listed = |engine: &mut dyn Engine, kind, parent, name: Option<&str>, page| {
        let name = name.map(str::to_owned);
        let filter = GroupFilter { realm: here(world.account), kind, parent, name };
        let listed = look(engine, |view| view.groups(&filter, page));
        (listed.rows.iter().map(|group| group.no).collect::<Vec<_>>(), listed.total)
    };
    let (fixed, by_rule) = (GroupKind::Static, GroupKind::Dynamic);
    assert_eq!(listed(engine, fixed, None, None, ALL), (vec![three, two, one], 3));
    assert_eq!(listed(engine, fixed, None, None, Page::new(2, 2)), (vec![one], 3));
    assert_eq!(listed(engine, by_rule, None, None, ALL), (vec![dynamic], 1));
    assert_eq!(listed(engine, fixed, Some(one), None, ALL), (vec![three, two], 2));
    assert_eq!(listed(engine, fixed, Some(one), Some("_2"), ALL), (vec![two], 1));
    assert_eq!(listed(engine, fixed, None, Some("1"), ALL), (vec![three, one], 2));
    assert_eq!(listed(engine, fixed, None, Some("%"), ALL), (vec![], 0));
}

pub fn members_enter_leave_and_are_walked(engine: &mut dyn Engine) {
    let world = world(engine, 4);
    let d = &world.devices;
    let (one, two) = (
        add(engine, &new_group(world.account, 1, None)),
        add(engine, &new_group(world.account, 2, None)),
    );
    change(engine, |rows| {
        for device in [d[2], d[0], d[1]] {
            rows.insert_member(one, device)?;
        }
        rows.insert_member(two, d[0])?;
        rows.note_online(d[1], at(9), "10.0.0.1")
    });
    look(engine, |view| {
        let numbers = |devices: Vec<Device>| devices.iter().map(|d| d.no).collect::<Vec<_>>();
        assert_eq!(view.group(one)?.unwrap().devices, 3);
        assert_eq!(numbers(view.group_devices(one, Page::new(1, 2))?), [d[2], d[1]]);
        assert_eq!(numbers(view.group_devices(one, Page::new(2, 2))?), [d[0]]);
        assert_eq!(view.group_members(one, d[0], d[3], 9)?, [d[1], d[2]]);
        assert_eq!(view.group_members(one, DeviceNo(0), d[1], 9)?, [d[0], d[1]]);
        assert_eq!(view.group_members(one, DeviceNo(0), d[3], 1)?, [d[0]]);
        assert_eq!(view.active_members(one)?, 1);
        assert!(view.is_member(two, d[0])? && !view.is_member(two, d[1])?);
        let of_device: Vec<_> = view.groups_of_device(d[0])?.iter().map(|g| g.no).collect();
        assert_eq!(of_device, [two, one]);
        Ok(())
    });
    change(engine, |rows| {
        assert!(rows.delete_member(one, d[2])?);
        assert!(!rows.delete_member(one, d[2])?);
        rows.leave_groups(d[0])
    });
    look(engine, |view| {
        assert_eq!((view.group(one)?.unwrap().devices, view.group(two)?.unwrap().devices), (1, 0));
        assert!(view.groups_of_device(d[0])?.is_empty());
        Ok(())
    });
    change(engine, |rows| {
        let group = rows.group(one)?.unwrap();
        rows.delete_group(&group)
    });
    assert!(look(engine, |view| view.groups_of_device(d[1])).is_empty());
}

pub fn jobs_are_found_by_the_group_they_watch_or_are_made_of(engine: &mut dyn Engine) {
    let world = world(engine, 1);
    let group = |n: i64| {
        Some(JobGroup { no: GroupNo(n), id: GroupId::generate(1), name: "北区_1".into() })
    };
    let dynamic = Selection::Dynamic(DynamicMode::CurrentAndLater);
    let fill = Some(Fill { after: 0, until: 9, rank_max: None });
    let mut jobs = [
        Job { selection: dynamic, group: group(1), ..new_job(&world.package, 1) },
        Job { selection: dynamic, ..new_job(&world.package, 2) },
        Job {
            selection: dynamic,
            group: group(1),
            status: JobStatus::Canceled,
            ..new_job(&world.package, 3)
        },
        Job { selection: Selection::Group, group: group(2), fill, ..new_job(&world.package, 4) },
    ];
    for job in &mut jobs {
        job.no = add_job(engine, job);
        assert_eq!(look(engine, |view| view.job(job.no)).as_deref(), Some(&*job));
    }
    look(engine, |view| {
        assert_eq!(view.watched_modules(world.product)?, [ModuleName::default()]);
        assert!(view.watched_modules(ProductNo(99))?.is_empty());
        assert_eq!(view.jobs_of_dynamic_group(GroupNo(1))?, [jobs[0].no]);
        assert!(view.jobs_of_dynamic_group(GroupNo(2))?.is_empty());
        assert!(view.group_fills_job(GroupNo(2))? && !view.group_fills_job(GroupNo(1))?);
        Ok(())
    });
    change(engine, |rows| rows.update_job(&Job { fill: None, ..jobs[3].clone() }));
    assert!(!look(engine, |view| view.group_fills_job(GroupNo(2))));
}
