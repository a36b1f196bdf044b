//! A disk that forgets: what was written but not synced is lost, in whole, in part or not at all, when it crashes.
//!
//! SQLite reaches it through [`crate::vfs`]. This file is the model, which knows nothing of SQLite's interface.

use crate::chance::Chance;
use crate::fault::{Fault, Faults};
use crate::vfs::{self, Shm};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a disk writes or loses at a time.
const SECTOR_BYTES: usize = 512;

pub type FileNo = u64;
pub type HandleNo = u64;

/// A simulated disk, on which SQLite opens files below [`Disk::root`] with the VFS [`vfs::NAME`].
pub struct Disk {
    root: String,
    state: Shared,
}

pub type Shared = Arc<Mutex<State>>;

/// Everything on the disk, and everything in the memory of the machine that has to do with it.
#[derive(Default)]
pub struct State {
    /// Counts crashes. A file opened before the last one can do nothing any more.
    pub epoch: u64,
    pub faults: Faults,
    names: BTreeMap<String, FileNo>,
    durable_names: BTreeMap<String, FileNo>,
    files: BTreeMap<FileNo, File>,
    last_no: u64,
}

#[derive(Default)]
pub struct File {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Pending>,
    pub locks: Locks,
    pub shm: Option<Arc<Shm>>,
    pub shm_locks: ShmLocks,
}

enum Pending {
    Write { at: usize, data: Vec<u8> },
    Truncate { len: usize },
}

/// How much of the unsynced writes a crash spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// None: the power failed before the disk did anything.
    All,
    /// All: the process died, the machine did not.
    Nothing,
    /// Those up to some point, the last of them in part.
    Tail,
    /// Any: the disk wrote sectors in an order of its own.
    Sectors,
}

impl Loss {
    pub const ALL: [Self; 4] = [Self::All, Self::Nothing, Self::Tail, Self::Sectors];
}

impl Disk {
    pub fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let root = format!("/crashing-{}", LAST.fetch_add(1, Ordering::Relaxed));
        let state = Shared::default();
        vfs::attach(&root, &state);
        Self { root, state }
    }

    /// Folder to open databases in.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Lets the power fail at the `nth` change from now, which may be in the middle of a commit.
    pub fn fail_after(&self, nth: u64) {
        let mut state = self.lock();
        let at = state.faults.changes + nth;
        state.faults.plan(at, Fault::Power);
    }

    /// Lets a fault meet every change from now on, or none.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.lock().faults.last(fault);
    }

    /// The failure that was asked for stays away.
    pub fn calm(&self) {
        self.lock().faults.calm();
    }

    /// Whether the power has failed and nobody has restarted the machine.
    pub fn has_failed(&self) -> bool {
        self.lock().faults.power_failed
    }

    /// Waits for the failure that was asked for.
    pub async fn failed(&self) {
        let failed = Arc::clone(&self.lock().faults.power_fails);
        failed.notified().await;
    }

    /// Stops everything that has a file open, and forgets what was not synced.
    pub fn crash(&self, chance: &mut Chance) -> Loss {
        let loss = *chance.pick(&Loss::ALL);
        self.crash_with(loss, chance);
        loss
    }

    pub fn crash_with(&self, loss: Loss, chance: &mut Chance) {
        self.lock().crash(loss, chance);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        vfs::detach(&self.root);
    }
}

pub fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

impl State {
    pub fn next_no(&mut self) -> u64 {
        self.last_no += 1;
        self.last_no
    }

    pub fn find(&self, name: &str) -> Option<FileNo> {
        self.names.get(name).copied()
    }

    pub fn create(&mut self, name: Option<&str>) -> FileNo {
        let no = self.next_no();
        self.files.insert(no, File::default());
        if let Some(name) = name {
            self.names.insert(name.to_owned(), no);
        }
        no
    }

    pub fn file(&mut self, no: FileNo) -> &mut File {
        self.files.get_mut(&no).expect("a file stays while it is open")
    }

    /// Counts a change and says what it meets.
    pub fn meet(&mut self) -> Option<Fault> {
        let fault = self.faults.meet();
        if fault == Some(Fault::Power) {
            self.epoch += 1;
        }
        fault
    }

    /// Whether there was such a file. When `durably` is false, a crash may bring it back.
    pub fn delete(&mut self, name: &str, durably: bool) -> bool {
        if durably {
            self.durable_names.remove(name);
        }
        self.names.remove(name).is_some()
    }

    pub fn write(&mut self, no: FileNo, at: usize, data: &[u8]) {
        let file = self.file(no);
        put(&mut file.current, at, data);
        file.unsynced.push(Pending::Write { at, data: data.to_vec() });
    }

    pub fn truncate(&mut self, no: FileNo, len: usize) {
        let file = self.file(no);
        file.current.resize(len, 0);
        file.unsynced.push(Pending::Truncate { len });
    }

    /// Makes the file durable, its name included; with `folder`, all names on the disk.
    pub fn sync(&mut self, no: FileNo, folder: bool) {
        let file = self.file(no);
        for change in std::mem::take(&mut file.unsynced) {
            change.apply_to(&mut file.durable);
        }
        if folder {
            self.durable_names.clone_from(&self.names);
        } else if let Some((name, _)) = self.names.iter().find(|&(_, &named)| named == no) {
            self.durable_names.insert(name.clone(), no);
        }
    }

    /// A sync has failed: the disk takes for written what it was to write, and never will.
    pub fn forget(&mut self, no: FileNo) {
        self.file(no).unsynced.clear();
    }

