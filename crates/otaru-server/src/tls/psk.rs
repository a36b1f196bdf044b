//! TLS with a key that comes of a device's secret, as the vendor's C SDK 4 can do it.
//!
//! The library asks for the key in a callback that can't wait, but the key is in the store. The identity comes in the clear,
//! in a message of its own, so [`Watch`] holds that message back, the key is looked up meanwhile, and lies ready when the
//! library reads on: no thread waits for the store.

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef};
use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::signature::psk::PskIdentity;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The only suite that those SDKs offer with a key of theirs.
pub(super) const SUITE: &str = "PSK-AES128-CBC-SHA";

/// Bytes of the head of a record, and of a message in it. Source: RFC 5246, 6.2.1 and 7.4.
const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
/// Longest record that comes in the clear; the library refuses a longer one.
const RECORD_BYTES_MAX: usize = 16 * 1024;
const HANDSHAKE: u8 = 22;
const CLIENT_KEY_EXCHANGE: u8 = 16;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Looks the secrets of devices up.
#[derive(Clone)]
pub struct Secrets(Arc<dyn Fn(ProductKey, DeviceName) -> Later<Option<String>> + Send + Sync>);

impl Secrets {
    /// `look_up` gives `None` when there is no such device, or when nobody can say.
    pub fn new(
        look_up: impl Fn(ProductKey, DeviceName) -> Later<Option<String>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(look_up))
    }

    /// The key for an identity. Nobody learns which devices there are: one that isn't there has a key that nobody knows.
    pub(super) async fn key(&self, identity: &PskIdentity, unknown: [u8; 32]) -> Vec<u8> {
        let PskIdentity { product_key, device_name, .. } = identity;
        let secret = (self.0)(product_key.clone(), device_name.clone()).await;
        // Also computed where there is none, so that it takes as long.
        let key = identity.key(secret.as_deref().unwrap_or_default()).into_bytes();
        if secret.is_some() { key } else { unknown.to_vec() }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Where the key of a handshake lies ready.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Vec<u8>>>>);

impl Slot {
    pub(super) fn put(&self, key: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    pub(super) fn is_filled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Lets the library find what is put here.
    pub(super) fn attach(&self, ssl: &mut Ssl) -> Result<(), ErrorStack> {
        ssl.set_ex_data(index()?, self.clone());
        Ok(())
    }

    /// Copies the key to where the library wants it, and returns its length; 0 when there is none.
    fn take(&self, out: &mut [u8]) -> usize {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let key = key.filter(|key| key.len() <= out.len()).unwrap_or_default();
        out[..key.len()].copy_from_slice(&key);
        key.len()
    }
}

fn index() -> Result<Index<Ssl, Slot>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Slot>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    // Of two that are made at once one is lost, which costs a few bytes, once.
    let made = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| made))
}

/// Lets a context take keys from slots.
pub(super) fn allow(builder: &mut SslContextBuilder) {
    builder.set_psk_server_callback(|ssl: &mut SslRef, _identity, out| {
        let slot = index().ok().and_then(|index| ssl.ex_data(index));
        Ok(slot.map_or(0, |slot| slot.take(out)))
    });
}

/// Holds records back until they are whole, and the one with the identity until its key is there.
#[derive(Debug, Default)]
pub(super) struct Watch {
    held: Vec<u8>,
    /// How much of it may go on.
    released: usize,
    /// The record behind that asks for a key.
    asked: Option<PskIdentity>,
    /// Nothing is looked for any more.
    done: bool,
}

