//! One seed: some hours of chaos, then devices that behave until every task has ended.

use crate::chance::Chance;
use crate::device::Device;
use crate::disk::{Disk, Loss};
use crate::fault::Fault;
use crate::fleet::{START, World, live};
use crate::invariants::{History, Moment, Scan, Wanted, check, check_final};
use crate::node::{LogLimits, Node, Seeded, module};
use crate::number_from_env;
use crate::plan::{CANCEL_EVERYTHING, FIRST_VERSIONS, JobPlan};
use crate::witness::{JobTag, Witness};
use otaru_core::id::JobId;
use otaru_core::task::TaskStatus;
use otaru_core::time::Timestamp;
use otaru_server::clock::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tokio::task::LocalSet;

mod acts;
mod campaign;

pub use campaign::{At, Run, Trouble, run_campaign};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// What came of a seed.
pub struct Outcome {
    pub broken: Vec<String>,
    pub fingerprint: (u64, u64),
    pub tail: Vec<String>,
    pub tally: Tally,
}

#[derive(Default, Clone, Copy)]
pub struct Tally {
    pub simulated_ms: u64,
    pub crashes: u64,
    /// Changes of the disk that a fault has met.
    pub faults: u64,
    pub devices: u64,
    pub jobs: u64,
    pub pushes: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub canceled: u64,
    /// Looks at a device that had unfinished tasks of two modules.
    pub side_by_side: u64,
    /// Pushes, and answers to pulls, of packages that are fetched over MQTT.
    pub streamed: u64,
}

/// Runs a seed on a runtime of its own, whose time stands still unless everybody waits.
pub fn run(seed: u64, aloud: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    LocalSet::new().block_on(&runtime, Scenario::play(seed, aloud))
}

struct Scenario {
    chance: Chance,
    world: Rc<World>,
    disk: Disk,
    log: LogLimits,
    node: Option<Node>,
    seeded: Seeded,
    wanted: Wanted,
    /// Of every job that was asked for, answered or not.
    plans: BTreeMap<JobTag, JobPlan>,
    /// Jobs that the last look found.
    jobs: Vec<(JobTag, JobId)>,
    last_tag: JobTag,
    history: History,
    /// When, in milliseconds, the last job has had its time.
    settled_at: u64,
    tally: Tally,
}

impl Scenario {
    async fn play(seed: u64, aloud: bool) -> Outcome {
        let mut chance = Chance::new(seed);
        let mut witness = Witness::default();
        witness.trace.aloud = aloud;
        let world = Rc::new(World::new(Clock::simulated(START), witness));
        let disk = Disk::new();
        let drawn = chance.between(60, 300);
        let devices = number_from_env("OTARU_SIM_DEVICES").unwrap_or(drawn);
        let devices = usize::try_from(devices).expect("a number of devices");
        world.note(&format!("seed {seed}: {devices} devices"));
        let log = LogLimits::draw(&mut chance);
        let node = Node::start(&disk, START, chance.draw(), log).expect("an empty disk works");
        let seeded = node.seed_fleet(devices, 0, &mut Vec::new()).await.expect("a fresh store");
        *world.door.borrow_mut() = Some(node.door());
        for (index, login) in seeded.logins.iter().enumerate() {
            let versions = *chance.pick(FIRST_VERSIONS);
            let name = seeded.names[index].as_str();
            let device = Device::new(seeded.product.as_str(), name, versions, chance.fork());
            tokio::task::spawn_local(live(Rc::clone(&world), index, device, login.clone()));
        }
        let mut scenario = Self::new(chance, world, disk, node, seeded);
        scenario.log = log;
        scenario.chaos().await;
        scenario.calm().await;
        scenario.finish()
    }

