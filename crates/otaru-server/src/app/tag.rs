//! Tags of devices and products.

use super::effect::Effects;
use super::group::with_products;
use super::{App, Caller, DeviceKey, Result, dynamic, lookup};
use crate::store::{self, Listed, Page, Realm, Rows, TagPair};
use otaru_core::device::Device;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::message::{DeviceTag, Response, code};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::tag::{DEVICE_TAGS_MAX, PRODUCT_TAGS_MAX, is_product_tag_value, is_tag_key};
use otaru_core::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Gives a device tags, or none when it would have too many.
fn put(
    rows: &mut dyn Rows,
    realm: Realm,
    device: DeviceNo,
    tags: &[TagPair],
) -> store::Result<bool> {
    let earlier = rows.device_tags(device)?;
    let keys: BTreeSet<_> = earlier.iter().chain(tags).map(|(key, _)| key).collect();
    if keys.len() > DEVICE_TAGS_MAX {
        return Ok(false);
    }
    for tag in tags {
        if !earlier.contains(tag) {
            let (key, value) = tag;
            rows.put_device_tag(realm, device, key, value)?;
        }
    }
    Ok(true)
}

/// A device gives itself tags.
pub(super) fn uploaded(
    rows: &mut dyn Rows,
    device: &Device,
    tags: &[DeviceTag],
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<Response> {
    let Some(product) = rows.product(device.product)? else {
        return Ok(Response::refusal(code::NO_DEVICE));
    };
    let realm = Realm { account: product.account, instance: product.instance };
    // Of a key that is named twice the last counts.
    let tags: BTreeMap<_, _> =
        tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let tags: Vec<TagPair> = tags.into_iter().collect();
    if !put(rows, realm, device.no, &tags)? {
        return Ok(Response::refusal(code::PARAMETER));
    }
    dynamic::changed(rows, device.no, now, effects)?;
    Ok(Response::success(json!({})))
}

/// A device gives up tags, as far as it has them.
pub(super) fn given_up(
    rows: &mut dyn Rows,
    device: &Device,
    keys: &[String],
) -> store::Result<Response> {
    keys.iter().try_for_each(|key| rows.delete_device_tag(device.no, key))?;
    Ok(Response::success(json!({})))
}

impl App {
    /// Gives a device tags whose keys are checked; what it has under the same keys is replaced.
    pub async fn save_device_tags(
        &self,
        caller: Caller,
        key: DeviceKey,
        tags: Vec<TagPair>,
    ) -> Result<()> {
        self.change(move |rows, now, effects| {
            let (_, device) = lookup::device_by_key(rows, caller, &key)?;
            if !put(rows, caller.realm(), device.no, &tags)? {
                return Err(refusal::TOO_MANY_TAGS.with(DEVICE_TAGS_MAX).into());
            }
            Ok(dynamic::changed(rows, device.no, now, effects)?)
        })
        .await
    }

    pub async fn device_tags(&self, caller: Caller, key: DeviceKey) -> Result<Vec<TagPair>> {
        self.view(move |view| {
            let (_, device) = lookup::device_by_key(view, caller, &key)?;
            Ok(view.device_tags(device.no)?)
        })
        .await
    }

    pub async fn delete_device_tag(
        &self,
        caller: Caller,
        key: DeviceKey,
        tag: String,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let (_, device) = lookup::device_by_key(rows, caller, &key)?;
            // No rule asks for devices without a tag, so nobody joins a group by this.
            Ok(rows.delete_device_tag(device.no, &tag)?)
        })
        .await
    }

    /// Devices that have all of the tags, newest first.
    pub async fn devices_by_tags(
        &self,
        caller: Caller,
        tags: Vec<TagPair>,
        page: Page,
    ) -> Result<Listed<(Product, Device)>> {
        self.view(move |view| {
            let Listed { rows, total } = view.devices_by_tags(caller.realm(), &tags, page)?;
            Ok(Listed { rows: with_products(view, caller, rows)?, total })
        })
        .await
    }

    /// Gives a product new tags. The inner error: tags that can't be given, because of which none was.
    pub async fn create_product_tags(
        &self,
        caller: Caller,
        product_key: String,
        tags: Vec<TagPair>,
    ) -> Result<std::result::Result<(), Vec<TagPair>>> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &product_key)?;
            let mut taken = product_tag_keys(rows, &product)?;
            let mut bad = Vec::new();
            for tag in &tags {
                let (key, value) = tag;
                let is_good = is_tag_key(key) && is_product_tag_value(value);
                let has_room = taken.len() < PRODUCT_TAGS_MAX;
                if !is_good || !has_room || !taken.insert(key.clone()) {
                    bad.push(tag.clone());
                }
            }
            put_product_tags(rows, caller, &product, &tags, bad)
        })
        .await
    }

    /// Gives tags of a product new values. The inner error as with new ones.
    pub async fn update_product_tags(
        &self,
        caller: Caller,
        product_key: String,
        tags: Vec<TagPair>,
    ) -> Result<std::result::Result<(), Vec<TagPair>>> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &product_key)?;
            let earlier = product_tag_keys(rows, &product)?;
            let is_bad =
                |(key, value): &&TagPair| !earlier.contains(key) || !is_product_tag_value(value);
            let bad: Vec<_> = tags.iter().filter(is_bad).cloned().collect();
            put_product_tags(rows, caller, &product, &tags, bad)
        })
        .await
    }

    pub async fn delete_product_tags(
        &self,
        caller: Caller,
        product_key: String,
        keys: Vec<String>,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &product_key)?;
            for key in &keys {
                rows.delete_product_tag(product.no, key)?;
            }
            Ok(())
        })
        .await
    }

    pub async fn product_tags(&self, caller: Caller, product_key: String) -> Result<Vec<TagPair>> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            Ok(view.product_tags(product.no)?)
        })
        .await
    }

    /// Products that have one of the tags, newest first; a tag without value: whatever the value is.
    pub async fn products_by_tags(
        &self,
        caller: Caller,
        tags: Vec<(String, Option<String>)>,
        page: Page,
    ) -> Result<Vec<Product>> {
        self.view(move |view| {
            let mut found: BTreeSet<ProductNo> = BTreeSet::new();
            for (key, value) in &tags {
                found.extend(view.products_by_tag(caller.realm(), key, value.as_deref())?);
            }
            let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
            let mut products = Vec::new();
            for no in found.into_iter().rev() {
                let product = view.product(no)?.expect("a product with tags is there");
                if product.deleted_at.is_none() && lookup::may_see(view, caller, &product)? {
                    products.push((*product).clone());
                }
            }
            Ok(products.into_iter().skip(skip).take(page.take as usize).collect())
        })
        .await
    }
}

fn product_tag_keys(rows: &mut dyn Rows, product: &Product) -> Result<BTreeSet<String>> {
    Ok(rows.product_tags(product.no)?.into_iter().map(|(key, _)| key).collect())
}

/// Gives a product all of `tags`, unless some of them are bad.
fn put_product_tags(
    rows: &mut dyn Rows,
    caller: Caller,
    product: &Product,
    tags: &[TagPair],
    bad: Vec<TagPair>,
) -> Result<std::result::Result<(), Vec<TagPair>>> {
    if !bad.is_empty() {
        return Ok(Err(bad));
    }
    for (key, value) in tags {
        rows.put_product_tag(caller.realm(), product.no, key, value)?;
    }
    Ok(Ok(()))
}
