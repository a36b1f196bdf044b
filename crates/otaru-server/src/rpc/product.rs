//! Operations on products.

use super::op::{Op, op};
use super::request::request;
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("CreateProduct", Product, 50, CreateProduct => CreatedProduct),
    op!("QueryProduct", Product, 50, QueryProduct => ProductReply),
];

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
}
