//! Operations on dynamic groups of devices.

use otaru_core::device::DeviceStatus;
use otaru_core::group::GroupKind;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::refusal::{self, Refusal};
use otaru_core::rule::Rule;
use otaru_core::signature::sha256_hex;

use super::group::new_group;
use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, gmt, unless_empty, utc};
use crate::app::{self, Member, MemberFilter, MembersFrom, NameFilter};

pub(super) const OPS: &[Op] = &[
    op!("CreateDeviceDynamicGroup", DeviceGroup, 1, create: CreateGroup => CreatedGroup, CREATE_GROUP_FAILED),
    op!("DeleteDeviceDynamicGroup", DeviceGroup, 1, delete: DeleteGroup => (), DELETE_GROUP_FAILED),
    op!("QueryDynamicGroupDevices", DeviceGroup, 50, devices: QueryMembers => MemberPage, QUERY_MEMBERS_FAILED),
];

request! {
    pub struct CreateGroup {
        expression: String = "DynamicGroupExpression",
        group_name: String = "GroupName",
        group_desc: Option<String> = "GroupDesc",
    }

    pub struct DeleteGroup {
        group_id: String = "GroupId",
    }

    pub struct QueryMembers {
        group_id: String = "GroupId",
        current_page: Option<i32> = "CurrentPage",
        device_name: Option<String> = "DeviceName",
        fuzzy_name: Option<bool> = "FuzzyName",
        next_token: Option<String> = "NextToken",
        page_size: Option<i32> = "PageSize",
        product_key: Option<String> = "ProductKey",
        status: Option<String> = "Status",
    }
}

reply! {
    pub struct CreatedGroup {
        data: CreatedGroupData = "Data",
    }

    pub struct CreatedGroupData {
        expression: String = "DynamicGroupExpression",
        group_desc: Option<String> = "GroupDesc",
        group_id: String = "GroupId",
        group_name: String = "GroupName",
        utc_create: String = "UtcCreate",
    }

    pub struct MemberPage {
        rows: Vec<MemberRow> = "Data" listing "SimpleDeviceInfo",
        next_token: Option<String> = "NextToken",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct MemberRow {
        active_time: Option<String> = "ActiveTime",
        category_key: Option<String> = "CategoryKey",
        device_name: String = "DeviceName",
        iot_id: String = "IotId",
        last_online_time: Option<String> = "LastOnlineTime",
        nickname: Option<String> = "Nickname",
        node_type: i32 = "NodeType",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        status: String = "Status",
        utc_active_time: Option<String> = "UtcActiveTime",
        utc_last_online_time: Option<String> = "UtcLastOnlineTime",
    }
}

async fn create(context: Context<'_>, request: CreateGroup) -> app::Result<CreatedGroup> {
    let new = new_group(request.group_name, request.group_desc, None)?;
    let rule = Rule::parse(&request.expression).map_err(Refusal::from)?;
    let group = context.app.create_dynamic_group(context.caller, new, rule).await?;
    let data = CreatedGroupData {
        expression: request.expression,
        group_desc: unless_empty(group.description),
        group_id: group.id.to_string(),
        group_name: group.name,
        utc_create: utc(group.created_at),
    };
    Ok(CreatedGroup { data })
}

async fn delete(context: Context<'_>, request: DeleteGroup) -> app::Result<()> {
    context.app.delete_group(context.caller, request.group_id, GroupKind::Dynamic).await
}

/// Characters of a part of a name that is searched for.
const FUZZY_MIN: usize = 4;

async fn devices(context: Context<'_>, request: QueryMembers) -> app::Result<MemberPage> {
    let QueryMembers {
        group_id,
        current_page,
        device_name,
        fuzzy_name,
        next_token,
        page_size,
        product_key,
        status,
    } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 200)?;
    let name = name_filter(device_name, fuzzy_name.unwrap_or(false))?;
    let status = status.as_deref().map(status_of).transpose()?;
    let from = match &next_token {
        Some(token) => {
            let (product, device) = read_token(token, &group_id)
                .ok_or_else(|| refusal::INVALID_PAGE_TOKEN.with(token))?;
            MembersFrom::Behind(product, device)
        }
        None => MembersFrom::Skip(paging.rows().skip),
    };
    let filter = MemberFilter { product_key, name, status };
    let id = group_id.clone();
    let page =
        context.app.dynamic_group_devices(context.caller, id, filter, from, paging.size).await?;
    let numbers = paging.of(page.total);
    Ok(MemberPage {
        rows: page.members.into_iter().map(row).collect(),
        next_token: page.next.map(|(product, device)| write_token(product, device, &group_id)),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn name_filter(name: Option<String>, is_fuzzy: bool) -> Result<Option<NameFilter>, Refusal> {
    match name {
        Some(name) if is_fuzzy && name.chars().count() < FUZZY_MIN => {
            Err(refusal::SHORT_FUZZY_NAME.with(name))
        }
        Some(name) if is_fuzzy => Ok(Some(NameFilter::Holds(name))),
        name => Ok(name.map(NameFilter::Is)),
    }
}

fn status_of(text: &str) -> Result<DeviceStatus, Refusal> {
    use DeviceStatus as S;
    [S::Online, S::Offline, S::Unactive, S::Disable]
        .into_iter()
        .find(|status| status.as_wire() == text)
        .ok_or_else(|| refusal::INVALID_PARAMETER.with(text))
}

/// The token of what lies behind a device: its product and number, and a digest that ties them to the group.
fn write_token(product: ProductNo, device: DeviceNo, group_id: &str) -> String {
    let place = format!("{:016x}{:016x}", product.0, device.0);
    let digest = sha256_hex(format!("members of {group_id} behind {place}").as_bytes());
    format!("{place}{}", &digest[..16])
}

fn read_token(token: &str, group_id: &str) -> Option<(ProductNo, DeviceNo)> {
    let number = |range| i64::from_str_radix(token.get(range)?, 16).ok();
    let (product, device) = (ProductNo(number(0..16)?), DeviceNo(number(16..32)?));
    (token == write_token(product, device, group_id)).then_some((product, device))
}

fn row(member: Member) -> MemberRow {
    let Member { product, device, status } = member;
    MemberRow {
        active_time: device.activated_at.map(gmt),
        category_key: unless_empty(product.profile.category_key),
        device_name: device.name.to_string(),
        iot_id: device.iot_id.to_string(),
        last_online_time: device.online_at.map(gmt),
        nickname: unless_empty(device.nickname),
        node_type: product.profile.node_type,
        product_key: product.key.to_string(),
        product_name: product.name,
        status: status.as_wire().to_owned(),
        utc_active_time: device.activated_at.map(utc),
        utc_last_online_time: device.online_at.map(utc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_only_for_its_group() {
        let token = write_token(ProductNo(7), DeviceNo(77), "g1");
        assert_eq!(read_token(&token, "g1"), Some((ProductNo(7), DeviceNo(77))));
        for (token, group) in
            [(&*token, "g2"), ("", "g1"), (&token[..47], "g1"), ("固固固固固固固固", "g1")]
        {
            assert_eq!(read_token(token, group), None, "{token}");
        }
    }
}
