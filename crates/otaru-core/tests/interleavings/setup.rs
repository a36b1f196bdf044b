//! What a search starts from: two jobs over three devices, and how the jobs treat them.

use otaru_core::id::{AccountNo, JobId, JobNo, PackageNo, ProductNo};
use otaru_core::job::{DynamicMode, Job, JobKind, JobStatus, Selection};
use otaru_core::policy::{OverwriteMode, Policy, Retry};
use otaru_core::task::{Event, Plan, Task, Verdict, decide};
use otaru_core::time::{HOUR_MS, MINUTE_MS, Timestamp};
use otaru_core::version::{ModuleName, Version};

pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// The rule under test, or one that is broken on purpose.
pub type Decide = fn(&Task, Event<'_>, Plan<'_>, Timestamp) -> Verdict;

pub struct Setup {
    pub name: &'static str,
    pub jobs: [JobSetup; 2],
    /// Every version that a device can report.
    pub versions: Vec<Version>,
    /// Whether the wall clock may be set back by ten minutes, once.
    pub clock_steps: bool,
    pub decide: Decide,
}

pub struct JobSetup {
    pub policy: Policy,
    pub module: ModuleName,
    pub dest: Version,
    pub delta_src: Option<Version>,
    pub scheduled: bool,
    pub dynamic: bool,
}

impl JobSetup {
    fn to(dest: &str, policy: Policy) -> Self {
        Self {
            policy,
            module: ModuleName::default(),
            dest: version(dest),
            delta_src: None,
            scheduled: false,
            dynamic: false,
        }
    }

    pub fn plan(&self) -> Plan<'_> {
        Plan {
            policy: &self.policy,
            dest: &self.dest,
            delta_src: self.delta_src.as_ref(),
            src_versions: &[],
        }
    }

    /// The job as its creation at `now` leaves it.
    pub fn create(&self, no: usize, now: Timestamp) -> Job {
        let number = i64::try_from(no).expect("one of two");
        let schedule_at = self.scheduled.then(|| now.plus_ms(5 * MINUTE_MS));
        Job {
            no: JobNo(number),
            account: AccountNo(1),
            product: ProductNo(1),
            package: PackageNo(number),
            id: JobId::generate(no as u128 + 1),
            kind: JobKind::Upgrade,
            selection: if self.dynamic {
                Selection::Dynamic(DynamicMode::CurrentAndLater)
            } else {
                Selection::All
            },
            group: None,
            src_versions: Vec::new(),
            policy: self.policy.clone(),
            status: if self.scheduled { JobStatus::Planned } else { JobStatus::InProgress },
            created_at: now,
            modified_at: now,
            started_at: (!self.scheduled).then_some(now),
            ended_at: None,
            schedule_at,
            finish_at: schedule_at.map(|at| at.plus_ms(HOUR_MS)),
            finish_played: false,
            fill: None,
            list: None,
            sweep: None,
            bucket: None,
        }
    }
}

pub fn version(text: &str) -> Version {
    Version::parse(text).expect("a version")
}

fn retrying(count: u32) -> Policy {
    Policy { retry: Some(Retry { interval_minutes: 10, count }), ..Policy::default() }
}

/// The policies whose interplay is searched.
pub fn all() -> Vec<Setup> {
    let plain = Policy::default;
    let timed = |policy| Policy { timeout_minutes: Some(60), ..policy };
    let replacing = |policy| Policy { overwrite: OverwriteMode::Replace, ..policy };
    let multi = |policy| Policy { multi_module: true, ..policy };
    let asking = |policy| Policy { need_confirm: true, ..policy };
    let quiet = |policy| Policy { need_push: false, ..policy };
    let job = JobSetup::to;
    let scheduled = |policy| JobSetup { scheduled: true, ..job("2.0", policy) };
    let mcu = |policy| JobSetup {
        module: ModuleName::parse("mcu").expect("a name"),
        ..job("3.0", policy)
    };
    let setup = |name, one, two| Setup {
        name,
        jobs: [one, two],
        versions: ["1.0", "2.0", "3.0", "9.9"].map(version).to_vec(),
        clock_steps: false,
        decide,
    };
    vec![
        setup("the old task is kept", job("2.0", timed(retrying(1))), job("3.0", plain())),
        setup(
            "the old task is replaced",
            job("2.0", timed(retrying(1))),
            job("3.0", replacing(timed(plain()))),
        ),
        setup("two modules", job("2.0", multi(timed(plain()))), mcu(multi(retrying(1)))),
        setup("one module of two jobs", job("2.0", multi(plain())), job("3.0", multi(plain()))),
        setup(
            "consent, and devices that ask",
            job("2.0", asking(retrying(1))),
            job("3.0", quiet(replacing(timed(plain())))),
        ),
        setup(
            "a schedule",
            scheduled(asking(timed(plain()))),
            JobSetup { delta_src: Some(version("1.0")), ..job("3.0", replacing(plain())) },
        ),
        Setup {
            clock_steps: true,
            ..setup("a clock that is set back", scheduled(retrying(2)), job("3.0", timed(plain())))
        },
        setup(
            "a standing policy",
            JobSetup { dynamic: true, ..job("2.0", timed(plain())) },
            job("3.0", replacing(retrying(1))),
        ),
    ]
}
