//! Operations on tags of devices and products.

use otaru_core::product::Product;
use otaru_core::refusal::{self, Refusal};
use otaru_core::tag::{DeviceTagsError, parse_device_tags};

use super::error::refused;
use super::op::{Context, Op, op};
use super::request::{OneOrMore, request};
use super::tree::{FieldRow, Fields, ReplyObject, reply};
use super::wire::{Paging, unless_empty};
use crate::app::{self, DeviceKey};
use crate::store::TagPair;

pub(super) const OPS: &[Op] = &[
    op!("SaveDeviceProp", Tags, 50, save: SaveProp => (), SAVE_TAGS_FAILED),
    op!("QueryDeviceProp", Tags, 50, query: QueryProp => PropReply, QUERY_TAGS_FAILED),
    op!("DeleteDeviceProp", Tags, 500, delete: DeleteProp => (), DELETE_TAG_FAILED),
    op!("QueryDeviceByTags", Tags, 5, devices: QueryByTags => DevicePage, QUERY_DEVICES_FAILED),
    op!("CreateProductTags", Tags, 500, create: PutProductTags => TagsOutcome, SYSTEM_EXCEPTION),
    op!("UpdateProductTags", Tags, 500, update: PutProductTags => TagsOutcome, SYSTEM_EXCEPTION),
    op!("DeleteProductTags", Tags, 500, delete_of_product: DeleteProductTags => (), SYSTEM_EXCEPTION),
    op!("ListProductTags", Tags, 500, list: ListProductTags => ProductTags, QUERY_PRODUCT_TAGS_FAILED),
    op!("ListProductByTags", Tags, 500, products: ListByTags => ProductPage, SYSTEM_EXCEPTION),
];

