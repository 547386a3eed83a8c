//! Reactions: added, removed, cleared.

use rookery_model::call::EmojiRef;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::{ReactionEvent, ReactionsCleared};
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::store::{ReactionCountRow, ReactionRow, Write};
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Permissions, UserId};

use super::Cx;
use crate::access::Access;
use crate::permission_cache::is_timed_out;
use crate::state::GuildCore;
use crate::{Given, Outcome};

impl GuildCore {
    pub(super) fn add_reaction(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &EmojiRef,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.require_text()?;
        access.require(Permissions::READ_MESSAGE_HISTORY)?;
        require_not_timed_out(&access, cx)?;
        let message = cx.given.message(channel_id, message_id).ok_or(ErrorCode::UnknownMessage)?;
        let counts = counts(cx.given, message);
        let user_id = cx.caller.id();
        let count = match counts.iter().find(|count| count.emoji.key() == key(emoji)) {
            Some(count) => {
                if reacted(cx.given, message, user_id, &count.emoji) {
                    return Ok(Outcome::default());
                }
                ReactionCountRow { count: count.count.saturating_add(1), ..count.clone() }
            }
            None => {
                access.require(Permissions::ADD_REACTIONS)?;
                let emoji = known_emoji(emoji)?;
                if counts.len() >= self.limits.message_reactions_max {
                    return Err(ErrorCode::MaxReactions.into());
                }
                ReactionCountRow { channel_id, message_id, emoji, count: 1, first_at: cx.now }
            }
        };
        let emoji = count.emoji.clone();
        let mut out = Outcome::default();
        out.writes.push(Write::PutReaction(ReactionRow { channel_id, message_id, emoji: emoji.clone(), user_id }));
        out.writes.push(Write::PutReactionCount(count));
        let member = self
            .bare_member(user_id)
            .map(|member| rookery_model::member::Member { user: Some(cx.caller.user.clone()), ..member });
        let event =
            ReactionEvent { member, message_author_id: Some(message.author_id), ..self.event(message, user_id, emoji) };
        self.send_to_readers(&mut out, cx.now, channel_id, Event::MessageReactionAdd(event));
        Ok(out)
    }

    /// `user_id` none is the caller's own reaction.
    pub(super) fn remove_reaction(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: &EmojiRef,
        user_id: Option<UserId>,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.require_text()?;
        access.require(Permissions::READ_MESSAGE_HISTORY)?;
        let user_id = user_id.unwrap_or(cx.caller.id());
        if user_id != cx.caller.id() {
            access.guild()?;
            access.require(Permissions::MANAGE_MESSAGES)?;
        }
        let message = cx.given.message(channel_id, message_id).ok_or(ErrorCode::UnknownMessage)?;
        let count = counts(cx.given, message).iter().find(|count| count.emoji.key() == key(emoji));
        let count = count.ok_or(ErrorCode::UnknownEmoji)?;
        let mut out = Outcome::default();
        if !reacted(cx.given, message, user_id, &count.emoji) {
            return Ok(out);
        }
        let emoji = count.emoji.clone();
        out.writes.push(Write::DeleteReaction(ReactionRow { channel_id, message_id, emoji: emoji.clone(), user_id }));
        out.writes.push(if count.count > 1 {
            Write::PutReactionCount(ReactionCountRow { count: count.count - 1, ..count.clone() })
        } else {
            Write::DeleteReactionCount { channel_id, message_id, emoji: emoji.clone() }
        });
        let event = self.event(message, user_id, emoji);
        self.send_to_readers(&mut out, cx.now, channel_id, Event::MessageReactionRemove(event));
        Ok(out)
    }

    /// `emoji` none clears all.
    pub(super) fn clear_reactions(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: Option<&EmojiRef>,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        access.guild()?;
        access.require_text()?;
        access.require(Permissions::READ_MESSAGE_HISTORY | Permissions::MANAGE_MESSAGES)?;
        cx.given.message(channel_id, message_id).ok_or(ErrorCode::UnknownMessage)?;
        let emoji = emoji.map(reaction_emoji);
        let mut out = Outcome::default();
        out.writes.push(Write::ClearReactions { channel_id, message_id, emoji: emoji.clone() });
        let kind = if emoji.is_some() { Event::MessageReactionRemoveEmoji } else { Event::MessageReactionRemoveAll };
        let event = ReactionsCleared { channel_id, message_id, guild_id: self.guild_id(), emoji };
        self.send_to_readers(&mut out, cx.now, channel_id, kind(event));
        Ok(out)
    }

