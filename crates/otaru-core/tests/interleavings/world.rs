//! Two jobs and three devices in memory, and what every event makes of them.
//!
//! The core says what becomes of one task or one job. Which of them an event meets, and that a job follows its tasks,
//! is done here as the server does it, in as few lines as that takes.

use crate::setup::{START, Setup};
use otaru_core::id::{DeviceNo, JobNo, TaskId, TaskNo};
use otaru_core::job::{Counts, Job, JobEvent, JobStatus, StatusSet, Sweep};
use otaru_core::selection::{Claim, Conflict, Fit, Holder, conflict, fit};
use otaru_core::task::{CancelCause, Event, Reason, Task, TaskStatus, Verdict};
use otaru_core::time::{MINUTE_MS, Timestamp};
use otaru_core::version::Version;
use std::rc::Rc;

pub const JOBS: usize = 2;
pub const DEVICES: usize = 3;

/// What can happen next. Jobs and devices by number, versions by their place in the setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Create {
        job: usize,
    },
    Report {
        device: usize,
        module: usize,
        version: usize,
    },
    Delete {
        device: usize,
    },
    Confirm {
        job: usize,
        device: usize,
    },
    Push {
        job: usize,
        device: usize,
    },
    PushLost {
        job: usize,
        device: usize,
    },
    Pull {
        job: usize,
        device: usize,
    },
    Progress {
        job: usize,
        device: usize,
        step: i32,
    },
    CancelOne {
        job: usize,
        device: usize,
    },
    Reupgrade {
        job: usize,
        device: usize,
    },
    /// The call is answered; nothing is carried out yet.
    Cancel {
        job: usize,
        statuses: StatusSet,
    },
    CarryOut {
        job: usize,
    },
    CancelPolicy {
        job: usize,
    },
    /// Time passes up to the next deadline.
    Wait,
    SetBack,
    /// The scheduler sees what is due.
    PlayTask {
        job: usize,
        device: usize,
    },
    PlayJob {
        job: usize,
    },
}

/// What an act made of a task, for the rules that look at single steps.
pub struct Step {
    pub before: Rc<Task>,
    pub after: Rc<Task>,
    pub told: bool,
    pub reupgraded: bool,
    pub canceled_before: bool,
    pub at: Timestamp,
    /// What the device had reported last.
    pub version: Option<Version>,
}

#[derive(Clone)]
pub struct World<'a> {
    pub setup: &'a Setup,
    pub now: Timestamp,
    pub stepped: bool,
    /// Reported version by device and module.
    pub versions: [[Option<usize>; JOBS]; DEVICES],
    pub deleted: [bool; DEVICES],
    pub jobs: [Option<Rc<Job>>; JOBS],
    pub counts: [Counts; JOBS],
    pub tasks: [[Option<Rc<Task>>; DEVICES]; JOBS],
}

impl<'a> World<'a> {
    /// Two devices at 1.0, one that has never reported.
    pub fn new(setup: &'a Setup) -> Self {
        Self {
            setup,
            now: START,
            stepped: false,
            versions: [[Some(0); JOBS], [Some(0); JOBS], [None; JOBS]],
            deleted: [false; DEVICES],
            jobs: [None, None],
            counts: [Counts::default(); JOBS],
            tasks: [const { [const { None }; DEVICES] }; JOBS],
        }
    }

    /// The place of a job's module among the versions of a device.
    pub fn module(&self, job: usize) -> usize {
        usize::from(self.setup.jobs[job].module != self.setup.jobs[0].module)
    }

