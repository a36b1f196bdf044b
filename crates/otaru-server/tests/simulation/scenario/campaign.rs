//! A campaign that is the same at every run, up to the change of the disk at which a fault is put.
//!
//! Everything is in it from the empty folder on: the tables are made, the fleet is registered, jobs of every kind are
//! created, canceled and confirmed, devices upgrade, fail and come back, the log is copied into the file and emptied.

use super::{HOUR, MINUTE, Scenario};
use crate::chance::Chance;
use crate::device::{Device, Habits};
use crate::disk::{Disk, Loss};
use crate::fault::Fault;
use crate::fleet::{START, World, live};
use crate::invariants::{Scan, check_final};
use crate::node::{LogLimits, Node, Promise, Seeded};
use crate::plan::{CANCEL_EVERYTHING, FIRST_VERSIONS, JobPlan, Target};
use crate::witness::Witness;
use otaru_server::clock::Clock;
use std::rc::Rc;
use tokio::task::LocalSet;

/// Few enough that a run takes no longer than a blink.
const DEVICES: usize = 6;

/// Small enough that both are reached many times.
const LOG: LogLimits = LogLimits { slice_pages: 40, cap_pages: 160 };

/// A fault, and the change that it meets.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub change: u64,
    pub fault: Fault,
    /// What the disk loses when the power fails.
    pub loss: Loss,
}

/// What goes wrong with a run.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    None,
    At(At),
    /// Meets every change of the disk for twenty minutes, in the middle of the upgrades.
    Lasting(Fault),
    /// Milliseconds by which the wall clock is set, in the middle of the upgrades.
    Clock(i64),
}

/// What came of a run.
pub struct Run {
    pub broken: Vec<String>,
    pub tail: Vec<String>,
    /// Changes of the disk before the last look.
    pub changes: u64,
    pub simulated_ms: u64,
    /// Changes that the fault met.
    pub injected: u64,
    /// Crashes of the node, the last one included, which every run has.
    pub crashes: u64,
}

/// Plays the campaign.
pub fn run_campaign(trouble: Trouble, aloud: bool) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    LocalSet::new().block_on(&runtime, play(trouble, aloud))
}

async fn play(trouble: Trouble, aloud: bool) -> Run {
    let mut chance = Chance::new(5);
    let mut witness = Witness::default();
    witness.trace.aloud = aloud;
    let world = Rc::new(World::new(Clock::simulated(START), witness));
    let disk = Disk::new();
    let mut loss = Loss::All;
    if let Trouble::At(at) = trouble {
        disk.lock().faults.plan(at.change, at.fault);
        loss = at.loss;
    }
    let mut promised = Vec::new();
    let (node, seeded) = begin(&world, &disk, loss, &mut chance, &mut promised).await;
    *world.door.borrow_mut() = Some(node.door());
    for (index, login) in seeded.logins.iter().enumerate() {
        let name = seeded.names[index].as_str();
        let first = FIRST_VERSIONS[index % FIRST_VERSIONS.len()];
        let mut device = Device::new(seeded.product.as_str(), name, first, chance.fork());
        device.habits = habits(index);
        tokio::task::spawn_local(live(Rc::clone(&world), index, device, login.clone()));
    }
    let mut scenario = Scenario::new(chance, world, disk, node, seeded);
    scenario.log = LOG;
    scenario.script(trouble, loss).await;
    // What the last look does to the disk meets no faults.
    let (changes, injected) = {
        let state = scenario.disk.lock();
        (state.faults.changes, state.faults.injected)
    };
    scenario.last_look(&promised).await;
    let outcome = scenario.finish();
    Run {
        broken: outcome.broken,
        tail: outcome.tail,
        changes,
        simulated_ms: outcome.tally.simulated_ms,
        injected,
        crashes: outcome.tally.crashes,
    }
}

fn habits(index: usize) -> Habits {
    match index {
        3 => Habits { fails: 40, repeats: 30, ..Habits::default() },
        4 => Habits { restless: true, pulls: true, ..Habits::default() },
        5 => Habits { stops_at_100: 100, reorders: 20, ..Habits::default() },
        _ => Habits::default(),
    }
}

/// Starts the node and makes the fleet, again and again until no fault comes in between.
async fn begin(
    world: &World,
    disk: &Disk,
    loss: Loss,
    chance: &mut Chance,
    promised: &mut Vec<Promise>,
) -> (Node, Seeded) {
    let mut running = None;
    for attempt in 0.. {
        if disk.has_failed() {
            if let Some(node) = running.take() {
                Node::crash(node).await;
            }
            disk.crash_with(loss, chance);
        }
        let node =
            match running.take().map_or_else(|| Node::start(disk, START, chance.draw(), LOG), Ok) {
                Ok(node) => node,
                Err(error) => {
                    world.note(&format!("the node does not start: {error}"));
                    assert!(attempt < 2, "the node starts once the fault is over: {error}");
                    continue;
                }
            };
        match node.seed_fleet(DEVICES, attempt, promised).await {
            Ok(seeded) => return (node, seeded),
            Err(error) => {
                world.note(&format!("the fleet is not complete: {error}"));
                assert!(attempt < 2, "the fleet is made once the fault is over: {error}");
            }
        }
        running = Some(node);
    }
    unreachable!("the third attempt returns or panics")
}

