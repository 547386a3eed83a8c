//! `PUT` and `DELETE /channels/{id}/messages/pins/{id}`.

use rookery_model::gateway::Event;
use rookery_model::gateway::event::ChannelPinsUpdate;
use rookery_model::message::{MessageRow, MessageType};
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Permissions, Timestamp};

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

const MAY_PIN: Permissions = Permissions::PIN_MESSAGES.union(Permissions::MANAGE_MESSAGES);

impl GuildCore {
    pub(super) fn pin_message(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<Outcome, ApiError> {
        let row = self.pinnable(cx, channel_id, message_id)?;
        let mut out = Outcome::default();
        if row.pinned {
            return Ok(out);
        }
        if !matches!(row.kind, MessageType::Default | MessageType::Reply) {
            return Err(ErrorCode::CannotExecuteOnSystemMessage.into());
        }
        if cx.given.pins.get(&channel_id).map_or(0, Vec::len) >= self.limits.channel_pins_max {
            return Err(ErrorCode::MaxPins.into());
        }
        out.writes.push(Write::PutPin { channel_id, message_id, pinned_at: cx.now });
        self.change_pin(cx, &mut out, MessageRow { pinned: true, ..row }, Some(cx.now))?;
        let reference = self.reference(channel_id, message_id);
        self.post_system(cx, &mut out, channel_id, cx.caller.id(), MessageType::ChannelPinnedMessage, |row| {
            row.message_reference = Some(reference);
        });
        Ok(out)
    }

    pub(super) fn unpin_message(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<Outcome, ApiError> {
        let row = self.pinnable(cx, channel_id, message_id)?;
        let mut out = Outcome::default();
        if !row.pinned {
            return Ok(out);
        }
        let others = cx.given.pins.get(&channel_id).into_iter().flatten().filter(|(id, _)| *id != message_id);
        let last = others.map(|(_, at)| *at).max();
        out.writes.push(Write::DeletePin { channel_id, message_id });
        self.change_pin(cx, &mut out, MessageRow { pinned: false, ..row }, last)?;
        Ok(out)
    }

    fn pinnable(&self, cx: &Cx<'_>, channel_id: ChannelId, message_id: MessageId) -> Result<MessageRow, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.require_text()?;
        access.require_any(MAY_PIN)?;
        cx.given.message(channel_id, message_id).cloned().ok_or_else(|| ErrorCode::UnknownMessage.into())
    }

    /// The message's row, CHANNEL_PINS_UPDATE and MESSAGE_UPDATE.
    fn change_pin(
        &mut self,
        cx: &Cx<'_>,
        out: &mut Outcome,
        row: MessageRow,
        last_pin_timestamp: Option<Timestamp>,
    ) -> Result<(), ApiError> {
        let channel_id = row.channel_id;
        out.writes.extend(self.update_channel(channel_id, |channel| channel.last_pin_timestamp = last_pin_timestamp)?);
        self.note_passive(cx.now, channel_id);
        let event = ChannelPinsUpdate { guild_id: self.guild_id(), channel_id, last_pin_timestamp };
        self.send_to_readers(out, cx.now, channel_id, Event::ChannelPinsUpdate(event));
        let event = self.message_event(self.show(cx.given, &row, None));
        out.writes.push(Write::PutMessage(row));
        self.send_message(out, cx.now, event, Event::MessageUpdate);
        Ok(())
    }
}
