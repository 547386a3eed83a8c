//! How a message comes into a channel, whoever wrote it.

use rookery_model::gateway::Event;
use rookery_model::message::{Message, MessageFlags, MessageRow, MessageType};
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, MessageId, UserId};

use super::Cx;
use crate::mentions::Mentions;
use crate::state::{GuildCore, Space};
use crate::{Effect, Outcome};

impl GuildCore {
    /// Puts a new message into its channel: row, event, notifications; returns it as the author sees it.
    pub(crate) fn post(&mut self, cx: &Cx<'_>, out: &mut Outcome, row: MessageRow, mentions: &Mentions) -> Message {
        let (channel_id, message_id) = (row.channel_id, row.id);
        match &mut self.space {
            Space::Guild(guild) => guild.set_last_message(channel_id, message_id),
            Space::Dm(dm) => dm.channel.last_message_id = Some(message_id),
        }
        self.note_passive(cx.now, channel_id);
        self.list_dm(out);
        let nonce = row.nonce.clone();
        let message = Message { nonce, ..self.show(cx.given, &row, None) };
        let user_ids = self.notified(cx.now, &row, mentions);
        if !user_ids.is_empty() {
            out.effects.push(Effect::Mentioned { channel_id, message_id, user_ids });
        }
        out.writes.push(Write::PutMessage(row));
        let event = self.message_event(message.clone());
        self.send_message(out, cx.now, event, Event::MessageCreate);
        message
    }

    /// A message that nobody wrote: somebody joined, pinned, left, renamed.
    pub(super) fn post_system(
        &mut self,
        cx: &mut Cx<'_>,
        out: &mut Outcome,
        channel_id: ChannelId,
        author_id: UserId,
        kind: MessageType,
        fill: impl FnOnce(&mut MessageRow),
    ) {
        let mut row = new_row(channel_id, MessageId(cx.ids.next_id()), author_id, kind);
        fill(&mut row);
        self.post(cx, out, row, &Mentions::default());
    }

    /// A DM that its users closed comes back with its next message.
    fn list_dm(&mut self, out: &mut Outcome) {
        let Space::Dm(dm) = &mut self.space else { return };
        for user_id in dm.user_ids() {
            if dm.listed.insert(user_id) {
                out.writes.push(Write::PutDmListing { user_id, channel_id: dm.channel.id });
                // Owners of users leave it out where the DM was listed already.
                out.send_to_users(Event::ChannelCreate(dm.view(user_id)), [user_id]);
            }
        }
    }

    /// The row of the channel, to be written after a change of its own fields.
    pub(super) fn channel_row(&self, channel_id: ChannelId) -> Option<Write> {
        match &self.space {
            Space::Guild(guild) => guild.channels().get(&channel_id).cloned().map(Write::PutChannel),
            Space::Dm(dm) => Some(Write::PutDm(dm.row())),
        }
    }

    /// Changes fields of a channel that decide nothing about who sees it.
    pub(super) fn update_channel(
        &mut self,
        channel_id: ChannelId,
        change: impl FnOnce(&mut rookery_model::channel::Channel),
    ) -> Result<Option<Write>, ApiError> {
        match &mut self.space {
            Space::Guild(guild) => {
                if let Some(channel) = guild.channels().get(&channel_id) {
                    let mut channel = channel.clone();
                    change(&mut channel);
                    guild.put_channel(channel);
                }
            }
            Space::Dm(dm) => change(&mut dm.channel),
        }
        Ok(self.channel_row(channel_id))
    }
}

/// An empty message.
pub(crate) fn new_row(channel_id: ChannelId, id: MessageId, author_id: UserId, kind: MessageType) -> MessageRow {
    MessageRow {
        channel_id,
        id,
        author_id,
        kind,
        content: String::new(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::empty(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    }
}
