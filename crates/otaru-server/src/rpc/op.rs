//! The operation table: everything about an operation that can be said as data.
//!
//! Dispatch, parameter checks, both printers, `otaru call` and the comparison with the API description read these
//! rows. A row's parameters and reply come from the structs that its handler takes and gives.

use std::pin::Pin;

use otaru_core::refusal::Code;
use otaru_core::time::Timestamp;

use super::error::GatewayError;
use super::params::Params;
use super::request::ParamRow;
use super::tree::{FieldRow, Fields};
use super::{
    batch, device, dynamic_group, file, group, job, module, named_task, package, product, publish,
    rrpc, shadow, status, subscription, tag, task, thing, topic_class, upload,
};
use crate::app::{self, App, Caller};

/// What a handler knows beside its request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub app: &'a App,
    pub caller: Caller,
    pub now: Timestamp,
    /// For the few rules about parameters that the operation doesn't have.
    pub params: &'a Params,
}

/// A call on its way.
pub type Running<'a> = Pin<Box<dyn Future<Output = app::Result<Fields>> + Send + 'a>>;

/// Reads the request, then starts the handler.
pub type Run = for<'a> fn(Context<'a>) -> Result<Running<'a>, GatewayError>;

/// An operation of the API.
pub struct Op {
    pub action: &'static str,
    pub family: Family,
    /// Methods that the API description names; the door takes GET and POST for every operation.
    pub methods: &'static [&'static str],
    /// Calls per second and account that the original allows.
    pub per_second: u32,
    /// The same for pages that begin 100,000 rows or more into a list, where the original tells them apart.
    pub deep_per_second: Option<u32>,
    pub params: &'static [ParamRow],
    /// Fields of the reply beside `RequestId` and `Success`.
    pub reply: &'static [FieldRow],
    /// What the caller is told when the store fails.
    pub failure: Code,
    pub run: Run,
}

/// What the names of operations begin with that only read.
const READS: &[&str] = &["Query", "List", "Get", "BatchGet", "BatchQuery"];

impl Op {
    /// What a user of an account must be allowed to do. The API says it by the first word of the name.
    pub fn access(&self) -> Access {
        if READS.iter().any(|word| self.action.starts_with(word)) {
            Access::Read
        } else {
            Access::Write
        }
    }
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.action)
    }
}

/// Whether an operation changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Which part of the API an operation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Ota,
    Product,
    Device,
    DeviceGroup,
    Tags,
    Subscription,
    Messaging,
    DeviceFile,
}

impl Family {
    /// As the API description spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ota => "ota",
            Self::Product => "product",
            Self::Device => "device",
            Self::DeviceGroup => "device-group",
            Self::Tags => "tags",
            Self::Subscription => "subscription",
            Self::Messaging => "messaging",
            Self::DeviceFile => "device-file",
        }
    }
}

/// A row of the table: action, family, calls per second, the only method if there is but one, handler with its request
/// and reply, code when the store fails.
macro_rules! op {
    (
        $action:literal, $family:ident, $per_second:literal $(deep $deep:literal)? $(only $method:literal)?,
        $run:path: $request:ty => $reply:ty, $failure:ident
    ) => {
        $crate::rpc::op::Op {
            action: $action,
            family: $crate::rpc::op::Family::$family,
            methods: $crate::rpc::op::op!(@methods $($method)?),
            per_second: $per_second,
            deep_per_second: $crate::rpc::op::op!(@deep $($deep)?),
            params: <$request as $crate::rpc::request::Request>::PARAMS,
            reply: <$reply as $crate::rpc::tree::ReplyObject>::FIELDS,
            failure: otaru_core::refusal::$failure,
            run: |context| {
                let request = <$request as $crate::rpc::request::Request>::read(context.params)?;
                Ok(Box::pin(async move {
                    let reply: $reply = $run(context, request).await?;
                    Ok($crate::rpc::tree::ReplyObject::into_fields(reply))
                }))
            },
        }
    };
    (@methods) => { &["GET", "POST"] };
    (@methods $method:literal) => { &[$method] };
    (@deep) => { None };
    (@deep $deep:literal) => { Some($deep) };
}
pub(super) use op;

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Op> {
    let families = [
        product::OPS,
        device::OPS,
        thing::OPS,
        status::OPS,
        batch::OPS,
        group::OPS,
        dynamic_group::OPS,
        tag::OPS,
        topic_class::OPS,
        shadow::OPS,
        publish::OPS,
        rrpc::OPS,
        file::OPS,
        subscription::OPS,
        upload::OPS,
        package::OPS,
        job::OPS,
        task::OPS,
        named_task::OPS,
        module::OPS,
    ];
    families.into_iter().flatten()
}

