//! Messages from a back end to devices.

use super::{App, Caller, Result, lookup, retained, session, topic_class};
use crate::metrics::Dropped;
use crate::mqtt::{Delivery, Message};
use crate::store::Shelf;
use otaru_core::hash::Set;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::refusal;
use otaru_core::topic::CustomTopic;
use otaru_mqtt::packet::Qos;

/// Who is to hear a message.
#[derive(Clone, Copy)]
enum Audience {
    One {
        device: DeviceNo,
        /// Its session is to keep it.
        is_kept: bool,
    },
    Product(ProductNo),
}

impl App {
    /// Sends a message to the device of its topic, or to all of a product, as far as they have subscribed. At QoS 1 it
    /// is kept for a session that outlives its connection until the device has it; who else is offline misses it. A
    /// topic of a device must be one that its product lets it subscribe to.
    ///
    /// # Errors
    /// When the session of the device has no room: nothing that was acknowledged to a caller makes way.
    pub async fn publish(
        &self,
        caller: Caller,
        product_key: String,
        topic: CustomTopic,
        message: Message,
    ) -> Result<()> {
        let (now, heard) = (self.clock.now().wall, message.topic.clone());
        let is_acknowledged = message.qos != Qos::AtMostOnce;
        let registry = self.registry.clone();
        let audience = self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            if *topic.product_key() != product.key {
                return Err(refusal::NO_TOPIC.with(topic.product_key()).into());
            }
            Ok(match &topic {
                CustomTopic::OfDevice { device_name, tail, .. } => {
                    let device = lookup::device(view, &product, device_name)?.no;
                    topic_class::learn(view, registry.rules(), product.no)?;
                    if !registry.rules().of(product.no).may_subscribe(tail) {
                        return Err(refusal::NO_TOPIC.with(tail).into());
                    }
                    let is_kept = is_acknowledged && session::hears(view, device, &heard, now)?;
                    Audience::One { device, is_kept }
                }
                CustomTopic::Broadcast { .. } => Audience::Product(product.no),
            })
        });
        let audience = audience.await?;
        if message.beside.as_ref().is_some_and(|beside| beside.retain) {
            self.retain(audience, message.clone()).await?;
        }
        match audience {
            Audience::One { device, is_kept } => {
                if !is_kept || !self.keep(device, message.clone()).await? {
                    self.send(device, message);
                }
            }
            Audience::Product(product) => {
                let kept = if is_acknowledged {
                    self.keep_for_all(product, &message).await?
                } else {
                    Set::default()
                };
                let mut before = DeviceNo(i64::MAX);
                while let Some((devices, last)) = self.online_step(product, before) {
                    for device in devices.into_iter().filter(|device| !kept.contains(device)) {
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

    /// Retains a message for those of the audience that subscribe later.
    async fn retain(&self, audience: Audience, message: Message) -> Result<()> {
        let limits = self.limits.clone();
        let change = self.change(move |rows, now, _| {
            let whose = match audience {
                Audience::One { device, .. } => Shelf::Device(device),
                Audience::Product(product) => Shelf::Product(product),
            };
            // Who was deleted meanwhile leaves nothing behind.
            let is_there = match audience {
                Audience::One { device, .. } => rows.device(device)?.is_some(),
                Audience::Product(product) => rows.product(product)?.is_some(),
            };
            if is_there && !retained::keep(rows, whose, &message, &limits, now)? {
                let detail = "Retained: there is no room for another message";
                return Err(refusal::INVALID_PARAMETER.with(detail).into());
            }
            Ok(())
        });
        change.await
    }

    pub(super) fn send(&self, device: DeviceNo, message: Message) {
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
