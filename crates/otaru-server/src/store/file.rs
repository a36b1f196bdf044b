//! Files of devices.

use super::{Listed, Page, Result};
use otaru_core::file::DeviceFile;
use otaru_core::id::{DeviceNo, FileId};

pub trait FileView {
    /// Files of a device, newest first.
    fn device_files(&mut self, device: DeviceNo, page: Page) -> Result<Listed<DeviceFile>>;
    fn device_file(&mut self, device: DeviceNo, id: &FileId) -> Result<Option<DeviceFile>>;
}

pub trait FileRows {
    fn insert_device_file(&mut self, new: &DeviceFile) -> Result<()>;
    /// Deletes a file; its contents go once nothing else has them.
    fn delete_device_file(&mut self, device: DeviceNo, id: &FileId) -> Result<()>;
}
