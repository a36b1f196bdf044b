//! Tags of devices and products.

use super::{Listed, Page, Realm, Result};
use otaru_core::device::Device;
use otaru_core::id::{DeviceNo, ProductNo};

/// A key and its value.
pub type TagPair = (String, String);

pub trait TagView {
    /// Tags of a device by rising key.
    fn device_tags(&mut self, device: DeviceNo) -> Result<Vec<TagPair>>;
    /// Devices of a realm that have all of `tags`, one to ten, newest first. Of several tags the total stops at
    /// 100,000.
    fn devices_by_tags(
        &mut self,
        realm: Realm,
        tags: &[TagPair],
        page: Page,
    ) -> Result<Listed<Device>>;
    /// Tags of a product by rising key.
    fn product_tags(&mut self, product: ProductNo) -> Result<Vec<TagPair>>;
    /// Products of a realm that have a tag, of any value when none is given.
    fn products_by_tag(
        &mut self,
        realm: Realm,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<ProductNo>>;
}

pub trait TagRows {
    fn put_device_tag(
        &mut self,
        realm: Realm,
        device: DeviceNo,
        key: &str,
        value: &str,
    ) -> Result<()>;
    fn delete_device_tag(&mut self, device: DeviceNo, key: &str) -> Result<()>;
    fn delete_device_tags(&mut self, device: DeviceNo) -> Result<()>;
    fn put_product_tag(
        &mut self,
        realm: Realm,
        product: ProductNo,
        key: &str,
        value: &str,
    ) -> Result<()>;
    fn delete_product_tag(&mut self, product: ProductNo, key: &str) -> Result<()>;
}
