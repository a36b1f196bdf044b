//! Messages that are retained: each new subscriber of their topic hears them.

use super::Result;
use crate::mqtt::Message;
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::time::Timestamp;

/// Whose topics a retained message is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// The device's own.
    Device(DeviceNo),
    /// Those on which all devices of a product hear broadcasts.
    Product(ProductNo),
}

pub trait RetainedView {
    /// What is retained and not over at `now`, by topic.
    fn retained(&mut self, whose: Shelf, now: Timestamp) -> Result<Vec<Message>>;
}

pub trait RetainedRows {
    /// Retains a message; the one of the same topic goes. A device that is deleted takes its own along, a product its
    /// own.
    fn put_retained(&mut self, whose: Shelf, message: &Message) -> Result<()>;
    /// Deletes the one of this topic, and those that are over at `now`.
    fn delete_retained(&mut self, whose: Shelf, topic: &str, now: Timestamp) -> Result<()>;
}
