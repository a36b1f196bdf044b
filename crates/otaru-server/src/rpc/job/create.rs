//! Checks the values of a new job, each kind in the order of its refusals.

use std::collections::BTreeSet;

use otaru_core::id::{DeviceName, IdError};
use otaru_core::job::{DynamicMode, GrayPercent, GrayPercentError};
use otaru_core::policy::{Policy, RawPolicy, Tag, check_tags};
use otaru_core::refusal::{self, Refusal};
use otaru_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use otaru_core::version::Version;

use super::super::op::Context;
use super::super::package::src_version;
use super::super::params::Params;
use super::super::wire::utc;
use super::{
    CreateDynamicJob, CreateStaticJob, CreateVerifyJob, CreatedJob, CreatedJobData, TagParam,
};
use crate::app::{self, Limits, NewJob, Target};

pub(super) async fn verify(
    context: Context<'_>,
    request: CreateVerifyJob,
) -> app::Result<CreatedJob> {
    let new = new_verify(request)?;
    create(context, new).await
}

pub(super) async fn fixed(
    context: Context<'_>,
    request: CreateStaticJob,
) -> app::Result<CreatedJob> {
    let names_rate = request.max_per_minute.is_some();
    let new = new_static(request, context.now)?;
    create(context, with_rate(new, names_rate, &context.app.limits)).await
}

pub(super) async fn dynamic(
    context: Context<'_>,
    request: CreateDynamicJob,
) -> app::Result<CreatedJob> {
    let names_rate = request.max_per_minute.is_some();
    let new = new_dynamic(request, context.params)?;
    create(context, with_rate(new, names_rate, &context.app.limits)).await
}

/// Gives a job that names no rate the one of the settings.
fn with_rate(new: NewJob, names_rate: bool, limits: &Limits) -> NewJob {
    if names_rate {
        return new;
    }
    let rate = limits.job_pushes_per_minute;
    let max_per_minute = (rate > 0).then_some(rate);
    NewJob { policy: Policy { max_per_minute, ..new.policy }, ..new }
}

async fn create(context: Context<'_>, new: NewJob) -> app::Result<CreatedJob> {
    let (id, created_at) = context.app.create_job(context.caller, new).await?;
    let data = CreatedJobData { job_id: id.to_string(), utc_create: utc(created_at) };
    Ok(CreatedJob { data })
}

fn new_verify(request: CreateVerifyJob) -> Result<NewJob, Refusal> {
    check_names(&request.device_names, 10)?;
    let tags = tags(&request.tags)?;
    let raw = RawPolicy {
        need_push: request.need_push,
        need_confirm: request.need_confirm,
        timeout_minutes: request.timeout_minutes,
        download_protocol: request.download_protocol.as_deref(),
        ..RawPolicy::default()
    };
    // A verification has no rate: it has ten devices at most.
    let policy = Policy { tags, max_per_minute: None, ..raw.check()? };
    Ok(NewJob {
        firmware_id: request.firmware_id,
        product_key: request.product_key,
        target: Target::Verify(request.device_names.to_vec()),
        policy,
        schedule_at: None,
        finish_at: None,
    })
}

fn new_static(request: CreateStaticJob, now: Timestamp) -> Result<NewJob, Refusal> {
    let target = static_target(&request)?;
    check_schedule(request.schedule_at, request.finish_at, now)?;
    let raw = RawPolicy {
        need_push: request.need_push,
        need_confirm: request.need_confirm,
        retry_interval: request.retry_interval,
        retry_count: request.retry_count,
        timeout_minutes: request.timeout_minutes,
        overwrite_mode: request.overwrite_mode,
        multi_module: request.multi_module,
        max_per_minute: request.max_per_minute,
        download_protocol: request.download_protocol.as_deref(),
    };
    let policy = raw.check()?;
    let policy = Policy { tags: tags(&request.tags)?, ..policy };
    Ok(NewJob {
        firmware_id: request.firmware_id,
        product_key: request.product_key,
        target,
        policy,
        schedule_at: request.schedule_at.map(Timestamp),
        finish_at: request.finish_at.map(Timestamp),
    })
}

