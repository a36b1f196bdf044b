//! Operations that open the upload door for one file.

use super::op::{Op, op};
use super::request::request;
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("GenerateOTAUploadURL", Ota, 10, GeneratePackageUrl => PackageUrl),
    op!("GenerateDeviceNameListURL", Ota, 10, GenerateDeviceListUrl => DeviceListUrl),
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
