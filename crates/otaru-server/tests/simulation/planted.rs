//! Whether the simulation would notice: bugs are planted in the node, one after the other, and seeds run until one is
//! found to be broken.

use crate::number_from_env;
use crate::scenario;
use otaru_server::planted::{Bug, plant};

/// Seeds that a bug may hide from at most. `OTARU_BUG_SEEDS` says otherwise.
const SEEDS: u64 = 30;

pub fn every_planted_bug_is_found() {
    let seeds = number_from_env("OTARU_BUG_SEEDS").unwrap_or(SEEDS);
    let mut hidden = Vec::new();
    for bug in Bug::ALL {
        plant(Some(bug));
        let broken = (1..=seeds).map(|seed| (seed, scenario::run(seed, false)));
        let found = broken.into_iter().find(|(_, outcome)| !outcome.broken.is_empty());
        plant(None);
        match found {
            Some((seed, outcome)) => {
                let what: String = outcome.broken[0].chars().take(120).collect();
                println!("bug {}, {bug:?}: seed {seed}: {what}", bug as u8);
            }
            None => hidden.push(bug),
        }
    }
    assert!(hidden.is_empty(), "not found within {seeds} seeds: {hidden:?}");
}
