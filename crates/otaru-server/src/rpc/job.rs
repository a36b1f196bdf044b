//! Operations on jobs.

use super::op::{Op, op};
use super::request::{OneOrMore, request};
use super::tree::reply;

pub(super) const OPS: &[Op] = &[
    op!("CreateOTAVerifyJob", Ota, 10, CreateVerifyJob => CreatedJob),
    op!("CreateOTAStaticUpgradeJob", Ota, 20, CreateStaticJob => CreatedJob),
    op!("CreateOTADynamicUpgradeJob", Ota, 20, CreateDynamicJob => CreatedJob),
    op!("QueryOTAJob", Ota, 10, QueryJob => JobReply),
    op!("ListOTAJobByFirmware", Ota, 10, ListJobsOfPackage => JobPage),
    op!("ListOTAJobByDevice", Ota, 10, ListJobsOfDevice => JobPage),
];

request! {
    pub struct CreateVerifyJob {
        firmware_id: String = "FirmwareId",
        product_key: String = "ProductKey",
        device_names: OneOrMore = "TargetDeviceName",
        download_protocol: Option<String> = "DownloadProtocol",
        need_confirm: Option<bool> = "NeedConfirm",
        need_push: Option<bool> = "NeedPush",
        tags: Vec<TagParam> = "Tag",
        timeout_minutes: Option<i32> = "TimeoutInMinutes",
    }

    pub item TagParam {
        key: Option<String> = "Key",
        value: Option<String> = "Value",
    }

    pub struct CreateStaticJob {
        firmware_id: String = "FirmwareId",
        product_key: String = "ProductKey",
        target_selection: String = "TargetSelection",
        device_list_url: Option<String> = "DnListFileUrl",
        download_protocol: Option<String> = "DownloadProtocol",
        gray_percent: Option<String> = "GrayPercent",
        group_id: Option<String> = "GroupId",
        group_type: Option<String> = "GroupType",
        max_per_minute: Option<i32> = "MaximumPerMinute",
        multi_module: Option<bool> = "MultiModuleMode",
        need_confirm: Option<bool> = "NeedConfirm",
        need_push: Option<bool> = "NeedPush",
        overwrite_mode: Option<i32> = "OverwriteMode",
        retry_count: Option<i32> = "RetryCount",
        retry_interval: Option<i32> = "RetryInterval",
        finish_at: Option<i64> = "ScheduleFinishTime",
        schedule_at: Option<i64> = "ScheduleTime",
        src_versions: Vec<String> = "SrcVersion",
        tags: Vec<TagParam> = "Tag",
        device_names: Vec<String> = "TargetDeviceName",
        timeout_minutes: Option<i32> = "TimeoutInMinutes",
    }

    pub struct CreateDynamicJob {
        firmware_id: String = "FirmwareId",
        product_key: String = "ProductKey",
        download_protocol: Option<String> = "DownloadProtocol",
        dynamic_mode: Option<i32> = "DynamicMode",
        group_id: Option<String> = "GroupId",
        group_type: Option<String> = "GroupType",
        max_per_minute: Option<i32> = "MaximumPerMinute",
        multi_module: Option<bool> = "MultiModuleMode",
        need_confirm: Option<bool> = "NeedConfirm",
        need_push: Option<bool> = "NeedPush",
        overwrite_mode: Option<i32> = "OverwriteMode",
        retry_count: Option<i32> = "RetryCount",
        retry_interval: Option<i32> = "RetryInterval",
        src_versions: Vec<String> = "SrcVersion",
        tags: Vec<TagParam> = "Tag",
        timeout_minutes: Option<i32> = "TimeoutInMinutes",
    }

    pub struct QueryJob {
        job_id: String = "JobId",
    }

    pub struct ListJobsOfPackage {
        current_page: i32 = "CurrentPage",
        firmware_id: String = "FirmwareId",
        page_size: i32 = "PageSize",
    }

    pub struct ListJobsOfDevice {
        current_page: i32 = "CurrentPage",
        device_name: String = "DeviceName",
        firmware_id: String = "FirmwareId",
        page_size: i32 = "PageSize",
        product_key: String = "ProductKey",
    }
}

reply! {
    pub struct CreatedJob {
        data: CreatedJobData = "Data",
    }

    pub struct CreatedJobData {
        job_id: String = "JobId",
        utc_create: String = "UtcCreate",
    }

    pub struct JobReply {
        data: JobInfo = "Data",
    }

    pub struct JobInfo {
        dest_version: String = "DestVersion",
        download_protocol: String = "DownloadProtocol",
        dynamic_mode: Option<i32> = "DynamicMode",
        firmware_id: String = "FirmwareId",
        gray_percent: Option<String> = "GrayPercent",
        group_id: Option<String> = "GroupId",
        group_name: Option<String> = "GroupName",
        job_desc: Option<String> = "JobDesc",
        job_id: String = "JobId",
        job_status: String = "JobStatus",
        job_type: String = "JobType",
        max_per_minute: Option<i32> = "MaximumPerMinute",
        multi_module: bool = "MultiModuleMode",
        name: String = "Name",
        need_confirm: bool = "NeedConfirm",
        need_push: bool = "NeedPush",
        overwrite_mode: i32 = "OverwriteMode",
        product_key: String = "ProductKey",
        retry_count: Option<i32> = "RetryCount",
        retry_interval: Option<i32> = "RetryInterval",
        selection_type: String = "SelectionType",
        src_versions: Vec<String> = "SrcVersions" list "SrcVersion",
        tags: Vec<TagRow> = "Tags" list "OtaTagDTO",
        target_selection: String = "TargetSelection",
        timeout_minutes: Option<i32> = "TimeoutInMinutes",
        utc_create: String = "UtcCreate",
        utc_end_time: Option<String> = "UtcEndTime",
        utc_modified: String = "UtcModified",
        utc_schedule_finish_time: Option<String> = "UtcScheduleFinishTime",
        utc_schedule_time: Option<String> = "UtcScheduleTime",
        utc_start_time: Option<String> = "UtcStartTime",
    }

    pub struct TagRow {
        key: String = "Key",
        value: String = "Value",
    }

    pub struct JobPage {
        current_page: i32 = "CurrentPage",
        rows: Vec<JobRow> = "Data" listing "SimpleOTAJobInfo",
        page_count: i32 = "PageCount",
        page_size: i32 = "PageSize",
        total: i32 = "Total",
    }

    pub struct JobRow {
        firmware_id: String = "FirmwareId",
        job_id: String = "JobId",
        job_status: String = "JobStatus",
        job_type: String = "JobType",
        product_key: String = "ProductKey",
        selection_type: String = "SelectionType",
        tags: Vec<TagRow> = "Tags" list "OtaTagDTO",
        target_selection: String = "TargetSelection",
        utc_create: String = "UtcCreate",
        utc_end_time: Option<String> = "UtcEndTime",
        utc_modified: String = "UtcModified",
        utc_start_time: Option<String> = "UtcStartTime",
    }
}
