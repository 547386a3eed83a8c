//! The user as a state machine: sessions, presence, guilds, DM list, relationships, read states.
//!
//! One writer per user: a [`UserCore`] learns what happens to its user and says what to write and which sessions hear
//! of it. It knows no sockets, tasks or clocks: time is passed in. What the shell does with an [`Outcome`] is what it does with a guild's:
//! submit the writes, wait until they are durable, then dispatch.
//!
//! The request limit over all routes is not here: it needs no order with anything else of the user, so it lives with
//! the other rate limits.

mod core;
mod outcome;
mod presence;
mod read_states;
mod relationships;
mod sessions;

pub use core::{Limits, Subscribed, UserCore, UserState};
pub use outcome::{Dispatch, Outcome, PresenceOutcome};
pub use presence::{Moment, OWN_SESSIONS_MAX, SessionClient};
pub use sessions::{SubscribeError, UserSession};
