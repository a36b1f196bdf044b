//! Which devices a job takes, and what becomes of a device that is busy.

use crate::id::{DeviceNo, JobId};
use crate::policy::OverwriteMode;
use crate::task::TaskStatus;
use crate::version::{ModuleName, Version};
use sha2::{Digest, Sha256};

/// Whether a device at some version can take a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Fits,
    AtDest,
    /// Has reported a version, but not one that the package or the job starts from.
    OtherSource,
    /// Has reported none, and a source version is asked for.
    NeverReported,
}

/// Judges a device by its current version of the package's module (behaviour reference, static selection).
///
/// `delta_src` is the source version of a delta package; `src_versions` the versions the job is limited to.
pub fn fit(
    version: Option<&Version>,
    dest: &Version,
    delta_src: Option<&Version>,
    src_versions: &[Version],
) -> Fit {
    let Some(version) = version else {
        let any = delta_src.is_none() && src_versions.is_empty();
        return if any { Fit::Fits } else { Fit::NeverReported };
    };
    if version == dest {
        return Fit::AtDest;
    }
    let from_delta = delta_src.is_none_or(|src| src == version);
    let from_listed = src_versions.is_empty() || src_versions.contains(version);
    if from_delta && from_listed { Fit::Fits } else { Fit::OtherSource }
}

/// Place of a device in the order by which a gray job picks: the devices of lowest rank are taken, so that the choice
/// is spread over the fleet, differs from job to job, and is the same whenever it is computed again.
pub fn gray_rank(job: &JobId, device: DeviceNo) -> u64 {
    let mut hash = Sha256::new();
    hash.update(job.as_str().as_bytes());
    hash.update(device.0.to_be_bytes());
    let digest = hash.finalize();
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// An unfinished task that holds a device.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    pub status: TaskStatus,
    pub module: &'a ModuleName,
    pub multi_module: bool,
}

/// A job that wants a device.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub module: &'a ModuleName,
    pub multi_module: bool,
    pub overwrite: OverwriteMode,
}

/// What becomes of a new task and of one that holds the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// They do not meet.
    None,
    /// The old task is canceled, the new one goes on.
    Replace,
    /// The old task goes on, the new one fails at once.
    Fail,
}

/// Settles a new task against one unfinished task of the same device (behaviour reference, busy devices).
pub fn conflict(claim: Claim<'_>, holder: Holder<'_>) -> Conflict {
    let same_module = claim.module == holder.module;
    let meet = !claim.multi_module || same_module || !holder.multi_module;
    if !meet {
        return Conflict::None;
    }
    let replaces =
        if claim.multi_module { same_module } else { claim.overwrite == OverwriteMode::Replace };
    // A device that is at work is left to finish.
    if replaces && holder.status != TaskStatus::InProgress {
        Conflict::Replace
    } else {
        Conflict::Fail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_device_fits_by_its_current_version() {
        let (one, two, five) = (v("1.0"), v("2.0"), v("1.5"));
        let cases: &[(Option<&Version>, Option<&Version>, &[Version], Fit)] = &[
            (Some(&one), None, &[], Fit::Fits),
            (Some(&two), None, &[], Fit::AtDest),
            (None, None, &[], Fit::Fits),
            (None, Some(&one), &[], Fit::NeverReported),
            (None, None, std::slice::from_ref(&one), Fit::NeverReported),
            (Some(&one), Some(&one), &[], Fit::Fits),
            (Some(&five), Some(&one), &[], Fit::OtherSource),
            (Some(&two), Some(&one), &[], Fit::AtDest),
            (Some(&five), None, std::slice::from_ref(&one), Fit::OtherSource),
            (Some(&five), None, &[v("1.0"), v("1.5")], Fit::Fits),
        ];
        for (version, delta, listed, want) in cases {
            assert_eq!(
                fit(*version, &two, *delta, listed),
                *want,
                "{version:?} {delta:?} {listed:?}"
            );
        }
    }

    #[test]
    fn ranks_differ_by_job_and_device_and_never_change() {
        let (a, b) = (JobId::generate(1), JobId::generate(2));
        assert_eq!(gray_rank(&a, DeviceNo(7)), gray_rank(&a, DeviceNo(7)));
        assert_ne!(gray_rank(&a, DeviceNo(7)), gray_rank(&b, DeviceNo(7)));
        assert_ne!(gray_rank(&a, DeviceNo(7)), gray_rank(&a, DeviceNo(8)));
        let low = (0..10_000).filter(|&n| gray_rank(&a, DeviceNo(n)) < u64::MAX / 2).count();
        assert!((4_700..5_300).contains(&low), "spread evenly: {low}");
    }

    #[test]
    fn a_busy_device_is_settled_by_mode_module_and_progress() {
        use OverwriteMode::{Keep, Replace as Over};
        use TaskStatus::{Confirm, InProgress, Notified, Queued};
        let (mcu, wifi) = (ModuleName::parse("MCU").unwrap(), ModuleName::parse("wifi").unwrap());
        for status in [Confirm, Queued, Notified, InProgress] {
            let held = status == InProgress;
            let replaced = if held { Conflict::Fail } else { Conflict::Replace };
            for (claim_multi, overwrite, same, holder_multi, want) in [
                (false, Keep, true, false, Conflict::Fail),
                (false, Keep, false, false, Conflict::Fail),
                (false, Keep, false, true, Conflict::Fail),
                (false, Over, true, false, replaced),
                (false, Over, false, true, replaced),
                (true, Keep, true, true, replaced),
                (true, Keep, true, false, replaced),
                (true, Keep, false, true, Conflict::None),
                (true, Keep, false, false, Conflict::Fail),
            ] {
                let claim = Claim { module: &mcu, multi_module: claim_multi, overwrite };
                let module = if same { &mcu } else { &wifi };
                let holder = Holder { status, module, multi_module: holder_multi };
                assert_eq!(conflict(claim, holder), want, "{claim:?} {holder:?}");
            }
        }
    }
}
