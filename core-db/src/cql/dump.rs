//! A page of a dump: rows of a table by ranges of the token ring, as the writes that make them.
//!
//! The ring is cut into [`RANGES`]; each is read page by page, so that no query reads more than [`ROWS_MAX`] rows. A cursor
//! is the number of the range and the driver's place in it.

use std::collections::HashSet;

use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ChannelId, MessageId, UserId};
use scylla::deserialize::row::DeserializeRow;
use scylla::response::PagingState;

use super::damage::Decoded;
use super::shared::Shared;
use super::statement::{Preparer, Statement};
use super::tables::messages::PageRow;
use super::tables::{self, corrupt};
use super::value::id;
use crate::doomed::Hidden;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, DumpRow, Section};
use crate::tables::Table;
use crate::{OpenError, StoreError};

/// Into how many ranges the ring is cut.
const RANGES: u16 = 16;
/// Rows of one query at most.
const ROWS_MAX: usize = 1_000;

/// A section's query of one range.
pub struct Dumps(Vec<(Section, Statement)>);

impl Dumps {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let statements = Section::ALL.map(|section| async move {
            let (columns, key) = source(section);
            let range = format!("token({key}) > ? AND token({key}) <= ?");
            let statement = preparer.table(section.table()).select(columns, &range).await?;
            Ok::<_, OpenError>((section, statement))
        });
        Ok(Self(futures_util::future::try_join_all(statements).await?))
    }

    fn of(&self, section: Section) -> Result<&Statement, StoreError> {
        let found = self.0.iter().find(|(of, _)| *of == section);
        let missing = || StoreError::Invalid(format!("section {} has no query", section.name()));
        found.map(|(_, statement)| statement).ok_or_else(missing)
    }
}

/// What is read of a section, and the partition key.
fn source(section: Section) -> (&'static [&'static str], &'static str) {
    use tables::*;
    match section {
        Section::Accounts => (accounts::Row::COLUMNS, "user_id"),
        Section::UniqueKeys => (&["kind", "name", "owner_id"], "kind, name"),
        Section::Applications => (applications::Row::COLUMNS, "application_id"),
        Section::Guilds => (guilds::Row::COLUMNS, "guild_id"),
        Section::Channels => (channels_by_guild::Row::COLUMNS, "guild_id"),
        Section::Roles => (roles::Row::COLUMNS, "guild_id"),
        Section::Members => (members::Row::COLUMNS, "guild_id"),
        Section::Bans => (bans::Row::COLUMNS, "guild_id"),
        Section::Invites => (invites::Row::COLUMNS, "code"),
        Section::Retentions => (retentions::Row::COLUMNS, "guild_id"),
        Section::Dms => (dms::Row::COLUMNS, "channel_id"),
        Section::DmListings => (dms_by_user::Row::COLUMNS, "user_id"),
        Section::ReadStates => (read_states::Row::COLUMNS, "user_id"),
        Section::Messages => (messages::Row::COLUMNS, "channel_id, bucket"),
        Section::Pins => (pins::Row::COLUMNS, "channel_id"),
        Section::Reactions => (reactions::Row::COLUMNS, "channel_id, message_id"),
        Section::ReactionCounts => (reaction_counts::Row::COLUMNS, "channel_id, bucket"),
        Section::MessageEdits => (message_edits::Row::COLUMNS, "channel_id, bucket"),
        Section::Attachments => (attachments::Row::COLUMNS, "channel_id, bucket"),
        Section::Emojis => (emojis::Row::COLUMNS, "guild_id"),
        Section::StageInstances => (stage_instances::Row::COLUMNS, "guild_id"),
        Section::Webhooks => (webhooks::Row::COLUMNS, "webhook_id"),
        Section::AuditLog => (audit_log::Row::COLUMNS, "guild_id, bucket"),
        Section::Settings => (settings::Row::COLUMNS, "user_id"),
        Section::Relationships => (relationships::Row::COLUMNS, "user_id"),
        Section::Outbox => (outbox::Row::COLUMNS, "queue, minute"),
    }
}

