//! One connection: waits for its socket, its mailbox and its reports, and does one thing at a time.

mod act;
mod backlog;
mod blocks;
mod kept;
mod newcomer;
mod outgoing;
mod pace;
mod retained;
mod socket;
mod sub_devices;
mod subscriptions;
mod wait;
mod will;

use super::auth::Credentials;
use super::ends;
use super::mailbox::{CloseReason, Mailbox, Message};
use super::rates::Pace;
use super::registry::{ConnectionNo, Peer};
use super::topics::Owner;
use super::wills::Said;
use super::{
    Devices, Gateway, Identity, Later, Link, REPORTS_MAX, Resumed, SessionWish, Told, Unavailable,
};
use crate::doors::Pass;
use crate::metrics::{Metrics, Phase, Refused};
use backlog::Backlog;
use blocks::Blocks;
use kept::{FilterAnswer, KeptSession};
use otaru_core::registration::{Enrolled, Grant, RegisterError};
use otaru_mqtt::acks::Ticket;
use otaru_mqtt::packet::{ByteString, ConnectCode, Will};
use otaru_mqtt::session::{ProtocolError, Session};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use sub_devices::SubDevices;
use subscriptions::Subscription;
use wait::Woken;

/// Why a connection ended, for the log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    #[error("the device said goodbye")]
    Farewell,
    #[error("the device closed the connection")]
    Eof,
    #[error("the connection broke: {0}")]
    Broken(ErrorKind),
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("the device was refused: {0:?}")]
    Refused(ConnectCode),
    #[error("the device does not read what it is sent")]
    Slow,
    #[error("closed by the server: {0:?}")]
    Closed(CloseReason),
    #[error("a report could not be kept")]
    Unkept,
}

/// What has to come before the socket is read again.
enum Waiting {
    Identity(Later<Option<Identity>>, Box<Claim>),
    Session(Later<Resumed>, Box<Claim>),
    /// Subscriptions are being kept.
    Filters(Later<()>, Box<FilterAnswer>),
    Place(Later<Later<Told>>, Box<Answer>),
    Enrolment(Later<Result<Enrolled, RegisterError>>, Grant),
    /// Messages for subscriptions that were just granted, by their filters.
    Retained(Later<Vec<Message>>, Box<Filters>),
}

/// What a CONNECT says, while its device is looked up.
struct Claim {
    credentials: Credentials,
    /// How many devices were kicked before it was asked for.
    kicks: u64,
    wish: SessionWish,
    will: Option<Box<Will>>,
}

/// Filters of a SUBSCRIBE.
struct Filters(Vec<Box<str>>);

/// How a report is answered once it is kept.
struct Answer {
    ticket: Option<Ticket>,
    reply: Option<Reply>,
}

/// How what was asked for is told.
enum Reply {
    /// On this topic, with the id of the request.
    Id { topic: String, id: serde_json::Value },
    /// On this topic, as if it was pushed.
    Legacy { topic: String },
    /// On this topic, as it is.
    Plain { topic: String },
}

struct Online {
    peer: Peer,
    owner: Owner,
    is_gateway: bool,
    /// What it wants said when it vanishes; MQTT 5.0 has it.
    will: Option<Box<Will>>,
    /// Retained messages that it is still to hear.
    retained: VecDeque<Message>,
    /// Once something was said, when there are rates.
    pace: Option<Box<Pace>>,
    /// It hears requests on topics of the product's own without subscribing to them.
    knows_custom_rrpc: bool,
}

pub(super) struct Connection<D: Devices> {
    gateway: Arc<Gateway<D>>,
    link: Link,
    pass: Pass,
    no: ConnectionNo,
    mailbox: Arc<Mailbox>,
    session: Session,
    online: Option<Box<Online>>,
    /// Until when one may stay who only registers itself; 0 for everybody else.
    guest_until_ms: u64,
    subscriptions: Vec<Subscription>,
    /// Once the device has a session that outlives the connection.
    kept: Option<Box<KeptSession>>,
    waiting: Option<Waiting>,
    /// Reports that have their place, oldest first. Only the first is waited for: their answers leave in this order.
    reports: VecDeque<(Later<Told>, Box<Answer>)>,
    blocks: Option<Box<Blocks>>,
    /// Once a gateway has asked for something about its sub-devices.
    subs: Option<Box<SubDevices>>,
    /// What the socket did not take.
    backlog: Backlog,
    /// Bytes that are counted as kept.
    held_bytes: u32,
}

impl<D: Devices> Connection<D> {
    pub(super) fn new(gateway: Arc<Gateway<D>>, link: Link, pass: Pass) -> Self {
        let (no, mailbox) = gateway.registry.open();
        pass.ask(mailbox.clone());
        let session = Session::new(Arc::clone(&gateway.limits), gateway.clock.mono_ms());
        Self {
            gateway,
            link,
            pass,
            no,
            mailbox,
            session,
            online: None,
            guest_until_ms: 0,
            subscriptions: Vec::new(),
            kept: None,
            waiting: None,
            reports: VecDeque::new(),
            blocks: None,
            subs: None,
            backlog: Backlog::default(),
            held_bytes: 0,
        }
    }

