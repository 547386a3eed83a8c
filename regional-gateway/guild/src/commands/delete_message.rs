//! `DELETE /channels/{id}/messages/{id}`.

use rookery_model::gateway::Event;
use rookery_model::gateway::event::MessageDelete;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Permissions};

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn delete_message(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let row = cx.given.message(channel_id, message_id).ok_or(ErrorCode::UnknownMessage)?;
        if row.author_id != cx.caller.id() {
            // In DMs nobody moderates.
            access.guild()?;
            access.require(Permissions::MANAGE_MESSAGES)?;
        }
        if !row.kind.is_deletable() {
            return Err(ErrorCode::CannotExecuteOnSystemMessage.into());
        }
        let mut out = Outcome::default();
        // Takes reactions and pin along.
        out.writes.push(Write::DeleteMessage { channel_id, message_id });
        self.recent.note_deleted(message_id);
        let event = MessageDelete { id: message_id, channel_id, guild_id: self.guild_id() };
        self.send_to_readers(&mut out, cx.now, channel_id, Event::MessageDelete(event));
        Ok(out)
    }
}
