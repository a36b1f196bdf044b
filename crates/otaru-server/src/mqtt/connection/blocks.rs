//! Blocks of a file that a device downloads through its connection: worked off one at a time, beside its reports.

use super::{Connection, End, Later};
use crate::metrics::Dropped;
use crate::mqtt::{Devices, Peer};
use bytes::Bytes;
use otaru_core::block::{BlockError, BlockRequest, REQUEST_BYTES_MAX, error_frame};
use otaru_mqtt::acks::Ticket;
use otaru_mqtt::packet::Qos;
use serde_json::Value;
use std::collections::VecDeque;

/// Requests of one connection that may wait before its socket isn't read; as many sub-devices may ask at once.
const BLOCKS_MAX: usize = 2_000;

/// What a connection has been asked for; only one that is downloading has it.
#[derive(Default)]
pub(super) struct Blocks {
    /// Oldest first; the first is in work.
    waiting: VecDeque<Asked>,
    working: Option<Later<Bytes>>,
}

struct Asked {
    peer: Peer,
    topic: String,
    id: Value,
    request: Option<BlockRequest>,
}

impl Blocks {
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= BLOCKS_MAX
    }

    /// The first block, when it is in work.
    pub(super) fn working(&mut self) -> Option<&mut Later<Bytes>> {
        self.working.as_mut()
    }
}

impl<D: Devices> Connection<D> {
    /// A device asks for a block; `topic` is where it hears of it.
    pub(super) fn block_asked(
        &mut self,
        peer: Peer,
        topic: String,
        payload: &[u8],
        ticket: Option<Ticket>,
    ) -> Result<(), End> {
        let parsed = (payload.len() <= REQUEST_BYTES_MAX).then(|| BlockRequest::parse(payload));
        let Some((id, request)) = parsed.flatten() else {
            return self.drop_one(ticket, Dropped::Malformed);
        };
        self.ack(ticket)?;
        let blocks = self.blocks.get_or_insert_default();
        blocks.waiting.push_back(Asked { peer, topic, id, request });
        self.work_on_blocks();
        Ok(())
    }

    /// Takes the next request in work, when none is.
    fn work_on_blocks(&mut self) {
        let Some(blocks) = &mut self.blocks else { return };
        if blocks.working.is_some() {
            return;
        }
        let Some(Asked { peer, id, request, .. }) = blocks.waiting.front() else {
            self.blocks = None;
            return;
        };
        blocks.working = Some(if let Some(request) = request.clone() {
            self.gateway.devices.block(*peer, id.clone(), request)
        } else {
            let frame = error_frame(id, BlockError::Parameter);
            Box::pin(async { Ok(frame.into()) })
        });
    }

    /// The first block is there, or never will be: then its device asks again.
    pub(super) fn block_read(&mut self, frame: Option<Bytes>) -> Result<(), End> {
        let Some(blocks) = &mut self.blocks else { return Ok(()) };
        blocks.working = None;
        let asked = blocks.waiting.pop_front();
        self.work_on_blocks();
        let (Some(Asked { topic, .. }), Some(frame)) = (asked, frame) else { return Ok(()) };
        let mut outcome = Ok(None);
        self.write(|session, out| {
            outcome = session.publish(topic.into(), frame, Qos::AtMostOnce, out);
        })?;
        self.note_told();
        if let Err(error) = outcome {
            tracing::error!(%error, "a block could not be written: {error}");
        }
        Ok(())
    }
}
