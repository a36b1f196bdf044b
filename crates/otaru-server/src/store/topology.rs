//! Which sub-device belongs to which gateway.

use super::Result;
use otaru_core::device::Device;
use otaru_core::id::DeviceNo;

pub trait TopologyView {
    fn gateway_of(&mut self, sub_device: DeviceNo) -> Result<Option<DeviceNo>>;
    /// Sub-devices of a gateway by rising number.
    fn sub_devices(&mut self, gateway: DeviceNo, limit: u32) -> Result<Vec<Device>>;
    fn sub_device_count(&mut self, gateway: DeviceNo) -> Result<u64>;
}

pub trait TopologyRows {
    /// Makes a device a sub-device of a gateway; it is then no other's. What is deleted is detached with it.
    fn attach(&mut self, sub_device: DeviceNo, gateway: DeviceNo) -> Result<()>;
    fn detach(&mut self, sub_device: DeviceNo) -> Result<()>;
}
