//! Choosing the devices of a static job, once, at its creation.

use super::{Result, group, list, lookup};
use crate::store::View;
use otaru_core::id::{DeviceNo, GroupNo, JobId};
use otaru_core::job::Fill;
use otaru_core::package::Package;
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::selection::{Fit, fit, gray_rank};
use otaru_core::version::Version;
use std::collections::BTreeSet;

/// Tasks that are made in one change at most; a larger job is filled slice by slice.
pub(super) const SLICE: usize = READ as usize;
/// Rows read at a time.
pub(super) const READ: u32 = 10_000;
/// Rows of a slice that are done before it looks whether others wait: a few milliseconds' worth.
pub(super) const STEP: u32 = 500;

pub(super) type Candidate = (DeviceNo, Option<Version>);

/// The devices of a job, or where to start making its tasks.
#[derive(Debug)]
pub(super) enum Chosen {
    Whole(Vec<Candidate>),
    Sliced(Fill),
}

/// The next step of a job that is filled: its candidates and the fill that remains.
pub(super) fn slice(
    view: &mut (impl View + ?Sized),
    job: &JobId,
    package: &Package,
    src_versions: &[Version],
    fill: Fill,
    most: u32,
) -> Result<(Vec<Candidate>, Option<Fill>)> {
    let (after, until) = (DeviceNo(fill.after), DeviceNo(fill.until));
    let mut rows = view.device_versions(package.product, &package.module, after, until, most)?;
    let rest = rows.last().map(|(last, _)| Fill { after: last.0, ..fill });
    rows.retain(|(device, version)| {
        fit(version.as_ref(), &package.dest, package.delta_src(), src_versions) == Fit::Fits
            && fill.rank_max.is_none_or(|most| gray_rank(job, *device) <= most)
    });
    Ok((rows, rest))
}

/// Members of a static group and its children that are of the package's product and fit, and how many there are: all
/// of them when there is a cap on the devices of a job, otherwise as far as it matters.
pub(super) fn of_group(
    view: &mut (impl View + ?Sized),
    group: GroupNo,
    package: &Package,
    devices_max: Option<u64>,
) -> Result<(Chosen, u64)> {
    let whole = Fill { after: 0, until: view.last_device()?.0, rank_max: None };
    let (mut fitting, mut count, mut rest) = (Vec::new(), 0, Some(whole));
    while let Some(fill) = rest {
        let (devices, next) = group_slice(view, group, package, fill, READ)?;
        count += devices.len() as u64;
        if fitting.len() <= SLICE {
            fitting.extend(devices);
        }
        rest = next.filter(|_| devices_max.map_or(fitting.len() <= SLICE, |most| count <= most));
    }
    let chosen = if fitting.len() > SLICE { Chosen::Sliced(whole) } else { Chosen::Whole(fitting) };
    Ok((chosen, count))
}

/// The next step of a job that is filled from a group: its candidates, each once and at most `most` or 64 for each
/// group, and the fill that remains.
pub(super) fn group_slice(
    view: &mut (impl View + ?Sized),
    group: GroupNo,
    package: &Package,
    fill: Fill,
    most: u32,
) -> Result<(Vec<Candidate>, Option<Fill>)> {
    let groups = group::tree(view, group)?;
    // Together they hold no more; the step ends where the first of them was not read further.
    let limit = (most / u32::try_from(groups.len()).unwrap_or(most)).max(64);
    let (mut members, mut end) = (BTreeSet::new(), fill.until);
    for group in groups {
        let read = view.group_members(group, DeviceNo(fill.after), DeviceNo(end), limit)?;
        if read.len() == limit as usize {
            end = read.last().map_or(end, |last| last.0);
        }
        members.extend(read);
    }
    let mut chosen = Vec::new();
    for no in members.range(..=DeviceNo(end)) {
        let Some(device) = view.device(*no)?.filter(|device| device.product == package.product)
        else {
            continue;
        };
        let version = view.version(device.no, &package.module)?;
        if fit(version.as_ref(), &package.dest, package.delta_src(), &[]) == Fit::Fits {
            chosen.push((device.no, version));
        }
    }
    Ok((chosen, (end < fill.until).then_some(Fill { after: end, ..fill })))
}

/// What a file of names holds, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub fitting: u64,
    pub at_dest: u64,
    /// Names that the product does not have: the first ten, and how many there are.
    pub unknown: Vec<String>,
    pub unknown_count: u64,
}

/// Devices of one chunk of a list that fit the package, in the list's order; the rest is counted in `listing`.
pub(super) fn of_chunk(
    view: &mut (impl View + ?Sized),
    package: &Package,
    texts: &[(u64, Vec<u8>)],
    listing: &mut Listing,
) -> Result<Vec<Candidate>> {
    let names = texts.iter().map(|(line, text)| {
        list::parse(text)
            .map_err(|text| refusal::MALFORMED_DEVICE_NAMES.with(format!("line {line}: {text}")))
    });
    let names = names.collect::<std::result::Result<Vec<_>, _>>()?;
    let found = view.named_versions(package.product, &package.module, &names)?;
    let mut chosen = Vec::new();
    for (name, device) in names.iter().zip(found) {
        let Some((device, version)) = device else {
            listing.unknown_count += 1;
            if listing.unknown.len() < 10 {
                listing.unknown.push(name.to_string());
            }
            continue;
        };
        match fit(version.as_ref(), &package.dest, package.delta_src(), &[]) {
            Fit::Fits => {
                listing.fitting += 1;
                chosen.push((device, version));
            }
            Fit::AtDest => listing.at_dest += 1,
            // Unlike names in the call, devices of a list that don't fit a delta package are skipped.
            Fit::OtherSource | Fit::NeverReported => {}
        }
    }
    Ok(chosen)
}

/// Named devices: those at the destination are skipped, all others must fit.
pub(super) fn named(
    view: &mut dyn View,
    product: &Product,
    package: &Package,
    names: &[String],
) -> Result<Vec<Candidate>> {
    let mut devices = Vec::with_capacity(names.len());
    for name in names {
        let device = lookup::device(view, product, name)?;
        let version = view.version(device.no, &package.module)?;
        devices.push((name, device.no, version));
    }
    let mut chosen = Vec::with_capacity(devices.len());
    let fits = devices.iter().map(|(name, _, version)| {
        (name, fit(version.as_ref(), &package.dest, package.delta_src(), &[]))
    });
    let fits: Vec<_> = fits.collect();
    for (fault, code) in [
        (Fit::NeverReported, refusal::DEVICE_NEVER_REPORTED),
        (Fit::OtherSource, refusal::DEVICE_SRC_MISMATCH),
    ] {
        if let Some((name, _)) = fits.iter().find(|(_, fit)| *fit == fault) {
            return Err(code.with(name).into());
        }
    }
    let keep: Vec<bool> = fits.iter().map(|(_, fit)| *fit == Fit::Fits).collect();
    for ((_, device, version), keep) in devices.into_iter().zip(keep) {
        if keep {
            chosen.push((device, version));
        }
    }
    if chosen.is_empty() {
        return Err(refusal::DEVICES_AT_DEST.into());
    }
    Ok(chosen)
}
