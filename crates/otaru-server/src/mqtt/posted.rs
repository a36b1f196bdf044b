//! Messages of devices that come by HTTP: the topics are those of MQTT, and so is what they mean.

use super::Report;
use super::topics::{Owner, Uplink, without_query};
use otaru_core::device_http::HttpError;
use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::message::{Ask, Inform, Progress, Request, reply};
use otaru_core::shadow::{ShadowAsk, ShadowError};
use otaru_core::time::Timestamp;
use otaru_core::version::ModuleName;
use serde_json::Value;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Posted {
    /// Nobody has to be asked. With the answer, if the topic has one.
    Answered(Option<String>),
    /// The same, to a message of a shadow that can't be read.
    ShadowRefused(ShadowError),
    /// Nobody listens, if the product lets its devices say it: what follows `/{ProductKey}/{DeviceName}/`.
    Custom(String),
    Said(Said),
}

/// A report to take in.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub report: Report,
    /// The id by which it is answered, if it is.
    pub id: Option<Value>,
}

/// What a device means by a message to `topic`.
///
/// # Errors
/// [`HttpError::Publish`] for a topic that is not the device's own and for what needs a connection: sub-devices and
/// downloads through MQTT. [`HttpError::Parameter`] when the payload is not of the form that the topic asks for; by MQTT
/// nobody could be told.
pub fn posted(
    product_key: &ProductKey,
    device_name: &DeviceName,
    topic: &str,
    payload: &[u8],
    now: Timestamp,
) -> Result<Posted, HttpError> {
    let owner = Owner { product_key: product_key.clone(), device_name: device_name.clone() };
    let request = || Request::parse(payload).ok_or(HttpError::Parameter);
    let said = |report, id| Ok(Posted::Said(Said { report, id }));
    match owner.uplink(without_query(topic)) {
        Uplink::Inform => {
            let inform = Inform::parse(payload).map_err(|_| HttpError::Parameter)?;
            said(Report::Inform(inform), None)
        }
        Uplink::Progress => {
            let progress = Progress::parse(payload).map_err(|_| HttpError::Parameter)?;
            said(Report::Progress(progress), None)
        }
        Uplink::Pull | Uplink::LegacyPull => {
            let request = request()?;
            match ModuleName::reported(request.module()) {
                Some(module) => said(Report::Pull(module), Some(request.id)),
                None => Ok(Posted::Answered(Some(reply(&request.id, "{}")))),
            }
        }
        Uplink::Thing(path) => {
            let request = request()?;
            match Ask::thing(path, &request) {
                Ok(ask) => said(Report::Ask(ask), Some(request.id)),
                Err(response) => Ok(Posted::Answered(Some(response.to_reply(&request.id)))),
            }
        }
        Uplink::Shadow => match ShadowAsk::parse(payload) {
            Ok(ask) => said(Report::Shadow(ask), Some(Value::Null)),
            Err(error) => Ok(Posted::ShadowRefused(error)),
        },
        Uplink::Time => {
            let sent = serde_json::from_slice::<Value>(payload).ok();
            let sent = sent.and_then(|mut sent| match sent.get_mut("deviceSendTime")?.take() {
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            let sent = Value::from(sent.ok_or(HttpError::Parameter)?);
            let now = now.0;
            Ok(Posted::Answered(Some(format!(
                r#"{{"deviceSendTime":{sent},"serverRecvTime":"{now}","serverSendTime":"{now}"}}"#
            ))))
        }
        Uplink::Custom(tail) => Ok(Posted::Custom(tail.to_owned())),
        Uplink::Unheard => Ok(Posted::Answered(None)),
        Uplink::Block | Uplink::Topology | Uplink::Rrpc(_) | Uplink::Foreign => {
            Err(HttpError::Publish)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_means_what_it_means_by_mqtt_or_is_refused() {
        let post = |topic: &str, payload: &str| {
            let (key, name) = ("a1B2".parse().unwrap(), "dev-001".parse().unwrap());
            posted(&key, &name, topic, payload.as_bytes(), Timestamp(7))
        };
        let report = |topic: &str, payload: &str| match post(topic, payload) {
            Ok(Posted::Said(said)) => said,
            other => panic!("{topic}: {other:?}"),
        };
        let version = r#"{"id":"1","params":{"version":"1.0.0"}}"#;
        let inform = report("/ota/device/inform/a1B2/dev-001?_rid=1", version);
        assert!(matches!(inform, Said { report: Report::Inform(_), id: None }));
        let step = r#"{"id":1,"params":{"step":"50"}}"#;
        let progress = report("/ota/device/progress/a1B2/dev-001", step);
        assert!(matches!(progress, Said { report: Report::Progress(_), id: None }));
        for topic in
            ["/sys/a1B2/dev-001/thing/ota/firmware/get", "/ota/device/request/a1B2/dev-001"]
        {
            let pull = report(topic, r#"{"id":9}"#);
            assert_eq!(
                pull,
                Said { report: Report::Pull(ModuleName::default()), id: Some(9.into()) }
            );
        }
        let tags = r#"{"id":"t","params":[{"attrKey":"k","attrValue":"v"}]}"#;
        let ask = report("/sys/a1B2/dev-001/thing/deviceinfo/update", tags);
        assert!(matches!(ask, Said { report: Report::Ask(Ask::SaveTags(_)), id: Some(_) }));
        assert_eq!(
            post("/sys/a1B2/dev-001/thing/config/get", r#"{"id":"c"}"#),
            Ok(Posted::Answered(Some(
                r#"{"id":"c","code":6710,"data":{},"message":"no config"}"#.into()
            )))
        );
        assert_eq!(post("/a1B2/dev-001/user/x", "\u{0}"), Ok(Posted::Custom("user/x".into())));
        assert_eq!(
            post("/ext/ntp/a1B2/dev-001/request", r#"{"deviceSendTime":"5"}"#),
            Ok(Posted::Answered(Some(
                r#"{"deviceSendTime":"5","serverRecvTime":"7","serverSendTime":"7"}"#.into()
            )))
        );
        for topic in [
            "/ota/device/inform/a1B2/dev-002",
            "/ota/device/upgrade/a1B2/dev-001",
            "/sys/a1B2/dev-001/thing/topo/add",
            "/sys/a1B2/dev-001/thing/file/download",
            "/sys/a1B2/dev-001/rrpc/response/1",
            "",
        ] {
            assert_eq!(post(topic, version), Err(HttpError::Publish), "{topic}");
        }
        for (topic, payload) in [
            ("/ota/device/inform/a1B2/dev-001", "{}"),
            ("/ota/device/progress/a1B2/dev-001", r#"{"params":{"step":"101"}}"#),
            ("/sys/a1B2/dev-001/thing/ota/firmware/get", "[]"),
            ("/sys/a1B2/dev-001/thing/deviceinfo/update", "x"),
            ("/ext/ntp/a1B2/dev-001/request", "{}"),
        ] {
            assert_eq!(post(topic, payload), Err(HttpError::Parameter), "{topic}");
        }
    }
}
