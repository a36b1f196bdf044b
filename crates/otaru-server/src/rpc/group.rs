//! Operations on static groups of devices, and those that both kinds share.

use otaru_core::group::{Group, GroupKind, is_group_name};
use otaru_core::refusal::{self, Refusal};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, int, unless_empty, utc};
use crate::app::{self, DevicePair, NewGroup, Relations};

pub(super) const OPS: &[Op] = &[
    op!("CreateDeviceGroup", DeviceGroup, 500, create: CreateGroup => CreatedGroup, CREATE_GROUP_FAILED),
    op!("UpdateDeviceGroup", DeviceGroup, 50, update: UpdateGroup => (), UPDATE_GROUP_FAILED),
    op!("DeleteDeviceGroup", DeviceGroup, 500, delete: DeleteGroup => (), DELETE_GROUP_FAILED),
    op!("QueryDeviceGroupList", DeviceGroup, 100, list: QueryGroups => GroupPage, LIST_GROUPS_FAILED),
    op!("QueryDeviceGroupInfo", DeviceGroup, 30, info: QueryGroup => GroupReply, QUERY_GROUP_FAILED),
    op!("BatchAddDeviceGroupRelations", DeviceGroup, 500, add: Relate => Added, BIND_GROUP_FAILED),
    op!("BatchDeleteDeviceGroupRelations", DeviceGroup, 50, remove: Relate => Removed, BIND_GROUP_FAILED),
    op!("QueryDeviceListByDeviceGroup", DeviceGroup, 5, devices: QueryMembers => MemberPage, QUERY_MEMBERS_FAILED),
    op!("QueryDeviceGroupByDevice", DeviceGroup, 50, of_device: QueryGroupsOfDevice => GroupsOfDevice, SYSTEM_EXCEPTION),
];

request! {
    pub struct CreateGroup {
        group_name: String = "GroupName",
        group_desc: Option<String> = "GroupDesc",
        super_group_id: Option<String> = "SuperGroupId",
    }

    pub struct UpdateGroup {
        group_id: String = "GroupId",
        group_desc: Option<String> = "GroupDesc",
        group_type: Option<String> = "GroupType",
    }

    pub struct DeleteGroup {
        group_id: String = "GroupId",
    }

    pub struct QueryGroups {
        current_page: Option<i32> = "CurrentPage",
        group_name: Option<String> = "GroupName",
        group_types: Vec<String> = "GroupTypes",
        page_size: Option<i32> = "PageSize",
        super_group_id: Option<String> = "SuperGroupId",
    }

    pub struct QueryGroup {
        group_id: String = "GroupId",
        group_type: Option<String> = "GroupType",
    }

    pub struct Relate {
        group_id: String = "GroupId",
        devices: Vec<DeviceParam> = "Device",
    }

    pub item DeviceParam {
        device_name: Option<String> = "DeviceName",
        product_key: Option<String> = "ProductKey",
    }

    pub struct QueryMembers {
        group_id: String = "GroupId",
        current_page: Option<i32> = "CurrentPage",
        page_size: Option<i32> = "PageSize",
    }

    pub struct QueryGroupsOfDevice {
        device_name: String = "DeviceName",
        product_key: String = "ProductKey",
    }
}

