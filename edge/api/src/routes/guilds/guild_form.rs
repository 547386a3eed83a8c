//! Fields that creating and changing a guild share.

use rookery_model::limits;

use crate::read::Item;

/// Seconds.
const AFK_TIMEOUTS: [u32; 5] = [60, 300, 900, 1_800, 3_600];
const LOCALES: [&str; 34] = [
    "ar", "bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW",
];

/// The name, without the white space around it.
pub fn name(item: Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    let (min, max) = (limits::GUILD_NAME_MIN_CHARS, limits::NAME_MAX_CHARS);
    if !(min..=max).contains(&text.chars().count()) {
        return item.fail("BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length."));
    }
    Some(text.to_owned())
}

pub fn verification_level(item: Item<'_>) -> Option<u8> {
    item.choice(&[0, 1, 2, 3, 4])
}

pub fn default_message_notifications(item: Item<'_>) -> Option<u8> {
    item.choice(&[0, 1])
}

pub fn explicit_content_filter(item: Item<'_>) -> Option<u8> {
    item.choice(&[0, 1, 2])
}

pub fn afk_timeout(item: Item<'_>) -> Option<u32> {
    item.choice(&AFK_TIMEOUTS)
}

pub fn system_channel_flags(item: Item<'_>) -> Option<u32> {
    item.integer(0..=i64::from(i32::MAX))
}

pub fn locale(item: Item<'_>) -> Option<String> {
    item.word(&LOCALES).map(str::to_owned)
}
