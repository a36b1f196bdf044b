//! Files on the local disk, each named by the SHA-256 of its contents.
//!
//! A file is written beside its place, made durable, and only then gets its name, so that a name always leads to
//! whole contents. All of this blocks: callers on the runtime go through `spawn_blocking`.

use bytes::Bytes;
use openssl::hash::{Hasher, MessageDigest};
use otaru_core::package::Blob;
use otaru_core::time::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

/// Names of files that are not whole yet begin so.
const TEMPORARY: &str = "tmp-";

/// The folder. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Files {
    dir: Arc<PathBuf>,
    next: Arc<AtomicU64>,
}

impl Files {
    /// Opens the folder, makes it when there is none, and removes what uploads left behind that never ended. Only one
    /// process may have it open.
    ///
    /// # Errors
    /// When the folder can't be made, read or written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { dir: Arc::new(dir.to_owned()), next: Arc::default() })
    }

    /// Begins a file that may grow to `bytes_max`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn create(&self, bytes_max: u64) -> io::Result<NewFile> {
        let name = format!("{TEMPORARY}{}", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let md5 = Md5::start()?;
        let sha256 = Hasher::new(MessageDigest::sha256())?;
        Ok(NewFile { files: self.clone(), path, file, bytes: 0, bytes_max, md5, sha256 })
    }

    /// The contents with this digest, `None` when there are none.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn read(&self, sha256: &str) -> io::Result<Option<StoredFile>> {
        let Some(path) = self.path(sha256) else { return Ok(None) };
        match File::open(path) {
            Ok(file) => {
                Ok(Some(StoredFile { bytes: file.metadata()?.len(), file: Arc::new(file) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes contents; it is no error when there are none.
    ///
    /// # Errors
    /// When the file is there and can't be removed.
    pub fn remove(&self, sha256: &str) -> io::Result<()> {
        let Some(path) = self.path(sha256) else { return Ok(()) };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Digests of contents that were stored before `before`, by the file system's clock.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn older_than(&self, before: Timestamp) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&*self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let stored =
                entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let stored_ms = i64::try_from(stored.as_millis()).unwrap_or(i64::MAX);
            if self.path(&name).is_some() && stored_ms < before.0 {
                old.push(name);
            }
        }
        Ok(old)
    }

    /// Where contents lie; `None` when `sha256` is no digest, so that no path can be named.
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        is_digest.then(|| self.dir.join(sha256.to_ascii_lowercase()))
    }
}

/// A file that grows. Dropped before [`NewFile::keep`], it is gone.
pub struct NewFile {
    files: Files,
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    md5: Md5,
    sha256: Hasher,
}

impl NewFile {
    /// Appends `chunks`; `false` when the file would become too long, which leaves it as it was. MD5, the slowest of
    /// it, is computed beside the rest and may be two such pieces behind.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write(&mut self, chunks: &[Bytes]) -> io::Result<bool> {
        let bytes = self.bytes + chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        if bytes > self.bytes_max {
            return Ok(false);
        }
        self.md5.update(chunks)?;
        for chunk in chunks {
            self.file.write_all(chunk)?;
            self.sha256.update(chunk)?;
        }
        self.bytes = bytes;
        Ok(true)
    }

    /// Makes the contents durable under their digest.
    ///
    /// # Errors
    /// When the disk can't; then nothing is kept.
    pub fn keep(mut self) -> io::Result<Blob> {
        self.file.sync_all()?;
        let sha256 = hex::encode(self.sha256.finish()?);
        let md5 = hex::encode(self.md5.finish()?);
        let place = self.files.path(&sha256).expect("a digest names a place");
        fs::rename(&self.path, place)?;
        File::open(&*self.files.dir)?.sync_all()?;
        Ok(Blob { size_bytes: self.bytes, md5, sha256 })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // A kept file has left this name. One that can't be removed now is removed when the folder is opened.
        let _ = fs::remove_file(&self.path);
    }
}

/// MD5 on a thread of its own, which ends with it.
struct Md5 {
    /// One piece waits while another is computed.
    pieces: Option<SyncSender<Vec<Bytes>>>,
    digest: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Md5 {
    fn start() -> io::Result<Self> {
        let (pieces, coming) = sync_channel::<Vec<Bytes>>(1);
        let mut hasher = Hasher::new(MessageDigest::md5())?;
        let digest = std::thread::Builder::new().name("md5".into()).spawn(move || {
            while let Ok(chunks) = coming.recv() {
                chunks.iter().try_for_each(|chunk| hasher.update(chunk))?;
            }
            Ok(hasher.finish()?.to_vec())
        })?;
        Ok(Self { pieces: Some(pieces), digest: Some(digest) })
    }

    fn update(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let taken = self.pieces.as_ref().map(|pieces| pieces.send(chunks.to_vec()));
        if matches!(taken, Some(Ok(()))) {
            return Ok(());
        }
        // It takes no more only when it has failed, and says so here.
        self.finish().and(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.pieces = None;
        let digest = self.digest.take().map(JoinHandle::join);
        digest.and_then(Result::ok).unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

/// Whole contents. Clones share the open file, which stays readable when it is removed.
#[derive(Debug, Clone)]
pub struct StoredFile {
    file: Arc<File>,
    bytes: u64,
}

impl StoredFile {
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes from `offset`, as many as are asked for.
    ///
    /// # Errors
    /// When the disk can't read them, or they end behind the file.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn contents_are_found_by_their_digest_until_they_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        for _ in 0..2 {
            let mut new = files.create(3).unwrap();
            assert!(new.write(&["a".into(), "b".into()]).unwrap());
            assert!(new.write(&["c".into()]).unwrap());
            assert!(!new.write(&["d".into()]).unwrap());
            let blob = new.keep().unwrap();
            let md5 = "900150983cd24fb0d6963f7d28e17f72".to_owned();
            assert_eq!(blob, Blob { size_bytes: 3, md5, sha256: ABC.to_owned() });
        }
        assert_eq!(names(dir.path()), [ABC]);
        let stored = files.read(ABC).unwrap().unwrap();
        assert_eq!((stored.size_bytes(), stored.read_at(1, 2).unwrap()), (3, b"bc".to_vec()));
        assert!(stored.read_at(1, 3).is_err());
        files.remove(ABC).unwrap();
        files.remove(ABC).unwrap();
        assert!(files.read(ABC).unwrap().is_none());
        assert_eq!(stored.read_at(0, 1).unwrap(), b"a");
    }

    #[test]
    fn what_was_not_finished_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        drop(files.create(3).unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
        fs::write(dir.path().join("tmp-9"), "half").unwrap();
        Files::open(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn only_digests_name_contents() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        let files = Files::open(dir.path()).unwrap();
        for name in ["secret", "../secret", "", "/etc/passwd"] {
            assert!(files.read(name).unwrap().is_none(), "{name}");
        }
    }
}