/// Rows of a section behind a cursor, at most `limit` of them looked at.
pub async fn page(
    shared: &Shared,
    section: Section,
    after: Option<DumpCursor>,
    limit: usize,
) -> Result<DumpPage, StoreError> {
    let statement = shared.dumps.of(section)?;
    let hidden = shared.doomed.hidden();
    let limit = limit.max(1);
    let mut place = after.map_or_else(|| Ok(Place::default()), |cursor| Place::of(&cursor))?;
    let mut reader = Reader { hidden: &hidden, page: DumpPage::default(), seen: 0 };
    while place.range < RANGES && reader.seen < limit {
        let rows_max = (limit - reader.seen).min(ROWS_MAX);
        let next = query(shared, section, statement, &place, rows_max, &mut reader).await?;
        place = match next {
            Some(state) => Place { range: place.range, state: Some(state) },
            None => Place { range: place.range + 1, state: None },
        };
    }
    let mut page = reader.page;
    if hidden.any_user() {
        drop_of_erased(shared, &hidden, &mut page.rows).await?;
    }
    page.next = (place.range < RANGES).then(|| place.cursor());
    Ok(page)
}

/// Where a dump stands.
#[derive(Default)]
struct Place {
    range: u16,
    /// The driver's place in the range; none at its beginning.
    state: Option<Vec<u8>>,
}

impl Place {
    fn of(cursor: &DumpCursor) -> Result<Self, StoreError> {
        let wrong = || StoreError::Invalid("this is no cursor of a dump of this engine".into());
        let (range, state) = cursor.0.split_first_chunk::<2>().ok_or_else(wrong)?;
        let range = u16::from_be_bytes(*range);
        if range >= RANGES {
            return Err(wrong());
        }
        Ok(Self { range, state: (!state.is_empty()).then(|| state.to_vec()) })
    }

    fn cursor(&self) -> DumpCursor {
        let mut bytes = self.range.to_be_bytes().to_vec();
        bytes.extend(self.state.iter().flatten());
        DumpCursor(bytes)
    }

    /// The tokens of the range: above the first, up to the second. No token is the lowest number.
    fn tokens(&self) -> (i64, i64) {
        let bound = |number: u16| {
            let width = (1_i128 << 64) / i128::from(RANGES);
            let token = i128::from(i64::MIN) + width * i128::from(number);
            i64::try_from(token).unwrap_or(i64::MAX)
        };
        (bound(self.range), bound(self.range + 1))
    }
}

/// Puts rows on a page.
struct Reader<'a> {
    hidden: &'a Hidden<'a>,
    page: DumpPage,
    seen: usize,
}

