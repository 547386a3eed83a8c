//! A page of a dump: rows of a table in the order of keys, as the writes that make them.

use std::ops::{Bound, ControlFlow};

use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::store::{AttachmentRow, MessageEditRow, ReactionCountRow, ReactionRow, UniqueKey, Write};
use rookery_model::webhook::WebhookRow;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use serde::de::DeserializeOwned;

use super::damage::{Faults, Found};
use super::db::{Db, Direction};
use crate::StoreError;
use crate::doomed::Hidden;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, DumpRow, Section};
use crate::key::{Key, Parts};
use crate::row;
use crate::tables::{Table, imports, leases, messages, outbox, pins, purges, unique_keys};

/// Rows of a section behind a cursor, at most `limit` of them looked at.
pub fn page(
    db: &Db,
    hidden: &Hidden<'_>,
    section: Section,
    after: Option<&DumpCursor>,
    limit: usize,
) -> Result<DumpPage, StoreError> {
    let table = section.table();
    let prefix = Key::of(table);
    let begin = match (after, prefix.as_bytes()) {
        (Some(DumpCursor(key)), _) => Bound::Excluded(&key[..]),
        (None, []) => Bound::Unbounded,
        (None, prefix) => Bound::Included(prefix),
    };
    let end = prefix.end();
    let (mut page, mut seen) = (DumpPage::default(), 0);
    db.walk(table, (begin, Bound::Excluded(&end)), Direction::Forward, limit, Faults::OfMedia, |found| {
        let last = match found {
            Found::Row(key, bytes) => {
                match read(db, section, hidden, &key, &bytes) {
                    Ok(Some(row)) => page.rows.push(row),
                    Ok(None) => {}
                    Err(StoreError::Corrupt { table, key, reason }) => {
                        page.damaged.push(DamagedRow { table: table.into(), key, reason });
                    }
                    Err(other) => return Err(other),
                }
                key
            }
            Found::Stretch(stretch) => {
                let (table, key) = (stretch.table.name().into(), stretch.keys());
                page.damaged.push(DamagedRow { table, key, reason: stretch.reason });
                return Ok(ControlFlow::Continue(()));
            }
        };
        seen += 1;
        if seen < limit {
            return Ok(ControlFlow::Continue(()));
        }
        page.next = Some(DumpCursor(last.to_vec()));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(page)
}

/// A stored row; none if it belongs to what is being removed.
fn read(
    db: &Db,
    section: Section,
    hidden: &Hidden<'_>,
    key: &[u8],
    bytes: &[u8],
) -> Result<Option<DumpRow>, StoreError> {
    let table = section.table();
    let parts = || Parts::of(key, table).ok_or_else(|| row::corrupt(table, key, "key of another table"));
    let id = |part: Option<u64>| part.ok_or_else(|| row::corrupt(table, key, "key without its ids"));
    let in_guild = || Ok::<_, StoreError>(GuildId::new(id(parts()?.id())?));
    let in_channel = || Ok::<_, StoreError>(ChannelId::new(id(parts()?.id())?));
    let write = match section {
        Section::Accounts => Write::PutAccount(cbor(table, key, bytes)?),
        Section::UniqueKeys => return claim(hidden, key, bytes),
        Section::Applications => Write::PutApplication(cbor(table, key, bytes)?),
        Section::Guilds => Write::PutGuild(cbor(table, key, bytes)?),
        Section::Channels => Write::PutChannel(cbor(table, key, bytes)?),
        Section::Roles
        | Section::Members
        | Section::Bans
        | Section::Emojis
        | Section::AuditLog
        | Section::StageInstances
            if hidden.guild(in_guild()?) =>
        {
            return Ok(None);
        }
        Section::Roles => Write::PutRole { guild_id: in_guild()?, role: cbor(table, key, bytes)? },
        Section::Members => Write::PutMember(cbor(table, key, bytes)?),
        Section::Bans => Write::PutBan(cbor(table, key, bytes)?),
        Section::Invites => {
            let invite: rookery_model::invite::InviteRow = cbor(table, key, bytes)?;
            if hidden.guild(invite.guild_id) {
                return Ok(None);
            }
            Write::PutInvite(invite)
        }
        Section::Retentions => Write::PutRetention(cbor(table, key, bytes)?),
        Section::Dms => Write::PutDm(cbor(table, key, bytes)?),
        Section::DmListings => {
            let mut parts = parts()?;
            let user_id = UserId::new(id(parts.id())?);
            Write::PutDmListing { user_id, channel_id: ChannelId::new(id(parts.id())?) }
        }
        Section::ReadStates => Write::PutReadState(cbor(table, key, bytes)?),
        Section::Messages
        | Section::Pins
        | Section::Reactions
        | Section::ReactionCounts
        | Section::MessageEdits
        | Section::Attachments
            if hidden.channel(in_channel()?) =>
        {
            return Ok(None);
        }
        Section::Messages => {
            let message: MessageRow = messages::decode(key, bytes)?;
            if hidden.message_of(message.author_id, message.id) {
                return Ok(None);
            }
            Write::PutMessage(message)
        }
        Section::Pins => {
            let channel_id = in_channel()?;
            let pin = pins::decode(channel_id, key, bytes)?;
            if is_of_erased(db, hidden, channel_id, pin.message_id)? {
                return Ok(None);
            }
            Write::PutPin { channel_id, message_id: pin.message_id, pinned_at: pin.pinned_at }
        }
        Section::Reactions => {
            let reaction = reaction(key, bytes)?;
            if is_of_erased(db, hidden, reaction.channel_id, reaction.message_id)? {
                return Ok(None);
            }
            Write::PutReaction(reaction)
        }
        Section::ReactionCounts => {
            let count: ReactionCountRow = cbor(table, key, bytes)?;
            if is_of_erased(db, hidden, count.channel_id, count.message_id)? {
                return Ok(None);
            }
            Write::PutReactionCount(count)
        }
        Section::MessageEdits => {
            let edit: MessageEditRow = cbor(table, key, bytes)?;
            if hidden.message_of(edit.author_id, edit.message_id) {
                return Ok(None);
            }
            Write::PutMessageEdit(edit)
        }
        Section::Attachments => {
            let attachment: AttachmentRow = cbor(table, key, bytes)?;
            if hidden.message_of(attachment.author_id, attachment.message_id) {
                return Ok(None);
            }
            Write::PutAttachment(attachment)
        }
        Section::Emojis => Write::PutEmoji(cbor(table, key, bytes)?),
        Section::StageInstances => Write::PutStageInstance(cbor(table, key, bytes)?),
        Section::Webhooks => {
            let webhook: WebhookRow = cbor(table, key, bytes)?;
            if hidden.guild(webhook.guild_id) || hidden.channel(webhook.channel_id) {
                return Ok(None);
            }
            Write::PutWebhook(webhook)
        }
        Section::AuditLog => Write::PutAuditLogEntry(cbor(table, key, bytes)?),
        Section::Settings => Write::PutSettings(cbor(table, key, bytes)?),
        Section::Relationships => Write::PutRelationship(cbor(table, key, bytes)?),
        Section::Outbox => Write::PutOutbox(outbox::decode(key, bytes)?),
    };
    Ok(Some(DumpRow::Write(write)))
}

fn cbor<T: DeserializeOwned>(table: Table, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    row::decode(table, key, bytes)
}

/// Whether what hangs on a message belongs to one that is being erased.
///
/// A message goes in one batch with what hangs on it: where it is missing, it went since the row was read.
fn is_of_erased(
    db: &Db,
    hidden: &Hidden<'_>,
    channel_id: ChannelId,
    message_id: MessageId,
) -> Result<bool, StoreError> {
    if !hidden.any_user() {
        return Ok(false);
    }
    match messages::get(db, channel_id, message_id) {
        Ok(message) => Ok(message.is_none_or(|message| hidden.message_of(message.author_id, message_id))),
        // Whose it is cannot be known, and it is named in its own section.
        Err(StoreError::Corrupt { .. } | StoreError::Unavailable(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// A unique key; none if it is the code of an invite to a guild that is being removed.
fn claim(hidden: &Hidden<'_>, key: &[u8], bytes: &[u8]) -> Result<Option<DumpRow>, StoreError> {
    let unique: Option<UniqueKey> = unique_keys::parse(key);
    let unique = unique.ok_or_else(|| row::corrupt(Table::UniqueKeys, key, "not a unique key"))?;
    let owner = unique_keys::owner(key, bytes)?;
    let is_hidden = matches!(unique, UniqueKey::InviteCode(_)) && hidden.guild(GuildId::new(owner));
    Ok((!is_hidden).then_some(DumpRow::Claim { key: unique, owner }))
}

fn reaction(key: &[u8], bytes: &[u8]) -> Result<ReactionRow, StoreError> {
    let emoji: ReactionEmoji = row::decode(Table::Reactions, key, bytes)?;
    let ids = || {
        let mut parts = Parts::of(key, Table::Reactions)?;
        let (channel_id, message_id) = (parts.id()?, parts.id()?);
        // The emoji's text stands between, and the row has the emoji.
        let user_id = u64::from_be_bytes(*parts.tail().last_chunk::<8>()?);
        Some((ChannelId::new(channel_id), MessageId::new(message_id), UserId::new(user_id)))
    };
    let ids = ids().ok_or_else(|| row::corrupt(Table::Reactions, key, "key without its ids"))?;
    Ok(ReactionRow { channel_id: ids.0, message_id: ids.1, emoji, user_id: ids.2 })
}

/// Damage in tables that no section shows: what is deleted, who may do what, whether an import is under way.
pub fn damaged_beside(db: &Db) -> Vec<DamagedRow> {
    let mut damaged = Vec::new();
    if let Err(error) = purges::all(db, &mut damaged) {
        damaged.push(error);
    }
    damaged.extend(leases::id_ceiling(db).err());
    damaged.extend(imports::get(db).err());
    damaged.iter().for_each(|error| db.damage().note(error));
    damaged.into_iter().map(named).collect()
}

fn named(error: StoreError) -> DamagedRow {
    match error {
        StoreError::Corrupt { table, key, reason } => DamagedRow { table: table.into(), key, reason },
        // The error names the table; of the key nothing is known.
        other => DamagedRow { table: "rows".into(), key: String::new(), reason: other.to_string() },
    }
}
