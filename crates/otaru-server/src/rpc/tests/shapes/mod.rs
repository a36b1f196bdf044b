//! A walk over all operations: each reply with data has the shape of the API description, in JSON and in XML.

mod description;
mod fleet;
mod groups;
mod ota;
pub mod scene;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::rpc::op;

/// Fields of the description that no reply has here, or with a dot those below: categories and regions do not exist.
const NEVER_SENT: &[(&str, &str)] = &[
    ("QueryProduct", "Data.CategoryName"),
    ("QueryDevice", "Data.DeviceInfo.DeviceType"),
    ("QueryDeviceDetail", "Data.Region"),
    ("BatchQueryDeviceDetail", "Data.Data.Region"),
    // A device is reset at once, not by a job.
    ("ResetThing", "JobId"),
    // Messages are not compressed.
    ("QueryProductTopic", "Data.ProductTopicInfo.Codec"),
    // Nothing is delivered to consumers yet.
    ("QueryConsumerGroupStatus", "LastConsumerTime"),
    ("QueryConsumerGroupStatus", "ClientConnectionStatusList.ConsumerGroupClientConnectionInfo."),
    // No parameter sets it.
    ("QueryOTAJob", "Data.JobDesc"),
];

/// Texts that are sent empty when there is nothing to say; every other text is left out then.
const SENT_EMPTY: &[(&str, &str)] = &[
    ("ListOTAFirmware", "FirmwareInfo.SimpleFirmwareInfo.SrcVersion"),
    ("ListOTATaskByJob", "Data.SimpleOTATaskInfo.SrcVersion"),
    ("ListOTATaskByJob", "Data.SimpleOTATaskInfo.TaskDesc"),
    ("ListOTATaskByJob", "Data.SimpleOTATaskInfo.Timeout"),
    ("ListOTAUnfinishedTaskByDevice", "Data.SimpleOTATaskInfo.SrcVersion"),
];

/// What was seen of an operation.
#[derive(Default)]
struct Seen {
    json: bool,
    xml: bool,
    fields: BTreeSet<String>,
}

pub struct Walk {
    pub world: World,
    /// One call of each operation that succeeded, with its parameters.
    pub calls: RefCell<BTreeMap<String, String>>,
    pub described: BTreeMap<String, Value>,
    seen: RefCell<BTreeMap<String, Seen>>,
}

impl Walk {
    pub async fn new() -> Self {
        let world = World::new().await;
        let described = description::operations();
        Self { world, calls: RefCell::default(), described, seen: RefCell::default() }
    }

    /// A call that has to succeed, answered in JSON.
    async fn json(&self, action: &str, params: &str) -> Value {
        let reply = self.world.ok(action, params).await;
        self.calls.borrow_mut().insert(action.to_owned(), params.to_owned());
        self.note(action, &reply, |seen| seen.json = true);
        reply
    }

    /// A call that has to succeed, answered in XML; the reply as JSON would show it.
    async fn xml(&self, action: &str, params: &str) -> Value {
        let body = self.world.answer(action, params, Format::Xml).await.body;
        let (root, reply) = description::from_xml(&body, &self.described[action]["response"]);
        assert_eq!(root, format!("{action}Response"));
        assert_eq!(reply["Success"], true, "{action} {params}: {body}");
        self.note(action, &reply, |seen| seen.xml = true);
        reply
    }

    /// A call that can be made twice: both answers say the same.
    async fn both(&self, action: &str, params: &str) -> Value {
        let json = self.json(action, params).await;
        let xml = self.xml(action, params).await;
        let bare = |reply: &Value| {
            let mut reply = description::without_empty_lists(reply);
            reply.as_object_mut().unwrap().remove("RequestId");
            reply
        };
        assert_eq!(bare(&json), bare(&xml), "{action} {params}");
        json
    }

    /// Two calls that change something, the first answered in JSON, the second in XML.
    async fn in_turn(&self, action: &str, params: [&str; 2]) -> [Value; 2] {
        [self.json(action, params[0]).await, self.xml(action, params[1]).await]
    }

    /// A list that has no rows: JSON shows it empty, XML shows its wrapper.
    async fn empty(&self, action: &str, params: &str, list: &str) {
        let reply = self.both(action, params).await;
        assert_eq!(reply.pointer(list), Some(&Value::Array(vec![])), "{action} {params}: {reply}");
        let body = self.world.answer(action, params, Format::Xml).await.body;
        let wrapper = list.split('/').nth_back(1).unwrap();
        if !wrapper.is_empty() {
            assert!(body.contains(&format!("<{wrapper}/>")), "{action}: {body}");
        }
    }

    /// A call that is refused with data that says what is wrong.
    async fn refused(&self, action: &str, params: &str) {
        let json = self.world.answer(action, params, Format::Json).await.body;
        let xml = self.world.answer(action, params, Format::Xml).await.body;
        let (_, xml) = description::from_xml(&xml, &self.described[action]["response"]);
        for mut reply in [serde_json::from_str(&json).unwrap(), xml] {
            let reply: &mut Value = &mut reply;
            assert_eq!(reply["Success"], false, "{action} {params}");
            let fields = reply.as_object_mut().unwrap();
            assert!(fields.remove("Code").is_some() && fields.remove("ErrorMessage").is_some());
            self.note(action, reply, |_| {});
        }
    }

    fn note(&self, action: &str, reply: &Value, how: fn(&mut Seen)) {
        let mut seen = self.seen.borrow_mut();
        let seen = seen.entry(action.to_owned()).or_default();
        how(seen);
        let fields = &self.described[action]["response"];
        description::check(reply.as_object().unwrap(), fields, "", &mut seen.fields);
        check_texts(action, reply, "");
    }
}

/// Texts are left out rather than sent empty, but for those of the list.
fn check_texts(action: &str, value: &Value, path: &str) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                check_texts(action, value, &format!("{path}{dot}{name}"));
            }
        }
        Value::Array(rows) => {
            for row in rows {
                check_texts(action, row, path);
            }
        }
        Value::String(text) if text.is_empty() => {
            assert!(SENT_EMPTY.contains(&(action, path)), "{action}: {path} is empty");
        }
        _ => assert!(!value.is_null(), "{action}: {path} is null"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_reply_has_the_shape_of_the_api_description_in_both_formats() {
    let walk = Walk::new().await;
    scene::play(&walk).await;
    let seen = walk.seen.borrow();
    let nothing = Seen::default();
    let mut missing = Vec::new();
    for op in op::all() {
        let action = op.action;
        let seen = seen.get(action).unwrap_or(&nothing);
        if !seen.json || !seen.xml {
            missing.push(format!("{action}: not answered in JSON and in XML"));
            continue;
        }
        let paths = description::paths(&walk.described[action]["response"]);
        for path in paths {
            let is_of_failures = ["Code", "ErrorMessage"].contains(&path.as_str());
            let is_never_sent = NEVER_SENT.iter().any(|(of, never)| {
                *of == action && (*never == path || never.ends_with('.') && path.starts_with(never))
            });
            if seen.fields.contains(&path) == (is_of_failures || is_never_sent) {
                let fault = if is_never_sent { "is sent now" } else { "is in no reply" };
                missing.push(format!("{action}: {path} {fault}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
