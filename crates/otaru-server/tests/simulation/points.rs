//! Every point at which a campaign writes, syncs, truncates or deletes: a fault at each, one run per fault.
//!
//! `OTARU_POINT_SECONDS` is how long runs are made (default 15), spread over all points; `all` makes every one.
//! `OTARU_POINT=CHANGE,FAULT,LOSS`, as a failure prints it, makes that one and prints all of it.

use crate::disk::Loss;
use crate::fault::Fault;
use crate::scenario::{At, Run, Trouble, run_campaign};

/// One fault of each kind, a failing power with each loss.
fn faults() -> Vec<(Fault, Loss)> {
    let power = Loss::ALL.map(|loss| (Fault::Power, loss));
    let errors = Fault::ALL.into_iter().filter(|&fault| fault != Fault::Power);
    power.into_iter().chain(errors.map(|fault| (fault, Loss::All))).collect()
}

fn name_of(at: At) -> String {
    let At { change, fault, loss } = at;
    format!(
        "a fault at change {change} (run it alone with OTARU_POINT={change},{fault:?},{loss:?})"
    )
}

fn judge(at: Option<At>, run: &Run) {
    if run.broken.is_empty() {
        return;
    }
    for line in &run.tail {
        println!("  {line}");
    }
    panic!("{}: {}", at.map_or_else(|| "without a fault".to_owned(), name_of), run.broken[0]);
}

fn named() -> Option<At> {
    let text = std::env::var("OTARU_POINT").ok()?;
    let parts: Vec<&str> = text.split(',').collect();
    let faults = faults();
    let found = match parts[..] {
        [change, fault, loss] => faults
            .iter()
            .find(|(f, l)| format!("{f:?}") == fault && format!("{l:?}") == loss)
            .zip(change.parse().ok()),
        _ => None,
    };
    let (&(fault, loss), change) =
        found.unwrap_or_else(|| panic!("OTARU_POINT is CHANGE,FAULT,LOSS, not `{text}`"));
    Some(At { change, fault, loss })
}

#[allow(
    clippy::disallowed_methods,
    reason = "how many runs are made is no part of what a run does"
)]
pub fn a_fault_at_any_write_loses_nothing() {
    if let Some(at) = named() {
        return judge(Some(at), &run_campaign(Trouble::At(at), true));
    }
    let start = std::time::Instant::now();
    let whole = run_campaign(Trouble::None, false);
    judge(None, &whole);
    let again = run_campaign(Trouble::None, false);
    assert_eq!(whole.changes, again.changes, "the campaign repeats itself");
    let faults = faults();
    let total = whole.changes * faults.len() as u64;
    let seconds = match std::env::var("OTARU_POINT_SECONDS").as_deref() {
        Ok("all") => u64::MAX,
        Ok(text) => text.parse().expect("OTARU_POINT_SECONDS is a number or `all`"),
        Err(_) => 15,
    };
    // Steps that share no factor with the total visit everything once, and spread what a share of it visits.
    let mut stride = total * 618 / 1_000;
    while divisor(stride, total) != 1 {
        stride += 1;
    }
    let (mut runs, mut simulated_ms, mut injected) = (0, 0, 0);
    while runs < total && (runs == 0 || start.elapsed().as_secs() < seconds) {
        let nth = runs * stride % total;
        let (fault, loss) = faults[usize::try_from(nth % faults.len() as u64).expect("a few")];
        let at = At { change: nth / faults.len() as u64 + 1, fault, loss };
        let run = std::panic::catch_unwind(|| run_campaign(Trouble::At(at), false));
        let run = run.unwrap_or_else(|_| panic!("{}", name_of(at)));
        judge(Some(at), &run);
        assert!(run.injected > 0, "{at:?} met nothing");
        runs += 1;
        simulated_ms += run.simulated_ms;
        injected += run.injected;
        if runs.is_multiple_of(1_000) {
            println!("points: {runs} of {total} runs, nothing was lost");
        }
    }
    let spent = start.elapsed().as_secs_f64();
    println!(
        "points: {runs} of {total} runs ({} writes, syncs, truncations and deletions, {} faults each), {injected} faults \
         injected, {} simulated hours in {spent:.1} s",
        whole.changes,
        faults.len(),
        simulated_ms / 3_600_000,
    );
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn bears(trouble: Trouble) -> Run {
    let run = run_campaign(trouble, false);
    for line in run.tail.iter().filter(|_| !run.broken.is_empty()) {
        println!("  {line}");
    }
    assert_eq!(run.broken.first(), None, "{trouble:?}");
    assert_eq!(run.crashes, 1, "{trouble:?}: it recovers without a restart");
    run
}

pub fn a_disk_that_fails_for_a_while_is_outlived_without_a_restart() {
    for fault in [Fault::Full, Fault::Error, Fault::Half] {
        let run = bears(Trouble::Lasting(fault));
        assert!(run.injected > 10, "{fault:?} was met {} times", run.injected);
    }
}

pub fn a_clock_that_is_set_back_or_forward_loses_nothing() {
    const HOUR: i64 = 3_600_000;
    for hours in [-24, -3, 3, 24 * 400] {
        bears(Trouble::Clock(hours * HOUR));
    }
}
