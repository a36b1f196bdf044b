//! Devices and their versions.

use super::super::postgres::Session;
use super::super::{Page, Realm, Result};
use super::fleet::recount;
use super::known;
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::device::Device;
use otaru_core::id::{AccountNo, ApplyNo, DeviceName, DeviceNo, GroupNo, IotId, ProductNo};
use otaru_core::time::Timestamp;
use otaru_core::version::{ModuleName, Version};
use rusqlite::{ToSql, params};
use std::collections::BTreeMap;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT device.no, product, name, iot_id, secret, nickname, disabled, created_at, activated_at, ",
            "online_at, address, status_at FROM ",
            $rest
        )
    };
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Device> {
    Ok(Device {
        no: DeviceNo(cols.take()?),
        product: ProductNo(cols.take()?),
        name: cols.parsed()?,
        iot_id: cols.parsed()?,
        secret: cols.take()?,
        nickname: cols.take()?,
        disabled: cols.take()?,
        created_at: cols.time()?,
        activated_at: cols.time_opt()?,
        online_at: cols.time_opt()?,
        address: cols.take()?,
        status_at: cols.time()?,
    })
}

fn read_version(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Version> {
    cols.version()
}

pub fn by_no(tx: &Tx<'_>, no: DeviceNo) -> Result<Option<Device>> {
    known::device(tx, no, || tx.one(select!("device WHERE no = ?1"), params![no.0], read))
}

/// Many devices, on PostgreSQL.
pub fn by_numbers(
    session: &Session,
    devices: &[i64],
) -> Result<BTreeMap<DeviceNo, Option<Device>>> {
    let rows = session.rows(
        select!("unnest($1::bigint[]) AS wanted(device) JOIN device ON device.no = wanted.device"),
        &[&devices],
    )?;
    let found = rows.iter().map(|row| {
        let device = read(&mut Cols::of_values(row))?;
        Ok((device.no, Some(device)))
    });
    found.collect()
}

/// All versions of many devices by the key of their module, on PostgreSQL.
pub fn versions_of(
    session: &Session,
    devices: &[i64],
) -> Result<BTreeMap<DeviceNo, Vec<(String, Version)>>> {
    let rows = session.rows(
        "SELECT v.device, module, version FROM unnest($1::bigint[]) AS wanted(device)
         JOIN device_version v ON v.device = wanted.device",
        &[&devices],
    )?;
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let mut cols = Cols::of_values(&row);
        let (device, key) = (DeviceNo(cols.take()?), cols.take()?);
        found.entry(device).or_default().push((key, cols.version()?));
    }
    Ok(found)
}

pub fn by_name(tx: &Tx<'_>, product: ProductNo, name: &DeviceName) -> Result<Option<Device>> {
    tx.one(
        select!("device WHERE product = ?1 AND name = ?2"),
        params![product.0, name.as_str()],
        read,
    )
}

pub fn by_iot_id(tx: &Tx<'_>, id: &IotId) -> Result<Option<Device>> {
    tx.one(select!("device WHERE iot_id = ?1"), params![id.as_str()], read)
}

pub fn count_of_product(tx: &Tx<'_>, product: ProductNo) -> Result<u64> {
    tx.count("SELECT coalesce((SELECT devices FROM product WHERE no = ?1), 0)", params![product.0])
}

pub fn count_of_account(tx: &Tx<'_>, account: AccountNo) -> Result<u64> {
    tx.count("SELECT coalesce((SELECT devices FROM account WHERE no = ?1), 0)", params![account.0])
}

pub fn page(tx: &Tx<'_>, product: ProductNo, page: Page) -> Result<Vec<Device>> {
    tx.list(
        select!(
            "(SELECT no FROM device WHERE product = ?1 ORDER BY no DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN device ON device.no = page.no ORDER BY page.no DESC"
        ),
        params![product.0, page.take, skip(page)],
        read,
    )
}

pub fn page_in(tx: &Tx<'_>, product: ProductNo, state: i64, page: Page) -> Result<Vec<Device>> {
    tx.list(
        select!(
            "(SELECT no FROM device INDEXED BY device_by_state WHERE product = ?1 AND state = ?4
                  ORDER BY no DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN device ON device.no = page.no ORDER BY page.no DESC"
        ),
        params![product.0, page.take, skip(page), state],
        read,
    )
}

pub fn oldest(tx: &Tx<'_>, product: ProductNo, limit: u32) -> Result<Vec<Device>> {
    tx.list(
        select!("device WHERE product = ?1 ORDER BY no LIMIT ?2"),
        params![product.0, limit],
        read,
    )
}

