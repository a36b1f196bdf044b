//! Operations on shadows of devices.

use otaru_core::shadow::ShadowOrder;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use crate::app::{self, shadow_refused};

pub(super) const OPS: &[Op] = &[
    op!("GetDeviceShadow", Device, 500, get: GetDeviceShadow => ShadowText, SYSTEM_EXCEPTION),
    op!("UpdateDeviceShadow", Device, 500, update: UpdateDeviceShadow => (), SYSTEM_EXCEPTION),
];

request! {
    pub struct GetDeviceShadow {
        device_name: String = "DeviceName",
        product_key: String = "ProductKey",
    }

    pub struct UpdateDeviceShadow {
        device_name: String = "DeviceName",
        product_key: String = "ProductKey",
        message: String = "ShadowMessage",
        adds: Option<bool> = "DeltaUpdate",
    }
}

reply! {
    pub struct ShadowText {
        message: String = "ShadowMessage",
    }
}

async fn get(context: Context<'_>, request: GetDeviceShadow) -> app::Result<ShadowText> {
    let GetDeviceShadow { device_name, product_key } = request;
    let message = context.app.shadow(context.caller, product_key, device_name).await?;
    Ok(ShadowText { message })
}

async fn update(context: Context<'_>, request: UpdateDeviceShadow) -> app::Result<()> {
    let UpdateDeviceShadow { device_name, product_key, message, adds } = request;
    let order = ShadowOrder::parse(&message, adds.unwrap_or(false)).map_err(shadow_refused)?;
    context.app.order_shadow(context.caller, product_key, device_name, order).await
}
