//! Fields that creating and editing a message share.

use std::cell::Cell;

use rookery_model::embed::Embed;
use rookery_model::message::MessageFlags;

use super::embeds::{self, EmbedSize};
use crate::Config;
use crate::read::{Item, Object};

/// What a message of the API may carry and this one does not yet.
pub const NOT_YET: [(&str, &str); 5] = [
    ("sticker_ids", "stickers"),
    ("components", "message components"),
    ("attachments", "attachments"),
    ("poll", "polls"),
    ("shared_client_theme", "shared themes"),
];

/// Flags that ask for a feature which is not there yet.
const FLAGS_NOT_YET: MessageFlags = MessageFlags::IS_VOICE_MESSAGE.union(MessageFlags::from_bits_retain(1 << 15));

/// Refuses what is not there yet.
pub fn refuse(body: &Object<'_>) {
    body.refuse(&NOT_YET);
    // Version 9 and before knew one embed; dropping it would lose what somebody wrote.
    body.field("embed").optional(|embed| embed.fail::<()>("FIELD_NOT_SUPPORTED", "Use the list embeds instead."));
}

/// Content without the white space around it.
pub fn content(item: Item<'_>, config: &Config) -> Option<String> {
    let text = item.text()?.trim();
    let max = config.limits.message_content_max_chars as usize;
    if text.chars().count() > max {
        return item.fail("BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
    }
    Some(text.to_owned())
}

/// The embeds, each and together in their limits.
pub fn embed_list(item: Item<'_>, config: &Config) -> Option<Vec<Embed>> {
    let total_chars: EmbedSize = Cell::new(0);
    let max_chars = config.limits.embeds_total_max_chars as usize;
    let max_embeds = config.limits.message_embeds_max as usize;
    let spot = item.spot();
    let list = item.list(0..=max_embeds, |embed| embeds::embed(embed, &total_chars))?;
    if total_chars.get() > max_chars {
        return spot.fail("MAX_EMBED_SIZE_EXCEEDED", format!("Embed size exceeds maximum size of {max_chars}"));
    }
    Some(list)
}

/// The flags among `allowed`; others that the API gives itself are ignored, as it documents.
pub fn flags(item: Item<'_>, allowed: MessageFlags) -> Option<MessageFlags> {
    let spot = item.spot();
    let flags = MessageFlags::from_bits_retain(item.integer::<u64>(0..=i64::MAX)?);
    if flags.intersects(FLAGS_NOT_YET) {
        return spot.fail("FIELD_NOT_SUPPORTED", "This deployment does not support these kinds of messages yet.");
    }
    Some(flags & allowed)
}
