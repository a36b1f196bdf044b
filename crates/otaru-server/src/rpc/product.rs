//! Operations on products.

use otaru_core::product::{Product, ProductProfile, is_product_name};
use otaru_core::refusal::{self, Code, Refusal};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, int, unless_empty};
use crate::app::{self, NewProduct};

pub(super) const OPS: &[Op] = &[
    op!("CreateProduct", Product, 50, create: CreateProduct => CreatedProduct, CREATE_PRODUCT_FAILED),
    op!("QueryProduct", Product, 50, query: QueryProduct => ProductReply, SYSTEM_EXCEPTION),
    op!("QueryProductList", Product, 50 deep 2, list: QueryProductList => ProductList, QUERY_PRODUCTS_FAILED),
    op!("UpdateProduct", Product, 10, update: UpdateProduct => (), UPDATE_PRODUCT_FAILED),
    op!("DeleteProduct", Product, 500, delete: DeleteProduct => (), SYSTEM_EXCEPTION),
];

const NODE_TYPES: &[i32] = &[0, 1];
const COMMODITY_CODES: &[&str] = &["iothub_senior", "iothub"];
const DATA_FORMATS: &[i32] = &[0, 1];
const VALIDATE_TYPES: &[i32] = &[1, 2];
const PROTOCOL_TYPES: &[&str] = &["modbus", "opc-ua", "customize", "ble", "zigbee"];
const AUTH_TYPES: &[&str] = &["secret", "id2", "x509", "one-party"];

/// Networks, with the numbers by which a product tells them again.
const NET_TYPES: &[(&str, i32)] =
    &[("LORA", 0), ("WIFI", 3), ("CELLULAR", 6), ("ETHERNET", 7), ("OTHER", 8)];

request! {
    pub struct CreateProduct {
        node_type: i32 = "NodeType",
        product_name: String = "ProductName",
        commodity_code: Option<String> = "AliyunCommodityCode",
        auth_type: Option<String> = "AuthType",
        category_key: Option<String> = "CategoryKey",
        data_format: Option<i32> = "DataFormat",
        description: Option<String> = "Description",
        id2: Option<bool> = "Id2",
        join_permission_id: Option<String> = "JoinPermissionId",
        net_type: Option<String> = "NetType",
        protocol_type: Option<String> = "ProtocolType",
        publish_auto: Option<bool> = "PublishAuto",
        resource_group_id: Option<String> = "ResourceGroupId",
        validate_type: Option<i32> = "ValidateType",
    }

    pub struct QueryProduct {
        product_key: String = "ProductKey",
    }

    pub struct QueryProductList {
        current_page: i32 = "CurrentPage",
        page_size: i32 = "PageSize",
        commodity_code: Option<String> = "AliyunCommodityCode",
        resource_group_id: Option<String> = "ResourceGroupId",
    }

    pub struct UpdateProduct {
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        description: Option<String> = "Description",
    }

    pub struct DeleteProduct {
        product_key: String = "ProductKey",
    }
}

