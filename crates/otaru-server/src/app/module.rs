//! Modules of products, and the versions that devices report of them.

use super::{App, Caller, DeviceKey, Result, lookup};
use crate::store::{Listed, Page};
use otaru_core::device::Device;
use otaru_core::module::{CUSTOM_MAX, Module};
use otaru_core::product::Product;
use otaru_core::refusal;
use otaru_core::version::{ModuleName, Version};

/// A module to make; name, alias and description are checked.
#[derive(Debug, Clone)]
pub struct NewModule {
    pub product_key: String,
    pub name: ModuleName,
    pub alias: String,
    pub description: String,
}

/// A change of a module; alias and description are checked, `None` leaves one as it is.
#[derive(Debug, Clone)]
pub struct ModuleChange {
    pub product_key: String,
    pub name: String,
    pub alias: Option<String>,
    pub description: Option<String>,
}

/// What a device has reported, a page of it.
#[derive(Debug, Clone)]
pub struct DeviceVersions {
    pub product: Product,
    pub device: Device,
    pub versions: Listed<(ModuleName, Version)>,
}

impl App {
    pub async fn create_module(&self, caller: Caller, new: NewModule) -> Result<()> {
        self.change(move |rows, now, _| {
            let product = lookup::product(rows, caller, &new.product_key)?;
            let modules = rows.modules(product.no)?;
            if let Some(taken) = modules.iter().find(|module| module.name == new.name) {
                return Err(refusal::MODULE_NAME_TAKEN.with(&taken.name).into());
            }
            let custom = modules.iter().filter(|module| !module.name.is_default());
            if custom.count() >= CUSTOM_MAX {
                return Err(refusal::TOO_MANY_MODULES.with(CUSTOM_MAX).into());
            }
            let NewModule { product_key: _, name, alias, description } = new.clone();
            let module = Module { name, alias, description, created_at: now, modified_at: now };
            Ok(rows.insert_module(product.no, &module)?)
        })
        .await
    }

    pub async fn update_module(&self, caller: Caller, change: ModuleChange) -> Result<()> {
        self.change(move |rows, now, _| {
            let product = lookup::product(rows, caller, &change.product_key)?;
            let module = lookup::module(rows, &product, &change.name)?;
            let ModuleChange { alias, description, .. } = change.clone();
            let changed = Module {
                alias: alias.unwrap_or_else(|| module.alias.clone()),
                description: description.unwrap_or_else(|| module.description.clone()),
                modified_at: now,
                ..module
            };
            Ok(rows.update_module(product.no, &changed)?)
        })
        .await
    }

    pub async fn delete_module(
        &self,
        caller: Caller,
        product_key: String,
        name: String,
    ) -> Result<()> {
        self.change(move |rows, _, _| {
            let product = lookup::product(rows, caller, &product_key)?;
            let module = lookup::module(rows, &product, &name)?.name;
            if module.is_default() {
                return Err(refusal::DELETE_DEFAULT_MODULE.into());
            }
            if rows.module_has_packages(product.no, &module)? {
                return Err(refusal::MODULE_HAS_PACKAGES.with(&module).into());
            }
            Ok(rows.delete_module(product.no, &module)?)
        })
        .await
    }

    /// Modules of a product: `default`, then by name whatever the case.
    pub async fn modules(
        &self,
        caller: Caller,
        product_key: String,
    ) -> Result<(Product, Vec<Module>)> {
        self.view(move |view| {
            let product = lookup::product(view, caller, &product_key)?;
            let mut modules = view.modules(product.no)?;
            modules.sort_by_key(|module| !module.name.is_default());
            Ok(((*product).clone(), modules))
        })
        .await
    }

    /// Versions that a device has reported, by name of the module.
    pub async fn module_versions(
        &self,
        caller: Caller,
        key: DeviceKey,
        page: Page,
    ) -> Result<DeviceVersions> {
        self.view(move |view| {
            let (product, device) = lookup::device_by_key(view, caller, &key)?;
            let rows = view.versions_of_device(product.no, device.no, page)?;
            let total = view.version_count(device.no)?;
            let product = (*product).clone();
            Ok(DeviceVersions { product, device, versions: Listed { rows, total } })
        })
        .await
    }
}