impl Watch {
    /// Takes bytes in.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.look();
    }

    /// Whose key has to be there before [`Self::go_on`].
    pub(super) fn asked(&mut self) -> Option<PskIdentity> {
        self.asked.take()
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Lets the record go on that was held back.
    pub(super) fn go_on(&mut self) {
        self.done = true;
        self.look();
    }

    /// Bytes that may go on.
    pub(super) fn read(&mut self, out: &mut [u8]) -> usize {
        let count = self.released.min(out.len());
        out[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        self.released -= count;
        count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn look(&mut self) {
        while !self.done && self.asked.is_none() {
            let Some(record) = record(&self.held[self.released..]) else {
                // What is no record is the library's to refuse.
                self.done = self.held.len() - self.released > RECORD_HEAD + RECORD_BYTES_MAX;
                break;
            };
            match identity(record) {
                Some(identity) => self.asked = Some(identity),
                None => self.released += record.len(),
            }
        }
        if self.done {
            self.released = self.held.len();
        }
    }
}

/// The first record, when it is whole.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]));
    bytes.get(..RECORD_HEAD + length)
}

/// The identity in a record with a client's key exchange.
fn identity(record: &[u8]) -> Option<PskIdentity> {
    let (head, message) = record.split_at_checked(RECORD_HEAD)?;
    let (kind, body) = message.split_at_checked(MESSAGE_HEAD)?;
    if head[0] != HANDSHAKE || kind[0] != CLIENT_KEY_EXCHANGE {
        return None;
    }
    let (length, identity) = body.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    // Other key exchanges have bytes here that are no identity.
    str::from_utf8(identity.get(..length)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "devicename|hmacsha256|a1B2c3D4e5F&dev-001|2524608000000";

    fn whole(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3], &length[..], body].concat()
    }

    fn key_exchange(identity: &str) -> Vec<u8> {
        let length = u16::try_from(identity.len()).unwrap();
        let message = [&[CLIENT_KEY_EXCHANGE, 0, 0, 0], &length.to_be_bytes()[..]].concat();
        whole(HANDSHAKE, &[&message, identity.as_bytes()].concat())
    }

    /// What goes on when `input` comes by `step` bytes, before and after a key was there.
    fn through(input: &[u8], step: usize) -> (Vec<u8>, bool, Vec<u8>) {
        let mut watch = Watch::default();
        let drain = |watch: &mut Watch| {
            let (mut all, mut out) = (Vec::new(), [0; 9]);
            while let count @ 1.. = watch.read(&mut out) {
                all.extend_from_slice(&out[..count]);
            }
            all
        };
        let (mut before, mut asks) = (Vec::new(), false);
        for chunk in input.chunks(step) {
            watch.feed(chunk);
            before.extend(drain(&mut watch));
            asks |= watch.asked.is_some();
        }
        assert_eq!(watch.asked().is_some(), asks);
        watch.go_on();
        (before, asks, drain(&mut watch))
    }

    #[test]
    fn the_record_with_an_identity_waits_and_all_before_it_passes() {
        let before = [whole(HANDSHAKE, &[1, 0, 0, 1, 7]), whole(23, &[0; 300])].concat();
        let behind = [key_exchange(IDENTITY), whole(20, &[1])].concat();
        for step in [1, 4, 5, 60, 1_000] {
            let passed = through(&[before.clone(), behind.clone()].concat(), step);
            assert_eq!(passed, (before.clone(), true, behind.clone()), "{step}");
        }
    }

    #[test]
    fn what_holds_no_identity_passes_when_it_is_whole() {
        let rest = b"\x16\x03\x03\x00\x09half";
        for input in [
            key_exchange("another identity"),
            whole(HANDSHAKE, &[]),
            whole(HANDSHAKE, &[CLIENT_KEY_EXCHANGE, 0, 0, 0, 0]),
            whole(HANDSHAKE, &[CLIENT_KEY_EXCHANGE, 0, 0, 0, 255, 255, 1]),
            whole(21, &key_exchange(IDENTITY)[RECORD_HEAD..]),
        ] {
            for step in [1, 1_000] {
                let passed = through(&[&input[..], rest].concat(), step);
                assert_eq!(passed, (input.clone(), false, rest.to_vec()), "{step}");
            }
        }
    }

    #[test]
    fn what_is_no_record_is_not_held_for_ever() {
        let mut watch = Watch::default();
        watch.feed(&vec![255; RECORD_HEAD + RECORD_BYTES_MAX]);
        assert_eq!(watch.released, 0);
        watch.feed(&[255]);
        assert_eq!(watch.released, RECORD_HEAD + RECORD_BYTES_MAX + 1);
    }
}
