//! The table `[instances]`.

use crate::rpc::instance::{InstanceConfig, InstanceState};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The table `[instances]`.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Instances")]
pub(super) struct InstanceSettings {
    /// Id by which the default instance can be named too [default: it has none]
    #[arg(
        id = "instances_default",
        long = "instances-default",
        env = "OTARU_INSTANCES_DEFAULT",
        value_name = "ID"
    )]
    default: Option<String>,
    /// Further instances, which know nothing of each other; ID=on or ID=off, several parted by commas. Calls that name
    /// one that is off are refused
    #[arg(
        id = "instances_others",
        long = "instances-others",
        env = "OTARU_INSTANCES_OTHERS",
        value_parser = instances,
        value_name = "LIST"
    )]
    others: Option<BTreeMap<String, InstanceState>>,
}

impl InstanceSettings {
    pub(super) fn over(self, below: Self) -> Self {
        Self { default: self.default.or(below.default), others: self.others.or(below.others) }
    }

    pub(super) fn check(self) -> anyhow::Result<InstanceConfig> {
        let instances =
            InstanceConfig { default_id: self.default, others: self.others.unwrap_or_default() };
        instances.check().map_err(anyhow::Error::msg)?;
        Ok(instances)
    }
}

fn instances(text: &str) -> Result<BTreeMap<String, InstanceState>, String> {
    let pair = |pair: &str| {
        let (id, state) = pair.split_once('=')?;
        let state = match state.trim() {
            "on" => InstanceState::On,
            "off" => InstanceState::Off,
            _ => return None,
        };
        Some((id.trim().to_owned(), state))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    pairs.map(|text| pair(text).ok_or_else(|| format!("`{text}` is not ID=on or ID=off"))).collect()
}
