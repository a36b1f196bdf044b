//! The server's end of one connection.

use crate::acks::{OrderedAcks, Ticket};
use crate::codec::{self, DecodeError, EncodeError};
use crate::framer::Framer;
use crate::packet::{Connect, ConnectCode, Packet, PacketId, Publish, Qos, SubscribeCode};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
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
        }
    }
}

impl Limits {
    fn packet_bytes_max(&self) -> usize {
        // Header, length of the topic, packet id.
        5 + 2 + self.topic_bytes_max + 2 + self.payload_bytes_max
    }
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// To be answered by [`Session::accept`] or [`Session::refuse`]; nothing else comes before.
    Connect(Box<Connect>),
    /// A message. A ticket comes with QoS 1 and is to be handed to [`Session::ack`].
    Publish { topic: ByteString, payload: Bytes, ticket: Option<Ticket>, dup: bool },
    /// To be answered by [`Session::suback`].
    Subscribe { packet_id: PacketId, filters: Vec<(ByteString, Qos)> },
    /// To be answered by [`Session::unsuback`].
    Unsubscribe { packet_id: PacketId, filters: Vec<ByteString> },
    /// The client has our message of this id.
    PubAck(PacketId),
    /// To be answered by [`Session::pingresp`].
    Ping,
    /// A farewell; the session is over.
    Disconnect,
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
    #[error("the connection is over")]
    Closed,
}

impl ProtocolError {
    /// The CONNACK that tells the client, where MQTT has one.
    pub fn connect_code(self) -> Option<ConnectCode> {
        match self {
            Self::Decode(DecodeError::Version) => Some(ConnectCode::UnacceptableVersion),
            Self::Decode(DecodeError::ClientId) => Some(ConnectCode::IdentifierRejected),
            // MQTT has no code for this one.
            Self::Keepalive(_) => Some(ConnectCode::NotAuthorized),
            Self::Decode(_)
            | Self::NotConnected
            | Self::ConnectedTwice
            | Self::Qos2
            | Self::PayloadTooLarge(_)
            | Self::Direction
            | Self::Closed => None,
        }
    }
}

