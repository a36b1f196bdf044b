//! Devices that come by HTTP: a token for a proof, and reports for the token.
//!
//! They are never online: nothing can be pushed to them. A proof and every message with a good token note when and from
//! where the device was last heard, and the first of them activates it.

use super::effect::Effects;
use super::{App, Gatekeeper, dynamic, topic_class};
use crate::mqtt::{Devices, Peer, Posted, Said, Told, posted};
use crate::store::{Result, Rows};
use otaru_core::device_http::{HttpClaim, HttpError, TOKEN_MS, Token};
use otaru_core::id::DeviceNo;
use otaru_core::message::reply;
use otaru_core::time::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// The outer result is of the store.
type Outcome<T> = Result<std::result::Result<T, HttpError>>;

impl App {
    /// A token for a device that proves its secret. That the device was here is kept when this returns.
    pub async fn authenticate_http(&self, claim: HttpClaim, address: IpAddr) -> Outcome<String> {
        let now = self.clock.now().wall;
        let found = self.store.view(move |view| {
            let Some(product) = view.product_by_key(&claim.product_key)? else {
                return Ok((claim.clone(), None));
            };
            // Here nobody can show a certificate.
            let may_sign = !product.profile.is_by_certificate();
            let device = view.device_by_name(product.no, &claim.device_name)?;
            Ok((claim.clone(), device.filter(|_| may_sign)))
        });
        let (claim, device) = found.await?;
        // An unknown device takes as long as a wrong secret: nobody learns names by measuring.
        let is_proven = claim.proves(device.as_ref().map_or("", |device| &device.secret));
        let Some(device) = device.filter(|device| is_proven && !device.disabled) else {
            return Ok(Err(HttpError::Auth));
        };
        self.heard_by_http(device.no, address).await?;
        Ok(Ok(Token::issue(device.no, &device.secret, now.plus_ms(TOKEN_MS))))
    }

    /// Takes a message in, as if it came by MQTT. The answer is what a device would be told on the topic of the reply.
    pub async fn post_http(
        self: Arc<Self>,
        token: Token,
        topic: String,
        payload: Vec<u8>,
        address: IpAddr,
    ) -> Outcome<Option<String>> {
        let now = self.clock.now();
        let registry = self.registry.clone();
        let found = self.store.view(move |view| {
            let Some(device) = view.device(token.device)? else { return Ok(None) };
            let product = view.product(device.product)?.expect("a device has a product");
            topic_class::learn(view, registry.rules(), product.no)?;
            // Devices of a deleted product go in slices.
            let is_there = product.deleted_at.is_none();
            Ok(is_there.then(|| (device, product.key.clone())))
        });
        let device = found.await?.filter(|(device, _)| !device.disabled);
        let Some((device, product_key)) = device else { return Ok(Err(HttpError::Token)) };
        if let Err(error) = token.check(&device.secret, now.wall) {
            return Ok(Err(error));
        }
        let said = match posted(&product_key, &device.name, &topic, &payload, now.wall) {
            Ok(Posted::Answered(data)) => {
                self.heard_again(device.no, address);
                return Ok(Ok(data));
            }
            Ok(Posted::ShadowRefused(error)) => {
                self.registry.metrics().shadow_refused.count(error.into());
                self.heard_again(device.no, address);
                return Ok(Ok(Some(error.to_reply(now.wall))));
            }
            Ok(Posted::Custom(tail)) => {
                if !self.registry.rules().of(device.product).may_publish(&tail) {
                    return Ok(Err(HttpError::Publish));
                }
                self.heard_again(device.no, address);
                return Ok(Ok(None));
            }
            Ok(Posted::Said(said)) => said,
            Err(error) => return Ok(Err(error)),
        };
        let Said { report, id } = said;
        let gatekeeper = Gatekeeper(Arc::clone(&self));
        let told = async { gatekeeper.report(Peer::offline(device.no), report).await?.await };
        let Ok(told) = told.await else { return Ok(Err(HttpError::Common)) };
        self.heard_again(device.no, address);
        Ok(Ok(id.map(|id| match told {
            Told::Upgrade(upgrade) => upgrade.to_reply(&id),
            Told::Response(response) => response.to_reply(&id),
            Told::Text(text) => text,
            Told::Nothing | Told::Full => reply(&id, "{}"),
        })))
    }

    /// Notes lazily that a device which is activated was heard again: a crash may lose it.
    fn heard_again(&self, device: DeviceNo, address: IpAddr) {
        self.note_online(Peer::offline(device), self.clock.now().wall, address);
    }

    /// Notes that a device was heard, and from where.
    async fn heard_by_http(&self, device: DeviceNo, address: IpAddr) -> Result<()> {
        let now = self.clock.now().wall;
        let (follower, registry) = (self.follower.clone(), self.registry.clone());
        let address = address.to_string();
        let noted = self.store.queue_then(
            move |rows| {
                let mut effects = Effects::seeing(&registry);
                note(rows, device, now, &address, &mut effects)?;
                Ok(effects)
            },
            move |effects| follower.follow(effects),
        );
        noted.await?.await
    }
}

fn note(
    rows: &mut dyn Rows,
    device: DeviceNo,
    now: Timestamp,
    address: &str,
    effects: &mut Effects,
) -> Result<()> {
    // It may be gone by now.
    if rows.device(device)?.is_none() {
        return Ok(());
    }
    rows.note_online(device, now, address)?;
    dynamic::changed(rows, device, now, effects)
}
