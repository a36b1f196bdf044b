//! Calls per second: off unless configured, then as many as the original allows or as the operator says.

use std::collections::BTreeMap;

use otaru_core::id::AccountNo;
use otaru_core::time::Now;
use serde::Deserialize;

use super::error::GatewayError;
use super::op::{self, Op};

/// The table `[quota]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaConfig {
    pub mode: QuotaMode,
    /// Calls per second and account by operation, in either mode; 0 = no limit.
    pub per_operation: BTreeMap<String, u32>,
    /// Calls per second of all accounts together; 0 = no limit.
    pub server_per_second: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaMode {
    /// Only operations named in `per_operation` are limited.
    #[default]
    Off,
    /// Every operation is limited as the public API reference says.
    Original,
}

/// Token buckets per account and operation; the users of an account share them.
#[derive(Debug)]
pub struct Quotas {
    config: QuotaConfig,
    buckets: BTreeMap<(AccountNo, &'static str, Paging), Bucket>,
    server: Bucket,
    swept_ms: u64,
}

/// Two list operations allow fewer calls far from the first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Paging {
    Usual,
    Deep,
}

/// `CurrentPage` x `PageSize` from which a page counts as deep.
const DEEP_ROWS: u64 = 100_000;

/// Buckets above which those that have filled up again are dropped: they are as good as new ones.
const SWEEP_ABOVE: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of calls left: a bucket of n calls per second refills n of them each millisecond.
    milli_calls: u64,
    filled_ms: u64,
}

impl Bucket {
    fn full(per_second: u32, now_ms: u64) -> Self {
        Self { milli_calls: u64::from(per_second) * 1_000, filled_ms: now_ms }
    }

    /// Takes one call. A bucket holds what refills in a second.
    fn take(&mut self, per_second: u32, now_ms: u64) -> bool {
        let refill = now_ms.saturating_sub(self.filled_ms).saturating_mul(per_second.into());
        let size = u64::from(per_second) * 1_000;
        self.milli_calls = self.milli_calls.saturating_add(refill).min(size);
        self.filled_ms = now_ms;
        let enough = self.milli_calls >= 1_000;
        if enough {
            self.milli_calls -= 1_000;
        }
        enough
    }
}

impl Quotas {
    /// # Errors
    /// The name in `per_operation` that is no operation.
    pub fn new(config: QuotaConfig) -> Result<Self, String> {
        if let Some(unknown) = config.per_operation.keys().find(|name| op::find(name).is_none()) {
            return Err(format!("quota.per_operation: `{unknown}` is no operation"));
        }
        let server = Bucket::full(config.server_per_second, 0);
        Ok(Self { config, buckets: BTreeMap::new(), server, swept_ms: 0 })
    }

    /// Takes one call of `op` from the account's share, then from the server's.
    ///
    /// # Errors
    /// `Throttling.User` or `Throttling.Api`.
    pub fn take(
        &mut self,
        account: AccountNo,
        op: &Op,
        page: Option<(u64, u64)>,
        now: Now,
    ) -> Result<(), GatewayError> {
        let (per_second, paging) = self.limit(op, page);
        let now_ms = now.mono_ms;
        if per_second > 0 {
            self.sweep(now_ms);
            let full = Bucket::full(per_second, now_ms);
            let bucket = self.buckets.entry((account, op.action, paging)).or_insert(full);
            if !bucket.take(per_second, now_ms) {
                return Err(GatewayError::throttled_user());
            }
        }
        let server = self.config.server_per_second;
        if server > 0 && !self.server.take(server, now_ms) {
            return Err(GatewayError::throttled_server());
        }
        Ok(())
    }

    fn limit(&self, op: &Op, page: Option<(u64, u64)>) -> (u32, Paging) {
        if let Some(&own) = self.config.per_operation.get(op.action) {
            return (own, Paging::Usual);
        }
        match (self.config.mode, op.deep_per_second, page) {
            (QuotaMode::Off, ..) => (0, Paging::Usual),
            (QuotaMode::Original, Some(deep), Some((page, size)))
                if page.saturating_mul(size) >= DEEP_ROWS =>
            {
                (deep, Paging::Deep)
            }
            (QuotaMode::Original, ..) => (op.per_second, Paging::Usual),
        }
    }

