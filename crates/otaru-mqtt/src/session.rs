//! The server's end of one connection.

mod five;

use crate::acks::{OrderedAcks, Ticket};
use crate::codec::{self, DecodeError, EncodeError};
use crate::framer::Framer;
use crate::packet::{
    Connect, ConnectCode, Packet, PacketId, Properties, Publish, Qos, Reason, SubscribeCode,
    SubscribeOptions, Version, Welcome,
};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use five::Five;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a connection may ask for. Source of the defaults: the device protocol reference, MQTT transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest CONNECT in bytes, and so what a stranger can make us keep.
    pub connect_bytes_max: usize,
    /// Milliseconds from the start of the connection until CONNECT has to be there.
    pub connect_timeout_ms: u64,
    /// Largest message in bytes.
    pub payload_bytes_max: usize,
    /// Longest topic in bytes; longer ones fit as far as the payload leaves room.
    pub topic_bytes_max: usize,
    /// Seconds between two packets that a client may announce.
    pub keepalive_s: RangeInclusive<u16>,
    /// Messages at QoS 1 to the client that may wait for its PUBACK.
    pub downlink_in_flight_max: usize,
    /// Messages at QoS 1 from the client that may wait for our PUBACK.
    pub uplink_in_flight_max: usize,
    /// Bytes of properties beside a message, on MQTT 5.0; more fit as far as the payload leaves room.
    pub properties_bytes_max: usize,
    /// Topics that a client may give an alias, and as many that it may be given one; on MQTT 5.0.
    pub topic_aliases_max: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_bytes_max: 4 * 1024,
            connect_timeout_ms: 10_000,
            payload_bytes_max: 256 * 1024,
            topic_bytes_max: 512,
            keepalive_s: 30..=1_200,
            downlink_in_flight_max: 100,
            uplink_in_flight_max: 100,
            properties_bytes_max: 8 * 1024,
            topic_aliases_max: 16,
        }
    }
}

impl Limits {
    fn packet_bytes_max(&self, version: Version) -> usize {
        // Header, length of the topic, packet id.
        let bytes = 5 + 2 + self.topic_bytes_max + 2 + self.payload_bytes_max;
        if version == Version::V5 { bytes + self.properties_bytes_max } else { bytes }
    }
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// To be answered by [`Session::accept`] or [`Session::refuse`]; nothing else comes before.
    Connect(Box<Connect>),
    /// A message. A ticket comes with QoS 1 and is to be handed to [`Session::ack`].
    Publish {
        topic: ByteString,
        payload: Bytes,
        ticket: Option<Ticket>,
        dup: bool,
        retain: bool,
        properties: Option<Box<Properties>>,
    },
    /// To be answered by [`Session::suback`].
    Subscribe {
        packet_id: PacketId,
        /// To be named beside each message that these subscriptions let through; on MQTT 5.0.
        id: Option<u32>,
        filters: Vec<(ByteString, SubscribeOptions)>,
    },
    /// To be answered by [`Session::unsuback`].
    Unsubscribe { packet_id: PacketId, filters: Vec<ByteString> },
    /// The client has our message of this id.
    PubAck(PacketId),
    /// To be answered by [`Session::pingresp`].
    Ping,
    /// A farewell; the session is over. MQTT 5.0 lets the client ask for its will all the same, and for another time
    /// that its session outlives the connection, in seconds.
    Disconnect { with_will: bool, session_expiry_s: Option<u32> },
}

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: ByteString,
    pub payload: Bytes,
    /// Anything above QoS 1 isn't spoken, and sent as that.
    pub qos: Qos,
    /// It may have been sent before, on an earlier connection; at QoS 1 only.
    pub dup: bool,
    /// The client of MQTT 5.0 hears that the message was retained.
    pub retain: bool,
    /// For a client of MQTT 5.0. An alias in them is replaced.
    pub properties: Option<Box<Properties>>,
}

/// What a client of MQTT 5.0 is told when it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// The id of a client that named none.
    pub client_id: Option<ByteString>,
    /// Seconds that the session outlives its connection, when it isn't what was asked for.
    pub session_expiry_s: Option<u32>,
    /// Whether messages can be retained.
    pub retains: bool,
}

