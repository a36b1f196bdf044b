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
        match (device.disabled, connected, device.activated_at) {
            (true, ..) => Self::Disable,
            (false, true, _) => Self::Online,
            (false, false, Some(_)) => Self::Offline,
            (false, false, None) => Self::Unactive,
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
