//! Rows of an archive: what stands in a dump, in CBOR with field names.
//!
//! The encoding is canonical: equal rows of any engine have equal bytes, so that digests can be compared. Fields are
//! only added, as in the store itself.

use rookery_model::role::Role;
use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ChannelId, GuildId, MessageId, Timestamp, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::dump::{DumpRow, Section};
use crate::tables::channels::Stored;
use crate::tables::dms::StoredDm;

/// Raised when a row gets other bytes than before, by a new field for example: digests of archives with another number
/// are not compared, only their counts of rows. A new section needs no new number: an archive without it has no rows of it.
pub const ROW_ENCODING: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Claim {
    key: UniqueKey,
    owner: u64,
}

#[derive(Serialize, Deserialize)]
struct RoleOfGuild<R> {
    guild_id: GuildId,
    role: R,
}

#[derive(Serialize, Deserialize)]
struct Pin {
    channel_id: ChannelId,
    message_id: MessageId,
    pinned_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct DmListing {
    user_id: UserId,
    channel_id: ChannelId,
}

/// Appends a row.
pub fn encode(row: &DumpRow, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let write = match row {
        DumpRow::Write(write) => write,
        DumpRow::Claim { key, owner } => return cbor(&Claim { key: key.clone(), owner: *owner }, out),
    };
    match write {
        Write::PutAccount(account) => cbor(account, out),
        Write::PutApplication(application) => cbor(application, out),
        Write::PutGuild(guild) => cbor(guild, out),
        Write::PutChannel(channel) => cbor(&Stored::from(channel), out),
        Write::PutRole { guild_id, role } => cbor(&RoleOfGuild { guild_id: *guild_id, role }, out),
        Write::PutMember(member) => cbor(member, out),
        Write::PutBan(ban) => cbor(ban, out),
        Write::PutInvite(invite) => cbor(invite, out),
        Write::PutRetention(retention) => cbor(retention, out),
        Write::PutDm(dm) => cbor(&StoredDm::from(dm), out),
        Write::PutDmListing { user_id, channel_id } => {
            cbor(&DmListing { user_id: *user_id, channel_id: *channel_id }, out)
        }
        Write::PutReadState(state) => cbor(state, out),
        Write::PutMessage(message) => cbor(message, out),
        Write::PutPin { channel_id, message_id, pinned_at } => {
            cbor(&Pin { channel_id: *channel_id, message_id: *message_id, pinned_at: *pinned_at }, out)
        }
        Write::PutReaction(reaction) => cbor(reaction, out),
        Write::PutReactionCount(count) => cbor(count, out),
        Write::PutMessageEdit(row) => cbor(row, out),
        Write::PutAttachment(row) => cbor(row, out),
        Write::PutEmoji(row) => cbor(row, out),
        Write::PutWebhook(row) => cbor(row, out),
        Write::PutAuditLogEntry(row) => cbor(row, out),
        Write::PutSettings(row) => cbor(row, out),
        Write::PutRelationship(row) => cbor(row, out),
        Write::PutOutbox(row) => cbor(row, out),
        Write::PutStageInstance(row) => cbor(row, out),
        other => Err(StoreError::Invalid(format!("a dump holds what is not a row: {other:?}"))),
    }
}

/// Reads a row of a section; the error says what is wrong with it.
pub fn decode(section: Section, bytes: &[u8]) -> Result<DumpRow, String> {
    Ok(DumpRow::Write(match section {
        Section::UniqueKeys => {
            let Claim { key, owner } = parse(bytes)?;
            return Ok(DumpRow::Claim { key, owner });
        }
        Section::Accounts => Write::PutAccount(parse(bytes)?),
        Section::Applications => Write::PutApplication(parse(bytes)?),
        Section::Guilds => Write::PutGuild(parse(bytes)?),
        Section::Channels => Write::PutChannel(parse(bytes)?),
        Section::Roles => {
            let RoleOfGuild::<Role> { guild_id, role } = parse(bytes)?;
            Write::PutRole { guild_id, role }
        }
        Section::Members => Write::PutMember(parse(bytes)?),
        Section::Bans => Write::PutBan(parse(bytes)?),
        Section::Invites => Write::PutInvite(parse(bytes)?),
        Section::Retentions => Write::PutRetention(parse(bytes)?),
        Section::Dms => Write::PutDm(parse(bytes)?),
        Section::DmListings => {
            let DmListing { user_id, channel_id } = parse(bytes)?;
            Write::PutDmListing { user_id, channel_id }
        }
        Section::ReadStates => Write::PutReadState(parse(bytes)?),
        Section::Messages => Write::PutMessage(parse(bytes)?),
        Section::Pins => {
            let Pin { channel_id, message_id, pinned_at } = parse(bytes)?;
            Write::PutPin { channel_id, message_id, pinned_at }
        }
        Section::Reactions => Write::PutReaction(parse(bytes)?),
        Section::ReactionCounts => Write::PutReactionCount(parse(bytes)?),
        Section::MessageEdits => Write::PutMessageEdit(parse(bytes)?),
        Section::Attachments => Write::PutAttachment(parse(bytes)?),
        Section::Emojis => Write::PutEmoji(parse(bytes)?),
        Section::Webhooks => Write::PutWebhook(parse(bytes)?),
        Section::AuditLog => Write::PutAuditLogEntry(parse(bytes)?),
        Section::Settings => Write::PutSettings(parse(bytes)?),
        Section::Relationships => Write::PutRelationship(parse(bytes)?),
        Section::Outbox => Write::PutOutbox(parse(bytes)?),
        Section::StageInstances => Write::PutStageInstance(parse(bytes)?),
    }))
}

fn cbor<T: Serialize>(row: &T, out: &mut Vec<u8>) -> Result<(), StoreError> {
    ciborium::into_writer(row, out).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    ciborium::from_reader(bytes).map_err(|error| error.to_string())
}
