//! Files that devices have given to the service.

use crate::id::{DeviceNo, FileId};
use crate::package::Blob;
use crate::time::Timestamp;

/// A file of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFile {
    pub id: FileId,
    pub device: DeviceNo,
    /// As the device named it.
    pub name: String,
    pub blob: Blob,
    pub created_at: Timestamp,
}
