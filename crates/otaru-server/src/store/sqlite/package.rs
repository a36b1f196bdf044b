//! Packages and their files.

use super::super::{Listed, PackageFilter, Page, Result};
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{AccountNo, FirmwareId, PackageNo, ProductNo};
use otaru_core::package::{Blob, Package, PackageFile, PackageStatus, SignMethod};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use rusqlite::{ToSql, params};
use std::rc::Rc;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, account, product, id, name, description, dest, src, is_delta, module, sign_method, is_list, ",
            "udi, status, verify_percent, created_at, modified_at FROM package ",
            $rest
        )
    };
}

/// A package without its files, which have rows of their own.
fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Package> {
    Ok(Package {
        no: PackageNo(cols.take()?),
        account: AccountNo(cols.take()?),
        product: ProductNo(cols.take()?),
        id: cols.parsed()?,
        name: cols.take()?,
        description: cols.take()?,
        dest: cols.version()?,
        src: cols.version_opt()?,
        is_delta: cols.take()?,
        module: cols.decoded(|text: &String| ModuleName::parse(text).ok())?,
        sign_method: cols.decoded(|text: &String| SignMethod::from_wire(text))?,
        is_list: cols.take()?,
        files: Vec::new(),
        udi: cols.take()?,
        status: cols.decoded(|&code| PackageStatus::from_wire(code))?,
        verify_percent: cols.take()?,
        created_at: cols.time()?,
        modified_at: cols.time()?,
    })
}

fn whole(tx: &Tx<'_>, mut package: Package) -> Result<Rc<Package>> {
    package.files = tx.list(
        "SELECT name, upload_key, size_bytes, md5, sha256 FROM package_file WHERE package = ?1 ORDER BY place",
        params![package.no.0],
        |cols| {
            Ok(PackageFile {
                name: cols.take()?,
                upload_key: cols.take()?,
                blob: Blob { size_bytes: cols.bits()?, md5: cols.take()?, sha256: cols.take()? },
            })
        },
    )?;
    Ok(Rc::new(package))
}

fn one(tx: &Tx<'_>, sql: &str, params: &[&dyn ToSql]) -> Result<Option<Rc<Package>>> {
    tx.one(sql, params, read)?.map(|package| whole(tx, package)).transpose()
}

pub fn by_no(tx: &Tx<'_>, no: PackageNo) -> Result<Option<Rc<Package>>> {
    one(tx, select!("WHERE no = ?1"), params![no.0])
}

pub fn by_id(tx: &Tx<'_>, id: &FirmwareId) -> Result<Option<Rc<Package>>> {
    one(tx, select!("WHERE id = ?1 AND deleted_at IS NULL"), params![id.as_str()])
}

pub fn name_exists(tx: &Tx<'_>, account: AccountNo, name: &str) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM package WHERE account = ?1 AND name = ?2 AND deleted_at IS NULL)",
        params![account.0, name],
    )
}

pub fn version_exists(
    tx: &Tx<'_>,
    product: ProductNo,
    module: &ModuleName,
    is_delta: bool,
    src: Option<&Version>,
    dest: &Version,
) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM package WHERE product = ?1 AND dest = ?2 AND module_key = ?3 AND is_delta = ?4
             AND (is_delta = 0 OR src IS NOT DISTINCT FROM ?5) AND deleted_at IS NULL)",
        params![product.0, dest.as_str(), module.key(), is_delta, src.map(Version::as_str)],
    )
}

pub fn count(tx: &Tx<'_>, account: AccountNo) -> Result<u64> {
    tx.count(
        "SELECT count(*) FROM package WHERE account = ?1 AND deleted_at IS NULL",
        params![account.0],
    )
}

