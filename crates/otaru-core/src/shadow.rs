//! The shadow of a device: what it reported last and what a back end wants of it, with a version that only grows. Source: the
//! public device reference, device shadows: topics, messages and codes.

use crate::time::{SECOND_MS, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Names of methods.
const UPDATE: &str = "update";
const DELETE: &str = "delete";
const GET: &str = "get";
/// A version that asks for everything to be forgotten.
const RESET: i64 = -1;
/// A version of a back end that doesn't care which one there is.
const ANY: i64 = 0;

/// What a shadow may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowLimits {
    /// Attributes that are reported, and as many that are desired.
    pub attributes_max: usize,
    /// Bytes of the whole as JSON.
    pub bytes_max: usize,
}

impl Default for ShadowLimits {
    fn default() -> Self {
        Self { attributes_max: 128, bytes_max: 16 * 1024 }
    }
}

/// Attributes by name, each with the second since the epoch at which it was set.
type Attributes = BTreeMap<String, (Value, i64)>;

/// The shadow of a device. One that nobody has touched is empty and has version 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shadow {
    pub version: i64,
    reported: Attributes,
    desired: Attributes,
    /// When it changed last, in seconds since the epoch.
    at_s: i64,
}

/// Why a message about a shadow is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    #[error("invalid JSON")]
    Json,
    #[error("method is missing")]
    NoMethod,
    #[error("state is missing")]
    NoState,
    #[error("version is not a number")]
    Version,
    #[error("reported is missing")]
    NoReported,
    #[error("reported is empty")]
    EmptyReported,
    #[error("unknown method")]
    Method,
    #[error("the message is empty")]
    Empty,
    #[error("too many attributes")]
    TooMany,
    #[error("version conflict")]
    Conflict,
}

impl ShadowError {
    pub const ALL: [Self; 10] = [
        Self::Json,
        Self::NoMethod,
        Self::NoState,
        Self::Version,
        Self::NoReported,
        Self::EmptyReported,
        Self::Method,
        Self::Empty,
        Self::TooMany,
        Self::Conflict,
    ];

    pub fn code(self) -> u16 {
        match self {
            Self::Json => 400,
            Self::NoMethod => 401,
            Self::NoState => 402,
            Self::Version => 403,
            Self::NoReported => 404,
            Self::EmptyReported => 405,
            Self::Method => 406,
            Self::Empty => 407,
            Self::TooMany => 408,
            Self::Conflict => 409,
        }
    }

    /// What the device hears.
    pub fn to_reply(self, now: Timestamp) -> String {
        let content =
            json!({ "errorcode": self.code().to_string(), "errormessage": self.to_string() });
        reply(&json!({ "status": "error", "content": content }), None, now)
    }
}

/// What becomes of one side of a shadow.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    None,
    /// All of it goes.
    Clear,
    /// These are set; one without a value goes.
    Set(Vec<(String, Option<Value>)>),
    /// As above, and what isn't named goes.
    Replace(Vec<(String, Option<Value>)>),
}

/// A message about a shadow, as far as it can be judged without it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowAsk(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Get,
    Change { version: i64, reported: Change, desired: Change },
}

/// A change that a back end wants of a shadow.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowOrder {
    version: i64,
    desired: Change,
}

impl ShadowAsk {
    /// Reads a message of a device.
    ///
    /// # Errors
    /// Any but [`ShadowError::TooMany`] and [`ShadowError::Conflict`].
    pub fn parse(payload: &[u8]) -> Result<Self, ShadowError> {
        let message = object(payload)?;
        let method = message.get("method").and_then(Value::as_str).ok_or(ShadowError::NoMethod)?;
        let deletes = match method {
            GET => return Ok(Self(Kind::Get)),
            UPDATE => false,
            DELETE => true,
            _ => return Err(ShadowError::Method),
        };
        let (state, version) = state_of(&message)?;
        let desired = match state.get("desired") {
            None => Change::None,
            Some(desired) => change(desired, deletes).unwrap_or(Change::None),
        };
        let reported = match state.get("reported") {
            None if version == RESET || desired != Change::None => Change::None,
            None => return Err(ShadowError::NoReported),
            // The whole is only taken away on purpose.
            Some(all) if is_null(all) && !deletes => return Err(ShadowError::EmptyReported),
            Some(reported) => change(reported, deletes).ok_or(ShadowError::EmptyReported)?,
        };
        Ok(Self(Kind::Change { version, reported, desired }))
    }

