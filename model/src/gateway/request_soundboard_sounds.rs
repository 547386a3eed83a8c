//! REQUEST_SOUNDBOARD_SOUNDS (opcode 31): the sounds of some guilds.

use serde::Deserialize;

use crate::GuildId;

/// The data of REQUEST_SOUNDBOARD_SOUNDS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequestSoundboardSounds {
    pub guild_ids: Vec<GuildId>,
}
