//! Batches of devices that are registered together.

use super::{Page, Result};
use otaru_core::apply::{Apply, ApplyName};
use otaru_core::device::Device;
use otaru_core::id::ApplyNo;
use otaru_core::time::Timestamp;

pub trait ApplyView {
    fn apply(&mut self, no: ApplyNo) -> Result<Option<Apply>>;
    /// Names of a batch behind place `after`, by rising place.
    fn apply_names(&mut self, no: ApplyNo, after: u32, limit: u32) -> Result<Vec<ApplyName>>;
    /// Devices that were made of a batch, by rising place; those that were deleted since are left out.
    fn apply_devices(&mut self, no: ApplyNo, page: Page) -> Result<Vec<Device>>;
    /// Batches with something to carry out at `now`, earliest first.
    fn due_applies(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ApplyNo>>;
}

pub trait ApplyRows {
    /// Inserts a batch with its names; `new.no` is not looked at.
    fn insert_apply(&mut self, new: &Apply, names: &[ApplyName]) -> Result<ApplyNo>;
    /// Writes what can change of a batch: status, progress.
    fn update_apply(&mut self, apply: &Apply) -> Result<()>;
    /// Writes a name of a batch, at its place.
    fn put_apply_name(&mut self, no: ApplyNo, name: &ApplyName) -> Result<()>;
    /// Forgets batches that ended and were made before `before`, oldest first, at most `limit` names of them.
    fn purge_applies(&mut self, before: Timestamp, limit: u32) -> Result<()>;
}
