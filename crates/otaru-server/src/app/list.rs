//! Files of device names: one name per line, or names parted by commas.

use crate::files::StoredFile;
use crate::store::StoreError;
use otaru_core::hash::Set;
use otaru_core::id::DeviceName;

/// Names that a file may hold, each counted once.
pub const NAMES_MAX: usize = 1_000_000;
/// Bytes read at a time: some hundreds of names, and at most 2,000 of the shortest, so that a step of a job is made of
/// one reading.
const READ_BYTES: usize = 8 * 1024;
/// Bytes that a name and what parts it from the next may take before it is no name.
const NAME_BYTES_MAX: usize = 256;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListError {
    /// It holds no name.
    Empty,
    /// It holds more than [`NAMES_MAX`].
    TooLong,
    /// A line holds what is no name, or no UTF-8.
    Malformed { line: u64, text: String },
}

/// A stored list.
#[derive(Debug, Clone)]
pub struct NameList {
    file: StoredFile,
}

/// A place between two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub offset: u64,
    /// Lines before this place, for messages.
    pub line: u64,
}

/// Texts that should be names, each with its line from 1, and where the next chunk begins.
#[derive(Debug)]
pub struct Chunk {
    pub texts: Vec<(u64, Vec<u8>)>,
    pub next: Place,
}

impl NameList {
    pub fn new(file: StoredFile) -> Self {
        Self { file }
    }

    pub fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    /// The texts after `place`, empty ones and a heading left out; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the file can't be read.
    pub fn chunk(&self, place: Place) -> Result<Option<Chunk>, StoreError> {
        let left = self.size_bytes().saturating_sub(place.offset);
        if left == 0 {
            return Ok(None);
        }
        let length = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        let failed = |error: std::io::Error| StoreError::Engine(error.to_string());
        let mut bytes = self.file.read_at(place.offset, length).map_err(failed)?;
        let is_end = length as u64 == left;
        if !is_end && let Some(cut) = bytes.iter().rposition(|b| matches!(b, b'\n' | b',')) {
            bytes.truncate(cut + 1);
        }
        let mut next = Place { offset: place.offset + bytes.len() as u64, line: place.line };
        let mut body = &bytes[..];
        if place.offset == 0 {
            body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        }
        let mut texts = Vec::new();
        for line in body.split_inclusive(|&b| b == b'\n') {
            let is_heading = next.line == 0 && line.trim_ascii() == b"DeviceName";
            for text in line.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                if !text.is_empty() && !is_heading {
                    let kept = text.len().min(NAME_BYTES_MAX);
                    texts.push((next.line + 1, text[..kept].to_vec()));
                }
            }
            next.line += u64::from(line.ends_with(b"\n"));
        }
        Ok(Some(Chunk { texts, next }))
    }

    /// Reads all of it and counts its names, each once.
    ///
    /// # Errors
    /// Outer: the file can't be read. Inner: [`ListError`].
    pub fn check(&self) -> Result<Result<usize, ListError>, StoreError> {
        let (mut names, mut place) = (Set::default(), Place::default());
        while let Some(chunk) = self.chunk(place)? {
            for (line, text) in chunk.texts {
                match parse(&text) {
                    Ok(name) => names.insert(fingerprint(&name)),
                    Err(text) => return Ok(Err(ListError::Malformed { line, text })),
                };
                if names.len() > NAMES_MAX {
                    return Ok(Err(ListError::TooLong));
                }
            }
            place = chunk.next;
        }
        Ok(if names.is_empty() { Err(ListError::Empty) } else { Ok(names.len()) })
    }
}

/// The name that a text is, or the text as far as it can be shown.
pub fn parse(text: &[u8]) -> Result<DeviceName, String> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(shown)
}

/// 64 bits in place of a name, so that a million of them are remembered in 16 MB. Two names that share one are taken
/// for one in the count only.
fn fingerprint(name: &DeviceName) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.as_str().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;

    fn list(content: &[u8]) -> (tempfile::TempDir, NameList) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let mut file = files.create(64 * 1024 * 1024).unwrap();
        assert!(file.write(&[content.to_vec().into()]).unwrap());
        let blob = file.keep().unwrap();
        let stored = files.read(&blob.sha256).unwrap().unwrap();
        (folder, NameList::new(stored))
    }

    fn names(list: &NameList) -> Vec<String> {
        let (mut names, mut place) = (Vec::new(), Place::default());
        while let Some(chunk) = list.chunk(place).unwrap() {
            names.extend(chunk.texts.into_iter().map(|(_, text)| String::from_utf8(text).unwrap()));
            place = chunk.next;
        }
        names
    }

    #[test]
    fn names_stand_on_lines_or_between_commas() {
        let content = "\u{feff}DeviceName\r\ndev-1\r\n\n dev-2 ,dev-3\ndev-4";
        assert_eq!(names(&list(content.as_bytes()).1), ["dev-1", "dev-2", "dev-3", "dev-4"]);
        assert_eq!(names(&list(b"dev-1,dev-2").1), ["dev-1", "dev-2"]);
    }

    #[test]
    fn a_list_is_refused_by_its_first_fault() {
        let malformed = |line, text: &str| Err(ListError::Malformed { line, text: text.into() });
        for (content, want) in [
            (&b""[..], Err(ListError::Empty)),
            (b"DeviceName\n\n", Err(ListError::Empty)),
            (b"dev-1\nno\n", malformed(2, "no")),
            (b"dev-1\ndev-2,a/../b\n", malformed(2, "a/../b")),
            (b"dev-1\n\xff\xfe\xfd\xfc\n", malformed(2, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}")),
            (b"dev-1\ndev-1\ndev-2", Ok(2)),
        ] {
            assert_eq!(list(content).1.check().unwrap(), want);
        }
    }

    #[test]
    fn a_list_of_many_chunks_is_read_whole_and_counted_once() {
        let lines: Vec<_> = (0..200_000).map(|n| format!("device-{n:06}\n")).collect();
        let mut content = lines.concat();
        content += "device-000000";
        let (_folder, list) = list(content.as_bytes());
        assert_eq!(list.check().unwrap(), Ok(200_000));
        let all = names(&list);
        assert_eq!(
            (all.len(), &*all[199_999], &*all[200_000]),
            (200_001, "device-199999", "device-000000")
        );
    }

    #[test]
    fn a_text_without_end_is_no_name() {
        let (_folder, list) = list(&b"x".repeat(200_000));
        assert!(matches!(list.check().unwrap(), Err(ListError::Malformed { line: 1, .. })));
    }
}