reply! {
    pub struct CreatedProduct {
        data: CreatedProductData = "Data",
        product_key: String = "ProductKey",
    }

    pub struct CreatedProductData {
        commodity_code: Option<String> = "AliyunCommodityCode",
        auth_type: String = "AuthType",
        data_format: Option<i32> = "DataFormat",
        description: Option<String> = "Description",
        id2: bool = "Id2",
        node_type: i32 = "NodeType",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        product_secret: String = "ProductSecret",
        protocol_type: Option<String> = "ProtocolType",
    }

    pub struct ProductReply {
        data: ProductData = "Data",
    }

    pub struct ProductData {
        commodity_code: Option<String> = "AliyunCommodityCode",
        auth_type: String = "AuthType",
        category_key: Option<String> = "CategoryKey",
        category_name: Option<String> = "CategoryName",
        data_format: Option<i32> = "DataFormat",
        description: Option<String> = "Description",
        device_count: i32 = "DeviceCount",
        /// Milliseconds since the epoch: unlike every other time of the API a number.
        gmt_create: i64 = "GmtCreate",
        id2: bool = "Id2",
        net_type: i32 = "NetType",
        node_type: i32 = "NodeType",
        owner: bool = "Owner",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        product_secret: String = "ProductSecret",
        product_status: String = "ProductStatus",
        protocol_type: Option<String> = "ProtocolType",
        validate_type: i32 = "ValidateType",
    }

    pub struct ProductList {
        data: ProductListData = "Data",
    }

    pub struct ProductListData {
        current_page: i32 = "CurrentPage",
        rows: Vec<ProductRow> = "List" listing "ProductInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct ProductRow {
        auth_type: String = "AuthType",
        data_format: Option<i32> = "DataFormat",
        description: Option<String> = "Description",
        device_count: i32 = "DeviceCount",
        gmt_create: i64 = "GmtCreate",
        node_type: i32 = "NodeType",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
    }
}

async fn create(context: Context<'_>, request: CreateProduct) -> app::Result<CreatedProduct> {
    let profile = profile(&request)?;
    let new = NewProduct { name: request.product_name, profile };
    let product = context.app.create_product(context.caller, new).await?;
    Ok(created(product))
}

/// Checks the values of a new product.
fn profile(request: &CreateProduct) -> Result<ProductProfile, Refusal> {
    one_of(&request.node_type, NODE_TYPES, refusal::INVALID_NODE_TYPE)?;
    check_name(&request.product_name)?;
    let commodity_code = request.commodity_code.as_deref();
    if let Some(code) = commodity_code {
        one_of(&code, COMMODITY_CODES, refusal::INVALID_COMMODITY_CODE)?;
    }
    if commodity_code == Some("iothub_senior") && request.data_format.is_none() {
        return Err(refusal::NULL_PARAMETER.with("DataFormat"));
    }
    if let Some(format) = &request.data_format {
        one_of(format, DATA_FORMATS, refusal::INVALID_PARAMETER)?;
    }
    let validate_type = request.validate_type.unwrap_or(1);
    one_of(&validate_type, VALIDATE_TYPES, refusal::INVALID_PARAMETER)?;
    let net_type = request.net_type.as_deref().unwrap_or("WIFI");
    let net_type = NET_TYPES.iter().find(|(name, _)| *name == net_type);
    let (_, net_type) = net_type.ok_or_else(|| {
        refusal::INVALID_PARAMETER.with(request.net_type.as_deref().unwrap_or_default())
    })?;
    if let Some(protocol) = request.protocol_type.as_deref() {
        one_of(&protocol, PROTOCOL_TYPES, refusal::INVALID_PARAMETER)?;
    }
    let auth_type = request.auth_type.as_deref().unwrap_or("secret");
    one_of(&auth_type, AUTH_TYPES, refusal::INVALID_AUTH_TYPE)?;
    if auth_type == "id2" || request.id2 == Some(true) {
        return Err(refusal::NO_ID2.into());
    }
    let category = request.category_key.as_deref().unwrap_or_default();
    let is_category = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if category.chars().count() > 64 || !category.chars().all(is_category) {
        return Err(refusal::MALFORMED_CATEGORY.with(category));
    }
    let description = request.description.as_deref().unwrap_or_default();
    check_description(description)?;
    Ok(ProductProfile {
        node_type: request.node_type,
        commodity_code: commodity_code.unwrap_or_default().to_owned(),
        auth_type: auth_type.to_owned(),
        data_format: request.data_format,
        category_key: category.to_owned(),
        description: description.to_owned(),
        protocol_type: request.protocol_type.clone().unwrap_or_default(),
        net_type: *net_type,
        validate_type,
    })
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(refusal::NULL_PRODUCT_NAME.into());
    }
    if is_product_name(name) { Ok(()) } else { Err(refusal::MALFORMED_PRODUCT_NAME.with(name)) }
}