/// Why a connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the first packet is no CONNECT")]
    NotConnected,
    #[error("a second CONNECT")]
    ConnectedTwice,
    #[error("a keepalive of {0} s is outside the range")]
    Keepalive(u16),
    #[error("a message at QoS 2")]
    Qos2,
    #[error("a message of {0} bytes is too large")]
    PayloadTooLarge(usize),
    #[error("a packet that only servers send")]
    Direction,
    #[error("an exchange of AUTH packets is asked for")]
    AuthMethod,
    #[error("more messages at QoS 1 than may wait for PUBACK")]
    ReceiveMax,
    #[error("a message to be retained")]
    Retain,
    #[error("the connection is over")]
    Closed,
}

impl ProtocolError {
    /// The CONNACK that tells the client, where its MQTT has one.
    pub fn connect_code(self, version: Version) -> Option<ConnectCode> {
        match self {
            Self::Decode(DecodeError::Version) => Some(ConnectCode::UnacceptableVersion),
            Self::Decode(DecodeError::ClientId) => Some(ConnectCode::IdentifierRejected),
            // MQTT has no code for this one.
            Self::Keepalive(_) => Some(ConnectCode::NotAuthorized),
            Self::NotConnected | Self::Closed => None,
            Self::Decode(_)
            | Self::ConnectedTwice
            | Self::Qos2
            | Self::PayloadTooLarge(_)
            | Self::Direction
            | Self::AuthMethod
            | Self::ReceiveMax
            | Self::Retain => (version == Version::V5).then(|| ConnectCode::Other(self.reason())),
        }
    }

    /// The reason that a DISCONNECT of MQTT 5.0 gives.
    pub fn reason(self) -> Reason {
        match self {
            Self::Decode(error) => error.reason(),
            Self::NotConnected | Self::ConnectedTwice | Self::Direction => Reason::PROTOCOL,
            Self::Keepalive(_) => Reason::NOT_AUTHORIZED,
            Self::Qos2 => Reason::QOS,
            Self::PayloadTooLarge(_) => Reason::TOO_LARGE,
            Self::AuthMethod => Reason::AUTH_METHOD,
            Self::ReceiveMax => Reason::RECEIVE_MAX,
            Self::Retain => Reason::RETAIN,
            Self::Closed => Reason::UNSPECIFIED,
        }
    }
}

/// Why a message can't be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("too many messages wait for the client's PUBACK")]
    WindowFull,
    #[error("the client takes no packet of {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No CONNECT yet.
    Stranger,
    /// CONNECT is being judged.
    Judged,
    Connected,
    Closed,
}

/// State of one connection. While the client is idle it holds no buffer: some 150 bytes, and 2 for each message that
/// the client hasn't acknowledged.
///
/// Times are milliseconds of one monotonic clock.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    framer: Framer,
    acks: OrderedAcks,
    in_flight: Vec<PacketId>,
    /// When the last whole packet came.
    heard_at_ms: u64,
    last_id: u16,
    keepalive_s: u16,
    state: State,
    version: Version,
    /// What only MQTT 5.0 has.
    five: Option<Box<Five>>,
}

impl Session {
    pub fn new(limits: Arc<Limits>, now_ms: u64) -> Self {
        Self {
            limits,
            framer: Framer::default(),
            acks: OrderedAcks::default(),
            in_flight: Vec::new(),
            heard_at_ms: now_ms,
            last_id: 0,
            keepalive_s: 0,
            state: State::Stranger,
            version: Version::default(),
            five: None,
        }
    }

    /// What the client speaks; before its CONNECT the default.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The next event in what was kept and then `input`, which moves past what was used. With `None` all of `input` is
    /// used or kept: read more from the socket while [`Session::wants_input`], otherwise call again, with empty input
    /// if need be, once that changed.
    ///
    /// # Errors
    /// [`ProtocolError`]: say it with [`Session::refuse`], if there is a [`ProtocolError::connect_code`], or with
    /// [`Session::disconnect`], and close.
    pub fn next(&mut self, input: &mut &[u8], now_ms: u64) -> Result<Option<Event>, ProtocolError> {
        self.next_event(input, now_ms).inspect_err(|_| self.stop())
    }

