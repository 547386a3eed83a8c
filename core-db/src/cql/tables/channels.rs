//! `channels`: where a channel is found: its guild, or the DMs.
//!
//! The row itself stands in `channels_by_guild` or `dms`, once; the columns that both have are declared here.

use rookery_model::{ChannelId, GuildId};

use super::prelude::*;

row! { channel_id: i64, guild_id: Blank<i64> }

/// The table's statements.
pub struct Channels {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Channels {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Channels);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("channel_id = ?"),
            table.select(&["guild_id"], "channel_id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    /// Says that a channel belongs to a guild, or with none to the DMs.
    pub fn put(&self, id: ChannelId, guild_id: Option<GuildId>, at: i64) -> Mutation {
        let row = Row { channel_id: big(id), guild_id: blank_id(guild_id) };
        self.put.with(Partition::Of(id.get(), 0), row.at(at))
    }

    pub fn delete(&self, id: ChannelId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(id.get(), 0), (at, big(id)))
    }

    /// The guild of a channel; the inner none is a DM.
    pub async fn guild_of(&self, calls: &Calls, id: ChannelId) -> Result<Option<Option<GuildId>>, StoreError> {
        let row: Option<(Blank<i64>,)> = calls.row_from_anywhere(&self.get, (big(id),), Some(id.timestamp())).await?;
        Ok(row.map(|(guild_id,)| id_or_none(guild_id)))
    }
}

/// An overwrite as a tuple: id, type, allow, deny.
pub(super) type OverwriteTuple = (i64, i8, i64, i64);

/// Declares the row of a table that holds channels: `channel_id`, one column of its own, and the columns of a channel.
macro_rules! channel_row {
    ($($own:ident: $own_kind:ty),+) => {
        row! {
            channel_id: i64,
            $($own: $own_kind,)+
            kind as "type": i8,
            name: Option<String>,
            position: i32,
            permission_overwrites: Vec<$crate::cql::tables::channels::OverwriteTuple>,
            topic: Option<String>,
            nsfw: bool,
            last_message_id: Blank<i64>,
            last_pin_timestamp_us: Blank<i64>,
            bitrate: Blank<i32>,
            user_limit: Blank<i32>,
            rate_limit_per_user: i32,
            rtc_region: Option<String>,
            // A tinyint has no empty value: absent is null.
            video_quality_mode: Option<i8>,
            parent_id: Blank<i64>,
            default_auto_archive_duration: Blank<i32>,
            icon: Option<String>,
            owner_id: Blank<i64>,
            flags: i32,
        }

        impl Row {
            fn of(channel: &rookery_model::channel::Channel, $($own: $own_kind),+) -> Self {
                // Every field by name: a new one does not compile until it is stored. The guild is the key, and who is
                // in a DM stands beside it.
                let rookery_model::channel::Channel {
                    id,
                    kind,
                    guild_id: _,
                    name,
                    position,
                    permission_overwrites,
                    topic,
                    nsfw,
                    last_message_id,
                    last_pin_timestamp,
                    bitrate,
                    user_limit,
                    rate_limit_per_user,
                    rtc_region,
                    video_quality_mode,
                    parent_id,
                    default_auto_archive_duration,
                    recipients: _,
                    icon,
                    owner_id,
                    flags,
                } = channel;
                Self {
                    channel_id: big(*id),
                    $($own,)+
                    kind: u8::from(*kind).cast_signed(),
                    name: name.clone(),
                    position: position.cast_signed(),
                    permission_overwrites: $crate::cql::tables::channels::tuples(permission_overwrites),
                    topic: topic.clone(),
                    nsfw: *nsfw,
                    last_message_id: blank_id(*last_message_id),
                    last_pin_timestamp_us: Blank(last_pin_timestamp.map(|at| at.0)),
                    bitrate: blank_int(*bitrate),
                    user_limit: blank_int(*user_limit),
                    rate_limit_per_user: rate_limit_per_user.cast_signed(),
                    rtc_region: rtc_region.clone(),
                    video_quality_mode: video_quality_mode.map(u8::cast_signed),
                    parent_id: blank_id(*parent_id),
                    default_auto_archive_duration: blank_int(*default_auto_archive_duration),
                    icon: icon.clone(),
                    owner_id: blank_id(*owner_id),
                    flags: flags.cast_signed(),
                }
            }

            fn into_channel(
                self,
                guild_id: Option<rookery_model::GuildId>,
            ) -> Result<rookery_model::channel::Channel, String> {
                Ok(rookery_model::channel::Channel {
                    id: id(self.channel_id),
                    kind: self.kind.cast_unsigned().try_into()?,
                    guild_id,
                    name: self.name,
                    position: self.position.cast_unsigned(),
                    permission_overwrites: $crate::cql::tables::channels::overwrites(self.permission_overwrites)?,
                    topic: self.topic,
                    nsfw: self.nsfw,
                    last_message_id: id_or_none(self.last_message_id),
                    last_pin_timestamp: self.last_pin_timestamp_us.0.map(Timestamp),
                    bitrate: int_or_none(self.bitrate),
                    user_limit: int_or_none(self.user_limit),
                    rate_limit_per_user: self.rate_limit_per_user.cast_unsigned(),
                    rtc_region: self.rtc_region,
                    video_quality_mode: self.video_quality_mode.map(i8::cast_unsigned),
                    parent_id: id_or_none(self.parent_id),
                    default_auto_archive_duration: int_or_none(self.default_auto_archive_duration),
                    recipients: Vec::new(),
                    icon: self.icon,
                    owner_id: id_or_none(self.owner_id),
                    flags: self.flags.cast_unsigned(),
                })
            }
        }
    };
}

/// Overwrites as tuples.
pub(super) fn tuples(overwrites: &[rookery_model::channel::Overwrite]) -> Vec<OverwriteTuple> {
    let tuple = |overwrite: &rookery_model::channel::Overwrite| {
        (
            big(overwrite.id),
            u8::from(overwrite.kind).cast_signed(),
            overwrite.allow.bits().cast_signed(),
            overwrite.deny.bits().cast_signed(),
        )
    };
    overwrites.iter().map(tuple).collect()
}

/// Overwrites out of tuples.
pub(super) fn overwrites(tuples: Vec<OverwriteTuple>) -> Result<Vec<rookery_model::channel::Overwrite>, String> {
    let overwrite = |(raw, kind, allow, deny): OverwriteTuple| {
        Ok(rookery_model::channel::Overwrite {
            id: id(raw),
            kind: kind.cast_unsigned().try_into()?,
            allow: rookery_model::Permissions::from_bits_retain(allow.cast_unsigned()),
            deny: rookery_model::Permissions::from_bits_retain(deny.cast_unsigned()),
        })
    };
    tuples.into_iter().map(overwrite).collect()
}