fn check_description(description: &str) -> Result<(), Refusal> {
    match description.chars().count() {
        ..=100 => Ok(()),
        _ => Err(refusal::LONG_PRODUCT_DESCRIPTION.into()),
    }
}

fn one_of<T: PartialEq + std::fmt::Display>(
    value: &T,
    allowed: &[T],
    code: Code,
) -> Result<(), Refusal> {
    if allowed.contains(value) { Ok(()) } else { Err(code.with(value)) }
}

fn created(product: Product) -> CreatedProduct {
    let Product {
        no: _,
        account: _,
        instance: _,
        registration: _,
        key,
        secret,
        name,
        profile,
        created_at: _,
        deleted_at: _,
    } = product;
    let ProductProfile {
        node_type,
        commodity_code,
        auth_type,
        data_format,
        category_key: _,
        description,
        protocol_type,
        net_type: _,
        validate_type: _,
    } = profile;
    let data = CreatedProductData {
        commodity_code: unless_empty(commodity_code),
        auth_type,
        data_format,
        description: unless_empty(description),
        id2: false,
        node_type,
        product_key: key.to_string(),
        product_name: name,
        product_secret: secret,
        protocol_type: unless_empty(protocol_type),
    };
    CreatedProduct { data, product_key: key.to_string() }
}

async fn query(context: Context<'_>, request: QueryProduct) -> app::Result<ProductReply> {
    let (product, devices) = context.app.product(context.caller, request.product_key).await?;
    let Product {
        no: _,
        account: _,
        instance: _,
        registration: _,
        key,
        secret,
        name,
        profile,
        created_at,
        deleted_at: _,
    } = product;
    let ProductProfile {
        node_type,
        commodity_code,
        auth_type,
        data_format,
        category_key,
        description,
        protocol_type,
        net_type,
        validate_type,
    } = profile;
    let data = ProductData {
        commodity_code: unless_empty(commodity_code),
        auth_type,
        category_key: unless_empty(category_key),
        category_name: None,
        data_format,
        description: unless_empty(description),
        device_count: int(devices),
        gmt_create: created_at.0,
        id2: false,
        net_type,
        node_type,
        owner: true,
        product_key: key.to_string(),
        product_name: name,
        product_secret: secret,
        product_status: "DEVELOPMENT_STATUS".to_owned(),
        protocol_type: unless_empty(protocol_type),
        validate_type,
    };
    Ok(ProductReply { data })
}

async fn list(context: Context<'_>, request: QueryProductList) -> app::Result<ProductList> {
    let paging = Paging::check(request.current_page, request.page_size, 200)?;
    if let Some(code) = request.commodity_code.as_deref() {
        one_of(&code, COMMODITY_CODES, refusal::INVALID_COMMODITY_CODE)?;
    }
    let page = paging.rows();
    let products = context.app.products(context.caller, request.commodity_code, page).await?;
    let numbers = paging.of(products.total);
    let data = ProductListData {
        current_page: numbers.current,
        rows: products.rows.into_iter().map(|(product, devices)| row(product, devices)).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    };
    Ok(ProductList { data })
}

fn row(product: Product, devices: u64) -> ProductRow {
    let Product { key, name, profile, created_at, .. } = product;
    let ProductProfile { node_type, auth_type, data_format, description, .. } = profile;
    ProductRow {
        auth_type,
        data_format,
        description: unless_empty(description),
        device_count: int(devices),
        gmt_create: created_at.0,
        node_type,
        product_key: key.to_string(),
        product_name: name,
    }
}

async fn update(context: Context<'_>, request: UpdateProduct) -> app::Result<()> {
    let UpdateProduct { product_key, product_name, description } = request;
    check_name(&product_name)?;
    check_description(description.as_deref().unwrap_or_default())?;
    context.app.update_product(context.caller, product_key, product_name, description).await
}

async fn delete(context: Context<'_>, request: DeleteProduct) -> app::Result<()> {
    context.app.delete_product(context.caller, request.product_key).await
}
