//! The data folder: who has it, and the few files in it that people may look at.

use super::listeners::Listeners;
use crate::app::Credentials;
use crate::random::Random;
use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where in a data folder the certificates are that its server makes for itself.
pub(in crate::cli) fn tls_folder(data: &Path) -> PathBuf {
    data.join("tls")
}

/// A folder that no other server has.
#[derive(Debug)]
pub(in crate::cli) struct Folder {
    path: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
}

/// The key of the first account, and whether it was made just now.
#[derive(Debug)]
pub(in crate::cli) struct Key {
    pub credentials: Credentials,
    pub is_new: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    access_key_id: String,
    access_key_secret: String,
}

/// The access key that the environment names.
///
/// # Errors
/// When it names only half of it, or what can't be a key.
pub(in crate::cli) fn key_of_environment() -> anyhow::Result<Option<Credentials>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (id, secret) = (variable("OTARU_ACCESS_KEY_ID"), variable("OTARU_ACCESS_KEY_SECRET"));
    let (access_key_id, access_key_secret) = match (id, secret) {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, secret),
        _ => bail!("set both OTARU_ACCESS_KEY_ID and OTARU_ACCESS_KEY_SECRET, or neither"),
    };
    let is_key = |text: &str| text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
    ensure!(
        is_key(&access_key_id) && is_key(&access_key_secret),
        "OTARU_ACCESS_KEY_ID and OTARU_ACCESS_KEY_SECRET must be up to 128 visible ASCII characters without blanks"
    );
    Ok(Some(Credentials { access_key_id, access_key_secret }))
}

impl Folder {
    /// Takes the folder, and makes it when there is none.
    ///
    /// # Errors
    /// A sentence when it can't be made or another server has it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(path)
            .with_context(|| format!("the data folder {} can't be made", path.display()))?;
        let lock = path.join("lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let lock =
            lock.with_context(|| format!("the data folder {} can't be written", path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                bail!("another server is running on the data folder {}", path.display())
            }
            Err(error) => Err(error)
                .with_context(|| format!("the data folder {} can't be locked", path.display())),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("otaru.db")
    }

    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    pub fn key_file(&self) -> PathBuf {
        self.path.join("access-key.toml")
    }

    /// What URLs and forms are signed with; made at the first start.
    ///
    /// # Errors
    /// A sentence when the file can't be read or made, or holds something else.
    pub fn secret(&self, random: &Random) -> anyhow::Result<[u8; 32]> {
        let path = self.path.join("secret");
        let mut secret = [0; 32];
        if let Some(text) = read(&path)? {
            hex::decode_to_slice(text.trim(), &mut secret)
                .with_context(|| format!("{} holds no secret", path.display()))?;
        } else {
            random.fill(&mut secret);
            write(&path, &format!("{}\n", hex::encode(secret)))?;
        }
        Ok(secret)
    }

    /// The key of the first account: the one that is kept, else `wanted`, else a new one.
    ///
    /// # Errors
    /// A sentence when `wanted` is not the one that is kept, or none is kept though there is a database.
    pub fn access_key(&self, wanted: Option<Credentials>, random: &Random) -> anyhow::Result<Key> {
        let path = self.key_file();
        if let Some(text) = read(&path)? {
            let KeyFile { access_key_id, access_key_secret } = toml::from_str(&text)
                .with_context(|| format!("{} holds no access key", path.display()))?;
            let kept = Credentials { access_key_id, access_key_secret };
            ensure!(
                wanted.is_none_or(|wanted| wanted == kept),
                "OTARU_ACCESS_KEY_ID and OTARU_ACCESS_KEY_SECRET are not the access key of {}: unset them, or set the one in {}",
                self.path.display(),
                path.display()
            );
            return Ok(Key { credentials: kept, is_new: false });
        }
        ensure!(
            !self.database().exists(),
            "{} is missing, but there is a database: put the file back, with the lines access_key_id and access_key_secret",
            path.display()
        );
        let is_new = wanted.is_none();
        let credentials = wanted.unwrap_or_else(|| Credentials {
            access_key_id: format!("OTARU{}", random.hex(10)),
            access_key_secret: random.hex(20),
        });
        write_key(&path, &credentials)?;
        Ok(Key { credentials, is_new })
    }

    /// Puts `new` into the place of the key `old` when that is the one that is kept; other keys are kept nowhere.
    ///
    /// # Errors
    /// A sentence when the file can't be read or written.
    pub fn replace_key(&self, old: &str, new: &Credentials) -> anyhow::Result<()> {
        let path = self.key_file();
        let Some(text) = read(&path)? else { return Ok(()) };
        let kept: KeyFile = toml::from_str(&text)
            .with_context(|| format!("{} holds no access key", path.display()))?;
        if kept.access_key_id != old {
            return Ok(());
        }
        write_key(&path, new)
    }

    /// Where the certificates are that the server makes for itself.
    pub fn tls(&self) -> PathBuf {
        tls_folder(&self.path)
    }

    /// Notes where the server listens, for commands on this machine.
    ///
    /// # Errors
    /// A sentence when the file can't be written.
    pub fn write_endpoint(&self, listeners: &Listeners) -> anyhow::Result<()> {
        write(&self.path.join("endpoint"), &format!("{listeners}\n"))
    }
}

fn write_key(path: &Path, credentials: &Credentials) -> anyhow::Result<()> {
    let file = KeyFile {
        access_key_id: credentials.access_key_id.clone(),
        access_key_secret: credentials.access_key_secret.clone(),
    };
    write(path, &toml::to_string(&file)?)
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    crate::private_file::write(path, text.as_bytes())
        .with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(id: &str, secret: &str) -> Credentials {
        Credentials { access_key_id: id.into(), access_key_secret: secret.into() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_has_one_server_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = Folder::open(&path).unwrap();
        let second = Folder::open(&path).unwrap_err().to_string();
        assert!(second.starts_with("another server is running on the data folder"), "{second}");
        drop(first);
        let again = Folder::open(&path).unwrap();
        again.access_key(None, &Random::seeded(1)).unwrap();
        again.secret(&Random::seeded(1)).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("access-key.toml")), 0o600);
        assert_eq!(mode(&path.join("secret")), 0o600);
    }

    #[test]
    fn the_secret_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let made = folder.secret(&Random::seeded(1)).unwrap();
        assert_eq!(folder.secret(&Random::seeded(2)).unwrap(), made);
        fs::write(dir.path().join("secret"), "short").unwrap();
        assert!(folder.secret(&Random::seeded(2)).is_err());
    }

    #[test]
    fn the_key_of_the_first_start_holds_later() {
        let random = Random::seeded(1);
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let first = folder.access_key(Some(key("id", "it's \"quoted\"")), &random).unwrap();
        assert!(!first.is_new);
        for (wanted, fits) in [
            (None, true),
            (Some(first.credentials.clone()), true),
            (Some(key("id", "other")), false),
            (Some(key("other", "it's \"quoted\"")), false),
        ] {
            let kept = folder.access_key(wanted.clone(), &random);
            assert_eq!(kept.is_ok(), fits, "{wanted:?}");
            assert!(kept.is_err() || kept.unwrap().credentials == first.credentials);
        }
    }

    #[test]
    fn a_lost_key_is_never_replaced_behind_the_back_of_its_account() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(folder.access_key(None, &Random::seeded(1)).unwrap().is_new);
        fs::write(folder.database(), "").unwrap();
        fs::remove_file(folder.key_file()).unwrap();
        assert!(folder.access_key(None, &Random::seeded(1)).is_err());
        assert!(folder.access_key(Some(key("a", "b")), &Random::seeded(1)).is_err());
    }
}
