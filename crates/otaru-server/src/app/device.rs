//! Devices as the API shows them.

use super::effect::Effects;
use super::{App, Caller, Result, dynamic, lookup};
use crate::store::{self, Page, Rows};
use otaru_core::device::{Device, DeviceStatus};
use otaru_core::id::{DeviceName, DeviceNo, IotId};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::time::Timestamp;
use otaru_core::version::Version;

/// The two ways to name a device; `iot_id` wins.
#[derive(Debug, Clone, Default)]
pub struct DeviceKey {
    pub iot_id: Option<String>,
    pub product_key: Option<String>,
    pub device_name: Option<String>,
}

/// A device to register. Its name and nickname are checked; no name: a random one.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub product_key: String,
    pub name: Option<DeviceName>,
    pub nickname: String,
}

/// A device with what belongs to it.
#[derive(Debug, Clone)]
pub struct DeviceDetail {
    pub product: Product,
    pub device: Device,
    pub status: DeviceStatus,
    /// Version of the default module.
    pub version: Option<Version>,
}

impl App {
    pub async fn register_device(
        &self,
        caller: Caller,
        new: NewDevice,
    ) -> Result<(Product, Device)> {
        let devices_max = self.limits.devices_max;
        self.change(move |rows, now, effects| {
            let product = lookup::product(rows, caller, &new.product_key)?;
            let name = match &new.name {
                Some(name) => name.clone(),
                None => {
                    otaru_core::id::spell(rows.random(), 20).parse().expect("letters and digits")
                }
            };
            if rows.device_by_name(product.no, &name)?.is_some() {
                return Err(refusal::DEVICE_NAME_TAKEN.with(name).into());
            }
            if let Some(most) = devices_max
                && rows.account_device_count(caller.account)? >= most
            {
                return Err(refusal::TOO_MANY_DEVICES.with(most).into());
            }
            let device = register(rows, &product, name, new.nickname.clone(), now, effects)?;
            Ok(((*product).clone(), device))
        })
        .await
    }

    pub async fn device_detail(&self, caller: Caller, key: DeviceKey) -> Result<DeviceDetail> {
        let registry = self.registry.clone();
        self.view(move |view| {
            let (product, device) = lookup::device_by_key(view, caller, &key)?;
            lookup::detail(view, &registry, &product, device)
        })
        .await
    }

    /// A page of a product's devices with their status, and how many there are.
    pub async fn devices(
        &self,
        caller: Caller,
        product_key: String,
        from: DevicesFrom,
        take: u32,
    ) -> Result<(Product, Vec<(Device, DeviceStatus)>, u64)> {
        let registry = self.registry.clone();
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let devices = match from {
                DevicesFrom::Skip(skip) => view.devices(product.no, Page { skip, take })?,
                DevicesFrom::Before(device) => view.devices_before(product.no, device, take)?,
            };
            let total = view.device_count(product.no)?;
            let with_status = |device: Device| {
                let status = DeviceStatus::of(&device, registry.peer(device.no).is_some());
                (device, status)
            };
            Ok(((*product).clone(), devices.into_iter().map(with_status).collect(), total))
        })
        .await
    }
}

/// Makes a device whose name is free, and lets jobs that watch groups look at it.
pub(super) fn register(
    rows: &mut dyn Rows,
    product: &Product,
    name: DeviceName,
    nickname: String,
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<Device> {
    let mut device = Device {
        no: DeviceNo(0),
        product: product.no,
        name,
        iot_id: IotId::generate(rows.random()),
        secret: format!("{:032x}", rows.random()),
        nickname,
        disabled: false,
        created_at: now,
        activated_at: None,
        online_at: None,
        address: String::new(),
        status_at: now,
    };
    device.no = rows.insert_device(product.account, &device)?;
    dynamic::changed(rows, device.no, now, effects)?;
    Ok(device)
}

/// Where a page of devices starts, newest first.
#[derive(Debug, Clone, Copy)]
pub enum DevicesFrom {
    /// After this many.
    Skip(u64),
    /// Behind this one.
    Before(DeviceNo),
}