reply! {
    pub struct CreatedGroup {
        data: CreatedGroupData = "Data",
    }

    pub struct CreatedGroupData {
        group_desc: Option<String> = "GroupDesc",
        group_id: String = "GroupId",
        group_name: String = "GroupName",
        utc_create: String = "UtcCreate",
    }

    pub struct GroupPage {
        current_page: i32 = "CurrentPage",
        rows: Vec<GroupRow> = "Data" listing "GroupInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct GroupRow {
        group_desc: Option<String> = "GroupDesc",
        group_id: String = "GroupId",
        group_name: String = "GroupName",
        group_type: String = "GroupType",
        utc_create: String = "UtcCreate",
    }

    pub struct GroupReply {
        data: GroupData = "Data",
    }

    pub struct GroupData {
        device_active: i32 = "DeviceActive",
        device_count: i32 = "DeviceCount",
        device_online: i32 = "DeviceOnline",
        expression: Option<String> = "DynamicGroupExpression",
        group_desc: Option<String> = "GroupDesc",
        group_id: String = "GroupId",
        group_name: String = "GroupName",
        utc_create: String = "UtcCreate",
    }

    pub struct Added {
        related: i32 = "AlreadyRelatedGroupDeviceCount",
        exceeding: i32 = "ExceedTenGroupDeviceCount",
        added: i32 = "SuccessAddedDeviceCount",
        valid: i32 = "ValidDeviceCount",
    }

    pub struct Removed {
        related: i32 = "AlreadyRelatedGroupDeviceCount",
        removed: i32 = "SuccessDeviceCount",
        valid: i32 = "ValidDeviceCount",
    }

    pub struct MemberPage {
        rows: Vec<MemberRow> = "Data" listing "SimpleDeviceInfo",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct MemberRow {
        device_name: String = "DeviceName",
        iot_id: String = "IotId",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
    }

    pub struct GroupsOfDevice {
        rows: Vec<GroupRow> = "GroupInfos" listing "GroupInfo",
    }
}

const DESCRIPTION_MAX: usize = 100;
const DEVICES_MAX: usize = 200;

async fn create(context: Context<'_>, request: CreateGroup) -> app::Result<CreatedGroup> {
    let new = new_group(request.group_name, request.group_desc, request.super_group_id)?;
    let group = context.app.create_group(context.caller, new).await?;
    let data = CreatedGroupData {
        group_desc: unless_empty(group.description),
        group_id: group.id.to_string(),
        group_name: group.name,
        utc_create: utc(group.created_at),
    };
    Ok(CreatedGroup { data })
}

/// Checks the name and the description of a new group.
pub(super) fn new_group(
    name: String,
    description: Option<String>,
    parent: Option<String>,
) -> Result<NewGroup, Refusal> {
    if !is_group_name(&name) {
        return Err(refusal::INVALID_GROUP_NAME.with(name));
    }
    check_description(description.as_deref())?;
    Ok(NewGroup { name, description: description.unwrap_or_default(), parent })
}

fn check_description(description: Option<&str>) -> Result<(), Refusal> {
    let length = description.unwrap_or_default().chars().count();
    if length > DESCRIPTION_MAX {
        let detail = format!("{length} characters, at most {DESCRIPTION_MAX}");
        return Err(refusal::LONG_GROUP_DESCRIPTION.with(detail));
    }
    Ok(())
}

/// The kind that a call means; the wire names only dynamic groups.
fn kind_of(group_type: Option<&str>) -> Result<GroupKind, Refusal> {
    match group_type {
        None => Ok(GroupKind::Static),
        Some(text) if text == GroupKind::Dynamic.as_wire() => Ok(GroupKind::Dynamic),
        Some(text) => Err(refusal::INVALID_PARAMETER.with(text)),
    }
}

async fn update(context: Context<'_>, request: UpdateGroup) -> app::Result<()> {
    let kind = kind_of(request.group_type.as_deref())?;
    check_description(request.group_desc.as_deref())?;
    context.app.describe_group(context.caller, request.group_id, kind, request.group_desc).await
}

async fn delete(context: Context<'_>, request: DeleteGroup) -> app::Result<()> {
    context.app.delete_group(context.caller, request.group_id, GroupKind::Static).await
}

async fn list(context: Context<'_>, request: QueryGroups) -> app::Result<GroupPage> {
    let QueryGroups { current_page, group_name, group_types, page_size, super_group_id } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 200)?;
    let mut kind = GroupKind::Static;
    for group_type in &group_types {
        kind = kind_of(Some(group_type))?;
    }
    let listed =
        context.app.groups(context.caller, kind, super_group_id, group_name, paging.rows()).await?;
    let numbers = paging.of(listed.total);
    Ok(GroupPage {
        current_page: numbers.current,
        rows: listed.rows.into_iter().map(row).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(group: Group) -> GroupRow {
    GroupRow {
        group_type: group.kind().as_wire().to_owned(),
        group_desc: unless_empty(group.description),
        group_id: group.id.to_string(),
        group_name: group.name,
        utc_create: utc(group.created_at),
    }
}

async fn info(context: Context<'_>, request: QueryGroup) -> app::Result<GroupReply> {
    let kind = kind_of(request.group_type.as_deref())?;
    let view = context.app.group(context.caller, request.group_id, kind).await?;
    let group = view.group;
    let data = GroupData {
        device_active: int(view.active),
        device_count: int(view.devices),
        device_online: int(view.online),
        expression: group.rule.as_ref().map(|rule| rule.as_str().to_owned()),
        group_desc: unless_empty(group.description),
        group_id: group.id.to_string(),
        group_name: group.name,
        utc_create: utc(group.created_at),
    };
    Ok(GroupReply { data })
}

/// Up to 200 devices, each with both of its names.
fn devices_of(devices: Vec<DeviceParam>) -> Result<Vec<DevicePair>, Refusal> {
    if devices.is_empty() {
        return Err(refusal::NO_DEVICE_NAMES.into());
    }
    let count = devices.len();
    let pair = |device: DeviceParam| {
        let key = device.product_key.ok_or_else(|| refusal::NULL_PARAMETER.with("ProductKey"))?;
        let name = device.device_name.ok_or_else(|| refusal::NULL_PARAMETER.with("DeviceName"))?;
        Ok((key, name))
    };
    let pairs = devices.into_iter().map(pair).collect::<Result<_, Refusal>>()?;
    if count > DEVICES_MAX {
        let detail = format!("{count} devices, at most {DEVICES_MAX}");
        return Err(refusal::TOO_MANY_DEVICE_NAMES.with(detail));
    }
    Ok(pairs)
}

async fn add(context: Context<'_>, request: Relate) -> app::Result<Added> {
    let devices = devices_of(request.devices)?;
    let Relations { valid, related, exceeding, changed } =
        context.app.add_to_group(context.caller, request.group_id, devices).await?;
    Ok(Added {
        related: int(related.into()),
        exceeding: int(exceeding.into()),
        added: int(changed.into()),
        valid: int(valid.into()),
    })
}

async fn remove(context: Context<'_>, request: Relate) -> app::Result<Removed> {
    let devices = devices_of(request.devices)?;
    let Relations { valid, related, exceeding: _, changed } =
        context.app.remove_from_group(context.caller, request.group_id, devices).await?;
    Ok(Removed {
        related: int(related.into()),
        removed: int(changed.into()),
        valid: int(valid.into()),
    })
}

async fn devices(context: Context<'_>, request: QueryMembers) -> app::Result<MemberPage> {
    let QueryMembers { group_id, current_page, page_size } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 200)?;
    let listed = context.app.group_devices(context.caller, group_id, paging.rows()).await?;
    let numbers = paging.of(listed.total);
    let row =
        |(product, device): (otaru_core::product::Product, otaru_core::device::Device)| MemberRow {
            device_name: device.name.to_string(),
            iot_id: device.iot_id.to_string(),
            product_key: product.key.to_string(),
            product_name: product.name,
        };
    Ok(MemberPage {
        rows: listed.rows.into_iter().map(row).collect(),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

async fn of_device(
    context: Context<'_>,
    request: QueryGroupsOfDevice,
) -> app::Result<GroupsOfDevice> {
    let QueryGroupsOfDevice { device_name, product_key } = request;
    let groups = context.app.groups_of_device(context.caller, product_key, device_name).await?;
    Ok(GroupsOfDevice { rows: groups.into_iter().map(row).collect() })
}
