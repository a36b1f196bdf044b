//! Nonces.

use super::super::{Nonce, Result};
use super::tx::Tx;
use otaru_core::time::Timestamp;
use rusqlite::params;

pub fn remembered(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<Nonce>> {
    tx.list(
        "SELECT access_key, nonce, expires_at FROM nonce WHERE expires_at > ?1 ORDER BY expires_at, no",
        params![now.0],
        |cols| Ok(Nonce { access_key: cols.take()?, nonce: cols.take()?, expires_at: cols.time()? }),
    )
}

pub fn insert(tx: &Tx<'_>, nonces: &[Nonce]) -> Result<()> {
    for Nonce { access_key, nonce, expires_at } in nonces {
        // One that expired may be used again before it is purged.
        tx.run(
            "INSERT INTO nonce (access_key, nonce, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (access_key, nonce) DO UPDATE SET expires_at = excluded.expires_at
                 WHERE nonce.expires_at < excluded.expires_at",
            params![access_key, nonce, expires_at.0],
        )?;
    }
    Ok(())
}

pub fn purge(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<()> {
    tx.run(
        "DELETE FROM nonce WHERE no IN
             (SELECT no FROM nonce WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        params![now.0, limit],
    )?;
    Ok(())
}
