//! The audit log: who changed what in a guild.

use serde::{Deserialize, Serialize};

use crate::{AuditLogEntryId, GuildId, Snowflake, UserId};

/// The API's numbers of actions that are logged.
pub mod action {
    pub const STAGE_INSTANCE_CREATE: u16 = 83;
    pub const STAGE_INSTANCE_UPDATE: u16 = 84;
    pub const STAGE_INSTANCE_DELETE: u16 = 85;
    pub const VOICE_CHANNEL_STATUS_CREATE: u16 = 192;
    pub const VOICE_CHANNEL_STATUS_DELETE: u16 = 193;
}

/// What is stored of an entry; its id says when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLogRow {
    pub guild_id: GuildId,
    pub id: AuditLogEntryId,
    /// Who did it.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// What was changed: a user, channel, role, webhook and so on.
    #[serde(default)]
    pub target_id: Option<Snowflake>,
    /// The API's number of the action.
    pub action_type: u16,
    #[serde(default)]
    pub reason: Option<String>,
    /// The API's list of changes, as JSON.
    #[serde(default)]
    pub changes: Option<String>,
    /// The API's options of the entry, as JSON.
    #[serde(default)]
    pub options: Option<String>,
}
