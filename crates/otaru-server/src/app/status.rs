//! Devices by what they are doing: online, offline, never seen, disabled.

use super::topology_change::tell_gateway;
use super::{App, Caller, DeviceKey, Result, dynamic, lookup};
use crate::store::{Page, Tally};
use otaru_core::device::{Device, DeviceState, DeviceStatus};
use otaru_core::id::{DeviceNo, IdError, IotId};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::topology::{SubEnd, TopoChange};

/// Rows up to which pages of devices are found: a page behind them would walk too far.
const ROWS_MAX: u64 = 100_000;
/// Numbers that one look at the store walks over.
const WALK: u32 = 10_000;
/// Products that one account is asked for; more than it can have.
const PRODUCTS: Page = Page { skip: 0, take: 100_000 };

/// Devices of an account or a product in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    pub devices: u64,
    pub online: u64,
    /// Those that have ever connected.
    pub activated: u64,
}

/// A page of devices of one status, each with its product, and how many there are.
#[derive(Debug, Clone)]
pub struct StatusPage {
    pub rows: Vec<(Product, Device)>,
    pub total: u64,
}

impl App {
    /// Devices of one status, newest first within their product, the newest product first.
    pub async fn devices_by_status(
        &self,
        caller: Caller,
        product_key: Option<String>,
        status: DeviceStatus,
        page: Page,
    ) -> Result<StatusPage> {
        let tallies = self.tallies(caller, product_key).await?;
        let counted = tallies.into_iter().map(|(product, tally)| {
            let online = self.registry.online_of(product.no);
            let count = match status {
                DeviceStatus::Online => online,
                DeviceStatus::Offline => tally.of(DeviceState::Active).saturating_sub(online),
                DeviceStatus::Unactive => tally.unactive,
                DeviceStatus::Disable => tally.disabled,
            };
            (product, count)
        });
        let counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
        let total = counted.iter().map(|(_, count)| count).sum();
        let (mut skip, mut left) = (page.skip, page.take);
        if skip < total && skip + u64::from(left) > ROWS_MAX {
            let detail = format!("beyond row {ROWS_MAX}");
            return Err(refusal::INVALID_PAGE.with(detail).into());
        }
        let mut rows = Vec::new();
        for (product, count) in counted {
            if left == 0 {
                break;
            }
            if skip >= count {
                skip -= count;
                continue;
            }
            let devices = self.of_status(&product, status, Page { skip, take: left }).await?;
            left -= u32::try_from(devices.len()).unwrap_or(left);
            skip = 0;
            rows.extend(devices.into_iter().map(|device| (product.clone(), device)));
        }
        Ok(StatusPage { rows, total })
    }

    /// The product of a key, or all of the account's, with the counts of their devices; newest first.
    async fn tallies(
        &self,
        caller: Caller,
        product_key: Option<String>,
    ) -> Result<Vec<(Product, Tally)>> {
        self.view(move |view| {
            let products = if let Some(key) = &product_key {
                vec![lookup::product(view, caller, key)?]
            } else {
                let filter = lookup::product_filter(view, caller, None)?;
                view.products(&filter, PRODUCTS)?.rows
            };
            let mut tallies = Vec::with_capacity(products.len());
            for product in products {
                let tally = view.tally(product.no)?;
                tallies.push(((*product).clone(), tally));
            }
            Ok(tallies)
        })
        .await
    }

    async fn of_status(
        &self,
        product: &Product,
        status: DeviceStatus,
        page: Page,
    ) -> Result<Vec<Device>> {
        let no = product.no;
        let state = match status {
            DeviceStatus::Unactive => DeviceState::Unactive,
            DeviceStatus::Disable => DeviceState::Disabled,
            DeviceStatus::Online => {
                let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
                let newest = DeviceNo(i64::MAX);
                let online = self.registry.online_before(no, newest, skip, page.take as usize);
                return self.devices_of(online).await;
            }
            DeviceStatus::Offline => {
                let offline = self.offline(product, page).await?;
                return self.devices_of(offline).await;
            }
        };
        let registry = self.registry.clone();
        self.view(move |view| {
            let mut devices = view.devices_in(no, state, page)?;
            // One that connects for the first time is online before that is kept.
            devices.retain(|device| {
                let online = registry.peer(device.no).is_some();
                DeviceStatus::of(device, online) == status
            });
            Ok(devices)
        })
        .await
    }

