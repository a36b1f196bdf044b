//! Messages to all devices of a product that are online.

use super::{App, Caller, Result, lookup};
use crate::mqtt::{Message, broadcast_topic};
use bytes::Bytes;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_mqtt::packet::Qos;

/// Devices that one step looks at.
const STEP: usize = 1_000;

impl App {
    /// Sends a message to all devices of a product that are online, each on a topic of its own, whether it has
    /// subscribed or not.
    pub async fn broadcast(
        &self,
        caller: Caller,
        product_key: String,
        id: i64,
        payload: Bytes,
    ) -> Result<()> {
        let product = self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            Ok((*product).clone())
        });
        let product = product.await?;
        let mut before = DeviceNo(i64::MAX);
        while let Some((devices, last)) = self.online_step(product.no, before) {
            before = last;
            let numbers = devices.clone();
            let names = self.view(move |view| {
                let mut name = |no| Ok(view.device(no)?.map(|device| device.name));
                numbers.iter().map(|&no| name(no)).collect::<Result<Vec<_>>>()
            });
            for (device, name) in devices.into_iter().zip(names.await?) {
                // It was deleted meanwhile.
                let Some(name) = name else { continue };
                let topic = broadcast_topic(&product.key, &name, id);
                let message = Message::new(topic, payload.clone(), Qos::AtMostOnce);
                self.send(device, message);
            }
        }
        Ok(())
    }

    /// The next devices of a product that are online, by falling number, and the last of them.
    pub(super) fn online_step(
        &self,
        product: ProductNo,
        before: DeviceNo,
    ) -> Option<(Vec<DeviceNo>, DeviceNo)> {
        let devices = self.registry.online_before(product, before, 0, STEP);
        let last = *devices.last()?;
        Some((devices, last))
    }
}
