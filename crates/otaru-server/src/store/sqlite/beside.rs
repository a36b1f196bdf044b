//! Columns of messages that are kept: their quality of service, and what stands beside them as JSON.

use super::super::{Result, StoreError};
use super::row::Cols;
use crate::mqtt::Beside;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otaru_core::time::Timestamp;
use otaru_mqtt::packet::{Properties, Qos};
use serde::{Deserialize, Serialize};

/// The quality of service in a column.
pub(super) fn read_qos(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Qos> {
    cols.decoded(|code: &i64| match code {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        _ => None,
    })
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct BesideRow {
    content_type: Option<String>,
    response_topic: Option<String>,
    /// In base64.
    correlation: Option<String>,
    is_text: bool,
    user: Vec<(String, String)>,
    expires_at: Option<i64>,
    retain: bool,
}

impl BesideRow {
    pub(super) fn written(beside: &Beside) -> Result<String> {
        let Beside { properties, expires_at, retain } = beside;
        // The others are about one delivery of the message.
        let Properties { content_type, response_topic, correlation, is_text, user, .. } =
            properties;
        let row = Self {
            content_type: content_type.as_ref().map(ToString::to_string),
            response_topic: response_topic.as_ref().map(ToString::to_string),
            correlation: correlation.as_ref().map(|data| STANDARD.encode(data)),
            is_text: *is_text,
            user: user.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            expires_at: expires_at.map(|at| at.0),
            retain: *retain,
        };
        serde_json::to_string(&row).map_err(|error| StoreError::Engine(error.to_string()))
    }

    pub(super) fn read(text: &str) -> Option<Beside> {
        let row: Self = serde_json::from_str(text).ok()?;
        let properties = Properties {
            content_type: row.content_type.map(Into::into),
            response_topic: row.response_topic.map(Into::into),
            correlation: match row.correlation {
                Some(text) => Some(STANDARD.decode(text).ok()?.into()),
                None => None,
            },
            is_text: row.is_text,
            user: row.user.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ..Properties::default()
        };
        Some(Beside { properties, expires_at: row.expires_at.map(Timestamp), retain: row.retain })
    }
}
