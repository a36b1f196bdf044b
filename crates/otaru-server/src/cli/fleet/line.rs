//! A device's connection, small enough for tens of thousands of them.

use super::identity::Device;
use crate::clock::Stopwatch;
use crate::mqtt::Link;
use crate::socket::Socket;
use crate::tls::{Caller, HandshakeError};
use bytes::{Bytes, BytesMut};
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::client::{Client, ClientError, ClientEvent};
use otaru_mqtt::packet::{ByteString, Connect, ConnectCode, Qos, SubscribeCode};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::{Sleep, sleep};

const READ_BYTES: usize = 64 * 1024;
/// Seconds that a device may be silent. The device protocol reference allows 1,200.
const KEEPALIVE_S: u16 = 1_200;
/// Seconds of silence after which a ping is sent.
const PING_AFTER: Duration = Duration::from_mins(10);
/// Seconds for an answer, before the device gives up.
const PATIENCE: Duration = Duration::from_mins(2);

thread_local! {
    /// Buffers of whichever line works just now, so that idle ones hold none.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Why a device gives up.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("connecting: {0}")]
    Connect(ErrorKind),
    #[error("TLS: {0}")]
    Tls(#[from] HandshakeError),
    #[error("the connection broke: {0}")]
    Broken(ErrorKind),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server refused the device: {0:?}")]
    Refused(ConnectCode),
    #[error("the server refused the subscription")]
    Subscription,
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

impl From<ClientError> for LineError {
    fn from(error: ClientError) -> Self {
        Self::Protocol(error.to_string())
    }
}

pub(super) struct Line {
    link: Link,
    client: Client,
    /// What came in and nobody has looked at.
    incoming: VecDeque<ClientEvent>,
    /// What came while something else was waited for.
    aside: VecDeque<ClientEvent>,
    /// Rings after [`PATIENCE`] at the earliest. Kept from one answer to the next: a timer for each would be felt.
    alarm: Option<Pin<Box<Sleep>>>,
    last_id: u32,
}

impl Line {
    /// Connects as `device`, from `source` when it is given, under TLS when there is a `caller`.
    pub(super) async fn connect(
        to: SocketAddr,
        source: Option<IpAddr>,
        caller: Option<&Caller>,
        device: &Device,
    ) -> Result<Self, LineError> {
        let failed = |error: std::io::Error| LineError::Connect(error.kind());
        let socket = open(to, source).map_err(failed)?.connect(to).await.map_err(failed)?;
        // It works without it too.
        let _ = socket.set_nodelay(true);
        let socket = match caller {
            None => Socket::from(socket),
            Some(caller) => {
                let shaken = tokio::time::timeout(PATIENCE, caller.connect(socket)).await;
                shaken.map_err(|_| LineError::Silent)??.into()
            }
        };
        let mut line = Self {
            link: Link::Socket(socket),
            client: Client::default(),
            incoming: VecDeque::new(),
            aside: VecDeque::new(),
            alarm: None,
            last_id: 0,
        };
        let connect = hello(device);
        line.send(|client, out| client.connect(connect, out).map_err(encoding)).await?;
        match line.answer().await? {
            ClientEvent::ConnAck { code: ConnectCode::Accepted, .. } => Ok(line),
            ClientEvent::ConnAck { code, .. } => Err(LineError::Refused(code)),
            other => Err(LineError::Protocol(format!("it greeted with {other:?}"))),
        }
    }

    /// Subscribes to `filter` at QoS 1.
    pub(super) async fn subscribe(&mut self, filter: &str) -> Result<(), LineError> {
        let filters = vec![(filter.into(), Qos::AtLeastOnce)];
        self.send(|client, out| client.subscribe(filters, out).map(drop).map_err(encoding)).await?;
        loop {
            match self.answer().await? {
                ClientEvent::SubAck { codes, .. } => {
                    let is_granted = matches!(codes[..], [SubscribeCode::Granted(_)]);
                    return if is_granted { Ok(()) } else { Err(LineError::Subscription) };
                }
                other => self.aside.push_back(other),
            }
        }
    }

    /// Publishes at QoS 1 and waits until the server has it.
    pub(super) async fn say(&mut self, topic: &str, params: &str) -> Result<(), LineError> {
        self.last_id += 1;
        let payload = format!(r#"{{"id":"{}","params":{params}}}"#, self.last_id);
        let mut sent = None;
        self.send(|client, out| {
            let id = client.publish(topic.into(), payload.into(), Qos::AtLeastOnce, out);
            sent = id.map_err(encoding)?;
            Ok(())
        })
        .await?;
        loop {
            match self.answer().await? {
                ClientEvent::PubAck(id) if Some(id) == sent => return Ok(()),
                other => self.aside.push_back(other),
            }
        }
    }

    /// The next message on `topic`, however long it takes.
    pub(super) async fn message(&mut self, topic: &str) -> Result<Bytes, LineError> {
        loop {
            if let ClientEvent::Publish { topic: on, payload, .. } = self.event().await?
                && *on == *topic
            {
                return Ok(payload);
            }
        }
    }

    /// Listens until the connection ends, and says why it did.
    pub(super) async fn listen(&mut self) -> LineError {
        loop {
            if let Err(error) = self.event().await {
                return error;
            }
        }
    }

    async fn answer(&mut self) -> Result<ClientEvent, LineError> {
        let asked = Stopwatch::start();
        let mut alarm = self.alarm.take().unwrap_or_else(|| Box::pin(sleep(PATIENCE)));
        let answer = {
            let mut reading = pin!(self.read());
            loop {
                tokio::select! {
                    biased;
                    answer = &mut reading => break answer,
                    () = &mut alarm => {
                        // It may have been set for an earlier answer.
                        let left = PATIENCE.saturating_sub(asked.elapsed());
                        if left.is_zero() {
                            return Err(LineError::Silent);
                        }
                        alarm = Box::pin(sleep(left));
                    }
                }
            }
        };
        self.alarm = Some(alarm);
        answer
    }

    /// The next event, with pings while there is none.
    async fn event(&mut self) -> Result<ClientEvent, LineError> {
        if let Some(event) = self.aside.pop_front() {
            return Ok(event);
        }
        loop {
            if let Ok(event) = tokio::time::timeout(PING_AFTER, self.read()).await {
                return event;
            }
            self.send(|client, out| {
                client.ping(out);
                Ok(())
            })
            .await?;
        }
    }

    /// The next event that comes in, past those that were set aside. A message is acknowledged at once.
    async fn read(&mut self) -> Result<ClientEvent, LineError> {
        loop {
            if let Some(event) = self.incoming.pop_front() {
                if let ClientEvent::Publish { packet_id: Some(id), .. } = event {
                    self.send(|client, out| {
                        client.puback(id, out);
                        Ok(())
                    })
                    .await?;
                }
                return Ok(event);
            }
            self.incoming = VecDeque::new();
            self.link.readable().await.map_err(|error| LineError::Broken(error.kind()))?;
            let mut buffer = READ.take();
            buffer.resize(READ_BYTES, 0);
            let got = match self.link.try_read(&mut buffer) {
                Ok(0) => Err(LineError::Closed),
                Ok(count) => self.take(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(LineError::Broken(error.kind())),
            };
            READ.set(buffer);
            got?;
        }
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), LineError> {
        while let Some(event) = self.client.next(&mut input)? {
            self.incoming.push_back(event);
        }
        Ok(())
    }

    async fn send(
        &mut self,
        compose: impl FnOnce(&mut Client, &mut BytesMut) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        let mut out = BytesMut::new();
        compose(&mut self.client, &mut out)?;
        let mut rest = &out[..];
        while !rest.is_empty() {
            match self.link.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = self.link.writable().await;
                    ready.map_err(|error| LineError::Broken(error.kind()))?;
                }
                Err(error) => return Err(LineError::Broken(error.kind())),
            }
        }
        Ok(())
    }
}

fn encoding(error: impl std::fmt::Display) -> LineError {
    LineError::Protocol(error.to_string())
}

/// A socket that leaves no trace of a closed connection: the port can be used again at once.
fn open(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpSocket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket)
}

fn hello(device: &Device) -> Connect {
    let Device { product_key, name, secret } = device;
    let base = format!("{product_key}.{name}");
    let content = connect_content(&base, name, product_key, None);
    Connect {
        client_id: format!("{base}|securemode=3,signmethod=hmacsha256|").into(),
        username: Some(ByteString::from(format!("{name}&{product_key}"))),
        password: Some(SignMethod::Sha256.sign(secret, &content).into_bytes().into()),
        clean_session: true,
        keepalive_s: KEEPALIVE_S,
        ..Connect::default()
    }
}
