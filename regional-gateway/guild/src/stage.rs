//! Stages that are live, as sessions come to see them and cease to.

use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::stage_instance::StageInstance;
use rookery_model::{ChannelId, UserId};

use crate::Outcome;
use crate::state::{GuildCore, GuildSpace, Space};

impl GuildSpace {
    /// Those in channels that a user sees, for GUILD_CREATE.
    pub(crate) fn stage_instances_for(&self, viewer: UserId) -> Vec<StageInstance> {
        let sees =
            |stage: &&StageInstance| self.channels().get(&stage.channel_id).is_some_and(|c| self.can_view(viewer, c));
        self.stage_instances.values().filter(sees).cloned().collect()
    }
}

impl GuildCore {
    /// A channel appears to sessions that follow the guild, with its stage if that is live.
    pub(crate) fn send_stage_appeared(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        self.send_stage(out, channel_id, to, Event::StageInstanceCreate);
    }

    /// A channel vanishes before sessions that follow the guild, with its stage.
    pub(crate) fn send_stage_vanished(&self, out: &mut Outcome, channel_id: ChannelId, to: &[SubscriberId]) {
        self.send_stage(out, channel_id, to, Event::StageInstanceDelete);
    }

    fn send_stage(
        &self,
        out: &mut Outcome,
        channel_id: ChannelId,
        to: &[SubscriberId],
        kind: fn(StageInstance) -> Event,
    ) {
        let Space::Guild(guild) = &self.space else { return };
        if let Some(stage) = guild.stage_instances.get(&channel_id) {
            out.send(kind(stage.clone()), to);
        }
    }
}
