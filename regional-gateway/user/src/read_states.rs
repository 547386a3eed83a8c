//! How far the user has read each channel, and how many mentions wait there.

use std::collections::HashMap;

use rookery_model::store::ReadState;
use rookery_model::{ChannelId, MessageId, UserId};

/// The read states of one user.
#[derive(Debug, Default)]
pub(crate) struct ReadStates {
    by_channel: HashMap<ChannelId, ReadState>,
}

impl ReadStates {
    pub(crate) fn load(rows: Vec<ReadState>) -> Self {
        Self { by_channel: rows.into_iter().map(|row| (row.channel_id, row)).collect() }
    }

    /// By channel id, so that two READYs of one state are equal.
    pub(crate) fn sorted(&self) -> Vec<ReadState> {
        let mut all: Vec<ReadState> = self.by_channel.values().cloned().collect();
        all.sort_unstable_by_key(|state| state.channel_id);
        all
    }

    /// Counts a mention in a message that is not read yet; the row to write.
    pub(crate) fn mention(&mut self, user: UserId, channel: ChannelId, message: MessageId) -> Option<ReadState> {
        let state = self.entry(user, channel);
        if state.last_message_id.is_some_and(|read| read >= message) {
            return None;
        }
        state.mention_count = state.mention_count.saturating_add(1);
        Some(state.clone())
    }

    /// Notes that everything up to a message is read; the row to write, or none if that changes nothing.
    ///
    /// `manual` marks a message unread again: the only way back. `mention_count` is what is left then.
    pub(crate) fn acknowledge(
        &mut self,
        user: UserId,
        channel: ChannelId,
        message: MessageId,
        manual: bool,
        mention_count: Option<u32>,
    ) -> Option<ReadState> {
        let state = self.entry(user, channel);
        let is_older = state.last_message_id.is_some_and(|read| read > message);
        if is_older && !manual {
            return None;
        }
        let mentions = if manual { mention_count.unwrap_or(0) } else { 0 };
        if state.last_message_id == Some(message) && state.mention_count == mentions {
            return None;
        }
        state.last_message_id = Some(message);
        state.mention_count = mentions;
        Some(state.clone())
    }

    fn entry(&mut self, user_id: UserId, channel_id: ChannelId) -> &mut ReadState {
        self.by_channel.entry(channel_id).or_insert_with(|| ReadState {
            user_id,
            channel_id,
            last_message_id: None,
            mention_count: 0,
            last_pin_timestamp: None,
        })
    }
}
