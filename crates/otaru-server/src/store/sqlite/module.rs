//! Modules, and the versions of a device.

use super::super::{ModuleRows, ModuleView, Page, Result};
use super::row::Cols;
use super::tx::{Tx, skip};
use otaru_core::id::{DeviceNo, ProductNo};
use otaru_core::module::Module;
use otaru_core::version::{ModuleName, Version};
use rusqlite::params;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT name, alias, description, created_at, modified_at FROM module ", $rest)
    };
}

fn name(cols: &mut Cols<'_, '_>) -> rusqlite::Result<ModuleName> {
    cols.decoded(|text: &String| ModuleName::parse(text).ok())
}

fn read(cols: &mut Cols<'_, '_>) -> rusqlite::Result<Module> {
    Ok(Module {
        name: name(cols)?,
        alias: cols.take()?,
        description: cols.take()?,
        created_at: cols.time()?,
        modified_at: cols.time()?,
    })
}

impl ModuleView for Tx<'_> {
    fn module(&mut self, product: ProductNo, name: &ModuleName) -> Result<Option<Module>> {
        self.one(select!("WHERE product = ?1 AND key = ?2"), params![product.0, name.key()], read)
    }

    fn modules(&mut self, product: ProductNo) -> Result<Vec<Module>> {
        self.list(select!("WHERE product = ?1 ORDER BY key"), params![product.0], read)
    }

    fn module_has_packages(&mut self, product: ProductNo, name: &ModuleName) -> Result<bool> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM package INDEXED BY package_of_module
                 WHERE product = ?1 AND module_key = ?2 AND deleted_at IS NULL)",
            params![product.0, name.key()],
        )
    }

    fn versions_of_device(
        &mut self,
        product: ProductNo,
        device: DeviceNo,
        page: Page,
    ) -> Result<Vec<(ModuleName, Version)>> {
        self.list(
            "SELECT coalesce(module.name, spelling, device_version.module), version FROM device_version
             LEFT JOIN module ON module.product = ?2 AND module.key = device_version.module
             WHERE device = ?1 ORDER BY device_version.module LIMIT ?3 OFFSET ?4",
            params![device.0, product.0, page.take, skip(page)],
            |cols| Ok((name(cols)?, cols.version()?)),
        )
    }

    fn version_count(&mut self, device: DeviceNo) -> Result<u64> {
        self.count("SELECT count(*) FROM device_version WHERE device = ?1", params![device.0])
    }
}

impl ModuleRows for Tx<'_> {
    fn insert_module(&mut self, product: ProductNo, new: &Module) -> Result<()> {
        let Module { name, alias, description, created_at, modified_at } = new;
        self.run(
            "INSERT INTO module (product, key, name, alias, description, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                product.0,
                name.key(),
                name.as_str(),
                alias,
                description,
                created_at.0,
                modified_at.0
            ],
        )?;
        Ok(())
    }

    fn update_module(&mut self, product: ProductNo, module: &Module) -> Result<()> {
        let Module { name, alias, description, created_at: _, modified_at } = module;
        self.run_one(
            "UPDATE module SET alias = ?3, description = ?4, modified_at = ?5 WHERE product = ?1 AND key = ?2",
            params![product.0, name.key(), alias, description, modified_at.0],
        )
    }

    fn delete_module(&mut self, product: ProductNo, name: &ModuleName) -> Result<()> {
        self.run_one(
            "DELETE FROM module WHERE product = ?1 AND key = ?2",
            params![product.0, name.key()],
        )
    }
}
