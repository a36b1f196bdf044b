//! A device's end of one connection of MQTT 3.1.1, for devices that we play ourselves.

use crate::codec::{self, DecodeError, EncodeError};
use crate::framer::Framer;
use crate::packet::{Connect, ConnectCode, Packet, PacketId, Publish, Qos, SubscribeCode, Version};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

/// Longest packet in bytes that a client takes: a message of 256 KiB with its topic.
pub const PACKET_BYTES_MAX: usize = 257 * 1024;

/// What it speaks.
const VERSION: Version = Version::V311;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    ConnAck {
        session_present: bool,
        code: ConnectCode,
    },
    /// With a packet id the server waits for [`Client::puback`].
    Publish {
        topic: ByteString,
        payload: Bytes,
        packet_id: Option<PacketId>,
        dup: bool,
    },
    PubAck(PacketId),
    SubAck {
        packet_id: PacketId,
        codes: Vec<SubscribeCode>,
    },
    UnsubAck(PacketId),
    Pong,
}

/// Why a client gives up on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("a packet that only clients send")]
    Direction,
}

/// State of a client: the last packet id and what came of an incomplete packet. It remembers nothing that it sent;
/// who wants to send again what wasn't acknowledged keeps it.
#[derive(Debug, Default)]
pub struct Client {
    framer: Framer,
    last_id: u16,
}

impl Client {
    /// Writes a CONNECT of MQTT 3.1.1.
    ///
    /// # Errors
    /// [`EncodeError`] when a text is longer than 65,535 bytes.
    pub fn connect(&self, connect: Connect, out: &mut BytesMut) -> Result<(), EncodeError> {
        encode(Packet::Connect(Box::new(Connect { version: VERSION, ..connect })), out)
    }

    /// # Errors
    /// [`EncodeError`] when a filter is longer than 65,535 bytes.
    pub fn subscribe(
        &mut self,
        filters: Vec<(ByteString, Qos)>,
        out: &mut BytesMut,
    ) -> Result<PacketId, EncodeError> {
        let packet_id = self.next_id();
        let filters = filters.into_iter().map(|(filter, qos)| (filter, qos.into())).collect();
        encode(Packet::Subscribe { packet_id, id: None, filters }, out)?;
        Ok(packet_id)
    }

    /// # Errors
    /// [`EncodeError`] when a filter is longer than 65,535 bytes.
    pub fn unsubscribe(
        &mut self,
        filters: Vec<ByteString>,
        out: &mut BytesMut,
    ) -> Result<PacketId, EncodeError> {
        let packet_id = self.next_id();
        encode(Packet::Unsubscribe { packet_id, filters }, out)?;
        Ok(packet_id)
    }

    /// Writes a message and returns the id that its PUBACK will carry; none at QoS 0.
    ///
    /// # Errors
    /// [`EncodeError`] when the topic or the payload is too long for MQTT.
    pub fn publish(
        &mut self,
        topic: ByteString,
        payload: Bytes,
        qos: Qos,
        out: &mut BytesMut,
    ) -> Result<Option<PacketId>, EncodeError> {
        let packet_id = (qos != Qos::AtMostOnce).then(|| self.next_id());
        let (dup, retain, properties) = (false, false, None);
        let publish = Publish { topic, payload, qos, packet_id, dup, retain, properties };
        encode(Packet::Publish(publish), out)?;
        Ok(packet_id)
    }

    /// Writes a message at QoS 1 once more under the id it had.
    ///
    /// # Errors
    /// [`EncodeError`] when the topic or the payload is too long for MQTT.
    pub fn publish_again(
        &self,
        packet_id: PacketId,
        topic: ByteString,
        payload: Bytes,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let (qos, packet_id) = (Qos::AtLeastOnce, Some(packet_id));
        let (dup, retain, properties) = (true, false, None);
        let publish = Publish { topic, payload, qos, packet_id, dup, retain, properties };
        encode(Packet::Publish(publish), out)
    }

    pub fn puback(&self, packet_id: PacketId, out: &mut BytesMut) {
        write(Packet::puback(packet_id), out);
    }

    pub fn ping(&self, out: &mut BytesMut) {
        write(Packet::PingReq, out);
    }

    pub fn disconnect(&self, out: &mut BytesMut) {
        write(Packet::GOODBYE, out);
    }

    /// The next event in what was kept and then `input`, which moves past what was used; `None` when all of it is
    /// used or kept.
    ///
    /// # Errors
    /// [`ClientError`] when the server doesn't speak MQTT.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<ClientEvent>, ClientError> {
        let mut version = VERSION;
        let Some(packet) = self.framer.next(input, PACKET_BYTES_MAX, &mut version)? else {
            return Ok(None);
        };
        Ok(Some(match packet {
            Packet::ConnAck { session_present, code, .. } => {
                ClientEvent::ConnAck { session_present, code }
            }
            Packet::Publish(Publish { topic, payload, packet_id, dup, .. }) => {
                ClientEvent::Publish { topic, payload, packet_id, dup }
            }
            Packet::PubAck(packet_id, _) => ClientEvent::PubAck(packet_id),
            Packet::SubAck { packet_id, codes } => ClientEvent::SubAck { packet_id, codes },
            Packet::UnsubAck { packet_id, .. } => ClientEvent::UnsubAck(packet_id),
            Packet::PingResp => ClientEvent::Pong,
            Packet::Connect(_)
            | Packet::Subscribe { .. }
            | Packet::Unsubscribe { .. }
            | Packet::PingReq
            | Packet::Disconnect { .. } => return Err(ClientError::Direction),
        }))
    }

    fn next_id(&mut self) -> PacketId {
        crate::session::next_id(&mut self.last_id, &[])
    }
}

fn encode(packet: Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
    codec::encode(packet, VERSION, out)
}

fn write(packet: Packet, out: &mut BytesMut) {
    encode(packet, out).expect("packets without text are short");
}
