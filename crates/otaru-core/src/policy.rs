//! How a job treats its devices: pace, patience, consent, conflicts, and the tags they are told.

use crate::refusal::{self, Refusal};

/// What happens when the device of a new task still has an unfinished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverwriteMode {
    /// The old task stays, the new one fails at once.
    Keep,
    /// The old task is canceled unless it is already in progress.
    Replace,
}

impl OverwriteMode {
    pub fn as_wire(self) -> i32 {
        match self {
            Self::Keep => 1,
            Self::Replace => 2,
        }
    }

    pub fn from_wire(mode: i32) -> Option<Self> {
        match mode {
            1 => Some(Self::Keep),
            2 => Some(Self::Replace),
            _ => None,
        }
    }
}

/// How the device fetches the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadProtocol {
    Https,
    Mqtt,
}

impl DownloadProtocol {
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Https => "HTTPS",
            Self::Mqtt => "MQTT",
        }
    }

    pub fn from_wire(text: &str) -> Option<Self> {
        [Self::Https, Self::Mqtt].into_iter().find(|p| p.as_wire() == text)
    }
}

/// Extra tries after a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Minutes between a failed try and the next: 0, 10, 30, 60 or 1,440.
    pub interval_minutes: u32,
    /// 1, 2 or 5.
    pub count: u32,
}

/// A label of a job, sent to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// The options that the three kinds of job share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub need_push: bool,
    pub need_confirm: bool,
    pub retry: Option<Retry>,
    /// Minutes from the first progress report to failure: 1 to 1,440.
    pub timeout_minutes: Option<u32>,
    pub overwrite: OverwriteMode,
    pub multi_module: bool,
    /// First pushes per minute: 10 to 10,000. `None`: no limit of its own.
    pub max_per_minute: Option<u32>,
    pub download: DownloadProtocol,
    pub tags: Vec<Tag>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            need_push: true,
            need_confirm: false,
            retry: None,
            timeout_minutes: None,
            overwrite: OverwriteMode::Keep,
            multi_module: false,
            max_per_minute: Some(10_000),
            download: DownloadProtocol::Https,
            tags: Vec::new(),
        }
    }
}

/// The options as a caller sends them, before any is looked at.
#[derive(Debug, Clone, Default)]
pub struct RawPolicy<'a> {
    pub need_push: Option<bool>,
    pub need_confirm: Option<bool>,
    pub retry_interval: Option<i32>,
    pub retry_count: Option<i32>,
    pub timeout_minutes: Option<i32>,
    pub overwrite_mode: Option<i32>,
    pub multi_module: Option<bool>,
    pub max_per_minute: Option<i32>,
    pub download_protocol: Option<&'a str>,
}

impl RawPolicy<'_> {
    /// Checks the options in the order of the reference (rows J1 to J8 of the refusals).
    ///
    /// # Errors
    /// The refusal of the first option that is out of range or does not go with another.
    pub fn check(&self) -> Result<Policy, Refusal> {
        let max_per_minute = match self.max_per_minute {
            None => Some(10_000),
            Some(rate) => match u32::try_from(rate) {
                Ok(rate @ 10..=10_000) => Some(rate),
                _ => return Err(refusal::INVALID_RATE.with(rate)),
            },
        };
        let retry_interval = self.retry_interval.map(|minutes| match minutes {
            0 | 10 | 30 | 60 | 1440 => Ok(minutes.unsigned_abs()),
            _ => Err(refusal::INVALID_RETRY_INTERVAL.with(minutes)),
        });
        let retry = match retry_interval.transpose()? {
            None => None,
            Some(interval_minutes) => match self.retry_count {
                Some(count @ (1 | 2 | 5)) => {
                    Some(Retry { interval_minutes, count: count.unsigned_abs() })
                }
                Some(count) => return Err(refusal::INVALID_RETRY_COUNT.with(count)),
                None => {
                    return Err(refusal::INVALID_RETRY_COUNT
                        .with("RetryInterval needs a RetryCount of 1, 2 or 5"));
                }
            },
        };
        let timeout_minutes = self.timeout_minutes.map(|minutes| match u32::try_from(minutes) {
            Ok(minutes @ 1..=1_440) => Ok(minutes),
            _ => Err(refusal::INVALID_TIMEOUT.with(minutes)),
        });
        let timeout_minutes = timeout_minutes.transpose()?;
        if let (Some(retry), Some(timeout)) = (retry, timeout_minutes)
            && retry.interval_minutes >= timeout
        {
            let detail =
                format!("{} is not lower than TimeoutInMinutes {timeout}", retry.interval_minutes);
            return Err(refusal::INVALID_RETRY_INTERVAL.with(detail));
        }
        let overwrite = match self.overwrite_mode {
            None => OverwriteMode::Keep,
            Some(mode) => OverwriteMode::from_wire(mode)
                .ok_or_else(|| refusal::INVALID_OVERWRITE_MODE.with(mode))?,
        };
        let multi_module = self.multi_module.unwrap_or(false);
        if multi_module && overwrite == OverwriteMode::Replace {
            return Err(
                refusal::INVALID_OVERWRITE_MODE.with("2 does not go with MultiModuleMode true")
            );
        }
        let download = match self.download_protocol {
            None => DownloadProtocol::Https,
            Some(text) => DownloadProtocol::from_wire(text)
                .ok_or_else(|| refusal::INVALID_PARAMETER.with(text))?,
        };
        Ok(Policy {
            need_push: self.need_push.unwrap_or(true),
            need_confirm: self.need_confirm.unwrap_or(false),
            retry,
            timeout_minutes,
            overwrite,
            multi_module,
            max_per_minute,
            download,
            tags: Vec::new(),
        })
    }
}

