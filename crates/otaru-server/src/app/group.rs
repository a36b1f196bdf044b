//! Static groups of devices, and what both kinds have in common.

use super::{App, AppError, Caller, Result, Statistics, dynamic, dynamic_group, lookup};
use crate::store::{GroupFilter, Listed, Page, Rows, View};
use otaru_core::device::Device;
use otaru_core::group::{self as rules, Group, GroupKind};
use otaru_core::id::{DeviceNo, GroupId, GroupNo};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::rule::Rule;
use otaru_core::time::Timestamp;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A group to make; its name and description are checked.
#[derive(Debug, Clone)]
pub struct NewGroup {
    pub name: String,
    pub description: String,
    /// The group that it is to be a child of.
    pub parent: Option<String>,
}

/// A group with its members counted.
#[derive(Debug, Clone)]
pub struct GroupView {
    pub group: Group,
    pub devices: u64,
    /// Members that have ever connected.
    pub active: u64,
    pub online: u64,
}

/// A device as a call names it: product key and name.
pub type DevicePair = (String, String);

/// What became of the devices that were to enter or leave a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relations {
    /// Devices that there are.
    pub valid: u32,
    /// Those that were in the group before.
    pub related: u32,
    /// Those that are in ten groups and can't be in another.
    pub exceeding: u32,
    pub changed: u32,
}

/// Numbers of members that are looked up at a time.
const READ: u32 = 5_000;

impl App {
    pub async fn create_group(&self, caller: Caller, new: NewGroup) -> Result<Group> {
        self.change(move |rows, now, _| {
            let parent = new.parent.as_deref().map(|id| parent_of(rows, caller, id)).transpose()?;
            check_name(rows, caller, &new.name)?;
            if let Some(parent) = &parent {
                if parent.level >= rules::LEVELS_MAX {
                    return Err(refusal::TOO_MANY_GROUP_LEVELS.into());
                }
                if parent.children >= rules::CHILDREN_MAX {
                    return Err(refusal::TOO_MANY_GROUPS.with(rules::CHILDREN_MAX).into());
                }
            }
            check_count(rows, caller, GroupKind::Static)?;
            insert(rows, caller, &new, parent.as_deref(), None, now)
        })
        .await
    }