    pub fn version(&self, job: usize, device: usize) -> Option<&'a Version> {
        self.versions[device][self.module(job)].map(|nth| &self.setup.versions[nth])
    }

    /// The event in the core's words reaches a task: a cancel that was answered comes first.
    fn meet(&mut self, job: usize, device: usize, event: Event<'_>, steps: &mut Vec<Step>) {
        let Some(before) = self.tasks[job][device].clone() else { return };
        let row = self.jobs[job].clone().expect("a task has a job");
        let cause = row
            .sweep
            .filter(|sweep| sweep.covers(before.status, before.modified_at, self.now))
            .map(|sweep| sweep.cause);
        let event = cause.map_or(event, Event::Canceled);
        let verdict = (self.setup.decide)(&before, event, self.setup.jobs[job].plan(), self.now);
        let (after, told) = match verdict {
            Verdict::Ignored(_) => return,
            Verdict::Changed(task) | Verdict::Ready(task) => (task, false),
            Verdict::Tell(task) => (task, true),
        };
        self.counts[job].add(before.status, -1);
        self.counts[job].add(after.status, 1);
        let ended = before.status.is_unfinished() && !after.status.is_unfinished();
        let by_call = after.reason == Reason::CanceledByUser;
        let after = Rc::new(after);
        steps.push(Step {
            before,
            after: Rc::clone(&after),
            told,
            reupgraded: matches!(event, Event::Reupgraded { .. }),
            canceled_before: cause.is_some(),
            at: self.now,
            version: self.version(job, device).cloned(),
        });
        self.tasks[job][device] = Some(after);
        if ended {
            self.settle(job, by_call);
        }
    }

    fn settle(&mut self, job: usize, by_call: bool) {
        let row = self.jobs[job].as_ref().expect("it was created");
        if self.counts[job].unfinished() > 0 || row.is_dynamic() {
            return;
        }
        self.move_job(job, if by_call { JobEvent::AllCanceled } else { JobEvent::AllEnded });
    }

    fn move_job(&mut self, job: usize, event: JobEvent) {
        let now = self.now;
        let row = self.job_mut(job);
        if let Some(status) = row.status.next(event) {
            row.status = status;
            row.ended_at = status.is_ended().then_some(now);
            if event == JobEvent::Started {
                row.started_at = Some(now);
            }
        }
    }

    fn job_mut(&mut self, job: usize) -> &mut Job {
        Rc::make_mut(self.jobs[job].as_mut().expect("it was created"))
    }

    fn claim(&self, job: usize) -> Claim<'a> {
        let setup = &self.setup.jobs[job];
        Claim {
            module: &setup.module,
            multi_module: setup.policy.multi_module,
            overwrite: setup.policy.overwrite,
        }
    }

    /// What becomes of the other job's task of a device when `job` wants it.
    fn conflict(&self, job: usize, device: usize) -> Conflict {
        let other = 1 - job;
        let setup = &self.setup.jobs[other];
        match &self.tasks[other][device] {
            Some(task) if task.status.is_unfinished() => conflict(
                self.claim(job),
                Holder {
                    status: task.status,
                    module: &setup.module,
                    multi_module: setup.policy.multi_module,
                },
            ),
            _ => Conflict::None,
        }
    }

    /// Whether a cancel that was answered has not reached the task yet.
    pub fn is_canceled(&self, job: usize, device: usize) -> bool {
        let sweep = self.jobs[job].as_ref().and_then(|job| job.sweep);
        self.tasks[job][device]
            .as_ref()
            .zip(sweep)
            .is_some_and(|(task, sweep)| sweep.covers(task.status, task.modified_at, self.now))
    }

    fn fits(&self, job: usize, device: usize) -> bool {
        let setup = &self.setup.jobs[job];
        let version = self.version(job, device);
        !self.deleted[device]
            && fit(version, &setup.dest, setup.delta_src.as_ref(), &[]) == Fit::Fits
    }

    fn create(&mut self, job: usize, steps: &mut Vec<Step>) {
        let row = self.setup.jobs[job].create(job, self.now);
        let id = row.id.clone();
        self.jobs[job] = Some(Rc::new(row));
        for device in 0..DEVICES {
            if !self.fits(job, device) {
                continue;
            }
            if self.is_canceled(1 - job, device) {
                self.meet(1 - job, device, Event::Canceled(CancelCause::User), steps);
            }
            let conflict = self.conflict(job, device);
            if conflict == Conflict::Replace {
                self.meet(1 - job, device, Event::Overwritten { by: &id }, steps);
            }
            let task = self.new_task(job, device, conflict == Conflict::Fail);
            self.counts[job].add(task.status, 1);
            self.tasks[job][device] = Some(Rc::new(task));
        }
        if self.counts[job].total() > 0 {
            self.settle(job, false);
        }
    }

    fn new_task(&self, job: usize, device: usize, blocked: bool) -> Task {
        let policy = &self.setup.jobs[job].policy;
        let (status, reason) = match (blocked, policy.need_confirm) {
            (true, _) => (TaskStatus::Failed, Reason::Busy),
            (false, true) => (TaskStatus::Confirm, Reason::None),
            (false, false) => (TaskStatus::Queued, Reason::None),
        };
        let number = i64::try_from(job * DEVICES + device).expect("a small number");
        Task {
            no: TaskNo(number),
            job: JobNo(i64::try_from(job).expect("one of two")),
            device: DeviceNo(i64::try_from(device).expect("one of three")),
            status,
            progress: 0,
            failed_tries: 0,
            told: false,
            retry_at: None,
            timeout_at: None,
            reason,
            modified_at: self.now,
            id: TaskId::generate(number.unsigned_abs().into()),
            src: self.version(job, device).cloned(),
            description: reason.sentence().to_owned(),
            timeout_minutes: policy.timeout_minutes,
            created_at: self.now,
            ended_at: blocked.then_some(self.now),
        }
    }

    /// The next moment at which time does anything.
    pub fn next_due(&self) -> Option<Timestamp> {
        let tasks = self.tasks.iter().flatten().flatten().filter_map(|task| task.due_at());
        let jobs = self.jobs.iter().flatten().filter_map(|job| job.due_at());
        tasks.chain(jobs).filter(|&at| at > self.now).min()
    }

    fn reupgrade(&mut self, job: usize, device: usize, steps: &mut Vec<Step>) {
        let row = self.jobs[job].clone().expect("it was created");
        let ended = self.tasks[job][device]
            .as_ref()
            .is_some_and(|task| matches!(task.status, TaskStatus::Failed | TaskStatus::Canceled));
        let canceled = self.is_canceled(job, device);
        let refused = !(ended || canceled)
            || row.status == JobStatus::Canceled && (row.is_dynamic() || row.started_at.is_none())
            || row.status == JobStatus::Planned && row.sweep.is_some()
            || row.finish_at.is_some_and(|at| at <= self.now)
            || !self.fits(job, device)
            || self.conflict(job, device) != Conflict::None;
        if refused {
            return;
        }
        if canceled {
            self.meet(job, device, Event::Canceled(CancelCause::User), steps);
        }
        self.move_job(job, JobEvent::Reopened);
        let version = self.version(job, device);
        self.meet(job, device, Event::Reupgraded { version }, steps);
        self.settle(job, false);
    }

    fn carry_out(&mut self, job: usize, steps: &mut Vec<Step>) {
        let row = self.jobs[job].clone().expect("it was created");
        let Some(sweep) = row.sweep else { return };
        for device in 0..DEVICES {
            if self.is_canceled(job, device) {
                self.meet(job, device, Event::Canceled(sweep.cause), steps);
            }
        }
        self.job_mut(job).sweep = None;
        if sweep.cause != CancelCause::User && self.counts[job].total() > 0 {
            self.settle(job, false);
        }
    }

    fn cancel(&mut self, job: usize, statuses: StatusSet, cause: CancelCause) {
        let now = self.now;
        let row = self.job_mut(job);
        let earlier = row.sweep.map_or(StatusSet::default(), |sweep| sweep.cancels);
        let cancels = StatusSet::from_bits(statuses.bits() | earlier.bits());
        row.sweep = Some(Sweep { cancels, cause, at: now, after: 0 });
    }

    fn play_job(&mut self, job: usize) {
        let row = self.jobs[job].clone().expect("it was created");
        match row.status {
            JobStatus::Planned if row.schedule_at.is_some_and(|at| at <= self.now) => {
                self.move_job(job, JobEvent::Started);
                self.settle(job, false);
            }
            JobStatus::InProgress
                if row.finish_at.is_some_and(|at| at <= self.now) && !row.finish_played =>
            {
                self.job_mut(job).finish_played = true;
                self.cancel(job, StatusSet::PENDING, CancelCause::ScheduleFinished);
            }
            _ => {}
        }
    }

    pub fn is_open(&self, job: usize) -> bool {
        self.jobs[job].as_ref().is_some_and(|job| job.is_open(self.now))
    }

    /// Lets `act` happen; the steps are what tasks went through.
    pub fn play(&mut self, act: Act) -> Vec<Step> {
        let mut steps = Vec::new();
        match act {
            Act::Create { job } => self.create(job, &mut steps),
            Act::Report { device, module, version } => {
                self.versions[device][module] = Some(version);
                let version = &self.setup.versions[version];
                let open = |job: &usize| {
                    self.module(*job) == module
                        && self.tasks[*job][device]
                            .as_ref()
                            .is_some_and(|task| task.status.is_unfinished())
                };
                if let Some(job) = (0..JOBS).find(open) {
                    self.meet(job, device, Event::Reported { version }, &mut steps);
                }
            }
            Act::Delete { device } => {
                self.deleted[device] = true;
                for job in 0..JOBS {
                    let event = Event::Canceled(CancelCause::DeviceDeleted);
                    self.meet(job, device, event, &mut steps);
                }
            }
            Act::Confirm { job, device } => {
                self.meet(job, device, Event::Confirmed, &mut steps);
            }
            Act::Push { job, device } => {
                let version = self.version(job, device);
                self.meet(job, device, Event::Push { version }, &mut steps);
            }
            Act::PushLost { job, device } => {
                self.meet(job, device, Event::PushLost, &mut steps);
            }
            Act::Pull { job, device } => {
                let version = self.version(job, device);
                self.meet(job, device, Event::Pull { version }, &mut steps);
            }
            Act::Progress { job, device, step } => {
                self.meet(job, device, Event::Progress { step, description: "" }, &mut steps);
            }
            Act::CancelOne { job, device } => {
                self.meet(job, device, Event::Canceled(CancelCause::User), &mut steps);
            }
            Act::Reupgrade { job, device } => self.reupgrade(job, device, &mut steps),
            Act::Cancel { job, statuses } => self.cancel(job, statuses, CancelCause::User),
            Act::CarryOut { job } => self.carry_out(job, &mut steps),
            Act::CancelPolicy { job } => self.move_job(job, JobEvent::PolicyCanceled),
            Act::Wait => self.now = self.next_due().unwrap_or(self.now),
            Act::SetBack => {
                self.stepped = true;
                self.now = self.now.plus_ms(-10 * MINUTE_MS);
            }
            Act::PlayTask { job, device } => self.meet(job, device, Event::Due, &mut steps),
            Act::PlayJob { job } => self.play_job(job),
        }
        steps
    }
}