    /// What the device hears, and the shadow as it is then, if it changes.
    ///
    /// # Errors
    /// [`ShadowError::TooMany`] and [`ShadowError::Conflict`].
    pub fn answer(
        &self,
        shadow: &Shadow,
        limits: ShadowLimits,
        now: Timestamp,
    ) -> Result<(Option<Shadow>, String), ShadowError> {
        let Kind::Change { version, reported, desired } = &self.0 else {
            let mut payload = Map::from_iter([("status".to_owned(), "success".into())]);
            payload.extend(shadow.parts());
            return Ok((None, reply(&payload.into(), Some(shadow.version), now)));
        };
        let version = shadow.next(*version)?;
        let after = shadow.changed(version, reported, desired, limits, now)?;
        let payload = json!({ "status": "success", "version": after.version });
        let text = reply(&payload, None, now);
        Ok((Some(after), text))
    }
}

impl ShadowOrder {
    /// Reads what a back end wants; `adds`: what it doesn't name stays.
    ///
    /// # Errors
    /// [`ShadowError::EmptyReported`] stands for an empty `desired` too.
    pub fn parse(text: &str, adds: bool) -> Result<Self, ShadowError> {
        let message = object(text.as_bytes())?;
        match message.get("method").and_then(Value::as_str) {
            Some(UPDATE) => {}
            Some(_) => return Err(ShadowError::Method),
            None => return Err(ShadowError::NoMethod),
        }
        let (state, version) = state_of(&message)?;
        let desired = match state.get("desired").map(|desired| change(desired, false)) {
            Some(Some(Change::Set(all))) if !adds => Change::Replace(all),
            Some(Some(desired)) => desired,
            _ if version == RESET => Change::None,
            _ => return Err(ShadowError::NoState),
        };
        Ok(Self { version, desired })
    }

    /// The shadow with what is wanted.
    ///
    /// # Errors
    /// [`ShadowError::TooMany`] and [`ShadowError::Conflict`].
    pub fn apply(
        &self,
        shadow: &Shadow,
        limits: ShadowLimits,
        now: Timestamp,
    ) -> Result<Shadow, ShadowError> {
        let version = match self.version {
            ANY => Some(shadow.version.saturating_add(1)),
            version => shadow.next(version)?,
        };
        shadow.changed(version, &Change::None, &self.desired, limits, now)
    }
}

impl Shadow {
    /// The version that a message leads to; `None`: it starts anew.
    fn next(&self, version: i64) -> Result<Option<i64>, ShadowError> {
        match version {
            RESET => Ok(None),
            version if version > self.version => Ok(Some(version)),
            _ => Err(ShadowError::Conflict),
        }
    }

    fn changed(
        &self,
        version: Option<i64>,
        reported: &Change,
        desired: &Change,
        limits: ShadowLimits,
        now: Timestamp,
    ) -> Result<Self, ShadowError> {
        let at_s = seconds(now);
        let Some(version) = version else { return Ok(Self { at_s, ..Self::default() }) };
        let mut after = Self { version, at_s, ..self.clone() };
        apply(&mut after.reported, reported, at_s);
        apply(&mut after.desired, desired, at_s);
        let is_over = after.reported.len().max(after.desired.len()) > limits.attributes_max
            || after.to_document().len() > limits.bytes_max;
        if is_over { Err(ShadowError::TooMany) } else { Ok(after) }
    }

