//! How much a device may say and hear: the table `[rates]`. What comes at QoS 0 beyond it is dropped, the rest waits, and nobody
//! is told. Source: the device protocol reference, MQTT transport, rates per device.

use crate::doors::Bucket;
use otaru_core::hash::Map;
use otaru_core::id::DeviceNo;
use otaru_mqtt::packet::Qos;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

/// Which rates hold that the operator doesn't name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateMode {
    /// None.
    #[default]
    Off,
    /// Those of the original.
    Original,
}

impl std::str::FromStr for RateMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "original" => Ok(Self::Original),
            _ => Err("neither off nor original"),
        }
    }
}

/// What the operator says of rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateChoice {
    pub mode: RateMode,
    pub uplink_qos0_per_second: Option<u32>,
    pub uplink_qos1_per_second: Option<u32>,
    pub downlink_per_second: Option<u32>,
    pub bytes_per_second: Option<u32>,
    pub connects_per_minute: Option<u32>,
    /// Devices whose connects are counted; those beyond are let in uncounted.
    pub connecting_devices_max: usize,
}

impl Default for RateChoice {
    fn default() -> Self {
        Self {
            mode: RateMode::Off,
            uplink_qos0_per_second: None,
            uplink_qos1_per_second: None,
            downlink_per_second: None,
            bytes_per_second: None,
            connects_per_minute: None,
            connecting_devices_max: 262_144,
        }
    }
}

/// Rates of one device. 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rates {
    qos0: u32,
    qos1: u32,
    down: u32,
    bytes: u32,
    connects_per_minute: u32,
}

impl Rates {
    const ORIGINAL: Self =
        Self { qos0: 30, qos1: 10, down: 50, bytes: 1_024 * 1_024, connects_per_minute: 5 };

    pub(super) fn of(choice: &RateChoice) -> Self {
        let usual = match choice.mode {
            RateMode::Off => Self::default(),
            RateMode::Original => Self::ORIGINAL,
        };
        Self {
            qos0: choice.uplink_qos0_per_second.unwrap_or(usual.qos0),
            qos1: choice.uplink_qos1_per_second.unwrap_or(usual.qos1),
            down: choice.downlink_per_second.unwrap_or(usual.down),
            bytes: choice.bytes_per_second.unwrap_or(usual.bytes),
            connects_per_minute: choice.connects_per_minute.unwrap_or(usual.connects_per_minute),
        }
    }

    /// Whether a connection has to be counted at all.
    pub(super) fn hold(&self) -> bool {
        [self.qos0, self.qos1, self.down, self.bytes].iter().any(|rate| *rate > 0)
    }
}

/// What is left of the rates of one connection. Only one on which something was said has it, when rates hold at all.
pub(super) struct Pace {
    qos0: Bucket,
    qos1: Bucket,
    down: Bucket,
    bytes_in: Bucket,
    bytes_out: Bucket,
    /// Until when the device isn't read; 0: it is.
    deaf_until_ms: u64,
    /// Until when it isn't told anything; 0: it is.
    mute_until_ms: u64,
    alarm: Option<(u64, Alarm)>,
}

/// Something that ends at a time.
pub(super) type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Pace {
    pub(super) fn new(rates: &Rates, devices: u32, now_ms: u64) -> Self {
        let full = |rate: u32| Bucket::full(rate.saturating_mul(devices), now_ms);
        Self {
            qos0: full(rates.qos0),
            qos1: full(rates.qos1),
            down: full(rates.down),
            bytes_in: Bucket::full(rates.bytes, now_ms),
            bytes_out: Bucket::full(rates.bytes, now_ms),
            deaf_until_ms: 0,
            mute_until_ms: 0,
            alarm: None,
        }
    }

    /// A message came; `devices`: as many share the connection. `false`: it is beyond the rate and goes nowhere. After the
    /// last one at QoS 1 that the rate allows, the device isn't read for a while.
    pub(super) fn hear(&mut self, rates: &Rates, devices: u32, qos: Qos, now_ms: u64) -> bool {
        if qos == Qos::AtMostOnce {
            let rate = rates.qos0.saturating_mul(devices);
            return rate == 0 || self.qos0.take(rate, rate, now_ms);
        }
        let rate = rates.qos1.saturating_mul(devices);
        if rate > 0 {
            let wait_ms = self.qos1.spend_whole(1, rate, rate, now_ms);
            wait(&mut self.deaf_until_ms, wait_ms, now_ms);
        }
        true
    }

    pub(super) fn read(&mut self, rates: &Rates, bytes: usize, now_ms: u64) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if rates.bytes > 0 {
            let wait_ms = self.bytes_in.spend(bytes, rates.bytes, rates.bytes, now_ms);
            wait(&mut self.deaf_until_ms, wait_ms, now_ms);
        }
    }

    /// The device is told a message.
    pub(super) fn tell(&mut self, rates: &Rates, devices: u32, now_ms: u64) {
        let rate = rates.down.saturating_mul(devices);
        if rate > 0 {
            let wait_ms = self.down.spend_whole(1, rate, rate, now_ms);
            wait(&mut self.mute_until_ms, wait_ms, now_ms);
        }
    }

    pub(super) fn written(&mut self, rates: &Rates, bytes: usize, now_ms: u64) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if rates.bytes > 0 {
            let wait_ms = self.bytes_out.spend(bytes, rates.bytes, rates.bytes, now_ms);
            wait(&mut self.mute_until_ms, wait_ms, now_ms);
        }
    }

    /// Whether the device isn't read now.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf_until_ms > 0
    }

    /// Whether the device isn't told anything now.
    pub(super) fn is_mute(&self) -> bool {
        self.mute_until_ms > 0
    }

    /// Sees to it that the next wait ends; `sleep` makes what ends at a time.
    pub(super) fn arm(&mut self, sleep: impl FnOnce(u64) -> Alarm) {
        let next = [self.deaf_until_ms, self.mute_until_ms].into_iter().filter(|at| *at > 0).min();
        match next {
            Some(at) if self.alarm.as_ref().is_none_or(|(until, _)| *until != at) => {
                self.alarm = Some((at, sleep(at)));
            }
            Some(_) => {}
            None => self.alarm = None,
        }
    }

    pub(super) fn alarm(&mut self) -> Option<&mut Alarm> {
        self.alarm.as_mut().map(|(_, alarm)| alarm)
    }

    /// The alarm went off.
    pub(super) fn wake(&mut self, now_ms: u64) {
        self.alarm = None;
        for until_ms in [&mut self.deaf_until_ms, &mut self.mute_until_ms] {
            if *until_ms <= now_ms {
                *until_ms = 0;
            }
        }
    }
}