    fn event(&self, message: &MessageRow, user_id: UserId, emoji: ReactionEmoji) -> ReactionEvent {
        ReactionEvent {
            user_id,
            channel_id: message.channel_id,
            message_id: message.id,
            guild_id: self.guild_id(),
            emoji,
            member: None,
            message_author_id: None,
            burst: false,
            kind: 0,
        }
    }
}

/// 50013 in time-out: to join a reaction that is there already takes no permission that a time-out could take away.
fn require_not_timed_out(access: &Access<'_>, cx: &Cx<'_>) -> Result<(), ApiError> {
    let entry = access.guild.and_then(|guild| guild.members().get(cx.caller.id()));
    let is_exempt = access.permissions.contains(Permissions::ADMINISTRATOR);
    match entry {
        Some(entry) if !is_exempt && is_timed_out(&entry.row, cx.now) => Err(ErrorCode::MissingPermissions.into()),
        _ => Ok(()),
    }
}

fn counts<'g>(given: &'g Given, message: &MessageRow) -> &'g [ReactionCountRow] {
    given.reaction_counts.get(&(message.channel_id, message.id)).map_or(&[], Vec::as_slice)
}

fn reacted(given: &Given, message: &MessageRow, user_id: UserId, emoji: &ReactionEmoji) -> bool {
    let own = given.own_reactions.get(&(message.channel_id, message.id, user_id));
    own.is_some_and(|own| own.iter().any(|other| other.key() == emoji.key()))
}

fn reaction_emoji(emoji: &EmojiRef) -> ReactionEmoji {
    match emoji {
        EmojiRef::Unicode(name) => ReactionEmoji::unicode(name.clone()),
        EmojiRef::Custom { id, name, animated } => {
            ReactionEmoji { id: Some(*id), name: Some(name.clone()), animated: *animated }
        }
    }
}

fn key(emoji: &EmojiRef) -> String {
    reaction_emoji(emoji).key()
}

/// An emoji that can be newly put on a message; guilds have no custom ones yet, so none of those is known.
fn known_emoji(emoji: &EmojiRef) -> Result<ReactionEmoji, ApiError> {
    match emoji {
        EmojiRef::Unicode(name) if looks_like_emoji(name) => Ok(ReactionEmoji::unicode(name.clone())),
        _ => Err(ErrorCode::UnknownEmoji.into()),
    }
}

/// A coarse guard of the store's keys, by the blocks of Unicode in which emojis are; the edge knows each emoji.
fn looks_like_emoji(name: &str) -> bool {
    const CHARS_MAX: usize = 32;
    const fn is_part(c: char) -> bool {
        matches!(c,
            // Keycaps, with a variation selector and U+20E3 behind them.
            '0'..='9' | '#' | '*' | '©' | '®'
            // Joiners and marks, arrows, symbols, and the few of CJK.
            | '\u{200d}' | '\u{203c}' | '\u{2049}' | '\u{20e3}' | '\u{2100}'..='\u{2bff}'
            | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{fe0e}' | '\u{fe0f}'
            // Pictographs and flags, and the tags of flags of regions.
            | '\u{1f000}'..='\u{1faff}' | '\u{e0020}'..='\u{e007f}')
    }
    !name.is_ascii() && name.chars().count() <= CHARS_MAX && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emojis_are_told_from_text() {
        for emoji in ["👍", "❤️", "1️⃣", "🏳️‍🌈", "🇩🇪", "👍🏽", "©️", "ℹ️", "Ⓜ️", "㊗️", "🅰️", "♥"]
        {
            assert!(looks_like_emoji(emoji), "{emoji}");
        }
        for text in ["", "a", "1", "ok👍", "日本", " ", "👍 👍", "é"] {
            assert!(!looks_like_emoji(text), "{text}");
        }
    }
}