    fn next_event(
        &mut self,
        input: &mut &[u8],
        now_ms: u64,
    ) -> Result<Option<Event>, ProtocolError> {
        loop {
            if self.state == State::Closed {
                return Err(ProtocolError::Closed);
            }
            if !self.wants_input() {
                self.framer.keep(input);
                return Ok(None);
            }
            let max = if self.state == State::Stranger {
                // Garbage is recognised by its first byte, not after the length that it seems to announce.
                if self.framer.kept_bytes() == 0 && input.first().is_some_and(|b| *b != 0x10) {
                    return Err(ProtocolError::NotConnected);
                }
                self.limits.connect_bytes_max
            } else {
                self.limits.packet_bytes_max(self.version)
            };
            let Some(packet) = self.framer.next(input, max, &mut self.version)? else {
                return Ok(None);
            };
            self.heard_at_ms = now_ms;
            if let Some(event) = self.event(packet)? {
                return Ok(Some(event));
            }
        }
    }

    /// `None` for what was said before.
    fn event(&mut self, packet: Packet) -> Result<Option<Event>, ProtocolError> {
        if self.state == State::Stranger {
            let Packet::Connect(connect) = packet else { return Err(ProtocolError::NotConnected) };
            if !self.limits.keepalive_s.contains(&connect.keepalive_s) {
                return Err(ProtocolError::Keepalive(connect.keepalive_s));
            }
            if connect.version == Version::V5 {
                self.five = Some(Box::new(Five::agreed(&connect, &self.limits)?));
            }
            self.keepalive_s = connect.keepalive_s;
            self.state = State::Judged;
            return Ok(Some(Event::Connect(connect)));
        }
        Ok(Some(match packet {
            Packet::Publish(publish) => return self.published(publish),
            // Whatever the client made of the message: it doesn't want it again.
            Packet::PubAck(packet_id, _) => {
                let place = self.in_flight.iter().position(|waiting| *waiting == packet_id);
                let Some(place) = place else { return Ok(None) };
                self.in_flight.remove(place);
                if self.in_flight.is_empty() {
                    self.in_flight = Vec::new();
                }
                Event::PubAck(packet_id)
            }
            Packet::Subscribe { packet_id, id, filters } => {
                Event::Subscribe { packet_id, id, filters }
            }
            Packet::Unsubscribe { packet_id, filters } => Event::Unsubscribe { packet_id, filters },
            Packet::PingReq => Event::Ping,
            Packet::Disconnect { reason, session_expiry_s, text: _ } => {
                if let Some(five) = &self.five {
                    five.may_end_with(session_expiry_s)?;
                }
                self.close();
                Event::Disconnect { with_will: reason != Reason::SUCCESS, session_expiry_s }
            }
            Packet::Connect(_) => return Err(ProtocolError::ConnectedTwice),
            Packet::ConnAck { .. }
            | Packet::SubAck { .. }
            | Packet::UnsubAck { .. }
            | Packet::PingResp => return Err(ProtocolError::Direction),
        }))
    }

    fn published(&mut self, publish: Publish) -> Result<Option<Event>, ProtocolError> {
        let Publish { mut topic, payload, qos, packet_id, dup, retain, properties } = publish;
        if qos == Qos::ExactlyOnce {
            return Err(ProtocolError::Qos2);
        }
        if payload.len() > self.limits.payload_bytes_max {
            return Err(ProtocolError::PayloadTooLarge(payload.len()));
        }
        if let Some(five) = &mut self.five {
            if retain && !five.retains {
                return Err(ProtocolError::Retain);
            }
            topic = five.topic_of(topic, properties.as_deref())?;
        }
        let ticket = match packet_id.map(|packet_id| self.acks.push(packet_id)) {
            Some(None) => return Ok(None),
            Some(ticket) => ticket,
            None => None,
        };
        if self.acks.len() > self.limits.uplink_in_flight_max {
            return Err(ProtocolError::ReceiveMax);
        }
        Ok(Some(Event::Publish { topic, payload, ticket, dup, retain, properties }))
    }

