//! `PATCH /channels/{id}/messages/{id}`.

use rookery_model::call::{EditMessage, Reply};
use rookery_model::gateway::Event;
use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::store::Write;
use rookery_model::{ApiError, ErrorCode, Patch, Permissions, UserId};

use super::Cx;
use crate::access::Access;
use crate::mentions::Mentions;
use crate::state::GuildCore;
use crate::view::replied_to;
use crate::{Given, Outcome};

impl GuildCore {
    pub(super) fn edit_message(&mut self, cx: &mut Cx<'_>, edit: &EditMessage) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), edit.channel_id)?;
        let old = cx.given.message(edit.channel_id, edit.message_id).ok_or(ErrorCode::UnknownMessage)?;
        check(&access, cx.caller.id(), old, edit)?;
        let mut row = old.clone();
        if let Some(flags) = edit.flags.clone().value() {
            row.flags = (row.flags - MessageFlags::SUPPRESS_EMBEDS) | (flags & MessageFlags::SUPPRESS_EMBEDS);
        }
        match &edit.content {
            Patch::Keep => {}
            Patch::Clear => row.content.clear(),
            Patch::Set(content) => row.content.clone_from(content),
        }
        match &edit.embeds {
            Patch::Keep => {}
            Patch::Clear => row.embeds.clear(),
            Patch::Set(embeds) => row.embeds.clone_from(embeds),
        }
        if row.content.trim().is_empty() && row.embeds.is_empty() && row.attachments.is_empty() {
            return Err(ErrorCode::EmptyMessage.into());
        }
        if !edit.content.is_keep() || !edit.allowed_mentions.is_keep() {
            self.mention_anew(cx.given, &access, &mut row, edit);
        }
        if touches_content(edit) {
            row.edited_timestamp = Some(cx.now);
        }

        let mut out = Outcome::reply(Reply::Message(Box::new(self.show(cx.given, &row, Some(cx.caller.id())))));
        let event = self.message_event(self.show(cx.given, &row, None));
        out.writes.push(Write::PutMessage(row));
        self.send_message(&mut out, cx.now, event, Event::MessageUpdate);
        Ok(out)
    }

    /// Reads the mentions of the new content; nobody is notified of an edit.
    fn mention_anew(&self, given: &Given, access: &Access<'_>, row: &mut MessageRow, edit: &EditMessage) {
        let allowed = edit.allowed_mentions.clone().value();
        let mut mentions = Mentions::parse(&row.content);
        mentions.allow(allowed.as_ref());
        mentions.permit(access.guild, access.permissions);
        let replied_author = replied_to(row)
            .and_then(|id| given.message(row.channel_id, id))
            .map(|referenced| referenced.author_id)
            .filter(|id| row.mention_users.contains(id))
            .filter(|_| allowed.as_ref().is_none_or(|allowed| allowed.replied_user));
        row.mention_users = self.known_users(given, &mentions.users);
        row.mention_users.extend(replied_author.filter(|id| !mentions.users.contains(id)));
        row.mention_everyone = mentions.everyone || mentions.here;
        row.mention_roles = mentions.roles;
    }
}

/// Authors change what they wrote; moderators only whether embeds are shown.
fn check(access: &Access<'_>, caller: UserId, row: &MessageRow, edit: &EditMessage) -> Result<(), ApiError> {
    if row.author_id != caller {
        if touches_content(edit) || edit.flags.is_keep() {
            return Err(ErrorCode::CannotEditOthersMessage.into());
        }
        access.guild()?;
        access.require(Permissions::MANAGE_MESSAGES)?;
    }
    if !matches!(row.kind, MessageType::Default | MessageType::Reply) {
        return Err(ErrorCode::CannotExecuteOnSystemMessage.into());
    }
    if matches!(&edit.embeds, Patch::Set(embeds) if !embeds.is_empty()) {
        access.require(Permissions::EMBED_LINKS)?;
    }
    Ok(())
}

const fn touches_content(edit: &EditMessage) -> bool {
    !edit.content.is_keep() || !edit.embeds.is_keep() || !edit.allowed_mentions.is_keep()
}
