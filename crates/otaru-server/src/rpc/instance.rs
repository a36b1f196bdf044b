//! Instances: parts of an account that know nothing of each other. A call says by `IotInstanceId` which one it means.

use std::collections::BTreeMap;

use otaru_core::id::InstanceNo;
use otaru_core::refusal::{self, Refusal};
use serde::Deserialize;

use crate::app::{self, App};

/// The table `[instances]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceConfig {
    /// By this id the default instance can be named; calls that name none mean it either way.
    pub default_id: Option<String>,
    /// Instances beside the default one, by id.
    pub others: BTreeMap<String, InstanceState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    On,
    /// Every call that names it is refused; what it has is kept, and its devices are served.
    Off,
}

/// Longest id of an instance.
const ID_BYTES_MAX: usize = 64;

impl InstanceConfig {
    /// # Errors
    /// What is wrong with an id.
    pub fn check(&self) -> Result<(), String> {
        for id in self.default_id.iter().chain(self.others.keys()) {
            let is_id = (1..=ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !is_id {
                return Err(format!(
                    "instances: `{id}` is no id of up to {ID_BYTES_MAX} letters, digits, - and _"
                ));
            }
        }
        match self.default_id.as_ref().filter(|id| self.others.contains_key(*id)) {
            Some(id) => Err(format!("instances: `{id}` is the default one and another one too")),
            None => Ok(()),
        }
    }
}

/// The instances that calls can name.
#[derive(Debug, Default)]
pub(super) struct Instances {
    default_id: Option<String>,
    others: BTreeMap<String, (InstanceNo, InstanceState)>,
}

impl Instances {
    pub const DEFAULT: InstanceNo = InstanceNo(0);

    pub async fn open(app: &App, config: &InstanceConfig) -> app::Result<Self> {
        let InstanceConfig { default_id, others } = config;
        let numbers = app.ensure_instances(others.keys().cloned().collect()).await?;
        let others = others.iter().filter_map(|(id, &state)| {
            let no = numbers.get(id)?;
            Some((id.clone(), (*no, state)))
        });
        Ok(Self { default_id: default_id.clone(), others: others.collect() })
    }

    /// The instance that a call means.
    ///
    /// # Errors
    /// `iot.system.InstanceNotFound` or `iot.Sre.IotInstanceStatusForbidden`.
    pub fn find(&self, id: Option<&str>) -> Result<InstanceNo, Refusal> {
        let Some(id) = id.filter(|id| self.default_id.as_deref() != Some(*id)) else {
            return Ok(Self::DEFAULT);
        };
        match self.others.get(id) {
            Some((no, InstanceState::On)) => Ok(*no),
            Some((_, InstanceState::Off)) => Err(refusal::INSTANCE_OFF.with(id)),
            None => Err(refusal::INSTANCE_NOT_FOUND.with(id)),
        }
    }
}
