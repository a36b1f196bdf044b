//! Operations on tasks that callers name by their ids or by their devices.

use std::collections::BTreeSet;

use otaru_core::id::{DeviceName, IdError, IotId, ProductKey};
use otaru_core::job::StatusSet;
use otaru_core::refusal::{self, Code, Refusal};
use otaru_core::task::TaskStatus;
use otaru_core::version::ModuleName;

use super::job::check_names;
use super::op::{Context, Op, op};
use super::params::Params;
use super::request::{OneOrMore, request};
use super::tree::reply;
use super::wire::utc;
use crate::app::{self, DeviceKey, DevicesOfPackage, TaskView, Unfinished};

pub(super) const OPS: &[Op] = &[
    op!("CancelOTATaskByDevice", Ota, 10, cancel: CancelTasks => (), CANCEL_BY_DEVICE_FAILED),
    op!("ConfirmOTATask", Ota, 20 only "POST", confirm: ConfirmTasks => (), SYSTEM_EXCEPTION),
    op!(
        "ListOTAUnfinishedTaskByDevice", Ota, 10,
        unfinished: ListUnfinished => UnfinishedTasks, LIST_TASKS_OF_DEVICE_FAILED
    ),
    op!("ReupgradeOTATask", Ota, 20 only "POST", reupgrade: ReupgradeTasks => (), SYSTEM_EXCEPTION),
];

request! {
    pub struct CancelTasks {
        device_names: OneOrMore = "DeviceName",
        firmware_id: String = "FirmwareId",
        product_key: String = "ProductKey",
        job_id: Option<String> = "JobId",
    }

    pub struct ConfirmTasks {
        task_ids: OneOrMore = "TaskId",
    }

    pub struct ListUnfinished {
        device_name: Option<String> = "DeviceName",
        iot_id: Option<String> = "IotId",
        module_name: Option<String> = "ModuleName",
        product_key: Option<String> = "ProductKey",
        task_status: Option<String> = "TaskStatus",
        task_statuses: Vec<String> = "TaskStatusList",
    }

    pub struct ReupgradeTasks {
        job_id: String = "JobId",
        task_ids: OneOrMore = "TaskId",
    }
}

reply! {
    pub struct UnfinishedTasks {
        rows: Vec<UnfinishedTask> = "Data" listing "SimpleOTATaskInfo",
    }

    pub struct UnfinishedTask {
        dest_version: String = "DestVersion",
        device_name: String = "DeviceName",
        firmware_id: String = "FirmwareId",
        iot_id: String = "IotId",
        job_id: String = "JobId",
        module_name: String = "ModuleName",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        /// Sent empty when the device had never reported, not left out.
        src_version: String = "SrcVersion",
        task_id: String = "TaskId",
        task_status: String = "TaskStatus",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
    }
}

const DEVICE_NAMES_MAX: usize = 200;
const TASKS_MAX: usize = 10;

async fn cancel(context: Context<'_>, request: CancelTasks) -> app::Result<()> {
    check_names(&request.device_names, DEVICE_NAMES_MAX)?;
    let wanted = DevicesOfPackage {
        firmware_id: request.firmware_id,
        product_key: request.product_key,
        job_id: request.job_id,
        names: request.device_names.to_vec(),
    };
    context.app.cancel_tasks_of_devices(context.caller, wanted).await
}

async fn confirm(context: Context<'_>, request: ConfirmTasks) -> app::Result<()> {
    let ids = task_ids(&request.task_ids, refusal::LIST_TOO_LONG)?;
    context.app.confirm_tasks(context.caller, ids).await
}

async fn reupgrade(context: Context<'_>, request: ReupgradeTasks) -> app::Result<()> {
    let ids = task_ids(&request.task_ids, refusal::TOO_MANY_TASKS)?;
    context.app.reupgrade_tasks(context.caller, request.job_id, ids).await
}

