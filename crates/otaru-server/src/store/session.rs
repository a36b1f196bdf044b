//! Sessions that outlive their connection: subscriptions, and messages that wait.

use super::Result;
use crate::mqtt::{KeptSubscription, Message, MessagePage};
use otaru_core::id::{DeviceNo, MessageNo, ProductNo};
use otaru_core::session::{Held, Session};
use otaru_core::time::Timestamp;

pub trait SessionView {
    /// Also a session whose time is over but that was not deleted yet.
    fn session(&mut self, device: DeviceNo) -> Result<Option<Session>>;
    /// Subscriptions by filter.
    fn session_subscriptions(&mut self, device: DeviceNo) -> Result<Vec<KeptSubscription>>;
    /// Messages above `after`, oldest first: at most `limit`, and no more once they have `bytes_max`.
    fn session_messages(
        &mut self,
        device: DeviceNo,
        after: MessageNo,
        limit: u32,
        bytes_max: u64,
    ) -> Result<MessagePage>;
    /// The newest message that waits for a device.
    fn last_session_message(&mut self, device: DeviceNo) -> Result<Option<MessageNo>>;
    /// What waits in all sessions.
    fn sessions_held(&mut self) -> Result<Held>;
    /// Devices above `after`, by rising number, that have a subscription to broadcasts of the product.
    fn broadcast_sessions(
        &mut self,
        product: ProductNo,
        after: DeviceNo,
        limit: u32,
    ) -> Result<Vec<DeviceNo>>;
    /// Devices above `after`, by rising number, with a session that has no end.
    fn endless_sessions(&mut self, after: DeviceNo, limit: u32) -> Result<Vec<DeviceNo>>;
    /// Devices whose session is over at `now`, earliest first.
    fn sessions_over(&mut self, now: Timestamp, limit: u32) -> Result<Vec<DeviceNo>>;
}

pub trait SessionRows {
    /// Makes a session, or changes how long it lasts; what is in it stays.
    fn put_session(
        &mut self,
        device: DeviceNo,
        expiry_s: u32,
        expires_at: Option<Timestamp>,
    ) -> Result<()>;
    /// Deletes a session with all that is in it, if there is one. A device that is deleted takes its session along.
    fn delete_session(&mut self, device: DeviceNo) -> Result<()>;

    /// Adds a subscription to a session, or replaces that of the same filter; `product`: to whose broadcasts it is.
    fn put_session_subscription(
        &mut self,
        device: DeviceNo,
        product: Option<ProductNo>,
        subscription: &KeptSubscription,
    ) -> Result<()>;
    fn delete_session_subscription(&mut self, device: DeviceNo, filter: &str) -> Result<()>;

    /// Adds a message to a session that is there. Its number is higher than that of every message before.
    fn keep_message(
        &mut self,
        device: DeviceNo,
        message: &Message,
        until: Timestamp,
    ) -> Result<MessageNo>;
    /// Takes messages out of a session, as far as they are in it.
    fn forget_messages(&mut self, device: DeviceNo, messages: &[MessageNo]) -> Result<()>;
    /// Notes how far the messages of a session may have been sent, if there is one.
    fn note_sent(&mut self, device: DeviceNo, sent_to: Option<MessageNo>) -> Result<()>;
    /// Takes out messages whose time is over at `now`, earliest first, at most `limit`; returns how many.
    fn purge_session_messages(&mut self, now: Timestamp, limit: u32) -> Result<u32>;
}
