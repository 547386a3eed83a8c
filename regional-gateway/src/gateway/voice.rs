//! VOICE_STATE_UPDATE of a session: which guild it goes to; and what it says of streams.

use rand::Rng as _;
use rookery_model::GuildId;
use rookery_model::gateway::{StreamDeleteReason, StreamDeleted, StreamRequest, VoiceStateUpdate};

use super::registry::SessionHandle;
use crate::owners::{Owners, VoiceRequest};

/// Where a session is in voice, as far as it asked.
#[derive(Default)]
pub struct SessionVoice {
    guild_id: Option<GuildId>,
}

impl SessionVoice {
    /// Takes VOICE_STATE_UPDATE of the client. People are in one place at a time: a client that goes to another guild, or
    /// to none, leaves the one where it was. Bots are in one channel of each guild.
    pub fn update(&mut self, owners: &Owners, session: &SessionHandle, is_bot: bool, update: VoiceStateUpdate) {
        if let Some(before) = self.guild_id.filter(|before| !is_bot && Some(*before) != update.guild_id) {
            let leave = VoiceStateUpdate { guild_id: Some(before), channel_id: None, ..update };
            ask(owners, session, before, leave);
            self.guild_id = None;
        }
        let Some(guild_id) = update.guild_id else { return };
        self.guild_id = update.channel_id.map(|_| guild_id);
        ask(owners, session, guild_id, update);
    }
}

/// Takes what a session says of a stream; what it is to be told if nobody can be asked.
pub fn stream(owners: &Owners, session: &SessionHandle, request: StreamRequest) -> Result<(), StreamDeleted> {
    let refused = |stream_key, reason, unavailable| Err(StreamDeleted { stream_key, reason, unavailable });
    let (key, action) = match request.read(session.user_id) {
        Ok(read) => read,
        Err(text) => return refused(text, StreamDeleteReason::ParseFailed, false),
    };
    let Some(guild_id) = key.guild_id else {
        return refused(key.to_string(), StreamDeleteReason::InvalidChannel, false);
    };
    owners
        .stream(guild_id, session.subscriber, key, action)
        .or_else(|_| refused(key.to_string(), StreamDeleteReason::StreamEnded, true))
}

fn ask(owners: &Owners, session: &SessionHandle, guild_id: GuildId, update: VoiceStateUpdate) {
    // Others see it: it must not be the id that RESUME takes.
    let session_id = format!("{:032x}", rand::rng().random::<u128>()).into();
    owners.update_voice(guild_id, session.subscriber, VoiceRequest { session_id, update });
}
