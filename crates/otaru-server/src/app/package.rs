//! Packages.

use super::upload::is_usable;
use super::{App, Caller, Result, lookup};
use crate::store::{Listed, PackageFilter, Page, Rows, Upload, UploadKind, View};
use otaru_core::id::{FirmwareId, PackageNo};
use otaru_core::package::{Blob, Package, PackageFile, PackageStatus, SignMethod};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::time::{DAY_MS, Timestamp};
use otaru_core::version::{ModuleName, Version};

/// A file as its caller claims it to be.
#[derive(Debug, Clone, Default)]
pub struct NewFile {
    pub name: String,
    /// Checked to be a URL.
    pub url: String,
    pub size: Option<i64>,
    pub sign: Option<String>,
    pub md5: Option<String>,
}

/// A package to make; what needs no look-up is checked.
#[derive(Debug, Clone)]
pub struct NewPackage {
    pub product_key: Option<String>,
    pub name: String,
    pub description: String,
    pub dest: Version,
    pub src: Option<Version>,
    pub is_delta: bool,
    pub module: ModuleName,
    pub sign_method: SignMethod,
    pub is_list: bool,
    pub files: Vec<NewFile>,
    pub udi: String,
    pub need_to_verify: bool,
}

/// A package with its product, and a fresh URL for each file.
#[derive(Debug, Clone)]
pub struct PackageView {
    pub package: Package,
    pub product: Product,
    pub urls: Vec<String>,
}

impl App {
    pub async fn create_package(
        &self,
        caller: Caller,
        new: NewPackage,
    ) -> Result<(FirmwareId, Timestamp)> {
        let packages_max = self.limits.packages_max;
        let urls = self.urls.clone();
        self.change(move |rows, now, _| {
            let new = new.clone();
            let product_key = new.product_key.as_deref().ok_or(refusal::NULL_PRODUCT_KEY)?;
            let product = lookup::product(rows, caller, product_key)?;
            let module = rows.module(product.no, &new.module)?;
            let module = module.ok_or_else(|| refusal::NO_MODULE.with(&new.module))?.name;
            let mut uploads = Vec::with_capacity(new.files.len());
            for file in &new.files {
                let key = urls
                    .key_of(&file.url)
                    .map_err(|_| refusal::MALFORMED_PACKAGE_URL.with(&file.url))?;
                uploads.push(usable_upload(
                    rows,
                    caller,
                    UploadKind::Package,
                    &file.url,
                    key,
                    now,
                )?);
            }
            let blobs: Vec<&Blob> =
                uploads.iter().map(|u| &u.stored.as_ref().expect("it is usable").blob).collect();
            check_claims(&new, &blobs)?;
            if rows.package_name_exists(caller.account, &new.name)? {
                return Err(refusal::PACKAGE_NAME_TAKEN.with(&new.name).into());
            }
            let delta_src = new.src.as_ref().filter(|_| new.is_delta);
            if rows.package_version_exists(
                product.no,
                &module,
                new.is_delta,
                delta_src,
                &new.dest,
            )? {
                return Err(refusal::PACKAGE_VERSION_TAKEN.with(&new.dest).into());
            }
            if rows.package_count(caller.account)? >= packages_max {
                return Err(refusal::TOO_MANY_PACKAGES.with(packages_max).into());
            }
            let files = new.files.iter().zip(&uploads).zip(&blobs).map(|((file, upload), blob)| {
                PackageFile {
                    name: file.name.clone(),
                    upload_key: upload.key.clone(),
                    blob: (*blob).clone(),
                }
            });
            let package = Package {
                no: PackageNo(0),
                account: caller.account,
                product: product.no,
                id: FirmwareId::generate(rows.random()),
                name: new.name,
                description: new.description,
                dest: new.dest,
                src: new.src,
                is_delta: new.is_delta,
                module,
                sign_method: new.sign_method,
                is_list: new.is_list,
                files: files.collect(),
                udi: new.udi,
                status: if new.need_to_verify {
                    PackageStatus::Unverified
                } else {
                    PackageStatus::NoVerify
                },
                verify_percent: 0,
                created_at: now,
                modified_at: now,
            };
            rows.insert_package(&package)?;
            for upload in uploads {
                rows.update_upload(&Upload { used: true, ..upload })?;
            }
            Ok((package.id, now))
        })
        .await
    }

