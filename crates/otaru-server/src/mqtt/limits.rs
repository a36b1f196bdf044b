//! What devices may do: the table `[devices]`.

use super::topics::without_query;
use otaru_core::topic::TOPIC_BYTES_MAX;
use otaru_mqtt::session::Limits;

/// Slashes that a topic of a product's own has at most in the original.
const TOPIC_SLASHES_MAX: usize = 7;

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
    /// As above, of topics of a product's own.
    pub custom_topic_bytes_max: usize,
    /// Slashes of topics of a product's own, the first one among them.
    pub custom_topic_slashes_max: usize,
    /// Bytes of properties beside a message, on MQTT 5.0.
    pub properties_bytes_max: usize,
    /// Topics that a device may give an alias, and as many that it may be given one; on MQTT 5.0.
    pub topic_aliases_max: u16,
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
    /// Wills whose delay is running; further ones are said at once.
    pub wills_waiting_max: usize,
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
            custom_topic_bytes_max: TOPIC_BYTES_MAX,
            custom_topic_slashes_max: TOPIC_SLASHES_MAX,
            properties_bytes_max: 8 * 1024,
            topic_aliases_max: 16,
            filters_per_subscribe_max: 8,
            subscriptions_max: 100,
            in_flight_max: 100,
            backlog_bytes_max: 512 * 1024,
            backlog_ms: 60_000,
            wills_waiting_max: 65_536,
            held_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl DeviceLimits {
    /// Whether a topic, or the filter of a subscription, is as short as it has to be.
    pub(super) fn admit_topic(&self, topic: &str) -> bool {
        let topic = without_query(topic);
        let system = ["/sys/", "/ota/", "/ext/", "/shadow/"];
        let is_custom = !system.iter().any(|prefix| topic.starts_with(prefix));
        let slashes = || topic.bytes().filter(|byte| *byte == b'/').count();
        topic.len() <= self.topic_bytes_max
            && (!is_custom
                || (topic.len() <= self.custom_topic_bytes_max
                    && slashes() <= self.custom_topic_slashes_max))
    }

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
            properties_bytes_max: self.properties_bytes_max,
            topic_aliases_max: self.topic_aliases_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_product_are_shorter_and_less_deep_than_those_of_the_system() {
        let limits = DeviceLimits::default();
        let of_bytes =
            |prefix: &str, bytes: usize| format!("{prefix}{}", "x".repeat(bytes - prefix.len()));
        for (topic, want) in [
            (of_bytes("/a1B2/dev-001/user/", 128), true),
            (of_bytes("/a1B2/dev-001/user/", 129), false),
            (format!("{}?_rid=1", of_bytes("/a1B2/dev-001/user/", 128)), true),
            (of_bytes("/sys/a1B2/dev-001/", 512), true),
            (of_bytes("/sys/a1B2/dev-001/", 513), false),
            ("/a1B2/dev-001/3/4/5/6/7/8".into(), false),
            ("/a1B2/dev-001/3/4/5/6/7".into(), true),
            ("/broadcast/a1B2/3/4/5/6/7/8".into(), false),
            ("/sys/a1B2/dev-001/4/5/6/7/8/9".into(), true),
        ] {
            assert_eq!(limits.admit_topic(&topic), want, "{topic}");
        }
    }
}
