//! A whole node on simulated time: devices that misbehave, a disk that forgets, a node that crashes, all from a seed.
//!
//! `OTARU_SIM_SECONDS` is how long seeds are run (default 20). `OTARU_SIM_SEED` runs one seed and prints all of it.
//! `OTARU_SIM_DEVICES` is how many devices each has, 60 to 300 without it.

#![allow(clippy::print_stdout, reason = "this target is its own test runner")]

mod chance;
mod device;
mod device_tests;
mod disk;
mod disk_tests;
mod fault;
mod fleet;
mod invariants;
mod messages;
mod node;
mod plan;
#[cfg(feature = "planted-bugs")]
mod planted;
mod points;
mod scenario;
mod terms;
mod trace;
mod vfs;
mod witness;

use scenario::{Outcome, Tally};
use std::panic::catch_unwind;
use std::process::ExitCode;

const TESTS: &[(&str, fn())] = &[
    (
        "a_table_survives_a_crash_exactly_as_committed",
        disk_tests::a_table_survives_a_crash_exactly_as_committed,
    ),
    (
        "without_syncs_a_crash_loses_what_was_committed",
        disk_tests::without_syncs_a_crash_loses_what_was_committed,
    ),
    (
        "a_reader_keeps_its_snapshot_and_a_second_writer_waits",
        disk_tests::a_reader_keeps_its_snapshot_and_a_second_writer_waits,
    ),
    (
        "a_connection_from_before_the_crash_can_do_nothing",
        disk_tests::a_connection_from_before_the_crash_can_do_nothing,
    ),
    (
        "power_that_fails_during_a_commit_loses_that_one_at_most",
        disk_tests::power_that_fails_during_a_commit_loses_that_one_at_most,
    ),
    (
        "a_device_that_behaves_reports_the_version_it_was_told_to_go_to",
        device_tests::a_device_that_behaves_reports_the_version_it_was_told_to_go_to,
    ),
    (
        "devices_repeat_themselves_from_their_seed_and_differ_from_each_other",
        device_tests::devices_repeat_themselves_from_their_seed_and_differ_from_each_other,
    ),
    (
        "a_message_that_breaks_a_jobs_terms_is_noticed",
        terms::a_message_that_breaks_a_jobs_terms_is_noticed,
    ),
    ("a_fault_at_any_write_loses_nothing", points::a_fault_at_any_write_loses_nothing),
    (
        "a_disk_that_fails_for_a_while_is_outlived_without_a_restart",
        points::a_disk_that_fails_for_a_while_is_outlived_without_a_restart,
    ),
    (
        "a_clock_that_is_set_back_or_forward_loses_nothing",
        points::a_clock_that_is_set_back_or_forward_loses_nothing,
    ),
    #[cfg(feature = "planted-bugs")]
    ("every_planted_bug_is_found", planted::every_planted_bug_is_found),
    ("a_seed_repeats_itself", a_seed_repeats_itself),
    (SEEDS, seeds_hold_the_invariants),
];

const SEEDS: &str = "seeds_hold_the_invariants";

fn main() -> ExitCode {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let one_seed = std::env::var("OTARU_SIM_SEED").is_ok();
    let wanted = |name: &str| {
        let named = filters.is_empty() || filters.iter().any(|filter| name.contains(&**filter));
        named && (!one_seed || name == SEEDS)
    };
    let (mut passed, mut failed) = (0, 0);
    for &(name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let ok = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *(if ok { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

fn a_seed_repeats_itself() {
    let (one, two) = (scenario::run(1, false), scenario::run(1, false));
    assert_eq!(one.fingerprint, two.fingerprint, "lines and digest of two runs of seed 1");
}

#[allow(
    clippy::disallowed_methods,
    reason = "how many seeds are run is no part of what a seed does"
)]
fn seeds_hold_the_invariants() {
    if let Some(seed) = number_from_env("OTARU_SIM_SEED") {
        judge(seed, &scenario::run(seed, true));
        return;
    }
    let share = std::time::Duration::from_secs(number_from_env("OTARU_SIM_SECONDS").unwrap_or(20));
    let start = std::time::Instant::now();
    let (mut seeds, mut total) = (0_u64, Tally::default());
    while seeds == 0 || start.elapsed() < share {
        seeds += 1;
        let outcome = scenario::run(seeds, false);
        total.add(outcome.tally);
        judge(seeds, &outcome);
    }
    let Tally {
        simulated_ms,
        crashes,
        faults,
        devices,
        jobs,
        pushes,
        succeeded,
        failed,
        canceled,
        side_by_side,
        streamed,
    } = total;
    let hours = simulated_ms / 3_600_000;
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    let times = simulated_ms as f64 / 1_000.0 / seconds;
    println!(
        "simulation: {seeds} seeds, {hours} simulated hours in {seconds:.1} s, {times:.0} times real time, {faults} faults \
         of the disk, {crashes} crashes, {devices} devices, \
         {jobs} jobs, {pushes} pushes, tasks: {succeeded} succeeded, {failed} failed, {canceled} canceled; {streamed} packages by MQTT, \
         {side_by_side} times two modules at once"
    );
}

fn judge(seed: u64, outcome: &Outcome) {
    if outcome.broken.is_empty() {
        return;
    }
    for line in &outcome.tail {
        println!("  {line}");
    }
    panic!("seed {seed} (run it alone with OTARU_SIM_SEED={seed}): {}", outcome.broken[0]);
}
