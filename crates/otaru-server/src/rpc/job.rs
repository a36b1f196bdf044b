//! Operations on jobs.

mod change;
mod create;

use otaru_core::job::{Job, Selection};
use otaru_core::policy::Tag;

use super::op::{Context, Op, op};
use super::request::{OneOrMore, request};
use super::tree::reply;
use super::wire::{Paging, int, utc};
use crate::app::{self, JobView};
use crate::store::Listed;
pub(super) use create::check_names;

pub(super) const OPS: &[Op] = &[
    op!("CreateOTAVerifyJob", Ota, 10, create::verify: CreateVerifyJob => CreatedJob, CREATE_JOB_FAILED),
    op!("CreateOTAStaticUpgradeJob", Ota, 20, create::fixed: CreateStaticJob => CreatedJob, CREATE_JOB_FAILED),
    op!("CreateOTADynamicUpgradeJob", Ota, 20, create::dynamic: CreateDynamicJob => CreatedJob, CREATE_JOB_FAILED),
    op!("QueryOTAJob", Ota, 10, query: QueryJob => JobReply, SYSTEM_EXCEPTION),
    op!("ListOTAJobByFirmware", Ota, 10, of_package: ListJobsOfPackage => JobPage, LIST_JOBS_FAILED),
    op!("ListOTAJobByDevice", Ota, 10, of_device: ListJobsOfDevice => JobPage, LIST_JOBS_FAILED),
    op!("UpdateOTAJob", Ota, 10, change::update: UpdateJob => (), SYSTEM_EXCEPTION),
    op!("CancelOTAStrategyByJob", Ota, 10, change::cancel_strategy: CancelStrategy => (), CANCEL_STRATEGY_FAILED),
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

    pub struct UpdateJob {
        job_id: String = "JobId",
        max_per_minute: i32 = "MaximumPerMinute",
        target_selection: String = "TargetSelection",
        upgrade_type: String = "UpgradeType",
        src_versions: Vec<String> = "SrcVersionList",
        tags: Vec<TagParam> = "Tags",
        timeout_minutes: Option<i32> = "TimeoutInMinutes",
    }

    pub struct CancelStrategy {
        job_id: String = "JobId",
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

async fn query(context: Context<'_>, request: QueryJob) -> app::Result<JobReply> {
    let JobView { job, package, product } = context.app.job(context.caller, request.job_id).await?;
    let (gray_percent, dynamic_mode) = match job.selection {
        Selection::Gray(share) => (Some(share.to_string()), None),
        Selection::Dynamic(mode) => (None, Some(mode.as_wire())),
        Selection::All | Selection::Specific | Selection::Group => (None, None),
    };
    let policy = &job.policy;
    let minutes = |minutes: u32| int(minutes.into());
    let data = JobInfo {
        dest_version: package.dest.to_string(),
        download_protocol: policy.download.as_wire().to_owned(),
        dynamic_mode,
        firmware_id: package.id.to_string(),
        gray_percent,
        group_id: job.group.as_ref().map(|group| group.id.to_string()),
        group_name: job.group.as_ref().map(|group| group.name.clone()),
        job_desc: None,
        job_id: job.id.to_string(),
        job_status: job.status.as_wire().to_owned(),
        job_type: job.kind.as_wire().to_owned(),
        max_per_minute: policy.max_per_minute.map(|rate| int(rate.into())),
        multi_module: policy.multi_module,
        name: package.name,
        need_confirm: policy.need_confirm,
        need_push: policy.need_push,
        overwrite_mode: policy.overwrite.as_wire(),
        product_key: product.key.to_string(),
        retry_count: policy.retry.map(|retry| int(retry.count.into())),
        retry_interval: policy.retry.map(|retry| minutes(retry.interval_minutes)),
        selection_type: job.selection.type_wire().to_owned(),
        src_versions: job.src_versions.iter().map(ToString::to_string).collect(),
        tags: tags(&job),
        target_selection: job.selection.target_wire().to_owned(),
        timeout_minutes: policy.timeout_minutes.map(minutes),
        utc_create: utc(job.created_at),
        utc_end_time: job.ended_at.map(utc),
        utc_modified: utc(job.modified_at),
        utc_schedule_finish_time: job.finish_at.map(utc),
        utc_schedule_time: job.schedule_at.map(utc),
        utc_start_time: job.started_at.map(utc),
    };
    Ok(JobReply { data })
}

fn tags(job: &Job) -> Vec<TagRow> {
    let row = |tag: &Tag| TagRow { key: tag.key.clone(), value: tag.value.clone() };
    job.policy.tags.iter().map(row).collect()
}

async fn of_package(context: Context<'_>, request: ListJobsOfPackage) -> app::Result<JobPage> {
    let paging = Paging::check(request.current_page, request.page_size, 200)?;
    let listed =
        context.app.jobs_of_package(context.caller, request.firmware_id, paging.rows()).await?;
    Ok(page(paging, &listed))
}

async fn of_device(context: Context<'_>, request: ListJobsOfDevice) -> app::Result<JobPage> {
    let paging = Paging::check(request.current_page, request.page_size, 100)?;
    let ListJobsOfDevice { device_name, firmware_id, product_key, .. } = request;
    let listed = context
        .app
        .jobs_of_device(context.caller, product_key, device_name, firmware_id, paging.rows())
        .await?;
    Ok(page(paging, &listed))
}

fn page(paging: Paging, listed: &Listed<JobView>) -> JobPage {
    let numbers = paging.of(listed.total);
    JobPage {
        current_page: numbers.current,
        rows: listed.rows.iter().map(row).collect(),
        page_count: numbers.count,
        page_size: numbers.size,
        total: numbers.total,
    }
}

fn row(view: &JobView) -> JobRow {
    let JobView { job, package, product } = view;
    JobRow {
        firmware_id: package.id.to_string(),
        job_id: job.id.to_string(),
        job_status: job.status.as_wire().to_owned(),
        job_type: job.kind.as_wire().to_owned(),
        product_key: product.key.to_string(),
        selection_type: job.selection.type_wire().to_owned(),
        tags: tags(job),
        target_selection: job.selection.target_wire().to_owned(),
        utc_create: utc(job.created_at),
        utc_end_time: job.ended_at.map(utc),
        utc_modified: utc(job.modified_at),
        utc_start_time: job.started_at.map(utc),
    }
}
