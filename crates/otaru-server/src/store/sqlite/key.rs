//! Accounts, access keys and nonces.

use super::super::{AccessKey, Nonce, Result};
use super::subscription;
use super::tx::Tx;
use otaru_core::id::AccountNo;
use otaru_core::time::Timestamp;
use rusqlite::params;

pub fn insert_account(tx: &Tx<'_>, name: &str, now: Timestamp) -> Result<AccountNo> {
    let no =
        tx.insert("INSERT INTO account (name, created_at) VALUES (?1, ?2)", params![name, now.0])?;
    subscription::insert_default_group(tx, AccountNo(no), now)?;
    Ok(AccountNo(no))
}

pub fn access_key(tx: &Tx<'_>, id: &str) -> Result<Option<AccessKey>> {
    tx.one(
        "SELECT id, secret, account, active FROM access_key WHERE id = ?1",
        params![id],
        |cols| {
            Ok(AccessKey {
                id: cols.take()?,
                secret: cols.take()?,
                account: AccountNo(cols.take()?),
                active: cols.take()?,
            })
        },
    )
}

pub fn insert_access_key(tx: &Tx<'_>, key: &AccessKey, now: Timestamp) -> Result<()> {
    let AccessKey { id, secret, account, active } = key;
    tx.run(
        "INSERT INTO access_key (id, secret, account, active, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, secret, account.0, active, now.0],
    )?;
    Ok(())
}

pub fn nonces(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<Nonce>> {
    tx.list(
        "SELECT access_key, nonce, expires_at FROM nonce WHERE expires_at > ?1 ORDER BY expires_at, no",
        params![now.0],
        |cols| Ok(Nonce { access_key: cols.take()?, nonce: cols.take()?, expires_at: cols.time()? }),
    )
}

pub fn insert_nonces(tx: &Tx<'_>, nonces: &[Nonce]) -> Result<()> {
    for Nonce { access_key, nonce, expires_at } in nonces {
        // One that expired may be used again before it is purged.
        tx.run(
            "INSERT INTO nonce (access_key, nonce, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (access_key, nonce) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
            params![access_key, nonce, expires_at.0],
        )?;
    }
    Ok(())
}

pub fn purge_nonces(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<()> {
    tx.run(
        "DELETE FROM nonce WHERE no IN
             (SELECT no FROM nonce WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        params![now.0, limit],
    )?;
    Ok(())
}
