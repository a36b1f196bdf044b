//! What must hold of every step, of every state, and of what can follow a state (behaviour reference, sections 2 to 4).

use crate::world::{Act, DEVICES, JOBS, Step, World};
use otaru_core::job::{Counts, JobStatus, StatusSet};
use otaru_core::task::{Reason, Task, TaskStatus};
use std::rc::Rc;

type Verdict = Result<(), String>;

fn hold(rule: &str, holds: bool, evidence: &impl std::fmt::Debug) -> Verdict {
    if holds { Ok(()) } else { Err(format!("broken: {rule}: {evidence:?}")) }
}

/// The arrows of the reference's diagram of a task, without those of a re-upgrade.
const ARROWS: &[(TaskStatus, TaskStatus)] = {
    use TaskStatus::{Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded};
    &[
        (Confirm, Queued),
        (Confirm, Succeeded),
        (Confirm, Canceled),
        (Queued, Notified),
        (Queued, InProgress),
        (Queued, Succeeded),
        (Queued, Failed),
        (Queued, Canceled),
        // A first push that could not be written.
        (Notified, Queued),
        (Notified, InProgress),
        (Notified, Succeeded),
        (Notified, Failed),
        (Notified, Canceled),
        (InProgress, Succeeded),
        (InProgress, Failed),
        (InProgress, Canceled),
    ]
};

/// What holds of each change of a task; `world` is as it is afterwards.
pub fn step(world: &World<'_>, step: &Step) -> Verdict {
    let (before, after) = (&*step.before, &*step.after);
    let both = (before, after);
    let job = usize::try_from(after.job.0).expect("one of two");
    let setup = &world.setup.jobs[job];
    if step.reupgraded {
        let restarted = matches!(before.status, TaskStatus::Failed | TaskStatus::Canceled)
            && matches!(after.status, TaskStatus::Queued | TaskStatus::Confirm)
            && (after.failed_tries, after.progress, after.told) == (0, 0, false);
        return hold("a re-upgrade starts a failed or canceled task anew", restarted, &both);
    }
    hold("a finished task never changes", before.status.is_unfinished(), &both)?;
    let arrow = before.status == after.status || ARROWS.contains(&(before.status, after.status));
    hold("a task moves along the arrows of its diagram", arrow, &both)?;
    let same = (before.no, before.device, &before.id, before.created_at, before.timeout_minutes)
        == (after.no, after.device, &after.id, after.created_at, after.timeout_minutes);
    hold("what a task is never changes", same, &both)?;
    hold("a change is dated", after.modified_at == step.at, &both)?;
    if step.canceled_before {
        hold("an answered cancel holds", after.status == TaskStatus::Canceled, &both)?;
    }
    if after.status == TaskStatus::Succeeded {
        let at_dest = step.version.as_ref() == Some(&setup.dest) && after.progress == 100;
        hold("success has one criterion", at_dest, &(both, &step.version))?;
    }
    let limit = before.timeout_at.is_none()
        || after.timeout_at == before.timeout_at
        || !after.status.is_unfinished();
    hold("the timeout's clock starts once", limit, &both)?;
    let counted = after.failed_tries.checked_sub(before.failed_tries).is_some_and(|more| more < 2);
    hold("one failed try counts once", counted, &both)?;
    if step.told {
        told(world, step, job)?;
    }
    Ok(())
}

fn told(world: &World<'_>, step: &Step, job: usize) -> Verdict {
    let setup = &world.setup.jobs[job];
    let device = usize::try_from(step.after.device.0).expect("one of three");
    let version = step.version.as_ref();
    hold("only open jobs tell", world.is_open(job), &step.after)?;
    hold("no deleted device is told", !world.deleted[device], &step.after)?;
    hold("nobody is told before the consent", step.before.status != TaskStatus::Confirm, &job)?;
    hold("no device is told what it has", version != Some(&setup.dest), &step.after)?;
    let fits = setup.delta_src.is_none() || version == setup.delta_src.as_ref();
    hold("a delta package goes to devices at its source", fits, &step.after)?;
    let shown = matches!(step.after.status, TaskStatus::Notified | TaskStatus::InProgress);
    hold("who was told is shown so", shown && step.after.told, &step.after)
}