    /// As it is kept, and shown to a back end.
    pub fn to_document(&self) -> String {
        let mut document = self.parts();
        document.insert("timestamp".into(), self.at_s.into());
        document.insert("version".into(), self.version.into());
        Value::from(document).to_string()
    }

    /// What [`Shadow::to_document`] wrote.
    pub fn from_document(text: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(text).ok()?;
        let side = |name: &str| {
            let Some(values) = document["state"].get(name) else { return Some(Attributes::new()) };
            let read = |(key, value): (&String, &Value)| {
                let at_s = document["metadata"][name][key]["timestamp"].as_i64()?;
                Some((key.clone(), (value.clone(), at_s)))
            };
            values.as_object()?.iter().map(read).collect()
        };
        Some(Self {
            version: document["version"].as_i64()?,
            reported: side("reported")?,
            desired: side("desired")?,
            at_s: document["timestamp"].as_i64()?,
        })
    }

    /// What the device is told when a back end has changed it.
    pub fn to_control(&self) -> String {
        json!({
            "method": "control",
            "payload": self.parts(),
            "version": self.version,
            "timestamp": self.at_s,
        })
        .to_string()
    }

    /// Its state and metadata; a side without attributes is left out.
    fn parts(&self) -> Map<String, Value> {
        let sides = [("reported", &self.reported), ("desired", &self.desired)];
        let sides = || sides.into_iter().filter(|(_, side)| !side.is_empty());
        let of = |show: fn(&(Value, i64)) -> Value| -> Value {
            let shown = |side: &Attributes| -> Map<String, Value> {
                side.iter().map(|(key, attribute)| (key.clone(), show(attribute))).collect()
            };
            sides()
                .map(|(name, side)| (name.to_owned(), shown(side).into()))
                .collect::<Map<_, _>>()
                .into()
        };
        Map::from_iter([
            ("state".to_owned(), of(|(value, _)| value.clone())),
            ("metadata".to_owned(), of(|(_, at_s)| json!({ "timestamp": at_s }))),
        ])
    }
}

fn seconds(now: Timestamp) -> i64 {
    now.0.div_euclid(SECOND_MS)
}

fn reply(payload: &Value, version: Option<i64>, now: Timestamp) -> String {
    let timestamp = seconds(now);
    match version {
        Some(version) => {
            json!({ "method": "reply", "payload": payload, "version": version, "timestamp": timestamp })
        }
        None => json!({ "method": "reply", "payload": payload, "timestamp": timestamp }),
    }
    .to_string()
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, ShadowError> {
    if payload.trim_ascii().is_empty() {
        return Err(ShadowError::Empty);
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(message)) if message.is_empty() => Err(ShadowError::Empty),
        Ok(Value::Object(message)) => Ok(message),
        _ => Err(ShadowError::Json),
    }
}

fn state_of(message: &Map<String, Value>) -> Result<(&Map<String, Value>, i64), ShadowError> {
    let version = message.get("version").and_then(Value::as_i64).filter(|v| *v >= RESET);
    match message.get("state").and_then(Value::as_object) {
        Some(state) => Ok((state, version.ok_or(ShadowError::Version)?)),
        None => Err(ShadowError::NoState),
    }
}

/// What a side of a state says; `None` when it is neither an object with attributes nor nothing.
fn change(side: &Value, deletes: bool) -> Option<Change> {
    match side {
        null if is_null(null) => Some(Change::Clear),
        Value::Object(side) if !side.is_empty() => {
            let set = |(key, value): (&String, &Value)| {
                let goes = deletes || value.is_null();
                (key.clone(), (!goes).then(|| value.clone()))
            };
            Some(Change::Set(side.iter().map(set).collect()))
        }
        _ => None,
    }
}

/// SDKs write it as a text.
fn is_null(value: &Value) -> bool {
    value.is_null() || value == "null"
}

