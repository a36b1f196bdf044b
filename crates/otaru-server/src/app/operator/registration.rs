//! Which devices of a product may register themselves.

use super::{Denied, Result};
use crate::store::{Account, Rows};
use otaru_core::id::ProductKey;
use otaru_core::registration::Registration;

/// Sets what is given; what holds then.
pub(super) fn set_or_show(
    rows: &mut dyn Rows,
    account: Account,
    product_key: &str,
    registration: Option<Registration>,
) -> Result<Registration> {
    let key: Option<ProductKey> = product_key.parse().ok();
    let product = match key {
        Some(key) => rows.product_by_key(&key)?.filter(|it| it.account == account.no),
        None => None,
    };
    let product = product.ok_or_else(|| Denied::NoProduct(product_key.to_owned()))?;
    let Some(registration) = registration else { return Ok(product.registration) };
    rows.set_registration(product.no, registration)?;
    Ok(registration)
}
