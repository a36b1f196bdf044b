//! A session that outlives its connection: what the device subscribes to is kept before it hears so, and messages that
//! wait for it are read a page at a time, so that what waits stays in the store.

use super::{Claim, Connection, End, Later, Waiting};
use crate::metrics::Refused;
use crate::mqtt::topics::Owner;
use crate::mqtt::{
    Devices, KeptMessage, MessagePage, Resumed, SessionWish, SubscriptionChange, Unavailable,
};
use otaru_core::id::MessageNo;
use otaru_mqtt::packet::{Connect, ConnectCode, PacketId, SubscribeCode, Version};
use otaru_mqtt::session::Granted;
use std::collections::VecDeque;

/// Where a device hears who it is by its certificate.
const IDENTITY_TOPIC: &str = "/ext/auth/identity/response";

/// What only a connection has whose session is kept.
pub(super) struct KeptSession {
    /// Seconds that the session outlives the connection.
    expiry_s: u32,
    /// The last message that was read; what is behind it waits in the store.
    read_to: MessageNo,
    /// Messages up to this one may have been sent on an earlier connection.
    sent_to: Option<MessageNo>,
    has_more: bool,
    /// The store could not be read: with the next sign of life it is tried again.
    is_stalled: bool,
    page: VecDeque<KeptMessage>,
    reading: Option<Later<MessagePage>>,
    /// Sent on this connection and not acknowledged.
    in_flight: Vec<(PacketId, MessageNo)>,
    /// Done with, but not forgotten by the store yet.
    done: Vec<MessageNo>,
}

/// How a change of subscriptions is answered once it is kept.
pub(super) enum FilterAnswer {
    /// With the filters for which to look what is retained.
    Subscribed(PacketId, Vec<SubscribeCode>, Vec<Box<str>>),
    Unsubscribed(PacketId, Vec<bool>),
}

impl SessionWish {
    pub(super) fn of(connect: &Connect) -> Self {
        let expiry_s = match (connect.version, connect.clean_session) {
            (Version::V5, _) => Some(connect.session_expiry_s),
            (Version::V31 | Version::V311, true) => Some(0),
            (Version::V31 | Version::V311, false) => None,
        };
        Self { clean: connect.clean_session, expiry_s }
    }

    /// Whether it can be granted without asking anybody, when nothing was kept before.
    fn is_plain(self) -> bool {
        self.expiry_s == Some(0)
    }
}

impl KeptSession {
    pub(super) fn expiry_s(&self) -> u32 {
        self.expiry_s
    }

    /// The messages that are being read.
    pub(super) fn reading(&mut self) -> Option<&mut Later<MessagePage>> {
        self.reading.as_mut()
    }
}

