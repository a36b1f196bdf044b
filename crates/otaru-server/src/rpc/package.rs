//! Operations on packages.

use std::collections::BTreeSet;

use otaru_core::id::IdError;
use otaru_core::package::{Package, SignMethod, is_package_name};
use otaru_core::product::Product;
use otaru_core::refusal::{self, Refusal};
use otaru_core::version::{DEFAULT_MODULE, ModuleName, Version, is_reserved};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, int, unless_empty, utc};
use crate::app::{self, NewFile, NewPackage, PackageChange, PackageView};

pub(super) const OPS: &[Op] = &[
    op!("CreateOTAFirmware", Ota, 10, create: CreatePackage => CreatedPackage, CREATE_PACKAGE_FAILED),
    op!("QueryOTAFirmware", Ota, 20, query: QueryPackage => PackageReply, SYSTEM_EXCEPTION),
    op!("ListOTAFirmware", Ota, 10, list: ListPackages => PackagePage, LIST_PACKAGES_FAILED),
    op!("DeleteOTAFirmware", Ota, 10, delete: DeletePackage => (), DELETE_PACKAGE_FAILED),
    op!("ModifyOTAFirmware", Ota, 5, modify: ModifyPackage => (), SYSTEM_EXCEPTION),
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

    pub struct ModifyPackage {
        firmware_id: String = "FirmwareId",
        product_key: String = "ProductKey",
        description: Option<String> = "FirmwareDesc",
        name: Option<String> = "FirmwareName",
        udi: Option<String> = "FirmwareUdi",
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

async fn create(context: Context<'_>, request: CreatePackage) -> app::Result<CreatedPackage> {
    let new = new_package(request)?;
    let (id, created_at) = context.app.create_package(context.caller, new).await?;
    let data = CreatedPackageData { firmware_id: id.to_string(), utc_create: utc(created_at) };
    Ok(CreatedPackage { data })
}

/// Checks the values of a new package.
fn new_package(request: CreatePackage) -> Result<NewPackage, Refusal> {
    let name = request.name.as_str();
    if name.trim().is_empty() {
        return Err(refusal::BLANK_PACKAGE_NAME.into());
    }
    if !is_package_name(name) {
        return Err(refusal::MALFORMED_PACKAGE_NAME.with(name));
    }
    let bad_dest = || refusal::MALFORMED_PACKAGE_VERSION.with(&request.dest_version);
    let dest = Version::parse(&request.dest_version).map_err(|_: IdError| bad_dest())?;
    if is_reserved(&request.dest_version) {
        return Err(bad_dest());
    }
    let description = request.description.clone().unwrap_or_default();
    if description.chars().count() > 100 {
        return Err(refusal::LONG_PACKAGE_DESCRIPTION.into());
    }
    let udi = request.udi.clone().unwrap_or_default();
    if udi.chars().count() > 4_096 {
        return Err(refusal::LONG_UDI.into());
    }
    let is_delta = match request.kind {
        None | Some(0) => false,
        Some(1) => true,
        Some(other) => return Err(refusal::INVALID_PACKAGE_TYPE.with(other)),
    };
    let sign_method = match request.sign_method.as_deref() {
        None => SignMethod::Md5,
        Some(text) => {
            SignMethod::from_wire(text).ok_or_else(|| refusal::INVALID_SIGN_METHOD.with(text))?
        }
    };
    if is_delta && request.src_version.is_none() {
        return Err(refusal::NULL_SRC_VERSION.into());
    }
    let src = request.src_version.as_deref().map(src_version).transpose()?;
    if is_delta && src.as_ref() == Some(&dest) {
        return Err(refusal::SRC_IS_DEST.with(&dest));
    }
    let module = request.module_name.as_deref().unwrap_or(DEFAULT_MODULE);
    let module =
        ModuleName::parse(module).map_err(|_: IdError| refusal::MALFORMED_MODULE.with(module))?;
    let is_list = !request.files.is_empty();
    let files = files(&request)?;
    Ok(NewPackage {
        product_key: request.product_key,
        name: request.name,
        description,
        dest,
        src,
        is_delta,
        module,
        sign_method,
        is_list,
        files,
        udi,
        need_to_verify: request.need_to_verify.unwrap_or(true),
    })
}

/// A version that a package or a job starts from.
pub(super) fn src_version(text: &str) -> Result<Version, Refusal> {
    Version::parse(text).map_err(|_: IdError| refusal::MALFORMED_SRC_VERSION.with(text))
}

fn files(request: &CreatePackage) -> Result<Vec<NewFile>, Refusal> {
    if request.files.is_empty() {
        let url = request.url.as_ref().ok_or(refusal::NULL_PACKAGE_URL)?;
        check_url(url)?;
        return Ok(vec![NewFile {
            name: String::new(),
            url: url.clone(),
            size: request.size.map(i64::from),
            sign: request.sign.clone(),
            md5: None,
        }]);
    }
    if request.url.is_some() || request.sign.is_some() || request.size.is_some() {
        let detail = "MultiFiles goes without FirmwareUrl, FirmwareSign, FirmwareSize";
        return Err(refusal::INVALID_PARAMETER.with(detail));
    }
    if request.files.len() > 20 {
        let detail = format!("{} files, at most 20", request.files.len());
        return Err(refusal::LIST_TOO_LONG.with(detail));
    }
    if request.files.iter().any(|file| file.name.is_none() || file.url.is_none()) {
        return Err(refusal::NULL_PARAMETER.with("a file of MultiFiles needs Name and Url"));
    }
    let files = request.files.iter().map(|file| NewFile {
        name: file.name.clone().unwrap_or_default(),
        url: file.url.clone().unwrap_or_default(),
        size: file.size.map(i64::from),
        sign: file.sign.clone(),
        md5: file.md5.clone(),
    });
    let files: Vec<_> = files.collect();
    let mut names = BTreeSet::new();
    for NewFile { name, .. } in &files {
        if name.chars().count() > 32 || is_reserved(name) || !names.insert(name) {
            return Err(refusal::INVALID_PARAMETER.with(name));
        }
    }
    files.iter().try_for_each(|file| check_url(&file.url))?;
    Ok(files)
}

/// Whether `url` can be one at all; whose it is shows a look-up.
pub(super) fn check_url(url: &str) -> Result<(), Refusal> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if has_host && !url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(());
    }
    Err(refusal::MALFORMED_PACKAGE_URL.with(url))
}

