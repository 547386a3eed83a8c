//! The user as a state machine: sessions, guilds, DM list, read states, global rate limit.
//!
//! One writer per user: a [`UserCore`] learns what happens to its user and says what to write and which sessions hear
//! of it. It knows no sockets, tasks or clocks: time is passed in. What the shell does with an [`Outcome`] is what it
//! does with a guild's: submit the writes, wait until they are durable, then dispatch and close.

mod core;
mod outcome;
mod read_states;
mod request_limit;
mod sessions;

pub use core::{Limits, ReadyState, UserCore, UserState};
pub use outcome::{Dispatch, Outcome};
pub use sessions::Session;
