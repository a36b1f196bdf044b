//! Operations on devices.

use otaru_core::device::{Device, DeviceStatus};
use otaru_core::id::{DeviceNo, IdError};
use otaru_core::product::{Product, is_nickname};
use otaru_core::refusal;
use otaru_core::signature::sha256_hex;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, gmt, unless_empty, utc};
use crate::app::{self, DeviceKey, DevicesFrom, NewDevice};

pub(super) const OPS: &[Op] = &[
    op!("RegisterDevice", Device, 30, register: RegisterDevice => RegisteredDevice, CREATE_DEVICE_FAILED),
    op!("QueryDevice", Device, 50 deep 2, page: QueryDevice => DevicePage, QUERY_DEVICES_FAILED),
    op!("QueryDeviceDetail", Device, 50, detail: QueryDeviceDetail => DeviceDetail, SYSTEM_EXCEPTION),
];

request! {
    pub struct RegisterDevice {
        product_key: String = "ProductKey",
        app_key: Option<String> = "AppKey",
        dev_eui: Option<String> = "DevEui",
        device_name: Option<String> = "DeviceName",
        join_eui: Option<String> = "JoinEui",
        lora_node_type: Option<String> = "LoraNodeType",
        nickname: Option<String> = "Nickname",
        pin_code: Option<String> = "PinCode",
    }

    pub struct QueryDevice {
        product_key: String = "ProductKey",
        current_page: Option<i32> = "CurrentPage",
        next_token: Option<String> = "NextToken",
        page_size: Option<i32> = "PageSize",
    }

    pub struct QueryDeviceDetail {
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }
}

