//! Packages: the files that lead devices of a product from one version to another.

use crate::id::{AccountNo, FirmwareId, PackageNo, ProductNo};
use crate::time::Timestamp;
use crate::version::{ModuleName, Version};

/// Whether a package may be rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageStatus {
    /// Made with `NeedToVerify=false`; stays so whatever a verification says.
    NoVerify,
    Unverified,
    Verified,
    Verifying,
    Failed,
}

/// What moves the status of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageEvent {
    /// A verification job was created, or a task of the last one was started again.
    VerifyStarted,
    /// The last verification task ended and all succeeded.
    AllSucceeded,
    /// The last verification task ended and some did not succeed.
    SomeFailed,
}

impl PackageStatus {
    pub const ALL: [Self; 5] =
        [Self::NoVerify, Self::Unverified, Self::Verified, Self::Verifying, Self::Failed];

    /// The status after `event`, or `None` when it stays the same.
    #[must_use]
    pub fn next(self, event: PackageEvent) -> Option<Self> {
        use {PackageEvent as E, PackageStatus as S};
        match (self, event) {
            (S::Unverified | S::Failed, E::VerifyStarted) => Some(S::Verifying),
            (S::Verifying, E::AllSucceeded) => Some(S::Verified),
            (S::Verifying, E::SomeFailed) => Some(S::Failed),
            (S::NoVerify | S::Verified, _) | (S::Verifying, E::VerifyStarted) => None,
            (S::Unverified | S::Failed, E::AllSucceeded | E::SomeFailed) => None,
        }
    }

    /// Whether upgrade jobs may use the package.
    pub fn is_released(self) -> bool {
        matches!(self, Self::NoVerify | Self::Verified)
    }

    /// `Status` on the wire.
    pub fn as_wire(self) -> i32 {
        match self {
            Self::NoVerify => -1,
            Self::Unverified => 0,
            Self::Verified => 1,
            Self::Verifying => 2,
            Self::Failed => 3,
        }
    }

    pub fn from_wire(status: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_wire() == status)
    }
}

/// Digest that devices check a file by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignMethod {
    Md5,
    Sha256,
}

impl SignMethod {
    /// As the cloud API spells it.
    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA256",
        }
    }

    pub fn from_wire(text: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|m| m.as_wire() == text)
    }

    /// As devices spell it: they know no `MD5`.
    pub fn as_device(self) -> &'static str {
        match self {
            Self::Md5 => "Md5",
            Self::Sha256 => "SHA256",
        }
    }
}

/// A stored file: its content's name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub size_bytes: u64,
    /// Lower-case hex.
    pub md5: String,
    /// Lower-case hex; names the content in the file store.
    pub sha256: String,
}

impl Blob {
    /// The digest by `method`, in lower-case hex.
    pub fn digest(&self, method: SignMethod) -> &str {
        match method {
            SignMethod::Md5 => &self.md5,
            SignMethod::Sha256 => &self.sha256,
        }
    }
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Empty for the one file of a package that was not given as a list.
    pub name: String,
    /// Key of the upload it came by, such as `ota/…/….bin`.
    pub upload_key: String,
    pub blob: Blob,
}

/// A package as the rules and the API see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub no: PackageNo,
    pub account: AccountNo,
    pub product: ProductNo,
    pub id: FirmwareId,
    pub name: String,
    pub description: String,
    pub dest: Version,
    /// Required of a delta package; informative for a full one.
    pub src: Option<Version>,
    pub is_delta: bool,
    pub module: ModuleName,
    pub sign_method: SignMethod,
    /// Whether the files were given as a list; such a package shows `MultiFiles`.
    pub is_list: bool,
    pub files: Vec<PackageFile>,
    /// Free text for the device.
    pub udi: String,
    pub status: PackageStatus,
    /// Share of the devices of the last verification that are done, 0 to 100.
    pub verify_percent: u32,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

impl Package {
    /// The one source version that fits, for a delta package.
    pub fn delta_src(&self) -> Option<&Version> {
        self.src.as_ref().filter(|_| self.is_delta)
    }

    /// Bytes of all files.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.blob.size_bytes).sum()
    }
}

/// Suffixes of package files that can be uploaded.
pub const SUFFIXES: &[&str] =
    &["bin", "dav", "apk", "tar", "gz", "tar.gz", "zip", "gzip", "tar.xz", "pack"];

/// Whether `name` can be the name of a package: 1 to 40 Chinese or Japanese characters, letters, digits, `- _` and
/// half- or full-width brackets, the first of them no sign.
pub fn is_package_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || is_cjk(c);
    (1..=40).contains(&name.chars().count())
        && name.starts_with(letter)
        && name.chars().all(|c| letter(c) || "-_()（）".contains(c))
}

/// Chinese and Japanese letters: ideographs with their first extension and compatibility forms, both kana, and the
/// marks that stand inside words.
fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_moves_a_package_only_from_the_statuses_listed() {
        use {PackageEvent as E, PackageStatus as S};
        let moves: [(E, &[S], S); 3] = [
            (E::VerifyStarted, &[S::Unverified, S::Failed], S::Verifying),
            (E::AllSucceeded, &[S::Verifying], S::Verified),
            (E::SomeFailed, &[S::Verifying], S::Failed),
        ];
        for (event, from, to) in moves {
            for status in S::ALL {
                assert_eq!(
                    status.next(event),
                    from.contains(&status).then_some(to),
                    "{status:?} on {event:?}"
                );
            }
        }
    }

    #[test]
    fn status_numbers_are_those_of_the_wire() {
        let wire = S_WIRE.map(|(status, number)| (status.as_wire(), number));
        assert!(wire.iter().all(|(got, want)| got == want));
        assert_eq!(PackageStatus::from_wire(4), None);
    }

    const S_WIRE: [(PackageStatus, i32); 5] = [
        (PackageStatus::NoVerify, -1),
        (PackageStatus::Unverified, 0),
        (PackageStatus::Verified, 1),
        (PackageStatus::Verifying, 2),
        (PackageStatus::Failed, 3),
    ];

    #[test]
    fn a_package_name_starts_with_a_letter_or_digit() {
        for good in ["a", "fw(1)", "固件（测试）", "ファームウェア1", "1-2_3", &"x".repeat(40)]
        {
            assert!(is_package_name(good), "{good}");
        }
        for bad in ["", "-a", "(a)", "a b", "a.b", "a/b", "é", &"x".repeat(41)] {
            assert!(!is_package_name(bad), "{bad}");
        }
    }
}
