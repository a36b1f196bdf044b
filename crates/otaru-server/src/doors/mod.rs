//! Who may come in, before anybody knows who it is: what one address, and all strangers together, can make us keep.
//!
//! A [`Guard`] stands before a door, whatever listeners lead to it; each connection that it admits holds a [`Pass`]. A
//! connection waits as long as it has done nothing that would make it worth keeping: no CONNECT that was accepted, no
//! request under way. Those that wait have to go when there are too many, the oldest first: a device that connects needs
//! a moment only, somebody who holds places doesn't move.

mod address;
mod bucket;
mod guard;
mod held;
mod pass;
#[cfg(test)]
mod tests;

pub use bucket::Bucket;
pub use guard::Guard;
pub use held::Held;
pub use pass::{Leave, Pass, Signal, unless_asked_to_go};

use crate::metrics::Door;

/// What strangers may do: the table `[doors]`. 0 means no limit where a field doesn't say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections of devices that have not been let in yet.
    pub strangers_max: usize,
    /// The same from one address.
    pub strangers_per_address_max: usize,
    /// New connections per second from one address, at each door.
    pub connects_per_second: u32,
    /// As many more at once, after a while without any.
    pub connects_burst: u32,
    /// Addresses whose new connections are counted; those beyond are let in uncounted.
    pub addresses_max: usize,
    /// Whether limits of one address don't hold for those of this machine.
    pub exempt_loopback: bool,
    /// Connections to the device door; 0: as many as the descriptors leave.
    pub mqtt_connections_max: usize,
    /// Connections to the HTTP door; descriptors may leave fewer.
    pub http_connections_max: usize,
    /// The same from one address.
    pub http_connections_per_address_max: usize,
    /// Milliseconds for the whole head of a request, and for the next one on a connection that stays open.
    pub http_head_ms: u64,
    /// Milliseconds in which a body has to bring something, and the reader of an answer to take something.
    pub http_silence_ms: u64,
    /// Bytes per second that a body has to bring and a reader to take on the whole, after as long as may be silent.
    pub http_bytes_per_second_min: u32,
    /// Bytes of all bodies together.
    pub http_bodies_bytes_max: usize,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            strangers_max: 4_096,
            strangers_per_address_max: 256,
            connects_per_second: 200,
            connects_burst: 2_000,
            addresses_max: 65_536,
            exempt_loopback: true,
            mqtt_connections_max: 0,
            http_connections_max: 4_096,
            http_connections_per_address_max: 1_024,
            http_head_ms: 30_000,
            http_silence_ms: 60_000,
            http_bytes_per_second_min: 500,
            http_bodies_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Descriptors that are kept for files, the store, and listeners; fewer when there are few.
const DESCRIPTORS_RESERVED: u64 = 256;

impl DoorLimits {
    /// These limits for a process that may have `descriptors` open: the HTTP door never gets more than a quarter of
    /// them, and the device door what that leaves.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let usable = descriptors - DESCRIPTORS_RESERVED.min(descriptors / 4);
        let usable = usize::try_from(usable).unwrap_or(usize::MAX);
        let least = |limit: usize, most: usize| if limit == 0 { most } else { limit.min(most) };
        let http = least(self.http_connections_max, (usable / 4).max(1));
        let mqtt = least(self.mqtt_connections_max, usable.saturating_sub(http).max(1));
        Self { http_connections_max: http, mqtt_connections_max: mqtt, ..self }
    }
}

/// What a guard holds on to at its door. 0 means no limit.
#[derive(Debug, Clone, Copy)]
struct Rules {
    door: Door,
    connections_max: usize,
    waiting_max: usize,
    per_address_max: usize,
    /// Whether those that don't wait count for their address too.
    counts_all: bool,
    connects_per_second: u32,
    connects_burst: u32,
    addresses_max: usize,
    exempt_loopback: bool,
}

impl Rules {
    fn new(door: Door, limits: &DoorLimits) -> Self {
        let is_mqtt = door == Door::Mqtt;
        let of = |mqtt, http| if is_mqtt { mqtt } else { http };
        Self {
            door,
            connections_max: of(limits.mqtt_connections_max, limits.http_connections_max),
            waiting_max: of(limits.strangers_max, 0),
            per_address_max: of(
                limits.strangers_per_address_max,
                limits.http_connections_per_address_max,
            ),
            counts_all: !is_mqtt,
            connects_per_second: limits.connects_per_second,
            connects_burst: limits.connects_burst,
            addresses_max: limits.addresses_max,
            exempt_loopback: limits.exempt_loopback,
        }
    }
}