/// At most ten ids; one that is named twice counts once.
fn task_ids(ids: &[String], too_many: Code) -> Result<Vec<String>, Refusal> {
    let mut seen = BTreeSet::new();
    let ids: Vec<_> = ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
    if ids.len() > TASKS_MAX {
        return Err(too_many.with(format!("{} tasks, at most {TASKS_MAX}", ids.len())));
    }
    Ok(ids)
}

async fn unfinished(context: Context<'_>, request: ListUnfinished) -> app::Result<UnfinishedTasks> {
    let wanted = wanted(request, context.params)?;
    let tasks = context.app.unfinished_tasks(context.caller, wanted).await?;
    Ok(UnfinishedTasks { rows: tasks.into_iter().map(row).collect() })
}

/// Checks the values of a request in the order of its refusals, which differ from those of other operations.
fn wanted(request: ListUnfinished, params: &Params) -> Result<Unfinished, Refusal> {
    let ListUnfinished { device_name, iot_id, module_name, product_key, .. } = &request;
    if iot_id.is_none() {
        match (product_key, device_name) {
            (_, None) => return Err(refusal::NO_DEVICE_PARAMETERS.into()),
            (None, Some(_)) => return Err(refusal::NULL_PRODUCT_KEY.into()),
            (Some(key), Some(name)) => {
                key.parse::<ProductKey>()
                    .map_err(|_: IdError| refusal::MALFORMED_PRODUCT_KEY.with(key))?;
                name.parse::<DeviceName>()
                    .map_err(|_: IdError| refusal::MALFORMED_DEVICE_NAMES.with(name))?;
            }
        }
    }
    if let Some(id) = iot_id {
        id.parse::<IotId>().map_err(|_: IdError| refusal::INVALID_IOT_ID.with(id))?;
    }
    if module_name.is_none() && params.all().any(|(name, _)| name == "ModuleName") {
        return Err(refusal::NULL_MODULE_NAME.into());
    }
    let module = module_name.as_deref().map(|text| {
        ModuleName::parse(text).map_err(|_: IdError| refusal::INVALID_MODULE_NAME.with(text))
    });
    let module = module.transpose()?;
    let statuses = statuses(request.task_status.as_deref(), &request.task_statuses)?;
    let ListUnfinished { device_name, iot_id, product_key, .. } = request;
    Ok(Unfinished { key: DeviceKey { iot_id, product_key, device_name }, module, statuses })
}

fn statuses(one: Option<&str>, several: &[String]) -> Result<StatusSet, Refusal> {
    let texts = one.into_iter().chain(several.iter().map(String::as_str));
    let mut statuses = Vec::new();
    for text in texts {
        let status = TaskStatus::from_wire(text).filter(|status| status.is_unfinished());
        statuses.push(status.ok_or_else(|| refusal::INVALID_TASK_STATUS.with(text))?);
    }
    if one.is_some() && !several.is_empty() {
        return Err(refusal::INVALID_TASK_STATUS.with("TaskStatus excludes TaskStatusList"));
    }
    if several.len() > 4 {
        let detail = format!("{} in TaskStatusList, at most 4", several.len());
        return Err(refusal::INVALID_TASK_STATUS.with(detail));
    }
    Ok(if statuses.is_empty() { StatusSet::UNFINISHED } else { StatusSet::of(&statuses) })
}

fn row(view: TaskView) -> UnfinishedTask {
    let TaskView { task, device, package, product, job } = view;
    UnfinishedTask {
        dest_version: package.dest.to_string(),
        device_name: device.name.to_string(),
        firmware_id: package.id.to_string(),
        iot_id: device.iot_id.to_string(),
        job_id: job.id.to_string(),
        module_name: package.module.to_string(),
        product_key: product.key.to_string(),
        product_name: product.name,
        src_version: task.src.map(|version| version.to_string()).unwrap_or_default(),
        task_id: task.id.to_string(),
        task_status: task.status.as_wire().to_owned(),
        utc_create: utc(task.created_at),
        utc_modified: utc(task.modified_at),
    }
}
