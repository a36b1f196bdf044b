//! The table `[quota]`.

use crate::rpc::quota::{QuotaConfig, QuotaMode, Quotas};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The table `[quota]`.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Quotas")]
pub(super) struct QuotaSettings {
    /// Calls per second of an account: off, or original, as the public API reference says [default: off]
    #[arg(id = "quota_mode", long = "quota-mode", env = "OTARU_QUOTA_MODE", value_parser = quota_mode, value_name = "MODE")]
    mode: Option<QuotaMode>,
    /// Calls per second of all accounts together; 0: no limit [default: 0]
    #[arg(
        long = "quota-server-per-second",
        env = "OTARU_QUOTA_SERVER_PER_SECOND",
        value_name = "CALLS"
    )]
    server_per_second: Option<u32>,
    /// Calls per second of an account and operation, in either mode; OPERATION=CALLS, several parted by commas
    #[arg(
        long = "quota-per-operation",
        env = "OTARU_QUOTA_PER_OPERATION",
        value_parser = per_operation,
        value_name = "LIST"
    )]
    per_operation: Option<BTreeMap<String, u32>>,
}

impl QuotaSettings {
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            mode: self.mode.or(below.mode),
            server_per_second: self.server_per_second.or(below.server_per_second),
            per_operation: self.per_operation.or(below.per_operation),
        }
    }

    pub(super) fn check(self) -> anyhow::Result<QuotaConfig> {
        let quota = QuotaConfig {
            mode: self.mode.unwrap_or_default(),
            per_operation: self.per_operation.unwrap_or_default(),
            server_per_second: self.server_per_second.unwrap_or_default(),
        };
        Quotas::new(quota.clone()).map_err(anyhow::Error::msg)?;
        Ok(quota)
    }
}

fn quota_mode(text: &str) -> Result<QuotaMode, String> {
    match text {
        "off" => Ok(QuotaMode::Off),
        "original" => Ok(QuotaMode::Original),
        _ => Err("neither off nor original".into()),
    }
}

fn per_operation(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let pair = |pair: &str| {
        let (name, calls) = pair.split_once('=')?;
        Some((name.trim().to_owned(), calls.trim().parse().ok()?))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    pairs.map(|text| pair(text).ok_or_else(|| format!("`{text}` is not OPERATION=CALLS"))).collect()
}
