//! The rules of properties that the codec doesn't check, or answers with the wrong reason. Source: MQTT 5.0, section
//! 2.2.2.

use super::{DecodeError, ensure};
use DecodeError::{Malformed, Protocol, Text, TopicAlias};

const MESSAGE_EXPIRY: u8 = 0x02;
const RESPONSE_TOPIC: u8 = 0x08;
const SUBSCRIPTION_ID: u8 = 0x0b;
const REQUEST_PROBLEM: u8 = 0x17;
const REQUEST_RESPONSE: u8 = 0x19;
const RECEIVE_MAX: u8 = 0x21;
const TOPIC_ALIAS: u8 = 0x23;
const USER: u8 = 0x26;
const PACKET_BYTES_MAX: u8 = 0x27;

/// Length of a number of one to four bytes at the front of `bytes`, and the number.
fn variable(bytes: &[u8]) -> Result<(usize, usize), DecodeError> {
    let mut number = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((i + 1, number));
        }
    }
    Err(Malformed)
}

/// Length of a text or of binary data with its own length.
fn field(bytes: &[u8]) -> Result<usize, DecodeError> {
    let length = bytes.first_chunk().ok_or(Malformed)?;
    let length = 2 + usize::from(u16::from_be_bytes(*length));
    if length <= bytes.len() { Ok(length) } else { Err(Malformed) }
}

/// Length of the value of a property; `None` for one that there isn't.
fn value(id: u8, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    Ok(Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
        0x13 | 0x21 | 0x22 | 0x23 => 2,
        0x02 | 0x11 | 0x18 | 0x27 => 4,
        0x0b => variable(bytes)?.0,
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => field(bytes)?,
        USER => {
            let key = field(bytes)?;
            key + field(&bytes[key..])?
        }
        _ => return Ok(None),
    }))
}

fn is_text(id: u8) -> bool {
    matches!(id, 0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f | USER)
}

/// What was found in properties.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How long they are, with their own length in front.
    pub(super) length: usize,
    /// A message that is worth nothing any more: the codec doesn't take 0, so it reads 1 now.
    pub(super) is_expired: bool,
}

/// Checks the properties at the front of `bytes`. Unknown ones, and those of another packet, are left to the codec.
pub(super) fn check(bytes: &mut [u8]) -> Result<Found, DecodeError> {
    let (head, length) = variable(bytes)?;
    let properties = bytes.get_mut(head..head + length).ok_or(Malformed)?;
    let mut found = Found { length: head + length, is_expired: false };
    let mut seen = 0_u64;
    let mut at = 0;
    while at < properties.len() {
        let id = properties[at];
        let Some(length) = value(id, &properties[at + 1..])? else { return Err(Malformed) };
        let value = properties.get_mut(at + 1..at + 1 + length).ok_or(Malformed)?;
        // A message may meet several subscriptions.
        let is_list = matches!(id, USER | SUBSCRIPTION_ID);
        ensure(is_list || seen & (1 << id) == 0, Protocol)?;
        seen |= 1 << id;
        ensure(!is_text(id) || !has_nul(id, value), Text)?;
        let is_zero = value.iter().all(|byte| *byte == 0);
        match id {
            TOPIC_ALIAS => ensure(!is_zero, TopicAlias)?,
            RECEIVE_MAX | PACKET_BYTES_MAX | SUBSCRIPTION_ID => ensure(!is_zero, Protocol)?,
            REQUEST_PROBLEM | REQUEST_RESPONSE => ensure(value[0] <= 1, Protocol)?,
            RESPONSE_TOPIC => {
                ensure(!value[2..].iter().any(|byte| matches!(byte, b'+' | b'#')), Protocol)?;
            }
            MESSAGE_EXPIRY if is_zero => {
                value[3] = 1;
                found.is_expired = true;
            }
            _ => {}
        }
        at += 1 + length;
    }
    Ok(found)
}

/// Whether a text, or one of a pair of them, contains NUL.
fn has_nul(id: u8, value: &[u8]) -> bool {
    let has = |text: &[u8]| text.get(2..).is_some_and(|text| text.contains(&0));
    match field(value) {
        Ok(key) if id == USER => has(&value[..key]) || has(&value[key..]),
        _ => has(value),
    }
}

/// Length of a text or of binary data at `at`, and its own length with it.
pub(super) fn field_at(body: &[u8], at: usize) -> Result<usize, DecodeError> {
    field(body.get(at..).ok_or(Malformed)?)
}
