//! Requests of a back end that a device answers while the call waits (RRPC). Source: the device protocol reference,
//! topic rules.

use super::{App, Caller, Result, lookup};
use crate::mqtt::{Delivery, Epoch, Message, Peer, rrpc_topic};
use bytes::Bytes;
use otaru_core::id::DeviceNo;
use otaru_core::refusal;
use otaru_core::topic::CustomTopic;
use otaru_mqtt::packet::Qos;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A request to a device; its parts are checked.
#[derive(Debug, Clone)]
pub struct RrpcRequest {
    pub product_key: String,
    pub device_name: String,
    /// Told instead of the system's topic; with its text.
    pub topic: Option<(CustomTopic, String)>,
    pub payload: Bytes,
    pub timeout_ms: u64,
    /// What the device's answer names.
    pub message_id: i64,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RrpcAnswer {
    /// The device said this.
    Success(Bytes),
    /// It said nothing in time.
    Timeout,
    /// It is not connected, or its connection ended while it was waited for.
    Offline,
}

/// To which request of which connection an answer belongs.
type Key = (DeviceNo, Epoch, i64);

/// Calls that wait for a device: none longer than its timeout, each gone with it or with the device's connection.
#[derive(Debug)]
pub(super) struct Rrpcs {
    most: usize,
    waiting: Mutex<BTreeMap<Key, oneshot::Sender<Bytes>>>,
}

/// A call's place among those that wait; given back when the call ends, however it does.
struct Place<'a> {
    rrpcs: &'a Rrpcs,
    key: Key,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.rrpcs.waiting().remove(&self.key);
    }
}

impl Rrpcs {
    pub fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Key, oneshot::Sender<Bytes>>> {
        // Each change is whole before anything could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call, and where the answer comes; `None` when too many wait.
    fn wait(&self, peer: Peer, id: i64) -> Option<(Place<'_>, oneshot::Receiver<Bytes>)> {
        let key = (peer.device, peer.epoch, id);
        let mut waiting = self.waiting();
        if waiting.len() >= self.most {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        waiting.insert(key, answer);
        Some((Place { rrpcs: self, key }, answered))
    }

    /// A device answers on one of its connections; `false` when nobody waits for that.
    pub fn answered(&self, peer: Peer, id: i64, payload: Bytes) -> bool {
        let answer = self.waiting().remove(&(peer.device, peer.epoch, id));
        answer.is_some_and(|answer| answer.send(payload).is_ok())
    }

    /// A connection ended: who waits for it learns so.
    pub fn went_offline(&self, peer: Peer) {
        let of_peer = |id| (peer.device, peer.epoch, id);
        let mut waiting = self.waiting();
        let keys: Vec<_> =
            waiting.range(of_peer(i64::MIN)..=of_peer(i64::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            waiting.remove(&key);
        }
    }
}

impl App {
    /// Asks a device that is online, and waits for its answer.
    pub async fn rrpc(&self, caller: Caller, request: RrpcRequest) -> Result<RrpcAnswer> {
        let RrpcRequest { product_key, device_name, topic, payload, timeout_ms, message_id } =
            request;
        let found = self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let device = lookup::device(view, &product, &device_name)?;
            let text = match &topic {
                None => None,
                Some((CustomTopic::OfDevice { product_key, device_name, .. }, text))
                    if *product_key == product.key && *device_name == device.name.as_str() =>
                {
                    Some(text.as_str())
                }
                Some((_, text)) => return Err(refusal::NO_TOPIC.with(text).into()),
            };
            let topic = rrpc_topic(&product.key, &device.name, message_id, text);
            Ok((device.no, topic))
        });
        let (device, topic) = found.await?;
        let until_ms = self.clock.mono_ms() + timeout_ms;
        let Some(peer) = self.registry.peer(device) else { return Ok(RrpcAnswer::Offline) };
        let Some((place, answered)) = self.rrpcs.wait(peer, message_id) else {
            return Err(refusal::RATE_LIMIT.with("too many calls wait for devices").into());
        };
        let message = Message::new(topic, payload, Qos::AtMostOnce);
        if self.registry.deliver(peer, message) == Delivery::Gone {
            return Ok(RrpcAnswer::Offline);
        }
        let answer = tokio::select! {
            biased;
            answer = answered => answer.map_or(RrpcAnswer::Offline, RrpcAnswer::Success),
            () = self.clock.sleep_until(until_ms) => RrpcAnswer::Timeout,
        };
        drop(place);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(device: i64, epoch: u64) -> Peer {
        Peer { device: DeviceNo(device), epoch: Epoch(epoch) }
    }

    #[test]
    fn an_answer_reaches_the_call_that_waits_for_it_and_no_other() {
        let rrpcs = Rrpcs::new(10);
        let (_one, mut first) = rrpcs.wait(peer(1, 1), 7).unwrap();
        let (_two, mut second) = rrpcs.wait(peer(1, 1), 8).unwrap();
        for (who, id) in [(peer(2, 1), 7), (peer(1, 2), 7), (peer(1, 1), 9)] {
            assert!(!rrpcs.answered(who, id, "forged".into()));
        }
        assert!(rrpcs.answered(peer(1, 1), 7, "it".into()));
        assert!(!rrpcs.answered(peer(1, 1), 7, "again".into()));
        assert_eq!(first.try_recv(), Ok("it".into()));
        assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn the_end_of_a_connection_ends_the_waits_for_it_alone() {
        let rrpcs = Rrpcs::new(10);
        let peers = [peer(1, 1), peer(1, 2), peer(2, 1)];
        let mut waits: Vec<_> = peers.map(|peer| rrpcs.wait(peer, 7).unwrap()).into();
        rrpcs.went_offline(peer(1, 1));
        let ended: Vec<_> = waits
            .iter_mut()
            .map(|(_, answer)| answer.try_recv() == Err(oneshot::error::TryRecvError::Closed))
            .collect();
        assert_eq!(ended, [true, false, false]);
    }

    #[test]
    fn only_so_many_wait_and_each_gives_its_place_back() {
        let rrpcs = Rrpcs::new(2);
        let first = rrpcs.wait(peer(1, 1), 1).unwrap();
        let _second = rrpcs.wait(peer(2, 1), 2).unwrap();
        assert!(rrpcs.wait(peer(3, 1), 3).is_none());
        drop(first);
        assert!(rrpcs.wait(peer(3, 1), 3).is_some());
        assert_eq!(rrpcs.waiting().len(), 1);
    }
}
