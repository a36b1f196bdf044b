//! `otaru device-cert`: certificates of devices.

use super::serve::folder::tls_folder;
use crate::clock::Clock;
use crate::random::Random;
use crate::tls::{DEVICE_DAYS_MAX, DeviceAuthority, DeviceKey, KeyOf};
use anyhow::Context;
use clap::Args;
use otaru_core::id::{DeviceName, ProductKey};
use std::path::{Path, PathBuf};

/// Issue a certificate to a device of a product with `AuthType` x509, or revoke one.
///
/// Prints the certificate and its key as PEM, and its serial number on the other stream. The CA for it is made with the
/// first one, in the data folder; a running server asks devices for certificates, and takes the worth of revoked ones,
/// once it has read its files again: `kill -HUP`.
#[derive(Debug, Args)]
pub struct DeviceCertArgs {
    /// Data folder of the server
    #[arg(long, env = "OTARU_DATA", value_name = "DIR", default_value = "otaru-data")]
    data: PathBuf,
    #[arg(long, value_name = "KEY", required_unless_present = "revoke")]
    product_key: Option<ProductKey>,
    #[arg(long, value_name = "NAME", required_unless_present = "revoke")]
    device_name: Option<DeviceName>,
    /// Days for which it is valid
    #[arg(long, default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=i64::from(DEVICE_DAYS_MAX)))]
    days: u32,
    /// Make a P-256 key, not an RSA one: quicker, and unknown to the TLS of the vendor's C SDKs
    #[arg(long, conflicts_with = "csr")]
    ec: bool,
    /// Issue it for the key of this request, in PEM: the key stays on the device. What else it says is passed over
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Revoke the certificate with this serial number
    #[arg(long, value_name = "SERIAL", conflicts_with_all = ["product_key", "device_name", "csr", "ec"])]
    revoke: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// A sentence when files can't be read or written, or don't fit.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
pub fn run(args: DeviceCertArgs) -> anyhow::Result<()> {
    let DeviceCertArgs { data, product_key, device_name, days, ec, csr, revoke } = args;
    let authority = DeviceAuthority::within(&tls_folder(&data));
    if let Some(serial) = revoke {
        authority.revoke(&serial)?;
        eprintln!("revoked {serial}, once the server has read its files again (kill -HUP)");
        return Ok(());
    }
    let product_key = product_key.context("--product-key is missing")?;
    let device_name = device_name.context("--device-name is missing")?;
    let key = match csr {
        Some(path) => requested(&path)?,
        None if ec => KeyOf::Made(DeviceKey::Ec),
        None => KeyOf::Made(DeviceKey::Rsa),
    };
    let now = Clock::system().now().wall;
    let device = (&product_key, &device_name);
    let issued = authority.issue(device, key, days, now, &Random::system()?)?;
    let mut pem = issued.certificate.to_pem()?;
    if let Some(key) = issued.key {
        pem.extend(key.private_key_to_pem_pkcs8()?);
    }
    print!("{}", String::from_utf8_lossy(&pem));
    eprintln!("serial {}", issued.serial);
    Ok(())
}

fn requested(path: &Path) -> anyhow::Result<KeyOf> {
    let unusable = || format!("{} can't be used", path.display());
    KeyOf::requested(&std::fs::read(path).with_context(unusable)?).with_context(unusable)
}
