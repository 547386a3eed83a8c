//! The way from the owners of guilds to the rooms on voice nodes.
//!
//! Owners say who is in voice by [`VoiceNews`], of which only the newest counts; [`VoiceTask`] drives the core that
//! knows the voice nodes (`rookery-voice-rooms`), and tells owners by their registers what it has for them.

mod task;

use std::collections::HashMap;

use rookery_model::voice::VoiceEntry;
use rookery_model::{UserId, VoiceServerId};
use serde::Deserialize;

use crate::owners::Register;

pub use task::{VoiceInit, VoiceTask};

/// How voice rooms are laid out over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VoiceRoomsConfig {
    /// Members of a guild or call at one voice node, from which on others go to a further one.
    pub cascade_members: u32,
}

impl Default for VoiceRoomsConfig {
    fn default() -> Self {
        Self { cascade_members: rookery_voice_rooms::Config::default().cascade_members }
    }
}

impl VoiceRoomsConfig {
    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let is_zero = self.cascade_members == 0;
        is_zero.then(|| "voice.cascade_members: at least 1".to_owned()).into_iter().collect()
    }
}

/// What owners want for members: to be let in, or with none to be put out.
#[derive(Default)]
pub struct VoiceNews {
    wishes: HashMap<(VoiceServerId, UserId), Option<VoiceEntry>>,
}

impl Register<VoiceNews> {
    /// A member is in a voice channel, newly or otherwise than before.
    pub fn connected(&self, entry: VoiceEntry) {
        self.tell(|news| news.wishes.insert((entry.server_id, entry.user_id), Some(entry)));
    }

    /// A member is in no voice channel of the server any more.
    pub fn disconnected(&self, server_id: VoiceServerId, user_id: UserId) {
        self.tell(|news| news.wishes.insert((server_id, user_id), None));
    }
}
