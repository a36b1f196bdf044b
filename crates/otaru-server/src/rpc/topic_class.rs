//! Operations on topic classes of products.

use otaru_core::refusal::{self, Refusal};
use otaru_core::topic_class::{ClassNo, DESCRIPTION_MAX, Right, TopicClass};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::unless_empty;
use crate::app::{self, ClassText};

pub(super) const OPS: &[Op] = &[
    op!("CreateProductTopic", Product, 1, create: CreateProductTopic => CreatedClass, CREATE_TOPIC_FAILED),
    op!("QueryProductTopic", Product, 3, query: QueryProductTopic => ClassList, SYSTEM_EXCEPTION),
    op!("UpdateProductTopic", Product, 50, update: UpdateProductTopic => (), SYSTEM_EXCEPTION),
    op!("DeleteProductTopic", Product, 50, delete: DeleteProductTopic => (), SYSTEM_EXCEPTION),
];

request! {
    pub struct CreateProductTopic {
        operation: String = "Operation",
        product_key: String = "ProductKey",
        topic_short_name: String = "TopicShortName",
        codec: Option<String> = "Codec",
        description: Option<String> = "Desc",
        proxy: Option<bool> = "EnableProxySubscribe",
    }

    pub struct QueryProductTopic {
        product_key: String = "ProductKey",
    }

    pub struct UpdateProductTopic {
        operation: String = "Operation",
        topic_id: String = "TopicId",
        topic_short_name: String = "TopicShortName",
        codec: Option<String> = "Codec",
        description: Option<String> = "Desc",
        proxy: Option<bool> = "EnableProxySubscribe",
    }

    pub struct DeleteProductTopic {
        topic_id: String = "TopicId",
    }
}

reply! {
    pub struct CreatedClass {
        topic_id: i64 = "TopicId",
    }

    pub struct ClassList {
        rows: Vec<ClassRow> = "Data" listing "ProductTopicInfo",
    }

    pub struct ClassRow {
        codec: Option<String> = "Codec",
        description: Option<String> = "Desc",
        proxy: bool = "EnableProxySubscribe",
        id: String = "Id",
        operation: String = "Operation",
        product_key: String = "ProductKey",
        topic_short_name: String = "TopicShortName",
    }
}

/// What both calls that word a class say of it.
fn text(
    operation: &str,
    name: String,
    codec: Option<&str>,
    description: Option<String>,
    proxy: Option<bool>,
) -> Result<ClassText, Refusal> {
    let right = Right::from_wire(operation)
        .ok_or_else(|| refusal::INVALID_PARAMETER.with(format!("Operation {operation}")))?;
    // Messages leave as they came: nothing here compresses them.
    if let Some(codec) = codec.filter(|codec| *codec != "identity") {
        return Err(refusal::INVALID_PARAMETER.with(format!("Codec {codec}")));
    }
    if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        let detail = format!("Desc is longer than {DESCRIPTION_MAX}");
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    if proxy == Some(true) && right == Right::Publish {
        return Err(refusal::INVALID_PARAMETER.with("EnableProxySubscribe with Operation PUB"));
    }
    Ok(ClassText { name, right, description, subscribes_by_itself: proxy })
}

async fn create(context: Context<'_>, request: CreateProductTopic) -> app::Result<CreatedClass> {
    let CreateProductTopic { operation, product_key, topic_short_name, codec, description, proxy } =
        request;
    let text = text(&operation, topic_short_name, codec.as_deref(), description, proxy)?;
    let ClassNo(topic_id) =
        context.app.create_topic_class(context.caller, product_key, text).await?;
    Ok(CreatedClass { topic_id })
}

async fn query(context: Context<'_>, request: QueryProductTopic) -> app::Result<ClassList> {
    let (product, classes) = context.app.topic_classes(context.caller, request.product_key).await?;
    let row = |(ClassNo(no), class): (ClassNo, TopicClass)| ClassRow {
        codec: None,
        topic_short_name: class.full(&product.key),
        description: unless_empty(class.description),
        proxy: class.subscribes_by_itself,
        id: no.to_string(),
        operation: class.right.number().to_string(),
        product_key: product.key.to_string(),
    };
    Ok(ClassList { rows: classes.into_iter().map(row).collect() })
}

async fn update(context: Context<'_>, request: UpdateProductTopic) -> app::Result<()> {
    let UpdateProductTopic { operation, topic_id, topic_short_name, codec, description, proxy } =
        request;
    let text = text(&operation, topic_short_name, codec.as_deref(), description, proxy)?;
    context.app.update_topic_class(context.caller, topic_id, text).await
}

async fn delete(context: Context<'_>, request: DeleteProductTopic) -> app::Result<()> {
    context.app.delete_topic_class(context.caller, request.topic_id).await
}
