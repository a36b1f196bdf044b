//! Finding what a call names: the rows "Objects" of the refusals, each with its code.
//!
//! Everything belongs to a product, and a product to an instance of an account. What another account or instance has
//! is as unknown as what nobody has; of a product that is there, the caller is told when it may not touch it.

use super::Caller;
use super::error::Result;
use crate::store::View;
use otaru_core::device::Device;
use otaru_core::id::{
    DeviceName, FirmwareId, IdError, IotId, JobId, ProductKey, ProductNo, UserNo,
};
use otaru_core::job::Job;
use otaru_core::package::Package;
use otaru_core::product::Product;
use otaru_core::refusal;
use std::rc::Rc;

/// How a product stands to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Ours,
    OtherInstance,
    OtherAccount,
}

impl Standing {
    pub fn of(product: &Product, caller: Caller) -> Self {
        match () {
            () if product.account != caller.account => Self::OtherAccount,
            () if product.instance != caller.instance => Self::OtherInstance,
            () => Self::Ours,
        }
    }
}

/// Refuses a caller that may not touch the product.
pub(super) fn permit(view: &mut dyn View, caller: Caller, product: &Product) -> Result<()> {
    match caller.user {
        Some(user) if !view.user_may_touch(user, &product.key)? => {
            Err(refusal::RAM_DENIED.with(&product.key).into())
        }
        _ => Ok(()),
    }
}

/// The user whose list of products limits what lists show to the caller; `None`: they show everything.
pub(super) fn listed_for(view: &mut dyn View, caller: Caller) -> Result<Option<UserNo>> {
    let Some(no) = caller.user else { return Ok(None) };
    // A user that was deleted meanwhile is shown nothing: its list is gone too.
    Ok(view.user(no)?.is_none_or(|user| !user.may.all_products).then_some(no))
}

/// The product that something belongs to, when it is of the caller's account and instance.
fn ours(view: &mut dyn View, caller: Caller, no: ProductNo) -> Result<Option<Rc<Product>>> {
    let product =
        view.product(no)?.filter(|product| Standing::of(product, caller) == Standing::Ours);
    if let Some(product) = &product {
        permit(view, caller, product)?;
    }
    Ok(product)
}

/// The product of a key (rows P1, P2).
pub(super) fn product(view: &mut dyn View, caller: Caller, key: &str) -> Result<Rc<Product>> {
    let parsed: ProductKey =
        key.parse().map_err(|_: IdError| refusal::MALFORMED_PRODUCT_KEY.with(key))?;
    let found = view.product_by_key(&parsed)?;
    let found = found.filter(|product| Standing::of(product, caller) == Standing::Ours);
    let found = found.ok_or_else(|| refusal::NO_PRODUCT.with(key))?;
    permit(view, caller, &found)?;
    Ok(found)
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
        match Standing::of(&product, caller) {
            Standing::Ours => permit(view, caller, &product)?,
            Standing::OtherInstance => return Err(refusal::NO_DEVICE.with(id).into()),
            Standing::OtherAccount => return Err(refusal::AUTH_DENIED.into()),
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
        Ok(parsed) => view.package_by_id(&parsed)?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| refusal::NO_PACKAGE.with(id))?;
    ours(view, caller, found.product)?.ok_or_else(|| refusal::NO_PACKAGE.with(id))?;
    Ok(found)
}

/// The job of an id.
pub(super) fn job(view: &mut dyn View, caller: Caller, id: &str) -> Result<Rc<Job>> {
    let found = match id.parse::<JobId>() {
        Ok(parsed) => view.job_by_id(&parsed)?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| refusal::NO_JOB.with(id))?;
    ours(view, caller, found.product)?.ok_or_else(|| refusal::NO_JOB.with(id))?;
    Ok(found)
}