    pub async fn package(&self, caller: Caller, id: String) -> Result<PackageView> {
        let urls = self.urls.clone();
        let now = self.clock.now().wall;
        self.view(move |view| {
            let package = lookup::package(view, caller, &id)?;
            let product = view.product(package.product)?.expect("a package has a product");
            let urls = package.files.iter().map(|file| file_url(&urls, file, now)).collect();
            Ok(PackageView { package: (*package).clone(), product: (*product).clone(), urls })
        })
        .await
    }

    pub async fn packages(
        &self,
        caller: Caller,
        product_key: Option<String>,
        dest: Option<String>,
        page: Page,
    ) -> Result<Listed<(Package, Product)>> {
        self.view(move |view| {
            let product = match &product_key {
                Some(key) => Some(lookup::product(view, caller, key)?.no),
                None => None,
            };
            let dest = match &dest {
                Some(text) => match Version::parse(text) {
                    Ok(version) => Some(version),
                    // No package can have it.
                    Err(_) => return Ok(Listed { rows: Vec::new(), total: 0 }),
                },
                None => None,
            };
            let filter = PackageFilter {
                account: caller.account,
                instance: caller.instance,
                listed_for: lookup::listed_for(view, caller)?,
                product,
                dest,
            };
            let listed = view.packages(&filter, page)?;
            let mut rows = Vec::with_capacity(listed.rows.len());
            for package in listed.rows {
                let product = view.product(package.product)?.expect("a package has a product");
                rows.push(((*package).clone(), (*product).clone()));
            }
            Ok(Listed { rows, total: listed.total })
        })
        .await
    }

    pub async fn delete_package(&self, caller: Caller, id: String) -> Result<()> {
        self.change(move |rows, now, _| {
            let package = lookup::package(rows, caller, &id)?;
            if rows.package_is_busy(package.no)? {
                return Err(refusal::DELETE_PACKAGE_FAILED
                    .with("a job of it is not finished")
                    .into());
            }
            Ok(rows.delete_package(package.no, now)?)
        })
        .await
    }
}

/// A URL of a package file that is good for a day.
pub(super) fn file_url(urls: &crate::files::Urls, file: &PackageFile, now: Timestamp) -> String {
    let suffix = file
        .upload_key
        .rsplit('/')
        .next()
        .and_then(|name| name.split_once('.'))
        .map_or("bin", |(_, s)| s);
    urls.download(&file.blob.sha256, suffix, now.plus_ms(DAY_MS))
}

/// The upload behind a URL that a caller names.
pub(super) fn usable_upload(
    view: &mut (impl View + ?Sized),
    caller: Caller,
    kind: UploadKind,
    url: &str,
    key: Option<String>,
    now: Timestamp,
) -> Result<Upload> {
    let upload = match key {
        Some(key) => view.upload(&key)?,
        None => None,
    };
    let ours =
        upload.filter(|u| u.account == caller.account && u.kind == kind && is_usable(u, now));
    Ok(ours.ok_or_else(|| refusal::INVALID_PACKAGE_URL.with(url))?)
}

fn check_claims(new: &NewPackage, blobs: &[&Blob]) -> Result<()> {
    if let Some(at) = blobs.iter().position(|blob| blob.size_bytes == 0) {
        return Err(refusal::EMPTY_PACKAGE_FILE.with(&new.files[at].url).into());
    }
    for (file, blob) in new.files.iter().zip(blobs) {
        if let Some(size) = file.size
            && u64::try_from(size) != Ok(blob.size_bytes)
        {
            return Err(refusal::INVALID_PACKAGE_SIZE
                .with(format!("{size}, the file has {}", blob.size_bytes))
                .into());
        }
    }
    for (file, blob) in new.files.iter().zip(blobs) {
        let claims = [(&file.sign, blob.digest(new.sign_method)), (&file.md5, blob.md5.as_str())];
        for (claimed, real) in claims {
            if let Some(claimed) = claimed
                && !claimed.eq_ignore_ascii_case(real)
            {
                return Err(refusal::INVALID_PACKAGE_SIGN.with(claimed).into());
            }
        }
    }
    Ok(())
}

/// Puts a package into or out of verification because a task of its verification was started.
pub(super) fn verify_started(rows: &mut dyn Rows, package: &Package, now: Timestamp) -> Result<()> {
    if let Some(status) = package.status.next(otaru_core::package::PackageEvent::VerifyStarted) {
        rows.set_package_status(package.no, status, 0, now)?;
    }
    Ok(())
}
