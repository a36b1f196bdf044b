//! What a user of an account may call. What it may touch is told by the look-ups, which know the product of everything.

use otaru_core::id::ProductKey;
use otaru_core::refusal;

use super::op::{Access, Op};
use super::params::Params;
use super::{Failure, unavailable};
use crate::app::App;
use crate::store::User;

/// Refuses a user that may not call the operation, or names a product that it may not touch, before anything is
/// looked at: such a user isn't told whether the product exists. `None` is the main account, which may do everything.
pub(super) async fn check(
    app: &App,
    user: Option<&User>,
    op: &Op,
    params: &Params,
) -> Result<(), Failure> {
    let Some(user) = user else { return Ok(()) };
    let may = match op.access() {
        Access::Read => user.may.read,
        Access::Write => user.may.write,
    };
    if !may {
        return Err(refusal::RAM_DENIED.with(op.action).into());
    }
    let named = params.get("ProductKey").and_then(|key| key.parse::<ProductKey>().ok());
    let Some(key) = named.filter(|_| !user.may.all_products) else { return Ok(()) };
    let may =
        app.user_may_touch(user.no, key.clone()).await.map_err(|error| unavailable(&error))?;
    if may { Ok(()) } else { Err(refusal::RAM_DENIED.with(key).into()) }
}
