//! Uploads.

use super::super::{Result, StoredUpload, Upload, UploadKind};
use super::row::Cols;
use super::tx::Tx;
use otaru_core::id::AccountNo;
use otaru_core::package::Blob;
use otaru_core::time::Timestamp;
use rusqlite::params;

fn kind_code(kind: UploadKind) -> i64 {
    match kind {
        UploadKind::Package => 0,
        UploadKind::DeviceList => 1,
        UploadKind::DeviceJob => 2,
    }
}

fn kind_of(code: i64) -> Option<UploadKind> {
    [UploadKind::Package, UploadKind::DeviceList, UploadKind::DeviceJob]
        .into_iter()
        .find(|&kind| kind_code(kind) == code)
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Upload> {
    let key = cols.take()?;
    let account = AccountNo(cols.take()?);
    let kind = cols.decoded(|&code| kind_of(code))?;
    let issued_at = cols.time()?;
    let used = cols.take()?;
    let stored = match cols.time_opt()? {
        None => None,
        Some(at) => Some(StoredUpload {
            blob: Blob { size_bytes: cols.bits()?, md5: cols.take()?, sha256: cols.take()? },
            at,
        }),
    };
    Ok(Upload { key, account, kind, issued_at, stored, used })
}

pub fn by_key(tx: &Tx<'_>, key: &str) -> Result<Option<Upload>> {
    tx.one(
        "SELECT key, account, kind, issued_at, used, stored_at, size_bytes, md5, sha256 FROM upload WHERE key = ?1",
        params![key],
        read,
    )
}

pub fn insert(tx: &Tx<'_>, upload: &Upload) -> Result<()> {
    let Upload { key, account, kind, issued_at, stored, used } = upload;
    let (at, size_bytes, md5, sha256) = stored_columns(stored.as_ref());
    tx.run(
        "INSERT INTO upload (key, account, kind, issued_at, used, stored_at, size_bytes, md5, sha256)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![key, account.0, kind_code(*kind), issued_at.0, used, at, size_bytes, md5, sha256],
    )?;
    Ok(())
}

pub fn update(tx: &Tx<'_>, upload: &Upload) -> Result<()> {
    let Upload { key, account, kind, issued_at, stored, used } = upload;
    let (at, size_bytes, md5, sha256) = stored_columns(stored.as_ref());
    tx.run_one(
        "UPDATE upload SET account = ?2, kind = ?3, issued_at = ?4, used = ?5, stored_at = ?6, size_bytes = ?7,
             md5 = ?8, sha256 = ?9
         WHERE key = ?1",
        params![key, account.0, kind_code(*kind), issued_at.0, used, at, size_bytes, md5, sha256],
    )
}

fn stored_columns(
    stored: Option<&StoredUpload>,
) -> (Option<i64>, Option<i64>, Option<&str>, Option<&str>) {
    let Some(StoredUpload { blob: Blob { size_bytes, md5, sha256 }, at }) = stored else {
        return (None, None, None, None);
    };
    (Some(at.0), Some(size_bytes.cast_signed()), Some(md5), Some(sha256))
}

/// Forgets uploads that nobody used; returns their files' digests.
pub fn purge(tx: &Tx<'_>, unused_before: Timestamp, limit: u32) -> Result<Vec<String>> {
    let oldest: Vec<(String, Option<String>)> = tx.list(
        "SELECT key, sha256 FROM upload WHERE used = 0 AND issued_at < ?1 ORDER BY issued_at, key LIMIT ?2",
        params![unused_before.0, limit],
        |cols| Ok((cols.take()?, cols.take()?)),
    )?;
    for (key, _) in &oldest {
        tx.run_one("DELETE FROM upload WHERE key = ?1", params![key])?;
    }
    Ok(oldest.into_iter().filter_map(|(_, sha256)| sha256).collect())
}
