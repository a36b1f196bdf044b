//! Operations on files of devices, and the upload door for device jobs.

use otaru_core::file::DeviceFile;
use otaru_core::refusal;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::upload::OBJECT_STORAGE;
use super::wire::{Paging, utc};
use crate::app::{self, DeviceKey};
use crate::files::UploadForm;
use crate::store::UploadKind;

pub(super) const OPS: &[Op] = &[
    op!("QueryDeviceFileList", DeviceFile, 500, list: QueryDeviceFileList => FileList, SYSTEM_EXCEPTION),
    op!("QueryDeviceFile", DeviceFile, 500, one: QueryDeviceFile => OneFile, SYSTEM_EXCEPTION),
    op!("DeleteDeviceFile", DeviceFile, 500, delete: DeleteDeviceFile => (), SYSTEM_EXCEPTION),
    op!("GenerateFileUploadURL", DeviceFile, 5, upload: GenerateFileUrl => FileUrl, SYSTEM_EXCEPTION),
];

const BIZ_CODE: &str = "DEVICE_JOB_FILE";
const SUFFIXES: &[&str] = &["bin", "apk", "tar", "gz", "tar.gz", "zip", "gzip"];
/// Characters of a file's name.
const NAME_MAX: usize = 64;

request! {
    pub struct QueryDeviceFileList {
        current_page: Option<i32> = "CurrentPage",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        page_size: Option<i32> = "PageSize",
        product_key: Option<String> = "ProductKey",
    }

    pub struct QueryDeviceFile {
        file_id: String = "FileId",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct DeleteDeviceFile {
        file_id: String = "FileId",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }

    pub struct GenerateFileUrl {
        biz_code: String = "BizCode",
        file_suffix: String = "FileSuffix",
        file_name: Option<String> = "FileName",
    }
}

reply! {
    pub struct FileList {
        current_page: i32 = "CurrentPage",
        rows: Vec<FileRow> = "Data" listing "FileSummary",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct FileRow {
        file_id: String = "FileId",
        name: String = "Name",
        /// Bytes, in digits.
        size: String = "Size",
        utc_created_on: String = "UtcCreatedOn",
    }

    pub struct OneFile {
        data: OneFileData = "Data",
    }

    pub struct OneFileData {
        download_url: String = "DownloadUrl",
        file_id: String = "FileId",
        name: String = "Name",
        size: String = "Size",
        utc_created_on: String = "UtcCreatedOn",
    }

    pub struct FileUrl {
        data: FileUrlData = "Data",
    }

    pub struct FileUrlData {
        host: String = "Host",
        key: String = "Key",
        object_storage: String = "ObjectStorage",
        /// The third spelling of this name on the wire.
        access_key_id: String = "OssAccessKeyId",
        policy: String = "Policy",
        signature: String = "Signature",
    }
}

async fn list(context: Context<'_>, request: QueryDeviceFileList) -> app::Result<FileList> {
    let QueryDeviceFileList { current_page, device_name, iot_id, page_size, product_key } = request;
    let paging = Paging::check(current_page.unwrap_or(1), page_size.unwrap_or(10), 200)?;
    let key = DeviceKey { iot_id, product_key, device_name };
    let files = context.app.device_files(context.caller, key, paging.rows()).await?;
    let numbers = paging.of(files.total);
    Ok(FileList {
        current_page: numbers.current,
        rows: files.rows.into_iter().map(row).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}

fn row(file: DeviceFile) -> FileRow {
    let DeviceFile { id, device: _, name, blob, created_at } = file;
    FileRow {
        file_id: id.to_string(),
        name,
        size: blob.size_bytes.to_string(),
        utc_created_on: utc(created_at),
    }
}

async fn one(context: Context<'_>, request: QueryDeviceFile) -> app::Result<OneFile> {
    let QueryDeviceFile { file_id, device_name, iot_id, product_key } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    let (file, download_url) = context.app.device_file(context.caller, key, file_id).await?;
    let FileRow { file_id, name, size, utc_created_on } = row(file);
    Ok(OneFile { data: OneFileData { download_url, file_id, name, size, utc_created_on } })
}

async fn delete(context: Context<'_>, request: DeleteDeviceFile) -> app::Result<()> {
    let DeleteDeviceFile { file_id, device_name, iot_id, product_key } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    context.app.delete_device_file(context.caller, key, file_id).await
}

async fn upload(context: Context<'_>, request: GenerateFileUrl) -> app::Result<FileUrl> {
    let GenerateFileUrl { biz_code, file_suffix, file_name } = request;
    if biz_code != BIZ_CODE {
        return Err(refusal::INVALID_PARAMETER.with(biz_code).into());
    }
    if !SUFFIXES.contains(&file_suffix.as_str()) {
        return Err(refusal::INVALID_PARAMETER.with(file_suffix).into());
    }
    if let Some(name) = file_name.filter(|name| name.chars().count() > NAME_MAX) {
        return Err(refusal::INVALID_PARAMETER.with(name).into());
    }
    let slot = context.app.issue_upload(context.caller, UploadKind::DeviceJob, file_suffix).await?;
    let UploadForm { host, key, access_key_id, policy, signature } = slot.form;
    let object_storage = OBJECT_STORAGE.to_owned();
    Ok(FileUrl {
        data: FileUrlData { host, key, object_storage, access_key_id, policy, signature },
    })
}
