//! SQLite's way to a [`crate::disk::Disk`]: a VFS of the second version, with the shared memory that WAL mode needs.

#![allow(unsafe_code, reason = "SQLite calls a VFS through C function pointers")]

use crate::disk::{FileNo, HandleNo, Level, Shared, State, lock};
use crate::fault::Fault;
use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, Once};

pub const NAME: &CStr = c"crashing";

/// Disks by their root folder.
static DISKS: Mutex<BTreeMap<String, Shared>> = Mutex::new(BTreeMap::new());

fn disks() -> MutexGuard<'static, BTreeMap<String, Shared>> {
    DISKS.lock().expect("no holder panics")
}

/// Lets SQLite open files below `root` on `disk`.
pub fn attach(root: &str, disk: &Shared) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(register);
    disks().insert(root.to_owned(), Arc::clone(disk));
}

pub fn detach(root: &str) {
    disks().remove(root);
}

fn disk_of(path: &str) -> Option<Shared> {
    let root = path.match_indices('/').nth(1).map_or(path, |(at, _)| &path[..at]);
    disks().get(root).cloned()
}

/// The regions of a write-ahead index. They live until the last file that maps them is closed, even when the disk
/// has crashed in between: SQLite holds pointers into them.
#[derive(Default)]
pub struct Shm(Mutex<Vec<Region>>);

struct Region(*mut [u64]);

// SAFETY: the pointer owns its memory, which SQLite guards with the locks of the index.
unsafe impl Send for Region {}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `Shm::map`, and freed only here.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Shm {
    fn map(&self, nth: usize, bytes: usize, extend: bool) -> *mut c_void {
        let mut regions = self.0.lock().expect("no holder panics");
        while extend && regions.len() <= nth {
            let region = vec![0_u64; bytes.div_ceil(8)].into_boxed_slice();
            regions.push(Region(Box::into_raw(region)));
        }
        regions.get(nth).map_or(std::ptr::null_mut(), |region| region.0.cast())
    }
}

/// What SQLite allocates for an open file: its own part first.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    disk: Shared,
    epoch: u64,
    no: HandleNo,
    file: FileNo,
    /// The first sync of a new journal also syncs the folder, as SQLite's own VFS does.
    sync_folder: bool,
    delete_on_close: Option<String>,
    shm: Option<Arc<Shm>>,
}

impl Handle {
    /// The disk, unless it has crashed since the file was opened.
    fn alive(&self) -> Option<MutexGuard<'_, State>> {
        let state = lock(&self.disk);
        (state.epoch == self.epoch).then_some(state)
    }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed yet; nothing else holds the handle during the call.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` put the handle there, `close` takes it away.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

/// # Safety
/// `name` is null or a C string that outlives `'a`.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

fn at(number: i64) -> usize {
    usize::try_from(number).expect("SQLite gives no negative offsets or lengths")
}

fn len(number: c_int) -> usize {
    usize::try_from(number).expect("SQLite gives no negative offsets or lengths")
}

const JOURNALS: c_int =
    ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands out `szOsFile` bytes, a name or null, and a place for the flags or null.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let name = text(name);
        let disk = match name {
            Some(path) => disk_of(path),
            // A temporary file is on no disk; nobody expects to find it again.
            None => Some(Shared::default()),
        };
        let Some(disk) = disk else { return ffi::SQLITE_CANTOPEN };
        let mut state = lock(&disk);
        let found = name.and_then(|name| state.find(name));
        let no = match found {
            Some(no) => no,
            None if flags & ffi::SQLITE_OPEN_CREATE != 0 => state.create(name),
            None => return ffi::SQLITE_CANTOPEN,
        };
        let delete = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
        let opened = Handle {
            epoch: state.epoch,
            no: state.next_no(),
            file: no,
            sync_folder: found.is_none() && flags & JOURNALS != 0,
            delete_on_close: name.filter(|_| delete).map(str::to_owned),
            shm: None,
            disk: Arc::clone(&disk),
        };
        drop(state);
        (*file.cast::<OpenFile>()).handle = Box::into_raw(Box::new(opened));
        (*file).pMethods = &raw const IO;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, and it was opened by `open`.
    let closed = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    if let Some(mut state) = closed.alive() {
        state.file(closed.file).locks.lower(closed.no, Level::None);
        if let Some(name) = &closed.delete_on_close {
            state.delete(name, true);
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file and `amount` writable bytes, as SQLite promises.
    let (file, to) =
        unsafe { (handle(file), std::slice::from_raw_parts_mut(to.cast::<u8>(), len(amount))) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_READ };
    let bytes = state.file(file.file).bytes();
    let from = at(offset).min(bytes.len());
    let there = to.len().min(bytes.len() - from);
    to[..there].copy_from_slice(&bytes[from..from + there]);
    to[there..].fill(0);
    if there == to.len() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file and `amount` readable bytes, as SQLite promises.
    let (file, from) =
        unsafe { (handle(file), std::slice::from_raw_parts(from.cast::<u8>(), len(amount))) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_WRITE };
    match state.meet() {
        None => state.write(file.file, at(offset), from),
        Some(Fault::Full) => return ffi::SQLITE_FULL,
        Some(Fault::Half) => {
            state.write(file.file, at(offset), &from[..from.len() / 2]);
            return ffi::SQLITE_IOERR_WRITE;
        }
        Some(Fault::Power | Fault::Error) => return ffi::SQLITE_IOERR_WRITE,
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_TRUNCATE };
    if state.meet().is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    state.truncate(file.file, at(size));
    ffi::SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_FSYNC };
    if let Some(fault) = state.meet() {
        if fault == Fault::Half {
            state.forget(file.file);
        }
        return ffi::SQLITE_IOERR_FSYNC;
    }
    state.sync(file.file, file.sync_folder);
    drop(state);
    file.sync_folder = false;
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: an open file and a place for the size.
    let (file, size) = unsafe { (handle(file), &mut *size) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_FSTAT };
    *size = i64::try_from(state.file(file.file).bytes().len()).expect("it is in memory");
    ffi::SQLITE_OK
}