    fn new(chance: Chance, world: Rc<World>, disk: Disk, node: Node, seeded: Seeded) -> Self {
        let wanted = Wanted {
            product: seeded.product.clone(),
            devices: seeded.numbers.iter().copied().zip(seeded.names.clone()).collect(),
            deleted: BTreeMap::new(),
            modules: std::array::from_fn(module),
            packages: seeded.packages.iter().map(|&(no, _)| no).collect(),
            answered: BTreeSet::new(),
        };
        let tally = Tally { devices: seeded.names.len() as u64, ..Tally::default() };
        Self {
            chance,
            world,
            disk,
            log: LogLimits::default(),
            node: Some(node),
            seeded,
            wanted,
            plans: BTreeMap::new(),
            jobs: Vec::new(),
            last_tag: 0,
            history: History::default(),
            settled_at: 0,
            tally,
        }
    }

    fn is_broken(&self) -> bool {
        !self.world.witness.borrow().broken.is_empty()
    }

    async fn chaos(&mut self) {
        let until = self.chance.between(2, 8) * HOUR;
        while self.world.now_ms() < until && !self.is_broken() {
            let pause = self.chance.between(SECOND, 15 * MINUTE);
            if self.chance.percent(35) {
                // In the middle of whatever is being written then.
                let spread = *self.chance.pick(&[10, 100, 1_000]);
                self.disk.fail_after(self.chance.between(1, spread));
            }
            let next = self.world.now_ms() + pause;
            let failed = tokio::select! {
                biased;
                () = self.disk.failed() => true,
                () = self.world.clock.sleep_until(next) => false,
            };
            if failed {
                self.world.note("the power fails");
                self.crash().await;
                continue;
            }
            match self.chance.below(30) {
                0 => self.crash().await,
                1 => self.step_clock().await,
                2 => self.fail_disk().await,
                3..=9 => self.create_job().await,
                10..=12 => self.cancel_job().await,
                13 | 14 => self.confirm_all().await,
                15 | 16 => self.reupgrade_some().await,
                17 => self.cancel_strategy().await,
                18..=21 => self.publish().await,
                22 | 23 => self.change_rate().await,
                24 => self.delete_device().await,
                25 | 26 => self.cancel_of_devices().await,
                _ => {}
            }
            self.look().await;
        }
    }

    /// Devices behave, the node stays up: everything has to come to its end.
    async fn calm(&mut self) {
        self.world.note("calm");
        self.disk.calm();
        self.look().await;
        for (tag, id) in self.jobs.clone() {
            // Nobody confirms here, so what waits for consent ends by a cancel.
            if self.plans[&tag].need_confirm {
                if self.plans[&tag].is_dynamic() {
                    self.cancel_strategy_of(tag, &id).await;
                }
                self.cancel(tag, &id, CANCEL_EVERYTHING).await;
            }
        }
        self.world.end_chaos();
        let until = self.settled_at.max(self.world.now_ms() + 3 * HOUR);
        while !self.is_broken() {
            self.world.clock.sleep_until(self.world.now_ms() + 30 * MINUTE).await;
            let Some(scan) = self.look().await else { break };
            let late = self.world.now_ms() >= until;
            let has_heard = self.world.witness.borrow().has_heard_all();
            if late || (scan.is_settled() && has_heard) {
                let now = self.world.now_ms();
                self.world.witness.borrow_mut().check_messages(now);
                check_final(&scan, &mut self.world.witness.borrow_mut(), now);
                self.count(&scan);
                break;
            }
        }
    }

    fn finish(self) -> Outcome {
        let witness = self.world.witness.borrow();
        let tally = Tally {
            simulated_ms: self.world.now_ms(),
            pushes: witness.pushes,
            side_by_side: witness.side_by_side,
            streamed: witness.streamed,
            faults: self.disk.lock().faults.injected,
            ..self.tally
        };
        Outcome {
            broken: witness.broken.clone(),
            fingerprint: witness.trace.fingerprint(),
            tail: witness.trace.tail().map(str::to_owned).collect(),
            tally,
        }
    }

    fn count(&mut self, scan: &Scan) {
        let of = |status| -> u64 {
            let sum: i64 = scan.jobs.iter().map(|job| job.counts.get(status)).sum();
            u64::try_from(sum).unwrap_or(0)
        };
        self.tally.jobs = scan.jobs.len() as u64;
        self.tally.succeeded = of(TaskStatus::Succeeded);
        self.tally.failed = of(TaskStatus::Failed);
        self.tally.canceled = of(TaskStatus::Canceled);
    }

