//! The devices themselves: the end of a scenario relies on them.

use crate::chance::Chance;
use crate::device::{Act, Device, Input};

/// Plays a node that takes every connection and tells every device, once it has reported, to go to 2.0.0.
fn reports_of(mut device: Device, behaves: bool) -> Vec<String> {
    let mut reports = Vec::new();
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
                    let Some(version) = publish.version else { continue };
                    if version != "2.0.0" {
                        acts.extend(device.on(Input::Told { dest: "2.0.0".into() }, now));
                    }
                    reports.push(version);
                }
                Act::Babble(_) | Act::Leave | Act::Cut | Act::Vanish => {}
            }
        }
    }
    reports
}

pub fn a_device_that_behaves_reports_the_version_it_was_told_to_go_to() {
    for seed in 0..200 {
        let device = Device::new("key", "device-0001", "1.0.0", Chance::new(seed));
        let reports = reports_of(device, true);
        assert!(reports.len() >= 2, "seed {seed}: {reports:?}");
        assert!(
            reports[0] == "1.0.0" && reports[1..].iter().all(|v| v == "2.0.0"),
            "seed {seed}: {reports:?}"
        );
    }
}

pub fn devices_repeat_themselves_from_their_seed_and_differ_from_each_other() {
    let reports =
        |seed| reports_of(Device::new("key", "device-0001", "1.0.0", Chance::new(seed)), false);
    let all: Vec<_> = (0..200).map(reports).collect();
    assert!((0..200).zip(&all).all(|(seed, before)| reports(seed) == *before));
    assert!(all.iter().any(Vec::is_empty), "some never report");
    assert!(all.iter().flatten().any(|v| v == "9.9.9"), "some go astray");
}
