//! What a change of a user leads to.

use std::sync::Arc;

use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::store::Write;

/// Rows to write, then events to send to the user's own sessions.
#[derive(Debug, Default)]
pub struct Outcome {
    pub writes: Vec<Write>,
    pub dispatches: Vec<Dispatch>,
    /// Sessions to close with 4004: their token is void.
    pub closes: Vec<SubscriberId>,
}

/// An event for some of the user's sessions; never for none.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub event: Arc<Event>,
    pub sessions: Vec<SubscriberId>,
}