/// Why a message can't be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("too many messages wait for the client's PUBACK")]
    WindowFull,
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
        }
    }

    /// The next event in what was kept and then `input`, which moves past what was used. With `None` all of `input` is
    /// used or kept: read more from the socket while [`Session::wants_input`], otherwise call again, with empty input
    /// if need be, once that changed.
    ///
    /// # Errors
    /// [`ProtocolError`]: say [`ProtocolError::connect_code`], if there is one, and close.
    pub fn next(&mut self, input: &mut &[u8], now_ms: u64) -> Result<Option<Event>, ProtocolError> {
        let result = self.next_event(input, now_ms);
        if result.is_err() {
            self.close();
        }
        result
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
                self.limits.packet_bytes_max()
            };
            let Some(packet) = self.framer.next(input, max)? else { return Ok(None) };
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
            self.keepalive_s = connect.keepalive_s;
            self.state = State::Judged;
            return Ok(Some(Event::Connect(connect)));
        }
        Ok(Some(match packet {
            Packet::Publish(publish) => return self.published(publish),
            Packet::PubAck(packet_id) => {
                let place = self.in_flight.iter().position(|waiting| *waiting == packet_id);
                let Some(place) = place else { return Ok(None) };
                self.in_flight.remove(place);
                if self.in_flight.is_empty() {
                    self.in_flight = Vec::new();
                }
                Event::PubAck(packet_id)
            }
            Packet::Subscribe { packet_id, filters } => Event::Subscribe { packet_id, filters },
            Packet::Unsubscribe { packet_id, filters } => Event::Unsubscribe { packet_id, filters },
            Packet::PingReq => Event::Ping,
            Packet::Disconnect => {
                self.close();
                Event::Disconnect
            }
            Packet::Connect(_) => return Err(ProtocolError::ConnectedTwice),
            Packet::ConnAck { .. }
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp => return Err(ProtocolError::Direction),
        }))
    }

    fn published(&mut self, publish: Publish) -> Result<Option<Event>, ProtocolError> {
        let Publish { topic, payload, qos, packet_id, dup, retain: _ } = publish;
        if qos == Qos::ExactlyOnce {
            return Err(ProtocolError::Qos2);
        }
        if payload.len() > self.limits.payload_bytes_max {
            return Err(ProtocolError::PayloadTooLarge(payload.len()));
        }
        let ticket = match packet_id.map(|packet_id| self.acks.push(packet_id)) {
            Some(None) => return Ok(None),
            Some(ticket) => ticket,
            None => None,
        };
        Ok(Some(Event::Publish { topic, payload, ticket, dup }))
    }

    /// Whether [`Session::next`] would look at more: not while CONNECT is being judged, nor while the client waits
    /// for too many acknowledgements.
    pub fn wants_input(&self) -> bool {
        match self.state {
            State::Stranger => true,
            State::Connected => self.acks.len() < self.limits.uplink_in_flight_max,
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

    /// When the connection has to be closed unless something is heard before: 1.5 times the keepalive after the last
    /// packet, or the time for CONNECT. Source: MQTT 3.1.1, section 3.1.2.10.
    pub fn deadline_ms(&self) -> u64 {
        let patience_ms = match self.state {
            State::Stranger => self.limits.connect_timeout_ms,
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

    /// Lets the client in and writes the CONNACK that says so.
    pub fn accept(&mut self, session_present: bool, out: &mut BytesMut) {
        if self.state == State::Judged {
            self.state = State::Connected;
            write(Packet::ConnAck { session_present, code: ConnectCode::Accepted }, out);
        }
    }

    /// Turns the client away; after the CONNACK the connection is to be closed.
    pub fn refuse(&mut self, code: ConnectCode, out: &mut BytesMut) {
        self.close();
        write(Packet::ConnAck { session_present: false, code }, out);
    }

    /// Says that a message is safe. PUBACKs leave in the order of their messages, so this may write none or several.
    pub fn ack(&mut self, ticket: Ticket, out: &mut BytesMut) {
        for packet_id in self.acks.done(ticket) {
            write(Packet::PubAck(packet_id), out);
        }
    }

    /// Messages of the client that wait for [`Session::ack`].
    pub fn acks_waiting(&self) -> usize {
        self.acks.len()
    }

    /// Answers a SUBSCRIBE; `codes` in the order of its filters.
    pub fn suback(&self, packet_id: PacketId, codes: Vec<SubscribeCode>, out: &mut BytesMut) {
        write(Packet::SubAck { packet_id, codes }, out);
    }

    pub fn unsuback(&self, packet_id: PacketId, out: &mut BytesMut) {
        write(Packet::UnsubAck(packet_id), out);
    }

    pub fn pingresp(&self, out: &mut BytesMut) {
        write(Packet::PingResp, out);
    }

    /// Sends a message; with QoS 1 (and anything above, which isn't spoken) its PUBACK will carry the id returned.
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
        let qos = qos.min(Qos::AtLeastOnce);
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ if self.in_flight.len() >= self.limits.downlink_in_flight_max => {
                return Err(PublishError::WindowFull);
            }
            _ => Some(next_id(&mut self.last_id, &self.in_flight)),
        };
        let publish = Publish { topic, payload, qos, packet_id, dup: false, retain: false };
        codec::encode(Packet::Publish(publish), out)?;
        self.in_flight.extend(packet_id);
        Ok(packet_id)
    }

    /// Messages at QoS 1 that the client hasn't acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
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

fn write(packet: Packet, out: &mut BytesMut) {
    codec::encode(packet, out).expect("answers are short and carry the id of what they answer");
}

#[cfg(test)]
mod tests;
