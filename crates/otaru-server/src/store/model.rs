//! Rows that no rule of upgrades is about: nonces, uploads, pages.

use otaru_core::id::{AccountNo, InstanceNo, ProductNo, UserNo};
use otaru_core::package::Blob;
use otaru_core::time::Timestamp;
use otaru_core::version::Version;

/// A nonce that its access key has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce {
    pub access_key: String,
    pub nonce: String,
    pub expires_at: Timestamp,
}

/// What an upload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    Package,
    /// A file of device names for a static job.
    DeviceList,
    /// A file that a job of devices, which is no upgrade, hands out.
    DeviceJob,
}

/// A ticket to upload one file, and the file once it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Path of the file's URL, such as `ota/1f…/9c….bin`.
    pub key: String,
    pub account: AccountNo,
    pub kind: UploadKind,
    pub issued_at: Timestamp,
    pub stored: Option<StoredUpload>,
    /// Whether a create call has used it: from then on it can't be replaced.
    pub used: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    pub blob: Blob,
    pub at: Timestamp,
}

/// Which packages to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFilter {
    pub account: AccountNo,
    pub instance: InstanceNo,
    /// Only those of products that this user's list names.
    pub listed_for: Option<UserNo>,
    pub product: Option<ProductNo>,
    pub dest: Option<Version>,
}

/// Rows `skip .. skip + take` of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub skip: u64,
    pub take: u32,
}

impl Page {
    /// Page `current` (from 1) of `size` rows.
    pub fn new(current: u32, size: u32) -> Self {
        Self { skip: u64::from(current.saturating_sub(1)) * u64::from(size), take: size }
    }
}

/// A page of a list with the number of rows in all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub total: u64,
}