request! {
    pub struct SaveProp {
        props: String = "Props",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct QueryProp {
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct DeleteProp {
        prop_key: String = "PropKey",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct QueryByTags {
        current_page: Option<i32> = "CurrentPage",
        page_size: Option<i32> = "PageSize",
        tags: Vec<TagParam> = "Tag",
    }

    pub item TagParam {
        key: Option<String> = "TagKey",
        value: Option<String> = "TagValue",
    }

    pub struct PutProductTags {
        product_key: String = "ProductKey",
        tags: OneOrMore<TagParam> = "ProductTag",
    }

    pub struct DeleteProductTags {
        product_key: String = "ProductKey",
        keys: OneOrMore = "ProductTagKey",
    }

    pub struct ListProductTags {
        product_key: String = "ProductKey",
    }

    pub struct ListByTags {
        tags: OneOrMore<TagParam> = "ProductTag",
        current_page: Option<i32> = "CurrentPage",
        page_size: Option<i32> = "PageSize",
    }
}

reply! {
    pub struct PropReply {
        props: String = "Props",
    }

    pub struct DevicePage {
        rows: Vec<DeviceRow> = "Data" listing "SimpleDeviceInfo",
        page: i32 = "Page",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct DeviceRow {
        device_name: String = "DeviceName",
        iot_id: String = "IotId",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
    }

    pub struct InvalidTags {
        rows: Vec<TagRow> = "InvalidProductTags" list "ProductTag",
    }

    pub struct TagRow {
        key: String = "TagKey",
        value: String = "TagValue",
    }

    pub struct ProductTags {
        rows: Vec<TagRow> = "Data" listing "ProductTag",
    }

    pub struct ProductPage {
        rows: Vec<ProductRow> = "ProductInfos" listing "ProductInfo",
    }

    pub struct ProductRow {
        create_time: i64 = "CreateTime",
        description: Option<String> = "Description",
        node_type: i32 = "NodeType",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
    }
}

/// What became of tags of a product: all were written, or none because of these.
#[derive(Debug, Clone)]
pub struct TagsOutcome(Result<(), Vec<TagPair>>);

impl ReplyObject for TagsOutcome {
    const FIELDS: &'static [FieldRow] = InvalidTags::FIELDS;

    fn into_fields(self) -> Fields {
        let Err(bad) = self.0 else { return Fields::new() };
        let detail = bad.first().map(|(key, value)| format!("{key}={value}")).unwrap_or_default();
        let mut fields = refused(&refusal::INVALID_PARAMETER.with(detail));
        fields.extend(InvalidTags { rows: tag_rows(bad) }.into_fields());
        fields
    }
}

fn tag_rows(tags: Vec<TagPair>) -> Vec<TagRow> {
    tags.into_iter().map(|(key, value)| TagRow { key, value }).collect()
}

/// Items that one call may name.
const ITEMS_MAX: usize = 10;

async fn save(context: Context<'_>, request: SaveProp) -> app::Result<()> {
    let SaveProp { props, device_name, iot_id, product_key } = request;
    let tags = parse_device_tags(&props).map_err(|error| match error {
        DeviceTagsError::Long => refusal::LONG_TAGS.with(format!("{} bytes", props.len())),
        DeviceTagsError::Format => refusal::MALFORMED_TAGS.with(&props),
        DeviceTagsError::Empty => refusal::NO_TAG.into(),
        DeviceTagsError::Key(key) => refusal::MALFORMED_TAG_KEY.with(key),
    })?;
    let key = DeviceKey { iot_id, product_key, device_name };
    context.app.save_device_tags(context.caller, key, tags).await
}

async fn query(context: Context<'_>, request: QueryProp) -> app::Result<PropReply> {
    let QueryProp { device_name, iot_id, product_key } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    let tags = context.app.device_tags(context.caller, key).await?;
    let props: serde_json::Map<_, _> =
        tags.into_iter().map(|(key, value)| (key, value.into())).collect();
    Ok(PropReply { props: serde_json::Value::Object(props).to_string() })
}

async fn delete(context: Context<'_>, request: DeleteProp) -> app::Result<()> {
    let DeleteProp { prop_key, device_name, iot_id, product_key } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    context.app.delete_device_tag(context.caller, key, prop_key).await
}

async fn devices(context: Context<'_>, request: QueryByTags) -> app::Result<DevicePage> {
    let QueryByTags { current_page, page_size, tags } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 50)?;
    let pair = |tag: &TagParam| tag.key.clone().zip(tag.value.clone());
    let pairs: Option<Vec<TagPair>> = tags.iter().map(pair).collect();
    let mut pairs = pairs.filter(|pairs| !pairs.is_empty()).ok_or(refusal::NO_TAG)?;
    if pairs.len() > ITEMS_MAX {
        return Err(refusal::TOO_MANY_TAGS.with(format!("at most {ITEMS_MAX}")).into());
    }
    pairs.sort_unstable();
    pairs.dedup();
    let listed = context.app.devices_by_tags(context.caller, pairs, paging.rows()).await?;
    let numbers = paging.of(listed.total);
    let row = |(product, device): (Product, otaru_core::device::Device)| DeviceRow {
        device_name: device.name.to_string(),
        iot_id: device.iot_id.to_string(),
        product_key: product.key.to_string(),
        product_name: product.name,
    };
    Ok(DevicePage {
        rows: listed.rows.into_iter().map(row).collect(),
        page: numbers.current,
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

/// Up to ten tags, each with key and value.
fn product_tags(tags: &[TagParam]) -> Result<Vec<TagPair>, Refusal> {
    let mut pairs = Vec::with_capacity(tags.len());
    for tag in tags {
        let (Some(key), Some(value)) = (&tag.key, &tag.value) else {
            return Err(refusal::NULL_PARAMETER.with("TagKey and TagValue"));
        };
        pairs.push((key.clone(), value.clone()));
    }
    check_items(tags.len())?;
    Ok(pairs)
}

fn check_items(count: usize) -> Result<(), Refusal> {
    if count > ITEMS_MAX {
        return Err(refusal::LIST_TOO_LONG.with(format!("{count} items, at most {ITEMS_MAX}")));
    }
    Ok(())
}

async fn create(context: Context<'_>, request: PutProductTags) -> app::Result<TagsOutcome> {
    let tags = product_tags(&request.tags)?;
    let outcome =
        context.app.create_product_tags(context.caller, request.product_key, tags).await?;
    Ok(TagsOutcome(outcome))
}

async fn update(context: Context<'_>, request: PutProductTags) -> app::Result<TagsOutcome> {
    let tags = product_tags(&request.tags)?;
    let outcome =
        context.app.update_product_tags(context.caller, request.product_key, tags).await?;
    Ok(TagsOutcome(outcome))
}

async fn delete_of_product(context: Context<'_>, request: DeleteProductTags) -> app::Result<()> {
    check_items(request.keys.len())?;
    let keys = request.keys.to_vec();
    context.app.delete_product_tags(context.caller, request.product_key, keys).await
}

async fn list(context: Context<'_>, request: ListProductTags) -> app::Result<ProductTags> {
    let tags = context.app.product_tags(context.caller, request.product_key).await?;
    Ok(ProductTags { rows: tag_rows(tags) })
}

async fn products(context: Context<'_>, request: ListByTags) -> app::Result<ProductPage> {
    let ListByTags { tags, current_page, page_size } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 50)?;
    let mut wanted = Vec::with_capacity(tags.len());
    for tag in tags.iter() {
        let key = tag.key.clone().ok_or_else(|| refusal::NULL_PARAMETER.with("TagKey"))?;
        wanted.push((key, tag.value.clone()));
    }
    check_items(tags.len())?;
    let products = context.app.products_by_tags(context.caller, wanted, paging.rows()).await?;
    let row = |product: Product| ProductRow {
        create_time: product.created_at.0,
        description: unless_empty(product.profile.description),
        node_type: product.profile.node_type,
        product_key: product.key.to_string(),
        product_name: product.name,
    };
    Ok(ProductPage { rows: products.into_iter().map(row).collect() })
}
