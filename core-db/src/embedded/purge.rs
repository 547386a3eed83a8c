//! Removes in the background what nobody can see any more: bounded steps, resumed after a crash.
//!
//! A step goes on where the last one ended, because a scan from the beginning would walk over the marks of all that was
//! removed before. What begins anew, after a crash or an error, begins at the first row; and a purge ends only with a
//! pass from the first row to the last that found nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use tracing::error;

use crate::StoreError;
use crate::doomed::Doomed;
use crate::key::{Key, Parts};
use crate::lower::release_invite_code;
use crate::tables::purges::{self, Purge};
use crate::tables::{
    Change, Pair, Sink, Table, View, attachments, audit_log, bans, emojis, invites, invites_by_guild, members,
    message_buckets, message_edits, messages, messages_by_author, pins, reaction_counts, reactions, roles,
    stage_instances, webhooks, webhooks_by_guild,
};

/// Rows looked at in one step.
pub const STEP_ROWS: usize = 1_000;
/// How long the erasure of a user goes on looking for messages after it began.
///
/// An edit that was decided before the erasure may be written after it, and would bring its message back.
const USER_GRACE: Duration = Duration::from_secs(2);
/// How long a purge rests that could not be taken further.
const ERROR_REST: Duration = Duration::from_secs(60);
/// How long one rests that went around damage: what stayed is hidden, and nothing but a repair changes it.
const DAMAGE_REST: Duration = Duration::from_secs(3_600);

/// Where the removal stands.
#[derive(Debug, Default)]
pub struct Purger {
    cursor: Option<Cursor>,
    /// Until when purges rest: erasures of users before their last pass, and any that failed.
    rests: HashMap<Purge, Instant>,
}

#[derive(Clone, Debug)]
struct Cursor {
    purge: Purge,
    table: Table,
    /// The last row looked at.
    key: Key,
}

impl Purger {
    /// Begins anew: what the last step removed may not have become durable.
    pub fn reset(&mut self) {
        self.cursor = None;
        self.rests.clear();
    }

    /// Whether there is something to do now.
    pub fn is_due(&self, doomed: &Doomed) -> bool {
        self.next(doomed).is_some()
    }

    fn next(&self, doomed: &Doomed) -> Option<Purge> {
        let now = Instant::now();
        doomed.first(|purge| self.rests.get(&purge).is_none_or(|until| now >= *until))
    }

    /// Takes the next step of a purge: at most about [`STEP_ROWS`] rows, or the end of the purge.
    pub fn step(&mut self, view: &impl View, doomed: &Doomed) -> Result<Vec<Change>, StoreError> {
        let Some(purge) = self.next(doomed) else { return Ok(Vec::new()) };
        let changes = self.step_of(view, purge);
        if changes.is_err() {
            self.rests.insert(purge, Instant::now() + ERROR_REST);
        }
        changes
    }

    fn step_of(&mut self, view: &impl View, purge: Purge) -> Result<Vec<Change>, StoreError> {
        // The group under construction may have changed how far it goes.
        let Some(through) = purges::through(view, purge)? else { return Ok(Vec::new()) };
        let resume = self.cursor.take().filter(|cursor| cursor.purge == purge);
        let from_beginning = resume.is_none();
        let (changes, damaged) = (Vec::new(), Vec::new());
        let mut step = Step { view, purge, resume, left: STEP_ROWS, last: None, changes, damaged };
        match purge {
            Purge::Channel(id) => step.channel(id)?,
            Purge::Guild(id) => step.guild(id)?,
            Purge::User(id) => step.user(id, through)?,
        }
        let Step { left, last, mut changes, damaged, .. } = step;
        if left == 0 {
            self.cursor = last;
        } else if !damaged.is_empty() {
            for error in &damaged {
                error!(?purge, %error, "a part of what was deleted cannot be removed: it is damaged, and stays hidden");
            }
            self.rests.insert(purge, Instant::now() + DAMAGE_REST);
        } else if from_beginning && self.may_end(purge, changes.is_empty()) {
            purges::delete(&mut changes, purge);
        }
        Ok(changes)
    }

    /// Whether a purge that found nothing more is over.
    fn may_end(&mut self, purge: Purge, found_nothing: bool) -> bool {
        if !matches!(purge, Purge::User(_)) {
            self.rests.remove(&purge);
            return true;
        }
        // It rested already: this was the last pass.
        if found_nothing && self.rests.remove(&purge).is_some() {
            return true;
        }
        self.rests.entry(purge).or_insert_with(|| Instant::now() + USER_GRACE);
        false
    }
}

/// A step under way.
struct Step<'a, V> {
    view: &'a V,
    purge: Purge,
    /// Where the last step ended; taken when its table is reached.
    resume: Option<Cursor>,
    /// Rows that may still be looked at.
    left: usize,
    last: Option<Cursor>,
    changes: Vec<Change>,
    /// What cannot be read, and stays.
    damaged: Vec<StoreError>,
}

