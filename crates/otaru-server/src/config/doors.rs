//! The table `[doors]`.

use super::table;
use crate::doors::DoorLimits;
use anyhow::ensure;

/// Fewest addresses that are counted.
const ADDRESSES_LEAST: usize = 1_024;
/// Fewest bytes for bodies: two of the longest calls fit.
const BODIES_BYTES_LEAST: usize = 16 * 1024 * 1024;

table! {
    /// The table `[doors]`.
    DoorSettings => DoorLimits, "Doors" {
        /// Connections of devices that have not been let in yet; 0: no limit [default: 4096]
        strangers_max: usize = "doors-strangers-max", "OTARU_DOORS_STRANGERS_MAX", "N";
        /// The same from one address; 0: no limit [default: 256]
        strangers_per_address_max: usize = "doors-strangers-per-address-max", "OTARU_DOORS_STRANGERS_PER_ADDRESS_MAX", "N";
        /// New connections per second from one address, to devices' and callers' listeners each; 0: no limit
        /// [default: 200]
        connects_per_second: u32 = "doors-connects-per-second", "OTARU_DOORS_CONNECTS_PER_SECOND", "N";
        /// As many more at once, after a while without any [default: 2000]
        connects_burst: u32 = "doors-connects-burst", "OTARU_DOORS_CONNECTS_BURST", "N";
        /// Addresses whose connections are counted, at least 1024; those beyond are let in uncounted [default: 65536]
        addresses_max: usize = "doors-addresses-max", "OTARU_DOORS_ADDRESSES_MAX", "N";
        /// Whether limits of one address don't hold for this machine's own, such as 127.0.0.1 [default: true]
        exempt_loopback: bool = "doors-exempt-loopback", "OTARU_DOORS_EXEMPT_LOOPBACK", "BOOL";
        /// Connections of devices; 0: as many as there are open files for [default: 0]
        mqtt_connections_max: usize = "doors-mqtt-connections-max", "OTARU_DOORS_MQTT_CONNECTIONS_MAX", "N";
        /// Connections of callers and downloads, up to a quarter of the open files; 0: that quarter [default: 4096]
        http_connections_max: usize = "doors-http-connections-max", "OTARU_DOORS_HTTP_CONNECTIONS_MAX", "N";
        /// The same from one address; 0: no limit [default: 1024]
        http_connections_per_address_max: usize = "doors-http-connections-per-address-max", "OTARU_DOORS_HTTP_CONNECTIONS_PER_ADDRESS_MAX", "N";
        /// Milliseconds for the whole head of a request, and for the next one on a connection that stays open
        /// [default: 30000]
        http_head_ms: u64 = "doors-http-head-ms", "OTARU_DOORS_HTTP_HEAD_MS", "MS";
        /// Milliseconds in which a body has to bring something, and the reader of an answer to take something; 0: no limit
        /// [default: 60000]
        http_silence_ms: u64 = "doors-http-silence-ms", "OTARU_DOORS_HTTP_SILENCE_MS", "MS";
        /// Bytes per second that a body has to bring, and a reader to take, after as long as may be silent; 0: no limit
        /// [default: 500]
        http_bytes_per_second_min: u32 = "doors-http-bytes-per-second-min", "OTARU_DOORS_HTTP_BYTES_PER_SECOND_MIN", "BYTES";
        /// Bytes of all bodies that are coming in or in work, at least 16777216; 0: no limit [default: 268435456]
        http_bodies_bytes_max: usize = "doors-http-bodies-bytes-max", "OTARU_DOORS_HTTP_BODIES_BYTES_MAX", "BYTES";
    }
}

impl DoorSettings {
    pub(super) fn check(self) -> anyhow::Result<DoorLimits> {
        let limits = self.applied();
        ensure!(
            limits.addresses_max >= ADDRESSES_LEAST,
            "doors.addresses_max: {} is less than {ADDRESSES_LEAST}",
            limits.addresses_max
        );
        ensure!(
            limits.http_bodies_bytes_max == 0 || limits.http_bodies_bytes_max >= BODIES_BYTES_LEAST,
            "doors.http_bodies_bytes_max: {} is less than {BODIES_BYTES_LEAST}",
            limits.http_bodies_bytes_max
        );
        ensure!(
            u32::try_from(limits.http_silence_ms).is_ok(),
            "doors.http_silence_ms: {} is more than {}",
            limits.http_silence_ms,
            u32::MAX
        );
        ensure!(limits.http_head_ms > 0, "doors.http_head_ms: 0 lets nobody ask");
        Ok(limits)
    }
}
