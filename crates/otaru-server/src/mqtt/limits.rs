//! What devices may do: the table `[devices]`.

use otaru_mqtt::session::Limits;

/// Limits of connections of devices. Source of the defaults: the device protocol reference, MQTT transport, where it
/// has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Milliseconds until CONNECT has to be there, and again until it has been judged.
    pub connect_ms: u64,
    /// Bytes of a CONNECT, and of what a stranger can make us keep.
    pub connect_bytes_max: usize,
    /// Seconds between two packets that a device may announce.
    pub keepalive_s_min: u16,
    /// As above.
    pub keepalive_s_max: u16,
    pub payload_bytes_max: usize,
    /// Longest topic, and longest filter of a subscription, in bytes.
    pub topic_bytes_max: usize,
    /// Topics that one SUBSCRIBE may name; of a longer one all are refused.
    pub filters_per_subscribe_max: usize,
    /// Subscriptions that a device may have. Each sub-device brings as many along.
    pub subscriptions_max: usize,
    /// Messages at QoS 1, in each direction, that may wait for their PUBACK.
    pub in_flight_max: usize,
    /// Bytes that may wait for a socket that takes none; more and the connection is given up.
    pub backlog_bytes_max: usize,
    /// Milliseconds in which a socket has to take some of what waits; 0: any number.
    pub backlog_ms: u64,
    /// Bytes that all connections together may keep of packets that aren't whole yet or not taken yet; 0: any number.
    pub held_bytes_max: usize,
}

impl Default for DeviceLimits {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            connect_bytes_max: 4 * 1024,
            keepalive_s_min: 30,
            keepalive_s_max: 1_200,
            payload_bytes_max: 256 * 1024,
            topic_bytes_max: 512,
            filters_per_subscribe_max: 8,
            subscriptions_max: 100,
            in_flight_max: 100,
            backlog_bytes_max: 512 * 1024,
            backlog_ms: 60_000,
            held_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl DeviceLimits {
    /// What of them MQTT itself is about.
    pub(super) fn session(&self) -> Limits {
        Limits {
            connect_bytes_max: self.connect_bytes_max,
            connect_timeout_ms: self.connect_ms,
            payload_bytes_max: self.payload_bytes_max,
            topic_bytes_max: self.topic_bytes_max,
            keepalive_s: self.keepalive_s_min..=self.keepalive_s_max,
            downlink_in_flight_max: self.in_flight_max,
            uplink_in_flight_max: self.in_flight_max,
            ..Limits::default()
        }
    }
}
