//! The table `[devices]`.

use super::table;
use crate::mqtt::DeviceLimits;
use anyhow::ensure;

/// Fewest bytes of a CONNECT: that of the longest names that a device can have fits.
const CONNECT_BYTES_LEAST: usize = 512;
/// Most bytes of a CONNECT: what is read at once.
const CONNECT_BYTES_MOST: usize = 64 * 1024;
/// Most bytes of properties: together with the largest message they fit into a packet.
const PROPERTIES_BYTES_MOST: usize = 1024 * 1024;
/// Most bytes of a message: MQTT has packets of up to 256 MiB.
const PAYLOAD_BYTES_MOST: usize = 128 * 1024 * 1024;

table! {
    /// The table `[devices]`.
    DeviceSettings => DeviceLimits, "Devices" {
        /// Milliseconds until a device must have sent its CONNECT, and again until it is let in [default: 10000]
        connect_ms: u64 = "devices-connect-ms", "OTARU_DEVICES_CONNECT_MS", "MS";
        /// Bytes of a CONNECT, 512 to 65536 [default: 4096]
        connect_bytes_max: usize = "devices-connect-bytes-max", "OTARU_DEVICES_CONNECT_BYTES_MAX", "BYTES";
        /// Shortest keepalive of a device in seconds [default: 30]
        keepalive_s_min: u16 = "devices-keepalive-s-min", "OTARU_DEVICES_KEEPALIVE_S_MIN", "S";
        /// Longest keepalive of a device in seconds [default: 1200]
        keepalive_s_max: u16 = "devices-keepalive-s-max", "OTARU_DEVICES_KEEPALIVE_S_MAX", "S";
        /// Bytes of a message's payload, up to 134217728 [default: 262144]
        payload_bytes_max: usize = "devices-payload-bytes-max", "OTARU_DEVICES_PAYLOAD_BYTES_MAX", "BYTES";
        /// Bytes of a topic [default: 512]
        topic_bytes_max: usize = "devices-topic-bytes-max", "OTARU_DEVICES_TOPIC_BYTES_MAX", "BYTES";
        /// The same of a topic of a product's own [default: 128]
        custom_topic_bytes_max: usize = "devices-custom-topic-bytes-max", "OTARU_DEVICES_CUSTOM_TOPIC_BYTES_MAX", "BYTES";
        /// Slashes of such a topic [default: 7]
        custom_topic_slashes_max: usize = "devices-custom-topic-slashes-max", "OTARU_DEVICES_CUSTOM_TOPIC_SLASHES_MAX", "N";
        /// Bytes of properties beside a message on MQTT 5.0, up to 1048576 [default: 8192]
        properties_bytes_max: usize = "devices-properties-bytes-max", "OTARU_DEVICES_PROPERTIES_BYTES_MAX", "BYTES";
        /// Topics that a device may give an alias on MQTT 5.0, and as many that it may be given one [default: 16]
        topic_aliases_max: u16 = "devices-topic-aliases-max", "OTARU_DEVICES_TOPIC_ALIASES_MAX", "N";
        /// Topics of one SUBSCRIBE [default: 8]
        filters_per_subscribe_max: usize = "devices-filters-per-subscribe-max", "OTARU_DEVICES_FILTERS_PER_SUBSCRIBE_MAX", "N";
        /// Subscriptions of a device [default: 100]
        subscriptions_max: usize = "devices-subscriptions-max", "OTARU_DEVICES_SUBSCRIPTIONS_MAX", "N";
        /// Messages at QoS 1, in each direction, that may wait for their PUBACK [default: 100]
        in_flight_max: usize = "devices-in-flight-max", "OTARU_DEVICES_IN_FLIGHT_MAX", "N";
        /// Bytes that may wait for a device that doesn't read [default: 524288]
        backlog_bytes_max: usize = "devices-backlog-bytes-max", "OTARU_DEVICES_BACKLOG_BYTES_MAX", "BYTES";
        /// Milliseconds that a device may take nothing of what waits for it; 0: no limit [default: 60000]
        backlog_ms: u64 = "devices-backlog-ms", "OTARU_DEVICES_BACKLOG_MS", "MS";
        /// Wills of MQTT 5.0 whose delay is running; further ones are said at once [default: 65536]
        wills_waiting_max: usize = "devices-wills-waiting-max", "OTARU_DEVICES_WILLS_WAITING_MAX", "N";
        /// Bytes of packets that are not whole yet or not taken yet, of all devices; 0: no limit [default: 67108864]
        held_bytes_max: usize = "devices-held-bytes-max", "OTARU_DEVICES_HELD_BYTES_MAX", "BYTES";
    }
}

impl DeviceSettings {
    pub(super) fn check(self) -> anyhow::Result<DeviceLimits> {
        let limits = self.applied();
        let within = |name, value: usize, least: usize, most: usize| {
            ensure!(
                (least..=most).contains(&value),
                "devices.{name}: {value} is not {least} to {most}"
            );
            Ok(())
        };
        let any = usize::MAX;
        within(
            "connect_bytes_max",
            limits.connect_bytes_max,
            CONNECT_BYTES_LEAST,
            CONNECT_BYTES_MOST,
        )?;
        within("payload_bytes_max", limits.payload_bytes_max, 1, PAYLOAD_BYTES_MOST)?;
        within("topic_bytes_max", limits.topic_bytes_max, 1, usize::from(u16::MAX))?;
        within("properties_bytes_max", limits.properties_bytes_max, 0, PROPERTIES_BYTES_MOST)?;
        within("in_flight_max", limits.in_flight_max, 1, usize::from(u16::MAX) / 2)?;
        within("backlog_bytes_max", limits.backlog_bytes_max, 1, any)?;
        ensure!(limits.connect_ms > 0, "devices.connect_ms: 0 lets nobody in");
        ensure!(
            limits.keepalive_s_min <= limits.keepalive_s_max,
            "devices.keepalive_s_min: {} is more than keepalive_s_max, {}",
            limits.keepalive_s_min,
            limits.keepalive_s_max
        );
        Ok(limits)
    }
}
