//! What is going on in voice channels, as somebody there has put it. Nothing of it is stored: a status ends when the last
//! one leaves the channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::ChannelId;
use rookery_model::gateway::{Event, SubscriberId, VoiceChannelStatusUpdate};

use crate::Outcome;
use crate::state::{GuildCore, Space};
use crate::voice::Voice;

/// The statuses of a guild's voice channels; those without one are not in it.
pub(crate) type VoiceStatuses = BTreeMap<ChannelId, Arc<str>>;

impl Voice {
    /// The status of a channel.
    pub fn status(&self, channel_id: ChannelId) -> Option<&str> {
        self.statuses.get(&channel_id).map(|status| &**status)
    }
    /// Gives a channel a status; false if that changes nothing.
    pub fn set_status(&mut self, channel_id: ChannelId, status: Option<&str>) -> bool {
        let old = match status {
            Some(status) => self.statuses.insert(channel_id, status.into()),
            None => self.statuses.remove(&channel_id),
        };
        old.as_deref() != status
    }
}

impl GuildCore {
    /// Tells those who see a channel of its status.
    pub(crate) fn send_voice_status(&mut self, out: &mut Outcome, channel_id: ChannelId) {
        if let Some(event) = self.voice_status_update(channel_id) {
            self.send_to_channel(out, channel_id, event);
        }
    }

    /// A channel appears to sessions that follow the guild, with its status if it has one.
    pub(crate) fn send_voice_status_appeared(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        if self.voice.status(channel_id).is_some()
            && let Some(event) = self.voice_status_update(channel_id)
        {
            out.send(event, to);
        }
    }

    /// Ends the status of a channel that somebody left, if they were the last one there.
    pub(crate) fn end_idle_voice_status(&mut self, out: &mut Outcome, channel_id: ChannelId) {
        if self.voice.of_channel(channel_id).next().is_none() {
            self.end_voice_status(out, channel_id);
        }
    }

    /// Ends the statuses of all channels, as nobody is in one any more.
    pub(crate) fn end_voice_statuses(&mut self, out: &mut Outcome) {
        for channel_id in self.voice.statuses.keys().copied().collect::<Vec<_>>() {
            self.end_voice_status(out, channel_id);
        }
    }

    /// Forgets the statuses of channels that are not there any more, of which nobody can be told.
    pub(crate) fn forget_unknown_voice_statuses(&mut self) {
        let Space::Guild(guild) = &self.space else { return };
        self.voice.statuses.retain(|channel_id, _| guild.channels().contains_key(channel_id));
    }

    /// Tells the status of a channel once more: something that told it got lost.
    pub fn repeat_voice_status(&mut self, channel_id: ChannelId) -> Outcome {
        let mut out = Outcome::default();
        self.send_voice_status(&mut out, channel_id);
        out
    }

    /// Ends the status of a channel, if it has one.
    pub(crate) fn end_voice_status(&mut self, out: &mut Outcome, channel_id: ChannelId) {
        if self.voice.set_status(channel_id, None) {
            self.send_voice_status(out, channel_id);
        }
    }

    fn voice_status_update(&self, id: ChannelId) -> Option<Event> {
        let status = self.voice.status(id).map(str::to_owned);
        Some(Event::VoiceChannelStatusUpdate(VoiceChannelStatusUpdate { id, guild_id: self.guild_id()?, status }))
    }
}
