//! Finding what a call names: the rows "Objects" of the refusals, each with its code.
//!
//! Everything belongs to a product, and a product to an instance of an account. What another account or instance has
//! is as unknown as what nobody has; of a product that is there, the caller is told when it may not touch it.

use super::Caller;
use super::error::Result;
use super::task::Judged;
use crate::mqtt::Registry;
use crate::store::{ProductFilter, View};
use otaru_core::apply::Apply;
use otaru_core::device::{Device, DeviceStatus};
use otaru_core::group::{Group, GroupKind};
use otaru_core::id::{
    ApplyNo, DeviceName, FirmwareId, GroupId, IdError, IotId, JobId, ProductKey, ProductNo, TaskId,
    UserNo,
};
use otaru_core::job::Job;
use otaru_core::module::Module;
use otaru_core::package::Package;
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::version::ModuleName;
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

/// Whether lists show things of the product to the caller.
pub(super) fn may_see(view: &mut dyn View, caller: Caller, product: &Product) -> Result<bool> {
    Ok(match caller.user {
        Some(user) => view.user_may_touch(user, &product.key)?,
        None => true,
    })
}

/// The user whose list of products limits what lists show to the caller; `None`: they show everything.
pub(super) fn listed_for(view: &mut dyn View, caller: Caller) -> Result<Option<UserNo>> {
    let Some(no) = caller.user else { return Ok(None) };
    // A user that was deleted meanwhile is shown nothing: its list is gone too.
    Ok(view.user(no)?.is_none_or(|user| !user.may.all_products).then_some(no))
}

/// The products that lists show to the caller.
pub(super) fn product_filter(
    view: &mut dyn View,
    caller: Caller,
    commodity_code: Option<String>,
) -> Result<ProductFilter> {
    let Caller { account, instance, .. } = caller;
    Ok(ProductFilter { account, instance, listed_for: listed_for(view, caller)?, commodity_code })
}

/// The product that something belongs to, when it is of the caller's account and instance.
pub(super) fn ours(
    view: &mut dyn View,
    caller: Caller,
    no: ProductNo,
) -> Result<Option<Rc<Product>>> {
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

/// A module of a product by its name, whatever the case.
pub(super) fn module(view: &mut dyn View, product: &Product, name: &str) -> Result<Module> {
    let found = match ModuleName::parse(name) {
        Ok(parsed) => view.module(product.no, &parsed)?,
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| refusal::NO_MODULE.with(name))?)
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
        if product.deleted_at.is_some() {
            return Err(refusal::NO_DEVICE.with(id).into());
        }
        return Ok((product, device));
    }
    let product_key = key.product_key.as_deref().ok_or(refusal::NULL_PRODUCT_KEY)?;
    let name = key.device_name.as_deref().ok_or(refusal::NULL_DEVICE_NAME)?;
    let product = product(view, caller, product_key)?;
    let device = device(view, &product, name)?;
    Ok((product, device))
}

/// A device with what belongs to it.
pub(super) fn detail(
    view: &mut dyn View,
    registry: &Registry,
    product: &Product,
    device: Device,
) -> Result<super::DeviceDetail> {
    let version = view.version(device.no, &ModuleName::default())?;
    let status = DeviceStatus::of(&device, registry.peer(device.no).is_some());
    Ok(super::DeviceDetail { product: product.clone(), device, status, version })
}

/// A batch of devices by its number, of the caller's account.
pub(super) fn apply(view: &mut dyn View, caller: Caller, no: ApplyNo) -> Result<Apply> {
    let batch = view.apply(no)?.filter(|batch| batch.account == caller.account);
    let batch = batch.ok_or_else(|| refusal::NO_APPLY.with(no.0))?;
    match ours(view, caller, batch.product)? {
        Some(_) => Ok(batch),
        None => Err(refusal::NO_APPLY.with(no.0).into()),
    }
}

