//! Requests of devices that are answered with data, and their answers. A new kind is a variant of [`Ask`], its parser
//! here, and a use case.

use super::report::Request;
use crate::tag::{DEVICE_TAGS_BYTES_MAX, DEVICE_TAGS_MAX, is_uploaded_tag_key};
use crate::version::is_unprintable;
use serde_json::{Value, json};

/// What an answer says of how a request went: its number and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u16, pub &'static str);

/// The codes of answers. Source: the device protocol reference, Alink reply codes.
pub mod code {
    use super::Code;

    pub const SUCCESS: Code = Code(200, "success");
    pub const PARAMETER: Code = Code(460, "request parameter error");
    pub const SERVER: Code = Code(500, "server error");
    pub const NO_DEVICE: Code = Code(6100, "device not found");
    pub const NO_CONFIG: Code = Code(6710, "no config");
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    pub code: Code,
    pub data: Value,
}

impl Response {
    /// The request was carried out.
    pub fn success(data: Value) -> Self {
        Self { code: code::SUCCESS, data }
    }

    /// The request is refused, and nothing has changed.
    pub fn refusal(code: Code) -> Self {
        Self { code, data: json!({}) }
    }

    /// Its text; `id` is the request's own, echoed with its JSON type.
    pub fn to_reply(&self, id: &Value) -> String {
        let Code(code, message) = self.code;
        let (data, message) = (&self.data, Value::from(message));
        format!(r#"{{"id":{id},"code":{code},"data":{data},"message":{message}}}"#)
    }
}

/// A tag that a device gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceTag {
    pub key: String,
    pub value: String,
}

/// A request that the rest of the server has to look into.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Gives the device tags; what it has under the same keys is replaced.
    SaveTags(Vec<DeviceTag>),
    /// Takes tags from the device, as far as it has them.
    DeleteTags(Vec<String>),
}

impl Ask {
    /// Reads a request by what follows `/thing/` in its topic.
    ///
    /// # Errors
    /// The answer, when nobody has to be asked for it: it is the same for every device, or the request is malformed.
    pub fn thing(path: &str, request: &Request) -> Result<Self, Response> {
        let malformed = || Response::refusal(code::PARAMETER);
        match path {
            "deviceinfo/update" => tags(&request.params).map(Self::SaveTags).ok_or_else(malformed),
            "deviceinfo/delete" => {
                keys(&request.params).map(Self::DeleteTags).ok_or_else(malformed)
            }
            "config/get" => Err(Response::refusal(code::NO_CONFIG)),
            // Mode 0: the device keeps its log to itself. Nobody would read it here.
            "config/log/get" => {
                Err(Response::success(json!({"getType": "content", "content": {"mode": 0}})))
            }
            // What is not carried out is answered all the same: some SDKs wait for it before they go on.
            _ => Err(Response::success(json!({}))),
        }
    }
}

/// `[{"attrKey","attrValue"}, …]`: one or more, of texts.
fn tags(params: &Value) -> Option<Vec<DeviceTag>> {
    let items = params.as_array().filter(|items| (1..=DEVICE_TAGS_MAX).contains(&items.len()))?;
    let tags: Vec<_> = items.iter().map(tag).collect::<Option<_>>()?;
    let bytes: usize = tags.iter().map(|tag| tag.key.len() + tag.value.len()).sum();
    (bytes <= DEVICE_TAGS_BYTES_MAX).then_some(tags)
}

fn tag(item: &Value) -> Option<DeviceTag> {
    let (key, value) = (key(item)?, item.get("attrValue")?.as_str()?.to_owned());
    (!value.contains(is_unprintable)).then_some(DeviceTag { key, value })
}

fn keys(params: &Value) -> Option<Vec<String>> {
    let items = params.as_array().filter(|items| (1..=DEVICE_TAGS_MAX).contains(&items.len()))?;
    items.iter().map(key).collect()
}

fn key(item: &Value) -> Option<String> {
    let key = item.get("attrKey")?.as_str()?;
    is_uploaded_tag_key(key).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, params: &str) -> Result<Ask, Response> {
        let payload = format!(r#"{{"id":"1","version":"1.0","params":{params}}}"#);
        Ask::thing(path, &Request::parse(payload.as_bytes()).unwrap())
    }

    #[test]
    fn tags_are_read_as_sdks_write_them() {
        let written = r#"[{"attrKey":"SYS_SDK_LANGUAGE","attrValue":"NodeJS","domain":"SYSTEM"},{"attrKey":"room","attrValue":""}]"#;
        let tag = |key: &str, value: &str| DeviceTag { key: key.into(), value: value.into() };
        let want = vec![tag("SYS_SDK_LANGUAGE", "NodeJS"), tag("room", "")];
        assert_eq!(read("deviceinfo/update", written), Ok(Ask::SaveTags(want)));
        let want = vec!["room".to_owned()];
        assert_eq!(read("deviceinfo/delete", r#"[{"attrKey":"room"}]"#), Ok(Ask::DeleteTags(want)));
    }

    #[test]
    fn malformed_tags_are_refused_with_460() {
        let many = format!("[{}]", vec![r#"{"attrKey":"k","attrValue":"v"}"#; 101].join(","));
        let long = format!(r#"[{{"attrKey":"k","attrValue":"{}"}}]"#, "v".repeat(5 * 1024));
        for params in [
            "null",
            "{}",
            "[]",
            "[1]",
            r#"[{"attrKey":"k"}]"#,
            r#"[{"attrKey":"k","attrValue":1}]"#,
            r#"[{"attrKey":"k","attrValue":"\u0001"}]"#,
            r#"[{"attrKey":"","attrValue":"v"}]"#,
            r#"[{"attrKey":"a b","attrValue":"v"}]"#,
            &many,
            &long,
        ] {
            let refusal = Response::refusal(code::PARAMETER);
            assert_eq!(read("deviceinfo/update", params), Err(refusal), "{params}");
        }
        let refusal = Response::refusal(code::PARAMETER);
        assert_eq!(read("deviceinfo/delete", r#"[{"attrValue":"k"}]"#), Err(refusal));
    }

    #[test]
    fn what_is_the_same_for_all_devices_is_answered_at_once() {
        for (path, data) in [
            ("event/property/post", "{}"),
            ("event/error/post", "{}"),
            ("log/post", "{}"),
            ("property/desired/get", "{}"),
            ("config/log/get", r#"{"content":{"mode":0},"getType":"content"}"#),
        ] {
            let want = Response::success(serde_json::from_str(data).unwrap());
            assert_eq!(read(path, "{}"), Err(want), "{path}");
        }
        let none = read("config/get", r#"{"configScope":"product","getType":"file"}"#);
        assert_eq!(none, Err(Response::refusal(code::NO_CONFIG)));
    }

    #[test]
    fn an_answer_echoes_the_id_with_its_type() {
        let told = Response::refusal(code::NO_CONFIG).to_reply(&"7".into());
        assert_eq!(told, r#"{"id":"7","code":6710,"data":{},"message":"no config"}"#);
        let told = Response::success(json!([1])).to_reply(&7.into());
        assert_eq!(told, r#"{"id":7,"code":200,"data":[1],"message":"success"}"#);
    }
}
