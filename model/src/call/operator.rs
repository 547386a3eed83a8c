//! Calls of the deployment's operator.

use serde::{Deserialize, Serialize};

use crate::{ApplicationId, ChannelId, GuildId, UserId};

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OperatorCall {
    /// Makes a guild with a text and a voice channel, an owner, a bot with ADMINISTRATOR, `users` members with tokens and
    /// `members` without.
    Seed {
        users: u32,
        members: u32,
    },
    Status,
    /// Looks a user up by id, e-mail address or username.
    User {
        query: String,
    },
    Guild {
        guild_id: GuildId,
    },
    /// Asks live sessions to reconnect and stops taking new ones.
    Drain,
}

/// What an operator is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OperatorReply {
    Seed(Box<SeedReply>),
    Status(StatusReply),
    User(Box<crate::user::CurrentUser>),
    Guild { guild: Box<crate::guild::Guild>, member_count: u32, channel_count: u32 },
    Draining { sessions: u32 },
}

/// What `seed` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedReply {
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub voice_channel_id: ChannelId,
    pub owner: SeededUser,
    pub application_id: ApplicationId,
    pub bot: SeededUser,
    pub users: Vec<SeededUser>,
}

/// A seeded user and their token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeededUser {
    pub id: UserId,
    pub token: String,
}

impl std::fmt::Debug for SeededUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeededUser({})", self.id)
    }
}

/// How a region is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    pub version: String,
    pub region: String,
    pub sessions: u32,
    pub guilds_loaded: u32,
    pub users_loaded: u32,
    pub store_writable: bool,
    pub draining: bool,
}
