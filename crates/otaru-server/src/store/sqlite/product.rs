//! Products.

use super::super::{Listed, Page, ProductFilter, Result};
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{AccountNo, InstanceNo, ProductKey, ProductNo};
use otaru_core::product::{Product, ProductProfile};
use otaru_core::registration::Registration;
use otaru_core::time::Timestamp;
use rusqlite::params;
use std::rc::Rc;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, account, instance, key, secret, name, node_type, commodity_code, auth_type, data_format, category_key, ",
            "description, protocol_type, net_type, validate_type, created_at, deleted_at, registration FROM product ",
            $rest
        )
    };
}

/// Place of each in [`Registration::ALL`].
fn registration_of(code: i64) -> Registration {
    usize::try_from(code)
        .ok()
        .and_then(|code| Registration::ALL.get(code).copied())
        .unwrap_or_default()
}

pub fn registration_code(registration: Registration) -> i64 {
    match registration {
        Registration::Off => 0,
        Registration::Known => 1,
        Registration::Any => 2,
    }
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Rc<Product>> {
    Ok(Rc::new(Product {
        no: ProductNo(cols.take()?),
        account: AccountNo(cols.take()?),
        instance: InstanceNo(cols.take()?),
        key: cols.parsed()?,
        secret: cols.take()?,
        name: cols.take()?,
        profile: ProductProfile {
            node_type: cols.take()?,
            commodity_code: cols.take()?,
            auth_type: cols.take()?,
            data_format: cols.take()?,
            category_key: cols.take()?,
            description: cols.take()?,
            protocol_type: cols.take()?,
            net_type: cols.take()?,
            validate_type: cols.take()?,
        },
        created_at: cols.time()?,
        deleted_at: cols.time_opt()?,
        registration: registration_of(cols.take()?),
    }))
}

pub fn by_no(tx: &Tx<'_>, no: ProductNo) -> Result<Option<Rc<Product>>> {
    tx.one(select!("WHERE no = ?1"), params![no.0], read)
}

pub fn by_key(tx: &Tx<'_>, key: &ProductKey) -> Result<Option<Rc<Product>>> {
    tx.one(select!("WHERE key = ?1 AND deleted_at IS NULL"), params![key.as_str()], read)
}

pub fn name_exists(
    tx: &Tx<'_>,
    account: AccountNo,
    instance: InstanceNo,
    name: &str,
) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM product WHERE account = ?1 AND instance = ?2 AND name = ?3
             AND deleted_at IS NULL)",
        params![account.0, instance.0, name],
    )
}

pub fn count(tx: &Tx<'_>, account: AccountNo, instance: InstanceNo) -> Result<u64> {
    tx.count(
        "SELECT count(*) FROM product WHERE account = ?1 AND instance = ?2 AND deleted_at IS NULL",
        params![account.0, instance.0],
    )
}

pub fn list(tx: &Tx<'_>, filter: &ProductFilter, page: Page) -> Result<Listed<Rc<Product>>> {
    let ProductFilter { account, instance, listed_for, commodity_code } = filter;
    macro_rules! matching {
        ($head:expr, $index:literal, $kind:literal, $tail:literal) => {
            concat!(
                $head, " INDEXED BY ", $index, " WHERE account = ?1 AND instance = ?2 AND deleted_at IS NULL AND ", $kind,
                " AND (CAST(?4 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM user_product
                      WHERE user_product.user = ?4 AND user_product.product = product.key)) ",
                $tail
            )
        };
    }
    let (total, rows) = if commodity_code.is_some() {
        (
            matching!("SELECT count(*) FROM product", "product_of_kind", "commodity_code = ?3", ""),
            matching!(
                select!(""),
                "product_of_kind",
                "commodity_code = ?3",
                "ORDER BY no DESC LIMIT ?5 OFFSET ?6"
            ),
        )
    } else {
        (
            matching!(
                "SELECT count(*) FROM product",
                "product_of_account",
                "CAST(?3 AS TEXT) IS NULL",
                ""
            ),
            matching!(
                select!(""),
                "product_of_account",
                "CAST(?3 AS TEXT) IS NULL",
                "ORDER BY no DESC LIMIT ?5 OFFSET ?6"
            ),
        )
    };
    let user = listed_for.map(|no| no.0);
    let total = tx.count(total, params![account.0, instance.0, commodity_code, user])?;
    let page = params![account.0, instance.0, commodity_code, user, page.take, skip(page)];
    Ok(Listed { rows: tx.list(rows, page, read)?, total })
}

/// When the oldest deletion that is not carried out was asked for.
pub fn next_due(tx: &Tx<'_>) -> Result<Option<Timestamp>> {
    tx.value("SELECT min(doomed_at) FROM product WHERE doomed_at IS NOT NULL", &[])
        .map(|at: Option<i64>| at.map(Timestamp))
}

pub fn insert(tx: &Tx<'_>, new: &Product) -> Result<ProductNo> {
    let Product {
        no: _,
        account,
        instance,
        key,
        secret,
        name,
        profile,
        created_at,
        deleted_at: _,
        registration: _,
    } = new;
    let ProductProfile {
        node_type,
        commodity_code,
        auth_type,
        data_format,
        category_key,
        description,
        protocol_type,
        net_type,
        validate_type,
    } = profile;
    let no = tx.insert(
        "INSERT INTO product (account, instance, key, secret, name, node_type, commodity_code, auth_type, data_format,
             category_key, description, protocol_type, net_type, validate_type, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            account.0,
            instance.0,
            key.as_str(),
            secret,
            name,
            node_type,
            commodity_code,
            auth_type,
            data_format,
            category_key,
            description,
            protocol_type,
            net_type,
            validate_type,
            created_at.0
        ],
    )?;
    Ok(ProductNo(no))
}
