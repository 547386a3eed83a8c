//! Calls of the deployment's operator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ApplicationId, ChannelId, GuildId, MessageId, UserId};

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
    /// Removes all that a user wrote so far, everywhere.
    EraseUser {
        user_id: UserId,
    },
    /// How many days a guild keeps messages; none is for ever.
    SetRetention {
        guild_id: GuildId,
        max_age_days: Option<u32>,
    },
    /// Has the region that is asked own what another one owned, which is lost; or give it back.
    TakeOver {
        region: String,
        is_begun: bool,
    },
}

/// What an operator is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OperatorReply {
    Seed(Box<SeedReply>),
    Status(StatusReply),
    User(Box<crate::user::CurrentUser>),
    Guild {
        guild: Box<crate::guild::Guild>,
        member_count: u32,
        channel_count: u32,
        /// How many days the guild keeps messages; none is for ever.
        #[serde(default)]
        retention_days: Option<u32>,
    },
    Draining {
        sessions: u32,
    },
    /// The user's messages are hidden from everybody and being removed: all up to this id.
    Erasing {
        user_id: UserId,
        through: MessageId,
    },
    Retention {
        guild_id: GuildId,
        max_age_days: Option<u32>,
    },
    /// The region takes over another one, or gives it back; it takes some seconds.
    TakeOver {
        region: String,
        by: String,
        is_begun: bool,
    },
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
    /// Deleted channels and guilds and erased users whose contents are still being removed.
    #[serde(default)]
    pub purges_pending: u64,
    /// Rows removed in the background since the store was opened.
    #[serde(default)]
    pub purged_rows: u64,
    /// Damaged rows met since the store was opened; the log names them.
    #[serde(default)]
    pub corrupt_rows: u64,
    /// How loaded the region is: normal, elevated, high or critical.
    #[serde(default)]
    pub load_level: String,
    /// What becomes of each feature at this level: full, slower, dropped or refused.
    #[serde(default)]
    pub features: BTreeMap<String, String>,
}
