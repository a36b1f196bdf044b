//! Operations on one device by either of its names, and on several by name.

use otaru_core::device::Device;
use otaru_core::id::{DeviceName, IdError};
use otaru_core::refusal::{self, Refusal};
use std::collections::BTreeSet;

use super::op::{Context, Op, op};
use super::request::{OneOrMore, request};
use super::tree::reply;
use super::wire::{gmt, unless_empty, utc};
use crate::app::{self, DeviceKey};

pub(super) const OPS: &[Op] = &[
    op!("QueryDeviceInfo", Device, 500, info: QueryDeviceInfo => DeviceInfo, SYSTEM_EXCEPTION),
    op!(
        "BatchQueryDeviceDetail", Device, 5,
        details: BatchQueryDeviceDetail => DeviceDetails, SYSTEM_EXCEPTION
    ),
    op!("DeleteDevice", Device, 50, delete: DeleteDevice => (), DELETE_DEVICE_FAILED),
    op!("DisableThing", Device, 500, disable: DisableThing => (), DISABLE_DEVICE_FAILED),
    op!("EnableThing", Device, 500, enable: EnableThing => (), ENABLE_DEVICE_FAILED),
    op!("ResetThing", Device, 500, reset: ResetThing => Reset, SYSTEM_EXCEPTION),
];

/// Names that one call may ask for.
const NAMES_MAX: usize = 100;

/// A request that names one device.
macro_rules! one_device {
    ($($name:ident)*) => {$(
        request! {
            pub struct $name {
                device_name: Option<String> = "DeviceName",
                iot_id: Option<String> = "IotId",
                product_key: Option<String> = "ProductKey",
            }
        }

        impl From<$name> for DeviceKey {
            fn from(request: $name) -> Self {
                let $name { device_name, iot_id, product_key } = request;
                Self { iot_id, product_key, device_name }
            }
        }
    )*};
}
pub(super) use one_device;

one_device! { QueryDeviceInfo DeleteDevice DisableThing EnableThing ResetThing }

request! {
    pub struct BatchQueryDeviceDetail {
        device_names: OneOrMore = "DeviceName",
        product_key: String = "ProductKey",
    }
}

reply! {
    pub struct DeviceInfo {
        data: DeviceInfoData = "Data",
    }

    pub struct DeviceInfoData {
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        iot_id: String = "IotId",
        nickname: Option<String> = "Nickname",
        product_key: String = "ProductKey",
    }

    pub struct DeviceDetails {
        rows: Vec<DeviceDetailRow> = "Data" listing "Data",
    }

    pub struct DeviceDetailRow {
        device_name: String = "DeviceName",
        device_secret: String = "DeviceSecret",
        firmware_version: Option<String> = "FirmwareVersion",
        gmt_active: Option<String> = "GmtActive",
        gmt_create: String = "GmtCreate",
        iot_id: String = "IotId",
        nickname: Option<String> = "Nickname",
        node_type: i32 = "NodeType",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        region: Option<String> = "Region",
        status: String = "Status",
        utc_active: Option<String> = "UtcActive",
        utc_create: String = "UtcCreate",
    }

    pub struct Reset {
        /// Only a reset that goes on after the call has one; ours are done with it.
        job_id: Option<String> = "JobId",
    }
}

async fn info(context: Context<'_>, request: QueryDeviceInfo) -> app::Result<DeviceInfo> {
    let detail = context.app.device_detail(context.caller, request.into()).await?;
    let Device { name, iot_id, secret, nickname, .. } = detail.device;
    let data = DeviceInfoData {
        device_name: name.to_string(),
        device_secret: secret,
        iot_id: iot_id.to_string(),
        nickname: unless_empty(nickname),
        product_key: detail.product.key.to_string(),
    };
    Ok(DeviceInfo { data })
}

/// A list of names of devices (row N1), of at most `names_max`.
pub(super) fn device_names(names: &[String], names_max: usize) -> Result<Vec<DeviceName>, Refusal> {
    if names.len() > names_max {
        let detail = format!("{} names, at most {names_max}", names.len());
        return Err(refusal::TOO_MANY_DEVICE_NAMES.with(detail));
    }
    let mut seen = BTreeSet::new();
    let parse = |name: &String| {
        let parsed: Result<DeviceName, IdError> = name.parse();
        parsed
            .ok()
            .filter(|_| seen.insert(name.clone()))
            .ok_or_else(|| refusal::MALFORMED_DEVICE_NAMES.with(name))
    };
    names.iter().map(parse).collect()
}

async fn details(
    context: Context<'_>,
    request: BatchQueryDeviceDetail,
) -> app::Result<DeviceDetails> {
    let names = device_names(&request.device_names, NAMES_MAX)?;
    let details = context.app.named_devices(context.caller, request.product_key, names).await?;
    Ok(DeviceDetails { rows: details.into_iter().map(row).collect() })
}

fn row(detail: app::DeviceDetail) -> DeviceDetailRow {
    let app::DeviceDetail { product, device, status, version } = detail;
    let Device { name, iot_id, secret, nickname, created_at, activated_at, .. } = device;
    DeviceDetailRow {
        device_name: name.to_string(),
        device_secret: secret,
        firmware_version: version.map(|version| version.to_string()),
        gmt_active: activated_at.map(gmt),
        gmt_create: gmt(created_at),
        iot_id: iot_id.to_string(),
        nickname: unless_empty(nickname),
        node_type: product.profile.node_type,
        product_key: product.key.to_string(),
        product_name: product.name,
        region: None,
        status: status.as_wire().to_owned(),
        utc_active: activated_at.map(utc),
        utc_create: utc(created_at),
    }
}

async fn delete(context: Context<'_>, request: DeleteDevice) -> app::Result<()> {
    context.app.delete_device(context.caller, request.into()).await
}

async fn disable(context: Context<'_>, request: DisableThing) -> app::Result<()> {
    context.app.set_disabled(context.caller, request.into(), true).await
}

async fn enable(context: Context<'_>, request: EnableThing) -> app::Result<()> {
    context.app.set_disabled(context.caller, request.into(), false).await
}

async fn reset(context: Context<'_>, request: ResetThing) -> app::Result<Reset> {
    context.app.reset_device(context.caller, request.into()).await?;
    Ok(Reset { job_id: None })
}