pub fn page_of_apply(tx: &Tx<'_>, apply: ApplyNo, page: Page) -> Result<Vec<Device>> {
    tx.list(
        select!(
            "(SELECT place, device FROM apply_name INDEXED BY apply_made WHERE apply = ?1 AND device IS NOT NULL
                  ORDER BY place LIMIT ?2 OFFSET ?3) page
             CROSS JOIN device ON device.no = page.device ORDER BY page.place"
        ),
        params![apply.0, page.take, skip(page)],
        read,
    )
}

/// Sub-devices of a gateway.
pub fn of_gateway(tx: &Tx<'_>, gateway: DeviceNo, limit: u32) -> Result<Vec<Device>> {
    tx.list(
        select!(
            "(SELECT device FROM topology WHERE gateway = ?1 ORDER BY device LIMIT ?2) page
             CROSS JOIN device ON device.no = page.device ORDER BY page.device"
        ),
        params![gateway.0, limit],
        read,
    )
}

/// What is kept of a device that was deleted.
pub fn gone(tx: &Tx<'_>, no: DeviceNo) -> Result<Option<Device>> {
    tx.one(
        "SELECT no, product, name, iot_id, '', '', 0, created_at, NULL, NULL, '', created_at FROM device_gone
         WHERE no = ?1",
        params![no.0],
        read,
    )
}

/// Members of a static group, newest first.
pub fn members(tx: &Tx<'_>, group: GroupNo, page: Page) -> Result<Vec<Device>> {
    tx.list(
        select!(
            "(SELECT device FROM group_member WHERE grp = ?1 ORDER BY device DESC LIMIT ?2 OFFSET ?3) page
             CROSS JOIN device ON device.no = page.device ORDER BY page.device DESC"
        ),
        params![group.0, page.take, skip(page)],
        read,
    )
}

/// How far the total of devices with several tags is counted.
const TAGGED_MAX: u32 = 100_000;

/// A walk of the index of the first of `tags` that looks every other up; parameters from ?3 on are keys and values.
fn walk_of_tags(tags: usize) -> String {
    let others = (1..tags).map(|n| {
        format!(
            " AND EXISTS (SELECT 1 FROM device_tag x WHERE x.device = t.device AND x.key = ?{} AND x.value = ?{})",
            2 * n + 3,
            2 * n + 4
        )
    });
    let others: String = others.collect();
    format!(
        "SELECT device FROM device_tag t INDEXED BY device_by_tag
         WHERE t.account = ?1 AND t.instance = ?2 AND t.key = ?3 AND t.value = ?4{others} ORDER BY device DESC"
    )
}

