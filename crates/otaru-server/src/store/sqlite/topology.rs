//! Which sub-device belongs to which gateway.

use super::super::{Result, TopologyRows, TopologyView};
use super::device;
use super::tx::Tx;
use otaru_core::device::Device;
use otaru_core::id::DeviceNo;
use rusqlite::params;

impl TopologyView for Tx<'_> {
    fn gateway_of(&mut self, sub_device: DeviceNo) -> Result<Option<DeviceNo>> {
        self.one("SELECT gateway FROM topology WHERE device = ?1", params![sub_device.0], |cols| {
            cols.take().map(DeviceNo)
        })
    }

    fn sub_devices(&mut self, gateway: DeviceNo, limit: u32) -> Result<Vec<Device>> {
        device::of_gateway(self, gateway, limit)
    }

    fn sub_device_count(&mut self, gateway: DeviceNo) -> Result<u64> {
        self.count("SELECT count(*) FROM topology WHERE gateway = ?1", params![gateway.0])
    }
}

impl TopologyRows for Tx<'_> {
    fn attach(&mut self, sub_device: DeviceNo, gateway: DeviceNo) -> Result<()> {
        self.run(
            "INSERT INTO topology (device, gateway) VALUES (?1, ?2)
             ON CONFLICT (device) DO UPDATE SET gateway = excluded.gateway",
            params![sub_device.0, gateway.0],
        )?;
        Ok(())
    }

    fn detach(&mut self, sub_device: DeviceNo) -> Result<()> {
        self.run("DELETE FROM topology WHERE device = ?1", params![sub_device.0])?;
        Ok(())
    }
}