/// A batch of devices of a product.
pub(super) fn apply_of(
    view: &mut dyn View,
    caller: Caller,
    product_key: &str,
    no: ApplyNo,
) -> Result<Apply> {
    let product = product(view, caller, product_key)?;
    let batch = apply(view, caller, no)?;
    if batch.product == product.no {
        Ok(batch)
    } else {
        Err(refusal::APPLY_DOES_NOT_FIT.with(product_key).into())
    }
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

/// How the product of something stands to a caller, who must be allowed to touch it.
fn standing(view: &mut dyn View, caller: Caller, product: ProductNo) -> Result<Standing> {
    let product = view.product(product)?.expect("what belongs to a product is not kept longer");
    let standing = Standing::of(&product, caller);
    if standing == Standing::Ours {
        permit(view, caller, &product)?;
    }
    Ok(standing)
}

/// The package that a caller changes (`ModifyOTAFirmware` has codes of its own).
pub(super) fn changed_package(
    view: &mut dyn View,
    caller: Caller,
    id: &str,
) -> Result<Rc<Package>> {
    let found = match id.parse::<FirmwareId>() {
        Ok(parsed) => view.package_by_id(&parsed)?,
        Err(_) => None,
    };
    let package = found.ok_or_else(|| refusal::NO_FIRMWARE.with(id))?;
    match standing(view, caller, package.product)? {
        Standing::Ours => Ok(package),
        Standing::OtherInstance => Err(refusal::OF_OTHER_INSTANCE.into()),
        Standing::OtherAccount => Err(refusal::FIRMWARE_OF_OTHER_ACCOUNT.into()),
    }
}

/// The job of an id, whoever it belongs to.
fn any_job(view: &mut dyn View, id: &str) -> Result<Option<Rc<Job>>> {
    Ok(match id.parse::<JobId>() {
        Ok(parsed) => view.job_by_id(&parsed)?,
        Err(_) => None,
    })
}

/// The job that a caller changes (`UpdateOTAJob` has codes of its own).
pub(super) fn changed_job(view: &mut dyn View, caller: Caller, id: &str) -> Result<Rc<Job>> {
    let job = any_job(view, id)?.ok_or_else(|| refusal::NO_UPDATED_JOB.with(id))?;
    match standing(view, caller, job.product)? {
        Standing::Ours => Ok(job),
        Standing::OtherInstance => Err(refusal::OF_OTHER_INSTANCE.into()),
        Standing::OtherAccount => Err(refusal::JOB_OF_OTHER_ACCOUNT.into()),
    }
}

/// The job whose tasks a caller starts again (`ReupgradeOTATask` has codes of its own).
pub(super) fn restarted_job(view: &mut dyn View, caller: Caller, id: &str) -> Result<Rc<Job>> {
    let job = any_job(view, id)?.ok_or_else(|| refusal::NO_REUPGRADED_JOB.with(id))?;
    match standing(view, caller, job.product)? {
        Standing::Ours => Ok(job),
        Standing::OtherInstance => Err(refusal::NO_REUPGRADED_JOB.with(id).into()),
        Standing::OtherAccount => Err(refusal::NOT_PACKAGE_OWNER.into()),
    }
}

/// The task of an id with its job and package; `None` when there is none that is the caller's.
pub(super) fn task(view: &mut dyn View, caller: Caller, id: &str) -> Result<Option<Judged>> {
    let found = match id.parse::<TaskId>() {
        Ok(parsed) => view.task_by_id(&parsed)?,
        Err(_) => None,
    };
    let Some(task) = found else { return Ok(None) };
    let judged = Judged::load(view, task)?;
    let standing = standing(view, caller, judged.job.product)?;
    Ok(Some(judged).filter(|_| standing == Standing::Ours))
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

/// The group of an id, of whichever kind (row G1).
pub(super) fn group_of_any_kind(
    view: &mut dyn View,
    caller: Caller,
    id: &str,
) -> Result<Rc<Group>> {
    let found = match id.parse::<GroupId>() {
        Ok(parsed) => view
            .group_by_id(&parsed)?
            .filter(|group| group.account == caller.account && group.instance == caller.instance),
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| refusal::NO_GROUP.with(id))?)
}

/// The group of an id; one of the other kind counts as unknown (row G1).
pub(super) fn group(
    view: &mut dyn View,
    caller: Caller,
    id: &str,
    kind: GroupKind,
) -> Result<Rc<Group>> {
    let found = group_of_any_kind(view, caller, id)?;
    if found.kind() == kind { Ok(found) } else { Err(refusal::NO_GROUP.with(id).into()) }
}
