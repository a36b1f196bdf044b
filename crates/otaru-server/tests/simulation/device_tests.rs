//! The devices themselves: the end of a scenario relies on them.

use crate::chance::Chance;
use crate::device::{Act, Device, Input};
use crate::plan::MODULES;

const FIRST: [&str; MODULES.len()] = ["1.0.0", "m1"];
const TARGETS: [&str; MODULES.len()] = ["2.0.0", "m2"];

/// Plays a node that takes every connection and tells every device, once it has reported a module, where to go with it.
fn reports_of(mut device: Device, behaves: bool) -> [Vec<String>; MODULES.len()] {
    let mut reports = <[Vec<String>; MODULES.len()]>::default();
    let mut now = 0;
    if behaves {
        device.behave(now);
    }
    while let Some(at) = device.wake_at()
        && at < 3_600_000
    {
        now = at;
        let mut acts = device.on(Input::Woken, now);
        while let Some(act) = acts.pop() {
            match act {
                Act::Connect => acts.extend(device.on(Input::Connected, now)),
                Act::Publish(publish) => {
                    let Some((part, version)) = publish.version else { continue };
                    if version != TARGETS[part] {
                        let told = Input::Told { part, dest: TARGETS[part].into() };
                        acts.extend(device.on(told, now));
                    }
                    reports[part].push(version);
                }
                Act::Babble(_) | Act::Leave | Act::Cut | Act::Vanish => {}
            }
        }
    }
    reports
}

pub fn a_device_that_behaves_reports_the_version_it_was_told_to_go_to() {
    for seed in 0..200 {
        let device = Device::new("key", "device-0001", FIRST, Chance::new(seed));
        let reports = reports_of(device, true);
        for (part, reports) in reports.iter().enumerate() {
            let is_told = |version: &&String| *version == FIRST[part];
            let then = reports.iter().skip_while(is_told).collect::<Vec<_>>();
            assert!(then.len() < reports.len(), "seed {seed}: {reports:?}");
            assert!(!then.is_empty(), "seed {seed}: {reports:?}");
            assert!(then.iter().all(|v| *v == TARGETS[part]), "seed {seed}: {reports:?}");
        }
    }
}

pub fn devices_repeat_themselves_from_their_seed_and_differ_from_each_other() {
    let reports =
        |seed| reports_of(Device::new("key", "device-0001", FIRST, Chance::new(seed)), false);
    let all: Vec<_> = (0..200).map(reports).collect();
    assert!((0..200).zip(&all).all(|(seed, before)| reports(seed) == *before));
    assert!(all.iter().any(|parts| parts.iter().all(Vec::is_empty)), "some never report");
    assert!(all.iter().flatten().flatten().any(|v| v == "9.9.9"), "some go astray");
}
