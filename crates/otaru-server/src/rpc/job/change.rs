//! Changing jobs that run.

use otaru_core::refusal::Refusal;
use otaru_core::update::{JobUpdate, RawUpdate};

use super::super::op::Context;
use super::super::params::Params;
use super::create::tags;
use super::{CancelStrategy, UpdateJob};
use crate::app;

pub(super) async fn update(context: Context<'_>, request: UpdateJob) -> app::Result<()> {
    let update = checked(&request, context.params)?;
    context.app.update_job(context.caller, request.job_id, update).await
}

fn checked(request: &UpdateJob, params: &Params) -> Result<JobUpdate, Refusal> {
    let has_list = params.all().any(|(name, _)| name.starts_with("SrcVersionList."));
    let raw = RawUpdate {
        max_per_minute: request.max_per_minute,
        upgrade_type: &request.upgrade_type,
        target: &request.target_selection,
        timeout_minutes: request.timeout_minutes,
        // Sent with nothing in it is something else than not sent.
        src_versions: has_list.then_some(&request.src_versions[..]),
    };
    let update = raw.check()?;
    Ok(JobUpdate { tags: tags(&request.tags)?, ..update })
}

pub(super) async fn cancel_strategy(
    context: Context<'_>,
    request: CancelStrategy,
) -> app::Result<()> {
    context.app.cancel_strategy(context.caller, request.job_id).await
}
