//! Stage instances: a stage channel that is live, with its topic.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, GuildId, Snowflake, StageInstanceId};

/// Who may see a stage instance: only members of its guild, as public ones are deprecated and read like these.
pub const PRIVACY_LEVEL_GUILD_ONLY: u8 = 2;

/// A live stage, as it is stored and as the API shows it; a stage channel has one at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageInstance {
    pub id: StageInstanceId,
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub topic: String,
    pub privacy_level: u8,
    #[serde(default)]
    pub discoverable_disabled: bool,
    #[serde(default)]
    pub guild_scheduled_event_id: Option<Snowflake>,
}
