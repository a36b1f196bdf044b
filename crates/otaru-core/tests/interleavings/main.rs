//! All interleavings of two jobs, three devices and every event, to a bounded depth.
//!
//! `OTARU_INTERLEAVING_DEPTH` says how many events are played one after the other (default 4; each more takes about ten
//! times as long).

mod rules;
mod search;
mod setup;
mod world;

use otaru_core::task::{CancelCause, Event, Task, TaskStatus, Verdict, decide};
use otaru_core::time::Timestamp;
use search::search;
use setup::{Decide, Setup};

const DEPTH: u32 = 4;

fn depth() -> u32 {
    match std::env::var("OTARU_INTERLEAVING_DEPTH") {
        Ok(text) => text.parse().expect("OTARU_INTERLEAVING_DEPTH is a number"),
        Err(_) => DEPTH,
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "how far it went is part of the result")]
fn no_order_of_events_breaks_a_rule_or_leads_to_a_dead_end() {
    for setup in setup::all() {
        let extent = search(&setup, depth()).unwrap_or_else(|broken| panic!("{broken}"));
        println!("{}: {extent:?}", setup.name);
        assert_eq!(extent.depth, depth());
    }
}

/// Rules that are broken on purpose, each in one way.
const BROKEN: &[(&str, Decide)] = &[
    ("a late report revives a canceled task", |task, event, plan, now| {
        if task.status == TaskStatus::Canceled && matches!(event, Event::Progress { .. }) {
            let task = Task { status: TaskStatus::InProgress, ended_at: None, ..task.clone() };
            return Verdict::Changed(task);
        }
        decide(task, event, plan, now)
    }),
    ("a timeout never comes", |task, event, plan, now| {
        if matches!(event, Event::Due) && task.timeout_at.is_some_and(|at| at <= now) {
            return Verdict::Ignored("not now");
        }
        decide(task, event, plan, now)
    }),
    ("step 100 is a success", |task, event, plan, now| match event {
        Event::Progress { step: 100, .. } => {
            decide(task, Event::Reported { version: plan.dest }, plan, now)
        }
        _ => decide(task, event, plan, now),
    }),
    ("a task that waits for consent can't be canceled", |task, event, plan, now| {
        if task.status == TaskStatus::Confirm && matches!(event, Event::Canceled(_)) {
            return Verdict::Ignored("it waits");
        }
        decide(task, event, plan, now)
    }),
    ("an old task is never overwritten", |task, event, plan, now| match event {
        Event::Overwritten { .. } => Verdict::Ignored("it was first"),
        _ => decide(task, event, plan, now),
    }),
    ("a pull is answered before the consent", |task, event, plan, now| {
        match (task.status, event) {
            (TaskStatus::Confirm, Event::Pull { .. }) => {
                Verdict::Tell(Task { status: TaskStatus::Notified, told: true, ..task.clone() })
            }
            _ => decide(task, event, plan, now),
        }
    }),
    ("each report starts the timeout again", |task, event, plan, now| match event {
        Event::Progress { .. } => {
            let later = Timestamp(now.0 + 1);
            decide(&Task { timeout_at: None, ..task.clone() }, event, plan, later)
        }
        _ => decide(task, event, plan, now),
    }),
    ("a failed try is never the last", |task, event, plan, now| match event {
        Event::Progress { step: -2, .. } => {
            let first = Task { failed_tries: 0, ..task.clone() };
            match decide(&first, event, plan, now) {
                Verdict::Changed(after) => {
                    Verdict::Changed(Task { failed_tries: task.failed_tries + 1, ..after })
                }
                verdict => verdict,
            }
        }
        _ => decide(task, event, plan, now),
    }),
    ("an end by cancel gives no reason", |task, event, plan, now| {
        match decide(task, event, plan, now) {
            Verdict::Changed(after) if matches!(event, Event::Canceled(CancelCause::User)) => {
                Verdict::Changed(Task { description: String::new(), ..after })
            }
            verdict => verdict,
        }
    }),
    ("an ended task keeps its deadline", |task, event, plan, now| {
        match decide(task, event, plan, now) {
            Verdict::Changed(after) if !after.status.is_unfinished() => {
                Verdict::Changed(Task { timeout_at: task.timeout_at, ..after })
            }
            verdict => verdict,
        }
    }),
];

#[test]
fn every_broken_rule_is_found() {
    for &(what, decide) in BROKEN {
        let found = setup::all().into_iter().any(|setup| {
            let setup = Setup { decide, ..setup };
            search(&setup, DEPTH).is_err()
        });
        assert!(found, "nobody notices that {what}");
    }
}
