//! Sessions that outlive their connection, as their devices use them. Who may change one is the connection that its
//! device has: a slower, older one changes nothing any more.

use super::{App, Result};
use crate::metrics::Dropped;
use crate::mqtt::{Message, MessagePage, Peer, Registry, Resumed, SessionWish, SubscriptionChange};
use crate::store::{self, Rows, StoreError, View};
use otaru_core::hash::Set;
use otaru_core::id::{DeviceNo, MessageNo, ProductNo};
use otaru_core::refusal;
use otaru_core::session::SessionLimits;
use otaru_core::time::{SECOND_MS, Timestamp};
use otaru_mqtt::packet::Qos;
use otaru_mqtt::topic::matches;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Messages that a connection reads at a time, and their bytes.
const PAGE: u32 = 32;
const PAGE_BYTES: u64 = 128 * 1024;
/// Sessions that one change deletes, or adds a message to.
const SLICE: u32 = 100;
/// Messages that one change forgets, and sessions that one looks at.
const BATCH: u32 = 10_000;

/// Where the walk of the sessions without an end goes on.
#[derive(Debug, Default)]
pub(super) struct Walk(AtomicI64);

fn is_current(registry: &Registry, peer: Peer) -> bool {
    registry.peer(peer.device) == Some(peer)
}

fn plus_s(now: Timestamp, seconds: u32) -> Timestamp {
    now.plus_ms(i64::from(seconds) * SECOND_MS)
}

/// Whether a session that is kept hears a message to `topic` at QoS 1.
pub(super) fn hears(
    view: &mut dyn View,
    device: DeviceNo,
    topic: &str,
    now: Timestamp,
) -> store::Result<bool> {
    if view.session(device)?.is_none_or(|session| session.is_over(now)) {
        return Ok(false);
    }
    let mut subscriptions = view.session_subscriptions(device)?.into_iter();
    Ok(subscriptions.any(|it| it.qos != Qos::AtMostOnce && matches(&it.filter, topic)))
}

impl App {
    /// As [`crate::mqtt::Devices::open_session`].
    pub(super) async fn open_session(
        &self,
        peer: Peer,
        wish: SessionWish,
    ) -> store::Result<Resumed> {
        let now = self.clock.now().wall;
        let expiry_s = self.limits.sessions.granted_s(wish.expiry_s);
        let (registry, identities) = (self.registry.clone(), self.follower.identities.clone());
        let opened = self.store.queue_then(
            move |rows| {
                // An older connection's wish comes too late; it is being closed.
                if !is_current(&registry, peer) {
                    return Ok(Resumed::default());
                }
                open(rows, peer.device, wish.clean, expiry_s, now)
            },
            move |resumed| {
                // It may have a session from now on.
                identities.forget(peer.device);
                resumed
            },
        );
        opened.await?.await
    }

    /// As [`crate::mqtt::Devices::keep_subscriptions`].
    pub(super) async fn keep_subscriptions(
        &self,
        peer: Peer,
        changes: Vec<SubscriptionChange>,
    ) -> store::Result<()> {
        let registry = self.registry.clone();
        let is_kept = self.store.change(move |rows| {
            let device = rows.device(peer.device)?;
            let Some(device) = device.filter(|_| is_current(&registry, peer)) else {
                return Ok(false);
            };
            // It was deleted when the device was reset: the next connection begins anew.
            if rows.session(device.no)?.is_none() {
                return Ok(true);
            }
            for change in &changes {
                match change {
                    SubscriptionChange::Put(subscription) => {
                        let is_broadcast = subscription.filter.starts_with("/broadcast/");
                        let product = is_broadcast.then_some(device.product);
                        rows.put_session_subscription(device.no, product, subscription)?;
                    }
                    SubscriptionChange::Drop(filter) => {
                        rows.delete_session_subscription(device.no, filter)?;
                    }
                }
            }
            Ok(true)
        });
        if is_kept.await? { Ok(()) } else { Err(StoreError::Busy) }
    }

    /// As [`crate::mqtt::Devices::kept_messages`].
    pub(super) async fn kept_messages(
        &self,
        peer: Peer,
        after: MessageNo,
    ) -> store::Result<MessagePage> {
        self.store
            .view(move |view| view.session_messages(peer.device, after, PAGE, PAGE_BYTES))
            .await
    }

    /// As [`crate::mqtt::Devices::forget_messages`].
    pub(super) fn forget_messages(
        &self,
        peer: Peer,
        messages: Vec<MessageNo>,
    ) -> store::Result<()> {
        self.store.change_lazily(move |rows| rows.forget_messages(peer.device, &messages))
    }

    /// As [`crate::mqtt::Devices::leave_session`].
    pub(super) fn leave_session(&self, peer: Peer, expiry_s: u32, sent_to: Option<MessageNo>) {
        let now = self.clock.now().wall;
        let expiry_s = self.limits.sessions.granted_s(Some(expiry_s));
        let registry = self.registry.clone();
        let left = self.store.change_lazily(move |rows| {
            // A newer connection has the session now; it takes all that waits for sent.
            if registry.peer(peer.device).is_some() || rows.session(peer.device)?.is_none() {
                return Ok(());
            }
            rows.note_sent(peer.device, sent_to)?;
            rows.put_session(peer.device, expiry_s, Some(plus_s(now, expiry_s)))
        });
        if let Err(error) = left {
            // The walk of sessions without an end finds it.
            tracing::debug!(%error, "the end of a connection is not kept yet: {error}");
        }
    }

