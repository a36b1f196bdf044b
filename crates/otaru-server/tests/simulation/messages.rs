//! Messages that wait in sessions: what callers were promised, and what devices heard of it.

use crate::witness::{DeviceIndex, Witness};
use std::collections::{BTreeMap, BTreeSet};

/// Every which device keeps its session.
const KEEPS: usize = 3;

/// Whether a device wants its session kept.
pub fn keeps(device: DeviceIndex) -> bool {
    device.is_multiple_of(KEEPS)
}

/// The messages of one device, by the number that they carry.
#[derive(Default)]
struct Mail {
    /// Its subscription was acknowledged.
    subscribed: bool,
    promised: BTreeSet<u64>,
    heard: BTreeSet<u64>,
}

#[derive(Default)]
pub struct Messages {
    mail: BTreeMap<DeviceIndex, Mail>,
    last: u64,
}

impl Messages {
    /// Devices that hear every message from now on.
    pub fn subscribers(&self) -> Vec<DeviceIndex> {
        self.mail.iter().filter(|(_, mail)| mail.subscribed).map(|(&device, _)| device).collect()
    }

    /// The number of the next message.
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The call that sends a message to the device was answered.
    pub fn promised(&mut self, device: DeviceIndex, number: u64) {
        self.mail.entry(device).or_default().promised.insert(number);
    }

    /// Nothing is promised to the device any more.
    pub fn forget(&mut self, device: DeviceIndex) {
        self.mail.remove(&device);
    }

    pub fn subscribed(&mut self, device: DeviceIndex) {
        self.mail.entry(device).or_default().subscribed = true;
    }
}

impl Witness {
    /// The device was let in, and told whether it has a session.
    pub fn session_is_present(&mut self, device: DeviceIndex, present: bool, at_ms: u64) {
        let mail = self.messages.mail.entry(device).or_default();
        if mail.subscribed && !present {
            let evidence = format!("device {device} has none");
            self.accuse(at_ms, "a session outlives its connection", &evidence);
        }
    }

    /// A message reached the device.
    pub fn message_heard(&mut self, device: DeviceIndex, number: u64, at_ms: u64) {
        let mail = self.messages.mail.entry(device).or_default();
        let is_late = mail.heard.last().is_some_and(|&last| number < last);
        if mail.heard.insert(number) && is_late {
            let evidence = format!("device {device} hears of {number} only now");
            self.accuse(at_ms, "messages come in order", &evidence);
        }
    }

    /// Whether all devices have heard what they are to hear.
    pub fn has_heard_all(&self) -> bool {
        self.messages.mail.values().all(|mail| mail.promised.is_subset(&mail.heard))
    }

    pub fn check_messages(&mut self, at_ms: u64) {
        let lost: Vec<_> = self
            .messages
            .mail
            .iter()
            .filter_map(|(device, mail)| {
                let lost: Vec<_> = mail.promised.difference(&mail.heard).collect();
                (!lost.is_empty()).then(|| format!("device {device} never heard {lost:?}"))
            })
            .collect();
        for evidence in lost {
            self.accuse(at_ms, "a message that was answered is heard", &evidence);
        }
    }
}