reply! {
    pub struct RegisteredDevice {
        data: RegisteredDeviceData = "Data",
    }

    pub struct RegisteredDeviceData {
        dev_eui: Option<String> = "DevEui",
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        iot_id: String = "IotId",
        join_eui: Option<String> = "JoinEui",
        nickname: Option<String> = "Nickname",
        product_key: String = "ProductKey",
    }

    pub struct DevicePage {
        rows: Vec<DeviceRow> = "Data" listing "DeviceInfo",
        next_token: Option<String> = "NextToken",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct DeviceRow {
        device_id: String = "DeviceId",
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        device_status: String = "DeviceStatus",
        device_type: Option<String> = "DeviceType",
        gmt_create: String = "GmtCreate",
        gmt_modified: String = "GmtModified",
        iot_id: String = "IotId",
        nickname: Option<String> = "Nickname",
        product_key: String = "ProductKey",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
    }

    pub struct DeviceDetail {
        data: DeviceDetailData = "Data",
    }

    pub struct DeviceDetailData {
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        firmware_version: Option<String> = "FirmwareVersion",
        gmt_active: Option<String> = "GmtActive",
        gmt_create: String = "GmtCreate",
        gmt_online: Option<String> = "GmtOnline",
        iot_id: String = "IotId",
        ip_address: Option<String> = "IpAddress",
        nickname: Option<String> = "Nickname",
        node_type: i32 = "NodeType",
        owner: bool = "Owner",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        region: Option<String> = "Region",
        status: String = "Status",
        utc_active: Option<String> = "UtcActive",
        utc_create: String = "UtcCreate",
        utc_online: Option<String> = "UtcOnline",
    }
}

async fn register(context: Context<'_>, request: RegisterDevice) -> app::Result<RegisteredDevice> {
    let name = request.device_name.as_deref();
    let name = name
        .map(|name| name.parse().map_err(|_: IdError| refusal::MALFORMED_DEVICE_NAME.with(name)));
    let name = name.transpose()?;
    if let Some(nickname) = request.nickname.as_deref().filter(|nickname| !is_nickname(nickname)) {
        return Err(refusal::INVALID_PARAMETER.with(nickname).into());
    }
    let nickname = request.nickname.unwrap_or_default();
    let new = NewDevice { product_key: request.product_key, name, nickname };
    let (product, device) = context.app.register_device(context.caller, new).await?;
    let data = RegisteredDeviceData {
        dev_eui: request.dev_eui,
        device_name: device.name.to_string(),
        device_secret: device.secret,
        iot_id: device.iot_id.to_string(),
        join_eui: request.join_eui,
        nickname: unless_empty(device.nickname),
        product_key: product.key.to_string(),
    };
    Ok(RegisteredDevice { data })
}

/// Rows up to which pages are found by their number; beyond, by the token of the page before.
const NUMBERED_ROWS_MAX: u64 = 10_000;

async fn page(context: Context<'_>, request: QueryDevice) -> app::Result<DevicePage> {
    let paging =
        Paging::check(request.current_page.unwrap_or(1), request.page_size.unwrap_or(10), 50)?;
    let key = request.product_key;
    let from = match &request.next_token {
        Some(token) => {
            let last =
                read_token(token, &key).ok_or_else(|| refusal::INVALID_PAGE_TOKEN.with(token))?;
            DevicesFrom::Before(last)
        }
        None if paging.last_row() > NUMBERED_ROWS_MAX => {
            let detail = format!("beyond row {NUMBERED_ROWS_MAX} NextToken is needed");
            return Err(refusal::INVALID_PAGE.with(detail).into());
        }
        None => DevicesFrom::Skip(paging.rows().skip),
    };
    let (product, devices, total) =
        context.app.devices(context.caller, key.clone(), from, paging.size).await?;
    let is_full = u32::try_from(devices.len()) == Ok(paging.size);
    let last = devices.last().filter(|_| is_full).map(|(device, _)| device.no);
    let numbers = paging.of(total);
    Ok(DevicePage {
        rows: devices.into_iter().map(|(device, status)| row(&product, device, status)).collect(),
        next_token: last.map(|last| write_token(last, &key)),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

/// The token of the page behind a device: its number, and a digest that ties it to the product.
fn write_token(last: DeviceNo, product_key: &str) -> String {
    let digest = sha256_hex(format!("devices of {product_key} before {}", last.0).as_bytes());
    format!("{:016x}{}", last.0, &digest[..16])
}

fn read_token(token: &str, product_key: &str) -> Option<DeviceNo> {
    let last = DeviceNo(i64::from_str_radix(token.get(..16)?, 16).ok()?);
    (token == write_token(last, product_key)).then_some(last)
}

fn row(product: &Product, device: Device, status: DeviceStatus) -> DeviceRow {
    let Device {
        no: _,
        product: _,
        name,
        iot_id,
        secret,
        nickname,
        disabled: _,
        created_at,
        activated_at,
        online_at: _,
        address: _,
        status_at: _,
    } = device;
    let modified_at = activated_at.unwrap_or(created_at);
    DeviceRow {
        device_id: iot_id.to_string(),
        device_name: name.to_string(),
        device_secret: secret,
        device_status: status.as_wire().to_owned(),
        device_type: None,
        gmt_create: gmt(created_at),
        gmt_modified: gmt(modified_at),
        iot_id: iot_id.to_string(),
        nickname: unless_empty(nickname),
        product_key: product.key.to_string(),
        utc_create: utc(created_at),
        utc_modified: utc(modified_at),
    }
}

async fn detail(context: Context<'_>, request: QueryDeviceDetail) -> app::Result<DeviceDetail> {
    let QueryDeviceDetail { device_name, iot_id, product_key } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    let app::DeviceDetail { product, device, status, version } =
        context.app.device_detail(context.caller, key).await?;
    let Device {
        no: _,
        product: _,
        name,
        iot_id,
        secret,
        nickname,
        disabled: _,
        created_at,
        activated_at,
        online_at,
        address,
        status_at: _,
    } = device;
    let data = DeviceDetailData {
        device_name: name.to_string(),
        device_secret: secret,
        firmware_version: version.map(|version| version.to_string()),
        gmt_active: activated_at.map(gmt),
        gmt_create: gmt(created_at),
        gmt_online: online_at.map(gmt),
        iot_id: iot_id.to_string(),
        ip_address: unless_empty(address),
        nickname: unless_empty(nickname),
        node_type: product.profile.node_type,
        owner: true,
        product_key: product.key.to_string(),
        product_name: product.name,
        region: None,
        status: status.as_wire().to_owned(),
        utc_active: activated_at.map(utc),
        utc_create: utc(created_at),
        utc_online: online_at.map(utc),
    };
    Ok(DeviceDetail { data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_good_only_for_its_product() {
        let token = write_token(DeviceNo(77), "a1b");
        assert_eq!(read_token(&token, "a1b"), Some(DeviceNo(77)));
        for (token, product_key) in [
            (&*token, "a1c"),
            ("", "a1b"),
            (&token[..31], "a1b"),
            ("固固固固固固固固固固固", "a1b"),
        ] {
            assert_eq!(read_token(token, product_key), None, "{token}");
        }
    }
}
