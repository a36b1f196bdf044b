//! Operations on what devices are doing: online, offline, never seen, disabled.

use otaru_core::device::{Device, DeviceStatus};
use otaru_core::product::Product;
use otaru_core::refusal;

use super::op::{Context, Op, op};
use super::request::request;
use super::thing::{device_names, one_device};
use super::tree::reply;
use super::wire::{Paging, gmt, unless_empty, utc};
use crate::app::{self, DeviceKey, StatusPage};

pub(super) const OPS: &[Op] = &[
    op!("QueryDeviceByStatus", Device, 50, by_status: QueryDeviceByStatus => DevicesOfStatus, QUERY_DEVICES_FAILED),
    op!("GetDeviceStatus", Device, 500, one: GetDeviceStatus => OneStatus, QUERY_DEVICE_STATUS_FAILED),
    op!("BatchGetDeviceState", Device, 50, several: BatchGetDeviceState => Statuses, QUERY_DEVICE_STATUS_FAILED),
    op!("QueryDeviceStatistics", Device, 50, statistics: QueryDeviceStatistics => StatisticsReply, QUERY_STATISTICS_FAILED),
];

/// Devices that one call may ask for.
const DEVICES_MAX: usize = 50;

one_device! { GetDeviceStatus }

request! {
    pub struct QueryDeviceByStatus {
        status: i32 = "Status",
        current_page: Option<i32> = "CurrentPage",
        page_size: Option<i32> = "PageSize",
        product_key: Option<String> = "ProductKey",
        resource_group_id: Option<String> = "ResourceGroupId",
    }

    pub struct BatchGetDeviceState {
        device_names: Vec<String> = "DeviceName",
        iot_ids: Vec<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct QueryDeviceStatistics {
        group_id: Option<String> = "GroupId",
        product_key: Option<String> = "ProductKey",
    }
}

reply! {
    pub struct DevicesOfStatus {
        rows: Vec<DeviceOfStatus> = "Data" listing "SimpleDeviceInfo",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct DeviceOfStatus {
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        gmt_create: String = "GmtCreate",
        gmt_modified: String = "GmtModified",
        iot_id: String = "IotId",
        nickname: Option<String> = "Nickname",
        product_key: String = "ProductKey",
        status: String = "Status",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
    }

    pub struct OneStatus {
        data: OneStatusData = "Data",
    }

    pub struct OneStatusData {
        status: String = "Status",
        /// When the status changed, in milliseconds since the epoch.
        timestamp: i64 = "Timestamp",
    }

    pub struct Statuses {
        rows: Vec<DeviceStatusRow> = "DeviceStatusList" listing "DeviceStatus",
    }

    pub struct DeviceStatusRow {
        as_address: Option<String> = "AsAddress",
        device_id: String = "DeviceId",
        device_name: String = "DeviceName",
        iot_id: String = "IotId",
        last_online_time: Option<String> = "LastOnlineTime",
        status: String = "Status",
        timestamp: i64 = "Timestamp",
    }

    pub struct StatisticsReply {
        data: StatisticsData = "Data",
    }

    pub struct StatisticsData {
        active_count: i64 = "activeCount",
        device_count: i64 = "deviceCount",
        online_count: i64 = "onlineCount",
    }
}

async fn by_status(
    context: Context<'_>,
    request: QueryDeviceByStatus,
) -> app::Result<DevicesOfStatus> {
    let status = match request.status {
        0 => DeviceStatus::Unactive,
        1 => DeviceStatus::Online,
        3 => DeviceStatus::Offline,
        8 => DeviceStatus::Disable,
        other => return Err(refusal::INVALID_PARAMETER.with(format!("Status {other}")).into()),
    };
    let paging =
        Paging::check(request.current_page.unwrap_or(1), request.page_size.unwrap_or(10), 50)?;
    let QueryDeviceByStatus { product_key, .. } = request;
    let page = paging.rows();
    let page = context.app.devices_by_status(context.caller, product_key, status, page).await?;
    let StatusPage { rows, total } = page;
    let numbers = paging.of(total);
    Ok(DevicesOfStatus {
        rows: rows.into_iter().map(|(product, device)| row(&product, device, status)).collect(),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(product: &Product, device: Device, status: DeviceStatus) -> DeviceOfStatus {
    let Device { name, iot_id, secret, nickname, created_at, activated_at, .. } = device;
    let modified_at = activated_at.unwrap_or(created_at);
    DeviceOfStatus {
        device_name: name.to_string(),
        device_secret: secret,
        gmt_create: gmt(created_at),
        gmt_modified: gmt(modified_at),
        iot_id: iot_id.to_string(),
        nickname: unless_empty(nickname),
        product_key: product.key.to_string(),
        status: status.as_wire().to_owned(),
        utc_create: utc(created_at),
        utc_modified: utc(modified_at),
    }
}

async fn one(context: Context<'_>, request: GetDeviceStatus) -> app::Result<OneStatus> {
    let detail = context.app.device_detail(context.caller, request.into()).await?;
    let status = detail.status.as_wire().to_owned();
    Ok(OneStatus { data: OneStatusData { status, timestamp: detail.device.status_at.0 } })
}

async fn several(context: Context<'_>, request: BatchGetDeviceState) -> app::Result<Statuses> {
    let BatchGetDeviceState { device_names: names, iot_ids, product_key } = request;
    if names.is_empty() && iot_ids.is_empty() {
        return Err(refusal::NO_DEVICE_NAMES.into());
    }
    let details = if iot_ids.is_empty() {
        let product_key = product_key.ok_or(refusal::NULL_PRODUCT_KEY)?;
        let names = device_names(&names, DEVICES_MAX)?;
        context.app.named_devices(context.caller, product_key, names).await?
    } else if iot_ids.len() > DEVICES_MAX {
        let detail = format!("{} devices, at most {DEVICES_MAX}", iot_ids.len());
        return Err(refusal::TOO_MANY_DEVICE_NAMES.with(detail).into());
    } else {
        context.app.devices_by_iot_id(context.caller, iot_ids).await?
    };
    Ok(Statuses { rows: details.into_iter().map(state).collect() })
}

fn state(detail: app::DeviceDetail) -> DeviceStatusRow {
    let app::DeviceDetail { product: _, device, status, version: _ } = detail;
    let Device { name, iot_id, online_at, address, status_at, .. } = device;
    DeviceStatusRow {
        as_address: unless_empty(address),
        device_id: iot_id.to_string(),
        device_name: name.to_string(),
        iot_id: iot_id.to_string(),
        last_online_time: online_at.map(utc),
        status: status.as_wire().to_owned(),
        timestamp: status_at.0,
    }
}

async fn statistics(
    context: Context<'_>,
    request: QueryDeviceStatistics,
) -> app::Result<StatisticsReply> {
    let QueryDeviceStatistics { group_id, product_key } = request;
    let app::Statistics { devices, online, activated } =
        context.app.statistics(context.caller, product_key, group_id).await?;
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let data = StatisticsData {
        active_count: count(activated),
        device_count: count(devices),
        online_count: count(online),
    };
    Ok(StatisticsReply { data })
}