pub fn list(tx: &Tx<'_>, filter: &PackageFilter, page: Page) -> Result<Listed<Rc<Package>>> {
    let PackageFilter { account, instance, listed_for, product, dest } = filter;
    let (rows, total) = if product.is_some() {
        (
            select!(
                "INDEXED BY package_of_product WHERE product = ?3 AND account = ?1 AND instance = ?2
                 AND (CAST(?4 AS TEXT) IS NULL OR dest = ?4) AND deleted_at IS NULL AND CAST(?5 AS BIGINT) IS NULL ORDER BY no DESC LIMIT ?6 OFFSET ?7"
            ),
            "SELECT count(*) FROM package INDEXED BY package_of_product WHERE product = ?3 AND account = ?1
             AND instance = ?2 AND (CAST(?4 AS TEXT) IS NULL OR dest = ?4) AND CAST(?5 AS BIGINT) IS NULL AND deleted_at IS NULL",
        )
    } else {
        (
            select!(
                "INDEXED BY package_of_account WHERE account = ?1 AND instance = ?2 AND CAST(?3 AS BIGINT) IS NULL
                 AND (CAST(?4 AS TEXT) IS NULL OR dest = ?4) AND deleted_at IS NULL
                 AND (CAST(?5 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM user_product JOIN product ON product.key = user_product.product
                     WHERE user_product.user = ?5 AND product.no = package.product))
                 ORDER BY no DESC LIMIT ?6 OFFSET ?7"
            ),
            "SELECT count(*) FROM package INDEXED BY package_of_account WHERE account = ?1 AND instance = ?2
             AND CAST(?3 AS BIGINT) IS NULL AND (CAST(?4 AS TEXT) IS NULL OR dest = ?4) AND deleted_at IS NULL
             AND (CAST(?5 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM user_product JOIN product ON product.key = user_product.product
                 WHERE user_product.user = ?5 AND product.no = package.product))",
        )
    };
    let (account, instance, product) = (account.0, instance.0, product.map(|no| no.0));
    let dest = dest.as_ref().map(Version::as_str);
    // Whoever asks for one product was let to it.
    let user = listed_for.filter(|_| product.is_none()).map(|no| no.0);
    let total = tx.count(total, params![account, instance, product, dest, user])?;
    let heads = tx.list(
        rows,
        params![account, instance, product, dest, user, page.take, skip(page)],
        read,
    )?;
    let rows = heads.into_iter().map(|package| whole(tx, package)).collect::<Result<_>>()?;
    Ok(Listed { rows, total })
}

/// Whether a package that is not deleted has a file of these contents, or an upload may still become one.
pub fn blob_is_used(tx: &Tx<'_>, sha256: &str) -> Result<bool> {
    tx.value(
        "SELECT EXISTS (SELECT 1 FROM package_file JOIN package ON package.no = package_file.package
             WHERE package_file.sha256 = ?1 AND package.deleted_at IS NULL)
             OR EXISTS (SELECT 1 FROM upload WHERE sha256 = ?1 AND used = 0)
             OR EXISTS (SELECT 1 FROM job WHERE list = ?1)
             OR EXISTS (SELECT 1 FROM device_file WHERE sha256 = ?1)",
        params![sha256],
    )
}

pub fn insert(tx: &Tx<'_>, new: &Package) -> Result<PackageNo> {
    let Package {
        no: _,
        account,
        product,
        id,
        name,
        description,
        dest,
        src,
        is_delta,
        module,
        sign_method,
        is_list,
        files,
        udi,
        status,
        verify_percent,
        created_at,
        modified_at,
    } = new;
    let no = tx.insert(
        "INSERT INTO package (account, product, instance, id, name, description, dest, src, is_delta, module, module_key,
             sign_method, is_list, udi, status, verify_percent, created_at, modified_at)
         VALUES (?1, ?2, (SELECT instance FROM product WHERE no = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
             ?14, ?15, ?16, ?17)",
        params![
            account.0,
            product.0,
            id.as_str(),
            name,
            description,
            dest.as_str(),
            src.as_ref().map(Version::as_str),
            is_delta,
            module.as_str(),
            module.key(),
            sign_method.as_wire(),
            is_list,
            udi,
            status.as_wire(),
            verify_percent,
            created_at.0,
            modified_at.0
        ],
    )?;
    for (place, PackageFile { name, upload_key, blob: Blob { size_bytes, md5, sha256 } }) in
        (0_i64..).zip(files)
    {
        tx.run(
            "INSERT INTO package_file (package, place, name, upload_key, size_bytes, md5, sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![no, place, name, upload_key, size_bytes.cast_signed(), md5, sha256],
        )?;
    }
    Ok(PackageNo(no))
}

pub fn set_status(
    tx: &Tx<'_>,
    no: PackageNo,
    status: PackageStatus,
    percent: u32,
    now: Timestamp,
) -> Result<()> {
    tx.run_one(
        "UPDATE package SET status = ?2, verify_percent = ?3, modified_at = ?4 WHERE no = ?1",
        params![no.0, status.as_wire(), percent, now.0],
    )
}

pub fn update(tx: &Tx<'_>, package: &Package) -> Result<()> {
    let Package { no, name, description, udi, modified_at, .. } = package;
    tx.run_one(
        "UPDATE package SET name = ?2, description = ?3, udi = ?4, modified_at = ?5 WHERE no = ?1",
        params![no.0, name, description, udi, modified_at.0],
    )
}

pub fn delete(tx: &Tx<'_>, no: PackageNo, now: Timestamp) -> Result<()> {
    tx.run_one(
        "UPDATE package SET deleted_at = ?2 WHERE no = ?1 AND deleted_at IS NULL",
        params![no.0, now.0],
    )
}
