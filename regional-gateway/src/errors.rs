//! The one place that maps failures of the parts below to API errors.

use rookery_core_db::StoreError;
use rookery_model::{ApiError, ErrorCode};

/// What a caller hears when the store fails: overload and refusal are 503, damage is ours.
pub fn from_store(error: StoreError) -> ApiError {
    match error {
        StoreError::Busy | StoreError::Closed => ErrorCode::Unavailable.into(),
        StoreError::Unwritable(_) | StoreError::Unknown(_) | StoreError::Unavailable(_) => {
            tracing::warn!(%error, "store");
            ErrorCode::Unavailable.into()
        }
        StoreError::Corrupt { .. } => {
            tracing::error!(%error, "store");
            ErrorCode::Internal.into()
        }
        StoreError::Invalid(_) => {
            tracing::warn!(%error, "store");
            ErrorCode::InvalidFormBody.into()
        }
    }
}
