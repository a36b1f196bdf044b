//! Operations on modules, and on the versions that devices report of them.

use otaru_core::module::{Module, check_name, is_alias, is_description};
use otaru_core::refusal::{self, Code, Refusal};

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, minute, unless_empty};
use crate::app::{self, DeviceKey, DeviceVersions, ModuleChange, NewModule};

pub(super) const OPS: &[Op] = &[
    op!("CreateOTAModule", Ota, 10 only "POST", create: CreateModule => (), CREATE_MODULE_FAILED),
    op!("UpdateOTAModule", Ota, 10 only "POST", update: UpdateModule => (), UPDATE_MODULE_FAILED),
    op!("DeleteOTAModule", Ota, 10 only "POST", delete: DeleteModule => (), DELETE_MODULE_FAILED),
    op!("ListOTAModuleByProduct", Ota, 10 only "GET", list: ListModules => ModuleList, LIST_MODULES_FAILED),
    op!("ListOTAModuleVersionsByDevice", Ota, 10, versions: ListVersions => VersionPage, SYSTEM_EXCEPTION),
];

request! {
    pub struct CreateModule {
        name: String = "ModuleName",
        product_key: String = "ProductKey",
        alias: Option<String> = "AliasName",
        description: Option<String> = "Desc",
    }

    pub struct UpdateModule {
        name: String = "ModuleName",
        product_key: String = "ProductKey",
        alias: Option<String> = "AliasName",
        description: Option<String> = "Desc",
    }

    pub struct DeleteModule {
        name: String = "ModuleName",
        product_key: String = "ProductKey",
    }

    pub struct ListModules {
        product_key: String = "ProductKey",
    }

    pub struct ListVersions {
        current_page: i32 = "CurrentPage",
        page_size: i32 = "PageSize",
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        product_key: Option<String> = "ProductKey",
    }
}

reply! {
    pub struct ModuleList {
        data: Vec<ModuleRow> = "Data" bare,
    }

    pub struct ModuleRow {
        alias: Option<String> = "AliasName",
        description: Option<String> = "Desc",
        gmt_create: String = "GmtCreate",
        gmt_modified: String = "GmtModified",
        name: String = "ModuleName",
        product_key: String = "ProductKey",
    }

    pub struct VersionPage {
        current_page: i32 = "CurrentPage",
        rows: Vec<VersionRow> = "Data" listing "SimpleOTAModuleInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct VersionRow {
        device_name: String = "DeviceName",
        iot_id: String = "IotId",
        module_name: String = "ModuleName",
        module_version: String = "ModuleVersion",
        product_key: String = "ProductKey",
    }
}

async fn create(context: Context<'_>, request: CreateModule) -> app::Result<()> {
    let CreateModule { name, product_key, alias, description } = request;
    let name = check_name(&name)?;
    check_texts(alias.as_deref(), description.as_deref(), refusal::CREATE_MODULE_PARAMETER)?;
    let (alias, description) = (alias.unwrap_or_default(), description.unwrap_or_default());
    let new = NewModule { product_key, name, alias, description };
    context.app.create_module(context.caller, new).await
}

fn check_texts(alias: Option<&str>, description: Option<&str>, code: Code) -> Result<(), Refusal> {
    if let Some(alias) = alias.filter(|alias| !is_alias(alias)) {
        return Err(code.with(format!("AliasName {alias}")));
    }
    if description.is_some_and(|text| !is_description(text)) {
        return Err(code.with("Desc is longer than 100"));
    }
    Ok(())
}

async fn update(context: Context<'_>, request: UpdateModule) -> app::Result<()> {
    let UpdateModule { name, product_key, alias, description } = request;
    check_texts(alias.as_deref(), description.as_deref(), refusal::UPDATE_MODULE_PARAMETER)?;
    let change = ModuleChange { product_key, name, alias, description };
    context.app.update_module(context.caller, change).await
}

async fn delete(context: Context<'_>, request: DeleteModule) -> app::Result<()> {
    context.app.delete_module(context.caller, request.product_key, request.name).await
}

async fn list(context: Context<'_>, request: ListModules) -> app::Result<ModuleList> {
    let (product, modules) = context.app.modules(context.caller, request.product_key).await?;
    let row = |module: Module| ModuleRow {
        alias: unless_empty(module.alias),
        description: unless_empty(module.description),
        gmt_create: minute(module.created_at),
        gmt_modified: minute(module.modified_at),
        name: module.name.to_string(),
        product_key: product.key.to_string(),
    };
    Ok(ModuleList { data: modules.into_iter().map(row).collect() })
}

async fn versions(context: Context<'_>, request: ListVersions) -> app::Result<VersionPage> {
    let paging = Paging::check(request.current_page, request.page_size, 200)?;
    let ListVersions { device_name, iot_id, product_key, .. } = request;
    let key = DeviceKey { iot_id, product_key, device_name };
    let DeviceVersions { product, device, versions } =
        context.app.module_versions(context.caller, key, paging.rows()).await?;
    let numbers = paging.of(versions.total);
    let rows = versions.rows.into_iter().map(|(name, version)| VersionRow {
        device_name: device.name.to_string(),
        iot_id: device.iot_id.to_string(),
        module_name: name.to_string(),
        module_version: version.to_string(),
        product_key: product.key.to_string(),
    });
    Ok(VersionPage {
        current_page: numbers.current,
        rows: rows.collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    })
}