    /// Changes the description, when there is one.
    pub async fn describe_group(
        &self,
        caller: Caller,
        id: String,
        kind: GroupKind,
        description: Option<String>,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let group = lookup::group(rows, caller, &id, kind)?;
            match &description {
                Some(description) => Ok(rows.describe_group(group.no, description)?),
                None => Ok(()),
            }
        })
        .await
    }

    /// Deletes a group. Jobs that were made for it and their tasks stay as they are.
    pub async fn delete_group(&self, caller: Caller, id: String, kind: GroupKind) -> Result<()> {
        self.change(move |rows, _, _| {
            let group = lookup::group(rows, caller, &id, kind)?;
            if group.children > 0 {
                return Err(refusal::GROUP_HAS_CHILDREN.with(group.children).into());
            }
            if fills_job(rows, &group)? {
                return Err(refusal::DELETE_GROUP_FAILED.with(FILLING).into());
            }
            Ok(rows.delete_group(&group)?)
        })
        .await
    }

    pub async fn groups(
        &self,
        caller: Caller,
        kind: GroupKind,
        parent: Option<String>,
        name: Option<String>,
        page: Page,
    ) -> Result<Listed<Group>> {
        self.view(move |view| {
            let parent = parent
                .as_deref()
                .map(|id| lookup::group(view, caller, id, GroupKind::Static))
                .transpose()?;
            let filter = GroupFilter {
                realm: caller.realm(),
                kind,
                parent: parent.map(|parent| parent.no),
                name: name.clone(),
            };
            let listed = view.groups(&filter, page)?;
            let rows = listed.rows.iter().map(|group| (**group).clone()).collect();
            Ok(Listed { rows, total: listed.total })
        })
        .await
    }

    /// A group and how many members it has; of a dynamic group as far as its list is walked.
    pub async fn group(&self, caller: Caller, id: String, kind: GroupKind) -> Result<GroupView> {
        if kind == GroupKind::Dynamic {
            return self.dynamic_group(caller, id).await;
        }
        let registry = self.registry.clone();
        self.view(move |view| {
            let group = lookup::group(view, caller, &id, kind)?;
            let active = view.active_members(group.no)?;
            let members = all_members(view, group.no)?;
            let online = members.iter().filter(|device| registry.peer(**device).is_some()).count();
            Ok(GroupView {
                devices: group.devices,
                active,
                online: online as u64,
                group: (*group).clone(),
            })
        })
        .await
    }

    /// Counts of a static group's members, of one product or of all.
    pub(super) async fn group_statistics(
        &self,
        caller: Caller,
        product_key: Option<String>,
        id: String,
    ) -> Result<Statistics> {
        let registry = self.registry.clone();
        self.view(move |view| {
            let key = product_key.as_deref();
            let product = key.map(|key| lookup::product(view, caller, key)).transpose()?;
            let group = lookup::group(view, caller, &id, GroupKind::Static)?;
            let mut sum = Statistics::default();
            for no in all_members(view, group.no)? {
                let Some(device) = view.device(no)? else { continue };
                if product.as_ref().is_none_or(|product| product.no == device.product) {
                    sum.devices += 1;
                    sum.activated += u64::from(device.activated_at.is_some());
                    sum.online += u64::from(registry.peer(no).is_some());
                }
            }
            Ok(sum)
        })
        .await
    }

    pub async fn add_to_group(
        &self,
        caller: Caller,
        id: String,
        devices: Vec<DevicePair>,
    ) -> Result<Relations> {
        self.change(move |rows, now, effects| {
            let group = lookup::group(rows, caller, &id, GroupKind::Static)?;
            let mut relations = Relations::default();
            let mut entering = BTreeSet::new();
            for device in found(rows, caller, &devices)? {
                relations.valid += 1;
                if entering.contains(&device) || rows.is_member(group.no, device)? {
                    relations.related += 1;
                } else if rows.groups_of_device(device)?.len() >= rules::GROUPS_OF_DEVICE_MAX {
                    relations.exceeding += 1;
                } else {
                    entering.insert(device);
                }
            }
            if group.devices + entering.len() as u64 > rules::DEVICES_MAX {
                let detail = format!("at most {} devices", rules::DEVICES_MAX);
                return Err(refusal::BIND_GROUP_FAILED.with(detail).into());
            }
            if !entering.is_empty() && fills_job(rows, &group)? {
                return Err(refusal::BIND_GROUP_FAILED.with(FILLING).into());
            }
            for device in entering {
                relations.changed += 1;
                rows.insert_member(group.no, device)?;
                dynamic::changed(rows, device, now, effects)?;
            }
            Ok(relations)
        })
        .await
    }

    pub async fn remove_from_group(
        &self,
        caller: Caller,
        id: String,
        devices: Vec<DevicePair>,
    ) -> Result<Relations> {
        self.change(move |rows, _, _| {
            let group = lookup::group(rows, caller, &id, GroupKind::Static)?;
            let mut relations = Relations::default();
            let mut leaving = BTreeSet::new();
            for device in found(rows, caller, &devices)? {
                relations.valid += 1;
                if rows.is_member(group.no, device)? && leaving.insert(device) {
                    relations.related += 1;
                }
            }
            if !leaving.is_empty() && fills_job(rows, &group)? {
                return Err(refusal::BIND_GROUP_FAILED.with(FILLING).into());
            }
            for device in leaving {
                // No rule asks for devices outside a group, so nobody joins one by this.
                relations.changed += u32::from(rows.delete_member(group.no, device)?);
            }
            Ok(relations)
        })
        .await
    }

    /// Members of a static group, newest first, those of its children not among them.
    pub async fn group_devices(
        &self,
        caller: Caller,
        id: String,
        page: Page,
    ) -> Result<Listed<(Product, Device)>> {
        self.view(move |view| {
            let group = lookup::group(view, caller, &id, GroupKind::Static)?;
            let devices = view.group_devices(group.no, page)?;
            Ok(Listed { rows: with_products(view, caller, devices)?, total: group.devices })
        })
        .await
    }

    /// Groups that a device is in, static ones first.
    pub async fn groups_of_device(
        &self,
        caller: Caller,
        product_key: String,
        device_name: String,
    ) -> Result<Vec<Group>> {
        let registry = self.registry.clone();
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let device = lookup::device(view, &product, &device_name)?;
            let mut groups: Vec<Group> =
                view.groups_of_device(device.no)?.iter().map(|group| (**group).clone()).collect();
            let filter = GroupFilter {
                realm: caller.realm(),
                kind: GroupKind::Dynamic,
                parent: None,
                name: None,
            };
            let dynamic = view.groups(&filter, Page { skip: 0, take: 100 })?;
            for group in dynamic.rows {
                if dynamic_group::contains(view, &group, &product, &device, &registry)? {
                    groups.push((*group).clone());
                }
            }
            Ok(groups)
        })
        .await
    }
}

