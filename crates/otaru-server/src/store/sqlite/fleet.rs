//! States of devices, deleted devices, deleted products.

use super::super::{FleetRows, FleetView, Listed, Page, ProductFilter, Result, SessionRows, Tally};
use super::tx::Tx;
use super::{device, job, product};
use otaru_core::device::{Device, DeviceState};
use otaru_core::id::{AccountNo, DeviceNo, ProductNo};
use otaru_core::job::Job;
use otaru_core::product::Product;
use otaru_core::registration::Registration;
use otaru_core::time::Timestamp;
use rusqlite::params;
use std::rc::Rc;

/// As the generated column of `0005.sql` computes it.
fn state_code(state: DeviceState) -> i64 {
    match state {
        DeviceState::Unactive => 0,
        DeviceState::Active => 1,
        DeviceState::Disabled => 2,
    }
}

/// Moves the counts of a product when a device of it changes, appears or goes.
pub fn recount(
    tx: &Tx<'_>,
    product: ProductNo,
    before: Option<&Device>,
    after: Option<&Device>,
) -> Result<()> {
    let count = |device: Option<&Device>| -> [i64; 4] {
        let is = |wanted: fn(&Device) -> bool| i64::from(device.is_some_and(wanted));
        [
            is(|_| true),
            is(|device| device.state() == DeviceState::Unactive),
            is(|device| device.disabled),
            is(|device| device.activated_at.is_some()),
        ]
    };
    let (before, after) = (count(before), count(after));
    if before == after {
        return Ok(());
    }
    let [devices, unactive, disabled, activated] = std::array::from_fn(|n| after[n] - before[n]);
    tx.run_one(
        "UPDATE product SET devices = devices + ?2, unactive = unactive + ?3, disabled = disabled + ?4,
             activated = activated + ?5
         WHERE no = ?1",
        params![product.0, devices, unactive, disabled, activated],
    )
}

