//! What devices say and what they are told: the JSON of the topics that the server knows.

mod ask;
mod report;
mod upgrade;

pub use ask::{Ask, Code, DeviceTag, Response, code};
pub use report::{Inform, Progress, ReportError, Request};
pub use upgrade::{Source, Upgrade, UpgradeFile, reply};
