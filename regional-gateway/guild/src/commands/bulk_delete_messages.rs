//! `POST /channels/{id}/messages/bulk-delete`.

use rookery_model::gateway::Event;
use rookery_model::gateway::event::MessageDeleteBulk;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Permissions, Timestamp, limits};

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

const MESSAGES_MIN: usize = 2;

impl GuildCore {
    pub(super) fn bulk_delete_messages(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_ids: &[MessageId],
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.guild()?;
        access.require(Permissions::MANAGE_MESSAGES)?;
        check_ids(cx.now, message_ids)?;
        let ids: Vec<MessageId> =
            message_ids.iter().copied().filter(|id| cx.given.message(channel_id, *id).is_some()).collect();
        let mut out = Outcome::default();
        if ids.is_empty() {
            return Ok(out);
        }
        out.writes.extend(ids.iter().map(|id| Write::DeleteMessage { channel_id, message_id: *id }));
        ids.iter().for_each(|id| self.recent.note_deleted(*id));
        let event = MessageDeleteBulk { ids, channel_id, guild_id: self.guild_id() };
        self.send_to_readers(&mut out, cx.now, channel_id, Event::MessageDeleteBulk(event));
        Ok(out)
    }
}

/// 2 to 100 different messages, none older than two weeks.
fn check_ids(now: Timestamp, ids: &[MessageId]) -> Result<(), ApiError> {
    if !(MESSAGES_MIN..=limits::BULK_DELETE_MAX).contains(&ids.len()) {
        return Err(ErrorCode::BulkDeleteCount.into());
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ApiError::invalid_field(
            ["messages"],
            "SET_TYPE_ALREADY_CONTAINS_VALUE",
            "The set already contains this value",
        ));
    }
    let age_max_ms = limits::BULK_DELETE_MAX_AGE_MS as i64;
    if ids.iter().any(|id| now.unix_ms() - id.timestamp().unix_ms() > age_max_ms) {
        return Err(ErrorCode::BulkDeleteTooOld.into());
    }
    Ok(())
}
