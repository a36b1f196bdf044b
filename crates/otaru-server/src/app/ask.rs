//! What devices ask, and how that is answered.

use super::effect::Effects;
use super::tag;
use crate::store::{Result, Rows};
use otaru_core::id::DeviceNo;
use otaru_core::message::{Ask, Response, code};
use otaru_core::time::Timestamp;

/// Carries a request out, or refuses it and changes nothing.
pub(super) fn answer(
    rows: &mut dyn Rows,
    device: DeviceNo,
    ask: &Ask,
    now: Timestamp,
    effects: &mut Effects,
) -> Result<Response> {
    let Some(device) = rows.device(device)? else {
        return Ok(Response::refusal(code::NO_DEVICE));
    };
    match ask {
        Ask::SaveTags(tags) => tag::uploaded(rows, &device, tags, now, effects),
        Ask::DeleteTags(keys) => tag::given_up(rows, &device, keys),
    }
}
