//! Registering many devices at once: names are checked and devices made in slices, beside all other work.

use super::effect::Effects;
use super::{App, Caller, Result, device, lookup};
use crate::store::{self, Listed, Page, Rows};
use otaru_core::apply::{Apply, ApplyFault, ApplyName, ApplyStatus};
use otaru_core::device::Device;
use otaru_core::id::{ApplyNo, DeviceName, ProductNo, spell};
use otaru_core::product::{Product, is_nickname};
use otaru_core::refusal;
use otaru_core::time::Timestamp;
use std::collections::BTreeSet;

/// Names that one change deals with.
const SLICE: u32 = 1_000;
/// Names that one batch has at most.
pub const BATCH_MAX: u32 = 10_000;

/// A name that can't be registered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    pub name: String,
    pub nickname: String,
    pub why: NameFault,
}

/// What is wrong with a name of a batch, or with the nickname beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    Malformed,
    /// It stands in the list twice.
    Twice,
    /// Another device of the product has it.
    Taken,
    Nickname,
}

impl NameFault {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "the device name is malformed",
            Self::Twice => "the device name is in the list twice",
            Self::Taken => ApplyFault::Taken.sentence(),
            Self::Nickname => "the nickname is malformed",
        }
    }
}

impl App {
    /// Starts to register `count` devices with random names, 1 to [`BATCH_MAX`].
    pub async fn register_batch(
        &self,
        caller: Caller,
        product_key: String,
        count: u32,
    ) -> Result<ApplyNo> {
        let devices_max = self.limits.devices_max;
        self.change(move |rows, now, effects| {
            let product = lookup::product(rows, caller, &product_key)?;
            let devices = rows.account_device_count(product.account)?;
            if let Some(most) = devices_max
                && devices + u64::from(count) > most
            {
                return Err(refusal::TOO_MANY_DEVICES.with(most).into());
            }
            let batch = new(&product, ApplyStatus::Create, count, false, now);
            effects.due(batch.due_at());
            Ok(rows.insert_apply(&batch, &[])?)
        })
        .await
    }

