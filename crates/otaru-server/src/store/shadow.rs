//! Shadows of devices.

use super::Result;
use otaru_core::id::DeviceNo;
use otaru_core::shadow::Shadow;

pub trait ShadowView {
    /// The shadow of a device; an empty one of a device that has none yet.
    fn shadow(&mut self, device: DeviceNo) -> Result<Shadow>;
}

pub trait ShadowRows {
    /// Keeps a shadow. A device that is deleted takes its own along.
    fn put_shadow(&mut self, device: DeviceNo, shadow: &Shadow) -> Result<()>;
}