    fn wall(&self) -> Timestamp {
        self.world.wall()
    }

    async fn crash(&mut self) {
        let loss = *self.chance.pick(&Loss::ALL);
        self.crash_with(loss).await;
    }

    async fn crash_with(&mut self, loss: Loss) {
        self.tally.crashes += 1;
        *self.world.door.borrow_mut() = None;
        self.disk.crash_with(loss, &mut self.chance);
        if let Some(node) = self.node.take() {
            node.crash().await;
        }
        let down = self.chance.below(2 * MINUTE);
        self.world.note(&format!("the node crashes, the disk loses {loss:?}"));
        self.world.clock.sleep_until(self.world.now_ms() + down).await;
        match Node::start(&self.disk, self.wall(), self.chance.draw(), self.log) {
            Ok(node) => {
                self.world.note("the node starts");
                self.node = Some(node);
            }
            Err(error) => {
                self.accuse("a node starts after a crash", &error.to_string());
                return;
            }
        }
        // Before any device is back: what was told, was told, even when the crash kept the message from going out.
        if let Some(scan) = self.look().await {
            self.remember_told(&scan);
        }
        *self.world.door.borrow_mut() = self.node.as_ref().map(Node::door);
    }

    async fn step_clock(&mut self) {
        let ms = i64::try_from(self.chance.below(20 * MINUTE)).expect("minutes") - 600_000;
        self.set_clock(ms);
        if self.chance.percent(30) {
            self.cancel_job().await;
        }
    }

    fn set_clock(&mut self, ms: i64) {
        self.world.note(&format!("the wall clock steps by {ms} ms"));
        self.world.step_wall(ms);
        if let Some(node) = &self.node {
            node.step_clock(ms);
        }
    }

    async fn fail_disk(&mut self) {
        let fault = *self.chance.pick(&[Fault::Full, Fault::Full, Fault::Error, Fault::Half]);
        self.world.note(&format!("from now on the disk fails: {fault:?}"));
        self.disk.set_fault(Some(fault));
        let until = self.world.now_ms() + self.chance.between(1, MINUTE);
        if self.chance.percent(30) {
            self.create_job().await;
        }
        self.world.clock.sleep_until(until).await;
        self.disk.set_fault(None);
        self.world.note("the disk works again");
    }

    fn accuse(&self, invariant: &str, evidence: &str) {
        self.world.witness.borrow_mut().accuse(self.world.now_ms(), invariant, evidence);
    }

    /// Reads all tables and checks what holds at any time.
    async fn look(&mut self) -> Option<Scan> {
        let node = self.node.as_ref()?;
        let wanted = self.wanted.clone();
        let scan = match node.scan(wanted).await {
            Ok(scan) => scan,
            Err(error) => {
                if !self.disk.has_failed() {
                    self.accuse("what was answered is there", &error.to_string());
                }
                return None;
            }
        };
        let now = Moment { at_ms: self.world.now_ms(), wall: self.wall() };
        self.jobs = scan.jobs.iter().map(|job| (job.tag, job.job.id.clone())).collect();
        check(&scan, &mut self.history, &mut self.world.witness.borrow_mut(), now);
        Some(scan)
    }

    fn remember_told(&self, scan: &Scan) {
        let mut witness = self.world.witness.borrow_mut();
        for job in &scan.jobs {
            for task in job.tasks.iter().filter(|task| task.told) {
                if let Some(index) = scan.index_of(task.device) {
                    witness.was_told(job.tag, index);
                }
            }
        }
    }
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.simulated_ms += other.simulated_ms;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.devices += other.devices;
        self.jobs += other.jobs;
        self.pushes += other.pushes;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.canceled += other.canceled;
        self.side_by_side += other.side_by_side;
        self.streamed += other.streamed;
    }
}