    /// Serves the connection to its end. No `async fn`: its future would hold the connection twice.
    #[allow(clippy::manual_async_fn, reason = "it is half as large")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send + use<D> {
        async move {
            let end = loop {
                let reads = match self.prepare() {
                    Ok(reads) => reads,
                    Err(end) => break end,
                };
                let woken = poll_fn(|context| self.poll_woken(reads, context)).await;
                if let Err(end) = self.woken(woken, reads) {
                    break end;
                }
            };
            if let Some(will) = self.end(end) {
                Box::pin(self.gateway.say(will)).await;
            }
        }
    }

    /// Says goodbye as far as there is a way to, and closes; what is left is the device's will.
    fn end(&mut self, end: End) -> Option<Said> {
        if let Some(reason) = ends::reason(end) {
            // The connection ends whether or not that is heard.
            let _ = self.write(|session, out| {
                session.disconnect(reason, Some(end.to_string().into()), out);
            });
        }
        let phase = if self.online.is_some() { Phase::Device } else { Phase::Stranger };
        self.metrics().mqtt_ended.count((phase, ends::ended(end)));
        tracing::debug!(address = %self.pass.address(), "a device connection ended: {end}");
        self.link.close();
        // While it still counts as online.
        self.will_of(end)
    }

    /// Does what can be done without waiting; whether the socket is read next.
    fn prepare(&mut self) -> Result<bool, End> {
        if let Some(reason) = self.mailbox.closed() {
            return Err(End::Closed(reason));
        }
        self.expel()?;
        self.send_retained()?;
        self.empty_mailbox()?;
        self.send_kept()?;
        let reads = self.reads();
        // Nobody hears a device that isn't read, so its silence is no reason to close. A stranger has no such excuse.
        let is_deaf = !reads && self.session.is_connected();
        let deadline_ms = match self.guest_until_ms {
            0 if is_deaf => u64::MAX,
            0 => self.session.deadline_ms(),
            until_ms => until_ms,
        };
        let taken_by_ms = self.backlog.deadline_ms(self.gateway.devices_may.backlog_ms);
        self.mailbox.set_deadline_ms(deadline_ms, taken_by_ms);
        self.note_held();
        self.arm_pace();
        Ok(reads)
    }

    /// Does what the connection woke up for.
    fn woken(&mut self, woken: Woken, reads: bool) -> Result<(), End> {
        match woken {
            Woken::Mail => {}
            Woken::Writable(result) => {
                result.map_err(|error| End::Broken(error.kind()))?;
                self.flush()?;
            }
            Woken::Identity(result) => self.identified(result)?,
            Woken::Resumed(result) => self.resumed(result)?,
            Woken::Filters(result) => self.filters_kept(result)?,
            Woken::Page(result) => self.page_read(result),
            Woken::Place(result) => self.placed(result)?,
            Woken::Enrolment(result) => self.enrolled(result)?,
            Woken::Retained(result) => self.found_retained(result)?,
            Woken::Kept(result) => self.kept(result)?,
            Woken::Topology(answer) => self.topology_answered(answer)?,
            Woken::Block(frame) => self.block_read(frame)?,
            Woken::Paced => self.paced(),
            Woken::Readable(result) => {
                result.map_err(|error| End::Broken(error.kind()))?;
                self.read()?;
            }
        }
        if self.reads() && !reads {
            self.session.heard(self.now_ms());
            self.advance(&mut &[][..])?;
        }
        Ok(())
    }

    fn metrics(&self) -> &Metrics {
        self.gateway.registry.metrics()
    }

    fn now_ms(&self) -> u64 {
        self.gateway.clock.mono_ms()
    }

    fn has_room(&self) -> bool {
        self.waiting.is_none()
            && !self.is_deaf()
            && self.reports.len() < REPORTS_MAX
            && !self.blocks.as_ref().is_some_and(|blocks| blocks.is_full())
            && !self.subs.as_ref().is_some_and(|subs| subs.is_full())
    }

    /// Whether there is room for what the device may say next.
    fn reads(&self) -> bool {
        self.has_room() && self.session.wants_input()
    }

    /// Acts on what the device said, as far as there is room.
    fn advance(&mut self, input: &mut &[u8]) -> Result<(), End> {
        let now_ms = self.now_ms();
        while self.has_room() {
            match self.session.next(input, now_ms) {
                Ok(Some(event)) => self.act(event)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let code = error.connect_code(self.session.version());
                    if let (None, Some(code)) = (&self.online, code) {
                        let text = Some(error.to_string().into());
                        return self.refuse(code, ends::refused(error), text);
                    }
                    return Err(error.into());
                }
            }
        }
        self.session.keep(input);
        Ok(())
    }

    /// Turns the device away with a CONNACK.
    fn refuse(
        &mut self,
        code: ConnectCode,
        why: Refused,
        text: Option<ByteString>,
    ) -> Result<(), End> {
        self.metrics().mqtt_refused.count(why);
        self.write(|session, out| session.refuse(code, text, out))?;
        Err(End::Refused(code))
    }
}

impl<D: Devices> Drop for Connection<D> {
    fn drop(&mut self) {
        self.leave_with_sub_devices();
        let peer = self.online.as_ref().map(|online| online.peer);
        self.gateway.held.set(self.no, 0);
        self.gateway.registry.leave(self.no, peer);
        if let Some(peer) = peer {
            self.gateway.devices.went_offline(peer);
        }
        self.leave_session();
    }
}