/// An operation by its name; case counts.
pub fn find(action: &str) -> Option<&'static Op> {
    all().find(|op| op.action == action)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::request::Kind;
    use super::super::tests::spec::operations;
    use super::super::tree::Shape;
    use super::*;

    /// A parameter of the description in the words of [`param`]. The `required` flags of list items are left out: the
    /// description says that there they mean "both or none", which the operation checks.
    fn described_param(param: &Value, is_item: bool) -> Value {
        let items = &param["items"];
        json!({
            "name": param["name"],
            "type": match (param["type"].as_str(), param["format"].as_str()) {
                (Some("array"), _) => match items["fields"].as_array() {
                    Some(fields) => {
                        json!(fields.iter().map(|f| described_param(f, true)).collect::<Vec<_>>())
                    }
                    None => json!(format!("list of {}", items["type"].as_str().unwrap())),
                },
                (_, Some(format)) => json!(format),
                (kind, None) => json!(kind),
            },
            "required": if is_item { json!(false) } else { param["required"].clone() },
        })
    }

    fn param(row: &ParamRow) -> Value {
        let kind = match row.kind {
            Kind::Text => json!("string"),
            Kind::Int32 => json!("int32"),
            Kind::Int64 => json!("int64"),
            Kind::Boolean => json!("boolean"),
            Kind::Texts => json!("list of string"),
            Kind::Objects(fields) => json!(fields.iter().map(param).collect::<Vec<_>>()),
        };
        json!({ "name": row.name, "type": kind, "required": row.required })
    }

    /// A field of the description in the words of [`field`], sorted by name: their order carries no meaning.
    fn described_shape(field: &Value) -> Value {
        if let Some(fields) = field["fields"].as_array() {
            let mut fields: Vec<_> =
                fields.iter().map(|field| json!([field["name"], described_shape(field)])).collect();
            fields.sort_by_key(|field| field[0].to_string());
            return json!(fields);
        }
        match field["type"].as_str().unwrap() {
            "array" => {
                let is_bare = field["json"].as_str().unwrap().starts_with("bare");
                json!({ if is_bare { "bare" } else { "wrapped" }: described_shape(&field["items"]) })
            }
            kind => field.get("format").cloned().unwrap_or(json!(kind)),
        }
    }

    fn shape(shape: Shape) -> Value {
        match shape {
            Shape::Text => json!("string"),
            Shape::Int32 => json!("int32"),
            Shape::Int64 => json!("int64"),
            Shape::Boolean => json!("boolean"),
            Shape::Object(fields) => {
                let mut fields: Vec<_> =
                    fields.iter().map(|row| json!([row.name, self::shape(row.shape)])).collect();
                fields.sort_by_key(|field| field[0].to_string());
                json!(fields)
            }
            Shape::List { item, of } => json!([[item, { "wrapped": self::shape(*of) }]]),
            Shape::Bare(of) => json!({ "bare": self::shape(*of) }),
        }
    }

    #[test]
    fn every_row_says_what_the_api_description_says() {
        let described = operations();
        for op in all() {
            let action = op.action;
            let api = described.iter().find(|api| api["name"] == action).expect(action);
            assert_eq!(json!(op.family.as_str()), api["family"], "{action}");
            assert_eq!(json!(op.methods), api["methods"], "{action}");
            assert_eq!(json!(op.per_second), api["qps"], "{action}");
            let has_deep_note = api.get("qps_note").is_some();
            assert_eq!(op.deep_per_second.is_some(), has_deep_note, "{action}");

            // Every operation takes it and none needs it, whatever the description says of three of them.
            let is_instance = |param: &Value| param["name"] == "IotInstanceId";
            let mut params: Vec<_> = op.params.iter().map(param).collect();
            let api_params = api["params"].as_array().unwrap();
            let mut api_params: Vec<_> =
                api_params.iter().map(|p| described_param(p, false)).collect();
            assert!(params.iter().any(is_instance) && api_params.iter().any(is_instance));
            params.retain(|param| !is_instance(param));
            api_params.retain(|param| !is_instance(param));
            assert_eq!(params, api_params, "{action}");

            // The four common fields come first everywhere.
            let api_fields = &api["response"].as_array().unwrap()[4..];
            let api_reply = described_shape(&json!({ "fields": api_fields }));
            assert_eq!(shape(Shape::Object(op.reply)), api_reply, "{action}");
        }
    }

    #[test]
    fn every_operation_of_the_api_is_offered_once() {
        let ours: Vec<_> = all().map(|op| op.action).collect();
        let set: BTreeSet<_> = ours.iter().copied().collect();
        assert_eq!(ours.len(), set.len());
        let described = operations();
        let api: BTreeSet<_> = described.iter().map(|op| op["name"].as_str().unwrap()).collect();
        assert_eq!(set, api);
    }

    #[test]
    fn names_of_operations_are_compared_with_case() {
        assert!(find("QueryProduct").is_some());
        assert!(find("queryProduct").is_none());
    }
}
