//! Tags of devices and products.

use super::super::tag::{TagPair, TagRows, TagView};
use super::super::{Listed, Page, Realm, Result};
use super::device;
use super::tx::Tx;
use otaru_core::device::Device;
use otaru_core::id::{AccountNo, DeviceNo, InstanceNo, ProductNo};
use rusqlite::params;

impl TagView for Tx<'_> {
    fn device_tags(&mut self, device: DeviceNo) -> Result<Vec<TagPair>> {
        self.list(
            "SELECT key, value FROM device_tag WHERE device = ?1 ORDER BY key",
            params![device.0],
            |cols| Ok((cols.take()?, cols.take()?)),
        )
    }

    fn devices_by_tags(
        &mut self,
        realm: Realm,
        tags: &[TagPair],
        page: Page,
    ) -> Result<Listed<Device>> {
        let mut counted = Vec::with_capacity(tags.len());
        for tag in tags {
            counted.push((devices_with(self, realm, tag)?, tag));
        }
        // The index of the rarest tag is the shortest to walk.
        counted.sort_by_key(|(devices, _)| *devices);
        let tags: Vec<_> = counted.iter().map(|(_, tag)| *tag).collect();
        let rows = device::tagged(self, realm, &tags, page)?;
        let total = match counted.as_slice() {
            [] | [(0, _), ..] => 0,
            [(devices, _)] => *devices,
            _ => device::count_tagged(self, realm, &tags)?,
        };
        Ok(Listed { rows, total })
    }

    fn product_tags(&mut self, product: ProductNo) -> Result<Vec<TagPair>> {
        self.list(
            "SELECT key, value FROM product_tag WHERE product = ?1 ORDER BY key",
            params![product.0],
            |cols| Ok((cols.take()?, cols.take()?)),
        )
    }

    fn products_by_tag(
        &mut self,
        realm: Realm,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<ProductNo>> {
        match value {
            Some(value) => self.list(
                "SELECT product FROM product_tag WHERE account = ?1 AND instance = ?2 AND key = ?3 AND value = ?4",
                params![realm.account.0, realm.instance.0, key, value],
                |cols| cols.take().map(ProductNo),
            ),
            None => self.list(
                "SELECT product FROM product_tag WHERE account = ?1 AND instance = ?2 AND key = ?3",
                params![realm.account.0, realm.instance.0, key],
                |cols| cols.take().map(ProductNo),
            ),
        }
    }
}

fn devices_with(tx: &Tx<'_>, realm: Realm, (key, value): &TagPair) -> Result<u64> {
    tx.count(
        "SELECT coalesce((SELECT devices FROM device_tag_count
             WHERE account = ?1 AND instance = ?2 AND key = ?3 AND value = ?4), 0)",
        params![realm.account.0, realm.instance.0, key, value],
    )
}

impl TagRows for Tx<'_> {
    fn put_device_tag(
        &mut self,
        realm: Realm,
        device: DeviceNo,
        key: &str,
        value: &str,
    ) -> Result<()> {
        self.delete_device_tag(device, key)?;
        self.run(
            "INSERT INTO device_tag (device, key, value, account, instance) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![device.0, key, value, realm.account.0, realm.instance.0],
        )?;
        self.run(
            "INSERT INTO device_tag_count (account, instance, key, value, devices) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT (account, instance, key, value) DO UPDATE SET devices = device_tag_count.devices + 1",
            params![realm.account.0, realm.instance.0, key, value],
        )?;
        Ok(())
    }

    fn delete_device_tag(&mut self, device: DeviceNo, key: &str) -> Result<()> {
        let tag = self.one(
            "SELECT account, instance, value FROM device_tag WHERE device = ?1 AND key = ?2",
            params![device.0, key],
            |cols| {
                let account = AccountNo(cols.take()?);
                let realm = Realm { account, instance: InstanceNo(cols.take()?) };
                Ok((realm, cols.take::<String>()?))
            },
        )?;
        let Some((realm, value)) = tag else { return Ok(()) };
        self.run("DELETE FROM device_tag WHERE device = ?1 AND key = ?2", params![device.0, key])?;
        self.run(
            "UPDATE device_tag_count SET devices = devices - 1
             WHERE account = ?1 AND instance = ?2 AND key = ?3 AND value = ?4",
            params![realm.account.0, realm.instance.0, key, value],
        )?;
        self.run(
            "DELETE FROM device_tag_count
             WHERE account = ?1 AND instance = ?2 AND key = ?3 AND value = ?4 AND devices = 0",
            params![realm.account.0, realm.instance.0, key, value],
        )?;
        Ok(())
    }

    fn delete_device_tags(&mut self, device: DeviceNo) -> Result<()> {
        for (key, _) in self.device_tags(device)? {
            self.delete_device_tag(device, &key)?;
        }
        Ok(())
    }

    fn put_product_tag(
        &mut self,
        realm: Realm,
        product: ProductNo,
        key: &str,
        value: &str,
    ) -> Result<()> {
        self.run(
            "INSERT INTO product_tag (product, key, value, account, instance) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (product, key) DO UPDATE SET value = excluded.value",
            params![product.0, key, value, realm.account.0, realm.instance.0],
        )?;
        Ok(())
    }

    fn delete_product_tag(&mut self, product: ProductNo, key: &str) -> Result<()> {
        self.run(
            "DELETE FROM product_tag WHERE product = ?1 AND key = ?2",
            params![product.0, key],
        )?;
        Ok(())
    }
}
