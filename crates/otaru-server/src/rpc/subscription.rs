//! Operations on subscriptions and consumer groups.

use otaru_core::id::{ConsumerGroupId, IdError};
use otaru_core::refusal::{self, Refusal};
use otaru_core::subscription::{
    ConsumerGroup, Notice, Notices, Subscription, SubscriptionKind, check_group_count,
    check_notices, is_consumer_group_name,
};
use serde_json::{Map, Value};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, unless_empty, utc};
use crate::app::{self, GroupFilter, NewSubscription};

pub(super) const OPS: &[Op] = &[
    op!("CreateSubscribeRelation", Subscription, 5, create: CreateSubscription => (), SYSTEM_EXCEPTION),
    op!("QuerySubscribeRelation", Subscription, 5, query: QuerySubscription => SubscriptionReply, SYSTEM_EXCEPTION),
    op!("UpdateSubscribeRelation", Subscription, 5, update: UpdateSubscription => (), SYSTEM_EXCEPTION),
    op!("DeleteSubscribeRelation", Subscription, 5, delete: DeleteSubscription => (), SYSTEM_EXCEPTION),
    op!("CreateConsumerGroup", Subscription, 5, create_group: CreateGroup => CreatedGroup, CREATE_CONSUMER_GROUP_FAILED),
    op!("QueryConsumerGroupList", Subscription, 5, groups: ListGroups => GroupPage, SYSTEM_EXCEPTION),
    op!("QueryConsumerGroupStatus", Subscription, 5, status: QueryGroupStatus => GroupStatus, CONSUMER_GROUP_STATUS_FAILED),
    op!("QueryConsumerGroupByGroupId", Subscription, 5, group: QueryGroup => GroupReply, SYSTEM_EXCEPTION),
    op!("UpdateConsumerGroup", Subscription, 5, rename_group: UpdateGroup => (), UPDATE_CONSUMER_GROUP_FAILED),
    op!("DeleteConsumerGroup", Subscription, 5, delete_group: DeleteGroup => (), DELETE_CONSUMER_GROUP_FAILED),
    op!("CreateConsumerGroupSubscribeRelation", Subscription, 5, join: Membership => (), SYSTEM_EXCEPTION),
    op!("DeleteConsumerGroupSubscribeRelation", Subscription, 5, leave: Membership => (), SYSTEM_EXCEPTION),
    op!("ResetConsumerGroupPosition", Subscription, 5, reset: ResetGroup => (), SYSTEM_EXCEPTION),
];

request! {
    pub struct CreateSubscription {
        product_key: String = "ProductKey",
        groups: Vec<String> = "ConsumerGroupIds",
        device_data: Option<bool> = "DeviceDataFlag",
        device_life_cycle: Option<bool> = "DeviceLifeCycleFlag",
        device_status_change: Option<bool> = "DeviceStatusChangeFlag",
        device_tag: Option<bool> = "DeviceTagFlag",
        device_topo_life_cycle: Option<bool> = "DeviceTopoLifeCycleFlag",
        found_device_list: Option<bool> = "FoundDeviceListFlag",
        queue: Option<String> = "MnsConfiguration",
        ota_event: Option<bool> = "OtaEventFlag",
        ota_job: Option<bool> = "OtaJobFlag",
        ota_version: Option<bool> = "OtaVersionFlag",
        more_flags: Option<String> = "SubscribeFlags",
        thing_history: Option<bool> = "ThingHistoryFlag",
        kind: Option<String> = "Type",
    }

    pub struct UpdateSubscription {
        product_key: String = "ProductKey",
        kind: String = "Type",
        groups: Vec<String> = "ConsumerGroupIds",
        device_data: Option<bool> = "DeviceDataFlag",
        device_life_cycle: Option<bool> = "DeviceLifeCycleFlag",
        device_status_change: Option<bool> = "DeviceStatusChangeFlag",
        device_tag: Option<bool> = "DeviceTagFlag",
        device_topo_life_cycle: Option<bool> = "DeviceTopoLifeCycleFlag",
        found_device_list: Option<bool> = "FoundDeviceListFlag",
        queue: Option<String> = "MnsConfiguration",
        ota_event: Option<bool> = "OtaEventFlag",
        ota_job: Option<bool> = "OtaJobFlag",
        ota_version: Option<bool> = "OtaVersionFlag",
        more_flags: Option<String> = "SubscribeFlags",
        thing_history: Option<bool> = "ThingHistoryFlag",
    }

    pub struct QuerySubscription {
        product_key: String = "ProductKey",
        kind: String = "Type",
    }

    pub struct DeleteSubscription {
        product_key: String = "ProductKey",
        kind: String = "Type",
    }

    pub struct CreateGroup {
        name: String = "GroupName",
    }

    pub struct ListGroups {
        current_page: i32 = "CurrentPage",
        page_size: i32 = "PageSize",
        fuzzy: Option<bool> = "Fuzzy",
        name: Option<String> = "GroupName",
        /// This one and the type tell kinds of groups apart that the service doesn't have: they have no effect.
        sub_biz_code: Option<String> = "SubBizCode",
        kind: Option<String> = "Type",
    }

    pub struct QueryGroupStatus {
        id: String = "GroupId",
    }

    pub struct QueryGroup {
        id: String = "GroupId",
    }

    pub struct UpdateGroup {
        id: String = "GroupId",
        name: String = "NewGroupName",
    }

    pub struct DeleteGroup {
        id: String = "GroupId",
    }

    pub struct Membership {
        id: String = "ConsumerGroupId",
        product_key: String = "ProductKey",
    }

    pub struct ResetGroup {
        id: String = "GroupId",
    }
}