impl FleetView for Tx<'_> {
    fn products(&mut self, filter: &ProductFilter, page: Page) -> Result<Listed<Rc<Product>>> {
        product::list(self, filter, page)
    }

    fn tally(&mut self, product: ProductNo) -> Result<Tally> {
        let found = self.one(
            "SELECT devices, unactive, disabled, activated FROM product WHERE no = ?1",
            params![product.0],
            |cols| {
                let mut next = || cols.take::<i64>().map(|n| u64::try_from(n).unwrap_or(0));
                Ok(Tally {
                    devices: next()?,
                    unactive: next()?,
                    disabled: next()?,
                    activated: next()?,
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    fn devices_in(
        &mut self,
        product: ProductNo,
        state: DeviceState,
        page: Page,
    ) -> Result<Vec<Device>> {
        device::page_in(self, product, state_code(state), page)
    }

    fn numbers_in(
        &mut self,
        product: ProductNo,
        state: DeviceState,
        before: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>> {
        self.list(
            "SELECT no FROM device INDEXED BY device_by_state WHERE product = ?1 AND state = ?2 AND no < ?3
             ORDER BY no DESC LIMIT ?4",
            params![product.0, state_code(state), before.0, limit],
            |cols| cols.take().map(DeviceNo),
        )
    }

    fn device_ever(&mut self, no: DeviceNo) -> Result<Option<Device>> {
        match device::by_no(self, no)? {
            Some(device) => Ok(Some(device)),
            None => device::gone(self, no),
        }
    }

    fn oldest_devices(&mut self, product: ProductNo, limit: u32) -> Result<Vec<Device>> {
        device::oldest(self, product, limit)
    }

    fn open_jobs(&mut self, product: ProductNo, limit: u32) -> Result<Vec<Rc<Job>>> {
        job::open_of_product(self, product, limit)
    }

    fn is_reset(&mut self, device: DeviceNo) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM device WHERE no = ?1 AND reset_at IS NOT NULL)",
            params![device.0],
        )
    }

    fn doomed_product(&mut self) -> Result<Option<ProductNo>> {
        self.one(
            "SELECT no FROM product WHERE doomed_at IS NOT NULL ORDER BY doomed_at LIMIT 1",
            &[],
            |cols| cols.take().map(ProductNo),
        )
    }
}

impl FleetRows for Tx<'_> {
    fn rename_product(&mut self, no: ProductNo, name: &str, description: &str) -> Result<()> {
        self.forget_product(no);
        self.run_one(
            "UPDATE product SET name = ?2, description = ?3 WHERE no = ?1",
            params![no.0, name, description],
        )
    }

    fn set_registration(&mut self, no: ProductNo, registration: Registration) -> Result<()> {
        self.forget_product(no);
        self.run_one(
            "UPDATE product SET registration = ?2 WHERE no = ?1",
            params![no.0, product::registration_code(registration)],
        )
    }

    fn doom_product(&mut self, no: ProductNo, now: Timestamp) -> Result<()> {
        self.forget_product(no);
        self.run_one(
            "UPDATE product SET deleted_at = ?2, doomed_at = ?2 WHERE no = ?1 AND deleted_at IS NULL",
            params![no.0, now.0],
        )
    }

    fn bury_product(&mut self, no: ProductNo) -> Result<()> {
        self.run("DELETE FROM module WHERE product = ?1", params![no.0])?;
        self.run("DELETE FROM product_tag WHERE product = ?1", params![no.0])?;
        self.run("DELETE FROM retained WHERE kind = 1 AND owner = ?1", params![no.0])?;
        self.run("DELETE FROM topic_class WHERE product = ?1", params![no.0])?;
        self.run_one("UPDATE product SET doomed_at = NULL WHERE no = ?1", params![no.0])
    }

    fn set_disabled(&mut self, device: DeviceNo, disabled: bool, now: Timestamp) -> Result<()> {
        let Some(before) = device::by_no(self, device)? else { return Ok(()) };
        if before.disabled == disabled {
            return Ok(());
        }
        self.run_one(
            "UPDATE device SET disabled = ?2, status_at = ?3 WHERE no = ?1",
            params![device.0, disabled, now.0],
        )?;
        let after = Device { disabled, ..before.clone() };
        recount(self, before.product, Some(&before), Some(&after))
    }

    fn note_offline(&mut self, device: DeviceNo, at: Timestamp) -> Result<()> {
        self.run(
            "UPDATE device SET status_at = ?2 WHERE no = ?1 AND disabled = 0",
            params![device.0, at.0],
        )?;
        Ok(())
    }

    fn reset_device(&mut self, device: DeviceNo, now: Timestamp) -> Result<()> {
        self.run_one(
            "UPDATE device SET reset_at = ?2, registered_at = NULL WHERE no = ?1",
            params![device.0, now.0],
        )
    }

    fn renew_secret(&mut self, device: DeviceNo, secret: &str, now: Timestamp) -> Result<()> {
        self.run_one(
            "UPDATE device SET secret = ?2, registered_at = ?3 WHERE no = ?1",
            params![device.0, secret, now.0],
        )
    }

    fn delete_device(&mut self, account: AccountNo, device: &Device) -> Result<()> {
        let no = device.no.0;
        self.run(
            "INSERT INTO device_gone (no, product, name, iot_id, created_at)
             SELECT no, product, name, iot_id, created_at FROM device
             WHERE no = ?1 AND EXISTS (SELECT 1 FROM task WHERE task.device = ?1)",
            params![no],
        )?;
        self.run("DELETE FROM device_version WHERE device = ?1", params![no])?;
        self.run("DELETE FROM device_file WHERE device = ?1", params![no])?;
        self.run("DELETE FROM retained WHERE kind = 0 AND owner = ?1", params![no])?;
        self.run("DELETE FROM shadow WHERE device = ?1", params![no])?;
        self.run("DELETE FROM topology WHERE device = ?1", params![no])?;
        self.run("DELETE FROM topology WHERE gateway = ?1", params![no])?;
        self.delete_session(device.no)?;
        self.run_one("DELETE FROM device WHERE no = ?1", params![no])?;
        self.run_one("UPDATE account SET devices = devices - 1 WHERE no = ?1", params![account.0])?;
        recount(self, device.product, Some(device), None)
    }
}