    async fn devices_of(&self, numbers: Vec<DeviceNo>) -> Result<Vec<Device>> {
        self.view(move |view| {
            let mut devices = Vec::with_capacity(numbers.len());
            for &no in &numbers {
                devices.extend(view.device(no)?.filter(|device| !device.disabled));
            }
            Ok(devices)
        })
        .await
    }

    /// Numbers of devices that were online once and are not now: an index walk past those that are, in steps.
    async fn offline(&self, product: &Product, page: Page) -> Result<Vec<DeviceNo>> {
        let (no, take) = (product.no, page.take as usize);
        let (mut skip, mut before) = (page.skip, DeviceNo(i64::MAX));
        let mut found = Vec::new();
        loop {
            let numbers = self
                .view(move |view| Ok(view.numbers_in(no, DeviceState::Active, before, WALK)?))
                .await?;
            for &device in numbers.iter().filter(|&&device| self.registry.peer(device).is_none()) {
                if skip > 0 {
                    skip -= 1;
                } else {
                    found.push(device);
                }
                if found.len() == take {
                    return Ok(found);
                }
            }
            match numbers.last() {
                Some(&last) if numbers.len() == WALK as usize => before = last,
                _ => return Ok(found),
            }
        }
    }

    /// Counts of a product's devices, of a static group's, of those in both, or of all of the account's.
    pub async fn statistics(
        &self,
        caller: Caller,
        product_key: Option<String>,
        group_id: Option<String>,
    ) -> Result<Statistics> {
        let mut sum = Statistics::default();
        if let Some(group) = group_id {
            return self.group_statistics(caller, product_key, group).await;
        }
        let tallies = self.tallies(caller, product_key).await?;
        for (product, tally) in tallies {
            sum.devices += tally.devices;
            sum.activated += tally.activated;
            sum.online += self.registry.online_of(product.no);
        }
        Ok(sum)
    }

    /// Named devices of a product with their status; unknown ones are left out. The names are checked.
    pub async fn named_devices(
        &self,
        caller: Caller,
        product_key: String,
        names: Vec<otaru_core::id::DeviceName>,
    ) -> Result<Vec<super::DeviceDetail>> {
        let registry = self.registry.clone();
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let mut details = Vec::with_capacity(names.len());
            for name in &names {
                let Some(device) = view.device_by_name(product.no, name)? else { continue };
                details.push(lookup::detail(view, &registry, &product, device)?);
            }
            Ok(details)
        })
        .await
    }

    /// Devices by their second names, with their status; unknown ones are left out.
    pub async fn devices_by_iot_id(
        &self,
        caller: Caller,
        ids: Vec<String>,
    ) -> Result<Vec<super::DeviceDetail>> {
        let registry = self.registry.clone();
        self.view(move |view| {
            for id in &ids {
                id.parse::<IotId>().map_err(|_: IdError| refusal::INVALID_IOT_ID.with(id))?;
            }
            let mut details = Vec::with_capacity(ids.len());
            for id in &ids {
                let key = DeviceKey { iot_id: Some(id.clone()), ..DeviceKey::default() };
                match lookup::device_by_key(view, caller, &key) {
                    Ok((product, device)) => {
                        details.push(lookup::detail(view, &registry, &product, device)?);
                    }
                    Err(super::AppError::Refused(refused))
                        if refused.code == refusal::NO_DEVICE.code => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(details)
        })
        .await
    }

    /// Disables a device, which closes its connection, or enables it again.
    pub async fn set_disabled(&self, caller: Caller, key: DeviceKey, disabled: bool) -> Result<()> {
        self.change(move |rows, now, effects| {
            let (_, device) = lookup::device_by_key(rows, caller, &key)?;
            rows.set_disabled(device.no, disabled, now)?;
            if device.disabled != disabled {
                let change = if disabled { TopoChange::Disabled } else { TopoChange::Enabled };
                tell_gateway(rows, &device, change, now, effects)?;
            }
            if disabled {
                effects.kicked.push((device.no, SubEnd::Disabled));
            }
            Ok(dynamic::changed(rows, device.no, now, effects)?)
        })
        .await
    }

    /// Lets a device that was activated register itself once more.
    pub async fn reset_device(&self, caller: Caller, key: DeviceKey) -> Result<()> {
        self.change(move |rows, now, _| {
            let (_, device) = lookup::device_by_key(rows, caller, &key)?;
            // What waits is not for whoever registers as this device next.
            rows.delete_session(device.no)?;
            Ok(rows.reset_device(device.no, now)?)
        })
        .await
    }
}
