//! Upload tickets: a minute to upload, an hour to use.

use super::{App, Caller, Result};
use crate::files::UploadForm;
use crate::store::{StoredUpload, Upload, UploadKind};
use otaru_core::package::Blob;
use otaru_core::time::{HOUR_MS, MINUTE_MS, Timestamp};

/// A ticket as its caller gets it.
#[derive(Debug, Clone)]
pub struct Slot {
    pub form: UploadForm,
    /// The URL that the file will have.
    pub file_url: String,
    pub issued_at: Timestamp,
}

/// A ticket as the upload door checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSlot {
    pub bytes_max: u64,
    pub used: bool,
}

/// Whether `upload` can still be named by a create call at `now`.
pub(super) fn is_usable(upload: &Upload, now: Timestamp) -> bool {
    upload.stored.as_ref().is_some_and(|stored| now <= stored.at.plus_ms(HOUR_MS))
}

impl App {
    /// Issues a ticket; `suffix` is one of `package::SUFFIXES`, or `csv` for a list of devices.
    pub async fn issue_upload(
        &self,
        caller: Caller,
        kind: UploadKind,
        suffix: String,
    ) -> Result<Slot> {
        let key = format!("ota/{:x}/{}.{suffix}", caller.account.0, self.random.hex(16));
        let bytes_max = self.bytes_max(kind);
        let ticket = key.clone();
        let issued_at = self
            .change(move |rows, now, _| {
                let key = ticket.clone();
                rows.insert_upload(&Upload {
                    key,
                    account: caller.account,
                    kind,
                    issued_at: now,
                    stored: None,
                    used: false,
                })?;
                Ok(now)
            })
            .await?;
        let form = self.urls.upload_form(&key, bytes_max, issued_at.plus_ms(MINUTE_MS));
        Ok(Slot { form, file_url: self.urls.file_url(&key), issued_at })
    }

    fn bytes_max(&self, kind: UploadKind) -> u64 {
        match kind {
            UploadKind::Package | UploadKind::DeviceJob => self.limits.package_bytes_max,
            UploadKind::DeviceList => self.limits.device_list_bytes_max,
        }
    }

    /// The ticket of a key, `None` when none was issued.
    pub async fn upload_slot(&self, key: String) -> Result<Option<UploadSlot>> {
        let upload = self.view(move |view| Ok(view.upload(&key)?)).await?;
        Ok(upload
            .map(|upload| UploadSlot { bytes_max: self.bytes_max(upload.kind), used: upload.used }))
    }

    /// Notes that the file of a ticket is stored. `false`: the ticket was used in the meantime, or never issued, and
    /// stays as it is.
    pub async fn uploaded(&self, key: String, blob: Blob) -> Result<bool> {
        self.change(move |rows, now, _| {
            let Some(upload) = rows.upload(&key)?.filter(|upload| !upload.used) else {
                return Ok(false);
            };
            let stored = Some(StoredUpload { blob: blob.clone(), at: now });
            rows.update_upload(&Upload { stored, ..upload })?;
            Ok(true)
        })
        .await
    }
}
