//! Deleting devices and products with what belongs to them. Jobs and tasks stay as history.

use super::effect::Effects;
use super::task::{Judged, settle};
use super::topology_change::tell_gateway;
use super::{App, Caller, DeviceKey, Result, dynamic, lookup};
use crate::store::{self, PackageFilter, Page, Rows};
use otaru_core::device::Device;
use otaru_core::id::AccountNo;
use otaru_core::job::{Job, JobEvent, JobStatus};
use otaru_core::product::Product;
use otaru_core::subscription::SubscriptionKind;
use otaru_core::task::{CancelCause, Event};
use otaru_core::time::Timestamp;
use otaru_core::topology::{SubEnd, TopoChange};

/// Devices that one change deletes at most.
const SLICE: u32 = 1_000;
/// More than any product has.
const ALL: u32 = 100_000;

impl App {
    pub async fn delete_device(&self, caller: Caller, key: DeviceKey) -> Result<()> {
        self.change(move |rows, now, effects| {
            let (product, found) = lookup::device_by_key(rows, caller, &key)?;
            device(rows, product.account, &found, CancelCause::DeviceDeleted, now, effects)?;
            // The device is gone, so this only lets go of it.
            Ok(dynamic::look_at_freed(rows, now, effects)?)
        })
        .await
    }

    /// Deletes a product and all that belongs to it: as much as one change may do now, the rest in slices.
    pub async fn delete_product(&self, caller: Caller, key: String) -> Result<()> {
        self.change(move |rows, now, effects| {
            let product = lookup::product(rows, caller, &key)?;
            rows.doom_product(product.no, now)?;
            effects.has_doomed = true;
            for kind in SubscriptionKind::ALL {
                rows.delete_subscription(product.no, kind)?;
            }
            for job in rows.open_jobs(product.no, ALL)? {
                end_job(rows, &job, now)?;
            }
            Ok(slice(rows, &product, now, effects)?)
        })
        .await
    }
}

/// Deletes a device and cancels its unfinished tasks.
fn device(
    rows: &mut dyn Rows,
    account: AccountNo,
    device: &Device,
    cause: CancelCause,
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<()> {
    for task in rows.unfinished_tasks(device.no)? {
        Judged::load(rows, task)?.meet(rows, Event::Canceled(cause), now, effects)?;
    }
    tell_gateway(rows, device, TopoChange::Deleted, now, effects)?;
    rows.leave_groups(device.no)?;
    rows.delete_device_tags(device.no)?;
    rows.delete_device(account, device)?;
    // What was attached to a gateway that goes is nobody's sub-device; its sessions end with the connection.
    effects.kicked.push((device.no, SubEnd::Deleted));
    Ok(())
}

/// Makes an open job of a deleted product take no device any more. Its last task, or that it has none, ends it.
fn end_job(rows: &mut dyn Rows, job: &Job, now: Timestamp) -> store::Result<()> {
    let event = match job.status {
        JobStatus::Planned => Some(JobEvent::AllCanceled),
        _ if job.is_dynamic() => Some(JobEvent::PolicyCanceled),
        _ => None,
    };
    let status = event.and_then(|event| job.status.next(event));
    let ended_at = if status.is_some() { Some(now) } else { job.ended_at };
    let status = status.unwrap_or(job.status);
    let (fill, list) = (None, None);
    let job = Job { status, ended_at, fill, list, modified_at: now, ..job.clone() };
    rows.update_job(&job)?;
    settle(rows, &job, job.package, false, now)
}

/// Deletes the next devices of a deleted product, and with the last of them all the rest.
pub(super) fn slice(
    rows: &mut dyn Rows,
    product: &Product,
    now: Timestamp,
    effects: &mut Effects,
) -> store::Result<()> {
    let devices = rows.oldest_devices(product.no, SLICE)?;
    for found in &devices {
        device(rows, product.account, found, CancelCause::ProductDeleted, now, effects)?;
    }
    dynamic::look_at_freed(rows, now, effects)?;
    if devices.len() == SLICE as usize {
        effects.due(Some(now));
        return Ok(());
    }
    let filter = PackageFilter {
        account: product.account,
        instance: product.instance,
        listed_for: None,
        product: Some(product.no),
        dest: None,
    };
    for package in rows.packages(&filter, Page { skip: 0, take: ALL })?.rows {
        rows.delete_package(package.no, now)?;
    }
    effects.rules.push((product.no, None));
    rows.bury_product(product.no)
}
