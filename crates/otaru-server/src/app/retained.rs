//! Messages that are retained for who subscribes later.

use super::Limits;
use crate::mqtt::{Message, Peer};
use crate::store::{Result, Rows, Shelf, View};
use otaru_core::time::Timestamp;

/// Retains a message, or with one that is empty or over deletes what was. `false` when there is no room: then what was stays.
pub(super) fn keep(
    rows: &mut dyn Rows,
    whose: Shelf,
    message: &Message,
    limits: &Limits,
    now: Timestamp,
) -> Result<bool> {
    let before = rows.retained(whose, now)?;
    let others = before.iter().filter(|had| had.topic != message.topic);
    let (count, bytes) =
        others.fold((1, size(message)), |(count, bytes), had| (count + 1, bytes + size(had)));
    let expires_at = message.beside.as_ref().and_then(|beside| beside.expires_at);
    let is_deletion = message.payload.is_empty() || expires_at.is_some_and(|at| at <= now);
    if !is_deletion
        && (count > u64::from(limits.retained_messages_max) || bytes > limits.retained_bytes_max)
    {
        return Ok(false);
    }
    rows.delete_retained(whose, &message.topic, now)?;
    if !is_deletion {
        rows.put_retained(whose, message)?;
    }
    Ok(true)
}

fn size(message: &Message) -> u64 {
    (message.topic.len() + message.payload.len()) as u64
}

/// What is retained on topics of these devices, and on those on which they hear broadcasts.
pub(super) fn of(view: &mut dyn View, peers: &[Peer], now: Timestamp) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut products = Vec::new();
    for peer in peers {
        let Some(device) = view.device(peer.device)? else { continue };
        messages.extend(view.retained(Shelf::Device(device.no), now)?);
        if !products.contains(&device.product) {
            products.push(device.product);
            messages.extend(view.retained(Shelf::Product(device.product), now)?);
        }
    }
    Ok(messages)
}
