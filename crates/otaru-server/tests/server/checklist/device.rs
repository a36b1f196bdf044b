//! Devices that speak MQTT over a memory link.

use bytes::BytesMut;
use otaru_core::signature::device::{SignMethod, connect_content};
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{Connect, ConnectCode, Qos};
use otaru_server::mqtt::MemoryLink;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

#[derive(Clone)]
pub struct Device {
    pub product: String,
    pub name: String,
    pub secret: String,
}

/// A connection of a device.
pub struct Wire {
    device: Device,
    link: MemoryLink,
    client: Client,
    read: Vec<u8>,
    /// Messages that came while something else was waited for.
    messages: VecDeque<(String, Value)>,
}

impl Wire {
    pub async fn connect(link: MemoryLink, device: &Device) -> Self {
        let (client, read, messages) = (Client::default(), Vec::new(), VecDeque::new());
        let mut wire = Self { device: device.clone(), link, client, read, messages };
        let content = connect_content("c", &device.name, &device.product, None);
        let connect = Connect {
            clean_session: true,
            keepalive_s: 1_200,
            client_id: "c|securemode=3,signmethod=hmacsha256|".into(),
            username: Some(format!("{}&{}", device.name, device.product).into()),
            password: Some(SignMethod::Sha256.sign(&device.secret, &content).into()),
            ..Connect::default()
        };
        let mut out = BytesMut::new();
        wire.client.connect(connect, &mut out).unwrap();
        wire.write(&out).await;
        let accepted = ClientEvent::ConnAck { session_present: false, code: ConnectCode::Accepted };
        assert_eq!(wire.hear().await, Some(accepted));
        wire
    }

    async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.link.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.link.writable().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next that the server says; `None` when it closes the connection.
    async fn hear(&mut self) -> Option<ClientEvent> {
        loop {
            let mut input = &self.read[..];
            let event = self.client.next(&mut input).unwrap();
            self.read = input.to_vec();
            if event.is_some() {
                return event;
            }
            self.link.readable().await;
            let mut buffer = [0; 4096];
            match self.link.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// Hears until `wanted` comes; messages are acknowledged and kept.
    async fn hear_until(&mut self, wanted: impl Fn(&ClientEvent) -> bool) {
        loop {
            let event = self.hear().await.expect("the connection stays");
            if wanted(&event) {
                return;
            }
            self.keep(event).await;
        }
    }

    async fn keep(&mut self, event: ClientEvent) {
        let ClientEvent::Publish { topic, payload, packet_id, .. } = event else {
            panic!("{event:?}")
        };
        if let Some(id) = packet_id {
            let mut out = BytesMut::new();
            self.client.puback(id, &mut out);
            self.write(&out).await;
        }
        self.messages.push_back((topic.to_string(), serde_json::from_slice(&payload).unwrap()));
    }

    /// Publishes at QoS 1 and waits until the server has it.
    async fn publish(&mut self, topic: String, payload: &Value) {
        let mut out = BytesMut::new();
        let payload = payload.to_string();
        let id = self.client.publish(topic.into(), payload.into(), Qos::AtLeastOnce, &mut out);
        let id = id.unwrap().expect("QoS 1 has one");
        self.write(&out).await;
        self.hear_until(|event| *event == ClientEvent::PubAck(id)).await;
    }

    fn ota(&self, kind: &str) -> String {
        format!("/ota/device/{kind}/{}/{}", self.device.product, self.device.name)
    }

    pub async fn informs(&mut self, version: &str) {
        self.publish(self.ota("inform"), &json!({"id": "1", "params": {"version": version}})).await;
    }

    pub async fn informs_of(&mut self, module: &str, version: &str) {
        let params = json!({"version": version, "module": module});
        self.publish(self.ota("inform"), &json!({"id": "1", "params": params})).await;
    }

    pub async fn is_at(&mut self, step: i32) {
        let params = json!({"step": step.to_string(), "desc": ""});
        self.publish(self.ota("progress"), &json!({"id": "1", "params": params})).await;
    }

    /// The `data` that the server answers to a pull.
    pub async fn pulls(&mut self) -> Value {
        let Device { product, name, .. } = &self.device;
        let message =
            self.asks(&format!("/sys/{product}/{name}/thing/ota/firmware/get"), json!({})).await;
        assert_eq!(message["code"], 200, "{message}");
        message["data"].clone()
    }

    /// What the server answers to a request.
    pub async fn asks(&mut self, topic: &str, params: Value) -> Value {
        self.publish(topic.to_owned(), &json!({"id": "7", "params": params})).await;
        self.message(&format!("{topic}_reply")).await
    }

    /// The next message on a topic.
    pub async fn message(&mut self, topic: &str) -> Value {
        loop {
            let place = self.messages.iter().position(|(of, _)| of == topic);
            if let Some((_, message)) = place.and_then(|place| self.messages.remove(place)) {
                return message;
            }
            let event = self.hear().await.expect("the connection stays");
            self.keep(event).await;
        }
    }

    /// From now on it is `device` that reports, pulls and is pushed on this connection: a sub-device of its gateway.
    pub fn speaks_for(&mut self, device: &Device) {
        self.device = device.clone();
    }

    /// The `data` of the next push that comes within that many seconds.
    pub async fn push_within(&mut self, seconds: u64) -> Option<Value> {
        let until = tokio::time::sleep(Duration::from_secs(seconds));
        tokio::pin!(until);
        loop {
            let topic = self.ota("upgrade");
            if let Some(place) = self.messages.iter().position(|(of, _)| *of == topic) {
                let (_, message) = self.messages.remove(place).expect("it was found");
                return Some(message["data"].clone());
            }
            let event = tokio::select! {
                event = self.hear() => event.expect("the connection stays"),
                () = &mut until => return None,
            };
            self.keep(event).await;
        }
    }

    /// The version that the next push is for.
    pub async fn pushed(&mut self) -> String {
        let push = self.push_within(60).await.expect("a push");
        push["version"].as_str().unwrap().to_owned()
    }

    pub async fn goes(mut self) {
        let mut out = BytesMut::new();
        self.client.disconnect(&mut out);
        self.write(&out).await;
        while self.hear().await.is_some() {}
    }

    /// Breaks the connection without a word.
    pub fn breaks(self) {
        self.link.cut();
    }
}
