//! Embeds given by an author.

use std::cell::Cell;

use rookery_model::embed::{Embed, EmbedAuthor, EmbedField, EmbedFooter, EmbedMedia};
use rookery_model::limits::{
    EMBED_AUTHOR_MAX_CHARS, EMBED_DESCRIPTION_MAX_CHARS, EMBED_FIELD_NAME_MAX_CHARS, EMBED_FIELD_VALUE_MAX_CHARS,
    EMBED_FIELDS_MAX, EMBED_FOOTER_MAX_CHARS, EMBED_TITLE_MAX_CHARS,
};

use serde_json::Value;

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

/// Whether nothing was given that can be seen. What is wrong counts as given: its own mistake is told.
fn is_blank(object: &Object<'_>) -> bool {
    /// Fields, and for objects what is seen of them.
    const VISIBLE: [(&str, Option<&str>); 7] = [
        ("title", None),
        ("description", None),
        ("footer", Some("text")),
        ("image", Some("url")),
        ("thumbnail", Some("url")),
        ("author", Some("name")),
        ("fields", None),
    ];
    !VISIBLE.iter().any(|(key, inner)| {
        let given = object.field(key).optional(|item| Some(item.value()));
        given.is_some_and(|value| match (value, inner) {
            (Value::Object(map), Some(inner)) => map.get(*inner).is_some_and(is_visible),
            _ => is_visible(value),
        })
    })
}

fn is_visible(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
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

/// An image; without an address there is none.
fn media(item: Item<'_>) -> Option<EmbedMedia> {
    let url = item.object()?.field("url").optional(|url| url.url(&MEDIA_SCHEMES))?;
    Some(EmbedMedia { url: Some(url), ..EmbedMedia::default() })
}

/// The line below; without a text there is none, whatever icon it was to have.
fn footer(item: Item<'_>, size: &EmbedSize) -> Option<EmbedFooter> {
    let object = item.object()?;
    let text = text(object.field("text"), EMBED_FOOTER_MAX_CHARS, size);
    let icon_url = object.field("icon_url").optional(|url| url.url(&MEDIA_SCHEMES));
    Some(EmbedFooter { text: text?, icon_url, proxy_icon_url: None })
}

/// The line above; without a name there is none.
fn author(item: Item<'_>, size: &EmbedSize) -> Option<EmbedAuthor> {
    let object = item.object()?;
    let name = text(object.field("name"), EMBED_AUTHOR_MAX_CHARS, size);
    let url = object.field("url").optional(|url| url.url(&LINK_SCHEMES));
    let icon_url = object.field("icon_url").optional(|url| url.url(&MEDIA_SCHEMES));
    Some(EmbedAuthor { name: name?, url, icon_url, proxy_icon_url: None })
}

fn field(item: Item<'_>, size: &EmbedSize) -> Option<EmbedField> {
    let object = item.object()?;
    Some(EmbedField {
        name: required(object.field("name"), EMBED_FIELD_NAME_MAX_CHARS, size),
        value: required(object.field("value"), EMBED_FIELD_VALUE_MAX_CHARS, size),
        inline: object.field("inline").optional(|inline| inline.boolean()).unwrap_or(false),
    })
}
