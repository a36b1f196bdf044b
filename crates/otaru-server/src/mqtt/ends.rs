//! What is counted when a connection ends or a CONNECT is refused.

use super::connection::End;
use super::mailbox::CloseReason;
use crate::metrics::{Ended, Refused};
use otaru_mqtt::codec::DecodeError;
use otaru_mqtt::packet::Reason;
use otaru_mqtt::session::ProtocolError;

/// Under which label the end of a connection is counted.
pub(super) fn ended(end: End) -> Ended {
    match end {
        End::Farewell => Ended::Farewell,
        End::Eof => Ended::Eof,
        End::Broken(_) => Ended::Broken,
        End::Protocol(
            ProtocolError::Decode(DecodeError::TooLarge { .. }) | ProtocolError::PayloadTooLarge(_),
        ) => Ended::TooLarge,
        End::Protocol(ProtocolError::Decode(_)) => Ended::Malformed,
        End::Protocol(_) => Ended::Protocol,
        End::Refused(_) => Ended::Refused,
        End::Slow | End::Closed(CloseReason::Slow) => Ended::Slow,
        End::Closed(CloseReason::Replaced) => Ended::Replaced,
        End::Closed(CloseReason::Kicked) => Ended::Kicked,
        End::Closed(CloseReason::Silent) => Ended::Silent,
        End::Closed(CloseReason::Shutdown) => Ended::Shutdown,
        End::Closed(CloseReason::Evicted) => Ended::Evicted,
        End::Closed(CloseReason::Memory) => Ended::Memory,
        End::Unkept => Ended::Unkept,
    }
}

/// What a device that speaks MQTT 5.0 is told about the end of its connection, if it can be told anything.
pub(super) fn reason(end: End) -> Option<Reason> {
    match end {
        // It went by itself, or doesn't read.
        End::Farewell | End::Eof | End::Broken(_) | End::Refused(_) | End::Slow => None,
        End::Protocol(error) => Some(error.reason()),
        End::Closed(CloseReason::Slow | CloseReason::Memory) => Some(Reason::QUOTA),
        // A stranger, who is told nothing.
        End::Closed(CloseReason::Evicted) => None,
        End::Closed(CloseReason::Replaced) => Some(Reason::TAKEN_OVER),
        End::Closed(CloseReason::Kicked) => Some(Reason::ADMINISTRATIVE),
        End::Closed(CloseReason::Silent) => Some(Reason::KEEPALIVE),
        End::Closed(CloseReason::Shutdown) => Some(Reason::SHUTTING_DOWN),
        End::Unkept => Some(Reason::UNSPECIFIED),
    }
}

/// Why a CONNECT is refused that breaks a rule of MQTT itself.
pub(super) fn refused(error: ProtocolError) -> Refused {
    match error {
        ProtocolError::Decode(DecodeError::Version) => Refused::Version,
        ProtocolError::Decode(DecodeError::ClientId) => Refused::ClientId,
        ProtocolError::AuthMethod => Refused::AuthType,
        _ => Refused::Protocol,
    }
}