reply! {
    pub struct SubscriptionReply {
        groups: Vec<String> = "ConsumerGroupIds" bare,
        device_data: bool = "DeviceDataFlag",
        device_life_cycle: bool = "DeviceLifeCycleFlag",
        device_status_change: bool = "DeviceStatusChangeFlag",
        device_tag: bool = "DeviceTagFlag",
        device_topo_life_cycle: bool = "DeviceTopoLifeCycleFlag",
        found_device_list: bool = "FoundDeviceListFlag",
        queue: Option<String> = "MnsConfiguration",
        ota_event: bool = "OtaEventFlag",
        ota_job: bool = "OtaJobFlag",
        ota_version: bool = "OtaVersionFlag",
        product_key: String = "ProductKey",
        more_flags: Option<String> = "SubscribeFlags",
        thing_history: bool = "ThingHistoryFlag",
        kind: String = "Type",
    }

    pub struct CreatedGroup {
        id: String = "GroupId",
    }

    pub struct GroupPage {
        current_page: i32 = "CurrentPage",
        rows: Vec<GroupRow> = "Data" listing "ConsumerGroupDTO",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct GroupRow {
        created_at: String = "CreateTime",
        id: String = "GroupId",
        name: String = "GroupName",
    }

    pub struct GroupReply {
        data: GroupRow = "Data",
    }

    pub struct GroupStatus {
        accumulated_per_minute: i32 = "AccumulatedConsumeCountPerMinute",
        backlog: i32 = "AccumulationCount",
        connections: Vec<GroupConnection> = "ClientConnectionStatusList" listing "ConsumerGroupClientConnectionInfo",
        speed: i32 = "ConsumerSpeed",
        last_consumed_at: Option<String> = "LastConsumerTime",
        real_time_per_minute: i32 = "RealTimeConsumeCountPerMinute",
    }

    pub struct GroupConnection {
        accumulated_per_minute: i32 = "AccumulatedConsumeCountPerMinute",
        client_id: String = "ClientId",
        client_address: String = "ClientIpPort",
        online_at: i64 = "OnlineTime",
        real_time_per_minute: i32 = "RealTimeConsumeCountPerMinute",
    }
}

/// Groups that a page can hold.
const PAGE_SIZE_MAX: u32 = 1_000;
/// Characters of the two JSON texts of a subscription.
const JSON_CHARS_MAX: usize = 2_048;

async fn create(context: Context<'_>, request: CreateSubscription) -> app::Result<()> {
    let kind = request.kind.ok_or(refusal::INVALID_SUBSCRIPTION_KIND)?;
    let request = UpdateSubscription {
        product_key: request.product_key,
        kind,
        groups: request.groups,
        device_data: request.device_data,
        device_life_cycle: request.device_life_cycle,
        device_status_change: request.device_status_change,
        device_tag: request.device_tag,
        device_topo_life_cycle: request.device_topo_life_cycle,
        found_device_list: request.found_device_list,
        queue: request.queue,
        ota_event: request.ota_event,
        ota_job: request.ota_job,
        ota_version: request.ota_version,
        more_flags: request.more_flags,
        thing_history: request.thing_history,
    };
    context.app.create_subscription(context.caller, checked(request)?).await
}

async fn update(context: Context<'_>, request: UpdateSubscription) -> app::Result<()> {
    context.app.replace_subscription(context.caller, checked(request)?).await
}

/// Checks all that can be checked without looking anything up.
fn checked(request: UpdateSubscription) -> Result<NewSubscription, Refusal> {
    let kind = kind(&request.kind)?;
    let notices = notices(&request);
    let more_flags = request.more_flags.unwrap_or_default();
    check_notices(kind, notices, has_flag(&more_flags)?)?;
    let mut new = NewSubscription {
        product_key: request.product_key,
        kind,
        notices,
        more_flags,
        queue: String::new(),
        groups: Vec::new(),
    };
    match kind {
        SubscriptionKind::Mns => {
            new.queue =
                request.queue.ok_or_else(|| refusal::NULL_PARAMETER.with("MnsConfiguration"))?;
            check_queue(&new.queue)?;
        }
        SubscriptionKind::Amqp => {
            if request.groups.is_empty() {
                return Err(refusal::NULL_PARAMETER.with("ConsumerGroupIds"));
            }
            check_group_count(request.groups.len())?;
            for id in &request.groups {
                let id = group_id(id)?;
                if new.groups.contains(&id) {
                    return Err(refusal::INVALID_CONSUMER_GROUP_ID.with(format!("{id} twice")));
                }
                new.groups.push(id);
            }
        }
    }
    Ok(new)
}

fn kind(text: &str) -> Result<SubscriptionKind, Refusal> {
    SubscriptionKind::from_wire(text).ok_or_else(|| refusal::INVALID_SUBSCRIPTION_KIND.with(text))
}

fn group_id(text: &str) -> Result<ConsumerGroupId, Refusal> {
    text.parse().map_err(|_: IdError| refusal::INVALID_CONSUMER_GROUP_ID.with(text))
}

fn group_name(text: &str) -> Result<(), Refusal> {
    if is_consumer_group_name(text) {
        return Ok(());
    }
    Err(refusal::INVALID_CONSUMER_GROUP_NAME.with(text))
}

fn notices(request: &UpdateSubscription) -> Notices {
    let flags = [
        (Notice::DeviceData, request.device_data),
        (Notice::DeviceLifeCycle, request.device_life_cycle),
        (Notice::DeviceStatusChange, request.device_status_change),
        (Notice::DeviceTag, request.device_tag),
        (Notice::DeviceTopoLifeCycle, request.device_topo_life_cycle),
        (Notice::FoundDeviceList, request.found_device_list),
        (Notice::OtaEvent, request.ota_event),
        (Notice::OtaJob, request.ota_job),
        (Notice::OtaVersion, request.ota_version),
        (Notice::ThingHistory, request.thing_history),
    ];
    Notices::of(&flags.map(|(notice, on)| (notice, on == Some(true))))
}

/// Whether one of the flags in a JSON text is on.
fn has_flag(text: &str) -> Result<bool, Refusal> {
    if text.is_empty() {
        return Ok(false);
    }
    let flags = object(text).filter(|flags| flags.values().all(Value::is_boolean));
    let flags = flags.ok_or_else(|| refusal::INVALID_PARAMETER.with("SubscribeFlags"))?;
    Ok(flags.values().any(|flag| *flag == Value::Bool(true)))
}

/// Checks the JSON text that says where a queue is.
fn check_queue(text: &str) -> Result<(), Refusal> {
    let is_text = |value: Option<&Value>| {
        value.and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
    };
    let names_a_queue = object(text)
        .is_some_and(|queue| is_text(queue.get("queueName")) && is_text(queue.get("regionName")));
    if names_a_queue { Ok(()) } else { Err(refusal::INVALID_QUEUE.with("MnsConfiguration")) }
}

fn object(text: &str) -> Option<Map<String, Value>> {
    if text.chars().count() > JSON_CHARS_MAX {
        return None;
    }
    serde_json::from_str(text).ok()
}

async fn query(context: Context<'_>, request: QuerySubscription) -> app::Result<SubscriptionReply> {
    let kind = kind(&request.kind)?;
    let product_key = request.product_key;
    let found = context.app.subscription(context.caller, product_key.clone(), kind).await?;
    let Subscription { product: _, kind, notices, more_flags, queue, groups } = found;
    Ok(SubscriptionReply {
        groups: groups.into_iter().map(|group| group.id.to_string()).collect(),
        device_data: notices.has(Notice::DeviceData),
        device_life_cycle: notices.has(Notice::DeviceLifeCycle),
        device_status_change: notices.has(Notice::DeviceStatusChange),
        device_tag: notices.has(Notice::DeviceTag),
        device_topo_life_cycle: notices.has(Notice::DeviceTopoLifeCycle),
        found_device_list: notices.has(Notice::FoundDeviceList),
        queue: unless_empty(queue),
        ota_event: notices.has(Notice::OtaEvent),
        ota_job: notices.has(Notice::OtaJob),
        ota_version: notices.has(Notice::OtaVersion),
        product_key,
        more_flags: unless_empty(more_flags),
        thing_history: notices.has(Notice::ThingHistory),
        kind: kind.as_wire().to_owned(),
    })
}

async fn delete(context: Context<'_>, request: DeleteSubscription) -> app::Result<()> {
    let kind = kind(&request.kind)?;
    context.app.delete_subscription(context.caller, request.product_key, kind).await
}

async fn create_group(context: Context<'_>, request: CreateGroup) -> app::Result<CreatedGroup> {
    group_name(&request.name)?;
    let group = context.app.create_consumer_group(context.caller, request.name).await?;
    Ok(CreatedGroup { id: group.id.to_string() })
}

async fn groups(context: Context<'_>, request: ListGroups) -> app::Result<GroupPage> {
    let paging = Paging::check(request.current_page, request.page_size, PAGE_SIZE_MAX)?;
    let filter = match (request.name, request.fuzzy.unwrap_or(false)) {
        (None, true) => return Err(refusal::NULL_PARAMETER.with("GroupName").into()),
        (None, false) => GroupFilter::All,
        (Some(name), false) => GroupFilter::Named(name),
        (Some(part), true) => GroupFilter::Containing(part),
    };
    let listed = context.app.consumer_groups(context.caller, filter, paging.rows()).await?;
    let numbers = paging.of(listed.total);
    Ok(GroupPage {
        current_page: numbers.current,
        rows: listed.rows.into_iter().map(row).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(group: ConsumerGroup) -> GroupRow {
    let ConsumerGroup { no: _, account: _, id, name, created_at } = group;
    GroupRow { created_at: utc(created_at), id: id.to_string(), name }
}

async fn group(context: Context<'_>, request: QueryGroup) -> app::Result<GroupReply> {
    let group = context.app.consumer_group(context.caller, request.id).await?;
    Ok(GroupReply { data: row(group) })
}

/// Nothing is delivered yet, so nobody is connected and nothing waits.
async fn status(context: Context<'_>, request: QueryGroupStatus) -> app::Result<GroupStatus> {
    context.app.consumer_group(context.caller, request.id).await?;
    Ok(GroupStatus {
        accumulated_per_minute: 0,
        backlog: 0,
        connections: Vec::new(),
        speed: 0,
        last_consumed_at: None,
        real_time_per_minute: 0,
    })
}

async fn rename_group(context: Context<'_>, request: UpdateGroup) -> app::Result<()> {
    group_id(&request.id)?;
    group_name(&request.name)?;
    context.app.rename_consumer_group(context.caller, request.id, request.name).await
}

async fn delete_group(context: Context<'_>, request: DeleteGroup) -> app::Result<()> {
    context.app.delete_consumer_group(context.caller, request.id).await
}

async fn join(context: Context<'_>, request: Membership) -> app::Result<()> {
    let id = group_id(&request.id)?;
    context.app.join_subscription(context.caller, request.product_key, id).await
}

async fn leave(context: Context<'_>, request: Membership) -> app::Result<()> {
    let id = group_id(&request.id)?;
    context.app.leave_subscription(context.caller, request.product_key, id).await
}

/// There is no backlog to drop while nothing is delivered.
async fn reset(context: Context<'_>, request: ResetGroup) -> app::Result<()> {
    context.app.consumer_group(context.caller, request.id).await?;
    Ok(())
}
