//! Batches of devices that are registered together: their names are checked, then the devices are made, in slices.

use crate::id::{AccountNo, ApplyNo, DeviceName, DeviceNo, ProductNo};
use crate::time::Timestamp;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyStatus {
    /// Its names are being checked.
    Check,
    CheckSuccess,
    CheckFailed,
    /// Its devices are being made.
    Create,
    CreateSuccess,
    CreateFailed,
}

impl ApplyStatus {
    pub const ALL: [Self; 6] = [
        Self::Check,
        Self::CheckSuccess,
        Self::CheckFailed,
        Self::Create,
        Self::CreateSuccess,
        Self::CreateFailed,
    ];

    pub fn as_wire(self) -> &'static str {
        match self {
            Self::Check => "CHECK",
            Self::CheckSuccess => "CHECK_SUCCESS",
            Self::CheckFailed => "CHECK_FAILED",
            Self::Create => "CREATE",
            Self::CreateSuccess => "CREATE_SUCCESS",
            Self::CreateFailed => "CREATE_FAILED",
        }
    }

    /// Whether something of it is still to be carried out.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Check | Self::Create)
    }

    /// The status once the last slice was carried out; `all_well`: no name failed.
    #[must_use]
    pub fn done(self, all_well: bool) -> Self {
        match (self, all_well) {
            (Self::Check, true) => Self::CheckSuccess,
            (Self::Check, false) => Self::CheckFailed,
            (Self::Create, true) => Self::CreateSuccess,
            (Self::Create, false) => Self::CreateFailed,
            (ended, _) => ended,
        }
    }
}

/// A batch as the rules and the API see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    pub no: ApplyNo,
    pub account: AccountNo,
    pub product: ProductNo,
    pub status: ApplyStatus,
    /// Whether the names were given; otherwise they are random.
    pub is_named: bool,
    /// Devices that were asked for.
    pub count: u32,
    /// Places that the work at hand is done with.
    pub done: u32,
    /// Of those, places that failed.
    pub failed: u32,
    /// Devices that were made.
    pub made: u32,
    pub created_at: Timestamp,
}

impl Apply {
    /// The next moment at which there is something to carry out: at once while it runs.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.status.is_running().then_some(Timestamp(0))
    }
}

/// Why a name of a batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ApplyFault {
    /// Another device of the product has it.
    Taken = 1,
    /// The account has as many devices as it may have.
    Full = 2,
    ProductDeleted = 3,
}

impl ApplyFault {
    pub const ALL: [Self; 3] = [Self::Taken, Self::Full, Self::ProductDeleted];

    pub fn sentence(self) -> &'static str {
        match self {
            Self::Taken => "the device name already exists",
            Self::Full => "the number of devices of the account exceeds the limit",
            Self::ProductDeleted => "the product was deleted",
        }
    }
}

/// One name of a batch, by its place in it from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyName {
    pub place: u32,
    pub name: DeviceName,
    pub nickname: String,
    pub fault: Option<ApplyFault>,
    pub device: Option<DeviceNo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_runs_ends_well_or_badly_and_one_that_ended_stays() {
        use ApplyStatus as S;
        for status in S::ALL {
            let (good, bad) = match status {
                S::Check => (S::CheckSuccess, S::CheckFailed),
                S::Create => (S::CreateSuccess, S::CreateFailed),
                ended => (ended, ended),
            };
            assert_eq!((status.done(true), status.done(false)), (good, bad));
            assert!(!good.is_running() && !bad.is_running());
        }
    }
}
