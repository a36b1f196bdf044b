//! Shadows of devices: what devices say of them, and what a back end reads and wants.

use super::{App, Caller, Limits, Result, lookup};
use crate::mqtt::{Message, shadow_topic};
use crate::store::{self, Rows};
use otaru_core::id::DeviceNo;
use otaru_core::refusal;
use otaru_core::shadow::{ShadowAsk, ShadowError, ShadowLimits, ShadowOrder};
use otaru_core::time::Timestamp;
use otaru_mqtt::packet::Qos;

fn limits_of(limits: &Limits) -> ShadowLimits {
    ShadowLimits {
        attributes_max: limits.shadow_attributes_max,
        bytes_max: limits.shadow_bytes_max,
    }
}

/// Carries out what a device says of its shadow, and gives what it hears: also when it is refused, with why.
pub(super) fn answer(
    rows: &mut dyn Rows,
    device: DeviceNo,
    ask: &ShadowAsk,
    limits: &Limits,
    now: Timestamp,
) -> store::Result<(String, Option<ShadowError>)> {
    let shadow = rows.shadow(device)?;
    Ok(match ask.answer(&shadow, limits_of(limits), now) {
        Ok((after, text)) => {
            // A device that was deleted meanwhile leaves nothing behind.
            if let Some(after) = after
                && rows.device(device)?.is_some()
            {
                rows.put_shadow(device, &after)?;
            }
            (text, None)
        }
        Err(error) => (error.to_reply(now), Some(error)),
    })
}

impl App {
    /// The shadow of a device as a document.
    pub async fn shadow(&self, caller: Caller, product: String, device: String) -> Result<String> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &product)?;
            let device = lookup::device(view, &product, &device)?;
            Ok(view.shadow(device.no)?.to_document())
        })
        .await
    }

    /// Changes what is wanted of a device, and tells it if it is connected.
    pub async fn order_shadow(
        &self,
        caller: Caller,
        product: String,
        device: String,
        order: ShadowOrder,
    ) -> Result<()> {
        let limits = limits_of(&self.limits);
        let changed = self.change(move |rows, now, _| {
            let product = lookup::product(rows, caller, &product)?;
            let device = lookup::device(rows, &product, &device)?;
            let shadow = rows.shadow(device.no)?;
            let after = order.apply(&shadow, limits, now).map_err(refused)?;
            rows.put_shadow(device.no, &after)?;
            let topic = shadow_topic(&product.key, &device.name);
            Ok((device.no, topic, after.to_control()))
        });
        let (device, topic, text) = changed.await?;
        if let Some(peer) = self.registry.peer(device) {
            // Who misses it asks for the shadow when it is back.
            let _ = self.registry.deliver(peer, Message::new(topic, text, Qos::AtLeastOnce));
        }
        Ok(())
    }
}

/// As a caller is told.
pub fn refused(error: ShadowError) -> refusal::Refusal {
    refusal::INVALID_PARAMETER.with(format!("ShadowMessage: {error}"))
}
