//! Files of devices as the API shows them.

use super::{App, Caller, DeviceKey, Result, lookup};
use crate::store::{Listed, Page, View};
use otaru_core::file::DeviceFile;
use otaru_core::id::{DeviceNo, FileId};
use otaru_core::refusal;
use otaru_core::time::DAY_MS;

impl App {
    pub async fn device_files(
        &self,
        caller: Caller,
        key: DeviceKey,
        page: Page,
    ) -> Result<Listed<DeviceFile>> {
        self.view(move |view| {
            let (_, device) = lookup::device_by_key(view, caller, &key)?;
            Ok(view.device_files(device.no, page)?)
        })
        .await
    }

    /// A file with a URL that is good for a day.
    pub async fn device_file(
        &self,
        caller: Caller,
        key: DeviceKey,
        id: String,
    ) -> Result<(DeviceFile, String)> {
        let file = self
            .view(move |view| {
                let (_, device) = lookup::device_by_key(view, caller, &key)?;
                find(view, device.no, &id)
            })
            .await?;
        let suffix = file.name.rsplit_once('.').map_or("bin", |(_, suffix)| suffix);
        let until = self.clock.now().wall.plus_ms(DAY_MS);
        let url = self.urls.download(&file.blob.sha256, suffix, until);
        Ok((file, url))
    }

    pub async fn delete_device_file(
        &self,
        caller: Caller,
        key: DeviceKey,
        id: String,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let (_, device) = lookup::device_by_key(rows, caller, &key)?;
            let file = find(rows, device.no, &id)?;
            Ok(rows.delete_device_file(device.no, &file.id)?)
        })
        .await
    }
}

fn find(view: &mut (impl View + ?Sized), device: DeviceNo, id: &str) -> Result<DeviceFile> {
    let found = match id.parse::<FileId>() {
        Ok(id) => view.device_file(device, &id)?,
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| refusal::INVALID_PARAMETER.with(format!("FileId {id}")))?)
}
