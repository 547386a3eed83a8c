//! Which category a channel stands in.

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::{ApiError, ChannelId};

use crate::state::GuildSpace;

impl GuildSpace {
    /// Checks a channel's wish for a category: it must be one, have room, and the channel must not be one itself.
    pub(super) fn check_parent(
        &self,
        child: Option<ChannelId>,
        kind: ChannelType,
        parent_id: ChannelId,
        children_max: usize,
    ) -> Result<&Channel, ApiError> {
        let error = |code: &'static str, message: String| Err(ApiError::invalid_field(["parent_id"], code, message));
        let Some(parent) = self.channels().get(&parent_id) else {
            return error("CHANNEL_PARENT_INVALID", "Category does not exist".into());
        };
        if parent.kind != ChannelType::GuildCategory {
            return error("CHANNEL_PARENT_INVALID_TYPE", "Not a category".into());
        }
        if kind == ChannelType::GuildCategory {
            return error("CHANNEL_PARENT_INVALID_TYPE", "Categories cannot have a parent".into());
        }
        let others = self.channels().values().filter(|c| c.parent_id == Some(parent_id) && Some(c.id) != child);
        if others.count() >= children_max {
            let message = format!("Maximum number of channels in category reached ({children_max})");
            return error("CHANNEL_PARENT_MAX_CHANNELS", message);
        }
        Ok(parent)
    }

    /// The position behind all channels that a new one of this kind is listed with.
    pub(super) fn last_position(&self, kind: ChannelType, parent_id: Option<ChannelId>) -> u32 {
        let listed_with = |c: &&Channel| {
            c.parent_id == parent_id
                && (c.kind == ChannelType::GuildCategory) == (kind == ChannelType::GuildCategory)
                && c.kind.is_voice_based() == kind.is_voice_based()
        };
        self.channels().values().filter(listed_with).map(|c| c.position.saturating_add(1)).max().unwrap_or(0)
    }
}
