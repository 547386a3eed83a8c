//! The way to the region, as the host sees it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rookery_link::{CallError, CallHeader, Client, Pool};

use crate::events;

/// Why a call brought no reply; the same four as in `wit/rookery.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegionCallError {
    /// Too much is under way; nothing was sent.
    #[error("too many calls to the region are under way")]
    Busy,
    /// No reply; whether the call was carried out is unknown.
    #[error("no region can be reached")]
    Unavailable,
    /// The region did not answer in time; whether the call was carried out is unknown.
    #[error("the region did not answer in time")]
    DeadlineExceeded,
    /// Call or reply are larger than a frame may be.
    #[error("the call or its reply is too large")]
    TooLarge,
}

/// Whoever carries calls to a region: the link, or a stand-in in tests and benchmarks.
pub trait RegionClient: Send + Sync + 'static {
    /// Sends one call and waits for the payload of its reply, no longer than the header's deadline.
    fn call(&self, header: CallHeader, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, RegionCallError>>;
}

impl RegionClient for Client {
    fn call(&self, header: CallHeader, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, RegionCallError>> {
        Box::pin(async move { to_reply(Client::call(self, header, payload.into()).await) })
    }
}

impl RegionClient for Pool {
    fn call(&self, header: CallHeader, payload: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, RegionCallError>> {
        Box::pin(async move { to_reply(Pool::call(self, header, payload.into()).await) })
    }
}

fn to_reply(result: Result<Bytes, CallError>) -> Result<Vec<u8>, RegionCallError> {
    // The component needs to know what to answer, the operator what happened.
    result.map(Vec::from).map_err(|error| {
        events::region_call_failed(&error);
        match error {
            CallError::Busy { .. } => RegionCallError::Busy,
            CallError::DeadlineExceeded => RegionCallError::DeadlineExceeded,
            CallError::TooLarge(_) => RegionCallError::TooLarge,
            CallError::Unavailable { .. }
            | CallError::ConnectionLost { .. }
            | CallError::VersionUnsupported { .. }
            | CallError::Internal
            | CallError::Protocol { .. } => RegionCallError::Unavailable,
        }
    })
}
