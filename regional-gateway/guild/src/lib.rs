//! The guild (and DM) as a state machine: members, roles, channels, permissions, who sees what.
//!
//! One writer per guild: a [`GuildCore`] takes commands one after the other and answers each with an [`Outcome`]. It
//! knows no sockets, tasks or clocks: time and ids are passed in, rows that it does not hold are asked for beforehand
//! ([`GuildCore::needs`]). Architecture invariant: no [`Dispatch`] names a session that may not see what it tells.
//!
//! The shell's loop for a call:
//! 1. hold [`GuildCore::locks`] of the call;
//! 2. read what [`GuildCore::needs`] names into a [`Given`], until it names nothing;
//! 3. [`GuildCore::handle`], then submit, wait, dispatch and reply as [`Outcome`] says; release the locks.

mod access;
mod audience;
mod calls;
mod commands;
mod create_guild;
mod id_set;
mod journal;
mod limits;
mod live_lists;
pub mod member_list;
mod members;
mod mentions;
mod needs;
mod outcome;
mod passive;
mod permission_cache;
mod presence;
mod recent;
mod request_channel_info;
mod request_members;
mod set_subscriptions;
mod sight;
mod stage;
mod state;
mod streams;
mod subscribe;
mod subscribers;
mod view;
mod voice;
mod voice_status;

pub use access::History;
pub use calls::RING_TIMEOUT_MS;
pub use create_guild::create_guild;
pub use limits::{Limits, StreamQualityLimit};
pub use mentions::Mentions;
pub use needs::{Given, LockKey, Need};
pub use outcome::{Audience, Caller, Dispatch, Effect, IdSource, Outcome};
pub use passive::PASSIVE_UPDATE_INTERVAL_MS;
pub use request_members::MembersCursor;
pub use rookery_model::gateway::SubscriberId;
pub use state::{DmState, GuildCore, GuildState, Transient};
pub use subscribers::Subscriber;
pub use voice::VoiceSession;
