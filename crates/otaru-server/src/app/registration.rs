//! Devices that register themselves with the secret of their product, or through their gateway.

use super::effect::Effects;
use super::{App, Result, device};
use crate::mqtt::Peer;
use crate::store::{self, Rows};
use otaru_core::device::Device;
use otaru_core::id::spell;
use otaru_core::product::Product;
use otaru_core::registration::{Claim, Enrolled, Grant, Known, RegisterError, Step, judge};
use otaru_core::time::Timestamp;
use otaru_core::topology::{SubEnd, SubName};

/// Letters and digits of a client id that the server chooses.
const CLIENT_ID_LETTERS: usize = 16;

pub(super) type Outcome<T> = store::Result<std::result::Result<T, RegisterError>>;

impl App {
    /// Gives a device that proves its product's secret a secret of its own.
    pub async fn enrol(
        &self,
        claim: Claim,
        grant: Grant,
    ) -> Result<std::result::Result<Enrolled, RegisterError>> {
        let devices_max = self.limits.devices_max;
        let outcome = self.change(move |rows, now, effects| {
            let product = match proven(rows, &claim)? {
                Ok(product) => product,
                Err(error) => return Ok(Err(error)),
            };
            let device = rows.device_by_name(product.no, &claim.device_name)?;
            let step = match judged(rows, &product, grant, device.as_ref())? {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
            let name = SubName {
                product_key: claim.product_key.clone(),
                device_name: claim.device_name.clone(),
            };
            let device = match (step, device) {
                (Step::Renew, Some(device)) => device,
                (Step::Renew | Step::Create, _) => {
                    if let Some(most) = devices_max
                        && rows.account_device_count(product.account)? >= most
                    {
                        return Ok(Err(RegisterError::TooMany));
                    }
                    let (name, nickname) = (claim.device_name.clone(), String::new());
                    device::register(rows, &product, name, nickname, now, effects)?
                }
            };
            Ok(Ok(renew(rows, &name, device, now, effects)?))
        });
        let outcome = outcome.await?;
        self.count_registration(outcome.as_ref().err().copied());
        Ok(outcome)
    }

    pub(super) fn count_registration(&self, error: Option<RegisterError>) {
        self.registry.metrics().registrations.count(error.into());
    }
}

/// The product whose secret a claim proves.
fn proven(rows: &mut dyn Rows, claim: &Claim) -> Outcome<std::rc::Rc<Product>> {
    let Some(product) = rows.product_by_key(&claim.product_key)? else {
        return Ok(Err(RegisterError::NoProduct));
    };
    Ok(if claim.proves(&product.secret) { Ok(product) } else { Err(RegisterError::Sign) })
}

/// Whether a sub-device may get a secret through this gateway.
pub(super) fn may_enrol(
    rows: &mut dyn Rows,
    gateway: Peer,
    product: &Product,
    device: Option<&Device>,
) -> Outcome<()> {
    if let Some(device) = device
        && rows.gateway_of(device.no)?.is_some_and(|had| had != gateway.device)
    {
        return Ok(Err(RegisterError::BoundElsewhere));
    }
    Ok(judged(rows, product, Grant::Secret, device)?.map(|_| ()))
}

fn judged(
    rows: &mut dyn Rows,
    product: &Product,
    grant: Grant,
    device: Option<&Device>,
) -> Outcome<Step> {
    let known = match device {
        None => None,
        Some(device) => Some(Known {
            disabled: device.disabled,
            activated: device.activated_at.is_some(),
            reset: rows.is_reset(device.no)?,
        }),
    };
    Ok(judge(product.registration, grant, known))
}

/// Gives a device that may have it another secret.
pub(super) fn renew(
    rows: &mut dyn Rows,
    name: &SubName,
    device: Device,
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<Enrolled> {
    let secret = format!("{:032x}", rows.random());
    rows.renew_secret(device.no, &secret, now)?;
    // Whoever is connected with the older secret has nothing to prove itself with any more.
    effects.kicked.push((device.no, SubEnd::NoSession));
    let SubName { product_key, device_name } = name.clone();
    let client_id = spell(rows.random(), CLIENT_ID_LETTERS);
    Ok(Enrolled { product_key, device_name, iot_id: device.iot_id, secret, client_id })
}
