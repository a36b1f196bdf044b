//! Files of devices.

use super::super::{FileRows, FileView, Listed, Page, Result};
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::file::DeviceFile;
use otaru_core::id::{DeviceNo, FileId};
use otaru_core::package::Blob;
use rusqlite::params;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, device, name, size_bytes, md5, sha256, created_at FROM device_file ",
            $rest
        )
    };
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<DeviceFile> {
    Ok(DeviceFile {
        id: cols.parsed()?,
        device: DeviceNo(cols.take()?),
        name: cols.take()?,
        blob: Blob { size_bytes: cols.bits()?, md5: cols.take()?, sha256: cols.take()? },
        created_at: cols.time()?,
    })
}

impl FileView for Tx<'_> {
    fn device_files(&mut self, device: DeviceNo, page: Page) -> Result<Listed<DeviceFile>> {
        let total =
            self.count("SELECT count(*) FROM device_file WHERE device = ?1", params![device.0])?;
        let rows = self.list(
            select!("WHERE device = ?1 ORDER BY no DESC LIMIT ?2 OFFSET ?3"),
            params![device.0, page.take, skip(page)],
            read,
        )?;
        Ok(Listed { rows, total })
    }

    fn device_file(&mut self, device: DeviceNo, id: &FileId) -> Result<Option<DeviceFile>> {
        self.one(select!("WHERE id = ?1 AND device = ?2"), params![id.as_str(), device.0], read)
    }
}

impl FileRows for Tx<'_> {
    fn insert_device_file(&mut self, new: &DeviceFile) -> Result<()> {
        let DeviceFile { id, device, name, blob, created_at } = new;
        let Blob { size_bytes, md5, sha256 } = blob;
        self.run(
            "INSERT INTO device_file (id, device, name, size_bytes, md5, sha256, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id.as_str(),
                device.0,
                name,
                size_bytes.cast_signed(),
                md5,
                sha256,
                created_at.0
            ],
        )?;
        Ok(())
    }

    fn delete_device_file(&mut self, device: DeviceNo, id: &FileId) -> Result<()> {
        self.run_one(
            "DELETE FROM device_file WHERE id = ?1 AND device = ?2",
            params![id.as_str(), device.0],
        )
    }
}
