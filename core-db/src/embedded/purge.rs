//! Removes in the background what nobody can see any more: bounded steps, resumed after a crash.

use std::collections::BTreeSet;

use crate::StoreError;
use crate::key::{Key, Parts};
use crate::lower::release_invite_code;
use crate::row;
use crate::tables::purges::{self, Purge};
use crate::tables::{
    Change, Sink, Table, View, bans, invites, invites_by_guild, members, message_buckets, messages, messages_by_author,
    pins, reaction_counts, reactions, roles,
};
use rookery_model::{ChannelId, GuildId, UserId};

/// Rows looked at in one step.
pub const STEP_ROWS: usize = 1_000;

/// Takes the next step of the first purge: at most [`STEP_ROWS`] rows, or the end of the purge.
pub fn step(view: &impl View, pending: &BTreeSet<Purge>) -> Result<Vec<Change>, StoreError> {
    let Some(purge) = pending.first() else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    let finished = match purge {
        Purge::Channel(id) => channel(view, *id, &mut changes)?,
        Purge::Guild(id) => guild(view, *id, &mut changes)?,
    };
    if finished {
        purges::delete(&mut changes, *purge);
    }
    Ok(changes)
}

/// Removes contents of a channel; says whether nothing is left.
fn channel(view: &impl View, id: ChannelId, changes: &mut Vec<Change>) -> Result<bool, StoreError> {
    let rows = view.scan(Table::Messages, &messages::prefix(id), STEP_ROWS)?;
    let mut left = STEP_ROWS - rows.len();
    for (key, bytes) in rows {
        let (channel_id, message_id) = messages::ids(&key)?;
        // A damaged row goes as well; only its index row stays.
        if let Ok(message) = messages::decode(&key, &bytes) {
            messages_by_author::delete(changes, message.author_id, message_id, channel_id);
        }
        changes.delete(Table::Messages, messages::key(channel_id, message_id));
    }
    for (table, prefix) in [
        (Table::MessageBuckets, message_buckets::prefix(id)),
        (Table::Reactions, reactions::channel_prefix(id)),
        (Table::ReactionCounts, reaction_counts::channel_prefix(id)),
        (Table::Pins, pins::prefix(id)),
    ] {
        remove(view, table, &prefix, &mut left, changes)?;
    }
    Ok(left > 0)
}

/// Removes what belongs to a guild; says whether nothing is left.
fn guild(view: &impl View, id: GuildId, changes: &mut Vec<Change>) -> Result<bool, StoreError> {
    let rows = view.scan(Table::Members, &members::prefix(id), STEP_ROWS)?;
    let mut left = STEP_ROWS - rows.len();
    for (key, _) in rows {
        let user_id = Parts::after(&key, &members::prefix(id)).and_then(|mut parts| parts.id());
        let user_id = user_id.ok_or_else(|| row::corrupt(Table::Members, &key, "key without a user"))?;
        members::delete(changes, id, UserId::new(user_id));
    }
    let rows = view.scan(Table::InvitesByGuild, &invites_by_guild::prefix(id), left)?;
    left -= rows.len();
    for (key, _) in rows {
        let code = invites_by_guild::code(id, &key)?;
        invites::delete(changes, id, code)?;
        release_invite_code(view, id, code.to_owned(), changes)?;
    }
    for (table, prefix) in [(Table::Bans, bans::prefix(id)), (Table::Roles, roles::prefix(id))] {
        remove(view, table, &prefix, &mut left, changes)?;
    }
    Ok(left > 0)
}

fn remove(
    view: &impl View,
    table: Table,
    prefix: &Key,
    left: &mut usize,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let rows = view.scan(table, prefix, *left)?;
    *left -= rows.len();
    for (key, _) in rows {
        let parts = Parts::after(&key, prefix).ok_or_else(|| row::corrupt(table, &key, "key outside its prefix"))?;
        changes.delete(table, prefix.clone().tail(parts.tail()));
    }
    Ok(())
}
