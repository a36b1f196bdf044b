//! Names and numbers of things. Each type has one way in; inside, nobody checks again and nobody swaps two ids.

use std::fmt;
use std::str::FromStr;

/// Rows are numbered by the store; these numbers never leave the service.
macro_rules! number {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);
    )*};
}

number! {
    /// The store's number of an account.
    AccountNo;
    /// The store's number of a user of an account.
    UserNo;
    /// The store's number of an instance; that of the default one is 0.
    InstanceNo;
    /// The store's number of a product.
    ProductNo;
    /// The store's number of a device.
    DeviceNo;
    /// The number of a batch of devices; the one number that callers see.
    ApplyNo;
    /// The store's number of a package.
    PackageNo;
    /// The store's number of a job.
    JobNo;
    /// The store's number of a task.
    TaskNo;
    /// The store's number of a consumer group.
    ConsumerGroupNo;
    /// The store's number of a device group.
    GroupNo;
    /// The store's number of a message that waits in a session; a later one has a higher number.
    MessageNo;
}

/// What is wrong with a name or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{0} characters are too few or too many")]
    Length(usize),
    #[error("character {0:?} is not allowed")]
    Character(char),
}

fn check(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: fn(char) -> bool,
) -> Result<(), IdError> {
    match text.chars().find(|&c| !allowed(c)) {
        Some(bad) => Err(IdError::Character(bad)),
        None if !length.contains(&text.len()) => Err(IdError::Length(text.len())),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal, $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $min..=$max, $allowed)?;
                Ok(Self(text.into()))
            }
        }

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn device_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.@:".contains(c)
}

fn consumer_group(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

text_id! {
    /// Key of a product: 1 to 32 letters and digits; ours have 11.
    ProductKey, 1..=32, alphanumeric;
    /// Name of a device, unique within its product: 4 to 32 of `a-z A-Z 0-9 - _ . @ :`.
    DeviceName, 4..=32, device_name;
    /// Second name of a device, unique in the service: 1 to 64 letters and digits; ours have 30.
    IotId, 1..=64, alphanumeric;
    /// Id of a package on the wire: letters and digits; ours have 26.
    FirmwareId, 1..=64, alphanumeric;
    /// Id of a file of a device on the wire: letters and digits; ours have 26.
    FileId, 1..=64, alphanumeric;
    /// Id of a job on the wire: letters and digits; ours have 26.
    JobId, 1..=64, alphanumeric;
    /// Id of a task on the wire: letters and digits; ours have 26.
    TaskId, 1..=64, alphanumeric;
    /// Id of a consumer group, unique in its account: letters, digits and `_`; ours have 26, but for the default one.
    ConsumerGroupId, 1..=64, consumer_group;
    /// Id of a device group on the wire: letters and digits; ours have 16.
    GroupId, 1..=64, alphanumeric;
}

const ALPHABET: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// `length` letters and digits that spell the number in `random` (22 of them hold its 128 bits).
pub fn spell(random: u128, length: usize) -> String {
    let mut rest = random;
    (0..length)
        .map(|_| {
            let digit = usize::try_from(rest % 62).expect("below 62");
            rest /= 62;
            char::from(ALPHABET[digit])
        })
        .collect()
}

impl ProductKey {
    /// A new key; products of the original start with `a1` too.
    pub fn generate(random: u128) -> Self {
        Self(format!("a1{}", spell(random, 9)).into())
    }
}

impl IotId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}000100", spell(random, 24)).into())
    }
}

impl FirmwareId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}0100", spell(random, 22)).into())
    }
}

impl FileId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}0400", spell(random, 22)).into())
    }
}

impl JobId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}0200", spell(random, 22)).into())
    }
}

impl TaskId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}0300", spell(random, 22)).into())
    }
}

impl ConsumerGroupId {
    pub fn generate(random: u128) -> Self {
        Self(format!("{}0400", spell(random, 22)).into())
    }
}

impl GroupId {
    pub fn generate(random: u128) -> Self {
        Self(spell(random, 16).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_has_4_to_32_of_its_characters() {
        for good in ["abcd", "a-b_c.d@e:f", &"x".repeat(32)] {
            assert_eq!(good.parse::<DeviceName>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("abc", IdError::Length(3)),
            (&"x".repeat(33), IdError::Length(33)),
            ("", IdError::Length(0)),
            ("abc/..", IdError::Character('/')),
            ("abc d", IdError::Character(' ')),
            ("设备设备", IdError::Character('设')),
        ] {
            assert_eq!(bad.parse::<DeviceName>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn generated_ids_are_of_their_own_form_and_differ_by_their_number() {
        for random in [0, 1, 62, u128::MAX] {
            assert_eq!(
                ProductKey::generate(random).as_str().parse(),
                Ok(ProductKey::generate(random))
            );
            assert_eq!(IotId::generate(random).as_str().len(), 30);
            assert_eq!(FirmwareId::generate(random).as_str().len(), 26);
            assert_eq!(JobId::generate(random).as_str().parse(), Ok(JobId::generate(random)));
            assert_eq!(TaskId::generate(random).as_str().len(), 26);
        }
        assert_ne!(JobId::generate(u128::MAX), JobId::generate(u128::MAX - 1));
        assert_ne!(FirmwareId::generate(7), FirmwareId::generate(8));
    }
}
