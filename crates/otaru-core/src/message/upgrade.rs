//! What devices are told of an upgrade.
//!
//! The messages are written by hand in one fixed order, since real SDKs search their text (device protocol
//! reference, "what breaks a real SDK first", rules 4 to 8).

use crate::block::StreamId;
use crate::package::SignMethod;
use crate::policy::Tag;
use crate::version::{ModuleName, Version, is_reserved};
use serde_json::Value;
use std::fmt::Write;

/// Where a device gets a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Url(String),
    /// Block by block on its MQTT connection; only ever the one file of an upgrade.
    Stream(StreamId),
}

/// A file as the device is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeFile {
    pub name: String,
    pub size_bytes: u64,
    pub source: Source,
    pub md5: String,
    /// Digest by the package's method.
    pub sign: String,
}

/// An upgrade as the device is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub dest: Version,
    pub is_delta: bool,
    pub module: ModuleName,
    pub sign_method: SignMethod,
    /// One or more.
    pub files: Vec<UpgradeFile>,
    pub tags: Vec<Tag>,
    pub udi: String,
}

impl Upgrade {
    /// The push on `/ota/device/upgrade/…`; `id` is the wall clock in milliseconds.
    pub fn to_push(&self, id: i64) -> String {
        format!(r#"{{"code":"1000","data":{},"id":{id},"message":"success"}}"#, self.data())
    }

    /// The answer to a pull; `id` is the request's own, echoed with its JSON type.
    pub fn to_reply(&self, id: &Value) -> String {
        reply(id, &self.data())
    }

    fn data(&self) -> String {
        let mut text = String::with_capacity(512);
        text.push('{');
        if let [file] = &self.files[..] {
            let _ = write!(
                text,
                r#""size":{},"version":{},"#,
                file.size_bytes,
                quoted(self.dest.as_str())
            );
            self.push_diff(&mut text);
            let _ = match &file.source {
                Source::Url(url) => write!(text, r#""url":{},"#, quoted(url)),
                Source::Stream(id) => {
                    write!(text, r#""dProtocol":"mqtt","streamId":{},"streamFileId":1,"#, id.get())
                }
            };
            let _ = write!(
                text,
                r#""signMethod":"{}","md5":"{}","#,
                self.sign_method.as_device(),
                file.md5
            );
            let _ = write!(text, r#""sign":"{}""#, file.sign);
            self.push_module(&mut text);
            self.push_ext(&mut text);
        } else {
            let _ = write!(text, r#""version":{},"#, quoted(self.dest.as_str()));
            self.push_diff(&mut text);
            let _ = write!(text, r#""signMethod":"{}""#, self.sign_method.as_device());
            self.push_module(&mut text);
            self.push_ext(&mut text);
            text.push_str(r#","files":["#);
            for (i, file) in self.files.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(
                    text,
                    r#"{comma}{{"fileSize":{},"fileName":{},"#,
                    file.size_bytes,
                    quoted(&file.name)
                );
                let url = match &file.source {
                    Source::Url(url) => url.as_str(),
                    // No job comes to this: MQTT takes one file.
                    Source::Stream(_) => "",
                };
                let _ = write!(text, r#""fileUrl":{},"fileMd5":"{}","#, quoted(url), file.md5);
                let _ = write!(text, r#""fileSign":"{}"}}"#, file.sign);
            }
            text.push(']');
        }
        text.push('}');
        text
    }

    fn push_diff(&self, text: &mut String) {
        if self.is_delta {
            text.push_str(r#""isDiff":1,"#);
        }
    }

    fn push_module(&self, text: &mut String) {
        if !self.module.is_default() {
            let _ = write!(text, r#","module":{}"#, quoted(self.module.as_str()));
        }
    }

    fn push_ext(&self, text: &mut String) {
        if self.tags.is_empty() && self.udi.is_empty() {
            return;
        }
        let pairs = self.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
        let udi = (!self.udi.is_empty()).then_some(("_package_udi", self.udi.as_str()));
        let members: Vec<_> = pairs
            .chain(udi)
            .map(|(key, value)| format!("{}:{}", guarded(key), guarded(value)))
            .collect();
        let _ = write!(text, r#","extData":{{{}}}"#, members.join(","));
    }
}

/// A reply of the device dialect with code 200.
pub fn reply(id: &Value, data: &str) -> String {
    format!(r#"{{"id":{id},"code":200,"data":{data},"message":"success"}}"#)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text of the user's as a JSON string that the C SDK's text search can't take for structure: it looks for the
/// first `"name"` at any depth and counts braces inside strings. Every JSON parser undoes `\u00XX`.
fn guarded(text: &str) -> String {
    let braces = ['{', '}', '[', ']'];
    if is_reserved(text) {
        let first = text.as_bytes()[0];
        return format!("\"\\u{first:04x}{}\"", &text[1..]);
    }
    let json = quoted(text);
    if is_balanced(text) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if braces.contains(&c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskNo;

    fn upgrade(files: usize) -> Upgrade {
        let file = |n: usize| UpgradeFile {
            name: format!("f{n}"),
            size_bytes: 432_945,
            source: Source::Url(format!("http://h/d/{n}?e=1&s=x")),
            md5: "93230c3bde425a9d7984a594ac55ea1e".into(),
            sign: "93230c3bde425a9d7984a594ac55ea1e".into(),
        };
        Upgrade {
            dest: Version::parse("2.0.0").unwrap(),
            is_delta: true,
            module: ModuleName::parse("MCU").unwrap(),
            sign_method: SignMethod::Md5,
            files: (0..files).map(file).collect(),
            tags: vec![Tag { key: "key1".into(), value: "value1".into() }],
            udi: r#"{"k":"v"}"#.into(),
        }
    }

    #[test]
    fn one_file_is_told_flat_with_the_extra_data_last() {
        assert_eq!(
            upgrade(1).to_push(1_626_969_597_470),
            concat!(
                r#"{"code":"1000","data":{"size":432945,"version":"2.0.0","isDiff":1,"url":"http://h/d/0?e=1&s=x","#,
                r#""signMethod":"Md5","md5":"93230c3bde425a9d7984a594ac55ea1e","#,
                r#""sign":"93230c3bde425a9d7984a594ac55ea1e","module":"MCU","#,
                r#""extData":{"key1":"value1","_package_udi":"{\"k\":\"v\"}"}},"id":1626969597470,"message":"success"}"#
            )
        );
    }

    #[test]
    fn a_stream_takes_the_place_of_the_url() {
        let mut upgrade = upgrade(1);
        upgrade.files[0].source = Source::Stream(StreamId::of(TaskNo(1_397_345)));
        let text = upgrade.to_push(1);
        let stream = r#""isDiff":1,"dProtocol":"mqtt","streamId":1397345,"streamFileId":1,"signMethod":"Md5","#;
        assert!(text.contains(stream) && !text.contains("\"url\""), "{text}");
    }

    #[test]
    fn several_files_are_told_as_a_list_that_comes_last() {
        let text = upgrade(2).to_push(1);
        assert!(
            text.find("extData") < text.find("files") && text.contains(r#""fileName":"f1""#),
            "{text}"
        );
        assert!(!text.contains(r#""size""#) && !text.contains(r#""md5""#), "{text}");
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn the_default_module_and_empty_extra_data_are_left_out() {
        let plain = Upgrade {
            module: ModuleName::default(),
            tags: vec![],
            udi: String::new(),
            is_delta: false,
            ..upgrade(1)
        };
        let text = plain.to_push(1);
        assert!(
            !text.contains("module") && !text.contains("extData") && !text.contains("isDiff"),
            "{text}"
        );
    }

    #[test]
    fn texts_of_the_user_cannot_be_taken_for_structure() {
        for (key, value) in
            [("size", "big"), ("k", "url"), ("k", "a}b"), ("k", "]["), ("k", "q\"{")]
        {
            let tags = vec![Tag { key: key.into(), value: value.into() }];
            let text = Upgrade { tags, udi: String::new(), ..upgrade(1) }.to_push(1);
            let ext = &text[text.find("extData").unwrap()..];
            assert!(
                !ext.contains(&format!("\"{value}\"")) || (key, value) == ("size", "big"),
                "{text}"
            );
            assert!(!ext.contains(r#""size""#), "{text}");
            let count = |c| text.matches(c).count();
            assert_eq!((count('{'), count('[')), (count('}'), count(']')), "{text}");
            let parsed: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed["data"]["extData"][key], value);
        }
    }

    #[test]
    fn a_reply_echoes_the_id_with_its_type() {
        for id in [r#""1|exp-topic|/sys/x""#, "123", r#""""#] {
            let id: Value = serde_json::from_str(id).unwrap();
            let text = upgrade(1).to_reply(&id);
            assert!(
                text.starts_with(&format!(r#"{{"id":{id},"code":200,"data":{{"size""#)),
                "{text}"
            );
        }
        assert_eq!(reply(&7.into(), "{}"), r#"{"id":7,"code":200,"data":{},"message":"success"}"#);
    }
}
