//! What a connection waits for, in the order in which it is looked at.
//!
//! Everything is polled in place. A future for each wait would be part of every connection, and most connections are at
//! rest most of the time.

use super::pace::pace_of;
use super::{Connection, Later, Message, Waiting};
use crate::mqtt::rates::Pace;
use crate::mqtt::{Devices, Identity, MessagePage, Resumed, Told, TopoAnswer, Unavailable};
use bytes::Bytes;
use otaru_core::registration::{Enrolled, RegisterError};
use otaru_core::topology::TopoError;
use std::task::{Context, Poll};

/// What a connection woke up for.
pub(super) enum Woken {
    Mail,
    Writable(std::io::Result<()>),
    Identity(Result<Option<Identity>, Unavailable>),
    Resumed(Result<Resumed, Unavailable>),
    Filters(Result<(), Unavailable>),
    Page(Result<MessagePage, Unavailable>),
    Place(Result<Later<Told>, Unavailable>),
    Enrolment(Result<Result<Enrolled, RegisterError>, Unavailable>),
    Retained(Result<Vec<Message>, Unavailable>),
    Kept(Result<Told, Unavailable>),
    Topology(Result<TopoAnswer, TopoError>),
    /// `None`: it can't be read, and the device asks again.
    Block(Option<Bytes>),
    /// It may say or hear something again.
    Paced,
    Readable(std::io::Result<()>),
}

impl<D: Devices> Connection<D> {
    /// The first that is there of all that the connection waits for; `reads`: its socket too.
    pub(super) fn poll_woken(&mut self, reads: bool, context: &mut Context<'_>) -> Poll<Woken> {
        if self.mailbox.poll_changed(context).is_ready() {
            return Poll::Ready(Woken::Mail);
        }
        let is_free = self.backlog.is_empty();
        if !is_free && let Poll::Ready(result) = self.link.poll_writable(context) {
            return Poll::Ready(Woken::Writable(result));
        }
        let inner = [
            Self::poll_waiting,
            Self::poll_page,
            Self::poll_first_report,
            Self::poll_topology,
            Self::poll_block,
            Self::poll_pace,
        ];
        for poll in inner {
            let woken = poll(self, context);
            if woken.is_ready() {
                return woken;
            }
        }
        if reads { self.link.poll_readable(context).map(Woken::Readable) } else { Poll::Pending }
    }

    /// What has to come before the socket is read again.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        match &mut self.waiting {
            Some(Waiting::Identity(it, _)) => it.as_mut().poll(context).map(Woken::Identity),
            Some(Waiting::Session(it, _)) => it.as_mut().poll(context).map(Woken::Resumed),
            Some(Waiting::Filters(it, _)) => it.as_mut().poll(context).map(Woken::Filters),
            Some(Waiting::Place(it, _)) => it.as_mut().poll(context).map(Woken::Place),
            Some(Waiting::Enrolment(it, _)) => it.as_mut().poll(context).map(Woken::Enrolment),
            Some(Waiting::Retained(it, _)) => it.as_mut().poll(context).map(Woken::Retained),
            None => Poll::Pending,
        }
    }

    /// The next messages of the session.
    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        match self.kept.as_mut().and_then(|kept| kept.reading()) {
            Some(reading) => reading.as_mut().poll(context).map(Woken::Page),
            None => Poll::Pending,
        }
    }

    fn poll_first_report(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        match self.reports.front_mut() {
            Some((kept, _)) => kept.as_mut().poll(context).map(Woken::Kept),
            None => Poll::Pending,
        }
    }

    /// The answer to the first request of a gateway, once it can be told.
    fn poll_topology(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        let subs = self.subs.as_mut().filter(|_| self.backlog.is_empty());
        match subs.and_then(|subs| subs.working()) {
            Some(working) => working
                .as_mut()
                .poll(context)
                .map(|answer| Woken::Topology(answer.unwrap_or(Err(TopoError::Internal)))),
            None => Poll::Pending,
        }
    }

    /// The first block, once it can be told.
    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        let may_tell = self.backlog.is_empty() && !self.is_mute();
        let blocks = self.blocks.as_mut().filter(|_| may_tell);
        match blocks.and_then(|blocks| blocks.working()) {
            Some(working) => working.as_mut().poll(context).map(|frame| Woken::Block(frame.ok())),
            None => Poll::Pending,
        }
    }

    /// The end of a wait for a rate.
    fn poll_pace(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        match pace_of(&mut self.online).and_then(Pace::alarm) {
            Some(alarm) => alarm.as_mut().poll(context).map(|()| Woken::Paced),
            None => Poll::Pending,
        }
    }
}