    /// Whether [`Session::next`] would look at more: not while CONNECT is being judged, nor while the client waits
    /// for too many acknowledgements. A client of MQTT 5.0 knows how many those are.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Stranger => true,
            State::Connected => {
                self.five.is_some() || self.acks.len() < self.limits.uplink_in_flight_max
            }
            State::Judged | State::Closed => false,
        }
    }

    /// Keeps what was read but can't be looked at now, since nobody has room for another event.
    pub fn keep(&mut self, input: &mut &[u8]) {
        self.framer.keep(input);
    }

    /// Whether something was kept that [`Session::next`] hasn't looked at, be it only half a packet.
    pub fn has_kept(&self) -> bool {
        self.framer.kept_bytes() > 0
    }

    /// Bytes of memory for what was kept.
    pub fn kept_capacity(&self) -> usize {
        self.framer.capacity()
    }

    /// When the connection has to be closed unless something is heard before: 1.5 times the keepalive after the last
    /// packet, or the time for CONNECT, and again for judging it: what it claims counts from then on. Source: MQTT 3.1.1, section 3.1.2.10.
    pub fn deadline_ms(&self) -> u64 {
        let patience_ms = match self.state {
            State::Stranger | State::Judged => self.limits.connect_timeout_ms,
            _ => u64::from(self.keepalive_s) * 1_500,
        };
        self.heard_at_ms.saturating_add(patience_ms)
    }

    /// Counts this moment as if a packet came: nobody read the socket before, so silence says nothing.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_at_ms = self.heard_at_ms.max(now_ms);
    }

    /// Ends the session: nothing is read any more.
    pub fn close(&mut self) {
        self.stop();
        self.five = None;
    }

    fn stop(&mut self) {
        self.state = State::Closed;
        self.framer = Framer::default();
        self.acks = OrderedAcks::default();
        self.in_flight = Vec::new();
    }

    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Lets the client in and writes the CONNACK that says so, with what was granted to a client of MQTT 5.0.
    pub fn accept(&mut self, session_present: bool, granted: Granted, out: &mut BytesMut) {
        if self.state != State::Judged {
            return;
        }
        self.state = State::Connected;
        if let Some(five) = &mut self.five {
            five.retains = granted.retains;
        }
        let limits = &self.limits;
        let welcome = self.five.is_some().then(|| {
            Box::new(Welcome {
                session_expiry_s: granted.session_expiry_s,
                receive_max: u16::try_from(limits.uplink_in_flight_max).unwrap_or(u16::MAX).max(1),
                packet_bytes_max: u32::try_from(limits.packet_bytes_max(self.version))
                    .unwrap_or(u32::MAX),
                topic_alias_max: limits.topic_aliases_max,
                retains: granted.retains,
                client_id: granted.client_id,
            })
        });
        let code = ConnectCode::Accepted;
        self.write(Packet::ConnAck { session_present, code, welcome, text: None }, out);
    }

    /// Turns the client away; after the CONNACK the connection is to be closed. A client of MQTT 5.0 is told `text`.
    pub fn refuse(&mut self, code: ConnectCode, text: Option<ByteString>, out: &mut BytesMut) {
        let packet = |text| Packet::ConnAck { session_present: false, code, welcome: None, text };
        if !self.write(packet(text), out) {
            self.write(packet(None), out);
        }
        self.close();
    }

    /// Tells a client of MQTT 5.0 that was let in why its connection is to be closed now.
    pub fn disconnect(&mut self, reason: Reason, text: Option<ByteString>, out: &mut BytesMut) {
        // What is left after an error of the client says that it was let in; it could not be wrong before.
        if self.five.is_some() && self.state != State::Judged {
            let packet = |text| Packet::Disconnect { reason, session_expiry_s: None, text };
            if !self.write(packet(text), out) {
                self.write(packet(None), out);
            }
        }
        self.close();
    }

    /// Says that a message is safe. PUBACKs leave in the order of their messages, so this may write none or several.
    pub fn ack(&mut self, ticket: Ticket, out: &mut BytesMut) {
        self.ack_with(ticket, Reason::SUCCESS, out);
    }

    /// Says what became of a message; a client of MQTT 3 hears only that it needn't send it again. As
    /// [`Session::ack`].
    pub fn ack_with(&mut self, ticket: Ticket, reason: Reason, out: &mut BytesMut) {
        for (packet_id, reason) in self.acks.done(ticket, reason) {
            self.write(Packet::PubAck(packet_id, reason), out);
        }
    }

    /// Messages of the client that wait for [`Session::ack`].
    pub fn acks_waiting(&self) -> usize {
        self.acks.len()
    }

    /// Answers a SUBSCRIBE; `codes` in the order of its filters.
    pub fn suback(&self, packet_id: PacketId, codes: Vec<SubscribeCode>, out: &mut BytesMut) {
        self.write(Packet::SubAck { packet_id, codes }, out);
    }

    /// Answers an UNSUBSCRIBE; `existed` says for each of its filters whether there was a subscription.
    pub fn unsuback(&self, packet_id: PacketId, existed: Vec<bool>, out: &mut BytesMut) {
        self.write(Packet::UnsubAck { packet_id, existed }, out);
    }

    pub fn pingresp(&self, out: &mut BytesMut) {
        self.write(Packet::PingResp, out);
    }

    /// Sends a message that is nothing but a topic and a payload. As [`Session::send`].
    ///
    /// # Errors
    /// [`PublishError`]; nothing is written then.
    pub fn publish(
        &mut self,
        topic: ByteString,
        payload: Bytes,
        qos: Qos,
        out: &mut BytesMut,
    ) -> Result<Option<PacketId>, PublishError> {
        let (dup, retain, properties) = (false, false, None);
        self.send(Outgoing { topic, payload, qos, dup, retain, properties }, out)
    }

    /// Sends a message; at QoS 1 its PUBACK will carry the id returned.
    ///
    /// # Errors
    /// [`PublishError`]; nothing is written then.
    pub fn send(
        &mut self,
        outgoing: Outgoing,
        out: &mut BytesMut,
    ) -> Result<Option<PacketId>, PublishError> {
        let Outgoing { topic, payload, qos, dup, retain, properties } = outgoing;
        let qos = qos.min(Qos::AtLeastOnce);
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ if !self.has_window() => return Err(PublishError::WindowFull),
            _ => Some(next_id(&mut self.last_id, &self.in_flight)),
        };
        let dup = dup && packet_id.is_some();
        match &mut self.five {
            None => {
                let (retain, properties) = (false, None);
                let publish = Publish { topic, payload, qos, packet_id, dup, retain, properties };
                codec::encode(Packet::Publish(publish), self.version, out)?;
            }
            Some(five) => {
                let publish = Publish { topic, payload, qos, packet_id, dup, retain, properties };
                five.publish(publish, out)?;
            }
        }
        self.in_flight.extend(packet_id);
        Ok(packet_id)
    }

    /// Whether the client takes another message at QoS 1 now.
    pub fn has_window(&self) -> bool {
        let theirs = self.five.as_ref().map_or(usize::MAX, |five| five.receive_max());
        self.in_flight.len() < self.limits.downlink_in_flight_max.min(theirs)
    }

    /// Messages at QoS 1 that the client hasn't acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Writes an answer; `false` when the client takes none of that length.
    fn write(&self, packet: Packet, out: &mut BytesMut) -> bool {
        let before = out.len();
        codec::encode(packet, self.version, out)
            .expect("answers are short and carry the id of what they answer");
        let fits = self.five.as_ref().is_none_or(|five| five.takes(out.len() - before));
        if !fits {
            out.truncate(before);
        }
        fits
    }
}

/// The next id that isn't in use. There are far fewer in use than ids.
pub(crate) fn next_id(last: &mut u16, used: &[PacketId]) -> PacketId {
    loop {
        *last = last.wrapping_add(1);
        if let Some(id) = PacketId::new(*last).filter(|id| !used.contains(id)) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_v5;
