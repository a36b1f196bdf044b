//! A device that is online without a connection, for tests of what hangs on it.

use super::mailbox::Mailbox;
use super::registry::{ConnectionNo, Peer, Registry};
use otaru_core::id::{DeviceNo, ProductNo};
use std::sync::Arc;

/// What is sent to the device stays here until it is read.
pub struct Line {
    pub peer: Peer,
    no: ConnectionNo,
    mailbox: Arc<Mailbox>,
}

impl Registry {
    pub fn plug_in(&self, product: ProductNo, device: DeviceNo) -> Line {
        let kicks = self.kicks();
        let (no, mailbox) = self.open();
        let peer = self.enter(product, device, &mailbox, kicks);
        Line { peer: peer.expect("nobody was kicked meanwhile"), no, mailbox }
    }

    pub fn unplug(&self, line: &Line) {
        self.leave(line.no, Some(line.peer));
    }
}

impl Line {
    /// Whether a connection would close now.
    pub fn is_closing(&self) -> bool {
        self.mailbox.closed().is_some()
    }

    /// Topics and payloads that have come since the last look.
    pub fn messages(&self) -> Vec<(String, String)> {
        let next = || self.mailbox.take_if(|_| true);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("messages are text");
        std::iter::from_fn(next)
            .map(|message| (message.topic.to_string(), text(&message.payload)))
            .collect()
    }

    /// Payloads that have come since the last look.
    pub fn read(&self) -> Vec<String> {
        let next = || self.mailbox.take_if(|_| true);
        std::iter::from_fn(next)
            .map(|message| String::from_utf8(message.payload.to_vec()).expect("messages are JSON"))
            .collect()
    }
}
