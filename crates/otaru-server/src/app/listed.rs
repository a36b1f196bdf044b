//! Jobs whose devices are named by a file.

use super::list::{ListError, NAMES_MAX, NameList, Place};
use super::select::{self, Candidate, Listing, SLICE};
use super::{App, Caller, NewJob, Result, job, package};
use crate::files::{Files, Urls};
use crate::store::{Rows, StoreError, Upload, UploadKind, View};
use otaru_core::hash::Set;
use otaru_core::job::{Fill, Job};
use otaru_core::package::Package;
use otaru_core::refusal;
use otaru_core::time::Timestamp;

/// A list that was read through and found good.
#[derive(Debug, Clone)]
pub(super) struct CheckedList {
    pub names: NameList,
    pub sha256: String,
    /// Names in it, each counted once.
    pub count: usize,
}

impl CheckedList {
    /// Whether one change can make all the tasks.
    pub fn is_small(&self) -> bool {
        self.count <= SLICE
    }

    pub fn fill(&self) -> Fill {
        Fill { after: 0, until: self.names.size_bytes().cast_signed(), rank_max: None }
    }

    /// All fitting devices of a small list, each once.
    pub fn devices(
        &self,
        view: &mut (impl View + ?Sized),
        package: &Package,
    ) -> Result<Vec<Candidate>> {
        let (mut devices, mut seen, mut place) = (Vec::new(), Set::default(), Place::default());
        while let Some(chunk) = self.names.chunk(place)? {
            let fitting = select::of_chunk(view, package, &chunk.texts, &mut Listing::default())?;
            devices.extend(fitting.into_iter().filter(|(device, _)| seen.insert(*device)));
            place = chunk.next;
        }
        Ok(devices)
    }
}

impl App {
    /// Reads a list through, chunk by chunk and beside all other work, and refuses what a job can't be made of (rows of
    /// the list in the refusals of a static job).
    pub(super) async fn check_list(
        &self,
        caller: Caller,
        new: &NewJob,
        url: String,
    ) -> Result<CheckedList> {
        let (urls, files, new) = (self.urls.clone(), self.files.clone(), new.clone());
        let now = self.clock.now().wall;
        let found = self.view(move |view| {
            let (_, package) = job::package_of(view, caller, &new)?;
            let upload = usable(view, &urls, caller, &url, now)?;
            let sha256 = upload.stored.expect("it is usable").blob.sha256;
            let names =
                open(&files, &sha256)?.ok_or_else(|| refusal::INVALID_PACKAGE_URL.with(&url))?;
            let count = names.check()?.map_err(|error| match error {
                ListError::Empty => refusal::NULL_TARGET_DEVICES.with("the list holds no name"),
                ListError::TooLong => {
                    refusal::LIST_TOO_LONG.with(format!("more than {NAMES_MAX} names"))
                }
                ListError::Malformed { line, text } => {
                    refusal::MALFORMED_DEVICE_NAMES.with(format!("line {line}: {text}"))
                }
            })?;
            Ok((CheckedList { names, sha256, count }, (*package).clone()))
        });
        let (list, package) = found.await?;
        let listing = self.look_up(list.names.clone(), package).await?;
        if listing.unknown_count > 0 {
            let Listing { unknown, unknown_count, .. } = listing;
            return Err(refusal::NO_DEVICE
                .with(format!("{unknown_count}: {}", unknown.join(" ")))
                .into());
        }
        if listing.fitting == 0 {
            let all_at_dest = listing.at_dest >= list.count as u64;
            let code =
                if all_at_dest { refusal::DEVICES_AT_DEST } else { refusal::NO_DEVICE_CAN_UPGRADE };
            return Err(code.into());
        }
        job::check_count(listing.fitting, self.limits.job_devices_max)?;
        Ok(list)
    }

    /// Looks all names up, one read for each chunk.
    async fn look_up(&self, names: NameList, package: Package) -> Result<Listing> {
        let (mut listing, mut place) = (Listing::default(), Place::default());
        loop {
            let (names, package) = (names.clone(), package.clone());
            let looked_up = self.view(move |view| {
                let Some(chunk) = names.chunk(place)? else { return Ok(None) };
                let mut part = Listing::default();
                select::of_chunk(view, &package, &chunk.texts, &mut part)?;
                Ok(Some((part, chunk.next)))
            });
            let Some((part, next)) = looked_up.await? else { return Ok(listing) };
            listing.fitting += part.fitting;
            listing.at_dest += part.at_dest;
            listing.unknown_count += part.unknown_count;
            listing.unknown.extend(part.unknown);
            listing.unknown.truncate(10);
            place = next;
        }
    }
}

fn open(files: &Files, sha256: &str) -> Result<Option<NameList>> {
    let file = files.read(sha256).map_err(|error| StoreError::Engine(error.to_string()))?;
    Ok(file.map(NameList::new))
}

/// The upload of a list that a call names.
pub(super) fn usable(
    view: &mut (impl View + ?Sized),
    urls: &Urls,
    caller: Caller,
    url: &str,
    now: Timestamp,
) -> Result<Upload> {
    let key = urls.key_of(url).map_err(|_| refusal::MALFORMED_PACKAGE_URL.with(url))?;
    package::usable_upload(view, caller, UploadKind::DeviceList, url, key, now)
}

/// The next slice of a job that is filled from a list: its candidates, without those that have their task already,
/// and the fill that remains.
pub(super) fn slice(
    rows: &mut dyn Rows,
    files: &Files,
    job: &Job,
    package: &Package,
    fill: Fill,
) -> Result<(Vec<Candidate>, Option<Fill>)> {
    let sha256 = job.list.as_deref().unwrap_or_default();
    let Some(names) = open(files, sha256)? else {
        tracing::error!(job.id = %job.id, "the list of job `{}` is gone: the rest of its tasks is not made", job.id);
        return Ok((Vec::new(), None));
    };
    // Lines were counted when the list was checked.
    let place = Place { offset: fill.after.unsigned_abs(), line: 1 };
    let Some(chunk) = names.chunk(place)? else { return Ok((Vec::new(), None)) };
    let mut devices = select::of_chunk(rows, package, &chunk.texts, &mut Listing::default())?;
    let mut seen = Set::default();
    devices.retain(|(device, _)| seen.insert(*device));
    let mut fresh = Vec::with_capacity(devices.len());
    for (device, version) in devices {
        if rows.tasks_of_device(job.no, device)?.is_empty() {
            fresh.push((device, version));
        }
    }
    let rest = Fill { after: chunk.next.offset.cast_signed(), ..fill };
    Ok((fresh, (rest.after < fill.until).then_some(rest)))
}