impl<V: View> Step<'_, V> {
    /// The next rows of a table; none of a table that the step before was through with.
    fn rows(&mut self, table: Table, prefix: &Key, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let after = match &self.resume {
            Some(cursor) if cursor.table != table => return Ok(Vec::new()),
            Some(_) => self.resume.take().map(|cursor| cursor.key),
            None => None,
        };
        let limit = self.left.min(limit);
        let rows = self.view.scan_around(table, prefix, after.as_ref(), limit, &mut self.damaged)?;
        self.left -= rows.len();
        if let Some((key, _)) = rows.last() {
            self.last = Some(Cursor { purge: self.purge, table, key: Key::stored(key) });
        }
        Ok(rows)
    }

    /// Removes rows of a table.
    fn remove(&mut self, table: Table, prefix: &Key) -> Result<(), StoreError> {
        for (key, _) in self.rows(table, prefix, STEP_ROWS)? {
            self.changes.delete(table, Key::stored(&key));
        }
        Ok(())
    }

    /// Removes contents of a channel.
    fn channel(&mut self, id: ChannelId) -> Result<(), StoreError> {
        for (key, bytes) in self.rows(Table::Messages, &messages::prefix(id), STEP_ROWS)? {
            // A row that cannot be understood goes as well; only its index row stays.
            if let Ok(message) = messages::decode(&key, &bytes) {
                messages_by_author::delete(&mut self.changes, message.author_id, message.id, message.channel_id);
            }
            self.changes.delete(Table::Messages, Key::stored(&key));
        }
        self.remove(Table::MessageBuckets, &message_buckets::prefix(id))?;
        let files = self.rows(Table::Attachments, &attachments::channel_prefix(id), STEP_ROWS)?;
        attachments::delete_rows(&mut self.changes, &files)?;
        self.remove(Table::MessageEdits, &message_edits::channel_prefix(id))?;
        self.remove(Table::Reactions, &reactions::channel_prefix(id))?;
        self.remove(Table::ReactionCounts, &reaction_counts::channel_prefix(id))?;
        self.remove(Table::Pins, &pins::prefix(id))
    }

    /// Removes what belongs to a guild.
    fn guild(&mut self, id: GuildId) -> Result<(), StoreError> {
        for (key, _) in self.rows(Table::Members, &members::prefix(id), STEP_ROWS)? {
            match Parts::after(&key, &members::prefix(id)).and_then(|mut parts| parts.id()) {
                Some(user_id) => members::delete(&mut self.changes, id, UserId::new(user_id)),
                None => self.changes.delete(Table::Members, Key::stored(&key)),
            }
        }
        for (key, _) in self.rows(Table::InvitesByGuild, &invites_by_guild::prefix(id), STEP_ROWS)? {
            match self.invite(id, &key) {
                // The index row stays: it alone leads back here.
                Err(error @ StoreError::Corrupt { .. }) => self.damaged.push(error),
                outcome => outcome?,
            }
        }
        for (key, _) in self.rows(Table::WebhooksByGuild, &webhooks_by_guild::prefix(id), STEP_ROWS)? {
            webhooks::delete(&mut self.changes, id, webhooks_by_guild::id(id, &key)?);
        }
        self.remove(Table::Bans, &bans::prefix(id))?;
        self.remove(Table::Roles, &roles::prefix(id))?;
        self.remove(Table::Emojis, &emojis::prefix(id))?;
        self.remove(Table::StageInstances, &stage_instances::prefix(id))?;
        self.remove(Table::AuditLog, &audit_log::prefix(id))
    }

    /// Removes an invite with its code and its index row.
    fn invite(&mut self, id: GuildId, key: &[u8]) -> Result<(), StoreError> {
        let code = invites_by_guild::code(id, key)?;
        release_invite_code(self.view, id, code.to_owned(), &mut self.changes)?;
        invites::delete(&mut self.changes, id, code)
    }

    /// Removes messages of a user, up to an id.
    fn user(&mut self, id: UserId, through: MessageId) -> Result<(), StoreError> {
        let newest = messages_by_author::page_start(id, Some(MessageId::new(through.get().saturating_add(1))));
        let after = self.resume.take().map(|cursor| cursor.key).or(newest);
        let prefix = messages_by_author::prefix(id);
        let table = Table::MessagesByAuthor;
        let rows = self.view.scan_around(table, &prefix, after.as_ref(), self.left, &mut self.damaged)?;
        for (key, _) in rows {
            match self.message_of_user(&key) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error @ StoreError::Corrupt { .. }) => {
                    self.damaged.push(error);
                    self.left = self.left.saturating_sub(1);
                }
                Err(other) => return Err(other),
            }
            self.last = Some(Cursor { purge: self.purge, table, key: Key::stored(&key) });
        }
        Ok(())
    }

    /// Removes a message that a row of the index leads to; says whether all of it went.
    fn message_of_user(&mut self, key: &[u8]) -> Result<bool, StoreError> {
        let (channel_id, message_id) = messages_by_author::ids(key)?;
        let is_gone = remove_message(self.view, channel_id, message_id, &mut self.left, &mut self.changes)?;
        if is_gone {
            self.changes.delete(Table::MessagesByAuthor, Key::stored(key));
        }
        Ok(is_gone)
    }
}

/// Removes a message with all that hangs on it, but for its index row; says whether all of it went.
///
/// A message may have more reactions than one step removes: then nothing is left of the step, and the message stays.
pub fn remove_message(
    view: &impl View,
    channel_id: ChannelId,
    id: MessageId,
    left: &mut usize,
    changes: &mut Vec<Change>,
) -> Result<bool, StoreError> {
    for (table, prefix) in [
        (Table::Reactions, reactions::message_prefix(channel_id, id)),
        (Table::ReactionCounts, reaction_counts::message_prefix(channel_id, id)),
        (Table::MessageEdits, message_edits::message_prefix(channel_id, id)),
        (Table::Attachments, attachments::message_prefix(channel_id, id)),
    ] {
        let rows = view.scan(table, &prefix, *left)?;
        *left -= rows.len();
        match table {
            Table::Attachments => attachments::delete_rows(changes, &rows)?,
            _ => rows.iter().for_each(|(key, _)| changes.delete(table, Key::stored(key))),
        }
    }
    let Some(rest) = left.checked_sub(1) else { return Ok(false) };
    *left = rest;
    pins::delete(changes, channel_id, id);
    changes.delete(Table::Messages, messages::key(channel_id, id));
    Ok(true)
}