    /// Keeps a message for a device whose session hears it; `false` when there is none.
    pub(super) async fn keep(&self, device: DeviceNo, message: Message) -> Result<bool> {
        let limits = self.limits.sessions.clone();
        let registry = self.registry.clone();
        self.change(move |rows, now, effects| {
            if !hears(rows, device, &message.topic, now)? {
                return Ok(false);
            }
            match keep(rows, &limits, device, &message, now)? {
                Ok(_) => effects.told.push(device),
                Err(full) => {
                    registry.metrics().dropped.count(Dropped::Full);
                    return Err(refusal::PUBLISH_FAILED.with(full).into());
                }
            }
            Ok(true)
        })
        .await
    }

    /// Keeps a broadcast for all sessions of a product that hear it and have room; returns whose they are.
    pub(super) async fn keep_for_all(
        &self,
        product: ProductNo,
        message: &Message,
    ) -> Result<Set<DeviceNo>> {
        let (mut all, mut after) = (Set::default(), DeviceNo(0));
        loop {
            let found =
                self.view(move |view| Ok(view.broadcast_sessions(product, after, SLICE)?)).await?;
            let Some(&last) = found.last() else { return Ok(all) };
            after = last;
            let (limits, registry) = (self.limits.sessions.clone(), self.registry.clone());
            let message = message.clone();
            let kept = self.change(move |rows, now, effects| {
                let mut kept = Vec::new();
                for &device in &found {
                    if !hears(rows, device, &message.topic, now)? {
                        continue;
                    }
                    if keep(rows, &limits, device, &message, now)?.is_err() {
                        registry.metrics().dropped.count(Dropped::Full);
                    }
                    kept.push(device);
                }
                effects.told.extend(&kept);
                Ok(kept)
            });
            all.extend(kept.await?);
        }
    }

    /// Forgets messages and sessions whose time is over, and finds the end of those whose connection ended unnoticed:
    /// in a crash, or while the store had no place for it.
    pub(super) async fn forget_sessions(&self) -> Result<()> {
        while self.change(|rows, now, _| Ok(rows.purge_session_messages(now, BATCH)?)).await?
            == BATCH
        {}
        loop {
            let over = self.change(|rows, now, _| {
                let over = rows.sessions_over(now, SLICE)?;
                over.iter().try_for_each(|&device| rows.delete_session(device))?;
                Ok(over.len())
            });
            if over.await? < SLICE as usize {
                break;
            }
        }
        let after = DeviceNo(self.session_walk.0.load(Ordering::Relaxed));
        let endless = self.view(move |view| Ok(view.endless_sessions(after, BATCH)?)).await?;
        let is_whole = endless.len() < BATCH as usize;
        let next = if is_whole { 0 } else { endless.last().map_or(0, |last| last.0) };
        self.session_walk.0.store(next, Ordering::Relaxed);
        let is_gone = |device: &DeviceNo| self.registry.peer(*device).is_none();
        let gone: Vec<_> = endless.into_iter().filter(is_gone).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let registry = Arc::clone(&self.registry);
        self.change(move |rows, now, _| {
            for &device in &gone {
                let session = rows.session(device)?.filter(|it| it.expires_at.is_none());
                if let Some(session) = session.filter(|_| registry.peer(device).is_none()) {
                    let sent_to = rows.last_session_message(device)?;
                    rows.note_sent(device, sent_to)?;
                    let end = plus_s(now, session.expiry_s);
                    rows.put_session(device, session.expiry_s, Some(end))?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn open(
    rows: &mut dyn Rows,
    device: DeviceNo,
    clean: bool,
    expiry_s: u32,
    now: Timestamp,
) -> store::Result<Resumed> {
    let mut had = rows.session(device)?;
    if had.is_some_and(|session| clean || session.is_over(now)) {
        rows.delete_session(device)?;
        had = None;
    }
    // One that ends with its connection is worth a row only for what it had before.
    if (had.is_none() && expiry_s == 0) || rows.device(device)?.is_none() {
        return Ok(Resumed::default());
    }
    rows.put_session(device, expiry_s, None)?;
    let Some(had) = had else {
        return Ok(Resumed { is_kept: true, expiry_s, ..Resumed::default() });
    };
    // Nobody noted how its last connection ended.
    let is_unclear = had.expires_at.is_none();
    Ok(Resumed {
        present: true,
        is_kept: true,
        expiry_s,
        subscriptions: rows.session_subscriptions(device)?,
        has_messages: had.held.messages > 0,
        sent_to: if is_unclear { rows.last_session_message(device)? } else { had.sent_to },
    })
}

/// Adds a message to a session as far as there is room.
fn keep(
    rows: &mut dyn Rows,
    limits: &SessionLimits,
    device: DeviceNo,
    message: &Message,
    now: Timestamp,
) -> store::Result<std::result::Result<MessageNo, otaru_core::session::Full>> {
    let Some(session) = rows.session(device)? else {
        return Err(StoreError::Engine("the session of a message is not there".into()));
    };
    if let Err(full) = limits.admit(session.held, rows.sessions_held()?, message.bytes()) {
        return Ok(Err(full));
    }
    let asked = message.beside.as_ref().and_then(|beside| beside.expires_at);
    Ok(Ok(rows.keep_message(device, message, limits.kept_until(now, asked))?))
}