/// What a static job is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    All,
    Specific,
    Gray,
    Group,
}

fn static_target(request: &CreateStaticJob) -> Result<Target, Refusal> {
    let aim = match request.target_selection.as_str() {
        "ALL" => Aim::All,
        "SPECIFIC" => Aim::Specific,
        "GRAY" => Aim::Gray,
        "GROUP" => Aim::Group,
        other => return Err(refusal::INVALID_TARGET.with(other)),
    };
    let names = &request.device_names;
    let list = request.device_list_url.as_ref();
    match (aim, names.is_empty(), list.is_some()) {
        (Aim::Specific, true, false) => return Err(refusal::NULL_TARGET_DEVICES.into()),
        (Aim::Specific, false, true) => {
            let detail = "TargetDeviceName and DnListFileUrl exclude each other";
            return Err(refusal::TARGET_DEVICES_NOT_ALLOWED.with(detail));
        }
        (Aim::Specific, ..) | (_, true, false) => {}
        (_, false, _) | (_, _, true) => {
            return Err(refusal::TARGET_DEVICES_NOT_ALLOWED.with(&request.target_selection));
        }
    }
    check_names(names, 200)?;
    let share = if aim == Aim::Gray { Some(gray_percent(request)?) } else { None };
    let group = if aim == Aim::Group {
        let (id, kind) = (request.group_id.as_deref(), request.group_type.as_deref());
        Some(group(id, kind, "LINK_PLATFORM")?)
    } else {
        None
    };
    let has_versions = !request.src_versions.is_empty();
    if has_versions && matches!(aim, Aim::Specific | Aim::Group) {
        return Err(refusal::SRC_VERSIONS_NOT_ALLOWED.with(&request.target_selection));
    }
    let versions = src_versions(&request.src_versions)?;
    Ok(match (aim, share, group, list) {
        (Aim::Gray, Some(share), ..) => Target::Gray(share, versions),
        (Aim::Group, _, Some(group), _) => Target::Group(group),
        (Aim::Specific, _, _, Some(url)) => Target::List(url.clone()),
        (Aim::Specific, ..) => Target::Specific(names.clone()),
        (Aim::All | Aim::Gray | Aim::Group, ..) => Target::All(versions),
    })
}

fn gray_percent(request: &CreateStaticJob) -> Result<GrayPercent, Refusal> {
    let text = request.gray_percent.as_deref().ok_or(refusal::NULL_GRAY_PERCENT)?;
    GrayPercent::parse(text).map_err(|error| match error {
        GrayPercentError::Format => refusal::MALFORMED_GRAY_PERCENT.with(text),
        GrayPercentError::Range => refusal::INVALID_GRAY_PERCENT.with(text),
    })
}

/// The id of a group that is given as it has to be.
fn group(id: Option<&str>, kind: Option<&str>, want: &str) -> Result<String, Refusal> {
    let id = id.ok_or(refusal::NULL_GROUP_ID)?;
    let kind = kind.ok_or_else(|| refusal::NULL_PARAMETER.with("GroupType"))?;
    if kind != want {
        return Err(refusal::INVALID_PARAMETER.with(kind));
    }
    Ok(id.to_owned())
}

fn check_schedule(start: Option<i64>, finish: Option<i64>, now: Timestamp) -> Result<(), Refusal> {
    let Some(start) = start else {
        return match finish {
            Some(finish) => Err(refusal::FINISH_WITHOUT_START.with(finish)),
            None => Ok(()),
        };
    };
    let ahead_ms = Timestamp(start).ms_since(now);
    let code = match ahead_ms {
        ..=0 => Some(refusal::SCHEDULE_IN_PAST),
        ahead if ahead < 5 * MINUTE_MS => Some(refusal::SCHEDULE_TOO_SOON),
        ahead if ahead > 7 * DAY_MS => Some(refusal::SCHEDULE_TOO_LATE),
        _ => None,
    };
    if let Some(code) = code {
        return Err(code.with(start));
    }
    let Some(finish) = finish else { return Ok(()) };
    let code = match Timestamp(finish).ms_since(Timestamp(start)) {
        ..=0 => Some(refusal::FINISH_BEFORE_START),
        length if length < HOUR_MS => Some(refusal::FINISH_TOO_SOON),
        length if length > 30 * DAY_MS => Some(refusal::FINISH_TOO_LATE),
        _ => None,
    };
    code.map_or(Ok(()), |code| Err(code.with(finish)))
}

