//! Batches of devices and their names.

use super::super::{ApplyRows, ApplyView, Page, Result};
use super::device;
use super::row::Cols;
use super::tx::Tx;
use otaru_core::apply::{Apply, ApplyFault, ApplyName, ApplyStatus};
use otaru_core::device::Device;
use otaru_core::id::{AccountNo, ApplyNo, DeviceNo, ProductNo};
use otaru_core::time::Timestamp;
use rusqlite::params;

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Apply> {
    Ok(Apply {
        no: ApplyNo(cols.take()?),
        account: AccountNo(cols.take()?),
        product: ProductNo(cols.take()?),
        status: cols.decoded(|text: &String| {
            ApplyStatus::ALL.into_iter().find(|status| status.as_wire() == text)
        })?,
        is_named: cols.take()?,
        count: cols.take()?,
        done: cols.take()?,
        failed: cols.take()?,
        made: cols.take()?,
        created_at: cols.time()?,
    })
}

fn read_name(cols: &mut Cols<'_, '_>) -> rusqlite::Result<ApplyName> {
    Ok(ApplyName {
        place: cols.take()?,
        name: cols.parsed()?,
        nickname: cols.take()?,
        fault: cols.decoded(|&code: &u8| match code {
            0 => Some(None),
            _ => ApplyFault::ALL.into_iter().find(|&fault| fault as u8 == code).map(Some),
        })?,
        device: cols.take::<Option<i64>>()?.map(DeviceNo),
    })
}

/// The earliest deadline of all batches.
pub fn next_due(tx: &Tx<'_>) -> Result<Option<Timestamp>> {
    tx.value("SELECT min(due_at) FROM apply WHERE due_at IS NOT NULL", &[])
        .map(|at: Option<i64>| at.map(Timestamp))
}

impl ApplyView for Tx<'_> {
    fn apply(&mut self, no: ApplyNo) -> Result<Option<Apply>> {
        self.one(
            "SELECT no, account, product, status, is_named, count, done, failed, made, created_at FROM apply
             WHERE no = ?1",
            params![no.0],
            read,
        )
    }

    fn apply_names(&mut self, no: ApplyNo, after: u32, limit: u32) -> Result<Vec<ApplyName>> {
        self.list(
            "SELECT place, name, nickname, fault, device FROM apply_name WHERE apply = ?1 AND place > ?2
             ORDER BY place LIMIT ?3",
            params![no.0, after, limit],
            read_name,
        )
    }

    fn apply_devices(&mut self, no: ApplyNo, page: Page) -> Result<Vec<Device>> {
        device::page_of_apply(self, no, page)
    }

    fn due_applies(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ApplyNo>> {
        self.list(
            "SELECT no FROM apply WHERE due_at <= ?1 ORDER BY due_at, no LIMIT ?2",
            params![now.0, limit],
            |cols| cols.take().map(ApplyNo),
        )
    }
}

impl ApplyRows for Tx<'_> {
    fn insert_apply(&mut self, new: &Apply, names: &[ApplyName]) -> Result<ApplyNo> {
        let Apply {
            no: _,
            account,
            product,
            status,
            is_named,
            count,
            done,
            failed,
            made,
            created_at,
        } = new;
        let no = self.insert(
            "INSERT INTO apply (account, product, status, is_named, count, done, failed, made, created_at, due_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                account.0,
                product.0,
                status.as_wire(),
                is_named,
                count,
                done,
                failed,
                made,
                created_at.0,
                new.due_at().map(|at| at.0)
            ],
        )?;
        for name in names {
            self.put_apply_name(ApplyNo(no), name)?;
        }
        Ok(ApplyNo(no))
    }

    fn update_apply(&mut self, apply: &Apply) -> Result<()> {
        let Apply { no, status, done, failed, made, .. } = apply;
        self.run_one(
            "UPDATE apply SET status = ?2, done = ?3, failed = ?4, made = ?5, due_at = ?6 WHERE no = ?1",
            params![
                no.0,
                status.as_wire(),
                done,
                failed,
                made,
                apply.due_at().map(|at| at.0)
            ],
        )
    }

    fn put_apply_name(&mut self, no: ApplyNo, name: &ApplyName) -> Result<()> {
        let ApplyName { place, name, nickname, fault, device } = name;
        self.run(
            "INSERT INTO apply_name (apply, place, name, nickname, fault, device) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (apply, place) DO UPDATE SET fault = excluded.fault, device = excluded.device",
            params![
                no.0,
                place,
                name.as_str(),
                nickname,
                fault.map_or(0, |fault| fault as u8),
                device.map(|no| no.0)
            ],
        )?;
        Ok(())
    }

    fn purge_applies(&mut self, before: Timestamp, limit: u32) -> Result<()> {
        let mut left = limit;
        while left > 0 {
            let oldest = self.one(
                "SELECT no FROM apply INDEXED BY apply_ended WHERE due_at IS NULL AND created_at < ?1
                 ORDER BY created_at LIMIT 1",
                params![before.0],
                |cols| cols.take().map(ApplyNo),
            )?;
            let Some(oldest) = oldest else { break };
            let names = self.apply_names(oldest, 0, left)?;
            for name in &names {
                self.run_one(
                    "DELETE FROM apply_name WHERE apply = ?1 AND place = ?2",
                    params![oldest.0, name.place],
                )?;
            }
            let gone = u32::try_from(names.len()).unwrap_or(left);
            if gone < left {
                self.run_one("DELETE FROM apply WHERE no = ?1", params![oldest.0])?;
            }
            left -= gone.max(1);
        }
        Ok(())
    }
}
