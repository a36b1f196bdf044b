//! Operations on the tasks of a job.

use otaru_core::refusal::{self, Refusal};
use otaru_core::task::TaskStatus;

use super::op::{Context, Op, op};
use super::request::request;
use super::tree::reply;
use super::wire::{Paging, int, utc};
use crate::app::{self, CancelFlags, TaskFilter, TaskView};

pub(super) const OPS: &[Op] = &[
    op!("ListOTATaskByJob", Ota, 10, list: ListTasks => TaskPage, LIST_TASKS_FAILED),
    op!("CancelOTATaskByJob", Ota, 5, cancel: CancelTasks => (), CANCEL_TASKS_FAILED),
];

request! {
    pub struct ListTasks {
        job_id: String = "JobId",
        current_page: Option<i32> = "CurrentPage",
        device_names: Vec<String> = "DeviceNames",
        page_size: Option<i32> = "PageSize",
        task_status: Option<String> = "TaskStatus",
    }

    pub struct CancelTasks {
        job_id: String = "JobId",
        in_progress: Option<bool> = "CancelInProgressTask",
        notified: Option<bool> = "CancelNotifiedTask",
        queued: Option<bool> = "CancelQueuedTask",
        scheduled: Option<bool> = "CancelScheduledTask",
        unconfirmed: Option<bool> = "CancelUnconfirmedTask",
    }
}

reply! {
    pub struct TaskPage {
        current_page: i32 = "CurrentPage",
        rows: Vec<TaskRow> = "Data" listing "SimpleOTATaskInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct TaskRow {
        dest_version: String = "DestVersion",
        device_name: String = "DeviceName",
        firmware_id: String = "FirmwareId",
        iot_id: String = "IotId",
        job_id: String = "JobId",
        product_key: String = "ProductKey",
        product_name: String = "ProductName",
        progress: String = "Progress",
        /// This one, the description and the timeout are sent empty when there is nothing to say, not left out.
        src_version: String = "SrcVersion",
        task_desc: String = "TaskDesc",
        task_id: String = "TaskId",
        task_status: String = "TaskStatus",
        timeout: String = "Timeout",
        utc_create: String = "UtcCreate",
        utc_modified: String = "UtcModified",
    }
}

/// Rows that can be reached by pages.
const ROWS_MAX: u64 = 100_000;

const DEVICE_NAMES_MAX: usize = 50;

async fn list(context: Context<'_>, request: ListTasks) -> app::Result<TaskPage> {
    let paging = paging(&request)?;
    if request.device_names.len() > DEVICE_NAMES_MAX {
        let detail = format!("{} names, at most {DEVICE_NAMES_MAX}", request.device_names.len());
        return Err(refusal::LIST_TOO_LONG.with(detail).into());
    }
    let status = request.task_status.as_deref().map(|text| {
        TaskStatus::from_wire(text).ok_or_else(|| refusal::INVALID_TASK_STATUS.with(text))
    });
    let filter = match paging {
        Some(paging) => TaskFilter::Page(paging.rows()),
        None => TaskFilter::Devices(request.device_names),
    };
    let listed =
        context.app.tasks(context.caller, request.job_id, status.transpose()?, filter).await?;
    // Tasks of named devices are one page, however many there are.
    let numbers = paging.map(|paging| paging.of(listed.total));
    Ok(TaskPage {
        current_page: numbers.map_or(1, |numbers| numbers.current),
        rows: listed.rows.into_iter().map(row).collect(),
        page_count: numbers.map_or(int(listed.total.min(1)), |numbers| numbers.count),
        page_size: numbers.map_or(int(listed.total), |numbers| numbers.size),
        total: int(listed.total),
    })
}

/// The page asked for; `None` when the tasks of named devices are.
fn paging(request: &ListTasks) -> Result<Option<Paging>, Refusal> {
    if !request.device_names.is_empty() {
        return Ok(None);
    }
    let (Some(current), Some(size)) = (request.current_page, request.page_size) else {
        return Err(refusal::INVALID_PAGE.with("DeviceNames, or CurrentPage and PageSize"));
    };
    let paging = Paging::check(current, size, 100)?;
    if paging.last_row() > ROWS_MAX {
        return Err(refusal::INVALID_PAGE.with(format!("at most {ROWS_MAX} rows")));
    }
    Ok(Some(paging))
}

fn row(view: TaskView) -> TaskRow {
    let TaskView { task, device, package, product, job } = view;
    TaskRow {
        dest_version: package.dest.to_string(),
        device_name: device.name.to_string(),
        firmware_id: package.id.to_string(),
        iot_id: device.iot_id.to_string(),
        job_id: job.id.to_string(),
        product_key: product.key.to_string(),
        product_name: product.name,
        progress: format!("{}.00", task.progress),
        src_version: task.src.map(|version| version.to_string()).unwrap_or_default(),
        task_desc: task.description,
        task_id: task.id.to_string(),
        task_status: task.status.as_wire().to_owned(),
        timeout: task.timeout_minutes.map(|minutes| minutes.to_string()).unwrap_or_default(),
        utc_create: utc(task.created_at),
        utc_modified: utc(task.modified_at),
    }
}

async fn cancel(context: Context<'_>, request: CancelTasks) -> app::Result<()> {
    let flags = CancelFlags {
        scheduled: request.scheduled.unwrap_or(false),
        queued: request.queued.unwrap_or(false),
        notified: request.notified.unwrap_or(false),
        in_progress: request.in_progress.unwrap_or(false),
        unconfirmed: request.unconfirmed,
    };
    if !flags.any() {
        return Err(refusal::NO_CANCEL_OPTION.into());
    }
    context.app.cancel_tasks(context.caller, request.job_id, flags).await
}
