//! Operations on devices.

use super::op::{Op, op};
use super::request::request;
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("RegisterDevice", Device, 30, RegisterDevice => RegisteredDevice),
    op!("QueryDevice", Device, 50, QueryDevice => DevicePage, deep 2),
    op!("QueryDeviceDetail", Device, 50, QueryDeviceDetail => DeviceDetail),
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
