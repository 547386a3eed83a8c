//! The user as a state machine: sessions, guilds, DM list, read states.
//!
//! One writer per user: a [`UserCore`] learns what happens to its user and says what to write and which sessions hear
//! of it. It knows no sockets, tasks or clocks. What the shell does with an [`Outcome`] is what it does with a guild's:
//! submit the writes, wait until they are durable, then dispatch.
//!
//! The request limit over all routes is not here: it needs no order with anything else of the user, so it lives with
//! the other rate limits.

mod core;
mod outcome;
mod read_states;
mod sessions;

pub use core::{Limits, Subscribed, UserCore, UserState};
pub use outcome::{Dispatch, Outcome};
pub use sessions::{SubscribeError, UserSession};
