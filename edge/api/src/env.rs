//! What the API needs of the host that runs it.

use crate::Config;

/// The host: settings, the way to the region, the time.
pub trait Env {
    /// The operator's settings.
    fn config(&self) -> &Config;

    /// Sends a call to the region and waits for the answer.
    ///
    /// The payload is the CBOR of [`rookery_model::call::CallRequest`], the answer that of
    /// [`rookery_model::call::CallReply`]. The host adds operation id, deadline, trace and address.
    fn call(&self, payload: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, CallFailure>>;

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// Why a call brought no answer; a refusal by the region is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// Too many calls are under way; nothing was sent.
    #[error("too many calls are under way")]
    Busy,
    /// No connection; whether the call was carried out is unknown.
    #[error("no region can be reached")]
    Unavailable,
    /// The call's time ended; whether it was carried out is unknown.
    #[error("the region did not answer in time")]
    DeadlineExceeded,
    /// Call or answer are larger than a frame may be.
    #[error("the call or its answer is too large")]
    TooLarge,
}