/// A job with none of the options.
fn job(package: usize, target: Target) -> JobPlan {
    JobPlan {
        package,
        target,
        src_versions: Vec::new(),
        start_after: None,
        finish_after: None,
        per_minute: Some(10),
        retry: None,
        timeout_minutes: Some(60),
        overwrite: 1,
        multi_module: false,
        need_push: true,
        need_confirm: false,
        streamed: false,
    }
}

/// What can be seen from outside: versions, and how far each task is.
fn shown(scan: &Scan) -> impl PartialEq + use<> {
    let tasks = scan.jobs.iter().flat_map(|job| &job.tasks);
    let tasks: Vec<_> =
        tasks.map(|task| (task.no, task.status, task.progress, task.modified_at)).collect();
    (scan.devices.clone(), tasks)
}

impl Scenario {
    /// Lets time pass up to a minute since the start; when the power fails on the way, the node comes back.
    async fn until(&mut self, minute: u64, loss: Loss) {
        let at = minute * MINUTE;
        loop {
            let failed = tokio::select! {
                biased;
                () = self.disk.failed() => true,
                () = self.world.clock.sleep_until(at) => false,
            };
            if !failed {
                break;
            }
            self.world.note("the power fails");
            self.crash_with(loss).await;
        }
        self.look().await;
    }

    async fn script(&mut self, trouble: Trouble, loss: Loss) {
        self.until(25, loss).await;
        self.create(JobPlan { retry: Some((10, 2)), ..job(0, Target::All) }, false).await;
        self.until(26, loss).await;
        let replacing = JobPlan { overwrite: 2, ..job(1, Target::Specific(vec![0, 1])) };
        self.create(replacing, false).await;
        match trouble {
            Trouble::Lasting(fault) => self.bear(fault).await,
            Trouble::Clock(ms) => {
                self.until(28, loss).await;
                self.set_clock(ms);
            }
            Trouble::None | Trouble::At(_) => {}
        }
        self.until(70, loss).await;
        let src_versions = vec!["2.0.0", "1.5.0"];
        self.create(JobPlan { src_versions, ..job(1, Target::Dynamic(1)) }, false).await;
        let scheduled = JobPlan {
            start_after: Some(6),
            finish_after: Some(61),
            need_push: false,
            ..job(2, Target::Gray(50))
        };
        self.create(scheduled, false).await;
        // Beside what the devices do with their default module.
        let beside = JobPlan { multi_module: true, streamed: true, ..job(4, Target::All) };
        self.create(beside, false).await;
        self.until(72, loss).await;
        self.cancel_tag(2).await;
        self.until(120, loss).await;
        let asking = JobPlan { need_confirm: true, ..job(2, Target::Specific(vec![2, 4])) };
        self.create(asking, false).await;
        self.until(121, loss).await;
        self.confirm_all().await;
        self.create(job(0, Target::Verify(vec![0, 5])), false).await;
        self.create(JobPlan { multi_module: true, ..job(1, Target::Group) }, false).await;
        self.reupgrade_some().await;
        self.until(150, loss).await;
        self.world.end_chaos();
        for half_hour in 1.. {
            self.until(150 + 30 * half_hour, loss).await;
            // Whoever was not answered asks again.
            self.confirm_all().await;
            let late = self.world.now_ms() > 10 * HOUR;
            let Some(scan) = self.look().await else { continue };
            if late || scan.is_settled() || self.is_broken() {
                break;
            }
        }
    }

    /// Nothing can be written for a while: nothing changes then, what is there can be read, and what is answered all the
    /// same, because it changes nothing, is judged by the look at the end.
    async fn bear(&mut self, fault: Fault) {
        self.until(27, Loss::All).await;
        let before = self.look().await.map(|scan| shown(&scan));
        self.disk.set_fault(Some(fault));
        self.until(30, Loss::All).await;
        self.create(job(0, Target::All), false).await;
        if self.wanted.answered.contains(&self.last_tag) {
            self.accuse("a call that can't be kept is not answered", &format!("{fault:?}"));
        }
        self.until(47, Loss::All).await;
        let after = self.look().await.map(|scan| shown(&scan));
        if before.is_none() || before != after {
            self.accuse("what can't be written does not change", &format!("{fault:?}"));
        }
        self.disk.set_fault(None);
    }

    async fn cancel_tag(&mut self, tag: usize) {
        if let Some((_, id)) = self.jobs.iter().find(|(found, _)| *found == tag).cloned() {
            self.cancel(tag, &id, CANCEL_EVERYTHING).await;
        }
    }

    /// The power fails once more, and everything that was promised is still there.
    async fn last_look(&mut self, promised: &[Promise]) {
        if self.is_broken() {
            return;
        }
        self.disk.calm();
        let before = self.look().await;
        self.crash_with(Loss::All).await;
        let after = self.look().await;
        let (Some(before), Some(after), Some(node)) = (before, after, &self.node) else {
            return self.accuse("the node answers in the end", "it does not");
        };
        if let Some(lost) = node.lost(promised).await {
            self.accuse("what was answered is there", &lost);
        }
        if shown(&before) != shown(&after) {
            self.accuse("what was shown is there", "the tasks differ after the last crash");
        }
        check_final(&after, &mut self.world.witness.borrow_mut(), self.world.now_ms());
        *self.world.door.borrow_mut() = None;
        if let Some(node) = self.node.take() {
            node.crash().await;
        }
        match crate::node::integrity(&self.disk) {
            Ok(verdict) if verdict == "ok" => {}
            Ok(damage) | Err(damage) => self.accuse("the file is whole", &damage),
        }
    }
}
