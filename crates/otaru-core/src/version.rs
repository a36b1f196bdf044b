//! Names of versions and modules, and the words that neither may be.

use crate::id::IdError;
use std::fmt;

/// Member names of the upgrade message. The text search of the C SDK 4.x takes a value that equals one of them for
/// the member itself, so no module, version or file name may be one (device protocol reference, "what breaks a real
/// SDK first", rule 8).
pub const RESERVED: &[&str] = &[
    "code",
    "data",
    "dProtocol",
    "digestsign",
    "extData",
    "fileMd5",
    "fileName",
    "fileSign",
    "fileSize",
    "fileUrl",
    "files",
    "id",
    "isDiff",
    "md5",
    "message",
    "module",
    "sign",
    "signMethod",
    "size",
    "streamFileId",
    "streamId",
    "url",
    "version",
];

/// Whether `text` is a member name of the upgrade message, in any case form.
pub fn is_reserved(text: &str) -> bool {
    RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Whether no text that devices send may hold `c`: control characters, and those that XML can't carry even escaped
/// (XML 1.0, section 2.2), since callers read the text back in XML.
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Name of the module that every product has and that stands for the whole device.
pub const DEFAULT_MODULE: &str = "default";

fn check(text: &str) -> Result<(), IdError> {
    match text.chars().find(|&c| !(c.is_ascii_alphanumeric() || "._-".contains(c))) {
        Some(bad) => Err(IdError::Character(bad)),
        None if !(1..=64).contains(&text.len()) => Err(IdError::Length(text.len())),
        None => Ok(()),
    }
}

/// Version that a package leads to or starts from: 1 to 64 of `A-Z a-z 0-9 . - _`, compared for equality only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Box<str>);

impl Version {
    /// # Errors
    /// [`IdError`] when a character or the length is not allowed.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The version a device reports, which may hold any printable characters; `None` when it is empty or longer than
    /// 64 bytes and so is no version (device protocol reference, inform).
    pub fn reported(text: &str) -> Option<Self> {
        ((1..=64).contains(&text.len()) && !text.contains(is_unprintable))
            .then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a module: 1 to 64 of `A-Z a-z 0-9 . - _`, unique in its product whatever the case.
#[derive(Debug, Clone)]
pub struct ModuleName(Box<str>);

impl ModuleName {
    /// # Errors
    /// [`IdError`] when a character or the length is not allowed.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The module a device names: absent, empty and `default` all mean the default one; `None` when the text can be
    /// no name of a module.
    pub fn reported(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("") => Some(Self::default()),
            Some(text) => Self::parse(text).ok(),
        }
    }

    pub fn is_default(&self) -> bool {
        self.0.eq_ignore_ascii_case(DEFAULT_MODULE)
    }

    /// As spelt by whoever made it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that is looked up: names differ only by more than case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Default for ModuleName {
    fn default() -> Self {
        Self(DEFAULT_MODULE.into())
    }
}

impl PartialEq for ModuleName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ModuleName {}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_a_package_keeps_to_its_characters_and_length() {
        for good in ["1", "1.0.0-rc_1", &"9".repeat(64)] {
            assert!(Version::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1.0 ", "1/0", "版本", &"9".repeat(65)] {
            assert!(Version::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reported_version_may_hold_anything_but_has_a_length() {
        assert!(Version::reported("app 1.0 (beta)").is_some());
        assert!(Version::reported("").is_none());
        assert!(Version::reported("1\u{1}2").is_none() && Version::reported("1\u{ffff}").is_none());
        assert!(Version::reported(&"x".repeat(65)).is_none());
    }

    #[test]
    fn modules_are_the_same_whatever_their_case() {
        assert_eq!(ModuleName::parse("MCU").unwrap(), ModuleName::parse("mcu").unwrap());
        assert_ne!(ModuleName::parse("MCU").unwrap(), ModuleName::parse("mcu2").unwrap());
        for default in [None, Some(""), Some("default"), Some("DEFAULT")] {
            assert!(ModuleName::reported(default).unwrap().is_default(), "{default:?}");
        }
        assert_eq!(ModuleName::reported(Some("a b")), None);
    }

    #[test]
    fn member_names_of_the_upgrade_message_are_reserved_in_any_case() {
        assert!(is_reserved("size") && is_reserved("SignMethod") && !is_reserved("sizes"));
    }
}
