//! The search: every act from every state, breadth first, each state once.

use crate::rules;
use crate::setup::{START, Setup};
use crate::world::{Act, DEVICES, JOBS, World};
use otaru_core::hash::Set;
use otaru_core::job::{JobStatus, StatusSet};
use otaru_core::task::{Task, TaskStatus};
use otaru_core::time::Timestamp;

/// What was searched.
#[derive(Debug, Default, Clone, Copy)]
pub struct Extent {
    pub depth: u32,
    pub states: u64,
    pub acts: u64,
    /// No act leads to a state that was not seen: the depth did not bound the search.
    pub exhausted: bool,
}

/// Searches until `depth` acts have been played one after the other.
///
/// # Errors
/// The first rule that does not hold, and the acts that lead there.
pub fn search(setup: &Setup, depth: u32) -> Result<Extent, String> {
    let start = World::new(setup);
    let mut seen = Set::default();
    seen.insert(key(&start));
    let mut extent = Extent { states: 1, ..Extent::default() };
    let mut frontier = vec![(start, Vec::new())];
    while extent.depth < depth && !frontier.is_empty() {
        extent.depth += 1;
        let mut next = Vec::new();
        for (world, way) in frontier {
            for act in acts(&world) {
                let mut after = world.clone();
                let steps = after.play(act);
                extent.acts += 1;
                let told = |what: String| {
                    let way: Vec<Act> = [&way[..], &[act]].concat();
                    format!("{}: {what}\n  after {way:?}", setup.name)
                };
                steps.iter().try_for_each(|step| rules::step(&after, step)).map_err(told)?;
                rules::act(&world, &after, act).map_err(told)?;
                if seen.insert(key(&after)) {
                    extent.states += 1;
                    rules::state(&after).map_err(told)?;
                    rules::ways_out(&after).map_err(told)?;
                    next.push((after, [&way[..], &[act]].concat()));
                }
            }
        }
        frontier = next;
    }
    extent.exhausted = frontier.is_empty();
    Ok(extent)
}

/// Sets of statuses that a cancel call means: its flags one by one, and all of them.
const CANCELS: [StatusSet; 4] = [
    StatusSet::of(&[TaskStatus::Queued, TaskStatus::Confirm]),
    StatusSet::of(&[TaskStatus::Notified]),
    StatusSet::of(&[TaskStatus::InProgress]),
    StatusSet::UNFINISHED,
];

/// Everything that can happen to `world` next.
fn acts(world: &World<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    for device in (0..DEVICES).filter(|&device| !world.deleted[device]) {
        acts.push(Act::Delete { device });
        for module in 0..=world.module(1) {
            for version in 0..world.setup.versions.len() {
                acts.push(Act::Report { device, module, version });
            }
        }
    }
    for job in 0..JOBS {
        let Some(row) = &world.jobs[job] else {
            acts.push(Act::Create { job });
            continue;
        };
        acts.extend(CANCELS.map(|statuses| Act::Cancel { job, statuses }));
        acts.extend([Act::CarryOut { job }, Act::PlayJob { job }]);
        if row.is_dynamic() && row.status == JobStatus::InProgress {
            acts.push(Act::CancelPolicy { job });
        }
        for device in 0..DEVICES {
            if let Some(task) = &world.tasks[job][device] {
                task_acts(world, job, device, task, &mut acts);
            }
        }
    }
    if world.next_due().is_some() {
        acts.push(Act::Wait);
    }
    if world.setup.clock_steps && !world.stepped {
        acts.push(Act::SetBack);
    }
    acts
}

fn task_acts(world: &World<'_>, job: usize, device: usize, task: &Task, acts: &mut Vec<Act>) {
    acts.extend([
        Act::PlayTask { job, device },
        Act::CancelOne { job, device },
        Act::Reupgrade { job, device },
    ]);
    if world.deleted[device] {
        return;
    }
    let open = world.is_open(job);
    if open && task.status == TaskStatus::Confirm {
        acts.push(Act::Confirm { job, device });
    }
    if open && task.is_pushable(&world.setup.jobs[job].policy) {
        acts.push(Act::Push { job, device });
    }
    if open {
        acts.push(Act::Pull { job, device });
    }
    // Devices say anything at any time, also of tasks that have ended or have not begun.
    acts.extend([0, 40, 100, -2].map(|step| Act::Progress { job, device, step }));
    acts.push(Act::PushLost { job, device });
}

/// A state without what no rule depends on: moments count from now, and devices that are in the same state can be
/// exchanged.
fn key(world: &World<'_>) -> Box<[u8]> {
    let mut devices: [Vec<u8>; DEVICES] = std::array::from_fn(|device| {
        let mut bytes = vec![u8::from(world.deleted[device])];
        bytes.extend(world.versions[device].map(|version| version.map_or(9, small)));
        for job in 0..JOBS {
            task_key(world, job, device, &mut bytes);
        }
        bytes
    });
    devices.sort_unstable();
    let mut bytes = devices.concat();
    bytes.push(u8::from(world.stepped));
    for job in &world.jobs {
        let Some(job) = job else {
            bytes.push(9);
            continue;
        };
        let started = job.started_at.is_some();
        bytes.extend([job.status as u8, u8::from(started), u8::from(job.finish_played)]);
        from_now(world, job.schedule_at, &mut bytes);
        from_now(world, job.finish_at, &mut bytes);
        let sweep = job.sweep.map_or([0, 0], |sweep| [sweep.cancels.bits(), sweep.cause as u8]);
        bytes.extend(sweep);
    }
    bytes.into()
}

fn task_key(world: &World<'_>, job: usize, device: usize, bytes: &mut Vec<u8>) {
    let Some(task) = &world.tasks[job][device] else {
        bytes.push(9);
        return;
    };
    let covered = world.is_canceled(job, device);
    let src = task.src.as_ref().and_then(|src| world.setup.versions.iter().position(|v| v == src));
    let tries = u8::try_from(task.failed_tries).expect("a few tries");
    bytes.extend([task.status as u8, task.progress, tries, task.reason as u8]);
    bytes.extend([u8::from(task.told), src.map_or(9, small), u8::from(covered)]);
    bytes.push(u8::from(task.ended_at.is_some()));
    from_now(world, task.retry_at, bytes);
    from_now(world, task.timeout_at, bytes);
}

/// Minutes from now to a deadline. All that have passed are the same.
fn from_now(world: &World<'_>, at: Option<Timestamp>, bytes: &mut Vec<u8>) {
    let minutes = at.map_or(-1, |at| at.ms_since(world.now).max(0) / 60_000);
    bytes.extend(i16::try_from(minutes).expect("some hours").to_be_bytes());
    debug_assert!(world.now >= START.plus_ms(-3_600_000), "the clock is set back once");
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("a small number")
}
