//! Changing a job that runs: what a caller may change, and when.

use crate::job::{Job, JobKind, JobStatus};
use crate::policy::{Policy, Tag};
use crate::refusal::{self, Refusal};
use crate::time::Timestamp;
use crate::version::Version;

/// The change as a caller sends it, before any of it is looked at; tags are checked by `policy::check_tags`.
#[derive(Debug, Clone)]
pub struct RawUpdate<'a> {
    pub max_per_minute: i32,
    pub upgrade_type: &'a str,
    pub target: &'a str,
    pub timeout_minutes: Option<i32>,
    /// `None`: not sent. Sent with nothing in it: empty.
    pub src_versions: Option<&'a [String]>,
}

/// A change of a job; what needs no look-up is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobUpdate {
    /// First pushes per minute: 10 to 10,000.
    pub max_per_minute: u32,
    /// What kind of job the caller takes it for.
    pub dynamic: bool,
    /// `TargetSelection` as the caller echoes it.
    pub target: String,
    /// Of a dynamic job, for tasks made later; `None`: unchanged.
    pub timeout_minutes: Option<u32>,
    /// Of a dynamic job; `None`: unchanged.
    pub src_versions: Option<Vec<Version>>,
    /// In place of all that the job has.
    pub tags: Vec<Tag>,
}

const SRC_VERSIONS_MAX: usize = 30;

impl RawUpdate<'_> {
    /// Checks the values in the order of the reference (rows of `UpdateOTAJob` in the refusals).
    ///
    /// # Errors
    /// The refusal of the first value that is out of range.
    pub fn check(&self) -> Result<JobUpdate, Refusal> {
        let Ok(max_per_minute @ 10..=10_000) = u32::try_from(self.max_per_minute) else {
            return Err(refusal::INVALID_UPDATED_RATE.with(self.max_per_minute));
        };
        let dynamic = match self.upgrade_type {
            "STATIC" => false,
            "DYNAMIC" => true,
            other => return Err(refusal::INVALID_UPGRADE_TYPE.with(other)),
        };
        if !["ALL", "SPECIFIC", "GRAY", "GROUP"].contains(&self.target) {
            return Err(refusal::INVALID_TARGET.with(self.target));
        }
        let timeout = self.timeout_minutes.map(|minutes| match u32::try_from(minutes) {
            Ok(minutes @ 1..=1_440) => Ok(minutes),
            _ => Err(refusal::INVALID_UPDATED_TIMEOUT.with(minutes)),
        });
        let timeout_minutes = timeout.transpose()?;
        let src_versions = self.src_versions.map(src_versions).transpose()?;
        Ok(JobUpdate {
            max_per_minute,
            dynamic,
            target: self.target.to_owned(),
            timeout_minutes,
            src_versions,
            tags: Vec::new(),
        })
    }
}

fn src_versions(texts: &[String]) -> Result<Vec<Version>, Refusal> {
    if texts.is_empty() {
        return Err(refusal::EMPTY_SRC_VERSION_LIST.into());
    }
    if texts.len() > SRC_VERSIONS_MAX {
        let detail = format!("{} versions, at most {SRC_VERSIONS_MAX}", texts.len());
        return Err(refusal::TOO_MANY_SRC_VERSIONS.with(detail));
    }
    let mut versions = Vec::with_capacity(texts.len());
    for text in texts {
        versions.push(Version::parse(text).map_err(|_| refusal::MALFORMED_SRC_VERSION.with(text))?);
    }
    let twice = (1..versions.len()).find(|&at| versions[..at].contains(&versions[at]));
    twice.map_or(Ok(()), |at| Err(refusal::INVALID_PARAMETER.with(&texts[at])))?;
    Ok(versions)
}

impl JobUpdate {
    /// The job as it is from `now` on. `delta_src`: the source version of its delta package.
    ///
    /// # Errors
    /// The job has ended, is of another kind than the caller takes it for, or can't have these versions.
    pub fn apply(
        &self,
        job: &Job,
        delta_src: Option<&Version>,
        now: Timestamp,
    ) -> Result<Job, Refusal> {
        match job.status {
            JobStatus::Completed => return Err(refusal::JOB_HAS_FINISHED.into()),
            JobStatus::Canceled => return Err(refusal::JOB_HAS_CANCELED.into()),
            JobStatus::Planned | JobStatus::InProgress => {}
        }
        if self.dynamic && !job.is_dynamic() {
            return Err(refusal::UPDATED_JOB_NOT_DYNAMIC.into());
        }
        if self.dynamic != job.is_dynamic() || job.kind == JobKind::Verify {
            return Err(refusal::INVALID_UPGRADE_TYPE.with(job.selection.type_wire()));
        }
        if !is_target(job, &self.target) {
            return Err(refusal::INVALID_STRATEGY_TYPE.with(&self.target));
        }
        let mut after = Job {
            policy: Policy {
                max_per_minute: Some(self.max_per_minute),
                tags: self.tags.clone(),
                ..job.policy.clone()
            },
            modified_at: now,
            ..job.clone()
        };
        if !job.is_dynamic() {
            return Ok(after);
        }
        after.policy.timeout_minutes = self.timeout_minutes.or(job.policy.timeout_minutes);
        if let Some(versions) = &self.src_versions {
            if job.group.is_some() {
                return Err(refusal::SRC_VERSION_LIST_OF_GROUP.into());
            }
            if let Some(src) = delta_src
                && versions[..] != [src.clone()]
            {
                return Err(refusal::SRC_VERSION_NOT_OF_PACKAGE.with(src));
            }
            after.src_versions.clone_from(versions);
        }
        Ok(after)
    }
}

/// Whether a caller who changes a job may say `target` of it.
fn is_target(job: &Job, target: &str) -> bool {
    let watches_group = job.is_dynamic() && job.group.is_some();
    target == job.selection.target_wire() || watches_group && target == "GROUP"
}

#[cfg(test)]
mod tests;
