//! The packets of MQTT 3.1, 3.1.1 and 5.0 as values. Sources: MQTT 3.1.1 and MQTT 5.0, section 3.

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
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

/// How often a message may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

/// A reason code of MQTT 5.0; below 0x80 all is well. Source: MQTT 5.0, section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u8);

impl Reason {
    pub const SUCCESS: Self = Self(0x00);
    /// Of a DISCONNECT: the server shall publish the will all the same.
    pub const WITH_WILL: Self = Self(0x04);
    pub const NO_SUBSCRIPTION: Self = Self(0x11);
    pub const UNSPECIFIED: Self = Self(0x80);
    pub const MALFORMED: Self = Self(0x81);
    pub const PROTOCOL: Self = Self(0x82);
    pub const VERSION: Self = Self(0x84);
    pub const CLIENT_ID: Self = Self(0x85);
    pub const CREDENTIALS: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const UNAVAILABLE: Self = Self(0x88);
    pub const SHUTTING_DOWN: Self = Self(0x8b);
    pub const AUTH_METHOD: Self = Self(0x8c);
    pub const KEEPALIVE: Self = Self(0x8d);
    pub const TAKEN_OVER: Self = Self(0x8e);
    pub const TOPIC_NAME: Self = Self(0x90);
    pub const RECEIVE_MAX: Self = Self(0x93);
    pub const TOPIC_ALIAS: Self = Self(0x94);
    pub const TOO_LARGE: Self = Self(0x95);
    pub const QUOTA: Self = Self(0x97);
    pub const ADMINISTRATIVE: Self = Self(0x98);
    pub const RETAIN: Self = Self(0x9a);
    pub const QOS: Self = Self(0x9b);
    pub const SHARED: Self = Self(0x9e);

    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }
}

/// First packet of a client. Only MQTT 5.0 has what follows `password`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    /// MQTT 5.0 calls it clean start.
    pub clean_session: bool,
    /// Seconds; 0 turns it off.
    pub keepalive_s: u16,
    pub client_id: ByteString,
    pub username: Option<ByteString>,
    pub password: Option<Bytes>,
    pub will: Option<Box<Will>>,
    /// Seconds that the session outlives its connection; [`u32::MAX`] is for ever.
    pub session_expiry_s: u32,
    /// Messages at QoS 1 that may wait for the client's PUBACK.
    pub receive_max: u16,
    /// Highest alias that the server may use for a topic.
    pub topic_alias_max: u16,
    /// Largest packet in bytes that the client takes.
    pub packet_bytes_max: Option<u32>,
    /// Whether the client wants to prove itself by an exchange of AUTH packets.
    pub has_auth_method: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            version: Version::default(),
            clean_session: false,
            keepalive_s: 0,
            client_id: ByteString::new(),
            username: None,
            password: None,
            will: None,
            session_expiry_s: 0,
            receive_max: u16::MAX,
            topic_alias_max: 0,
            packet_bytes_max: None,
            has_auth_method: false,
        }
    }
}

/// What is to be published for a client that vanishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    pub topic: ByteString,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    /// Seconds between the end of the connection and the message.
    pub delay_s: u32,
    pub properties: Properties,
}

/// Answer to CONNECT. Sources: MQTT 3.1.1, table 3.1; MQTT 5.0, section 3.2.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectCode {
    Accepted,
    UnacceptableVersion,
    IdentifierRejected,
    ServerUnavailable,
    BadUsernameOrPassword,
    NotAuthorized,
    /// A reason that only MQTT 5.0 has; MQTT 3 hears that it is not authorized.
    Other(Reason),
}

/// What a server of MQTT 5.0 says of itself in CONNACK. All know that it has no QoS 2 and no shared subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Welcome {
    /// Seconds that the session outlives its connection, when it isn't what was asked for.
    pub session_expiry_s: Option<u32>,
    /// Messages at QoS 1 from the client that may wait for PUBACK; never 0.
    pub receive_max: u16,
    pub packet_bytes_max: u32,
    pub topic_alias_max: u16,
    pub retains: bool,
    /// The id of a client that named none.
    pub client_id: Option<ByteString>,
}

/// What MQTT 5.0 says beside a message. None of it means anything to a server, which passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Seconds that the message is worth being delivered.
    pub expiry_s: Option<u32>,
    pub content_type: Option<ByteString>,
    pub response_topic: Option<ByteString>,
    pub correlation: Option<Bytes>,
    /// Whether the payload is said to be UTF-8.
    pub is_text: bool,
    pub user: Vec<(ByteString, ByteString)>,
    /// Of the subscriptions that the message meets; only from server to client.
    pub subscription_ids: Vec<u32>,
    /// Number that stands for the topic from now on, or for one said before when there is no topic.
    pub topic_alias: Option<NonZeroU16>,
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
    /// `None` when all of them are at their defaults; always on MQTT 3.
    pub properties: Option<Box<Properties>>,
}

/// When messages that were retained are sent. Source: MQTT 5.0, section 3.8.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainHandling {
    #[default]
    Always,
    IfNew,
    Never,
}

/// What is asked of a subscription; MQTT 3 knows its quality of service only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    pub qos: Qos,
    /// Leaves out what the same client publishes.
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

impl From<Qos> for SubscribeOptions {
    fn from(qos: Qos) -> Self {
        let retain_handling = RetainHandling::Always;
        Self { qos, no_local: false, retain_as_published: false, retain_handling }
    }
}

/// Answer to one filter of a SUBSCRIBE. MQTT 3 doesn't tell refusals apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeCode {
    Granted(Qos),
    /// For no reason that MQTT 5.0 has a code for.
    Refused,
    NotAuthorized,
    QuotaExceeded,
    SharedNotSupported,
}

impl Packet {
    /// A farewell with nothing else to say.
    pub const GOODBYE: Self =
        Self::Disconnect { reason: Reason::SUCCESS, session_expiry_s: None, text: None };

    /// An acknowledgement without reservations.
    pub fn puback(packet_id: PacketId) -> Self {
        Self::PubAck(packet_id, Reason::SUCCESS)
    }
}

/// A control packet. Those of QoS 2 and AUTH aren't spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Connect(Box<Connect>),
    /// With a welcome when a client of MQTT 5.0 is accepted; `text` says more to people, on MQTT 5.0 only.
    ConnAck {
        session_present: bool,
        code: ConnectCode,
        welcome: Option<Box<Welcome>>,
        text: Option<ByteString>,
    },
    Publish(Publish),
    /// The reason is a success on MQTT 3.
    PubAck(PacketId, Reason),
    /// `id` is 1..=268,435,455, on MQTT 5.0 only.
    Subscribe {
        packet_id: PacketId,
        id: Option<u32>,
        filters: Vec<(ByteString, SubscribeOptions)>,
    },
    SubAck {
        packet_id: PacketId,
        codes: Vec<SubscribeCode>,
    },
    Unsubscribe {
        packet_id: PacketId,
        filters: Vec<ByteString>,
    },
    /// Whether there was a subscription, in the order of the filters; empty on MQTT 3.
    UnsubAck {
        packet_id: PacketId,
        existed: Vec<bool>,
    },
    PingReq,
    PingResp,
    /// A success and nothing else on MQTT 3.
    Disconnect {
        reason: Reason,
        session_expiry_s: Option<u32>,
        text: Option<ByteString>,
    },
}
