//! What devices said and heard, and what callers were promised: the evidence that the invariants are judged by.

use crate::messages::Messages;
use crate::plan::Part;
use crate::terms::Terms;
use crate::trace::Trace;
use std::collections::{BTreeMap, BTreeSet};

/// A job as the scenario numbers it; its pushes carry the number as a tag.
pub type JobTag = usize;
pub type DeviceIndex = usize;

const MINUTE_MS: u64 = 60_000;

/// First pushes per minute, and the milliseconds from and until which they may have been allowed.
struct Rate {
    per_minute: u32,
    from: u64,
    until: Option<u64>,
}

/// Reports that one device sent of one module, oldest first.
#[derive(Default)]
pub struct Reports {
    sent: Vec<(u64, String)>,
    /// How many of them, from the first, a PUBACK has covered.
    acknowledged: usize,
}

#[derive(Default)]
pub struct Witness {
    pub trace: Trace,
    pub broken: Vec<String>,
    reports: BTreeMap<(DeviceIndex, Part), Reports>,
    /// Jobs with a rate: pushes per minute, and when its first pushes arrived.
    rates: BTreeMap<JobTag, Vec<Rate>>,
    first_pushes: BTreeMap<JobTag, Vec<u64>>,
    told: BTreeSet<(JobTag, DeviceIndex)>,
    /// Jobs with one task a device and no retries.
    plain: BTreeSet<JobTag>,
    /// Devices that the node has let in and that have not left since, and when that was.
    connected: BTreeMap<DeviceIndex, u64>,
    /// Jobs of which everything was canceled, and when that was answered.
    canceled: BTreeMap<JobTag, u64>,
    /// Devices that were deleted, and when that was answered.
    deleted: BTreeMap<DeviceIndex, u64>,
    /// What pushes and answers to pulls have to keep to.
    pub(crate) terms: BTreeMap<JobTag, Terms>,
    pub(crate) consents: BTreeSet<(JobTag, DeviceIndex)>,
    pub pushes: u64,
    pub side_by_side: u64,
    pub streamed: u64,
    pub messages: Messages,
}

impl Witness {
    pub fn note(&mut self, at_ms: u64, text: &str) {
        self.trace.note(at_ms, text);
    }

    pub fn accuse(&mut self, at_ms: u64, invariant: &str, evidence: &str) {
        self.trace.note(at_ms, &format!("BROKEN {invariant}: {evidence}"));
        self.broken.push(format!("{invariant}: {evidence}"));
    }

    /// The device puts a report on its wire; the number is for [`Witness::acknowledged`].
    pub fn sent(&mut self, of: (DeviceIndex, Part), version: &str, at_ms: u64) -> usize {
        let reports = self.reports.entry(of).or_default();
        reports.sent.push((at_ms, version.to_owned()));
        reports.sent.len() - 1
    }

    pub fn acknowledged(&mut self, of: (DeviceIndex, Part), nth: usize) {
        let reports = self.reports.entry(of).or_default();
        reports.acknowledged = reports.acknowledged.max(nth + 1);
    }

    /// Whether the stored version of a device's module is the last one acknowledged or one sent after it.
    pub fn may_be_stored(&self, of: (DeviceIndex, Part), version: Option<&str>) -> bool {
        let Some(reports) = self.reports.get(&of) else { return version.is_none() };
        let since = reports.acknowledged.saturating_sub(1);
        match version {
            None => reports.acknowledged == 0,
            Some(version) => reports.sent[since..].iter().any(|(_, sent)| sent == version),
        }
    }

    /// Whether the device ever put a report of the module at `version` on its wire.
    pub fn has_said(&self, of: (DeviceIndex, Part), version: &str) -> bool {
        self.reports
            .get(&of)
            .is_some_and(|reports| reports.sent.iter().any(|(_, sent)| sent == version))
    }

    pub fn came(&mut self, device: DeviceIndex, at_ms: u64) {
        if self.deleted.get(&device).is_some_and(|&deleted_at| deleted_at < at_ms) {
            let evidence = format!("device {device} is let in");
            self.accuse(at_ms, "a deleted device is nobody", &evidence);
        }
        self.connected.insert(device, at_ms);
    }

