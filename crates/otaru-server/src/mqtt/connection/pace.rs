//! A connection on which more is said than its device may: see [`crate::mqtt::rates`].

use super::{Connection, Online};
use crate::metrics::Delayed;
use crate::mqtt::Devices;
use crate::mqtt::rates::Pace;
use otaru_mqtt::packet::Qos;

impl<D: Devices> Connection<D> {
    /// Whether something the device says at `qos` is within its rate; what is not goes nowhere.
    pub(super) fn is_within_rate(&mut self, qos: Qos) -> bool {
        let (devices, now_ms) = (self.devices(), self.now_ms());
        let mut is_within = true;
        self.pace(|pace, gateway| is_within = pace.hear(&gateway.rates, devices, qos, now_ms));
        is_within
    }

    pub(super) fn note_read(&mut self, bytes: usize) {
        let now_ms = self.now_ms();
        self.pace(|pace, gateway| pace.read(&gateway.rates, bytes, now_ms));
    }

    pub(super) fn note_written(&mut self, bytes: usize) {
        let now_ms = self.now_ms();
        self.pace(|pace, gateway| pace.written(&gateway.rates, bytes, now_ms));
    }

    pub(super) fn note_told(&mut self) {
        let (devices, now_ms) = (self.devices(), self.now_ms());
        self.pace(|pace, gateway| pace.tell(&gateway.rates, devices, now_ms));
    }

    /// Whether the device isn't read now, since it has said as much as it may.
    pub(super) fn is_deaf(&self) -> bool {
        self.online_pace().is_some_and(Pace::is_deaf)
    }

    /// Whether the device isn't told anything now that it has not asked for, since it has heard as much as it may.
    pub(super) fn is_mute(&self) -> bool {
        self.online_pace().is_some_and(Pace::is_mute)
    }

    pub(super) fn arm_pace(&mut self) {
        let Some(pace) = pace_of(&mut self.online) else { return };
        let clock = &self.gateway.clock;
        pace.arm(|at_ms| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep_until(at_ms).await })
        });
    }

    pub(super) fn paced(&mut self) {
        let now_ms = self.now_ms();
        if let Some(pace) = pace_of(&mut self.online) {
            pace.wake(now_ms);
        }
    }

    fn online_pace(&self) -> Option<&Pace> {
        self.online.as_ref()?.pace.as_deref()
    }

    /// Devices that share the connection: each sub-device brings the rates of a device along.
    fn devices(&self) -> u32 {
        let subs = self.subs.as_ref().map_or(0, |subs| subs.count());
        u32::try_from(subs).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Counts something of a device, when there are rates.
    fn pace(&mut self, count: impl FnOnce(&mut Pace, &crate::mqtt::Gateway<D>)) {
        if !self.gateway.rates.hold() {
            return;
        }
        let (devices, now_ms) = (self.devices(), self.now_ms());
        let (was_deaf, was_mute) = (self.is_deaf(), self.is_mute());
        let Some(online) = &mut self.online else { return };
        let new = || Box::new(Pace::new(&self.gateway.rates, devices, now_ms));
        count(online.pace.get_or_insert_with(new), &self.gateway);
        if (self.is_deaf() && !was_deaf) || (self.is_mute() && !was_mute) {
            self.metrics().delayed.count(Delayed::Rate);
        }
    }
}

pub(super) fn pace_of(online: &mut Option<Box<Online>>) -> Option<&mut Pace> {
    online.as_mut()?.pace.as_deref_mut()
}
