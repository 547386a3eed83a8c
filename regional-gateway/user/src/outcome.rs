//! What a change of a user leads to.

use std::sync::Arc;

use rookery_model::gateway::{Event, Presence, SubscriberId};
use rookery_model::store::Write;

/// Rows to write, then events to send to the user's own sessions.
#[derive(Debug, Default)]
pub struct Outcome {
    pub writes: Vec<Write>,
    pub dispatches: Vec<Dispatch>,
}

/// An event and the sessions of the user that get it; never without sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    pub event: Arc<Event>,
    pub sessions: Vec<SubscriberId>,
}

/// What a change of the sessions or of what they say leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PresenceOutcome {
    /// The user as others see them from now on, if that changed: for the user's guilds and friends.
    pub shown: Option<Arc<Presence>>,
    /// For the user's own sessions.
    pub dispatches: Vec<Dispatch>,
}
