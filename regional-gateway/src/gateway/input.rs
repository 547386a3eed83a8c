//! What the task of a session receives from the rest of the region.

use std::sync::Arc;

use rookery_model::gateway::Event;
use rookery_model::{ApiError, GuildId};
use rookery_session::{Connection, Payload};

use super::socket::Socket;
use crate::peers::PeerIndex;

/// One entry of a session's inbox; small, because every inbox holds a block of them.
pub enum Input {
    /// An event that others may get too.
    Dispatch(Arc<Payload>),
    /// An event for this session alone: READY, GUILD_CREATE.
    Own(Box<Event>),
    Control(Control),
}

/// What is not an event, in order with the events.
pub enum Control {
    /// A connection whose client resumes this session.
    Attach(Box<Attach>),
    /// The user joined a guild.
    GuildJoined(GuildId),
    /// The user is no longer in a guild.
    GuildLeft(GuildId),
    /// A subscription did not come about.
    NotSubscribed(GuildId, Box<ApiError>),
    /// A subscription came about: the guild's events follow, whether the session wants its snapshot or not.
    Subscribed(GuildId),
    /// The guild's owner is out of reach: the guild is away until it can be subscribed to again.
    GuildCut(GuildId),
    /// The members that were asked for do not come.
    NoMembers(GuildId, Box<ApiError>),
    /// The session could not be started, says whoever was asked: that is nothing to it once another is asked.
    NotReady(AskedAt, Box<ApiError>),
}

/// Where a session's READY was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedAt {
    /// Nowhere yet: whoever is to ask waits until the owner of the session's user can be reached.
    Nowhere,
    Here,
    There(PeerIndex),
}

/// A connection on its way to the session that it resumes.
pub struct Attach {
    pub connection: Connection,
    pub socket: Socket,
    /// The last number that the client received.
    pub seq: u64,
}