/// Checks the tags of a job in the order of the reference (rows T1 to T5 of the refusals).
///
/// # Errors
/// More than 10 tags; a key without a value or the reverse; a key that is not 1 to 30 of letters, digits and `.`; a
/// value of more than 1,024 characters; a key twice; more than 4,096 characters in all.
pub fn check_tags<'a>(
    raw: impl ExactSizeIterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> Result<Vec<Tag>, Refusal> {
    if raw.len() > 10 {
        return Err(refusal::LIST_TOO_LONG.with(format!("{} tags, at most 10", raw.len())));
    }
    let mut tags = Vec::<Tag>::with_capacity(raw.len());
    let mut pairs = Vec::with_capacity(raw.len());
    for (key, value) in raw {
        let (Some(key), Some(value)) = (key, value) else {
            return Err(refusal::NULL_PARAMETER.with(key.or(value).unwrap_or_default()));
        };
        pairs.push((key, value));
    }
    for &(key, value) in &pairs {
        let good_key = (1..=30).contains(&key.len())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if !good_key {
            return Err(refusal::INVALID_PARAMETER.with(key));
        }
        if value.chars().count() > 1_024 {
            return Err(
                refusal::INVALID_PARAMETER.with(format!("{key}: the value is longer than 1,024"))
            );
        }
    }
    for (key, value) in pairs {
        if tags.iter().any(|tag| tag.key == key) {
            return Err(refusal::TAG_KEY_DUPLICATED.with(key));
        }
        tags.push(Tag { key: key.to_owned(), value: value.to_owned() });
    }
    let total: usize =
        tags.iter().map(|tag| tag.key.chars().count() + tag.value.chars().count()).sum();
    if total > 4_096 {
        return Err(refusal::TAGS_TOO_LONG.with(format!("{total} characters, at most 4,096")));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_out_of_range_has_its_own_code() {
        let ok = RawPolicy::default();
        let cases: &[(RawPolicy, &str)] = &[
            (
                RawPolicy { max_per_minute: Some(9), ..ok.clone() },
                "iot.firmware.InvalidMaximumPerMinute",
            ),
            (
                RawPolicy { max_per_minute: Some(10_001), ..ok.clone() },
                "iot.firmware.InvalidMaximumPerMinute",
            ),
            (
                RawPolicy { max_per_minute: Some(-10), ..ok.clone() },
                "iot.firmware.InvalidMaximumPerMinute",
            ),
            (
                RawPolicy { retry_interval: Some(20), retry_count: Some(1), ..ok.clone() },
                "iot.firmware.InvalidRetryInterval",
            ),
            (
                RawPolicy { retry_interval: Some(10), ..ok.clone() },
                "iot.firmware.InvalidRetryCount",
            ),
            (
                RawPolicy { retry_interval: Some(10), retry_count: Some(3), ..ok.clone() },
                "iot.firmware.InvalidRetryCount",
            ),
            (
                RawPolicy { timeout_minutes: Some(0), ..ok.clone() },
                "iot.firmware.InvalidTimeoutSetting",
            ),
            (
                RawPolicy { timeout_minutes: Some(1_441), ..ok.clone() },
                "iot.firmware.InvalidTimeoutSetting",
            ),
            (
                RawPolicy {
                    retry_interval: Some(60),
                    retry_count: Some(1),
                    timeout_minutes: Some(60),
                    ..ok.clone()
                },
                "iot.firmware.InvalidRetryInterval",
            ),
            (
                RawPolicy { overwrite_mode: Some(3), ..ok.clone() },
                "iot.firmware.InvalidOverwriteMode",
            ),
            (
                RawPolicy { overwrite_mode: Some(2), multi_module: Some(true), ..ok.clone() },
                "iot.firmware.InvalidOverwriteMode",
            ),
            (
                RawPolicy { download_protocol: Some("https"), ..ok.clone() },
                "iot.common.InvalidFormattedParameter",
            ),
        ];
        for (raw, code) in cases {
            assert_eq!(raw.check().unwrap_err().code, *code, "{raw:?}");
        }
        assert_eq!(ok.check(), Ok(Policy::default()));
        let count_alone = RawPolicy { retry_count: Some(7), ..ok };
        assert_eq!(
            count_alone.check(),
            Ok(Policy::default()),
            "RetryCount without RetryInterval has no effect"
        );
    }

    #[test]
    fn tags_are_refused_by_their_first_fault() {
        let long = "v".repeat(1_025);
        let many = vec![(Some("k"), Some("v")); 11];
        let big: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|k| (Some(k), Some(&long[..1_024]))).to_vec();
        let cases: &[(&[(Option<&str>, Option<&str>)], &str)] = &[
            (&many, "iot.firmware.ParameterSizeExceedMax"),
            (&[(Some("k"), None)], "iot.check.NullParameter"),
            (&[(None, Some("v"))], "iot.check.NullParameter"),
            (&[(Some("k_1"), Some("v"))], "iot.common.InvalidFormattedParameter"),
            (&[(Some("k"), Some(&long))], "iot.common.InvalidFormattedParameter"),
            (&[(Some("k"), Some("v")), (Some("k"), Some("w"))], "iot.ota.tag.KeyDuplicated"),
            (&big, "iot.ota.JobTagIsTooLong"),
        ];
        for (tags, code) in cases {
            assert_eq!(check_tags(tags.iter().copied()).unwrap_err().code, *code);
        }
        let good = check_tags([(Some("k.1"), Some("值"))].into_iter()).unwrap();
        assert_eq!(good, [Tag { key: "k.1".into(), value: "值".into() }]);
    }
}
