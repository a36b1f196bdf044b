//! Operations on packages.

use super::op::{Op, op};
use super::request::request;
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("CreateOTAFirmware", Ota, 10, CreatePackage => CreatedPackage),
    op!("QueryOTAFirmware", Ota, 20, QueryPackage => PackageReply),
    op!("ListOTAFirmware", Ota, 10, ListPackages => PackagePage),
    op!("DeleteOTAFirmware", Ota, 10, DeletePackage => ()),
];

request! {
    pub struct CreatePackage {
        dest_version: String = "DestVersion",
        name: String = "FirmwareName",
        description: Option<String> = "FirmwareDesc",
        sign: Option<String> = "FirmwareSign",
        size: Option<i32> = "FirmwareSize",
        url: Option<String> = "FirmwareUrl",
        module_name: Option<String> = "ModuleName",
        files: Vec<FileParam> = "MultiFiles",
        need_to_verify: Option<bool> = "NeedToVerify",
        product_key: Option<String> = "ProductKey",
        sign_method: Option<String> = "SignMethod",
        src_version: Option<String> = "SrcVersion",
        kind: Option<i32> = "Type",
        udi: Option<String> = "Udi",
    }

    pub item FileParam {
        md5: Option<String> = "FileMd5",
        name: Option<String> = "Name",
        sign: Option<String> = "SignValue",
        size: Option<i32> = "Size",
        url: Option<String> = "Url",
    }

    pub struct QueryPackage {
        firmware_id: String = "FirmwareId",
    }

    pub struct ListPackages {
        current_page: i32 = "CurrentPage",
        page_size: i32 = "PageSize",
        dest_version: Option<String> = "DestVersion",
        product_key: Option<String> = "ProductKey",
    }

    pub struct DeletePackage {
        firmware_id: String = "FirmwareId",
    }
}

reply! {
    pub struct CreatedPackage {
        data: CreatedPackageData = "Data",
    }

    pub struct CreatedPackageData {
        firmware_id: String = "FirmwareId",
        utc_create: String = "UtcCreate",
    }

    pub struct PackageReply {
        info: PackageInfo = "FirmwareInfo",
    }

    pub struct PackageInfo {
        dest_version: String = "DestVersion",
        description: Option<String> = "FirmwareDesc",
        firmware_id: String = "FirmwareId",
        name: String = "FirmwareName",
        sign: Option<String> = "FirmwareSign",
        size: Option<i32> = "FirmwareSize",
        url: Option<String> = "FirmwareUrl",
        module_name: String = "ModuleName",
        files: Vec<PackageFile> = "MultiFiles" bare,
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        sign_method: String = "SignMethod",
        src_version: Option<String> = "SrcVersion",
        status: i32 = "Status",
        kind: i32 = "Type",
        udi: Option<String> = "Udi",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
        verify_progress: i32 = "VerifyProgress",
    }

    pub struct PackageFile {
        md5: String = "FileMd5",
        name: String = "Name",
        sign: String = "SignValue",
        size: i32 = "Size",
        url: String = "Url",
    }

    pub struct PackagePage {
        current_page: i32 = "CurrentPage",
        rows: Vec<PackageRow> = "FirmwareInfo" listing "SimpleFirmwareInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct PackageRow {
        dest_version: String = "DestVersion",
        description: Option<String> = "FirmwareDesc",
        firmware_id: String = "FirmwareId",
        name: String = "FirmwareName",
        sign: Option<String> = "FirmwareSign",
        size: Option<i32> = "FirmwareSize",
        module_name: String = "ModuleName",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        sign_method: String = "SignMethod",
        /// Sent empty for a full package, not left out.
        src_version: String = "SrcVersion",
        status: i32 = "Status",
        kind: i32 = "Type",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
    }
}
