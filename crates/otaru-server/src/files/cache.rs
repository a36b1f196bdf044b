//! Hot parts of files: what thousands of devices ask for at once is read from disk once.

use super::{Files, StoredFile};
use bytes::{Bytes, BytesMut};
use otaru_core::hash::Map;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// Bytes that are read at once.
const PART_BYTES: u64 = 256 * 1024;
/// Reads from disk at a time: they take threads that the rest of the server needs too.
const READS_MAX: usize = 8;

type Key = (String, u64);
type Part = Arc<OnceCell<Bytes>>;

/// Clones share one cache.
#[derive(Debug, Clone)]
pub struct BlockCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    parts: Mutex<Parts>,
    reads: Semaphore,
    parts_max: usize,
}

#[derive(Debug, Default)]
struct Parts {
    by_key: Map<Key, (Part, u64)>,
    /// Rises with every use.
    clock: u64,
}

impl BlockCache {
    /// Keeps up to `bytes_max`, and at least one part; parts that are just being read or copied come on top.
    pub fn new(files: Files, bytes_max: u64) -> Self {
        let parts_max = usize::try_from(bytes_max / PART_BYTES).unwrap_or(usize::MAX).max(1);
        let (parts, reads) = (Mutex::default(), Semaphore::new(READS_MAX));
        Self(Arc::new(Shared { files, parts, reads, parts_max }))
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Each change below is whole before anything could panic.
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes `range` of the contents with this digest.
    ///
    /// # Errors
    /// When there are none, they are shorter, or the disk can't read them.
    pub async fn read(&self, sha256: &str, range: Range<u64>) -> io::Result<Bytes> {
        let mut out = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(sha256, None, at..range.end).await?;
            out.extend_from_slice(&piece);
            at += piece.len() as u64;
        }
        Ok(out.freeze())
    }

    /// The bytes from `range.start` on that lie in one part, without a copy: at least one, at most up to `range.end`. What
    /// isn't hot is read from `file`, if it is open already.
    ///
    /// # Errors
    /// As [`BlockCache::read`].
    pub async fn piece(
        &self,
        sha256: &str,
        file: Option<&StoredFile>,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        let start = range.start / PART_BYTES * PART_BYTES;
        let part = self.part(sha256, file, start).await?;
        let within = |n: u64| usize::try_from(n - start).expect("a part fits into memory");
        let until = range.end.min(start + PART_BYTES);
        let (from, until) = (within(range.start), within(until));
        if from >= until || until > part.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(part.slice(from..until))
    }

    async fn part(&self, sha256: &str, file: Option<&StoredFile>, start: u64) -> io::Result<Bytes> {
        let key = (sha256.to_owned(), start);
        let part = self.enter(&key);
        // All who want the part now wait for one read of it; when that fails the next of them tries.
        let read = part.get_or_try_init(|| async {
            let _turn = self.0.reads.acquire().await.map_err(io::Error::other)?;
            let (files, sha256, file) = (self.0.files.clone(), key.0.clone(), file.cloned());
            let read = tokio::task::spawn_blocking(move || {
                let file = match file {
                    Some(file) => file,
                    None => files.read(&sha256)?.ok_or(io::ErrorKind::NotFound)?,
                };
                read_part(&file, start)
            });
            read.await.map_err(io::Error::other)?
        });
        let read = read.await.cloned();
        if read.is_err() {
            self.parts().by_key.remove(&key);
        }
        read
    }

    /// The place of a part; the one that was unused longest makes room for it.
    fn enter(&self, key: &Key) -> Part {
        let mut parts = self.parts();
        parts.clock += 1;
        let now = parts.clock;
        if let Some((part, used)) = parts.by_key.get_mut(key) {
            *used = now;
            return Arc::clone(part);
        }
        while parts.by_key.len() >= self.0.parts_max {
            let oldest = parts.by_key.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            parts.by_key.remove(&oldest);
        }
        let part = Part::default();
        parts.by_key.insert(key.clone(), (Arc::clone(&part), now));
        part
    }
}

fn read_part(file: &StoredFile, start: u64) -> io::Result<Bytes> {
    let length = file.size_bytes().saturating_sub(start).min(PART_BYTES);
    let length = usize::try_from(length).expect("a part fits into memory");
    Ok(file.read_at(start, length)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(files: &Files, contents: &[u8]) -> String {
        let mut new = files.create(u64::MAX).unwrap();
        new.write(&[contents.to_vec().into()]).unwrap();
        new.keep().unwrap().sha256
    }

    #[tokio::test]
    async fn blocks_are_those_of_the_file_also_across_parts() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let contents: Vec<u8> = (0..=250).cycle().take(600_000).collect();
        let sha256 = stored(&files, &contents);
        for bytes_max in [0, 512 * 1024, 1 << 30] {
            let cache = BlockCache::new(files.clone(), bytes_max);
            for range in [0..5_120, 262_143..262_145, 250_000..381_072, 599_999..600_000_usize] {
                let read = cache.read(&sha256, range.start as u64..range.end as u64).await;
                assert!(read.unwrap() == contents[range.clone()], "{range:?}");
            }
            for bad in [599_999..600_001, 600_000..600_001, 1 << 40..(1 << 40) + 1] {
                assert!(cache.read(&sha256, bad.clone()).await.is_err(), "{bad:?}");
            }
            assert!(cache.read("no digest", 0..1).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_is_hot_is_read_once_and_the_rest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let hashes = [b"one", b"two", b"six"].map(|contents| stored(&files, contents));
        let cache = BlockCache::new(files.clone(), 2 * PART_BYTES);
        for sha256 in &hashes[..2] {
            cache.read(sha256, 0..3).await.unwrap();
            files.remove(sha256).unwrap();
        }
        // Both are read from memory; the first was used last when the third comes.
        for sha256 in [&hashes[1], &hashes[0]] {
            cache.read(sha256, 0..3).await.unwrap();
        }
        assert_eq!(cache.read(&hashes[2], 0..3).await.unwrap(), "six");
        assert_eq!(cache.read(&hashes[0], 0..3).await.unwrap(), "one");
        assert!(cache.read(&hashes[1], 0..3).await.is_err());
        assert!(cache.parts().by_key.len() <= 2);
    }
}
