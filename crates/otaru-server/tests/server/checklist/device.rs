//! Devices that speak MQTT over a memory link.

use bytes::BytesMut;
use otaru_mqtt::client::{Client, ClientEvent};
use otaru_mqtt::packet::{ConnectCode, Qos};
use otaru_server::mqtt::{MemoryClient, MemoryLink};
use serde_json::{Value, json};
use std::collections::VecDeque;
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
    client: MemoryClient,
    /// Messages that came while something else was waited for.
    messages: VecDeque<(String, Value)>,
}

impl Wire {
    pub async fn connect(link: MemoryLink, device: &Device) -> Self {
        let mut client = MemoryClient::from(link);
        let Device { product, name, secret } = device;
        let connect = MemoryClient::signed(product, name, secret, "c");
        client.say(|client, out| client.connect(connect, out)).await.unwrap();
        let accepted = ClientEvent::ConnAck { session_present: false, code: ConnectCode::Accepted };
        assert_eq!(client.hear().await, Some(accepted));
        Self { device: device.clone(), client, messages: VecDeque::new() }
    }

    /// Hears until `wanted` comes; messages are acknowledged and kept.
    async fn hear_until(&mut self, wanted: impl Fn(&ClientEvent) -> bool) {
        loop {
            let event = self.client.hear().await.expect("the connection stays");
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
            self.client.say(|client, out| client.puback(id, out)).await;
        }
        self.messages.push_back((topic.to_string(), serde_json::from_slice(&payload).unwrap()));
    }

    /// Publishes at QoS 1 and waits until the server has it.
    async fn publish(&mut self, topic: String, payload: &Value) {
        let payload = payload.to_string().into();
        let publish = |client: &mut Client, out: &mut BytesMut| {
            client.publish(topic.into(), payload, Qos::AtLeastOnce, out)
        };
        let id = self.client.say(publish).await.unwrap().expect("QoS 1 has one");
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
            let event = self.client.hear().await.expect("the connection stays");
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
                event = self.client.hear() => event.expect("the connection stays"),
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
        self.client.say(|client, out| client.disconnect(out)).await;
        while self.client.hear().await.is_some() {}
    }

    /// Breaks the connection without a word.
    pub fn breaks(self) {
        self.client.link.cut();
    }
}