/// What holds between the states before and after an act.
pub fn act(before: &World<'_>, after: &World<'_>, act: Act) -> Verdict {
    for job in 0..JOBS {
        for device in 0..DEVICES {
            let (Some(old), Some(new)) = (&before.tasks[job][device], &after.tasks[job][device])
            else {
                continue;
            };
            let may_change = old.status.is_unfinished() || act == Act::Reupgrade { job, device };
            hold("only a re-upgrade wakes a task", may_change || old == new, &(old, new))?;
        }
        let (Some(old), Some(new)) = (&before.jobs[job], &after.jobs[job]) else { continue };
        let reopened = old.status.is_ended() && !new.status.is_ended();
        let by_reupgrade = matches!(act, Act::Reupgrade { job: meant, .. } if meant == job);
        hold("only a re-upgrade opens a job again", !reopened || by_reupgrade, &act)?;
        let started = old.status == JobStatus::Planned && new.status == JobStatus::InProgress;
        hold("a job starts at its time", !started || act == Act::PlayJob { job }, &act)?;
        let canceled = new.status == JobStatus::Canceled && old.status != JobStatus::Canceled;
        let calls =
            matches!(act, Act::CarryOut { .. } | Act::CancelOne { .. } | Act::CancelPolicy { .. });
        // A cancel that was answered can be carried out on the way of anything else.
        let swept = old.sweep.is_some();
        hold("only a cancel call cancels a job", !canceled || calls || swept, &act)?;
    }
    if let Act::Create { job } = act {
        created(before, after, job)?;
    }
    Ok(())
}

/// A task of a new job fails for a busy device only when that is busy.
fn created(before: &World<'_>, after: &World<'_>, job: usize) -> Verdict {
    for device in 0..DEVICES {
        let holder = before.tasks[1 - job][device].as_ref();
        let canceled = before.is_canceled(1 - job, device);
        let held = holder.is_some_and(|task| task.status.is_unfinished()) && !canceled;
        if let Some(task) = &after.tasks[job][device] {
            let busy = task.reason == Reason::Busy;
            hold("only a busy device makes a task fail at once", held || !busy, task)?;
        }
    }
    Ok(())
}

/// What holds of every state.
pub fn state(world: &World<'_>) -> Verdict {
    for job in 0..JOBS {
        let Some(row) = &world.jobs[job] else { continue };
        let mut counted = Counts::default();
        for task in world.tasks[job].iter().flatten() {
            counted.add(task.status, 1);
            of_task(world, job, task)?;
        }
        let kept = world.counts[job];
        hold("counters equal the tasks", kept == counted, &(kept, counted))?;
        if row.sweep.is_some() || row.is_dynamic() {
            continue;
        }
        let unfinished = counted.unfinished() > 0;
        let ended = row.status.is_ended();
        hold("a job ends after its tasks", !(ended && unfinished), &(row.status, counted))?;
        let stuck = counted.total() > 0 && !unfinished && row.status == JobStatus::InProgress;
        hold("a job ends with its last task", !stuck, &(row.status, counted))?;
    }
    for device in 0..DEVICES {
        let both = [&world.tasks[0][device], &world.tasks[1][device]];
        let open = |task: &&Option<Rc<Task>>| {
            task.as_ref().is_some_and(|task| task.status.is_unfinished())
        };
        let multi = world.setup.jobs.iter().all(|job| job.policy.multi_module)
            && world.module(0) != world.module(1);
        let alone = multi || both.iter().filter(|task| open(task)).count() < 2;
        hold("a device has one unfinished task, or one a module", alone, &both)?;
    }
    Ok(())
}

fn of_task(world: &World<'_>, job: usize, task: &Task) -> Verdict {
    let policy = &world.setup.jobs[job].policy;
    let unfinished = task.status.is_unfinished();
    hold("only a finished task has an end", task.ended_at.is_none() == unfinished, task)?;
    let waits = task.retry_at.is_some() || task.timeout_at.is_some();
    hold("time does nothing to a finished task", unfinished || !waits, task)?;
    let reasoned = task.reason != Reason::None && !task.description.is_empty();
    match task.status {
        TaskStatus::Failed | TaskStatus::Canceled => {
            hold("a task that ends badly says why", reasoned, task)?;
        }
        TaskStatus::Succeeded => hold("a success says no reason", !reasoned, task)?,
        _ if task.retry_at.is_none() => hold("a task without fault says none", !reasoned, task)?,
        _ => {}
    }
    hold("progress is a percentage", task.progress <= 100, task)?;
    let tries = policy.retry.map_or(0, |retry| retry.count);
    hold("tries are bounded", !unfinished || task.failed_tries <= tries, task)?;
    hold("a retry follows a try", task.retry_at.is_none() || task.failed_tries > 0, task)?;
    let clock = task.timeout_at.is_some();
    let timed = task.status == TaskStatus::InProgress && task.timeout_minutes.is_some();
    hold("a task in progress has its limit, no other has one", clock == timed, task)
}

