//! Looking a product over before a job is made of it, read by read beside all other work: a change that walked a million
//! devices would make every device wait.

use super::select::{Candidate, Chosen, READ, SLICE};
use super::{App, NewJob, Result, job};
use crate::store::View;
use otaru_core::id::{DeviceNo, JobId};
use otaru_core::job::{Fill, GrayPercent};
use otaru_core::package::Package;
use otaru_core::selection::{Fit, fit, gray_rank};
use otaru_core::version::Version;

/// What a product holds for a job.
#[derive(Debug)]
pub(super) struct Survey {
    /// Devices that fitted when they were looked at, if one change can make all their tasks.
    few: Option<Vec<DeviceNo>>,
    until: DeviceNo,
    rank_max: Option<u64>,
    /// How many tasks the job will have, as far as it is known: all of a gray job, at least these of another.
    pub count: u64,
}

impl Survey {
    /// The devices of the job, each looked at once more, or where to start filling it.
    pub fn chosen(
        &self,
        view: &mut (impl View + ?Sized),
        package: &Package,
        src_versions: &[Version],
    ) -> Result<Chosen> {
        let Some(few) = &self.few else {
            return Ok(Chosen::Sliced(Fill {
                after: 0,
                until: self.until.0,
                rank_max: self.rank_max,
            }));
        };
        let mut devices: Vec<Candidate> = Vec::with_capacity(few.len());
        for &device in few {
            // It may have been deleted, or have reported, since it was looked at.
            if view.device(device)?.is_none() {
                continue;
            }
            let version = view.version(device, &package.module)?;
            if fit(version.as_ref(), &package.dest, package.delta_src(), src_versions) == Fit::Fits
            {
                devices.push((device, version));
            }
        }
        Ok(Chosen::Whole(devices))
    }
}

/// Devices that fit, as far as they were counted.
#[derive(Default)]
struct Walk {
    /// The first of them: one more than a change can hold, and no more.
    first: Vec<DeviceNo>,
    /// Of all of them, for a share.
    ranks: Vec<u64>,
    total: u64,
}

impl App {
    /// Looks at the devices of the product that the job is for; `share` is that of a gray job.
    pub(super) async fn survey(
        &self,
        caller: super::Caller,
        new: &NewJob,
        id: &JobId,
        src_versions: &[Version],
        share: Option<GrayPercent>,
    ) -> Result<Survey> {
        let checked = new.clone();
        let (package, until) = self
            .view(move |view| {
                let (_, package) = job::package_of(view, caller, &checked)?;
                Ok(((*package).clone(), view.last_device()?))
            })
            .await?;
        let (mut walk, mut after) = (Walk::default(), DeviceNo(0));
        // Without a share or a cap it is enough to know that one change can't hold them.
        let count_all = share.is_some()
            || self.limits.job_devices_max.is_some()
            || new.schedule_at.and(self.limits.minute_devices_max).is_some();
        while count_all || walk.first.len() <= SLICE {
            let (package, src_versions) = (package.clone(), src_versions.to_vec());
            let part = self.view(move |view| {
                let rows =
                    view.device_versions(package.product, &package.module, after, until, READ)?;
                let last = rows.last().map(|(device, _)| *device);
                let fits = |version: Option<&Version>| {
                    fit(version, &package.dest, package.delta_src(), &src_versions) == Fit::Fits
                };
                let fitting = rows.into_iter().filter(|(_, version)| fits(version.as_ref()));
                Ok((fitting.map(|(device, _)| device).collect::<Vec<_>>(), last))
            });
            let (fitting, last) = part.await?;
            let Some(last) = last else { break };
            after = last;
            if share.is_some() {
                walk.ranks.extend(fitting.iter().map(|&device| gray_rank(id, device)));
            }
            walk.total += fitting.len() as u64;
            let room = (SLICE + 1).saturating_sub(walk.first.len());
            walk.first.extend(fitting.into_iter().take(room));
        }
        Ok(walk.conclude(id, until, share))
    }
}

impl Walk {
    fn conclude(mut self, id: &JobId, until: DeviceNo, share: Option<GrayPercent>) -> Survey {
        let all_seen = self.first.len() <= SLICE;
        let Some(share) = share else {
            let few = all_seen.then_some(self.first);
            return Survey { few, until, rank_max: None, count: self.total };
        };
        let count = share.of(self.ranks.len() as u64);
        let Some(last) = usize::try_from(count).ok().and_then(|n| n.checked_sub(1)) else {
            return Survey { few: Some(Vec::new()), until, rank_max: None, count };
        };
        let (_, &mut rank_max, _) = self.ranks.select_nth_unstable(last);
        if all_seen {
            self.first.retain(|&device| gray_rank(id, device) <= rank_max);
        }
        let few = all_seen.then_some(self.first);
        Survey { few, until, rank_max: Some(rank_max), count }
    }
}
