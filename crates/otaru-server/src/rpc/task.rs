//! Operations on the tasks of a job.

use super::op::{Op, op};
use super::request::request;
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("ListOTATaskByJob", Ota, 10, ListTasks => TaskPage),
    op!("CancelOTATaskByJob", Ota, 5, CancelTasks => ()),
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
        current_page: Option<i32> = "CurrentPage",
        rows: Vec<TaskRow> = "Data" listing "SimpleOTATaskInfo",
        page_count: Option<i32> = "PageCount",
        page_size: Option<i32> = "PageSize",
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