fn tag_params<'t>(realm: &'t Realm, tags: &[&'t (String, String)]) -> Vec<&'t dyn ToSql> {
    let numbers: [&dyn ToSql; 2] = [&realm.account.0, &realm.instance.0];
    let texts = tags.iter().flat_map(|(key, value)| [key as &dyn ToSql, value]);
    numbers.into_iter().chain(texts).collect()
}

/// Devices of a realm that have all of `tags`, newest first.
pub fn tagged(
    tx: &Tx<'_>,
    realm: Realm,
    tags: &[&(String, String)],
    page: Page,
) -> Result<Vec<Device>> {
    let (walk, n) = (walk_of_tags(tags.len()), 2 * tags.len());
    let sql = format!(
        "{}({walk} LIMIT ?{} OFFSET ?{}) page CROSS JOIN device ON device.no = page.device ORDER BY page.device DESC",
        select!(""),
        n + 3,
        n + 4
    );
    let skip = skip(page);
    let mut params = tag_params(&realm, tags);
    params.extend([&page.take as &dyn ToSql, &skip]);
    tx.list(&sql, &params, read)
}

/// Counts them, as far as it pays.
pub fn count_tagged(tx: &Tx<'_>, realm: Realm, tags: &[&(String, String)]) -> Result<u64> {
    let sql =
        format!("SELECT count(*) FROM ({} LIMIT {TAGGED_MAX}) page", walk_of_tags(tags.len()));
    tx.count(&sql, &tag_params(&realm, tags))
}

pub fn before(
    tx: &Tx<'_>,
    product: ProductNo,
    before: DeviceNo,
    limit: u32,
) -> Result<Vec<Device>> {
    tx.list(
        select!("device WHERE product = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3"),
        params![product.0, before.0, limit],
        read,
    )
}

pub fn versions(
    tx: &Tx<'_>,
    product: ProductNo,
    module: &ModuleName,
    after: DeviceNo,
    until: DeviceNo,
    limit: u32,
) -> Result<Vec<(DeviceNo, Option<Version>)>> {
    tx.list(
        "SELECT device.no, version FROM device
         LEFT JOIN device_version ON device_version.device = device.no AND device_version.module = ?2
         WHERE product = ?1 AND device.no > ?3 AND device.no <= ?4 ORDER BY device.no LIMIT ?5",
        params![product.0, module.key(), after.0, until.0, limit],
        |cols| Ok((DeviceNo(cols.take()?), cols.version_opt()?)),
    )
}

pub fn named_versions(
    tx: &Tx<'_>,
    product: ProductNo,
    module: &ModuleName,
    names: &[DeviceName],
) -> Result<Vec<Option<(DeviceNo, Option<Version>)>>> {
    let Some(session) = tx.postgres() else {
        let each = names.iter().map(|name| {
            let Some(device) = by_name(tx, product, name)? else { return Ok(None) };
            Ok(Some((device.no, version(tx, device.no, module)?)))
        });
        return each.collect();
    };
    let texts: Vec<_> = names.iter().map(DeviceName::as_str).collect();
    let rows = session.rows(
        "SELECT wanted.place, device.no, version FROM unnest($2::text[]) WITH ORDINALITY AS wanted(name, place)
         JOIN device ON device.product = $1 AND device.name = wanted.name
         LEFT JOIN device_version ON device_version.device = device.no AND device_version.module = $3",
        &[&product.0, &texts, &module.key()],
    )?;
    let mut found = vec![None; names.len()];
    for row in rows {
        let mut cols = Cols::of_values(&row);
        let place = usize::try_from(cols.take::<i64>()?).unwrap_or(0);
        // Places are counted from 1.
        let Some(found) = place.checked_sub(1).and_then(|at| found.get_mut(at)) else { continue };
        *found = Some((DeviceNo(cols.take()?), cols.version_opt()?));
    }
    Ok(found)
}

pub fn last(tx: &Tx<'_>) -> Result<DeviceNo> {
    tx.value("SELECT coalesce((SELECT max(no) FROM device), 0)", &[]).map(DeviceNo)
}

pub fn version(tx: &Tx<'_>, device: DeviceNo, module: &ModuleName) -> Result<Option<Version>> {
    known::version(tx, device, module, || {
        tx.one(
            "SELECT version FROM device_version WHERE device = ?1 AND module = ?2",
            params![device.0, module.key()],
            read_version,
        )
    })
}

pub fn insert(tx: &Tx<'_>, account: AccountNo, new: &Device) -> Result<DeviceNo> {
    let Device {
        no: _,
        product,
        name,
        iot_id,
        secret,
        nickname,
        disabled,
        created_at,
        activated_at,
        online_at,
        address,
        status_at,
    } = new;
    let no = tx.insert(
        "INSERT INTO device (product, name, iot_id, secret, nickname, disabled, created_at, activated_at, online_at,
             address, status_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            product.0,
            name.as_str(),
            iot_id.as_str(),
            secret,
            nickname,
            disabled,
            created_at.0,
            activated_at.map(|at| at.0),
            online_at.map(|at| at.0),
            address,
            status_at.0
        ],
    )?;
    recount(tx, *product, None, Some(new))?;
    tx.run_one("UPDATE account SET devices = devices + 1 WHERE no = ?1", params![account.0])?;
    Ok(DeviceNo(no))
}

pub fn note_online(tx: &Tx<'_>, device: DeviceNo, at: Timestamp, address: &str) -> Result<()> {
    // Nothing is to be counted for a device that was online before: most of them.
    let seen = tx.run(
        // A device that was reset and has registered itself since is back.
        "UPDATE device SET online_at = ?2, status_at = ?2, address = ?3,
             reset_at = CASE WHEN registered_at IS NULL THEN reset_at END
         WHERE no = ?1 AND activated_at IS NOT NULL",
        params![device.0, at.0, address],
    )?;
    if seen > 0 {
        return Ok(());
    }
    // The device may be gone by now: this is written lazily.
    let Some(before) = by_no(tx, device)? else { return Ok(()) };
    tx.run_one(
        "UPDATE device SET online_at = ?2, status_at = ?2, address = ?3, activated_at = ?2,
             reset_at = CASE WHEN registered_at IS NULL THEN reset_at END
         WHERE no = ?1",
        params![device.0, at.0, address],
    )?;
    let after = Device { activated_at: Some(at), ..before.clone() };
    recount(tx, before.product, Some(&before), Some(&after))
}

pub fn put_version(
    tx: &Tx<'_>,
    device: DeviceNo,
    module: &ModuleName,
    version: &Version,
    at: Timestamp,
) -> Result<()> {
    let key = module.key();
    let spelling = Some(module.as_str()).filter(|&spelling| spelling != key);
    if known::change_version(tx, device, module, version, at, spelling)? {
        return Ok(());
    }
    tx.run(
        "INSERT INTO device_version (device, module, version, reported_at, spelling) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (device, module) DO UPDATE SET version = excluded.version, reported_at = excluded.reported_at",
        params![device.0, key, version.as_str(), at.0, spelling],
    )?;
    Ok(())
}
