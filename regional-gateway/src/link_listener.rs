//! Calls as they come over the link.

use std::sync::Arc;

use bytes::Bytes;
use rookery_link::CallHeader;

use crate::Region;
use crate::calls;

/// What the link's server asks for each call: the region's answer to it.
///
/// The link enforces the deadline for the caller; a mutation that has begun runs to its end.
pub async fn answer(region: Arc<Region>, header: CallHeader, payload: Bytes) -> Bytes {
    calls::handle(&region, header, payload).await
}
