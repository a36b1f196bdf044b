//! Devices and the versions they report.

use crate::id::{DeviceName, DeviceNo, IotId, ProductNo};
use crate::time::Timestamp;

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub no: DeviceNo,
    pub product: ProductNo,
    pub name: DeviceName,
    pub iot_id: IotId,
    pub secret: String,
    pub nickname: String,
    pub disabled: bool,
    pub created_at: Timestamp,
    /// When it connected for the first time.
    pub activated_at: Option<Timestamp>,
    /// When it last came online; kept lazily, a crash may lose the last moments.
    pub online_at: Option<Timestamp>,
    /// Its address then.
    pub address: String,
    /// When its status changed last; as lazily.
    pub status_at: Timestamp,
}

impl Device {
    pub fn state(&self) -> DeviceState {
        match (self.disabled, self.activated_at) {
            (true, _) => DeviceState::Disabled,
            (false, None) => DeviceState::Unactive,
            (false, Some(_)) => DeviceState::Active,
        }
    }
}

/// What is kept of a device's status; whether an active one is connected only memory knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Has never connected.
    Unactive,
    /// Online or offline.
    Active,
    Disabled,
}

/// Whether a device is connected, as the API words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    Unactive,
    Online,
    Offline,
    Disable,
}

impl DeviceStatus {
    pub fn of(device: &Device, connected: bool) -> Self {
        match (device.state(), connected) {
            (DeviceState::Disabled, _) => Self::Disable,
            (DeviceState::Active | DeviceState::Unactive, true) => Self::Online,
            (DeviceState::Active, false) => Self::Offline,
            (DeviceState::Unactive, false) => Self::Unactive,
        }
    }

    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Unactive => "UNACTIVE",
            Self::Online => "ONLINE",
            Self::Offline => "OFFLINE",
            Self::Disable => "DISABLE",
        }
    }
}