/// From every state there are ways to an end: by devices that behave, by time alone as far as it has limits, and by
/// calls of the operator.
pub fn ways_out(world: &World<'_>) -> Verdict {
    behaved(world.clone())?;
    silent(world.clone())?;
    canceled(world.clone())
}

/// Plays jobs that are due, and carries out what was answered.
fn play_jobs(world: &mut World<'_>) {
    for job in (0..JOBS).filter(|&job| world.jobs[job].is_some()).collect::<Vec<_>>() {
        for act in [Act::CarryOut { job }, Act::PlayJob { job }, Act::CarryOut { job }] {
            world.play(act);
        }
    }
}

fn start_all(world: &mut World<'_>) {
    let planned = world.jobs.iter().flatten().filter(|job| job.status == JobStatus::Planned);
    if let Some(last) = planned.filter_map(|job| job.schedule_at).max() {
        world.now = world.now.max(last);
    }
    play_jobs(world);
}

fn unfinished(world: &World<'_>) -> Vec<(usize, usize)> {
    let all = (0..JOBS).flat_map(|job| (0..DEVICES).map(move |device| (job, device)));
    let open = |&(job, device): &(usize, usize)| {
        world.tasks[job][device].as_ref().is_some_and(|task| task.status.is_unfinished())
    };
    all.filter(open).collect()
}

fn all_ended(way: &str, world: &World<'_>) -> Verdict {
    hold(way, unfinished(world).is_empty(), &world.tasks)?;
    for (job, row) in world.jobs.iter().enumerate() {
        let Some(row) = row else { continue };
        let idle = row.is_dynamic() || world.counts[job].total() == 0;
        hold(way, idle || row.status.is_ended(), &(row.status, world.counts[job]))?;
    }
    Ok(())
}

fn behaved(mut world: World<'_>) -> Verdict {
    start_all(&mut world);
    for (job, device) in unfinished(&world) {
        let module = world.module(job);
        let dest = &world.setup.jobs[job].dest;
        let version = world.setup.versions.iter().position(|v| v == dest).expect("it is listed");
        if world.tasks[job][device].as_ref().is_some_and(|t| t.status == TaskStatus::Confirm) {
            world.play(Act::Confirm { job, device });
        }
        world.play(Act::Pull { job, device });
        world.play(Act::Progress { job, device, step: 40 });
        world.play(Act::Report { device, module, version });
    }
    all_ended("a task ends when its device does what it is told", &world)
}

/// Deadlines that a state can have in a row: of the tasks, of the jobs, and of what they lead to.
const DEADLINES: usize = 40;

fn silent(mut world: World<'_>) -> Verdict {
    for _ in 0..DEADLINES {
        play_jobs(&mut world);
        for (job, device) in unfinished(&world) {
            world.play(Act::PlayTask { job, device });
        }
        if world.next_due().is_none() {
            break;
        }
        world.play(Act::Wait);
    }
    let due = world.tasks.iter().flatten().flatten().filter_map(|task| task.due_at()).count();
    hold("time plays every deadline", due == 0 && world.next_due().is_none(), &world.tasks)?;
    for (job, device) in unfinished(&world) {
        let task = world.tasks[job][device].as_ref().expect("it is unfinished");
        let limited = task.status == TaskStatus::InProgress && task.timeout_minutes.is_some();
        hold("a silent device's task ends at its limit", !limited, task)?;
        let over = world.jobs[job].as_ref().is_some_and(|job| job.finish_at.is_some());
        let pending = StatusSet::PENDING.contains(task.status);
        hold("a forced end leaves nobody waiting", !(over && pending), task)?;
    }
    Ok(())
}

fn canceled(mut world: World<'_>) -> Verdict {
    for job in (0..JOBS).filter(|&job| world.jobs[job].is_some()).collect::<Vec<_>>() {
        world.play(Act::Cancel { job, statuses: StatusSet::UNFINISHED });
        world.play(Act::CarryOut { job });
    }
    // The tasks of a planned job may have ended before: then it ends with its start.
    start_all(&mut world);
    all_ended("a cancel ends everything", &world)
}