fn wait(until_ms: &mut u64, wait_ms: u64, now_ms: u64) {
    if wait_ms > 0 {
        *until_ms = (*until_ms).max(now_ms.saturating_add(wait_ms));
    }
}

/// Connects per minute of single devices, of those that have proven who they are: nobody can use up another's.
#[derive(Debug)]
pub(super) struct Connects {
    per_minute: u32,
    devices_max: usize,
    buckets: Mutex<Map<DeviceNo, Bucket>>,
}

/// A bucket counts by the second, so one connect is this many of its units.
const UNITS: u32 = 60;

impl Connects {
    pub(super) fn new(rates: &Rates, choice: &RateChoice) -> Self {
        Self {
            per_minute: rates.connects_per_minute,
            devices_max: choice.connecting_devices_max,
            buckets: Mutex::default(),
        }
    }

    /// Counts a connect; `false` when it is one too many.
    pub(super) fn take(&self, device: DeviceNo, now_ms: u64) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let (rate, size) = (self.per_minute, self.per_minute.saturating_mul(UNITS));
        // Each change below is whole before anything could panic.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.devices_max && !buckets.contains_key(&device) {
            // A full one is as good as none.
            buckets.retain(|_, bucket| !bucket.is_full(rate, size, now_ms));
            if buckets.len() >= self.devices_max {
                return true;
            }
        }
        let bucket = buckets.entry(device).or_insert_with(|| Bucket::full(size, now_ms));
        bucket.take_many(UNITS, rate, size, now_ms)
    }

    /// Forgets devices that have not connected for a minute.
    pub(super) fn sweep(&self, now_ms: u64) {
        let (rate, size) = (self.per_minute, self.per_minute.saturating_mul(UNITS));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|_, bucket| !bucket.is_full(rate, size, now_ms));
        if buckets.is_empty() {
            buckets.shrink_to_fit();
        }
    }

    #[cfg(test)]
    fn counted(&self) -> usize {
        self.buckets.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_named_holds_in_either_mode() {
        let original = RateChoice { mode: RateMode::Original, ..RateChoice::default() };
        let named = |choice| RateChoice {
            downlink_per_second: Some(7),
            bytes_per_second: Some(0),
            ..choice
        };
        for (choice, want) in [
            (RateChoice::default(), Rates::default()),
            (original, Rates::ORIGINAL),
            (named(RateChoice::default()), Rates { down: 7, ..Rates::default() }),
            (named(original), Rates { down: 7, bytes: 0, ..Rates::ORIGINAL }),
        ] {
            assert_eq!(Rates::of(&choice), want);
            assert_eq!(want.hold(), want != Rates::default());
        }
    }

    #[test]
    fn a_device_may_connect_as_often_as_said_in_any_minute() {
        let choice = RateChoice { connects_per_minute: Some(5), ..RateChoice::default() };
        let connects = Connects::new(&Rates::of(&choice), &choice);
        let taken =
            |device, now_ms| (0..10).filter(|_| connects.take(DeviceNo(device), now_ms)).count();
        for (device, now_ms, want) in [
            (1, 0, 5),
            (2, 0, 5),
            (1, 11_999, 0),
            (1, 12_000, 1),
            (1, 36_000, 2),
            (1, 1_000_000, 5),
        ] {
            assert_eq!(taken(device, now_ms), want, "{device} at {now_ms}");
        }
        connects.sweep(1_000_000);
        assert_eq!(connects.counted(), 1);
        connects.sweep(1_060_000);
        assert_eq!(connects.counted(), 0);
    }

    #[test]
    fn devices_beyond_those_that_can_be_counted_are_let_in() {
        let choice = RateChoice {
            connects_per_minute: Some(1),
            connecting_devices_max: 2,
            ..RateChoice::default()
        };
        let connects = Connects::new(&Rates::of(&choice), &choice);
        let take = |device, now_ms| connects.take(DeviceNo(device), now_ms);
        assert!(take(1, 0) && take(2, 30_000) && !take(1, 30_000));
        assert!(take(3, 30_000) && take(3, 30_000) && connects.counted() == 2);
        // The first is forgotten for it.
        assert!(take(3, 60_000) && !take(3, 60_000) && connects.counted() == 2);
    }
}
