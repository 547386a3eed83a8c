//! `PATCH /guilds/{id}/channels`.

use std::collections::BTreeMap;

use rookery_model::call::ChannelPosition;
use rookery_model::channel::Channel;
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions};

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn modify_channel_positions(
        &mut self,
        cx: &mut Cx<'_>,
        positions: &[ChannelPosition],
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_CHANNELS)?;
        let mut changed: BTreeMap<ChannelId, Channel> = BTreeMap::new();
        for wanted in positions {
            let old = guild.channels().get(&wanted.id).ok_or(ErrorCode::UnknownChannel)?;
            if !guild.can_view(cx.caller.id(), old) {
                return Err(ErrorCode::MissingAccess.into());
            }
            let mut new = changed.remove(&wanted.id).unwrap_or_else(|| old.clone());
            new.position = wanted.position.unwrap_or(new.position);
            match wanted.parent_id {
                Patch::Keep => {}
                Patch::Clear => new.parent_id = None,
                Patch::Set(id) => {
                    let parent =
                        guild.check_parent(Some(wanted.id), new.kind, id, self.limits.category_channels_max)?;
                    new.parent_id = Some(id);
                    if wanted.lock_permissions {
                        new.permission_overwrites =
                            guild.check_overwrites(cx, Some(old), &parent.permission_overwrites)?;
                    }
                }
            }
            changed.insert(wanted.id, new);
        }
        self.check_full_categories(&changed)?;
        self.change_channels(changed.into_values().collect())
    }

    /// Several channels moved at once may each find room that together they do not have.
    fn check_full_categories(&self, changed: &BTreeMap<ChannelId, Channel>) -> Result<(), ApiError> {
        let guild = self.guild()?;
        let mut children: BTreeMap<ChannelId, usize> = BTreeMap::new();
        for channel in guild.channels().values() {
            if let Some(parent) = changed.get(&channel.id).unwrap_or(channel).parent_id {
                *children.entry(parent).or_default() += 1;
            }
        }
        let max = self.limits.category_channels_max;
        if changed.values().filter_map(|c| c.parent_id).any(|parent| children.get(&parent).is_some_and(|n| *n > max)) {
            let message = format!("Maximum number of channels in category reached ({max})");
            return Err(ApiError::invalid_field(["parent_id"], "CHANNEL_PARENT_MAX_CHANNELS", message));
        }
        Ok(())
    }
}
