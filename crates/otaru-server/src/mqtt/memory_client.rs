//! A device at the other end of a pipe in memory, for tests: it says and hears what it is told to, and nothing by itself.

use super::MemoryLink;
use bytes::{BufMut, BytesMut};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::Connect;
use std::io::ErrorKind;

/// Seconds without a word after which such a device is taken for gone.
const KEEPALIVE_S: u16 = 1_200;

#[derive(Debug)]
pub struct MemoryClient {
    pub link: MemoryLink,
    pub client: Client,
    read: Vec<u8>,
}

impl From<MemoryLink> for MemoryClient {
    fn from(link: MemoryLink) -> Self {
        Self { link, client: Client::default(), read: Vec::new() }
    }
}

impl MemoryClient {
    /// A CONNECT that is signed with the secret of a device; `base` is the client id without its parameters.
    pub fn signed(product_key: &str, device_name: &str, secret: &str, base: &str) -> Connect {
        let content = connect_content(base, device_name, product_key, None);
        Connect {
            clean_session: true,
            keepalive_s: KEEPALIVE_S,
            client_id: format!("{base}|signmethod=hmacsha256|").into(),
            username: Some(format!("{device_name}&{product_key}").into()),
            password: Some(SignMethod::Sha256.sign(secret, &content).into()),
            ..Connect::default()
        }
    }

    /// Sends what `compose` writes.
    pub async fn say<T>(&mut self, compose: impl FnOnce(&mut Client, &mut BytesMut) -> T) -> T {
        let mut out = BytesMut::new();
        let value = compose(&mut self.client, &mut out);
        self.link.write_all(&out).await;
        value
    }

    /// The next that the server says; `None` when it closes the connection.
    ///
    /// # Panics
    /// When it says what is no MQTT: a test then fails.
    pub async fn hear(&mut self) -> Option<ClientEvent> {
        loop {
            let mut input = &self.read[..];
            let event = self.client.next(&mut input).expect("the server speaks MQTT");
            self.read = input.to_vec();
            if event.is_some() {
                return event;
            }
            if !self.link.read_more(&mut self.read).await {
                return None;
            }
        }
    }
}

impl MemoryLink {
    /// Writes all of `bytes`, or as much as a closed connection takes.
    pub async fn write_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await,
                Err(_) => return,
            }
        }
    }

    /// Waits for bytes and puts them behind those in `read`; `false` when the connection is closed.
    pub async fn read_more(&self, read: &mut impl BufMut) -> bool {
        let mut buffer = [0; 4096];
        loop {
            self.readable().await;
            match self.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    read.put_slice(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}
