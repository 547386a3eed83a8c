//! `channels`: where a channel is found: its guild, or the DMs.
//!
//! The row itself stands in `channels_by_guild` or `dms`, once; this table answers the first question of every call
//! that names only a channel.

use rookery_model::channel::{Channel, ChannelType, Overwrite};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{Sink, Table, View, channels_by_guild, dms};
use crate::key::Key;
use crate::{StoreError, row};

/// Where the row is; neither is set for a DM.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    #[serde(default)]
    guild_id: Option<GuildId>,
}

fn key(id: ChannelId) -> Key {
    Key::of(Table::Channels).id(id.get())
}

/// Says that a channel belongs to a guild, or with none to the DMs.
pub fn put_place(sink: &mut impl Sink, id: ChannelId, guild_id: Option<GuildId>) -> Result<(), StoreError> {
    sink.put(Table::Channels, key(id), row::encode(&Place { guild_id })?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, id: ChannelId) {
    sink.delete(Table::Channels, key(id));
}

pub fn get(view: &impl View, id: ChannelId) -> Result<Option<Channel>, StoreError> {
    let key = key(id);
    let Some(bytes) = view.get(Table::Channels, &key)? else { return Ok(None) };
    let place: Place = row::decode(Table::Channels, key.as_bytes(), &bytes)?;
    match place.guild_id {
        Some(guild_id) => channels_by_guild::get(view, guild_id, id),
        None => Ok(dms::get(view, id)?.map(|dm| dm.channel)),
    }
}

/// All fields of a channel as stored.
///
/// The model's own serialisation is the API's: it leaves out fields that a kind does not show. What is stored must not
/// depend on that, or a change of kind would lose a topic.
#[derive(Serialize)]
pub(crate) struct Stored<'a> {
    id: ChannelId,
    #[serde(rename = "type")]
    kind: ChannelType,
    guild_id: Option<GuildId>,
    name: &'a Option<String>,
    position: u32,
    permission_overwrites: &'a [Overwrite],
    topic: &'a Option<String>,
    nsfw: bool,
    last_message_id: Option<MessageId>,
    last_pin_timestamp: Option<Timestamp>,
    bitrate: Option<u32>,
    user_limit: Option<u32>,
    rate_limit_per_user: u32,
    rtc_region: &'a Option<String>,
    video_quality_mode: Option<u8>,
    parent_id: Option<ChannelId>,
    default_auto_archive_duration: Option<u32>,
    #[serde(skip_serializing_if = "<[User]>::is_empty")]
    recipients: &'a [User],
    icon: &'a Option<String>,
    owner_id: Option<UserId>,
    flags: u32,
}

impl<'a> From<&'a Channel> for Stored<'a> {
    fn from(channel: &'a Channel) -> Self {
        // Every field by name: a new one does not compile until it is stored.
        let Channel {
            id,
            kind,
            guild_id,
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
            recipients,
            icon,
            owner_id,
            flags,
        } = channel;
        Self {
            id: *id,
            kind: *kind,
            guild_id: *guild_id,
            name,
            position: *position,
            permission_overwrites,
            topic,
            nsfw: *nsfw,
            last_message_id: *last_message_id,
            last_pin_timestamp: *last_pin_timestamp,
            bitrate: *bitrate,
            user_limit: *user_limit,
            rate_limit_per_user: *rate_limit_per_user,
            rtc_region,
            video_quality_mode: *video_quality_mode,
            parent_id: *parent_id,
            default_auto_archive_duration: *default_auto_archive_duration,
            recipients,
            icon,
            owner_id: *owner_id,
            flags: *flags,
        }
    }
}
