//! Products and devices as an operator tends them: by state, disabled, deleted.

use super::{Listed, Page, Result};
use otaru_core::device::{Device, DeviceState};
use otaru_core::id::{AccountNo, DeviceNo, InstanceNo, ProductNo, UserNo};
use otaru_core::job::Job;
use otaru_core::product::Product;
use otaru_core::registration::Registration;
use otaru_core::time::Timestamp;
use std::rc::Rc;

/// Which products to list: those that are not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFilter {
    pub account: AccountNo,
    pub instance: InstanceNo,
    /// Only those that this user's list names.
    pub listed_for: Option<UserNo>,
    pub commodity_code: Option<String>,
}

/// Devices of a product, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub devices: u64,
    /// By [`DeviceState`].
    pub unactive: u64,
    pub disabled: u64,
    /// Those that have ever connected, disabled or not.
    pub activated: u64,
}

impl Tally {
    /// Devices in a state.
    pub fn of(&self, state: DeviceState) -> u64 {
        match state {
            DeviceState::Unactive => self.unactive,
            DeviceState::Active => {
                self.devices.saturating_sub(self.unactive).saturating_sub(self.disabled)
            }
            DeviceState::Disabled => self.disabled,
        }
    }
}

pub trait FleetView {
    /// Products that are not deleted, newest first.
    fn products(&mut self, filter: &ProductFilter, page: Page) -> Result<Listed<Rc<Product>>>;
    fn tally(&mut self, product: ProductNo) -> Result<Tally>;
    /// Devices of a product in a state, newest first.
    fn devices_in(
        &mut self,
        product: ProductNo,
        state: DeviceState,
        page: Page,
    ) -> Result<Vec<Device>>;
    /// Numbers of devices of a product in a state, below `before`, by falling number.
    fn numbers_in(
        &mut self,
        product: ProductNo,
        state: DeviceState,
        before: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>>;
    /// A device, also one that was deleted and had a task: then without its secret and its nickname.
    fn device_ever(&mut self, no: DeviceNo) -> Result<Option<Device>>;
    /// Devices of a product by rising number.
    fn oldest_devices(&mut self, product: ProductNo, limit: u32) -> Result<Vec<Device>>;
    /// Jobs of a product that are `Planned` or `InProgress`.
    fn open_jobs(&mut self, product: ProductNo, limit: u32) -> Result<Vec<Rc<Job>>>;
    /// Whether the device was reset since it last registered itself, or has not connected since.
    fn is_reset(&mut self, device: DeviceNo) -> Result<bool>;
    /// A deleted product of which something is left.
    fn doomed_product(&mut self) -> Result<Option<ProductNo>>;
}

pub trait FleetRows {
    fn rename_product(&mut self, no: ProductNo, name: &str, description: &str) -> Result<()>;
    fn set_registration(&mut self, no: ProductNo, registration: Registration) -> Result<()>;
    /// From now on the product is found by its number only, and is doomed.
    fn doom_product(&mut self, no: ProductNo, now: Timestamp) -> Result<()>;
    /// Nothing is left of a doomed product.
    fn bury_product(&mut self, no: ProductNo) -> Result<()>;
    fn set_disabled(&mut self, device: DeviceNo, disabled: bool, now: Timestamp) -> Result<()>;
    /// Notes that the device went offline. It may be gone by now: this is written lazily.
    fn note_offline(&mut self, device: DeviceNo, at: Timestamp) -> Result<()>;
    /// Lets the device register itself once more.
    fn reset_device(&mut self, device: DeviceNo, now: Timestamp) -> Result<()>;
    /// Gives the device another secret, since it registered itself.
    fn renew_secret(&mut self, device: DeviceNo, secret: &str, now: Timestamp) -> Result<()>;
    /// Deletes a device, its versions and its files; its number is never given again. Its tasks stay.
    fn delete_device(&mut self, account: AccountNo, device: &Device) -> Result<()>;
}
