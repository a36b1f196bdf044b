//! MQTT by hand: packets that no codec would write, and a socket that says exactly what came back.

use bytes::BytesMut;
use otaru_mqtt::client::{Client, ClientEvent};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes so long; a server that hangs fails the test instead of stopping it.
pub const HANG: Duration = Duration::from_mins(1);

pub const CONNACK_ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
pub const PINGREQ: [u8; 2] = [0xc0, 0];
pub const PINGRESP: [u8; 2] = [0xd0, 0];
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A packet of any first byte and body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&announced(first, body.len())[..], body].concat()
}

/// The header of a packet with `length` bytes behind it.
pub fn announced(first: u8, mut length: usize) -> Vec<u8> {
    let mut header = vec![first];
    loop {
        let digit = u8::try_from(length % 128).unwrap();
        length /= 128;
        header.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            return header;
        }
    }
}

/// Bytes behind their length.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A CONNECT of which everything can be wrong.
#[derive(Debug, Clone)]
pub struct Connect {
    pub name: &'static str,
    pub level: u8,
    /// Flags that username and password don't set already.
    pub flags: u8,
    pub keepalive_s: u16,
    pub client_id: Vec<u8>,
    /// What stands between client id and username: a will.
    pub will: Vec<u8>,
    pub username: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
}

impl Connect {
    pub fn bytes(&self) -> Vec<u8> {
        let has = |field: &Option<Vec<u8>>, flag| if field.is_some() { flag } else { 0 };
        let flags = self.flags | has(&self.username, 0x80) | has(&self.password, 0x40);
        let mut body = field(self.name);
        body.extend([self.level, flags]);
        body.extend(self.keepalive_s.to_be_bytes());
        body.extend(field(&self.client_id));
        body.extend(&self.will);
        for text in [&self.username, &self.password].into_iter().flatten() {
            body.extend(field(text));
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH; its packet id goes out with any quality but 0.
pub fn publish(qos: u8, id: u16, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut body = field(topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(payload.as_ref());
    packet(0x30 | qos << 1, &body)
}

pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// A SUBSCRIBE at quality 1.
pub fn subscribe(id: u16, filters: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let filters = filters.iter().flat_map(|filter| [field(filter), vec![1]].concat());
    packet(0x82, &id.to_be_bytes().into_iter().chain(filters).collect::<Vec<_>>())
}

pub fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    packet(0x90, &[&id.to_be_bytes()[..], codes].concat())
}

/// A connection to the device listener.
pub struct Wire {
    socket: TcpStream,
    /// What the connection is for, for the message of a failure.
    pub what: String,
}

impl Wire {
    pub async fn open(address: SocketAddr, what: &str) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), what: what.to_owned() }
    }

    /// Sends as much as the server takes: it may close before it has read all.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = tokio::time::timeout(HANG, self.socket.write_all(bytes)).await;
        assert!(sent.is_ok(), "{}: the server neither reads nor closes", self.what);
    }

    /// Says that nothing more will be sent.
    pub async fn end(&mut self) {
        // The server may have closed before.
        let _ = self.socket.shutdown().await;
    }

    async fn some(&mut self, buffer: &mut [u8]) -> usize {
        let read = tokio::time::timeout(HANG, self.socket.read(buffer)).await;
        let Ok(read) = read else {
            panic!("{}: the server neither answers nor closes", self.what);
        };
        match read {
            Ok(count) => count,
            // The server closed on bytes that it did not want to read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{}: {error}", self.what),
        }
    }

    /// The next `count` bytes, fewer only when the connection ends.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut read = 0;
        while read < count {
            match self.some(&mut bytes[read..]).await {
                0 => break,
                more => read += more,
            }
        }
        bytes.truncate(read);
        bytes
    }

    /// All that comes until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.some(&mut buffer).await {
                0 => return bytes,
                count => bytes.extend(&buffer[..count]),
            }
        }
    }

    /// The payload of the next message, which is acknowledged.
    pub async fn message(&mut self) -> Vec<u8> {
        let (mut client, mut buffer) = (Client::default(), [0; 4096]);
        loop {
            let count = self.some(&mut buffer).await;
            assert!(count > 0, "the server closed");
            let mut input = &buffer[..count];
            while let Some(event) = client.next(&mut input).unwrap() {
                if let ClientEvent::Publish { payload, packet_id, .. } = event {
                    let mut out = BytesMut::new();
                    if let Some(id) = packet_id {
                        client.puback(id, &mut out);
                    }
                    self.send(&out).await;
                    return payload.to_vec();
                }
            }
        }
    }
}
