//! The packets of MQTT 3.1 and 3.1.1 as values. Source: MQTT 3.1.1, section 3.

use bytes::Bytes;
// Part of the packets below: a `str` that shares the bytes it came in.
pub use bytestring::ByteString;
use std::num::NonZeroU16;

/// Number of a packet that wants an answer; 0 is none.
pub type PacketId = NonZeroU16;

/// The dialect of a connection, as its CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    #[default]
    V311,
}

/// How often a message may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

/// First packet of a client. A will is read past: it is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    pub version: Version,
    pub clean_session: bool,
    /// Seconds; 0 turns it off.
    pub keepalive_s: u16,
    pub client_id: ByteString,
    pub username: Option<ByteString>,
    pub password: Option<Bytes>,
    pub has_will: bool,
}

/// Answer to CONNECT. Source: MQTT 3.1.1, table 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectCode {
    Accepted,
    UnacceptableVersion,
    IdentifierRejected,
    ServerUnavailable,
    BadUsernameOrPassword,
    NotAuthorized,
}

/// A message, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: ByteString,
    pub payload: Bytes,
    pub qos: Qos,
    /// Present exactly when `qos` isn't [`Qos::AtMostOnce`].
    pub packet_id: Option<PacketId>,
    pub dup: bool,
    pub retain: bool,
}

/// Answer to one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeCode {
    Granted(Qos),
    Refused,
}

/// A control packet. Those of QoS 2 aren't spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck { session_present: bool, code: ConnectCode },
    Publish(Publish),
    PubAck(PacketId),
    Subscribe { packet_id: PacketId, filters: Vec<(ByteString, Qos)> },
    SubAck { packet_id: PacketId, codes: Vec<SubscribeCode> },
    Unsubscribe { packet_id: PacketId, filters: Vec<ByteString> },
    UnsubAck(PacketId),
    PingReq,
    PingResp,
    Disconnect,
}