impl Reader<'_> {
    fn add(&mut self, row: Result<Option<DumpRow>, StoreError>) -> Result<(), StoreError> {
        self.seen += 1;
        match row {
            Ok(row) => self.page.rows.extend(row),
            Err(StoreError::Corrupt { table, key, reason }) => {
                self.page.damaged.push(DamagedRow { table: table.into(), key, reason });
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

/// One query of one range; answers where the next one begins in it.
async fn query(
    shared: &Shared,
    section: Section,
    statement: &Statement,
    place: &Place,
    rows_max: usize,
    reader: &mut Reader<'_>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let state = place.state.clone().map_or_else(PagingState::start, PagingState::new_from_raw_bytes);
    let rows_max = i32::try_from(rows_max).unwrap_or(i32::MAX);
    let (rows, next) = shared.calls.bounded_page(statement, &place.tokens(), state, rows_max).await?;
    let hidden = reader.hidden;
    macro_rules! each {
        ($row:ty, $read:expr) => {
            for row in decode::<$row>(statement, &rows)? {
                reader.add(row.and_then($read))?;
            }
        };
    }
    let put = |write: Write| Ok(Some(DumpRow::Write(write)));
    let unless = |is_hidden: bool, write: Write| Ok((!is_hidden).then_some(DumpRow::Write(write)));
    use tables::*;
    match section {
        Section::Accounts => each!(accounts::Row, |row| put(Write::PutAccount(accounts::account(row)))),
        Section::UniqueKeys => each!((i8, String, Option<i64>), |row| claim(hidden, row)),
        Section::Applications => {
            each!(applications::Row, |row| put(Write::PutApplication(applications::application(row))))
        }
        Section::Guilds => each!(guilds::Row, |row| {
            let guild = guilds::guild(row);
            unless(hidden.guild(guild.id), Write::PutGuild(guild))
        }),
        Section::Channels => each!(channels_by_guild::Row, |row| {
            let channel = channels_by_guild::channel(row)?;
            let is_hidden = hidden.channel(channel.id) || channel.guild_id.is_some_and(|id| hidden.guild(id));
            unless(is_hidden, Write::PutChannel(channel))
        }),
        Section::Roles => each!(roles::Row, |row: roles::Row| {
            let guild_id = id(row.guild_id);
            unless(hidden.guild(guild_id), Write::PutRole { guild_id, role: roles::role(row) })
        }),
        Section::Members => each!(members::Row, |row| {
            let member = members::member(row);
            unless(hidden.guild(member.guild_id), Write::PutMember(member))
        }),
        Section::Bans => each!(bans::Row, |row| {
            let ban = bans::ban(row);
            unless(hidden.guild(ban.guild_id), Write::PutBan(ban))
        }),
        Section::Invites => each!(invites::Row, |row| {
            let invite = invites::invite(row);
            unless(hidden.guild(invite.guild_id), Write::PutInvite(invite))
        }),
        Section::Retentions => each!(retentions::Row, |row| {
            let retention = retentions::retention(row);
            unless(hidden.guild(retention.guild_id), Write::PutRetention(retention))
        }),
        Section::Dms => each!(dms::Row, |row| put(Write::PutDm(dms::dm(row)?))),
        Section::DmListings => each!(dms_by_user::Row, |row: dms_by_user::Row| {
            put(Write::PutDmListing { user_id: id(row.user_id), channel_id: id(row.channel_id) })
        }),
        Section::ReadStates => each!(read_states::Row, |row| put(Write::PutReadState(read_states::state(row)))),
        Section::Messages => each!(Decoded<messages::PageRow, 3>, |row| message(hidden, row)),
        Section::Pins => each!(pins::Row, |row: pins::Row| {
            let (channel_id, message_id) = (id(row.channel_id), id(row.message_id));
            let pinned_at = rookery_model::Timestamp(row.pinned_at_us);
            unless(hidden.channel(channel_id), Write::PutPin { channel_id, message_id, pinned_at })
        }),
        Section::Reactions => each!(reactions::Row, |row| {
            let reaction = reactions::reaction(row)?;
            unless(hidden.channel(reaction.channel_id), Write::PutReaction(reaction))
        }),
        Section::ReactionCounts => each!(reaction_counts::Row, |row| {
            let count = reaction_counts::count(row)?;
            unless(hidden.channel(count.channel_id), Write::PutReactionCount(count))
        }),
        Section::MessageEdits => each!(message_edits::Row, |row| {
            let edit = message_edits::edit(row)?;
            let is_erased = hidden.message_of(edit.author_id, edit.message_id);
            unless(is_erased || hidden.channel(edit.channel_id), Write::PutMessageEdit(edit))
        }),
        Section::Attachments => each!(attachments::Row, |row| {
            let file = attachments::attachment(row);
            let is_erased = hidden.message_of(file.author_id, file.message_id);
            unless(is_erased || hidden.channel(file.channel_id), Write::PutAttachment(file))
        }),
        Section::Emojis => each!(emojis::Row, |row| {
            let emoji = emojis::emoji(row);
            unless(hidden.guild(emoji.guild_id), Write::PutEmoji(emoji))
        }),
        Section::StageInstances => each!(stage_instances::Row, |row| {
            let stage = stage_instances::stage_instance(row);
            unless(hidden.guild(stage.guild_id), Write::PutStageInstance(stage))
        }),
        Section::Webhooks => each!(webhooks::Row, |row| {
            let webhook = webhooks::webhook(row);
            let is_hidden = hidden.guild(webhook.guild_id) || hidden.channel(webhook.channel_id);
            unless(is_hidden, Write::PutWebhook(webhook))
        }),
        Section::AuditLog => each!(audit_log::Row, |row| {
            let entry = audit_log::entry(row)?;
            unless(hidden.guild(entry.guild_id), Write::PutAuditLogEntry(entry))
        }),
        Section::Settings => each!(settings::Row, |row| put(Write::PutSettings(settings::settings(row)))),
        Section::Relationships => {
            each!(relationships::Row, |row| put(Write::PutRelationship(relationships::relationship(row)?)))
        }
        Section::Outbox => each!(outbox::Row, |row| put(Write::PutOutbox(outbox::work(row)?))),
    }
    Ok(next)
}

/// The rows of a page, each understood or not by itself.
fn decode<R>(
    statement: &Statement,
    rows: &scylla::response::query_result::QueryRowsResult,
) -> Result<Vec<Result<R, StoreError>>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let not_understood = |error: &dyn std::error::Error| super::calls::not_understood(statement, error);
    let rows = rows.rows::<R>().map_err(|error| not_understood(&error))?;
    Ok(rows.map(|row| row.map_err(|error| not_understood(&error))).collect())
}

fn message(hidden: &Hidden<'_>, row: Decoded<PageRow, 3>) -> Result<Option<DumpRow>, StoreError> {
    match tables::messages::understood(row)? {
        PageRow::Message(message) => {
            let is_hidden = hidden.channel(message.channel_id) || hidden.message_of(message.author_id, message.id);
            Ok((!is_hidden).then_some(DumpRow::Write(Write::PutMessage(message))))
        }
        PageRow::Hidden(_) => Ok(None),
    }
}

/// Takes away what hangs on messages that are being erased, or went since the rows were read.
async fn drop_of_erased(shared: &Shared, hidden: &Hidden<'_>, rows: &mut Vec<DumpRow>) -> Result<(), StoreError> {
    let messages: HashSet<(ChannelId, MessageId)> = rows.iter().filter_map(hangs_on).collect();
    let seen = messages.into_iter().map(|(channel_id, id)| async move {
        let author = shared.tables.messages.author(&shared.calls, channel_id, id).await?;
        let is_seen = author.flatten().is_some_and(|author_id| !hidden.message_of(author_id, id));
        Ok::<_, StoreError>(is_seen.then_some((channel_id, id)))
    });
    let seen: HashSet<_> = futures_util::future::try_join_all(seen).await?.into_iter().flatten().collect();
    rows.retain(|row| hangs_on(row).is_none_or(|message| seen.contains(&message)));
    Ok(())
}

/// The message that a row belongs to and goes with.
fn hangs_on(row: &DumpRow) -> Option<(ChannelId, MessageId)> {
    match row {
        DumpRow::Write(Write::PutPin { channel_id, message_id, .. }) => Some((*channel_id, *message_id)),
        DumpRow::Write(Write::PutReaction(reaction)) => Some((reaction.channel_id, reaction.message_id)),
        DumpRow::Write(Write::PutReactionCount(count)) => Some((count.channel_id, count.message_id)),
        _ => None,
    }
}

/// A unique key; a row without an owner is what a release leaves behind, and the code of an invite to a guild that is
/// being removed goes with it.
fn claim(hidden: &Hidden<'_>, (kind, name, owner): (i8, String, Option<i64>)) -> Result<Option<DumpRow>, StoreError> {
    let Some(owner) = owner else { return Ok(None) };
    let pair = |name: &str| {
        let (one, other) = name.split_once(':')?;
        Some(UniqueKey::DmPair(one.parse::<UserId>().ok()?, other.parse::<UserId>().ok()?))
    };
    let key = match kind {
        1 => Some(UniqueKey::Email(name)),
        2 => Some(UniqueKey::Username(name)),
        3 => Some(UniqueKey::InviteCode(name)),
        4 => pair(&name),
        _ => None,
    };
    let key = key.ok_or_else(|| corrupt(Table::UniqueKeys, &[kind.into()], "not a unique key"))?;
    let is_hidden = matches!(key, UniqueKey::InviteCode(_)) && hidden.guild(id(owner));
    Ok((!is_hidden).then_some(DumpRow::Claim { key, owner: owner.cast_unsigned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_ring_without_gap_or_overlap() {
        let mut end = i64::MIN;
        for range in 0..RANGES {
            let (after, to) = Place { range, state: None }.tokens();
            assert_eq!(after, end);
            assert!(to > after);
            end = to;
        }
        assert_eq!(end, i64::MAX);
    }

    #[test]
    fn a_cursor_comes_back_and_a_wrong_one_is_refused() {
        for state in [None, Some(vec![1, 2, 3])] {
            let place = Place::of(&Place { range: 7, state: state.clone() }.cursor()).unwrap();
            assert_eq!((place.range, place.state), (7, state));
        }
        for wrong in [vec![], vec![0], vec![0, 16]] {
            assert!(matches!(Place::of(&DumpCursor(wrong)), Err(StoreError::Invalid(_))));
        }
    }
}