/// Other kinds of targets are no parameters of this operation, but whoever sends them means something that it can't
/// do.
fn new_dynamic(request: CreateDynamicJob, params: &Params) -> Result<NewJob, Refusal> {
    let selection = params.get("TargetSelection");
    if selection == Some("SPECIFIC")
        || params.has("TargetDeviceName")
        || params.has("DnListFileUrl")
    {
        return Err(refusal::DYNAMIC_SPECIFIC.into());
    }
    if selection == Some("GRAY") {
        return Err(refusal::DYNAMIC_GRAY.into());
    }
    if params.has("GrayPercent") {
        return Err(refusal::GRAY_IS_STATIC.into());
    }
    let (group_id, group_type) = (request.group_id.as_deref(), request.group_type.as_deref());
    let by_group = group_id.is_some() || group_type.is_some();
    if !by_group && request.src_versions.is_empty() {
        return Err(refusal::NULL_SRC_VERSIONS.into());
    }
    if by_group && !request.src_versions.is_empty() {
        return Err(refusal::SRC_VERSIONS_NOT_ALLOWED.with("they exclude GroupId and GroupType"));
    }
    let group =
        if by_group { Some(group(group_id, group_type, "LINK_PLATFORM_DYNAMIC")?) } else { None };
    let versions = src_versions(&request.src_versions)?;
    let mode = match request.dynamic_mode {
        None => DynamicMode::CurrentAndLater,
        Some(mode) => {
            DynamicMode::from_wire(mode).ok_or_else(|| refusal::INVALID_DYNAMIC_MODE.with(mode))?
        }
    };
    let raw = RawPolicy {
        need_push: request.need_push,
        need_confirm: request.need_confirm,
        retry_interval: request.retry_interval,
        retry_count: request.retry_count,
        timeout_minutes: request.timeout_minutes,
        overwrite_mode: request.overwrite_mode,
        multi_module: request.multi_module,
        max_per_minute: request.max_per_minute,
        download_protocol: request.download_protocol.as_deref(),
    };
    let policy = raw.check()?;
    let policy = Policy { tags: tags(&request.tags)?, ..policy };
    let target = match group {
        Some(group) => Target::DynamicGroup(mode, group),
        None => Target::Dynamic(mode, versions),
    };
    Ok(NewJob {
        firmware_id: request.firmware_id,
        product_key: request.product_key,
        target,
        policy,
        schedule_at: None,
        finish_at: None,
    })
}

/// At most `most` names, each well-formed and only once (row N1 of the refusals).
pub(in crate::rpc) fn check_names(names: &[String], most: usize) -> Result<(), Refusal> {
    if names.len() > most {
        let detail = format!("{} names, at most {most}", names.len());
        return Err(refusal::LIST_TOO_LONG.with(detail));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let parsed: Result<DeviceName, IdError> = name.parse();
        if parsed.is_err() || !seen.insert(name) {
            return Err(refusal::MALFORMED_DEVICE_NAMES.with(name));
        }
    }
    Ok(())
}

fn src_versions(texts: &[String]) -> Result<Vec<Version>, Refusal> {
    if texts.len() > 10 {
        let detail = format!("{} versions, at most 10", texts.len());
        return Err(refusal::TOO_MANY_SRC_VERSIONS.with(detail));
    }
    let versions: Vec<_> = texts.iter().map(|text| src_version(text)).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    match versions.iter().find(|version| !seen.insert(*version)) {
        Some(twice) => Err(refusal::INVALID_PARAMETER.with(twice)),
        None => Ok(versions),
    }
}

pub(super) fn tags(params: &[TagParam]) -> Result<Vec<Tag>, Refusal> {
    check_tags(params.iter().map(|tag| (tag.key.as_deref(), tag.value.as_deref())))
}

#[cfg(test)]
mod tests;
