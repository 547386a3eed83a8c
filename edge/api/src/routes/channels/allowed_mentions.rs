//! `allowed_mentions`: which mentions of a message notify.

use rookery_model::message::AllowedMentions;

use crate::read::{Item, Object};

const IDS_MAX: usize = 100;
const KINDS: [&str; 3] = ["users", "roles", "everyone"];

/// An object in which a kind is either parsed from the content or listed by id, not both.
pub fn allowed_mentions(item: Item<'_>) -> Option<AllowedMentions> {
    let object = item.object()?;
    let parse = object.field("parse").list(KINDS.len(), |kind| kind.word(&KINDS));
    let parses = |kind: &str| parse.contains(&kind);
    let mentions = AllowedMentions {
        parse_users: parses("users"),
        parse_roles: parses("roles"),
        parse_everyone: parses("everyone"),
        users: object.field("users").optional(|users| users.set(0..=IDS_MAX, |id| id.id())).unwrap_or_default(),
        roles: object.field("roles").optional(|roles| roles.set(0..=IDS_MAX, |id| id.id())).unwrap_or_default(),
        replied_user: object.field("replied_user").optional(|replied| replied.boolean()).unwrap_or(false),
    };
    refuse_both(&object, "users", mentions.parse_users && !mentions.users.is_empty());
    refuse_both(&object, "roles", mentions.parse_roles && !mentions.roles.is_empty());
    Some(mentions)
}

fn refuse_both(object: &Object<'_>, kind: &str, both: bool) {
    if both {
        let message = format!("parse:[\"{kind}\"] and {kind}: [ids...] are mutually exclusive.");
        object.error("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
    }
}
