//! Products.

use super::super::Result;
use super::row::Cols;
use super::tx::Tx;
use otaru_core::id::{AccountNo, InstanceNo, ProductKey, ProductNo};
use otaru_core::product::{Product, ProductProfile};
use rusqlite::params;
use std::rc::Rc;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, account, instance, key, secret, name, node_type, commodity_code, auth_type, data_format, category_key, ",
            "description, protocol_type, net_type, validate_type, created_at FROM product ",
            $rest
        )
    };
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
    }))
}

pub fn by_no(tx: &Tx<'_>, no: ProductNo) -> Result<Option<Rc<Product>>> {
    tx.one(select!("WHERE no = ?1"), params![no.0], read)
}

pub fn by_key(tx: &Tx<'_>, key: &ProductKey) -> Result<Option<Rc<Product>>> {
    tx.one(select!("WHERE key = ?1"), params![key.as_str()], read)
}

pub fn name_exists(
    tx: &Tx<'_>,
    account: AccountNo,
    instance: InstanceNo,
    name: &str,
) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM product WHERE account = ?1 AND instance = ?2 AND name = ?3)",
        params![account.0, instance.0, name],
    )
}

pub fn count(tx: &Tx<'_>, account: AccountNo, instance: InstanceNo) -> Result<u64> {
    tx.count(
        "SELECT count(*) FROM product WHERE account = ?1 AND instance = ?2",
        params![account.0, instance.0],
    )
}

pub fn insert(tx: &Tx<'_>, new: &Product) -> Result<ProductNo> {
    let Product { no: _, account, instance, key, secret, name, profile, created_at } = new;
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
