//! Operations that open the upload door for one file.

use otaru_core::package::SUFFIXES;
use otaru_core::refusal;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::utc;
use crate::app;
use crate::files::UploadForm;
use crate::store::UploadKind;

pub(super) const OPS: &[Op] = &[
    op!("GenerateOTAUploadURL", Ota, 10, for_package: GeneratePackageUrl => PackageUrl, UPLOAD_URL_FAILED),
    op!(
        "GenerateDeviceNameListURL", Ota, 10,
        for_device_list: GenerateDeviceListUrl => DeviceListUrl, UPLOAD_URL_FAILED
    ),
];

request! {
    pub struct GeneratePackageUrl {
        file_suffix: Option<String> = "FileSuffix",
    }

    pub struct GenerateDeviceListUrl {}
}

reply! {
    pub struct PackageUrl {
        data: PackageUrlData = "Data",
    }

    pub struct PackageUrlData {
        firmware_url: String = "FirmwareUrl",
        host: String = "Host",
        key: String = "Key",
        access_key_id: String = "OSSAccessKeyId",
        object_storage: String = "ObjectStorage",
        policy: String = "Policy",
        signature: String = "Signature",
        utc_create: String = "UtcCreate",
    }

    pub struct DeviceListUrl {
        data: DeviceListUrlData = "Data",
    }

    pub struct DeviceListUrlData {
        access_key_id: String = "AccessKeyId",
        file_url: String = "FileUrl",
        host: String = "Host",
        key: String = "Key",
        object_storage: String = "ObjectStorage",
        policy: String = "Policy",
        signature: String = "Signature",
        utc_create: String = "UtcCreate",
    }
}

/// Where the file is to be stored; there is one kind of storage.
pub(super) const OBJECT_STORAGE: &str = "OSS";

async fn for_package(context: Context<'_>, request: GeneratePackageUrl) -> app::Result<PackageUrl> {
    let suffix = request.file_suffix.unwrap_or_else(|| "bin".to_owned());
    if !SUFFIXES.contains(&suffix.as_str()) {
        return Err(refusal::INVALID_UPLOAD_PARAMETER.with(suffix).into());
    }
    let slot = context.app.issue_upload(context.caller, UploadKind::Package, suffix).await?;
    let UploadForm { host, key, access_key_id, policy, signature } = slot.form;
    let data = PackageUrlData {
        firmware_url: slot.file_url,
        host,
        key,
        access_key_id,
        object_storage: OBJECT_STORAGE.to_owned(),
        policy,
        signature,
        utc_create: utc(slot.issued_at),
    };
    Ok(PackageUrl { data })
}

async fn for_device_list(
    context: Context<'_>,
    _: GenerateDeviceListUrl,
) -> app::Result<DeviceListUrl> {
    let suffix = "csv".to_owned();
    let slot = context.app.issue_upload(context.caller, UploadKind::DeviceList, suffix).await?;
    let UploadForm { host, key, access_key_id, policy, signature } = slot.form;
    let data = DeviceListUrlData {
        access_key_id,
        file_url: slot.file_url,
        host,
        key,
        object_storage: OBJECT_STORAGE.to_owned(),
        policy,
        signature,
        utc_create: utc(slot.issued_at),
    };
    Ok(DeviceListUrl { data })
}
