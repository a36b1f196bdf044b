//! Finding what a call names: the rows "Objects" of the refusals, each with its code.

use super::Caller;
use super::error::Result;
use crate::store::View;
use otaru_core::device::Device;
use otaru_core::id::{DeviceName, FirmwareId, IdError, IotId, JobId, ProductKey};
use otaru_core::job::Job;
use otaru_core::package::Package;
use otaru_core::product::Product;
use otaru_core::refusal;
use std::rc::Rc;

/// The product of a key (rows P1, P2).
pub(super) fn product(view: &mut dyn View, caller: Caller, key: &str) -> Result<Rc<Product>> {
    let parsed: ProductKey =
        key.parse().map_err(|_: IdError| refusal::MALFORMED_PRODUCT_KEY.with(key))?;
    let found = view.product_by_key(&parsed)?.filter(|product| product.account == caller.account);
    Ok(found.ok_or_else(|| refusal::NO_PRODUCT.with(key))?)
}

/// A device of a product by its name (rows D5, D6).
pub(super) fn device(view: &mut dyn View, product: &Product, name: &str) -> Result<Device> {
    let parsed: DeviceName =
        name.parse().map_err(|_: IdError| refusal::MALFORMED_DEVICE_NAME.with(name))?;
    let found = view.device_by_name(product.no, &parsed)?;
    Ok(found.ok_or_else(|| refusal::NO_DEVICE.with(name))?)
}

/// A device by either of its names (rows D1 to D6); `IotId` wins.
pub(super) fn device_by_key(
    view: &mut dyn View,
    caller: Caller,
    key: &super::DeviceKey,
) -> Result<(Rc<Product>, Device)> {
    if let Some(id) = &key.iot_id {
        let parsed: IotId = id.parse().map_err(|_: IdError| refusal::INVALID_IOT_ID.with(id))?;
        let device = view.device_by_iot_id(&parsed)?.ok_or_else(|| refusal::NO_DEVICE.with(id))?;
        let product = view.product(device.product)?.expect("a device has a product");
        if product.account != caller.account {
            return Err(refusal::AUTH_DENIED.into());
        }
        return Ok((product, device));
    }
    let product_key = key.product_key.as_deref().ok_or(refusal::NULL_PRODUCT_KEY)?;
    let name = key.device_name.as_deref().ok_or(refusal::NULL_DEVICE_NAME)?;
    let product = product(view, caller, product_key)?;
    let device = device(view, &product, name)?;
    Ok((product, device))
}

/// The package of an id (row F1).
pub(super) fn package(view: &mut dyn View, caller: Caller, id: &str) -> Result<Rc<Package>> {
    let found = match id.parse::<FirmwareId>() {
        Ok(parsed) => {
            view.package_by_id(&parsed)?.filter(|package| package.account == caller.account)
        }
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| refusal::NO_PACKAGE.with(id))?)
}

/// The job of an id.
pub(super) fn job(view: &mut dyn View, caller: Caller, id: &str) -> Result<Rc<Job>> {
    let found = match id.parse::<JobId>() {
        Ok(parsed) => view.job_by_id(&parsed)?.filter(|job| job.account == caller.account),
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| refusal::NO_JOB.with(id))?)
}
