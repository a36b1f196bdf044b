//! Sessions that outlive the connection of their device, and how much waits in them. Sources: the device protocol
//! reference, MQTT transport; MQTT 3.1.1, section 3.1.2.4; MQTT 5.0, section 3.1.2.11.2.

use crate::id::{DeviceNo, MessageNo};
use crate::time::{SECOND_MS, Timestamp};

/// Seconds of seven days.
const WEEK_S: u32 = 7 * 24 * 60 * 60;

/// What an operator lets sessions hold. Every one has a name in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// Seconds that a session outlives its connection at most; 0: none does.
    pub expiry_s: u32,
    /// Seconds that a message waits at most.
    pub message_expiry_s: u32,
    /// Messages that wait in one session.
    pub messages_max: u64,
    /// Bytes of them: topics, payloads and what is said beside them.
    pub bytes_max: u64,
    /// Messages that wait in all sessions.
    pub messages_total_max: u64,
    /// Bytes of them.
    pub bytes_total_max: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            expiry_s: WEEK_S,
            message_expiry_s: WEEK_S,
            messages_max: 1_000,
            bytes_max: 4 * 1024 * 1024,
            messages_total_max: 1_000_000,
            bytes_total_max: 1024 * 1024 * 1024,
        }
    }
}

/// Messages that wait, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    pub messages: u64,
    pub bytes: u64,
}

/// A session that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub device: DeviceNo,
    /// Seconds that it outlives its connection.
    pub expiry_s: u32,
    /// When it ends; `None` while its device is connected.
    pub expires_at: Option<Timestamp>,
    /// The device may have been sent all messages up to this one, without acknowledging those that are there.
    pub sent_to: Option<MessageNo>,
    pub held: Held,
}

/// Where there is no room for another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("as many messages wait for the device as may")]
    Session,
    #[error("as many messages wait for all devices as may")]
    Server,
}

impl Session {
    /// Whether its time is over, though it may still be there.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl SessionLimits {
    /// Seconds that a session outlives its connection; `None` asks for as long as the server has it.
    pub fn granted_s(&self, asked_s: Option<u32>) -> u32 {
        asked_s.unwrap_or(u32::MAX).min(self.expiry_s)
    }

    /// When a message that is kept at `now` is nobody's any more; `asked` is when its sender said so.
    pub fn kept_until(&self, now: Timestamp, asked: Option<Timestamp>) -> Timestamp {
        let at = now.plus_ms(i64::from(self.message_expiry_s) * SECOND_MS);
        asked.map_or(at, |asked| asked.min(at))
    }

    /// Whether a message of `bytes` still fits. When it doesn't it is the newest that goes, not the oldest: what was
    /// acknowledged to its sender stays.
    ///
    /// # Errors
    /// [`Full`] says what has no room.
    pub fn admit(&self, session: Held, total: Held, bytes: u64) -> Result<(), Full> {
        let fits = |held: Held, messages_max, bytes_max| {
            held.messages < messages_max && held.bytes.saturating_add(bytes) <= bytes_max
        };
        if !fits(session, self.messages_max, self.bytes_max) {
            return Err(Full::Session);
        }
        if !fits(total, self.messages_total_max, self.bytes_total_max) {
            return Err(Full::Server);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_while_session_and_server_have_room() {
        let limits = SessionLimits {
            messages_max: 2,
            bytes_max: 10,
            messages_total_max: 5,
            bytes_total_max: 20,
            ..SessionLimits::default()
        };
        for (session, total, bytes, want) in [
            ((0, 0), (0, 0), 10, Ok(())),
            ((0, 0), (0, 0), 11, Err(Full::Session)),
            ((1, 9), (4, 19), 1, Ok(())),
            ((1, 9), (4, 19), 2, Err(Full::Session)),
            ((2, 0), (2, 0), 1, Err(Full::Session)),
            ((1, 9), (5, 19), 1, Err(Full::Server)),
            ((1, 5), (4, 19), 2, Err(Full::Server)),
            ((0, 0), (0, 0), u64::MAX, Err(Full::Session)),
        ] {
            let held = |(messages, bytes)| Held { messages, bytes };
            let got = limits.admit(held(session), held(total), bytes);
            assert_eq!(got, want, "{session:?} {total:?} {bytes}");
        }
    }

    #[test]
    fn what_is_asked_for_is_granted_up_to_the_limit() {
        let limits =
            SessionLimits { expiry_s: 60, message_expiry_s: 10, ..SessionLimits::default() };
        for (asked, want) in [(None, 60), (Some(0), 0), (Some(59), 59), (Some(u32::MAX), 60)] {
            assert_eq!(limits.granted_s(asked), want, "{asked:?}");
        }
        let now = Timestamp(1_000);
        for (asked, want) in [(None, 11_000), (Some(10_999), 10_999), (Some(99_000), 11_000)] {
            assert_eq!(limits.kept_until(now, asked.map(Timestamp)), Timestamp(want), "{asked:?}");
        }
    }

    #[test]
    fn a_session_is_over_at_its_end_and_never_while_its_device_is_connected() {
        let ends = |expires_at: Option<i64>| Session {
            device: DeviceNo(1),
            expiry_s: 1,
            expires_at: expires_at.map(Timestamp),
            sent_to: None,
            held: Held::default(),
        };
        for (at, want) in [(None, false), (Some(11), false), (Some(10), true), (Some(9), true)] {
            assert_eq!(ends(at).is_over(Timestamp(10)), want, "{at:?}");
        }
    }
}
