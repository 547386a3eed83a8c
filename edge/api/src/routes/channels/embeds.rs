//! Embeds given by an author.

use std::cell::Cell;

use rookery_model::embed::{Embed, EmbedAuthor, EmbedField, EmbedFooter, EmbedMedia};
use rookery_model::limits::{
    EMBED_AUTHOR_MAX_CHARS, EMBED_DESCRIPTION_MAX_CHARS, EMBED_FIELD_NAME_MAX_CHARS, EMBED_FIELD_VALUE_MAX_CHARS,
    EMBED_FIELDS_MAX, EMBED_FOOTER_MAX_CHARS, EMBED_TITLE_MAX_CHARS,
};

use crate::read::{Field, Item, Object};

/// Characters of all embeds of a message so far.
pub type EmbedSize = Cell<usize>;

const LINK_SCHEMES: [&str; 2] = ["http", "https"];
/// Images may also be files of the same message.
const MEDIA_SCHEMES: [&str; 3] = ["http", "https", "attachment"];

/// One embed; `type`, `provider`, `video` and proxied addresses are not an author's to give and are ignored.
pub fn embed(item: Item<'_>, size: &EmbedSize) -> Option<Embed> {
    let object = item.object()?;
    let embed = Embed {
        kind: "rich".into(),
        title: text(object.field("title"), EMBED_TITLE_MAX_CHARS, size),
        description: text(object.field("description"), EMBED_DESCRIPTION_MAX_CHARS, size),
        url: object.field("url").optional(|url| url.url(&LINK_SCHEMES)),
        timestamp: object.field("timestamp").optional(|timestamp| timestamp.timestamp()),
        color: object.field("color").optional(|color| color.color()),
        footer: object.field("footer").optional(|footer| self::footer(footer, size)),
        image: object.field("image").optional(media),
        thumbnail: object.field("thumbnail").optional(media),
        video: None,
        provider: None,
        author: object.field("author").optional(|author| self::author(author, size)),
        fields: object.field("fields").list(EMBED_FIELDS_MAX, |field| self::field(field, size)),
    };
    if is_blank(&object) {
        object.field("description").missing();
    }
    Some(embed)
}

/// Whether nothing was given that can be seen.
fn is_blank(object: &Object<'_>) -> bool {
    const VISIBLE: [&str; 7] = ["title", "description", "footer", "image", "thumbnail", "author", "fields"];
    !VISIBLE.iter().any(|key| {
        let given = object.field(key).optional(|item| Some(item.value()));
        given.is_some_and(|value| {
            value.as_str().is_none_or(|text| !text.trim().is_empty()) && *value != serde_json::json!([])
        })
    })
}

/// A text without the white space around it; an empty one is none.
fn text(field: Field<'_>, max_chars: usize, size: &EmbedSize) -> Option<String> {
    field.patch_text(max_chars).value().inspect(|text| count(text, size))
}

fn count(text: &str, size: &EmbedSize) {
    size.set(size.get() + text.chars().count());
}

fn required(field: Field<'_>, max_chars: usize, size: &EmbedSize) -> String {
    let text = field.required(|text| text.visible_string(max_chars));
    count(&text, size);
    text
}

fn media(item: Item<'_>) -> Option<EmbedMedia> {
    let object = item.object()?;
    let url = object.field("url").required(|url| url.url(&MEDIA_SCHEMES));
    Some(EmbedMedia { url: Some(url), ..EmbedMedia::default() })
}

fn footer(item: Item<'_>, size: &EmbedSize) -> Option<EmbedFooter> {
    let object = item.object()?;
    Some(EmbedFooter {
        text: required(object.field("text"), EMBED_FOOTER_MAX_CHARS, size),
        icon_url: object.field("icon_url").optional(|url| url.url(&MEDIA_SCHEMES)),
        proxy_icon_url: None,
    })
}

fn author(item: Item<'_>, size: &EmbedSize) -> Option<EmbedAuthor> {
    let object = item.object()?;
    Some(EmbedAuthor {
        name: required(object.field("name"), EMBED_AUTHOR_MAX_CHARS, size),
        url: object.field("url").optional(|url| url.url(&LINK_SCHEMES)),
        icon_url: object.field("icon_url").optional(|url| url.url(&MEDIA_SCHEMES)),
        proxy_icon_url: None,
    })
}

fn field(item: Item<'_>, size: &EmbedSize) -> Option<EmbedField> {
    let object = item.object()?;
    Some(EmbedField {
        name: required(object.field("name"), EMBED_FIELD_NAME_MAX_CHARS, size),
        value: required(object.field("value"), EMBED_FIELD_VALUE_MAX_CHARS, size),
        inline: object.field("inline").optional(|inline| inline.boolean()).unwrap_or(false),
    })
}