/// Tells a device that didn't say it who it is. Names hold nothing that JSON has to escape.
fn identity_response(owner: &Owner) -> String {
    let Owner { product_key, device_name } = owner;
    format!(r#"{{"productKey":"{product_key}","deviceName":"{device_name}"}}"#)
}

impl<D: Devices> Connection<D> {
    /// Takes up the session of the device that was let in.
    pub(super) fn open_session(&mut self, claim: Box<Claim>, has_session: bool) -> Result<(), End> {
        let Some(online) = &self.online else { return Ok(()) };
        if claim.wish.is_plain() && !has_session {
            return self.welcome(&claim, Resumed::default());
        }
        let resumed = self.gateway.devices.open_session(online.peer, claim.wish);
        self.waiting = Some(Waiting::Session(resumed, claim));
        Ok(())
    }

    /// The session of the device is known.
    pub(super) fn resumed(&mut self, result: Result<Resumed, Unavailable>) -> Result<(), End> {
        let Some(Waiting::Session(_, claim)) = self.waiting.take() else { return Ok(()) };
        if let Ok(resumed) = result {
            return self.welcome(&claim, resumed);
        }
        // Nobody was let in who could have one.
        self.forget_will();
        self.refuse(ConnectCode::ServerUnavailable, Refused::Unavailable, None)
    }

    fn welcome(&mut self, claim: &Claim, resumed: Resumed) -> Result<(), End> {
        let Resumed { present, is_kept, expiry_s, subscriptions, has_messages, sent_to } = resumed;
        let Some(online) = &self.online else { return Ok(()) };
        let owner = &online.owner;
        let asked_s = claim.wish.expiry_s.unwrap_or(expiry_s);
        let granted = Granted {
            client_id: claim
                .credentials
                .is_nameless
                .then(|| format!("{}.{}", owner.product_key, owner.device_name).into()),
            session_expiry_s: (asked_s != expiry_s).then_some(expiry_s),
            retains: self.gateway.gates.retains,
        };
        self.subscriptions = subscriptions.into_iter().map(Into::into).collect();
        self.kept = is_kept.then(|| {
            Box::new(KeptSession {
                expiry_s,
                read_to: MessageNo(0),
                sent_to,
                has_more: has_messages,
                is_stalled: false,
                page: VecDeque::new(),
                reading: None,
                in_flight: Vec::new(),
                done: Vec::new(),
            })
        });
        let identity = claim.credentials.asks_who_it_is.then(|| identity_response(owner));
        self.write(|session, out| session.accept(present, granted, out))?;
        match identity {
            Some(payload) => self.send(IDENTITY_TOPIC.to_owned(), payload),
            None => Ok(()),
        }
    }

    /// Answers a change of subscriptions, after its commit when they are kept.
    pub(super) fn keep_filters(
        &mut self,
        changes: Vec<SubscriptionChange>,
        answer: FilterAnswer,
    ) -> Result<(), End> {
        match &self.online {
            Some(online) if self.kept.is_some() && !changes.is_empty() => {
                let kept = self.gateway.devices.keep_subscriptions(online.peer, changes);
                self.waiting = Some(Waiting::Filters(kept, Box::new(answer)));
                Ok(())
            }
            _ => self.answer_filters(answer),
        }
    }

    /// The subscriptions are kept, or never will be.
    pub(super) fn filters_kept(&mut self, result: Result<(), Unavailable>) -> Result<(), End> {
        let Some(Waiting::Filters(_, answer)) = self.waiting.take() else { return Ok(()) };
        // Without an answer the device asks again on its next connection.
        result.map_err(|Unavailable| End::Unkept)?;
        self.answer_filters(*answer)
    }

    fn answer_filters(&mut self, answer: FilterAnswer) -> Result<(), End> {
        match answer {
            FilterAnswer::Subscribed(packet_id, codes, wanted) => {
                self.look_for_retained(wanted);
                self.write(|session, out| session.suback(packet_id, codes, out))
            }
            FilterAnswer::Unsubscribed(packet_id, existed) => {
                self.write(|session, out| session.unsuback(packet_id, existed, out))
            }
        }
    }

    /// Writes messages that wait in the session, as far as the socket and the device's window take them, and asks for
    /// the next ones.
    pub(super) fn send_kept(&mut self) -> Result<(), End> {
        let is_told = self.mailbox.take_kept();
        let Some(kept) = &mut self.kept else { return Ok(()) };
        kept.has_more |= is_told;
        let may_send = |it: &Self| {
            it.backlog.is_empty()
                && it.session.is_connected()
                && it.session.has_window()
                && !it.is_mute()
        };
        while may_send(self) {
            let Some(message) = self.kept.as_mut().and_then(|kept| kept.page.pop_front()) else {
                self.read_kept();
                break;
            };
            self.send_one_kept(message)?;
        }
        Ok(())
    }

    fn read_kept(&mut self) {
        let (Some(kept), Some(online)) = (&mut self.kept, &self.online) else { return };
        if kept.has_more && kept.reading.is_none() && !kept.is_stalled {
            kept.has_more = false;
            kept.reading = Some(self.gateway.devices.kept_messages(online.peer, kept.read_to));
        }
    }

    /// The next messages are there.
    pub(super) fn page_read(&mut self, result: Result<MessagePage, Unavailable>) {
        let Some(kept) = &mut self.kept else { return };
        kept.reading = None;
        let Ok(page) = result else {
            (kept.has_more, kept.is_stalled) = (true, true);
            return;
        };
        kept.has_more |= page.has_more;
        if let Some(last) = page.messages.last() {
            kept.read_to = last.no;
        }
        kept.page = page.messages.into();
    }

    fn send_one_kept(&mut self, kept: KeptMessage) -> Result<(), End> {
        let KeptMessage { no, message } = kept;
        let sent_to = self.kept.as_ref().and_then(|kept| kept.sent_to);
        let is_again = sent_to.is_some_and(|last| no <= last);
        // One that is not to be heard any more is done with too.
        match self.say_as(message, false, is_again)? {
            Some(packet_id) => {
                if let Some(kept) = &mut self.kept {
                    kept.in_flight.push((packet_id, no));
                }
            }
            None => self.done_with(no),
        }
        Ok(())
    }

    /// The device has a message of ours, which may be one that was kept.
    pub(super) fn acknowledged(&mut self, packet_id: PacketId) {
        self.try_again();
        let Some(kept) = &mut self.kept else { return };
        let Some(place) = kept.in_flight.iter().position(|(id, _)| *id == packet_id) else {
            return;
        };
        let (_, no) = kept.in_flight.remove(place);
        if kept.in_flight.is_empty() {
            kept.in_flight = Vec::new();
        }
        self.done_with(no);
    }

    /// After a failure of the store.
    pub(super) fn try_again(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.is_stalled = false;
        }
    }

    fn done_with(&mut self, no: MessageNo) {
        let (Some(kept), Some(online)) = (&mut self.kept, &self.online) else { return };
        kept.done.push(no);
        // When there is no place now they go with the next one.
        if self.gateway.devices.forget_messages(online.peer, &kept.done).is_ok() {
            kept.done = Vec::new();
        }
    }

    /// A farewell may change how long the session stays.
    pub(super) fn outlive(&mut self, expiry_s: Option<u32>) {
        if let (Some(kept), Some(expiry_s)) = (&mut self.kept, expiry_s) {
            kept.expiry_s = expiry_s;
        }
    }

    /// Lets go of the session when the connection has ended.
    pub(super) fn leave_session(&mut self) {
        if let (Some(kept), Some(online)) = (self.kept.take(), &self.online) {
            let sent_to = kept.in_flight.iter().map(|(_, no)| *no).max().max(kept.sent_to);
            self.gateway.devices.leave_session(online.peer, kept.expiry_s, sent_to);
        }
    }
}
