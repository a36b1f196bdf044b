//! What a job's options promise about every message that tells a device of it.

use crate::plan::{JobPlan, MODULES, PACKAGES, Part};
use crate::witness::{DeviceIndex, JobTag, Witness};
use otaru_core::time::Timestamp;

/// What a push or the answer to a pull says.
pub struct Order {
    pub job: JobTag,
    pub part: Part,
    pub dest: String,
    /// The package is to be fetched over MQTT.
    pub streamed: bool,
}

impl Order {
    /// `None` when there is nothing to do.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let message: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let data = &message["data"];
        let module = data["module"].as_str().unwrap_or(MODULES[0]);
        Some(Self {
            job: data["extData"]["job"].as_str()?.parse().ok()?,
            part: MODULES.iter().position(|name| *name == module)?,
            dest: data["version"].as_str()?.to_owned(),
            streamed: data["streamId"].is_number() && data["url"].is_null(),
        })
    }
}

/// How long after the forced end of a job a message of it may be late: the end is played by the scheduler.
const LATE_MS: i64 = 1_000;

/// The options of a job, as far as they say when and how devices hear of it.
pub struct Terms {
    part: Part,
    dest: &'static str,
    need_push: bool,
    need_confirm: bool,
    streamed: bool,
    /// By the node's wall clock.
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
}

impl Terms {
    /// Of a job that is created at `wall`.
    pub fn of(plan: &JobPlan, wall: Timestamp) -> Self {
        let opens_at = plan.start_after.map(|minutes| wall.plus_minutes(minutes));
        Self {
            part: plan.part(),
            dest: PACKAGES[plan.package].dest,
            need_push: plan.need_push,
            need_confirm: plan.need_confirm,
            streamed: plan.streamed,
            opens_at,
            closes_at: opens_at
                .zip(plan.finish_after)
                .map(|(at, minutes)| at.plus_minutes(minutes)),
        }
    }

    /// The rule that a message breaks.
    fn broken_by(
        &self,
        order: &Order,
        pushed: bool,
        has_consent: bool,
        (earliest, latest): (Timestamp, Timestamp),
    ) -> Option<&'static str> {
        if (order.part, order.dest.as_str()) != (self.part, self.dest) {
            return Some("a job tells of its own package");
        }
        if order.streamed != self.streamed {
            return Some("a package comes the way its job says");
        }
        if pushed && !self.need_push {
            return Some("a job that waits for pulls is not pushed");
        }
        if self.need_confirm && !has_consent {
            return Some("nothing reaches a device without consent");
        }
        if self.opens_at.is_some_and(|at| latest < at) {
            return Some("nothing is told before the start");
        }
        if self.closes_at.is_some_and(|at| earliest > at.plus_ms(LATE_MS)) {
            return Some("nothing is told after the forced end");
        }
        None
    }
}

impl Witness {
    pub fn job_has_terms(&mut self, job: JobTag, terms: Terms) {
        self.terms.insert(job, terms);
    }

    /// Somebody may have consented to tasks of these jobs on these devices.
    pub fn consented(&mut self, tasks: impl Iterator<Item = (JobTag, DeviceIndex)>) {
        self.consents.extend(tasks);
    }

    /// The job's tasks may be started again, whatever its schedule said.
    pub(crate) fn terms_are_over(&mut self, job: JobTag) {
        if let Some(terms) = self.terms.get_mut(&job) {
            terms.closes_at = None;
        }
    }

    /// A push or the answer to a pull reached the device, said while the node's wall clock was between the two.
    pub fn ordered(
        &mut self,
        order: &Order,
        device: DeviceIndex,
        pushed: bool,
        walls: (Timestamp, Timestamp),
        at_ms: u64,
    ) {
        self.streamed += u64::from(order.streamed);
        let has_consent = self.consents.contains(&(order.job, device));
        let Some(terms) = self.terms.get(&order.job) else { return };
        if let Some(rule) = terms.broken_by(order, pushed, has_consent, walls) {
            let evidence = format!("job {} on device {device}, pushed: {pushed}", order.job);
            self.accuse(at_ms, rule, &evidence);
        }
    }
}

/// Each rule can be broken, by what breaks no other.
pub fn a_message_that_breaks_a_jobs_terms_is_noticed() {
    let wall = Timestamp(1_000_000_000);
    let at = |minute: i64| wall.plus_ms(minute * 60_000);
    let order = || Order { job: 1, part: 0, dest: "2.0.0".to_owned(), streamed: true };
    let terms = Terms {
        part: 0,
        dest: "2.0.0",
        need_push: false,
        need_confirm: true,
        streamed: true,
        opens_at: Some(at(6)),
        closes_at: Some(at(70)),
    };
    let cases = [
        (order(), false, true, 6, None),
        (order(), false, true, 70, None),
        (Order { part: 1, ..order() }, false, true, 6, Some("a job tells of its own package")),
        (
            Order { dest: "3.0.0".to_owned(), ..order() },
            false,
            true,
            6,
            Some("a job tells of its own package"),
        ),
        (
            Order { streamed: false, ..order() },
            false,
            true,
            6,
            Some("a package comes the way its job says"),
        ),
        (order(), true, true, 6, Some("a job that waits for pulls is not pushed")),
        (order(), false, false, 6, Some("nothing reaches a device without consent")),
        (order(), false, true, 5, Some("nothing is told before the start")),
        (order(), false, true, 71, Some("nothing is told after the forced end")),
    ];
    for (order, pushed, has_consent, minute, rule) in cases {
        let found = terms.broken_by(&order, pushed, has_consent, (at(minute), at(minute)));
        assert_eq!(found, rule, "minute {minute}, pushed: {pushed}, consent: {has_consent}");
    }
}
