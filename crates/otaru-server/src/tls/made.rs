//! Certificates that the server makes for itself, in a folder of its own.

use super::authority::{Authority, LeafKey, ServerName, is_good};
use super::context::Pair;
use crate::random::Random;
use anyhow::Context;
use openssl::x509::X509;
use otaru_core::time::Timestamp;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Each with its key in one file, so that neither is ever there without the other.
const LEAVES: [(LeafKey, &str); 2] = [(LeafKey::Rsa, "rsa.pem"), (LeafKey::Ec, "ec.pem")];

/// Where the certificate of the CA stands in `folder`, for devices.
pub fn authority_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// The folder, and by which names the server is reached.
#[derive(Debug, Clone)]
pub struct Made {
    pub folder: PathBuf,
    pub names: Vec<ServerName>,
}

impl Made {
    /// The certificates to use at `now`. Makes what is missing, was issued for other names, or ends soon.
    ///
    /// # Errors
    /// A sentence when a file can't be read or written, or half of the CA is missing: devices trust it, so another one
    /// is never made behind their back.
    pub fn pairs(&self, now: Timestamp, random: &Random) -> anyhow::Result<Vec<Pair>> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.folder)
            .with_context(|| format!("{} can't be made", self.folder.display()))?;
        let certificate = self.authority(now, random)?;
        for (kind, file) in LEAVES {
            let path = self.folder.join(file);
            let had = read(&path)?.and_then(|pem| X509::from_pem(&pem).ok());
            let has_good = |leaf: X509| is_good(&leaf, &certificate, &self.names, now);
            if had.map(has_good).transpose()?.unwrap_or(false) {
                continue;
            }
            let authority = self.with_key(certificate.clone())?;
            let (key, leaf) = authority.issue(kind, &self.names, now, serial(random))?;
            let pem = [key.private_key_to_pem_pkcs8()?, leaf.to_pem()?].concat();
            write(&path, &pem)?;
            tracing::info!("issued {} for {} names", path.display(), self.names.len());
        }
        let pair = |file: &str| {
            let path = self.folder.join(file);
            Pair { certificate: path.clone(), key: path }
        };
        Ok(LEAVES.iter().map(|(_, file)| pair(file)).collect())
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// The certificate of the CA, which is made when there is none.
    fn authority(&self, now: Timestamp, random: &Random) -> anyhow::Result<X509> {
        let path = authority_file(&self.folder);
        if let Some(pem) = read(&path)? {
            return X509::from_pem(&pem)
                .with_context(|| format!("{} holds no certificate", path.display()));
        }
        // The key is written first: one without a certificate was never in use.
        let Authority { certificate, key } = Authority::generate("Otaru CA", now, serial(random))?;
        write(&self.key_file(), &key.private_key_to_pem_pkcs8()?)?;
        write(&path, &certificate.to_pem()?)?;
        tracing::info!("made a certificate authority, {}", path.display());
        Ok(certificate)
    }

    fn with_key(&self, certificate: X509) -> anyhow::Result<Authority> {
        Authority::read(certificate, &self.key_file(), &authority_file(&self.folder))
    }
}

pub(super) fn serial(random: &Random) -> [u8; 16] {
    random.number().to_be_bytes()
}

pub(super) fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
    }
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    crate::private_file::write(path, bytes)
        .with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests;
