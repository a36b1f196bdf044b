//! Parameters that are others in each call.

use super::identity::Device;
use anyhow::{Context, ensure};
use std::ops::RangeInclusive;

/// An odd number without pattern: its multiples visit what they are taken modulo in no order that a cache likes.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The parameters of a call, of which some are to be filled in.
#[derive(Debug)]
pub(super) struct Template {
    params: Vec<(String, Blank)>,
    devices: Vec<Device>,
}

#[derive(Debug, PartialEq, Eq)]
enum Blank {
    Text(String),
    Product,
    Device,
    Number(RangeInclusive<u64>),
}

impl Template {
    /// Parameters in which a value `{product}` or `{device}` stands for what a device of the file has, `{A-B}` for a
    /// number.
    ///
    /// # Errors
    /// A sentence when devices are asked for and there are none.
    pub(super) fn new(params: Vec<(String, String)>, devices: Vec<Device>) -> anyhow::Result<Self> {
        let params: Vec<_> = params.into_iter().map(|(name, value)| (name, blank(value))).collect();
        let asks = params.iter().any(|(_, blank)| matches!(blank, Blank::Product | Blank::Device));
        ensure!(
            !asks || !devices.is_empty(),
            "{{product}} and {{device}} need a --file of devices"
        );
        Ok(Self { params, devices })
    }

    /// The parameters of the `nth` call.
    ///
    /// # Errors
    /// Never, as [`Template::new`] checked.
    pub(super) fn fill(&self, nth: u64) -> anyhow::Result<Vec<(String, String)>> {
        let jump = nth.wrapping_mul(STRIDE) >> 16;
        let device = match self.devices.len() as u64 {
            0 => None,
            count => self.devices.get(usize::try_from(jump % count).unwrap_or(0)),
        };
        let value = |blank: &Blank| {
            Some(match blank {
                Blank::Text(text) => text.clone(),
                Blank::Product => device?.product_key.to_string(),
                Blank::Device => device?.name.to_string(),
                Blank::Number(range) => {
                    let count = (range.end() - range.start()).saturating_add(1);
                    (range.start() + jump % count).to_string()
                }
            })
        };
        let filled = self.params.iter().map(|(name, blank)| Some((name.clone(), value(blank)?)));
        filled.collect::<Option<_>>().context("there is no device")
    }
}

fn blank(value: String) -> Blank {
    let inner = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let number = |inner: &str| {
        let (first, last) = inner.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Blank::Number(first..=last))
    };
    match inner {
        Some("product") => Blank::Product,
        Some("device") => Blank::Device,
        Some(inner) => number(inner).unwrap_or(Blank::Text(value)),
        None => Blank::Text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn devices(count: usize) -> Vec<Device> {
        let device = |n| Device {
            product_key: "p1".into(),
            name: format!("d{n}").into(),
            secret: "".into(),
        };
        (0..count).map(device).collect()
    }

    fn template(value: &str, devices: Vec<Device>) -> anyhow::Result<Template> {
        Template::new(vec![("Name".to_owned(), value.to_owned())], devices)
    }

    #[test]
    fn values_in_braces_differ_from_call_to_call() {
        for (value, count) in [
            ("{device}", 50),
            ("{product}", 1),
            ("{3-12}", 10),
            ("{12-3}", 1),
            ("{a}", 1),
            ("1-2", 1),
        ] {
            let template = template(value, devices(50)).unwrap();
            let seen: BTreeSet<_> =
                (0..5_000).map(|nth| template.fill(nth).unwrap().remove(0).1).collect();
            assert_eq!(seen.len(), count, "{value}: {seen:?}");
        }
        let whole = template("{0-18446744073709551615}", Vec::new()).unwrap();
        assert_eq!(whole.fill(0).unwrap()[0].1, "0");
    }

    #[test]
    fn devices_are_asked_for_only_with_a_file_of_them() {
        assert!(template("{device}", Vec::new()).is_err());
        assert!(template("{1-2}", Vec::new()).unwrap().fill(7).is_ok());
    }
}