async fn query(context: Context<'_>, request: QueryPackage) -> app::Result<PackageReply> {
    let PackageView { package, product, urls } =
        context.app.package(context.caller, request.firmware_id).await?;
    let method = package.sign_method;
    let files = package.files.iter().zip(&urls).map(|(file, url)| PackageFile {
        md5: file.blob.md5.clone(),
        name: file.name.clone(),
        sign: file.blob.digest(method).to_owned(),
        size: int(file.blob.size_bytes),
        url: url.clone(),
    });
    let files: Vec<_> = files.collect();
    let single = files.first().filter(|_| !package.is_list);
    let info = PackageInfo {
        dest_version: package.dest.to_string(),
        description: unless_empty(package.description.clone()),
        firmware_id: package.id.to_string(),
        name: package.name.clone(),
        sign: single.map(|file| file.sign.clone()),
        size: single.map(|file| file.size),
        url: single.map(|file| file.url.clone()),
        module_name: package.module.as_str().to_owned(),
        files: if package.is_list { files } else { Vec::new() },
        product_key: product.key.to_string(),
        product_name: product.name,
        sign_method: method.as_wire().to_owned(),
        src_version: package.delta_src().map(Version::to_string),
        status: package.status.as_wire(),
        kind: i32::from(package.is_delta),
        udi: unless_empty(package.udi),
        utc_create: utc(package.created_at),
        utc_modified: utc(package.modified_at),
        verify_progress: int(package.verify_percent.into()),
    };
    Ok(PackageReply { info })
}

async fn list(context: Context<'_>, request: ListPackages) -> app::Result<PackagePage> {
    let paging = Paging::check(request.current_page, request.page_size, 100)?;
    let listed = context
        .app
        .packages(context.caller, request.product_key, request.dest_version, paging.rows())
        .await?;
    let numbers = paging.of(listed.total);
    Ok(PackagePage {
        current_page: numbers.current,
        rows: listed.rows.into_iter().map(|(package, product)| row(package, product)).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(package: Package, product: Product) -> PackageRow {
    let single = package.files.first().filter(|_| !package.is_list);
    PackageRow {
        dest_version: package.dest.to_string(),
        firmware_id: package.id.to_string(),
        sign: single.map(|file| file.blob.digest(package.sign_method).to_owned()),
        size: single.map(|file| int(file.blob.size_bytes)),
        module_name: package.module.as_str().to_owned(),
        product_key: product.key.to_string(),
        product_name: product.name,
        sign_method: package.sign_method.as_wire().to_owned(),
        src_version: package.delta_src().map(Version::to_string).unwrap_or_default(),
        status: package.status.as_wire(),
        kind: i32::from(package.is_delta),
        utc_create: utc(package.created_at),
        utc_modified: utc(package.modified_at),
        description: unless_empty(package.description),
        name: package.name,
    }
}

async fn modify(context: Context<'_>, request: ModifyPackage) -> app::Result<()> {
    let ModifyPackage { firmware_id, product_key, description, name, udi } = request;
    if let Some(name) = name.as_deref().filter(|name| !is_package_name(name)) {
        return Err(refusal::MALFORMED_PACKAGE_NAME.with(name).into());
    }
    if description.as_ref().is_some_and(|text| text.chars().count() > 100) {
        return Err(refusal::LONG_MODIFIED_DESCRIPTION.into());
    }
    if udi.as_ref().is_some_and(|text| text.chars().count() > 4_096) {
        return Err(refusal::LONG_UDI.into());
    }
    let change = PackageChange { firmware_id, product_key, name, description, udi };
    context.app.update_package(context.caller, change).await
}

async fn delete(context: Context<'_>, request: DeletePackage) -> app::Result<()> {
    context.app.delete_package(context.caller, request.firmware_id).await
}
