//! What an operator wants, drawn at random: jobs of every policy, and cancels.

use crate::chance::Chance;
use crate::witness::DeviceIndex;
use otaru_server::app::CancelFlags;

const MINUTE: u64 = 60_000;

/// A module by its place in [`MODULES`].
pub type Part = usize;

/// What a device is made of: every device of a scenario has both.
pub const MODULES: [&str; 2] = ["default", "MCU"];

/// A package of the scenario. None needs verification.
pub struct PackagePlan {
    pub part: Part,
    pub dest: &'static str,
    /// Of a delta package: where it starts.
    pub src: Option<&'static str>,
}

/// Versions that devices start at.
pub const FIRST_VERSIONS: &[[&str; MODULES.len()]] =
    &[["1.0.0", "m1"], ["1.0.0", "m1"], ["1.0.0", "m2"], ["1.1.0", "m1"]];

pub const PACKAGES: &[PackagePlan] = &[
    PackagePlan { part: 0, dest: "2.0.0", src: None },
    PackagePlan { part: 0, dest: "3.0.0", src: None },
    PackagePlan { part: 0, dest: "1.0.0", src: None },
    PackagePlan { part: 0, dest: "1.5.0", src: Some("1.0.0") },
    PackagePlan { part: 1, dest: "m2", src: None },
    PackagePlan { part: 1, dest: "m3", src: Some("m1") },
];

/// Versions that jobs start from, `9.9.9` being where devices end up that go astray.
const SRC_VERSIONS: [&[&str]; MODULES.len()] =
    [&["1.0.0", "1.1.0", "2.0.0", "9.9.9"], &["m1", "m3", "9.9.9"]];
/// One that is always named, so that the list is not empty.
const ALWAYS: [&str; MODULES.len()] = ["1.5.0", "m0"];

#[derive(Debug, Clone)]
pub enum Target {
    All,
    Specific(Vec<DeviceIndex>),
    Gray(u32),
    /// Mode 1: current matches too; 2: only later ones.
    Dynamic(i32),
    Verify(Vec<DeviceIndex>),
    /// Members of the scenario's group.
    Group,
}

#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct JobPlan {
    pub package: usize,
    pub target: Target,
    pub src_versions: Vec<&'static str>,
    /// Minutes from now.
    pub start_after: Option<u32>,
    /// Minutes from the start.
    pub finish_after: Option<u32>,
    pub per_minute: Option<u32>,
    /// Minutes and count.
    pub retry: Option<(i32, i32)>,
    pub timeout_minutes: Option<i32>,
    pub overwrite: i32,
    pub multi_module: bool,
    pub need_push: bool,
    pub need_confirm: bool,
    /// Devices fetch the package block by block over MQTT.
    pub streamed: bool,
}

impl JobPlan {
    pub fn draw(chance: &mut Chance, devices: usize) -> Self {
        let package = chance.index(PACKAGES.len());
        let target = match chance.below(11) {
            0..=2 => Target::All,
            3 | 4 => Target::Gray(u32::try_from(chance.between(1, 100)).expect("a percentage")),
            5 | 6 => Target::Specific(pick(chance, devices, 200)),
            7 => Target::Verify(pick(chance, devices, 10)),
            8 => Target::Group,
            _ => Target::Dynamic(if chance.percent(60) { 1 } else { 2 }),
        };
        let is_static = !matches!(target, Target::Dynamic(_) | Target::Verify(_));
        let is_dynamic = matches!(target, Target::Dynamic(_));
        let named = matches!(target, Target::Specific(_) | Target::Verify(_) | Target::Group);
        let src_versions = match PACKAGES[package].src {
            Some(src) if !named => vec![src],
            None if is_dynamic || (!named && chance.percent(30)) => {
                let part = PACKAGES[package].part;
                let some = SRC_VERSIONS[part].iter().filter(|_| chance.percent(50));
                some.copied().chain([ALWAYS[part]]).collect()
            }
            _ => Vec::new(),
        };
        let timeout_minutes = chance.percent(60).then(|| *chance.pick(&[1, 5, 20, 60, 180]));
        let interval = *chance.pick(&[0, 10, 30, 60]);
        let retry = (chance.percent(50) && timeout_minutes.is_none_or(|limit| interval < limit))
            .then(|| (interval, *chance.pick(&[1, 2, 5])));
        let start_after = (is_static && chance.percent(25)).then(|| minutes(chance, 6, 120));
        let finish_after =
            start_after.filter(|_| chance.percent(50)).map(|_| minutes(chance, 61, 180));
        let multi_module = chance.percent(40);
        Self {
            package,
            src_versions,
            start_after,
            finish_after,
            per_minute: chance.percent(60).then(|| *chance.pick(&[10, 11, 60, 100, 10_000])),
            retry: retry.filter(|_| !matches!(target, Target::Verify(_))),
            timeout_minutes,
            overwrite: if !multi_module && chance.percent(40) { 2 } else { 1 },
            multi_module,
            need_push: chance.percent(80),
            need_confirm: chance.percent(15),
            streamed: chance.percent(25),
            target,
        }
    }

    pub fn part(&self) -> Part {
        PACKAGES[self.package].part
    }

    pub fn is_dynamic(&self) -> bool {
        matches!(self.target, Target::Dynamic(_))
    }

    /// Whether it has one task a device at most, which is never retried.
    pub fn is_plain(&self) -> bool {
        !self.is_dynamic() && self.retry.is_none()
    }

    /// Milliseconds from its creation after which time ends nothing of the job any more, devices permitting.
    pub fn settles_after(&self) -> u64 {
        let start = self.start_after.unwrap_or(0);
        u64::from(start + self.finish_after.unwrap_or(0) + 180) * MINUTE
    }
}

fn minutes(chance: &mut Chance, from: u64, to: u64) -> u32 {
    u32::try_from(chance.between(from, to)).expect("some hours")
}

/// Some devices, each once.
pub fn pick(chance: &mut Chance, devices: usize, most: u64) -> Vec<DeviceIndex> {
    let count = chance.between(1, most.min(devices as u64));
    let mut picked: Vec<_> = (0..count).map(|_| chance.index(devices)).collect();
    picked.sort_unstable();
    picked.dedup();
    picked
}

/// A cancel of all that a job has left.
pub const CANCEL_EVERYTHING: CancelFlags = CancelFlags {
    scheduled: false,
    queued: true,
    notified: true,
    in_progress: true,
    unconfirmed: Some(true),
};

pub fn draw_cancel(chance: &mut Chance, scheduled: bool) -> CancelFlags {
    if chance.percent(40) {
        return CANCEL_EVERYTHING;
    }
    CancelFlags {
        scheduled: scheduled && chance.percent(50),
        queued: chance.percent(60),
        notified: chance.percent(40),
        in_progress: chance.percent(30),
        unconfirmed: chance.percent(30).then(|| chance.percent(50)),
    }
}

pub fn cancels_everything(flags: CancelFlags) -> bool {
    flags.queued && flags.notified && flags.in_progress && flags.unconfirmed == Some(true)
}
