//! Who came and who went, as the store hears of it: lazily, and all that waits in one change. When many devices come at
//! once, a change for each would cost more than what it writes.

use super::effect::Effects;
use super::{App, dynamic};
use crate::mqtt::Peer;
use crate::store::{self, Rows};
use otaru_core::id::DeviceNo;
use otaru_core::time::Timestamp;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Notes that wait at most, as many as changes may wait in the store; later ones are dropped.
const WAITING_MAX: usize = 16_384;

/// What became of a device's presence.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Online(IpAddr),
    Offline,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    device: DeviceNo,
    at: Timestamp,
    sign: Sign,
}

impl Note {
    fn keep(&self, rows: &mut dyn Rows) -> store::Result<()> {
        match self.sign {
            Sign::Online(address) => rows.note_online(self.device, self.at, &address.to_string()),
            Sign::Offline => rows.note_offline(self.device, self.at),
        }
    }
}

/// Notes that no change has taken yet.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    notes: Vec<Note>,
    /// A change is queued that will take them.
    is_queued: bool,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No step in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a note; `true` when a change is to be queued for it.
    fn add(&self, note: Note) -> bool {
        let mut waiting = self.lock();
        if waiting.notes.len() >= WAITING_MAX {
            tracing::debug!(device.no = note.device.0, "a device's presence is not kept");
        } else {
            waiting.notes.push(note);
        }
        !std::mem::replace(&mut waiting.is_queued, true)
    }

    /// All notes that wait. The next one is for another change.
    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.lock()).notes
    }

    /// The change could not be queued: the next note tries again.
    fn not_queued(&self) {
        self.lock().is_queued = false;
    }
}

impl App {
    /// Notes that a device came online, lazily: a crash may lose its last moments, never a report.
    pub(super) fn note_online(&self, peer: Peer, at: Timestamp, address: IpAddr) {
        self.note(Note { device: peer.device, at, sign: Sign::Online(address) });
    }

    /// Notes that a device went offline, as lazily.
    pub(super) fn note_offline(&self, peer: Peer, at: Timestamp) {
        self.note(Note { device: peer.device, at, sign: Sign::Offline });
    }

    fn note(&self, note: Note) {
        if !self.presence.add(note) {
            return;
        }
        let (follower, registry) = (self.follower.clone(), self.registry.clone());
        let presence = Arc::clone(&self.presence);
        // A change can run again: it has taken its notes by then.
        let mut taken = None;
        let queued = self.store.change_lazily_then(
            move |rows| {
                let mut effects = Effects::seeing(&registry);
                let notes = taken.get_or_insert_with(|| presence.take());
                notes.iter().try_for_each(|note| note.keep(rows))?;
                // A device may join a group by it.
                if rows.is_any_group_watched()? {
                    for note in &*notes {
                        dynamic::changed(rows, note.device, note.at, &mut effects)?;
                    }
                }
                Ok(effects)
            },
            move |effects| follower.follow(effects),
        );
        if let Err(error) = queued {
            tracing::debug!(%error, "the presence of devices is not kept yet: {error}");
            self.presence.not_queued();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(device: i64) -> Note {
        Note { device: DeviceNo(device), at: Timestamp(0), sign: Sign::Offline }
    }

    #[test]
    fn one_change_takes_all_notes_that_came_before_it_ran() {
        let presence = Presence::default();
        assert!(presence.add(note(1)));
        assert!(!presence.add(note(2)));
        let taken: Vec<_> = presence.take().iter().map(|note| note.device.0).collect();
        assert_eq!(taken, [1, 2]);
        assert!(presence.add(note(3)), "the next note is for another change");
    }

    #[test]
    fn notes_whose_change_found_no_place_go_with_the_next_one() {
        let presence = Presence::default();
        assert!(presence.add(note(1)));
        presence.not_queued();
        assert!(presence.add(note(2)));
        assert_eq!(presence.take().len(), 2);
    }

    #[test]
    fn notes_beyond_the_bound_are_dropped() {
        let presence = Presence::default();
        for device in 0..=i64::try_from(WAITING_MAX).unwrap() {
            presence.add(note(device));
        }
        assert_eq!(presence.take().len(), WAITING_MAX);
    }
}
