//! What the server counts, and the address where it is read.
//!
//! Counting changes nothing that devices or callers see; whoever counts needs no clock, so that a simulated node
//! repeats itself.

mod family;
mod labels;
mod listen;

pub use family::By;
pub use labels::{
    BodyCut, Delayed, DeviceHttp, Door, Dropped, Ended, Evicted, FileCode, HttpEnded, Phase,
    Refused, Registered, RpcCode, ShadowRefused, TlsFailed, TlsKind, Turned,
};
pub use listen::serve;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All of them. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Connections that are open.
    pub connections: By<Door, Gauge>,
    /// Those of them that have done nothing yet for which they would be kept.
    pub waiting: By<Door, Gauge>,
    pub accepted: By<Door, Counter>,
    pub turned: By<(Door, Turned), Counter>,
    pub evicted: By<(Door, Evicted), Counter>,
    /// Connections that the system could not hand over.
    pub accept_errors: By<Door, Counter>,
    pub mqtt_ended: By<(Phase, Ended), Counter>,
    pub mqtt_refused: By<Refused, Counter>,
    pub registrations: By<Registered, Counter>,
    pub device_http: By<DeviceHttp, Counter>,
    pub dropped: By<Dropped, Counter>,
    pub delayed: By<Delayed, Counter>,
    /// Messages of devices, by MQTT, HTTP and wills.
    pub shadow_refused: By<ShadowRefused, Counter>,
    pub tls_handshakes: By<TlsKind, Counter>,
    pub tls_failed: By<TlsFailed, Counter>,
    pub http_ended: By<HttpEnded, Counter>,
    pub http_bodies_cut: By<BodyCut, Counter>,
    pub file_errors: By<FileCode, Counter>,
    pub rpc_errors: By<RpcCode, Counter>,
}

impl Metrics {
    /// As Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry())
            .expect("a string takes all that is written");
        text
    }

    /// `docs/operating.md` lists the same.
    fn registry(&self) -> Registry {
        // No `..`: a metric that nobody can read would be of no use.
        let Self {
            connections,
            waiting,
            accepted,
            turned,
            evicted,
            accept_errors,
            mqtt_ended,
            mqtt_refused,
            registrations,
            device_http,
            dropped,
            delayed,
            shadow_refused,
            tls_handshakes,
            tls_failed,
            http_ended,
            http_bodies_cut,
            file_errors,
            rpc_errors,
        } = self.clone();
        let mut all = Registry::with_prefix("otaru");
        all.register("connections", "Connections that are open", connections);
        all.register("connections_waiting", "Connections that have done nothing yet", waiting);
        all.register("connections_accepted", "Connections that were let in", accepted);
        all.register("connections_turned_away", "Connections that were not let in", turned);
        all.register("connections_evicted", "Connections that had to go for others", evicted);
        all.register("accept_errors", "Connections that the system had no room for", accept_errors);
        all.register("mqtt_connections_ended", "Connections of devices that ended", mqtt_ended);
        all.register("mqtt_connects_refused", "CONNECT packets that were refused", mqtt_refused);
        all.register(
            "device_http_requests",
            "Proofs and messages of devices that speak HTTP",
            device_http,
        );
        all.register(
            "registrations",
            "Devices that registered themselves, or tried to",
            registrations,
        );
        all.register(
            "mqtt_publishes_dropped",
            "Messages from and to devices that went nowhere",
            dropped,
        );
        all.register(
            "mqtt_reads_delayed",
            "Times that a device was not read, or not told, for a moment",
            delayed,
        );
        all.register(
            "shadow_messages_refused",
            "Messages of devices that their shadow was not changed by, or read",
            shadow_refused,
        );
        all.register("tls_handshakes", "TLS handshakes that were done", tls_handshakes);
        all.register("tls_handshakes_failed", "TLS handshakes that failed", tls_failed);
        all.register(
            "http_connections_ended",
            "Connections to the HTTP listener that ended",
            http_ended,
        );
        all.register("http_bodies_cut", "Bodies that did not come in", http_bodies_cut);
        all.register(
            "http_requests_refused",
            "Refused uploads, downloads and unknown paths",
            file_errors,
        );
        all.register("rpc_errors", "Signed calls that never reached their operation", rpc_errors);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_and_in_one_order() {
        let metrics = Metrics::default();
        let text = metrics.text();
        assert_eq!(text, Metrics::default().text());
        for line in [
            "# HELP otaru_connections Connections that are open.",
            "# TYPE otaru_connections gauge",
            "otaru_connections{door=\"mqtt\"} 0",
            "# TYPE otaru_mqtt_connections_ended counter",
            "otaru_mqtt_connections_ended_total{phase=\"stranger\",reason=\"silent\"} 0",
            "otaru_rpc_errors_total{code=\"Missing*\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_counted_stands_behind_its_labels_alone() {
        let metrics = Metrics::default();
        for phase in Phase::ALL {
            for ended in Ended::ALL {
                metrics.mqtt_ended.count((*phase, *ended));
            }
        }
        metrics.clone().mqtt_ended.count((Phase::Device, Ended::Slow));
        metrics.connections.gauge(Door::Http).inc();
        let text = metrics.text();
        let values: Vec<_> =
            text.lines().filter(|line| line.starts_with("otaru_mqtt_connections_ended")).collect();
        assert_eq!(values.len(), Phase::ALL.len() * Ended::ALL.len());
        for line in values {
            let is_slow_device = line.contains("\"device\"") && line.contains("\"slow\"");
            assert!(line.ends_with(if is_slow_device { " 2" } else { " 1" }), "{line}");
        }
        assert!(text.contains("otaru_connections{door=\"http\"} 1\n"));
    }
}