    /// At most once a second: whatever was not used for a second is full.
    fn sweep(&mut self, now_ms: u64) {
        if self.buckets.len() > SWEEP_ABOVE && now_ms.saturating_sub(self.swept_ms) >= 1_000 {
            self.swept_ms = now_ms;
            self.buckets.retain(|_, bucket| now_ms.saturating_sub(bucket.filled_ms) < 1_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(toml: &str) -> Quotas {
        Quotas::new(toml::from_str(toml).unwrap()).unwrap()
    }

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, ..Now::default() }
    }

    /// How many calls of an operation pass at one moment, of up to 1,000.
    fn burst(quotas: &mut Quotas, account: i64, action: &str, mono_ms: u64) -> usize {
        let op = op::find(action).unwrap();
        let take = |_: &i32| quotas.take(AccountNo(account), op, None, at(mono_ms)).is_ok();
        (0..1_000).take_while(take).count()
    }

    #[test]
    fn without_configuration_nothing_is_limited() {
        assert_eq!(burst(&mut quotas(""), 1, "ListOTAJobByDevice", 0), 1_000);
    }

    #[test]
    fn the_original_allows_each_account_its_calls_per_second_and_operation() {
        let mut quotas = quotas("mode = 'original'");
        assert_eq!(burst(&mut quotas, 1, "ListOTAJobByDevice", 5_000), 10);
        assert_eq!(burst(&mut quotas, 1, "QueryOTAFirmware", 5_000), 20);
        assert_eq!(burst(&mut quotas, 2, "ListOTAJobByDevice", 5_000), 10);
        assert_eq!(burst(&mut quotas, 1, "ListOTAJobByDevice", 5_099), 0);
        assert_eq!(burst(&mut quotas, 1, "ListOTAJobByDevice", 5_100), 1);
        assert_eq!(burst(&mut quotas, 1, "ListOTAJobByDevice", 99_000), 10);
    }

    #[test]
    fn an_operation_can_have_its_own_quota_in_either_mode() {
        let mut own = quotas("per_operation = { QueryOTAJob = 3 }");
        assert_eq!(burst(&mut own, 1, "QueryOTAJob", 0), 3);
        assert_eq!(burst(&mut own, 1, "QueryProduct", 0), 1_000);
        let mut unlimited = quotas("mode = 'original'\nper_operation = { QueryOTAJob = 0 }");
        assert_eq!(burst(&mut unlimited, 1, "QueryOTAJob", 0), 1_000);
        let config = toml::from_str("per_operation = { queryOTAJob = 3 }").unwrap();
        assert!(Quotas::new(config).unwrap_err().contains("queryOTAJob"));
    }

    #[test]
    fn pages_deep_in_a_list_have_a_quota_of_their_own() {
        let mut quotas = quotas("mode = 'original'");
        let op = op::find("QueryDevice").unwrap();
        let mut take = |page| quotas.take(AccountNo(1), op, Some((page, 50)), at(0)).is_ok();
        assert_eq!([take(2_000), take(2_000), take(2_000)], [true, true, false]);
        assert!(take(1_999));
    }

    #[test]
    fn the_server_as_a_whole_can_be_limited() {
        let mut quotas = quotas("server_per_second = 2");
        let op = op::find("QueryProduct").unwrap();
        let mut code = |account| {
            quotas.take(AccountNo(account), op, None, at(1_000)).map_err(|error| error.code)
        };
        assert_eq!([code(1), code(2)], [Ok(()), Ok(())]);
        assert_eq!(code(3), Err("Throttling.Api".to_owned()));
    }

    #[test]
    fn memory_is_given_back_when_accounts_fall_silent() {
        let mut quotas = quotas("mode = 'original'");
        for account in 0..10_000 {
            burst(&mut quotas, account, "QueryProduct", 0);
        }
        burst(&mut quotas, 1, "QueryProduct", 1_000);
        assert_eq!(quotas.buckets.len(), 1);
    }
}
