//! Users of an account.

use super::{Denied, Grant, Result, named};
use crate::store::{Account, Rows, User};
use otaru_core::id::{ProductKey, UserNo};
use otaru_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A user as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    pub name: String,
    pub disabled: bool,
    pub grant: Grant,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

pub(super) fn list(rows: &mut dyn Rows, account: Account) -> Result<Vec<UserView>> {
    let mut shown = Vec::new();
    for User { no, account: _, name, may, disabled, created_at } in rows.users(account.no)? {
        let products = rows.user_products(no)?;
        let grant = Grant {
            read: may.read,
            write: may.write,
            all_products: may.all_products,
            products: products.iter().map(ToString::to_string).collect(),
        };
        shown.push(UserView { name, disabled, grant, created_at: created_at.0 });
    }
    Ok(shown)
}

pub(super) fn create(
    rows: &mut dyn Rows,
    account: Account,
    name: &str,
    grant: &Grant,
    now: Timestamp,
) -> Result<()> {
    if !is_user_name(name) {
        return Err(Denied::MalformedUser(name.to_owned()).into());
    }
    if rows.user_by_name(account.no, name)?.is_some() {
        return Err(Denied::UserExists(name.to_owned()).into());
    }
    let products = products(rows, account, grant)?;
    let no = rows.insert_user(&User {
        no: UserNo(0),
        account: account.no,
        name: name.to_owned(),
        may: grant.permissions(),
        disabled: false,
        created_at: now,
    })?;
    Ok(rows.set_user_products(no, &products)?)
}

pub(super) fn grant(
    rows: &mut dyn Rows,
    account: Account,
    name: &str,
    grant: &Grant,
) -> Result<()> {
    let user = named(rows, account, name)?;
    let products = products(rows, account, grant)?;
    rows.set_user_products(user.no, &products)?;
    Ok(rows.update_user(&User { may: grant.permissions(), ..user })?)
}

pub(super) fn set_disabled(
    rows: &mut dyn Rows,
    account: Account,
    name: &str,
    disabled: bool,
) -> Result<()> {
    let user = named(rows, account, name)?;
    Ok(rows.update_user(&User { disabled, ..user })?)
}

pub(super) fn delete(rows: &mut dyn Rows, account: Account, name: &str) -> Result<()> {
    let user = named(rows, account, name)?;
    Ok(rows.delete_user(user.no)?)
}

/// The products that a grant names; all have to be there, so that a slip of the pen is noticed.
fn products(rows: &mut dyn Rows, account: Account, grant: &Grant) -> Result<Vec<ProductKey>> {
    let mut keys = Vec::with_capacity(grant.products.len());
    for text in &grant.products {
        let found = match text.parse::<ProductKey>() {
            Ok(key) => rows.product_by_key(&key)?.filter(|product| product.account == account.no),
            Err(_) => None,
        };
        keys.push(found.ok_or_else(|| Denied::NoProduct(text.clone()))?.key.clone());
    }
    Ok(keys)
}

fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}
