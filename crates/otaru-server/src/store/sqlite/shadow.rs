//! Shadows of devices, each as the document that callers see.

use super::super::{Result, ShadowRows, ShadowView};
use super::tx::Tx;
use otaru_core::id::DeviceNo;
use otaru_core::shadow::Shadow;
use rusqlite::params;

impl ShadowView for Tx<'_> {
    fn shadow(&mut self, device: DeviceNo) -> Result<Shadow> {
        let found =
            self.one("SELECT document FROM shadow WHERE device = ?1", params![device.0], |cols| {
                cols.decoded(|text: &String| Shadow::from_document(text))
            });
        Ok(found?.unwrap_or_default())
    }
}

impl ShadowRows for Tx<'_> {
    fn put_shadow(&mut self, device: DeviceNo, shadow: &Shadow) -> Result<()> {
        self.run(
            "INSERT INTO shadow (device, document) VALUES (?1, ?2)
             ON CONFLICT (device) DO UPDATE SET document = excluded.document",
            params![device.0, shadow.to_document()],
        )?;
        Ok(())
    }
}
