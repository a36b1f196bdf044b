//! The table `[sessions]`.

use super::table;
use otaru_core::session::SessionLimits;

table! {
    /// The table `[sessions]`.
    SessionSettings => SessionLimits, "Sessions" {
        /// Seconds that a device's session outlives its connection at most; 0: none does [default: 604800]
        expiry_s: u32 = "sessions-expiry-s", "OTARU_SESSIONS_EXPIRY_S", "SECONDS";
        /// Seconds that a message waits for its device at most [default: 604800]
        message_expiry_s: u32 = "sessions-message-expiry-s", "OTARU_SESSIONS_MESSAGE_EXPIRY_S", "SECONDS";
        /// Messages that wait for one device; the next is refused [default: 1000]
        messages_max: u64 = "sessions-messages-max", "OTARU_SESSIONS_MESSAGES_MAX", "N";
        /// Bytes of the messages that wait for one device; the next is refused [default: 4194304]
        bytes_max: u64 = "sessions-bytes-max", "OTARU_SESSIONS_BYTES_MAX", "BYTES";
        /// Messages that wait for all devices; the next is refused [default: 1000000]
        messages_total_max: u64 = "sessions-messages-total-max", "OTARU_SESSIONS_MESSAGES_TOTAL_MAX", "N";
        /// Bytes of the messages that wait for all devices; the next is refused [default: 1073741824]
        bytes_total_max: u64 = "sessions-bytes-total-max", "OTARU_SESSIONS_BYTES_TOTAL_MAX", "BYTES";
    }
}

impl SessionSettings {
    pub(super) fn check(self) -> SessionLimits {
        self.applied()
    }
}
