//! Request bodies: read whole before the API starts, within a cap, a time and a common budget.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in pieces of this size, so that it fits a semaphore's counter.
const BUDGET_UNIT_BYTES: usize = 1 << 10;
/// How long a body that is refused is still read.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Why a body could not be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than the cap.
    TooLarge,
    /// Not complete in time.
    TimedOut,
    /// The bodies of all requests together are too much.
    Overloaded,
    /// The client broke off, or what it sent is no body.
    Broken,
}

/// Reads bodies.
pub(crate) struct BodyReader {
    max_bytes: usize,
    timeout: Duration,
    budget: Arc<Semaphore>,
}

/// A body and its share of the budget.
pub(crate) struct HeldBody {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl BodyReader {
    pub fn new(max_bytes: usize, timeout: Duration, max_buffered_bytes: usize) -> Self {
        let units = (max_buffered_bytes / BUDGET_UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { max_bytes, timeout, budget: Arc::new(Semaphore::new(units)) }
    }

    /// Reads a body to its end.
    pub async fn read(&self, mut body: Incoming, expects_continue: bool) -> Result<HeldBody, BodyError> {
        if body.is_end_stream() {
            return Ok(HeldBody { bytes: Bytes::new(), _share: None });
        }
        let result = if body.size_hint().lower() > self.max_bytes as u64 {
            Err(BodyError::TooLarge)
        } else {
            let read = self.read_within_cap(&mut body);
            tokio::time::timeout(self.timeout, read).await.unwrap_or(Err(BodyError::TimedOut))
        };
        if matches!(result, Err(BodyError::TooLarge)) {
            self.discard(body, expects_continue).await;
        }
        result
    }

    /// Reads a body that nobody wants for a little while, so that its sender sees the answer instead of a reset.
    pub async fn discard(&self, mut body: Incoming, expects_continue: bool) {
        // One that waits for a 100 has sent nothing yet, and reading would ask for it.
        if expects_continue {
            return;
        }
        let reading = async {
            let mut left = self.max_bytes.saturating_mul(4);
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        };
        // Whether it came to an end or not, the answer follows now.
        let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
    }

    async fn read_within_cap(&self, body: &mut Incoming) -> Result<HeldBody, BodyError> {
        let mut share: Option<OwnedSemaphorePermit> = None;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let total = first.len() + rest.len() + data.len();
            if total > self.max_bytes {
                return Err(BodyError::TooLarge);
            }
            self.grow(&mut share, total)?;
            // Most bodies are one frame, which need not be copied.
            if first.is_empty() && rest.is_empty() {
                first = data;
                continue;
            }
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(HeldBody { bytes, _share: share })
    }

    fn grow(&self, share: &mut Option<OwnedSemaphorePermit>, total_bytes: usize) -> Result<(), BodyError> {
        let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = total_bytes.div_ceil(BUDGET_UNIT_BYTES).saturating_sub(held);
        if wanted == 0 {
            return Ok(());
        }
        let wanted = u32::try_from(wanted).map_err(|_| BodyError::Overloaded)?;
        let more = Arc::clone(&self.budget).try_acquire_many_owned(wanted).map_err(|_| BodyError::Overloaded)?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }
}