/// Why members can't change now: a job takes those that there were when it was made.
const FILLING: &str = "a job is being made of the group, try again";

/// Devices with their products, but for those that the caller may not see.
pub(super) fn with_products(
    view: &mut dyn View,
    caller: Caller,
    devices: Vec<Device>,
) -> Result<Vec<(Product, Device)>> {
    let mut seen = Vec::with_capacity(devices.len());
    for device in devices {
        let product = view.product(device.product)?.expect("a device has a product");
        if lookup::may_see(view, caller, &product)? {
            seen.push(((*product).clone(), device));
        }
    }
    Ok(seen)
}

fn parent_of(rows: &mut dyn Rows, caller: Caller, id: &str) -> Result<Rc<Group>> {
    let parent = lookup::group_of_any_kind(rows, caller, id)?;
    match parent.kind() {
        GroupKind::Static => Ok(parent),
        GroupKind::Dynamic => Err(refusal::NO_SUPER_GROUP.into()),
    }
}

pub(super) fn check_name(view: &mut dyn View, caller: Caller, name: &str) -> Result<()> {
    if view.group_name_exists(caller.realm(), name)? {
        return Err(refusal::GROUP_NAME_TAKEN.with(name).into());
    }
    Ok(())
}

pub(super) fn check_count(view: &mut dyn View, caller: Caller, kind: GroupKind) -> Result<()> {
    let most = match kind {
        GroupKind::Static => rules::STATIC_MAX,
        GroupKind::Dynamic => rules::DYNAMIC_MAX,
    };
    if view.group_count(caller.realm(), kind)? >= most {
        return Err(refusal::TOO_MANY_GROUPS.with(most).into());
    }
    Ok(())
}

pub(super) fn insert(
    rows: &mut dyn Rows,
    caller: Caller,
    new: &NewGroup,
    parent: Option<&Group>,
    rule: Option<Rule>,
    now: Timestamp,
) -> Result<Group> {
    let mut group = Group {
        no: GroupNo(0),
        account: caller.account,
        instance: caller.instance,
        id: GroupId::generate(rows.random()),
        name: new.name.clone(),
        description: new.description.clone(),
        parent: parent.map(|parent| parent.no),
        level: parent.map_or(1, |parent| parent.level + 1),
        rule,
        children: 0,
        devices: 0,
        created_at: now,
    };
    group.no = rows.insert_group(&group)?;
    Ok(group)
}

/// The devices of a call that there are.
fn found(rows: &mut dyn Rows, caller: Caller, devices: &[DevicePair]) -> Result<Vec<DeviceNo>> {
    let mut found = Vec::with_capacity(devices.len());
    for (product_key, name) in devices {
        let product = match lookup::product(rows, caller, product_key) {
            Ok(product) => product,
            // What the caller may not touch is refused, what there isn't is counted.
            Err(AppError::Refused(refusal)) if refusal.code != refusal::RAM_DENIED.code => continue,
            Err(error) => return Err(error),
        };
        match lookup::device(rows, &product, name) {
            Ok(device) => found.push(device.no),
            Err(AppError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Members of a static group: 20,000 at most.
fn all_members(
    view: &mut (impl View + ?Sized),
    group: GroupNo,
) -> crate::store::Result<Vec<DeviceNo>> {
    let mut all: Vec<DeviceNo> = Vec::new();
    loop {
        let after = all.last().copied().unwrap_or(DeviceNo(0));
        let more = view.group_members(group, after, DeviceNo(i64::MAX), READ)?;
        let is_last = more.len() < READ as usize;
        all.extend(more);
        if is_last {
            return Ok(all);
        }
    }
}

/// Whether a job is still being made of the group or of one above it.
fn fills_job(rows: &mut dyn Rows, group: &Group) -> crate::store::Result<bool> {
    let mut above = Some(group.no);
    while let Some(no) = above {
        if rows.group_fills_job(no)? {
            return Ok(true);
        }
        above = rows.group(no)?.and_then(|group| group.parent);
    }
    Ok(false)
}

/// A group, its children and theirs.
pub(super) fn tree(
    view: &mut (impl View + ?Sized),
    root: GroupNo,
) -> crate::store::Result<Vec<GroupNo>> {
    let mut groups = vec![root];
    let mut looked_at = 0;
    while let Some(&group) = groups.get(looked_at) {
        groups.extend(view.child_groups(group)?);
        looked_at += 1;
    }
    Ok(groups)
}