fn level(number: c_int) -> Level {
    match number {
        ffi::SQLITE_LOCK_NONE => Level::None,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        ffi::SQLITE_LOCK_PENDING => Level::Pending,
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn raise_lock(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_LOCK };
    let granted = state.file(file.file).locks.raise(file.no, level(to));
    if granted { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn lower_lock(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    if let Some(mut state) = file.alive() {
        state.file(file.file).locks.lower(file.no, level(to));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn is_reserved(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: an open file and a place for the answer.
    let (file, reserved) = unsafe { (handle(file), &mut *reserved) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK };
    *reserved = c_int::from(state.file(file.file).locks.is_reserved());
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_bytes(_: *mut ffi::sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // As on the disks that SQLite assumes by default: a torn write spoils nothing but what it wrote.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    nth: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file and a place for the pointer.
    let (file, out) = unsafe { (handle(file), &mut *out) };
    *out = std::ptr::null_mut();
    if file.shm.is_none() {
        let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_SHMMAP };
        let shm = Arc::clone(state.file(file.file).shm.get_or_insert_default());
        drop(state);
        file.shm = Some(shm);
    }
    if let Some(shm) = &file.shm {
        *out = shm.map(len(nth), len(bytes), extend != 0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    n: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    let Some(mut state) = file.alive() else { return ffi::SQLITE_IOERR_SHMLOCK };
    let slots = len(offset)..len(offset + n);
    let locks = &mut state.file(file.file).shm_locks;
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        locks.release(file.no, slots);
        return ffi::SQLITE_OK;
    }
    let taken = locks.take(file.no, slots, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0);
    if taken { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { handle(file) };
    file.shm = None;
    if let Some(mut state) = file.alive() {
        let inner = state.file(file.file);
        inner.shm_locks.release(file.no, 0..8);
        // The last one out forgets the index, so that the next one rebuilds it from the log.
        if inner.shm.as_ref().is_some_and(|shm| Arc::strong_count(shm) == 1) {
            inner.shm = None;
        }
    }
    ffi::SQLITE_OK
}

static IO: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(raise_lock),
    xUnlock: Some(lower_lock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_bytes),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string.
    let Some(name) = (unsafe { text(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    let Some(disk) = disk_of(name) else { return ffi::SQLITE_IOERR_DELETE };
    let mut state = lock(&disk);
    if state.meet().is_some() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    let deleted = state.delete(name, sync_dir != 0);
    if deleted { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_DELETE_NOENT }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    exists: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string and a place for the answer.
    let (name, exists) = unsafe { (text(name), &mut *exists) };
    let found =
        name.is_some_and(|name| disk_of(name).is_some_and(|disk| lock(&disk).find(name).is_some()));
    *exists = c_int::from(found);
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    bytes: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite gives a C string and room for `bytes` bytes.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > len(bytes) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(name.as_ptr(), out.cast(), name.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    // Not random, so that a run repeats itself: SQLite draws names and salts from it, no more.
    // SAFETY: room for `bytes` bytes.
    unsafe { std::ptr::write_bytes(out, 0x5A, len(bytes)) };
    bytes
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, julian_day: *mut f64) -> c_int {
    // SAFETY: a place for the answer. Nothing may ask SQLite for the time, so it stands still.
    unsafe { *julian_day = 2_451_545.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

fn register() {
    let vfs = ffi::sqlite3_vfs {
        iVersion: 1,
        szOsFile: c_int::try_from(size_of::<OpenFile>()).expect("a few words"),
        mxPathname: 512,
        pNext: std::ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: std::ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: the VFS is never freed, and its functions are all there for its version.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite takes a VFS");
}
