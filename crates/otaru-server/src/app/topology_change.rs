//! What a gateway hears of its sub-devices that it hasn't asked for.

use super::effect::Effects;
use crate::store::{Result, View};
use otaru_core::device::Device;
use otaru_core::id::ProductKey;
use otaru_core::time::Timestamp;
use otaru_core::topology::{SubName, TopoChange};

/// Tells the gateway of a sub-device, if it is connected then, what an operator did to that.
pub(super) fn tell_gateway(
    view: &mut dyn View,
    device: &Device,
    change: TopoChange,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<()> {
    let Some(gateway) = view.gateway_of(device.no)? else { return Ok(()) };
    let Some(gateway) = view.device(gateway)? else { return Ok(()) };
    let topic = format!("/sys/{}/{}/thing/topo/change", key(view, &gateway)?, gateway.name);
    let name = SubName { product_key: key(view, device)?, device_name: device.name.clone() };
    effects.notices.push((gateway.no, topic, change.to_message(now.0, &name)));
    Ok(())
}

fn key(view: &mut dyn View, device: &Device) -> Result<ProductKey> {
    let product = view.product(device.product)?.expect("a device has a product");
    Ok(product.key.clone())
}
