//! How a use case ends without doing what was asked.

use crate::store::StoreError;
use otaru_core::refusal::Refusal;

/// Why a call changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppError {
    /// The rules turn it down.
    #[error("{0}")]
    Refused(Refusal),
    /// The store can't do it now; the cause was logged where it happened.
    #[error("the server can't do this now")]
    Unavailable(#[source] StoreError),
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<otaru_core::refusal::Code> for AppError {
    fn from(code: otaru_core::refusal::Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

pub type Result<T> = std::result::Result<T, AppError>;

/// Parts a refusal, which commits its empty change and reaches the caller, from a failure of the store, which rolls
/// back.
pub(super) fn parted<T>(
    result: Result<T>,
) -> crate::store::Result<std::result::Result<T, Refusal>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(AppError::Refused(refusal)) => Ok(Err(refusal)),
        Err(AppError::Unavailable(error)) => Err(error),
    }
}
