//! What devices report and ask.

use crate::version::{ModuleName, Version, is_unprintable};
use serde_json::Value;

/// A request of a device: its id, to be echoed verbatim, and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub id: Value,
    pub params: Value,
}

impl Request {
    /// `None` when the payload is no JSON object. A missing id is the empty text, missing parameters are null.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let Value::Object(mut members) = serde_json::from_slice(payload).ok()? else { return None };
        let id = members
            .remove("id")
            .filter(|id| id.is_string() || id.is_number())
            .unwrap_or_else(|| "".into());
        Some(Self { id, params: members.remove("params").unwrap_or(Value::Null) })
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// The module that the request names, as text.
    pub fn module(&self) -> Option<&str> {
        self.param("module")
    }
}

/// A version report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inform {
    pub module: ModuleName,
    pub version: Version,
}

/// A progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// `None` when the device names no module: older SDKs never do.
    pub module: Option<ModuleName>,
    /// At most 100; negative steps are failures.
    pub step: i32,
    pub description: String,
}

/// Why a report is dropped, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("the payload is no JSON object")]
    Payload,
    #[error("the version is absent, empty, longer than 64 bytes or unprintable")]
    Version,
    #[error("the module is no name of a module")]
    Module,
    #[error("the step is no integer of at most 100")]
    Step,
}

impl Inform {
    /// # Errors
    /// [`ReportError`] when the report says no version of a possible module.
    pub fn parse(payload: &[u8]) -> Result<Self, ReportError> {
        let request = Request::parse(payload).ok_or(ReportError::Payload)?;
        let version =
            request.param("version").and_then(Version::reported).ok_or(ReportError::Version)?;
        let module = ModuleName::reported(request.module()).ok_or(ReportError::Module)?;
        Ok(Self { module, version })
    }
}

impl Progress {
    /// # Errors
    /// [`ReportError`] when the report says no step of a possible module.
    pub fn parse(payload: &[u8]) -> Result<Self, ReportError> {
        let request = Request::parse(payload).ok_or(ReportError::Payload)?;
        let step = match request.params.get("step") {
            Some(Value::String(text)) => text.trim().parse::<i64>().ok(),
            Some(number) => number.as_i64(),
            None => None,
        };
        let step = step.filter(|&step| step <= 100).ok_or(ReportError::Step)?;
        let module = match request.module() {
            None | Some("") => None,
            named => Some(ModuleName::reported(named).ok_or(ReportError::Module)?),
        };
        let description = request.param("desc").unwrap_or_default();
        let description = description.chars().filter(|&c| !is_unprintable(c)).collect();
        Ok(Self {
            module,
            step: i32::try_from(step.max(-1_000)).expect("within -1000 to 100"),
            description,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_report_is_read_as_devices_write_it() {
        let read = |text: &str| Inform::parse(text.as_bytes());
        let ok = |text: &str| {
            let inform = read(text).unwrap();
            (inform.module.key(), inform.version.to_string())
        };
        assert_eq!(
            ok(r#"{"id":1, "params":{"version":"1.0.0"}}"#),
            ("default".into(), "1.0.0".into())
        );
        assert_eq!(
            ok(r#"{"id":"x","params":{"version":"a b","module":"MCU"}}"#),
            ("mcu".into(), "a b".into())
        );
        assert_eq!(ok(r#"{"params":{"version":"1","module":""}}"#), ("default".into(), "1".into()));
        for (text, error) in [
            ("", ReportError::Payload),
            ("[1]", ReportError::Payload),
            ("{}", ReportError::Version),
            (r#"{"params":{"version":""}}"#, ReportError::Version),
            (r#"{"params":{"version":5}}"#, ReportError::Version),
            (r#"{"params":{"version":"1","module":"a/b"}}"#, ReportError::Module),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let long = format!(r#"{{"params":{{"version":"{}"}}}}"#, "9".repeat(65));
        assert_eq!(read(&long), Err(ReportError::Version));
    }

    #[test]
    fn progress_is_read_as_text_or_number_from_failure_to_100() {
        let step = |text: &str| Progress::parse(text.as_bytes()).map(|p| p.step);
        for (text, want) in [
            ("\"0\"", 0),
            ("50", 50),
            ("\"100\"", 100),
            ("-4", -4),
            ("\"-1\"", -1),
            ("-99999", -1_000),
        ] {
            assert_eq!(step(&format!(r#"{{"params":{{"step":{text},"desc":""}}}}"#)), Ok(want));
        }
        for text in ["101", "\"x\"", "1.5", "null", "\"\"", "[]"] {
            assert_eq!(
                step(&format!(r#"{{"params":{{"step":{text}}}}}"#)),
                Err(ReportError::Step),
                "{text}"
            );
        }
        let named =
            Progress::parse(br#"{"params":{"step":1,"module":"default","desc":"d\u0001\n"}}"#)
                .unwrap();
        assert_eq!((named.module.unwrap().is_default(), &*named.description), (true, "d"));
    }
}
