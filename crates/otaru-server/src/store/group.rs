//! Groups of devices.

use super::{Listed, Page, Result};
use otaru_core::device::Device;
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{AccountNo, DeviceNo, GroupId, GroupNo, InstanceNo, JobNo, ProductNo};
use otaru_core::version::ModuleName;
use std::rc::Rc;

/// Where things of an account live that are of no single product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Realm {
    pub account: AccountNo,
    pub instance: InstanceNo,
}

/// Which groups to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFilter {
    pub realm: Realm,
    pub kind: GroupKind,
    /// Only children of this one.
    pub parent: Option<GroupNo>,
    /// A part of the name.
    pub name: Option<String>,
}

pub trait GroupView {
    fn group(&mut self, no: GroupNo) -> Result<Option<Rc<Group>>>;
    fn group_by_id(&mut self, id: &GroupId) -> Result<Option<Rc<Group>>>;
    fn group_name_exists(&mut self, realm: Realm, name: &str) -> Result<bool>;
    fn group_count(&mut self, realm: Realm, kind: GroupKind) -> Result<u64>;
    /// Groups, newest first. An account has few: the total is counted.
    fn groups(&mut self, filter: &GroupFilter, page: Page) -> Result<Listed<Rc<Group>>>;
    fn child_groups(&mut self, parent: GroupNo) -> Result<Vec<GroupNo>>;
    /// Members of a static group, newest first.
    fn group_devices(&mut self, group: GroupNo, page: Page) -> Result<Vec<Device>>;
    /// Members of a static group with a number in `after + 1 ..= until`, by rising number.
    fn group_members(
        &mut self,
        group: GroupNo,
        after: DeviceNo,
        until: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>>;
    /// Members of a static group that have ever connected.
    fn active_members(&mut self, group: GroupNo) -> Result<u64>;
    fn is_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<bool>;
    /// Static groups of a device, newest first: ten at most.
    fn groups_of_device(&mut self, device: DeviceNo) -> Result<Vec<Rc<Group>>>;
    /// Modules of a product of which a running dynamic job watches a group.
    fn watched_modules(&mut self, product: ProductNo) -> Result<Vec<ModuleName>>;
    /// Whether any product has such a module; `true` when that is not known.
    fn is_any_group_watched(&mut self) -> Result<bool> {
        Ok(true)
    }
    /// Running dynamic jobs that watch a dynamic group.
    fn jobs_of_dynamic_group(&mut self, group: GroupNo) -> Result<Vec<JobNo>>;
    /// Whether tasks of a job are still to be made from the members of the group.
    fn group_fills_job(&mut self, group: GroupNo) -> Result<bool>;
    /// Products of a realm that are not deleted, newest first.
    fn products_of(&mut self, realm: Realm) -> Result<Vec<ProductNo>>;
    /// Current versions of all modules of a device.
    fn versions(&mut self, device: DeviceNo) -> Result<Vec<(String, String)>>;
}

pub trait GroupRows {
    /// Inserts a group, and counts it as a child of its parent.
    fn insert_group(&mut self, new: &Group) -> Result<GroupNo>;
    fn describe_group(&mut self, no: GroupNo, description: &str) -> Result<()>;
    /// Deletes a group with its memberships; it has no children.
    fn delete_group(&mut self, group: &Group) -> Result<()>;
    /// Adds a device that isn't a member.
    fn insert_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<()>;
    /// Whether the device was a member.
    fn delete_member(&mut self, group: GroupNo, device: DeviceNo) -> Result<bool>;
    /// Takes a device out of all its groups.
    fn leave_groups(&mut self, device: DeviceNo) -> Result<()>;
}
