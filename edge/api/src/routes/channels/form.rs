//! Fields that creating and changing a channel share.

use rookery_model::channel::{ChannelType, Overwrite, OverwriteType};
use rookery_model::limits;

use crate::read::{Field, Item, Object};

pub const POSITION_MAX: i64 = i32::MAX as i64;
pub const OVERWRITES_MAX: usize = 100;
pub const VIDEO_QUALITY_MODES: [u8; 2] = [1, 2];
/// Minutes.
pub const AUTO_ARCHIVE_DURATIONS: [u32; 4] = [60, 1_440, 4_320, 10_080];
const BITRATE_MIN: i64 = 8_000;
const BITRATE_MAX: i64 = 384_000;
const RTC_REGION_MAX_CHARS: usize = 100;

/// What a channel of the API has and this one does not yet.
pub const NOT_YET: [(&str, &str); 6] = [
    ("available_tags", "forum channels"),
    ("default_reaction_emoji", "forum channels"),
    ("default_sort_order", "forum channels"),
    ("default_forum_layout", "forum channels"),
    ("default_tag_setting", "forum channels"),
    ("default_thread_rate_limit_per_user", "threads"),
];

pub fn name(item: Item<'_>) -> Option<String> {
    item.string(1..=limits::NAME_MAX_CHARS)
}

pub fn bitrate(item: Item<'_>) -> Option<u32> {
    item.integer(BITRATE_MIN..=BITRATE_MAX)
}

/// Of a channel of this kind; where it is not known, the region checks that of voice channels.
pub fn user_limit(item: Item<'_>, kind: Option<ChannelType>) -> Option<u32> {
    let max = if kind.is_none_or(|kind| kind == ChannelType::GuildStageVoice) {
        limits::STAGE_USER_LIMIT_MAX
    } else {
        limits::VOICE_USER_LIMIT_MAX
    };
    item.integer(0..=i64::from(max))
}

pub fn slowmode(item: Item<'_>) -> Option<u32> {
    item.integer(0..=i64::from(limits::SLOWMODE_MAX_SECONDS))
}

pub fn position(item: Item<'_>) -> Option<u32> {
    item.integer(0..=POSITION_MAX)
}

pub fn rtc_region(item: Item<'_>) -> Option<String> {
    item.string(1..=RTC_REGION_MAX_CHARS)
}

/// One of the kinds that can be made or changed into.
pub fn kind(item: Item<'_>, kinds: &[u8]) -> Option<ChannelType> {
    item.choice(kinds).and_then(|kind| ChannelType::try_from(kind).ok())
}

/// The list in a channel.
pub fn overwrites(item: Item<'_>) -> Option<Vec<Overwrite>> {
    item.list(0..=OVERWRITES_MAX, |item| {
        let object = item.object()?;
        let id = object.field("id").required(|id| id.id());
        Some(overwrite(&object, id))
    })
}

/// `type`, `allow` and `deny` of an overwrite.
pub fn overwrite(object: &Object<'_>, id: rookery_model::Snowflake) -> Overwrite {
    let bits = |field: Field<'_>| field.optional(|bits| bits.permissions()).unwrap_or_default();
    let kind = object.field("type").optional(|kind| kind.choice(&[0_u8, 1]));
    Overwrite {
        id,
        kind: kind.and_then(|kind| OverwriteType::try_from(kind).ok()).unwrap_or(OverwriteType::Role),
        allow: bits(object.field("allow")),
        deny: bits(object.field("deny")),
    }
}
