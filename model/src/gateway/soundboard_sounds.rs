//! SOUNDBOARD_SOUNDS: the answer to REQUEST_SOUNDBOARD_SOUNDS, one a guild.

use serde::{Deserialize, Serialize};

use crate::GuildId;

/// The sounds of a guild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundboardSounds {
    pub guild_id: GuildId,
    /// Guilds have no sounds of their own.
    pub soundboard_sounds: Vec<()>,
}
