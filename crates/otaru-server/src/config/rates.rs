//! The table `[rates]`.

use super::table;
use crate::mqtt::{RateChoice, RateMode};

table! {
    /// The table `[rates]`.
    RateSettings => RateChoice, "Rates of devices" {
        /// Rates that are not named here: off, or original, as the public device protocol reference says [default: off]
        mode: RateMode = "rates-mode", "OTARU_RATES_MODE", "MODE";
        /// Messages per second that a device says at QoS 0, further ones are dropped; 0: no limit [original: 30]
        uplink_qos0_per_second: u32 = "rates-uplink-qos0-per-second", "OTARU_RATES_UPLINK_QOS0_PER_SECOND", "N";
        /// The same at QoS 1, further ones wait; 0: no limit [original: 10]
        uplink_qos1_per_second: u32 = "rates-uplink-qos1-per-second", "OTARU_RATES_UPLINK_QOS1_PER_SECOND", "N";
        /// Messages per second that a device is told, further ones are dropped at QoS 0 and wait at QoS 1; 0: no limit
        /// [original: 50]
        downlink_per_second: u32 = "rates-downlink-per-second", "OTARU_RATES_DOWNLINK_PER_SECOND", "N";
        /// Bytes per second of a device, in each direction; 0: no limit [original: 1048576]
        bytes_per_second: u32 = "rates-bytes-per-second", "OTARU_RATES_BYTES_PER_SECOND", "BYTES";
        /// Connects per minute of a device, further ones are refused; 0: no limit [original: 5]
        connects_per_minute: u32 = "rates-connects-per-minute", "OTARU_RATES_CONNECTS_PER_MINUTE", "N";
        /// Devices whose connects are counted; those beyond are let in uncounted [default: 262144]
        connecting_devices_max: usize = "rates-connecting-devices-max", "OTARU_RATES_CONNECTING_DEVICES_MAX", "N";
    }
}

impl RateSettings {
    pub(super) fn check(self) -> RateChoice {
        self.applied()
    }
}