fn apply(side: &mut Attributes, change: &Change, at_s: i64) {
    let attributes = match change {
        Change::None => return,
        Change::Clear => {
            side.clear();
            return;
        }
        Change::Set(attributes) => attributes,
        Change::Replace(attributes) => {
            side.clear();
            attributes
        }
    };
    for (key, value) in attributes {
        match value {
            Some(value) => side.insert(key.clone(), (value.clone(), at_s)),
            None => side.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_469_564_576_999);

    fn said(shadow: &mut Shadow, payload: &str) -> String {
        let asked = ShadowAsk::parse(payload.as_bytes());
        let answer = asked.and_then(|ask| ask.answer(shadow, ShadowLimits::default(), NOW));
        match answer {
            Ok((after, text)) => {
                *shadow = after.unwrap_or_else(|| shadow.clone());
                text
            }
            Err(error) => error.to_reply(NOW),
        }
    }

    fn refused(shadow: &mut Shadow, payload: &str) -> String {
        let text = said(shadow, payload);
        let reply: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(reply["payload"]["status"], "error", "{payload}: {text}");
        reply["payload"]["content"]["errorcode"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_lamp_reports_is_told_and_clears_what_was_wanted_as_in_the_reference() {
        let mut shadow = Shadow::default();
        let reply = said(
            &mut shadow,
            r#"{"method":"update","state":{"reported":{"color":"red"}},"version":1}"#,
        );
        assert_eq!(
            reply,
            r#"{"method":"reply","payload":{"status":"success","version":1},"timestamp":1469564576}"#
        );
        let order = r#"{"method":"update","state":{"desired":{"color":"green"}},"version":2}"#;
        let order = ShadowOrder::parse(order, false).unwrap();
        shadow = order.apply(&shadow, ShadowLimits::default(), NOW).unwrap();
        let parts = r#""state":{"reported":{"color":"red"},"desired":{"color":"green"}},"metadata":{"reported":{"color":{"timestamp":1469564576}},"desired":{"color":{"timestamp":1469564576}}}"#;
        assert_eq!(
            shadow.to_control(),
            format!(
                r#"{{"method":"control","payload":{{{parts}}},"version":2,"timestamp":1469564576}}"#
            )
        );
        assert_eq!(
            said(&mut shadow, r#"{"method":"get"}"#),
            format!(
                r#"{{"method":"reply","payload":{{"status":"success",{parts}}},"version":2,"timestamp":1469564576}}"#
            )
        );
        said(
            &mut shadow,
            r#"{"method":"update","state":{"reported":{"color":"green"}},"version":3}"#,
        );
        said(&mut shadow, r#"{"method":"update","state":{"desired":"null"},"version":4}"#);
        let document = r#"{"state":{"reported":{"color":"green"}},"metadata":{"reported":{"color":{"timestamp":1469564576}}},"timestamp":1469564576,"version":4}"#;
        assert_eq!(shadow.to_document(), document);
        assert_eq!(Shadow::from_document(document), Some(shadow.clone()));
        said(
            &mut shadow,
            r#"{"method":"update","state":{"reported":{"a":1,"b":{"c":[2]},"color":null}},"version":9}"#,
        );
        assert!(shadow.to_document().contains(r#""state":{"reported":{"a":1,"b":{"c":[2]}}}"#));
        said(&mut shadow, r#"{"method":"delete","state":{"reported":{"a":"null"}},"version":10}"#);
        assert!(shadow.to_document().contains(r#""state":{"reported":{"b":{"c":[2]}}}"#));
        said(&mut shadow, r#"{"method":"delete","state":{"reported":"null"},"version":11}"#);
        assert!(shadow.to_document().contains(r#""state":{}"#));
        said(&mut shadow, r#"{"method":"update","state":{"reported":{"a":1}},"version":-1}"#);
        assert_eq!(shadow, Shadow { at_s: 1_469_564_576, ..Shadow::default() });
    }

    #[test]
    fn each_fault_has_its_code_and_changes_nothing() {
        let mut shadow = Shadow::default();
        said(&mut shadow, r#"{"method":"update","state":{"reported":{"a":1}},"version":5}"#);
        let before = shadow.clone();
        let many: Vec<_> = (0..128).map(|n| format!(r#""k{n}":1"#)).collect();
        let many = format!(
            r#"{{"method":"update","state":{{"reported":{{{}}}}},"version":6}}"#,
            many.join(",")
        );
        let long = format!(
            r#"{{"method":"update","state":{{"reported":{{"b":"{}"}}}},"version":6}}"#,
            "x".repeat(16_384)
        );
        for (payload, code) in [
            ("x", "400"),
            ("[]", "400"),
            (r#"{"state":{}}"#, "401"),
            (r#"{"method":1}"#, "401"),
            (r#"{"method":"update","version":6}"#, "402"),
            (r#"{"method":"delete","state":"null","version":6}"#, "402"),
            (r#"{"method":"update","state":{"reported":{"a":1}}}"#, "403"),
            (r#"{"method":"update","state":{"reported":{"a":1}},"version":"6"}"#, "403"),
            (r#"{"method":"update","state":{"reported":{"a":1}},"version":-2}"#, "403"),
            (r#"{"method":"update","state":{},"version":6}"#, "404"),
            (r#"{"method":"delete","state":{},"version":6}"#, "404"),
            (r#"{"method":"update","state":{"reported":{}},"version":6}"#, "405"),
            (r#"{"method":"update","state":{"reported":"null"},"version":6}"#, "405"),
            (r#"{"method":"put"}"#, "406"),
            ("", "407"),
            ("{}", "407"),
            (&many, "408"),
            (&long, "408"),
            (r#"{"method":"update","state":{"reported":{"a":2}},"version":5}"#, "409"),
            (r#"{"method":"delete","state":{"reported":"null"},"version":4}"#, "409"),
        ] {
            assert_eq!(refused(&mut shadow, payload), code, "{payload:.80}");
            assert_eq!(shadow, before, "{payload:.80}");
        }
        let codes: Vec<_> = ShadowError::ALL.map(ShadowError::code).into();
        assert_eq!(codes, (400..=409).collect::<Vec<_>>());
    }

    #[test]
    fn a_back_end_replaces_or_adds_and_may_ignore_versions() {
        let limits = ShadowLimits::default();
        let order = |shadow: &Shadow, state: &str, version: i64, adds| {
            let text = format!(r#"{{"method":"update","state":{state},"version":{version}}}"#);
            ShadowOrder::parse(&text, adds).and_then(|order| order.apply(shadow, limits, NOW))
        };
        let wants = |shadow: &Shadow, wanted: &str, version: i64| {
            let state = format!(r#""state":{{"desired":{wanted}}}"#);
            assert!(shadow.to_document().contains(&state), "{}", shadow.to_document());
            assert_eq!(shadow.version, version);
        };
        let first = order(&Shadow::default(), r#"{"desired":{"a":1}}"#, 0, false).unwrap();
        wants(&first, r#"{"a":1}"#, 1);
        let added = order(&first, r#"{"desired":{"b":2}}"#, 7, true).unwrap();
        wants(&added, r#"{"a":1,"b":2}"#, 7);
        wants(&order(&added, r#"{"desired":{"b":3}}"#, 0, false).unwrap(), r#"{"b":3}"#, 8);
        assert_eq!(order(&added, r#"{"desired":{"b":3}}"#, 7, true), Err(ShadowError::Conflict));
        assert_eq!(order(&added, r#"{"desired":{}}"#, 8, true), Err(ShadowError::NoState));
        assert_eq!(order(&added, r#"{"reported":{"a":1}}"#, 8, true), Err(ShadowError::NoState));
        assert_eq!(order(&added, "{}", -1, true).unwrap().version, 0);
        assert_eq!(ShadowOrder::parse(r#"{"method":"get"}"#, true), Err(ShadowError::Method));
        assert_eq!(ShadowOrder::parse(r#"{"version":1}"#, true), Err(ShadowError::NoMethod));
        assert_eq!(ShadowOrder::parse("", true), Err(ShadowError::Empty));
    }
}
