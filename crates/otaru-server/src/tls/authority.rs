//! A certificate authority of the server's own, and the certificates that it issues.

use super::made::read;
use anyhow::{Context, ensure};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef, X509Ref};
use otaru_core::time::{DAY_MS, Timestamp};
use std::net::IpAddr;
use std::path::Path;

/// Devices in the field can't be given another CA, so it holds for longer than they do.
const AUTHORITY_DAYS: i64 = 30 * 365;
const LEAF_DAYS: i64 = 365;
/// A leaf with less time than this is issued anew.
const LEAF_DAYS_LEFT_MIN: i64 = 60;
/// Clocks of devices run late.
const BACKDATED_DAYS: i64 = 2;
/// The old devices' TLS takes longer keys too, but not in the time they have.
const RSA_BITS: u32 = 2_048;
/// Longest common name. Source: RFC 5280, `ub-common-name`.
const COMMON_NAME_BYTES_MAX: usize = 64;

/// A name by which a server is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerName {
    Dns(String),
    Ip(IpAddr),
}

impl ServerName {
    /// Reads a host as it stands in a URL or behind a flag.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Some(Self::Ip(address));
        }
        let labels = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        (text.len() <= 253 && labels.split('.').all(is_label))
            .then(|| Self::Dns(text.to_ascii_lowercase()))
    }

    fn text(&self) -> String {
        match self {
            Self::Dns(name) => name.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }
}

/// Which kind of key a leaf has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKey {
    /// For devices whose TLS knows nothing else.
    Rsa,
    /// P-256, which costs a quarter of the time.
    Ec,
}

impl LeafKey {
    pub(super) fn generate(self) -> Result<PKey<Private>, ErrorStack> {
        match self {
            Self::Rsa => PKey::from_rsa(Rsa::generate(RSA_BITS)?),
            Self::Ec => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)
            }
        }
    }
}

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    pub certificate: X509,
    pub key: PKey<Private>,
}

impl Authority {
    /// Makes one that is valid from `now`; `serial` is its serial number, which its name ends with.
    pub fn generate(kind: &str, now: Timestamp, serial: [u8; 16]) -> Result<Self, ErrorStack> {
        let key = LeafKey::Rsa.generate()?;
        // The serial number keeps the CAs of two servers apart where a device is given both.
        let name = name(&format!("{kind} {}", hex::encode(&serial[..4])))?;
        let mut builder = begin(now, AUTHORITY_DAYS, serial, &name, &key)?;
        builder.set_issuer_name(&name)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(own)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// The one of this certificate, whose key is in a file; `from` is where the certificate was read.
    ///
    /// # Errors
    /// A sentence when there is no key, or another one.
    pub fn read(certificate: X509, key: &Path, from: &Path) -> anyhow::Result<Self> {
        let pem = read(key)?.with_context(|| {
            format!(
                "{} is missing, and a certificate has to be issued: put it back, or remove the folder and give devices the new CA",
                key.display()
            )
        })?;
        let private = PKey::private_key_from_pem(&pem)
            .with_context(|| format!("{} holds no key", key.display()))?;
        ensure!(
            certificate.public_key()?.public_eq(&private),
            "{} is not the key of {}",
            key.display(),
            from.display()
        );
        Ok(Self { certificate, key: private })
    }

    /// Issues a certificate for a server of these names: its key, the certificate.
    pub fn issue(
        &self,
        kind: LeafKey,
        names: &[ServerName],
        now: Timestamp,
        serial: [u8; 16],
    ) -> Result<(PKey<Private>, X509), ErrorStack> {
        let key = kind.generate()?;
        let mut common = names.iter().map(ServerName::text);
        let common = common.find(|name| name.len() <= COMMON_NAME_BYTES_MAX);
        let name = name(common.as_deref().unwrap_or("Otaru"))?;
        let mut builder = begin(now, LEAF_DAYS, serial, &name, &key)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        let mut usage = KeyUsage::new();
        usage.critical().digital_signature();
        if kind == LeafKey::Rsa {
            // Without it, key exchange by RSA is refused.
            usage.key_encipherment();
        }
        builder.append_extension(usage.build()?)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            match name {
                ServerName::Dns(name) => alternatives.dns(name),
                ServerName::Ip(address) => alternatives.ip(&address.to_string()),
            };
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let alternatives = alternatives.build(&context)?;
        builder.append_extension(alternatives)?;
        Ok((key, self.sign(builder)?))
    }

    /// Issues a certificate for a device, with this common name.
    pub fn issue_to_device(
        &self,
        common: &str,
        key: &PKeyRef<Public>,
        days: i64,
        now: Timestamp,
        serial: [u8; 16],
    ) -> Result<X509, ErrorStack> {
        let name = name(common)?;
        let mut builder = begin(now, days, serial, &name, key)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        builder.append_extension(ExtendedKeyUsage::new().client_auth().build()?)?;
        self.sign(builder)
    }

    /// Says whose key it is and who signs, and signs.
    fn sign(&self, mut builder: X509Builder) -> Result<X509, ErrorStack> {
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let extensions = [
            SubjectKeyIdentifier::new().build(&context)?,
            AuthorityKeyIdentifier::new().keyid(false).build(&context)?,
        ];
        for extension in extensions {
            builder.append_extension(extension)?;
        }
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(builder.build())
    }
}

/// Whether a leaf can be used further: `authority` has issued it for exactly these names, and it has time left.
pub fn is_good(
    leaf: &X509Ref,
    authority: &X509Ref,
    names: &[ServerName],
    now: Timestamp,
) -> Result<bool, ErrorStack> {
    let mut has: Vec<_> = leaf
        .subject_alt_names()
        .into_iter()
        .flatten()
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(name), _) => Some(ServerName::Dns(name.to_owned())),
            (None, Some(bytes)) => match *bytes {
                [a, b, c, d] => Some(ServerName::Ip([a, b, c, d].into())),
                _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| ServerName::Ip(bytes.into())),
            },
            (None, None) => None,
        })
        .collect();
    let mut wanted = names.to_vec();
    has.sort();
    wanted.sort();
    let is_ours = leaf.verify(&*authority.public_key()?)?;
    let left = time(now.plus_ms(LEAF_DAYS_LEFT_MIN * DAY_MS))?;
    Ok(is_ours && has == wanted && leaf.not_after() > &*left)
}

/// What authority and leaf have in common.
fn begin(
    now: Timestamp,
    days: i64,
    serial: [u8; 16],
    name: &X509NameRef,
    key: &PKeyRef<impl HasPublic>,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    // Positive whatever the bytes are, as RFC 5280 wants it.
    let positive = BigNum::from_slice(&[&[1], &serial[1..]].concat())?;
    builder.set_serial_number(&*Asn1Integer::from_bn(&positive)?)?;
    builder.set_subject_name(name)?;
    builder.set_not_before(&*time(now.plus_ms(-BACKDATED_DAYS * DAY_MS))?)?;
    builder.set_not_after(&*time(now.plus_ms(days * DAY_MS))?)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn time(at: Timestamp) -> Result<Asn1Time, ErrorStack> {
    Asn1Time::from_unix(at.0.div_euclid(1_000))
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(builder.build())
}