    pub fn went(&mut self, device: DeviceIndex) {
        self.connected.remove(&device);
    }

    /// When the device's connection began, if it has one.
    pub fn connected_since(&self, device: DeviceIndex) -> Option<u64> {
        self.connected.get(&device).copied()
    }

    pub fn job_has_rate(&mut self, job: JobTag, per_minute: u32) {
        self.rates.insert(job, vec![Rate { per_minute, from: 0, until: None }]);
    }

    /// The job, which has a rate, was given another by a call from `from`; `until`: when it was answered.
    pub fn job_has_new_rate(
        &mut self,
        job: JobTag,
        per_minute: u32,
        from: u64,
        until: Option<u64>,
    ) {
        let Some(rates) = self.rates.get_mut(&job) else { return };
        if until.is_some() {
            for rate in rates.iter_mut() {
                rate.until = rate.until.or(until);
            }
        }
        rates.push(Rate { per_minute, from, until: None });
    }

    pub fn device_was_deleted(&mut self, device: DeviceIndex, at_ms: u64) {
        self.deleted.insert(device, at_ms);
        self.messages.forget(device);
    }

    /// Nobody knows whether the device is deleted; it may lose its session.
    pub fn device_may_be_deleted(&mut self, device: DeviceIndex) {
        self.messages.forget(device);
    }

    /// The job has one task a device at most, and no retries.
    pub fn job_is_plain(&mut self, job: JobTag) {
        self.plain.insert(job);
    }

    pub fn job_was_canceled(&mut self, job: JobTag, at_ms: u64) {
        self.canceled.insert(job, at_ms);
    }

    /// Tasks of the job were started again, or may have been: it pushes again.
    pub fn job_was_reopened(&mut self, job: JobTag) {
        self.canceled.remove(&job);
        self.plain.remove(&job);
        self.terms_are_over(job);
    }

    /// The device counts as told of the job, whether it heard of it or not: what comes later is no first push.
    pub fn was_told(&mut self, job: JobTag, device: DeviceIndex) {
        self.told.insert((job, device));
    }

    /// A push reached the device's end of a wire; `again`: on the same wire as one before.
    pub fn pushed(&mut self, job: JobTag, device: DeviceIndex, again: bool, at_ms: u64) {
        self.pushes += 1;
        if again && self.plain.contains(&job) {
            let evidence = format!("device {device} is pushed job {job} that it was told of");
            self.accuse(at_ms, "a connection hears of a task once", &evidence);
        }
        if let Some(&canceled_at) = self.canceled.get(&job)
            && canceled_at < at_ms
        {
            let evidence =
                format!("job {job} was canceled at {canceled_at} ms, device {device} is pushed");
            self.accuse(at_ms, "nothing is pushed after a cancel is answered", &evidence);
        }
        if self.deleted.get(&device).is_some_and(|&deleted_at| deleted_at < at_ms) {
            let evidence = format!("device {device} is pushed job {job}");
            self.accuse(at_ms, "a deleted device is nobody", &evidence);
        }
        if !self.told.insert((job, device)) {
            return;
        }
        let from = (at_ms + 1).saturating_sub(MINUTE_MS);
        let ruled = |rate: &&Rate| rate.from <= at_ms && rate.until.is_none_or(|at| at >= from);
        let rates = self.rates.get(&job).into_iter().flatten();
        let Some(per_minute) = rates.filter(ruled).map(|rate| rate.per_minute).max() else {
            return;
        };
        let pushes = self.first_pushes.entry(job).or_default();
        pushes.push(at_ms);
        let recent = pushes.iter().rev().take_while(|&&at| at >= from).count();
        if recent > per_minute as usize {
            let evidence =
                format!("job {job}: {recent} first pushes in a minute, {per_minute} allowed");
            self.accuse(at_ms, "no push above the rate", &evidence);
        }
    }
}
