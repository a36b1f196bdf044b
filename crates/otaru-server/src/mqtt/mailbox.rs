//! What others leave for a connection: messages to write, and the wish to close it.

use super::registry::Peer;
use crate::doors::Leave;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use otaru_core::time::Timestamp;
use otaru_core::topology::{SubEnd, SubName};
use otaru_mqtt::packet::{ByteString, Properties, Qos};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Messages that may wait for a device that doesn't read; one more and its connection is given up.
const MESSAGES_MAX: usize = 200;
/// As above, in bytes of payload.
const BYTES_MAX: usize = 1024 * 1024;

/// The same, that each sub-device of a gateway adds: pushes for all of them may come at once.
const SUB_MESSAGES_MAX: usize = 4;
const SUB_BYTES_MAX: usize = 16 * 1024;

/// A message for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: ByteString,
    pub payload: Bytes,
    pub qos: Qos,
    pub beside: Option<Arc<Beside>>,
}

/// What only some messages have beside topic and payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// For devices that speak MQTT 5.0. How long the message is worth being delivered is said by `expires_at`.
    pub properties: Properties,
    /// When nobody is to hear it any more.
    pub expires_at: Option<Timestamp>,
    /// Whether it was sent to be retained; only devices that ask for it hear so.
    pub retain: bool,
}

impl Message {
    /// Nothing but a topic and a payload.
    pub fn new(topic: impl Into<ByteString>, payload: impl Into<Bytes>, qos: Qos) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos, beside: None }
    }
}

/// Why somebody else wants a connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The device has a newer one.
    Replaced,
    /// The device was disabled or deleted.
    Kicked,
    /// Nothing came for longer than the keepalive allows, or no CONNECT.
    Silent,
    /// The device reads too slowly.
    Slow,
    Shutdown,
    /// Too many strangers are connected.
    Evicted,
    /// All connections together keep too much, and this one keeps most.
    Memory,
}

/// Shared by a connection's task and everybody who has something for it. Holds no memory while empty.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    deadline_ms: AtomicU64,
    /// The deadline is that of what waits to be taken.
    is_slow: AtomicBool,
    has_changed: AtomicBool,
    reader: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    payload_bytes: usize,
    closed: Option<CloseReason>,
    /// Sub-devices of a gateway that were logged out, and why it is to be told; at most those it has logged in.
    expelled: Vec<(Peer, SubName, SubEnd)>,
    /// Something waits in the session of the device.
    kept: bool,
    /// Sub-devices that are logged in through the connection: each brings room for messages of its own.
    sub_devices: usize,
}

impl Default for Mailbox {
    fn default() -> Self {
        let deadline_ms = AtomicU64::new(u64::MAX);
        Self {
            state: Mutex::default(),
            deadline_ms,
            is_slow: AtomicBool::new(false),
            has_changed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }
}

impl Mailbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change below is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message; `false` when the connection is to be closed, or is now since too much waits.
    pub(super) fn put(&self, message: Message) -> bool {
        let mut state = self.state();
        if state.closed.is_some() {
            return false;
        }
        state.payload_bytes += message.payload.len();
        state.messages.push_back(message);
        let fits = state.messages.len() <= MESSAGES_MAX + state.sub_devices * SUB_MESSAGES_MAX
            && state.payload_bytes <= BYTES_MAX + state.sub_devices * SUB_BYTES_MAX;
        if !fits {
            state.close(CloseReason::Slow);
        }
        drop(state);
        self.tell();
        fits
    }

    /// Takes the oldest message if `want` says so.
    pub(super) fn take_if(&self, want: impl FnOnce(&Message) -> bool) -> Option<Message> {
        let mut state = self.state();
        let message = state.messages.pop_front_if(|message| want(message))?;
        state.payload_bytes -= message.payload.len();
        if state.messages.is_empty() {
            state.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Leaves word that something waits in the device's session.
    pub(super) fn tell_kept(&self) {
        self.state().kept = true;
        self.tell();
    }

    pub(super) fn take_kept(&self) -> bool {
        std::mem::take(&mut self.state().kept)
    }

    /// Asks for the connection to be closed. The first reason stands.
    pub(super) fn close(&self, reason: CloseReason) {
        self.state().close(reason);
        self.tell();
    }

    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.state().closed
    }

    /// Leaves word that a sub-device was logged out by somebody else.
    pub(super) fn expel(&self, peer: Peer, name: SubName, end: SubEnd) {
        self.state().expelled.push((peer, name, end));
        self.tell();
    }

    pub(super) fn take_expelled(&self) -> Vec<(Peer, SubName, SubEnd)> {
        std::mem::take(&mut self.state().expelled)
    }

    pub(super) fn set_sub_devices(&self, count: usize) {
        self.state().sub_devices = count;
    }

    /// Whether there is something new; otherwise the task, the only one that asks, is woken once there is.
    pub(super) fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        self.reader.register(context.waker());
        let has_changed = self.has_changed.swap(false, Ordering::AcqRel);
        if has_changed { Poll::Ready(()) } else { Poll::Pending }
    }

    fn tell(&self) {
        self.has_changed.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// When the connection is to be closed unless something is heard or taken, on the monotonic clock.
    pub(super) fn deadline_ms(&self) -> u64 {
        self.deadline_ms.load(Ordering::Relaxed)
    }

    /// `heard_ms`: unless something is heard; `taken_ms`: unless something is taken that waits.
    pub(super) fn set_deadline_ms(&self, heard_ms: u64, taken_ms: u64) {
        self.deadline_ms.store(heard_ms.min(taken_ms), Ordering::Relaxed);
        self.is_slow.store(taken_ms < heard_ms, Ordering::Relaxed);
    }

    /// The deadline is over.
    pub(super) fn overdue(&self) {
        let is_slow = self.is_slow.load(Ordering::Relaxed);
        self.close(if is_slow { CloseReason::Slow } else { CloseReason::Silent });
    }
}

impl Leave for Mailbox {
    fn leave(&self) {
        self.close(CloseReason::Evicted);
    }
}

impl State {
    fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
        self.messages = VecDeque::new();
        self.payload_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Message {
        Message::new("/t", vec![0; bytes], Qos::AtMostOnce)
    }

    #[test]
    fn a_peer_that_leaves_too_much_waiting_is_given_up() {
        for (bytes, fitting) in [(0, MESSAGES_MAX), (BYTES_MAX / 4, 4)] {
            let mailbox = Mailbox::default();
            for _ in 0..fitting {
                assert!(mailbox.put(message(bytes)));
            }
            assert!(!mailbox.put(message(bytes.max(1))));
            assert_eq!(mailbox.closed(), Some(CloseReason::Slow));
            assert!(!mailbox.put(message(0)));
            assert_eq!(mailbox.take_if(|_| true), None);
        }
    }

    #[test]
    fn what_is_taken_makes_room_and_what_is_not_wanted_stays() {
        let mailbox = Mailbox::default();
        for _ in 0..1_000 {
            assert!(mailbox.put(message(1_000)));
            assert_eq!(mailbox.take_if(|_| false), None);
            assert_eq!(mailbox.take_if(|_| true), Some(message(1_000)));
        }
    }

    #[test]
    fn the_first_reason_to_close_stands() {
        let mailbox = Mailbox::default();
        mailbox.close(CloseReason::Replaced);
        mailbox.close(CloseReason::Silent);
        assert_eq!(mailbox.closed(), Some(CloseReason::Replaced));
    }
}
