//! Keys that sign calls.

use super::{Denied, Owner, Result, named};
use crate::store::{AccessKey, Account, Rows};
use otaru_core::id::{UserNo, spell};
use otaru_core::time::{HOUR_MS, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest life of a temporary key.
pub const TEMPORARY_HOURS_MAX: u32 = 36;
/// Longest time that a key may live on beside its successor: a year.
pub const KEEP_HOURS_MAX: u32 = 366 * 24;

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    pub access_key_id: String,
    pub access_key_secret: String,
    /// Of a temporary key.
    pub security_token: Option<String>,
    /// Milliseconds since the epoch, of a temporary key.
    pub expires_at: Option<i64>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A key as it is shown later, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    pub id: String,
    /// `None`: of the main account itself.
    pub user: Option<String>,
    pub is_temporary: bool,
    pub status: KeyStatus,
    /// Milliseconds since the epoch, like `expires_at`.
    pub created_at: i64,
    pub expires_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    Active,
    Disabled,
    Ended,
}

impl KeyStatus {
    fn of(key: &AccessKey, now: Timestamp) -> Self {
        match () {
            () if key.expires_at.is_some_and(|at| at <= now) => Self::Ended,
            () if key.active => Self::Active,
            () => Self::Disabled,
        }
    }
}

pub(super) fn list(rows: &mut dyn Rows, account: Account, now: Timestamp) -> Result<Vec<KeyView>> {
    let users = rows.users(account.no)?;
    let name = |no| users.iter().find(|user| Some(user.no) == no).map(|user| user.name.clone());
    let keys = rows.access_keys(account.no)?;
    let shown = |key: AccessKey| KeyView {
        user: name(key.user),
        is_temporary: key.token.is_some(),
        status: KeyStatus::of(&key, now),
        created_at: key.created_at.0,
        expires_at: key.expires_at.map(|at| at.0),
        id: key.id,
    };
    Ok(keys.into_iter().map(shown).collect())
}

pub(super) fn create(
    rows: &mut dyn Rows,
    account: Account,
    owner: &Owner,
    now: Timestamp,
) -> Result<NewKey> {
    let user = user_of(rows, account, owner)?;
    insert(rows, account, user, None, now)
}

pub(super) fn create_temporary(
    rows: &mut dyn Rows,
    account: Account,
    owner: &Owner,
    hours: u32,
    now: Timestamp,
) -> Result<NewKey> {
    check_hours(hours, 1, TEMPORARY_HOURS_MAX)?;
    let user = user_of(rows, account, owner)?;
    insert(rows, account, user, Some(hours), now)
}

pub(super) fn rotate(
    rows: &mut dyn Rows,
    account: Account,
    id: &str,
    keep_hours: u32,
    now: Timestamp,
) -> Result<NewKey> {
    check_hours(keep_hours, 0, KEEP_HOURS_MAX)?;
    let old = known(rows, account, id)?;
    if old.token.is_some() {
        return Err(Denied::TemporaryKey(id.to_owned()).into());
    }
    if KeyStatus::of(&old, now) == KeyStatus::Ended {
        return Err(Denied::EndedKey(id.to_owned()).into());
    }
    let new = insert(rows, account, old.user, None, now)?;
    let ends_at = now.plus_ms(i64::from(keep_hours) * HOUR_MS);
    // A key that was to end earlier does so still.
    let ends_at = old.expires_at.map_or(ends_at, |at| at.min(ends_at));
    rows.update_access_key(&AccessKey { expires_at: Some(ends_at), ..old })?;
    Ok(new)
}

pub(super) fn set_active(
    rows: &mut dyn Rows,
    account: Account,
    id: &str,
    active: bool,
    now: Timestamp,
) -> Result<()> {
    let key = known(rows, account, id)?;
    if active && KeyStatus::of(&key, now) == KeyStatus::Ended {
        return Err(Denied::EndedKey(id.to_owned()).into());
    }
    Ok(rows.update_access_key(&AccessKey { active, ..key })?)
}

pub(super) fn delete(rows: &mut dyn Rows, account: Account, id: &str) -> Result<()> {
    known(rows, account, id)?;
    Ok(rows.delete_access_key(id)?)
}

fn user_of(rows: &mut dyn Rows, account: Account, owner: &Owner) -> Result<Option<UserNo>> {
    match owner {
        Owner::Main => Ok(None),
        Owner::User(name) => Ok(Some(named(rows, account, name)?.no)),
    }
}

fn known(rows: &mut dyn Rows, account: Account, id: &str) -> Result<AccessKey> {
    let found = rows.access_key(id)?.filter(|key| key.account == account.no);
    Ok(found.ok_or_else(|| Denied::NoKey(id.to_owned()))?)
}

fn check_hours(hours: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&hours) {
        return Ok(());
    }
    Err(Denied::Hours { hours, least, most }.into())
}

/// Makes a key; one that lasts `hours` is temporary.
fn insert(
    rows: &mut dyn Rows,
    account: Account,
    user: Option<UserNo>,
    hours: Option<u32>,
    now: Timestamp,
) -> Result<NewKey> {
    let mut letters = |length| spell(rows.random(), length);
    let (prefix, id) = (if hours.is_some() { "STS." } else { "OTARU" }, letters(20));
    let secret = letters(22) + &letters(8);
    let token = hours.map(|_| format!("CAIS{}{}{}", letters(22), letters(22), letters(22)));
    let key = AccessKey {
        id: format!("{prefix}{id}"),
        secret,
        account: account.no,
        user,
        active: true,
        token,
        expires_at: hours.map(|hours| now.plus_ms(i64::from(hours) * HOUR_MS)),
        created_at: now,
    };
    rows.insert_access_key(&key)?;
    Ok(NewKey {
        access_key_id: key.id,
        access_key_secret: key.secret,
        security_token: key.token,
        expires_at: key.expires_at.map(|at| at.0),
    })
}
