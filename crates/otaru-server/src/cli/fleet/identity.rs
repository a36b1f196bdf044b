//! Who the devices are: read from a file, or registered through the API.

use crate::cli::client::{Client, text};
use anyhow::{Context, bail, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Devices that one batch registers at most. Source: the public API reference, `BatchRegisterDevice`.
const BATCH_MAX: usize = 10_000;
/// Devices that one page shows at most. Source: the same, `QueryPageByApplyId`.
const PAGE_MAX: usize = 50;
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Looks at a batch until it is given up.
const LOOKS_MAX: u32 = 6_000;

/// A device as its firmware knows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) product_key: Arc<str>,
    pub(super) name: Box<str>,
    pub(super) secret: Box<str>,
}

impl Device {
    pub(super) fn topic(&self, kind: &str) -> String {
        format!("/ota/device/{kind}/{}/{}", self.product_key, self.name)
    }
}

/// Reads `product_key,device_name,device_secret` lines.
///
/// # Errors
/// A sentence that names the line.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Device>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} can't be read", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Vec<Device>> {
    let mut devices: Vec<Device> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<_> = line.trim().split(',').collect();
        let [product_key, name, secret] = fields[..] else {
            bail!("line {} is not PRODUCT_KEY,DEVICE_NAME,DEVICE_SECRET", at + 1);
        };
        let product_key = match devices.last() {
            Some(last) if *last.product_key == *product_key => Arc::clone(&last.product_key),
            _ => product_key.into(),
        };
        devices.push(Device { product_key, name: name.into(), secret: secret.into() });
    }
    ensure!(!devices.is_empty(), "there is no device in it");
    Ok(devices)
}

/// Writes devices for [`read`].
///
/// # Errors
/// A sentence when the file can't be written.
pub(super) fn write(path: &Path, devices: &[Device]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for Device { product_key, name, secret } in devices {
        // Writing to a text never fails.
        let _ = writeln!(lines, "{product_key},{name},{secret}");
    }
    std::fs::write(path, lines).with_context(|| format!("{} can't be written", path.display()))
}

/// Registers `count` devices of a product in batches; `registered` hears how many there are.
///
/// # Errors
/// When a call is refused or a batch fails.
pub(super) async fn register(
    api: &Client,
    product_key: &str,
    count: usize,
    mut registered: impl FnMut(usize),
) -> anyhow::Result<Vec<Device>> {
    let mut devices = Vec::with_capacity(count);
    let product: Arc<str> = product_key.into();
    while devices.len() < count {
        let batch = (count - devices.len()).min(BATCH_MAX);
        let size = batch.to_string();
        let reply = api
            .call("BatchRegisterDevice", &[("ProductKey", product_key), ("Count", &size)])
            .await?;
        let apply =
            reply["Data"]["ApplyId"].as_i64().context("the reply has no ApplyId")?.to_string();
        created(api, product_key, &apply).await?;
        for page in 1..=batch.div_ceil(PAGE_MAX) {
            let (page, size) = (page.to_string(), PAGE_MAX.to_string());
            let params = [("ApplyId", &*apply), ("CurrentPage", &*page), ("PageSize", &*size)];
            let reply = api.call("QueryPageByApplyId", &params).await?;
            let rows = reply["ApplyDeviceList"]["ApplyDeviceInfo"].as_array();
            for row in rows.context("the reply has no devices")? {
                devices.push(Device {
                    product_key: Arc::clone(&product),
                    name: text(row, &["DeviceName"])?.into(),
                    secret: text(row, &["DeviceSecret"])?.into(),
                });
            }
            registered(devices.len());
        }
    }
    Ok(devices)
}

async fn created(api: &Client, product_key: &str, apply: &str) -> anyhow::Result<()> {
    for _ in 0..LOOKS_MAX {
        let params = [("ProductKey", product_key), ("ApplyId", apply)];
        let reply = api.call("QueryBatchRegisterDeviceStatus", &params).await?;
        match text(&reply, &["Data", "Status"])?.as_str() {
            "CREATE_SUCCESS" => return Ok(()),
            "CREATE_FAILED" => bail!("the batch {apply} of devices failed"),
            _ => tokio::time::sleep(LOOK_PAUSE).await,
        }
    }
    bail!("the batch {apply} of devices does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_devices_is_read_as_it_was_written() {
        let device = |product: &str, name: &str| Device {
            product_key: product.into(),
            name: name.into(),
            secret: "s".into(),
        };
        let devices = [device("p1", "a"), device("p1", "b"), device("p2", "a")];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.csv");
        write(&path, &devices).unwrap();
        assert_eq!(read(&path).unwrap(), devices);
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        for (text, want) in [
            ("", "there is no device in it"),
            ("p,a,s\n\np,b\n", "line 3 is not PRODUCT_KEY,DEVICE_NAME,DEVICE_SECRET"),
            ("p,a,s,t", "line 1 is not PRODUCT_KEY,DEVICE_NAME,DEVICE_SECRET"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), want);
        }
    }
}
