//! Messages from a back end to devices.

use super::{App, Caller, Result, lookup};
use crate::metrics::Dropped;
use crate::mqtt::{Delivery, Message};
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::refusal;
use otaru_core::topic::CustomTopic;

/// Devices that one step of a broadcast looks at.
const STEP: usize = 1_000;

/// Who is to hear a message.
enum Audience {
    One(DeviceNo),
    Product(ProductNo),
}

impl App {
    /// Sends a message to the device of its topic, or to all of a product, as far as they are connected and have
    /// subscribed. Who is offline misses it.
    pub async fn publish(
        &self,
        caller: Caller,
        product_key: String,
        topic: CustomTopic,
        message: Message,
    ) -> Result<()> {
        let audience = self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            if *topic.product_key() != product.key {
                return Err(refusal::NO_TOPIC.with(topic.product_key()).into());
            }
            Ok(match &topic {
                CustomTopic::OfDevice { device_name, .. } => {
                    Audience::One(lookup::device(view, &product, device_name)?.no)
                }
                CustomTopic::Broadcast { .. } => Audience::Product(product.no),
            })
        });
        match audience.await? {
            Audience::One(device) => self.send(device, message),
            Audience::Product(product) => {
                let mut before = DeviceNo(i64::MAX);
                loop {
                    let devices = self.registry.online_before(product, before, 0, STEP);
                    let Some(&last) = devices.last() else { break };
                    for device in devices {
                        self.send(device, message.clone());
                    }
                    before = last;
                    // The others have their turn between two steps.
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    fn send(&self, device: DeviceNo, message: Message) {
        let delivered = self.registry.peer(device).map(|peer| self.registry.deliver(peer, message));
        if delivered.is_none() {
            self.registry.metrics().dropped.count(Dropped::Offline);
        }
        if delivered != Some(Delivery::Accepted) {
            tracing::debug!(
                device.no = device.0,
                "a message for a device that is offline is dropped"
            );
        }
    }
}
