//! Certificates of devices: the CA that the server makes for them, in a folder of its own, and what it issues.
//!
//! It is another one than that of the server's own certificates: who may be a device is not who may be the server.

use super::authority::Authority;
use super::made::{read, serial, write};
use crate::random::Random;
use anyhow::{Context, ensure};
use openssl::pkey::{PKey, Private, Public};
use openssl::x509::{X509, X509Req};
use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::time::Timestamp;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use super::authority::LeafKey as DeviceKey;

/// Longest validity of a certificate in days: that of its CA.
pub const DEVICE_DAYS_MAX: u32 = 30 * 365;
/// Digits of a serial number in hexadecimal, at most. Source: RFC 5280, 20 octets.
const SERIAL_DIGITS_MAX: usize = 40;

/// The CA for devices in the folder of the server's TLS files.
#[derive(Debug, Clone)]
pub struct DeviceAuthority {
    folder: PathBuf,
}

/// What a device is given.
#[derive(Debug)]
pub struct Issued {
    pub certificate: X509,
    /// `None` when the device has made its key by itself.
    pub key: Option<PKey<Private>>,
    /// Of the certificate, in hexadecimal.
    pub serial: String,
}

/// Whose key a certificate is for.
#[derive(Debug)]
pub enum KeyOf {
    /// One that is made now.
    Made(DeviceKey),
    /// One that the device has made.
    Given(PKey<Public>),
}

impl KeyOf {
    /// That of a request, in PEM.
    ///
    /// # Errors
    /// A sentence when it is no request, or who has the key hasn't signed it.
    pub fn requested(pem: &[u8]) -> anyhow::Result<Self> {
        let request = X509Req::from_pem(pem).context("this is no request for a certificate")?;
        let key = request.public_key().context("the request holds no key")?;
        let is_signed = request.verify(&key).unwrap_or(false);
        ensure!(is_signed, "the request is not signed by the key that it names");
        Ok(Self::Given(key))
    }
}

impl DeviceAuthority {
    /// That of the server whose files are in `tls`.
    pub fn within(tls: &Path) -> Self {
        Self { folder: tls.join("devices") }
    }

    fn certificate_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    fn revoked_file(&self) -> PathBuf {
        self.folder.join("revoked")
    }

    /// The certificate of the CA; `None` as long as nothing was issued.
    ///
    /// # Errors
    /// A sentence when the file can't be read or is something else.
    pub fn certificate(&self) -> anyhow::Result<Option<X509>> {
        let path = self.certificate_file();
        let Some(pem) = read(&path)? else { return Ok(None) };
        let certificate = X509::from_pem(&pem);
        certificate.map(Some).with_context(|| format!("{} holds no certificate", path.display()))
    }

    /// Serial numbers of certificates that are good no more, as [`Issued::serial`] gives them.
    ///
    /// # Errors
    /// A sentence when the file can't be read.
    pub fn revoked(&self) -> anyhow::Result<Vec<String>> {
        let text = read(&self.revoked_file())?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Takes the worth of the certificate with this serial number, once the server reads its files again.
    ///
    /// # Errors
    /// A sentence when that is no serial number, or the file can't be written.
    pub fn revoke(&self, serial: &str) -> anyhow::Result<()> {
        let is_serial = (1..=SERIAL_DIGITS_MAX).contains(&serial.len())
            && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_serial, "`{serial}` is no serial number in hexadecimal");
        let serial = serial.to_ascii_uppercase();
        let mut revoked = self.revoked()?;
        if revoked.contains(&serial) {
            return Ok(());
        }
        revoked.push(serial);
        self.make_folder()?;
        write(&self.revoked_file(), format!("{}\n", revoked.join("\n")).as_bytes())
    }

    /// Issues a certificate for a device, and makes the CA before if there is none.
    ///
    /// # Errors
    /// A sentence when files can't be read or written, or don't fit.
    pub fn issue(
        &self,
        device: (&ProductKey, &DeviceName),
        key: KeyOf,
        days: u32,
        now: Timestamp,
        random: &Random,
    ) -> anyhow::Result<Issued> {
        let (private, public) = match key {
            KeyOf::Made(kind) => {
                let key = kind.generate()?;
                let public = PKey::public_key_from_der(&key.public_key_to_der()?)?;
                (Some(key), public)
            }
            KeyOf::Given(key) => (None, key),
        };
        let authority = self.open(now, random)?;
        let (product_key, device_name) = device;
        let name = format!("{device_name}&{product_key}");
        let certificate =
            authority.issue_to_device(&name, &public, days.into(), now, serial(random))?;
        let serial = certificate.serial_number().to_bn()?.to_hex_str()?.to_string();
        Ok(Issued { certificate, key: private, serial })
    }

    fn make_folder(&self) -> anyhow::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.folder)
            .with_context(|| format!("{} can't be made", self.folder.display()))
    }

    fn open(&self, now: Timestamp, random: &Random) -> anyhow::Result<Authority> {
        let Some(certificate) = self.certificate()? else {
            let made = Authority::generate("Otaru device CA", now, serial(random))?;
            self.make_folder()?;
            // The key is written first: one without a certificate was never in use.
            write(&self.key_file(), &made.key.private_key_to_pem_pkcs8()?)?;
            write(&self.certificate_file(), &made.certificate.to_pem()?)?;
            return Ok(made);
        };
        Authority::read(certificate, &self.key_file(), &self.certificate_file())
    }
}

#[cfg(test)]
mod tests;