    /// Keeps names with their nicknames for [`App::register_checked`], at most [`BATCH_MAX`], when all are good; the
    /// bad ones otherwise. They are checked once more beside all other work.
    pub async fn check_names(
        &self,
        caller: Caller,
        product_key: String,
        names: Vec<(String, String)>,
    ) -> Result<std::result::Result<ApplyNo, Vec<BadName>>> {
        self.change(move |rows, now, effects| {
            let product = lookup::product(rows, caller, &product_key)?;
            let (mut good, mut bad, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
            for (place, (name, nickname)) in (1..).zip(&names) {
                match judge(rows, product.no, name, nickname, seen.insert(name))? {
                    Ok(name) => {
                        let nickname = nickname.clone();
                        good.push(ApplyName { place, name, nickname, fault: None, device: None });
                    }
                    Err(why) => {
                        let (name, nickname) = (name.clone(), nickname.clone());
                        bad.push(BadName { name, nickname, why });
                    }
                }
            }
            if !bad.is_empty() {
                return Ok(Err(bad));
            }
            let count = u32::try_from(good.len()).unwrap_or(u32::MAX);
            let batch = new(&product, ApplyStatus::Check, count, true, now);
            effects.due(batch.due_at());
            Ok(Ok(rows.insert_apply(&batch, &good)?))
        })
        .await
    }

    /// Starts to register the devices of a batch whose names were found good.
    pub async fn register_checked(
        &self,
        caller: Caller,
        product_key: String,
        no: ApplyNo,
    ) -> Result<()> {
        self.change(move |rows, _, effects| {
            let batch = lookup::apply_of(rows, caller, &product_key, no)?;
            match batch.status {
                ApplyStatus::Check | ApplyStatus::Create => {
                    Err(refusal::APPLY_IS_RUNNING.with(no.0).into())
                }
                ApplyStatus::CheckSuccess => {
                    let status = ApplyStatus::Create;
                    let batch = Apply { status, done: 0, failed: 0, ..batch };
                    effects.due(batch.due_at());
                    Ok(rows.update_apply(&batch)?)
                }
                ended => Err(refusal::APPLY_DOES_NOT_FIT
                    .with(format!("{} {}", no.0, ended.as_wire()))
                    .into()),
            }
        })
        .await
    }

    /// A batch and what became of its names so far.
    pub async fn batch(
        &self,
        caller: Caller,
        product_key: String,
        no: ApplyNo,
    ) -> Result<(Apply, Vec<ApplyName>)> {
        self.view(move |view| {
            let batch = lookup::apply_of(view, caller, &product_key, no)?;
            let mut names = view.apply_names(no, 0, BATCH_MAX)?;
            if batch.status.is_running() {
                names.retain(|name| name.place <= batch.done);
            }
            Ok((batch, names))
        })
        .await
    }

    /// Devices that were made of a batch, in its order.
    pub async fn devices_of_batch(
        &self,
        caller: Caller,
        no: ApplyNo,
        page: Page,
    ) -> Result<Listed<Device>> {
        self.view(move |view| {
            let batch = lookup::apply(view, caller, no)?;
            Ok(Listed { rows: view.apply_devices(no, page)?, total: batch.made.into() })
        })
        .await
    }
}

fn new(
    product: &Product,
    status: ApplyStatus,
    count: u32,
    is_named: bool,
    now: Timestamp,
) -> Apply {
    Apply {
        no: ApplyNo(0),
        account: product.account,
        product: product.no,
        status,
        is_named,
        count,
        done: 0,
        failed: 0,
        made: 0,
        created_at: now,
    }
}

fn judge(
    rows: &mut dyn Rows,
    product: ProductNo,
    name: &str,
    nickname: &str,
    is_first: bool,
) -> store::Result<std::result::Result<DeviceName, NameFault>> {
    let Ok(name) = name.parse::<DeviceName>() else { return Ok(Err(NameFault::Malformed)) };
    if !is_first {
        return Ok(Err(NameFault::Twice));
    }
    if rows.device_by_name(product, &name)?.is_some() {
        return Ok(Err(NameFault::Taken));
    }
    let has_nickname = nickname.is_empty() || is_nickname(nickname);
    Ok(if has_nickname { Ok(name) } else { Err(NameFault::Nickname) })
}

/// Carries out the next slice of a batch.
pub(super) fn slice(
    rows: &mut dyn Rows,
    no: ApplyNo,
    devices_max: Option<u64>,
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<()> {
    let Some(mut batch) = rows.apply(no)? else { return Ok(()) };
    let product = rows.product(batch.product)?.expect("a batch has a product");
    let creates = batch.status == ApplyStatus::Create;
    for name in next_names(rows, &batch)? {
        let fault = fault(rows, &product, &name.name, creates, devices_max)?;
        let device = if creates && fault.is_none() {
            let ApplyName { name, nickname, .. } = name.clone();
            Some(device::register(rows, &product, name, nickname, now, effects)?.no)
        } else {
            None
        };
        if fault.is_some() || device.is_some() {
            rows.put_apply_name(no, &ApplyName { fault, device, ..name })?;
        }
        batch.done += 1;
        batch.failed += u32::from(fault.is_some());
        batch.made += u32::from(device.is_some());
    }
    if batch.done >= batch.count {
        batch.status = batch.status.done(batch.failed == 0);
    }
    effects.due(batch.due_at());
    rows.update_apply(&batch)
}

/// The names of the next slice; random ones when none were given.
fn next_names(rows: &mut dyn Rows, batch: &Apply) -> store::Result<Vec<ApplyName>> {
    if batch.is_named {
        return rows.apply_names(batch.no, batch.done, SLICE);
    }
    let until = batch.count.min(batch.done + SLICE);
    Ok((batch.done + 1..=until)
        .map(|place| {
            let name = spell(rows.random(), 20).parse().expect("letters and digits");
            ApplyName { place, name, nickname: String::new(), fault: None, device: None }
        })
        .collect())
}

fn fault(
    rows: &mut dyn Rows,
    product: &Product,
    name: &DeviceName,
    creates: bool,
    devices_max: Option<u64>,
) -> store::Result<Option<ApplyFault>> {
    if product.deleted_at.is_some() {
        return Ok(Some(ApplyFault::ProductDeleted));
    }
    if rows.device_by_name(product.no, name)?.is_some() {
        return Ok(Some(ApplyFault::Taken));
    }
    let is_full = match devices_max {
        Some(most) if creates => rows.account_device_count(product.account)? >= most,
        _ => false,
    };
    Ok(is_full.then_some(ApplyFault::Full))
}
