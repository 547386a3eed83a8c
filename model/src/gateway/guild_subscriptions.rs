//! GUILD_SUBSCRIPTIONS (opcode 14): what of a large guild a client looks at.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::identify::null_is_default;
use crate::{ChannelId, GuildId, UserId};

/// The data of GUILD_SUBSCRIPTIONS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GuildSubscriptions {
    pub guild_id: GuildId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub typing: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub activities: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub threads: bool,
    /// Members whose presence is wanted.
    #[serde(default, deserialize_with = "null_is_default")]
    pub members: Vec<UserId>,
    /// Ranges of each channel's member list, first and last position.
    #[serde(default, deserialize_with = "null_is_default")]
    pub channels: BTreeMap<ChannelId, Vec<[u32; 2]>>,
}
