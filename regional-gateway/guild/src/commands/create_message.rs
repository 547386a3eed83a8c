//! `POST /channels/{id}/messages`.

use rookery_model::call::{CreateMessage, Reply};
use rookery_model::message::{Message, MessageFlags, MessageReference, MessageRow, MessageType};
use rookery_model::{ApiError, ErrorCode, MessageId, Permissions, Timestamp, UserId};

use super::Cx;
use super::post::new_row;
use crate::access::Access;
use crate::mentions::Mentions;
use crate::recent::Recent;
use crate::state::GuildCore;
use crate::{Caller, Given, Outcome};

/// Permissions that free a member from slowmode.
const WITHOUT_SLOWMODE: Permissions =
    Permissions::MANAGE_MESSAGES.union(Permissions::MANAGE_CHANNELS).union(Permissions::BYPASS_SLOWMODE);

impl GuildCore {
    pub(super) fn create_message(&mut self, cx: &mut Cx<'_>, new: &CreateMessage) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), new.channel_id)?;
        check_permissions(&access, new)?;
        if let Some(message) = self.same_nonce(cx.now, cx.caller, new) {
            return Ok(Outcome::reply(Reply::Message(Box::new(message.clone()))));
        }
        let has_slowmode = self.check_slowmode(cx.now, cx.caller, &access)?;
        let referenced = check_reference(cx.given, &self.recent, &access, new)?;

        let mut mentions = Mentions::parse(&new.content);
        mentions.allow(new.allowed_mentions.as_ref());
        mentions.permit(access.guild, access.permissions);
        let mut mention_users = self.known_users(cx.given, &mentions.users);
        let pings_author = new.allowed_mentions.as_ref().is_none_or(|allowed| allowed.replied_user);
        if let Some(author_id) = referenced.filter(|_| pings_author).map(|row| row.author_id)
            && author_id != cx.caller.id()
            && !mention_users.contains(&author_id)
        {
            mention_users.push(author_id);
        }
        let kind = if referenced.is_some() { MessageType::Reply } else { MessageType::Default };
        let row = MessageRow {
            content: new.content.clone(),
            tts: new.tts,
            mention_everyone: mentions.everyone || mentions.here,
            mention_users,
            mention_roles: mentions.roles.clone(),
            embeds: new.embeds.clone(),
            flags: new.flags & (MessageFlags::SUPPRESS_EMBEDS | MessageFlags::SUPPRESS_NOTIFICATIONS),
            message_reference: referenced.map(|row| self.reference(row.channel_id, row.id)),
            nonce: new.nonce.clone(),
            ..new_row(new.channel_id, MessageId(cx.ids.next_id()), cx.caller.id(), kind)
        };

        let mut out = Outcome::default();
        let message = self.post(cx, &mut out, row, &mentions);
        if has_slowmode {
            self.recent.note_written(cx.now, new.channel_id, cx.caller.id());
        }
        if let Some(nonce) = new.nonce.clone().filter(|_| new.enforce_nonce) {
            self.recent.note_nonce(cx.now, nonce, &message);
        }
        out.reply = Reply::Message(Box::new(message));
        Ok(out)
    }

    /// With `enforce_nonce`: the message that the caller sent with this nonce in the last minutes.
    pub(crate) fn same_nonce(&self, now: Timestamp, caller: &Caller, new: &CreateMessage) -> Option<&Message> {
        let nonce = new.nonce.as_ref().filter(|_| new.enforce_nonce)?;
        self.recent.by_nonce(now, caller.id(), new.channel_id, nonce)
    }

    /// Whether slowmode holds for the caller; 20016 while they must wait. Bots never wait.
    fn check_slowmode(&self, now: Timestamp, caller: &Caller, access: &Access<'_>) -> Result<bool, ApiError> {
        let interval = access.channel.rate_limit_per_user;
        if interval == 0 || !self.limits.slowmode || caller.user.bot || access.permissions.intersects(WITHOUT_SLOWMODE)
        {
            return Ok(false);
        }
        match self.recent.slowmode_wait_seconds(now, access.channel.id, caller.id(), interval) {
            Some(seconds) => Err(ApiError::rate_limited(ErrorCode::SlowmodeRateLimited, seconds, false)),
            None => Ok(true),
        }
    }

    /// Those mentioned who exist.
    pub(super) fn known_users(&self, given: &Given, ids: &[UserId]) -> Vec<UserId> {
        let exists = |id: &UserId| self.user(*id).is_some() || given.users.get(id).is_some_and(Option::is_some);
        ids.iter().copied().filter(exists).collect()
    }
}

fn check_permissions(access: &Access<'_>, new: &CreateMessage) -> Result<(), ApiError> {
    if !access.channel.kind.is_text_based() {
        return Err(ErrorCode::CannotMessageNonText.into());
    }
    access.require_text()?;
    access.require(Permissions::SEND_MESSAGES)?;
    if new.content.trim().is_empty() && new.embeds.is_empty() {
        return Err(ErrorCode::EmptyMessage.into());
    }
    if new.tts && access.guild.is_some() {
        access.require(Permissions::SEND_TTS_MESSAGES)?;
    }
    if !new.embeds.is_empty() {
        access.require(Permissions::EMBED_LINKS)?;
    }
    Ok(())
}

/// The message replied to. None: not a reply, or one to a message that is gone and need not be there.
fn check_reference<'g>(
    given: &'g Given,
    recent: &Recent,
    access: &Access<'_>,
    new: &CreateMessage,
) -> Result<Option<&'g MessageRow>, ApiError> {
    let unknown =
        || ApiError::invalid_field(["message_reference"], "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message");
    let Some(MessageReference { message_id: Some(id), channel_id, .. }) = &new.message_reference else {
        return Ok(None);
    };
    if !access.permissions.contains(Permissions::READ_MESSAGE_HISTORY) {
        return Err(ErrorCode::CannotReplyWithoutHistory.into());
    }
    // The row was read without holding the message, which may have been deleted since.
    let row = given.message(new.channel_id, *id).filter(|_| !recent.is_deleted(*id));
    let row = row.filter(|_| channel_id.is_none_or(|c| c == new.channel_id));
    match row {
        Some(row) if !is_repliable(row.kind) => Err(ApiError::invalid_field(
            ["message_reference"],
            "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
            "Cannot reply to a system message",
        )),
        Some(row) => Ok(Some(row)),
        None if new.fail_if_not_exists => Err(unknown()),
        None => Ok(None),
    }
}

const fn is_repliable(kind: MessageType) -> bool {
    matches!(kind, MessageType::Default | MessageType::Reply | MessageType::UserJoin)
}
