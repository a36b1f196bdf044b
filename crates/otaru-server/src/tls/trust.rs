//! Which certificates devices may come with, and what one says of its device.

use super::device_authority::DeviceAuthority;
use anyhow::{Context, ensure};
use openssl::asn1::{Asn1IntegerRef, Asn1Time};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{SslContextBuilder, SslRef, SslVerifyMode};
use openssl::x509::{
    CrlStatus, X509, X509Crl, X509NameRef, X509Ref, X509StoreContextRef, X509VerifyResult,
};
use otaru_core::id::{DeviceName, ProductKey};
use otaru_core::time::Timestamp;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// How each list in a file of several begins.
const CRL_BEGINS: &str = "-----BEGIN X509 CRL-----";

/// Who may issue certificates of devices.
#[derive(Debug, Clone)]
pub struct DeviceTrust {
    /// The CA that the server makes for devices, when it is asked to.
    pub made: DeviceAuthority,
    /// Certificates of the operator's CAs, in PEM.
    pub authorities: Option<PathBuf>,
    /// Lists of what they have revoked, in PEM.
    pub revoked: Option<PathBuf>,
}

/// What stands in the files.
pub(super) struct Trusted {
    authorities: Vec<X509>,
    revoked: Revoked,
}

#[derive(Default)]
struct Revoked {
    lists: Vec<X509Crl>,
    /// Of the CA that the server has made.
    made: Option<(X509, Vec<String>)>,
}

impl DeviceTrust {
    /// Reads the files; `None` when there is nobody whose certificates are taken, so that none are asked for.
    pub(super) fn load(&self, now: Timestamp) -> anyhow::Result<Option<Trusted>> {
        let mut authorities = match &self.authorities {
            Some(path) => own_authorities(path)?,
            None => Vec::new(),
        };
        let lists = match &self.revoked {
            Some(path) => lists(path, &authorities, now)?,
            None => Vec::new(),
        };
        let made = match self.made.certificate()? {
            Some(certificate) => Some((certificate, self.made.revoked()?)),
            None => None,
        };
        authorities.extend(made.iter().map(|(certificate, _)| certificate.clone()));
        let revoked = Revoked { lists, made };
        Ok((!authorities.is_empty()).then_some(Trusted { authorities, revoked }))
    }
}

impl Trusted {
    /// Lets sessions of the context ask for certificates; each has to be told to.
    pub(super) fn allow(self, builder: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        let Self { authorities, revoked } = self;
        for authority in authorities {
            builder.add_client_ca(&authority)?;
            builder.cert_store_mut().add_cert(authority)?;
        }
        builder.set_verify_callback(SslVerifyMode::NONE, move |is_good, chain| {
            is_good && !refuse_revoked(chain, &revoked)
        });
        Ok(())
    }
}

/// Ends a check whose certificate was revoked.
fn refuse_revoked(chain: &mut X509StoreContextRef, revoked: &Revoked) -> bool {
    let is_revoked = chain.current_cert().is_some_and(|it| revoked.has(it));
    if is_revoked {
        // The library's own number for it can't be said from here.
        chain.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
    }
    is_revoked
}

impl Revoked {
    fn has(&self, certificate: &X509Ref) -> bool {
        let (issuer, serial) = (certificate.issuer_name(), certificate.serial_number());
        let mut lists = self.lists.iter().filter(|list| is_same(list.issuer_name(), issuer));
        let is_listed =
            lists.any(|list| matches!(list.get_by_serial(serial), CrlStatus::Revoked(_)));
        let is_noted = self.made.as_ref().is_some_and(|(authority, serials)| {
            is_same(authority.subject_name(), issuer) && serials.contains(&text(serial))
        });
        is_listed || is_noted
    }
}

fn is_same(one: &X509NameRef, other: &X509NameRef) -> bool {
    one.try_cmp(other).is_ok_and(Ordering::is_eq)
}

/// A serial number in hexadecimal; empty when there is no memory for it.
fn text(serial: &Asn1IntegerRef) -> String {
    let text = serial.to_bn().and_then(|number| number.to_hex_str().map(|text| text.to_string()));
    text.unwrap_or_default()
}

fn own_authorities(path: &Path) -> anyhow::Result<Vec<X509>> {
    let unusable = || format!("{} can't be used as a CA of devices", path.display());
    let pem = std::fs::read(path).with_context(unusable)?;
    let authorities = X509::stack_from_pem(&pem).with_context(unusable)?;
    ensure!(!authorities.is_empty(), "{}: it holds no certificate", unusable());
    Ok(authorities)
}

/// Lists, each of which one of the authorities has signed.
fn lists(path: &Path, authorities: &[X509], now: Timestamp) -> anyhow::Result<Vec<X509Crl>> {
    let unusable = || format!("{} can't be used as a list of revoked certificates", path.display());
    let pem = std::fs::read_to_string(path).with_context(unusable)?;
    let now = Asn1Time::from_unix(now.0.div_euclid(1_000))?;
    let mut lists = Vec::new();
    for part in pem.split(CRL_BEGINS).skip(1) {
        let list = X509Crl::from_pem(format!("{CRL_BEGINS}{part}").as_bytes());
        let list = list.with_context(unusable)?;
        let is_signed = authorities.iter().any(|authority| {
            is_same(authority.subject_name(), list.issuer_name())
                && authority.public_key().is_ok_and(|key| list.verify(&key).unwrap_or(false))
        });
        ensure!(is_signed, "{}: none of the CAs of devices has signed it", unusable());
        if list.next_update().is_some_and(|next| next < &*now) {
            // Who lets nobody in because somebody forgot it is worse off than with the old list.
            tracing::warn!("{} is out of date, and used further", path.display());
        }
        lists.push(list);
    }
    ensure!(!lists.is_empty(), "{}: it holds no list", unusable());
    Ok(lists)
}

/// The device that a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    pub product_key: ProductKey,
    pub device_name: DeviceName,
}

impl Certified {
    /// Of the peer of a session. `None` when it has shown no certificate, or one that names no device. A session that is
    /// resumed has the certificate of its first handshake, so its time is looked at once more.
    pub(super) fn of(session: &SslRef, now: Timestamp) -> Option<Self> {
        let certificate = session.peer_certificate()?;
        let now = Asn1Time::from_unix(now.0.div_euclid(1_000)).ok()?;
        if certificate.not_after() < &*now {
            return None;
        }
        let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
        let (Some(name), None) = (names.next(), names.next()) else { return None };
        Self::parse(&name.data().to_string().ok()?)
    }

    /// Whether it is for the device of this name.
    pub fn is(&self, device_name: &str, product_key: &str) -> bool {
        self.device_name.as_str() == device_name && self.product_key.as_str() == product_key
    }

    /// Reads `{DeviceName}&{ProductKey}`, which is the username of the device too.
    fn parse(name: &str) -> Option<Self> {
        let (device_name, product_key) = name.split_once('&')?;
        Some(Self {
            product_key: product_key.parse().ok()?,
            device_name: device_name.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
