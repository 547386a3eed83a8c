//! `POST /guilds`: a guild with its first roles and channels, which name each other by placeholder ids.

use rookery_model::call::{Call, CreateChannel, CreateGuild, CreateRole};
use rookery_model::channel::ChannelType;
use rookery_model::{ApiError, Snowflake, limits};

use super::{channels, guild_form, roles};
use crate::read::{Field, Item, Object};
use crate::routes::Input;

const NOT_YET: [(&str, &str); 2] = [("icon", "guild icons"), ("guild_template_code", "guild templates")];

pub fn create_guild(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&NOT_YET);
    let mut placeholders = Placeholders(Vec::new());
    let channels = body.field("channels").list(limits::GUILD_CHANNELS_MAX, |item| placeholders.channel(item));
    let guild = CreateGuild {
        name: body.field("name").required(guild_form::name),
        verification_level: body.field("verification_level").optional(guild_form::verification_level),
        default_message_notifications: body
            .field("default_message_notifications")
            .optional(guild_form::default_message_notifications),
        explicit_content_filter: body.field("explicit_content_filter").optional(guild_form::explicit_content_filter),
        afk_timeout: body.field("afk_timeout").optional(guild_form::afk_timeout),
        system_channel_flags: body.field("system_channel_flags").optional(guild_form::system_channel_flags),
        roles: body.field("roles").list(limits::GUILD_ROLES_MAX, role),
        system_channel_id: placeholders.reference(&body, "system_channel_id", &SYSTEM_CHANNEL),
        afk_channel_id: placeholders.reference(&body, "afk_channel_id", &AFK_CHANNEL),
        channels,
    };
    Ok(Call::CreateGuild(guild))
}

fn role(item: Item<'_>) -> Option<(u64, CreateRole)> {
    let object = item.object()?;
    let id: Snowflake = object.field("id").required(|id| id.id());
    Some((id.0, roles::form(&object)))
}

/// What a channel must be to serve the guild as something.
struct Use {
    kind: ChannelType,
    code: &'static str,
    message: &'static str,
}

const SYSTEM_CHANNEL: Use = Use {
    kind: ChannelType::GuildText,
    code: "GUILD_CREATE_SYSTEM_CHANNEL_NOT_GUILD_TEXT",
    message: "System channels must be GuildText",
};
const AFK_CHANNEL: Use = Use {
    kind: ChannelType::GuildVoice,
    code: "GUILD_CREATE_AFK_CHANNEL_NOT_GUILD_VOICE",
    message: "AFK channels must be GuildVoice",
};
const CATEGORY: Use =
    Use { kind: ChannelType::GuildCategory, code: "CHANNEL_PARENT_INVALID_TYPE", message: "Not a category" };

/// The channels read so far, by placeholder.
struct Placeholders(Vec<(u64, ChannelType)>);

impl Placeholders {
    fn channel(&mut self, item: Item<'_>) -> Option<(Option<u64>, CreateChannel)> {
        let object = item.object()?;
        let channel = channels::form(&object);
        let id = object.field("id").optional(|id| id.id::<Snowflake>()).map(|id| id.0);
        if let Some(parent) = channel.parent_id {
            match self.kind_of(parent.get()) {
                Some(kind) => check(object.field("parent_id"), kind, &CATEGORY),
                None => object.field("parent_id").error(
                    "GUILD_CREATE_CHANNEL_CATEGORY_NOT_FIRST",
                    "Channels with a parent_id must appear after their category channel",
                ),
            }
        }
        if let Some(id) = id {
            if self.kind_of(id).is_some() {
                object.field("id").error("GUILD_CREATE_CHANNEL_ID_INVALID", format!("Invalid id ({id})"));
            }
            self.0.push((id, channel.kind));
        }
        Some((id, channel))
    }

    fn kind_of(&self, placeholder: u64) -> Option<ChannelType> {
        self.0.iter().find(|(id, _)| *id == placeholder).map(|(_, kind)| *kind)
    }

    fn reference(&self, body: &Object<'_>, key: &'static str, wanted: &Use) -> Option<u64> {
        let placeholder = body.field(key).optional(|id| id.id::<Snowflake>())?.0;
        match self.kind_of(placeholder) {
            Some(kind) => check(body.field(key), kind, wanted),
            None => {
                body.field(key).error("GUILD_CREATE_CHANNEL_ID_INVALID", format!("Invalid {key} ({placeholder})"));
            }
        }
        Some(placeholder)
    }
}

fn check(field: Field<'_>, kind: ChannelType, wanted: &Use) {
    if kind != wanted.kind {
        field.error(wanted.code, wanted.message);
    }
}