    fn crash(&mut self, loss: Loss, chance: &mut Chance) {
        self.epoch += 1;
        self.faults.restarted();
        self.crash_names(loss, chance);
        self.names = self.durable_names.clone();
        let alive: Vec<FileNo> = self.names.values().copied().collect();
        self.files.retain(|no, _| alive.contains(no));
        for file in self.files.values_mut() {
            file.crash(loss, chance);
        }
    }

    fn crash_names(&mut self, loss: Loss, chance: &mut Chance) {
        let mut all: Vec<String> = self.names.keys().cloned().collect();
        all.extend(self.durable_names.keys().cloned());
        all.sort();
        all.dedup();
        for name in all {
            let spared = match loss {
                Loss::All => false,
                Loss::Nothing => true,
                Loss::Tail | Loss::Sectors => chance.percent(50),
            };
            if spared {
                match self.names.get(&name) {
                    Some(&no) => self.durable_names.insert(name, no),
                    None => self.durable_names.remove(&name),
                };
            }
        }
    }
}

impl File {
    pub fn bytes(&self) -> &[u8] {
        &self.current
    }

    fn crash(&mut self, loss: Loss, chance: &mut Chance) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let first_lost = chance.below(unsynced.len() as u64 + 1);
        for (nth, change) in (0..).zip(unsynced) {
            match loss {
                Loss::All => {}
                Loss::Nothing => change.apply_to(&mut self.durable),
                Loss::Tail if nth < first_lost => change.apply_to(&mut self.durable),
                Loss::Tail if nth == first_lost => change.tear(&mut self.durable, chance),
                Loss::Tail => {}
                Loss::Sectors => change.tear(&mut self.durable, chance),
            }
        }
        self.current = self.durable.clone();
        self.locks = Locks::default();
        self.shm = None;
        self.shm_locks = ShmLocks::default();
    }
}

impl Pending {
    fn apply_to(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => put(image, *at, data),
            Self::Truncate { len } => image.resize(*len, 0),
        }
    }

    /// Applies some sectors of a write; a truncation happens or not.
    fn tear(&self, image: &mut Vec<u8>, chance: &mut Chance) {
        let Self::Write { at, data } = self else {
            if chance.percent(50) {
                self.apply_to(image);
            }
            return;
        };
        let mut from = 0;
        while from < data.len() {
            let to = (from + SECTOR_BYTES - (at + from) % SECTOR_BYTES).min(data.len());
            if chance.percent(50) {
                put(image, at + from, &data[from..to]);
            }
            from = to;
        }
    }
}

fn put(image: &mut Vec<u8>, at: usize, data: &[u8]) {
    if image.len() < at {
        image.resize(at, 0);
    }
    let (over, beyond) = data.split_at(data.len().min(image.len() - at));
    image[at..at + over.len()].copy_from_slice(over);
    image.extend_from_slice(beyond);
}

/// Locks of a database file, weakest first (SQLite, "File Locking And Concurrency").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

#[derive(Default)]
pub struct Locks(BTreeMap<HandleNo, Level>);

impl Locks {
    /// Raises the lock of `handle`; false when another one is in the way.
    pub fn raise(&mut self, handle: HandleNo, to: Level) -> bool {
        if self.of(handle) >= to {
            return true;
        }
        let others = self.strongest_of_others(handle);
        let granted = match to {
            Level::None => Level::None,
            Level::Shared if others < Level::Pending => Level::Shared,
            Level::Reserved if others < Level::Reserved => Level::Reserved,
            Level::Exclusive if others == Level::None => Level::Exclusive,
            // Keeps new readers out until the present ones are done.
            Level::Pending | Level::Exclusive if others == Level::Shared => Level::Pending,
            _ => return false,
        };
        self.0.insert(handle, granted);
        granted == to
    }

    pub fn lower(&mut self, handle: HandleNo, to: Level) {
        if to == Level::None {
            self.0.remove(&handle);
        } else {
            self.0.insert(handle, to);
        }
    }

    pub fn is_reserved(&self) -> bool {
        self.0.values().any(|&level| level >= Level::Reserved)
    }

    fn of(&self, handle: HandleNo) -> Level {
        self.0.get(&handle).copied().unwrap_or(Level::None)
    }

    fn strongest_of_others(&self, handle: HandleNo) -> Level {
        let others = self.0.iter().filter(|&(&other, _)| other != handle);
        others.map(|(_, &level)| level).max().unwrap_or(Level::None)
    }
}

/// Locks of the write-ahead index: eight slots, each shared by many or owned by one.
#[derive(Default)]
pub struct ShmLocks {
    slots: [Slot; 8],
}

#[derive(Default)]
struct Slot {
    owner: Option<HandleNo>,
    sharers: Vec<HandleNo>,
}

impl ShmLocks {
    /// Takes all of `slots`, or none and answers false.
    pub fn take(
        &mut self,
        handle: HandleNo,
        slots: std::ops::Range<usize>,
        exclusive: bool,
    ) -> bool {
        let free = |slot: &Slot| {
            let owned = slot.owner.is_some_and(|owner| owner != handle);
            let shared = slot.sharers.iter().any(|&sharer| sharer != handle);
            !(owned || exclusive && shared)
        };
        let slots = &mut self.slots[slots];
        if !slots.iter().all(free) {
            return false;
        }
        for slot in slots {
            if exclusive {
                slot.owner = Some(handle);
            } else if !slot.sharers.contains(&handle) {
                slot.sharers.push(handle);
            }
        }
        true
    }

    pub fn release(&mut self, handle: HandleNo, slots: std::ops::Range<usize>) {
        for slot in &mut self.slots[slots] {
            slot.sharers.retain(|&sharer| sharer != handle);
            if slot.owner == Some(handle) {
                slot.owner = None;
            }
        }
    }
}
