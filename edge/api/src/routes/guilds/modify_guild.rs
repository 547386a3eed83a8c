//! `PATCH /guilds/{id}`.

use rookery_model::call::{Call, ModifyGuild};
use rookery_model::{ApiError, Patch};

use super::{guild_form, guild_id};
use crate::read::Field;
use crate::routes::Input;

const DESCRIPTION_MAX_CHARS: usize = 300;

const NOT_YET: [(&str, &str); 6] = [
    ("icon", "guild icons"),
    ("splash", "invite splashes"),
    ("discovery_splash", "discovery"),
    ("banner", "guild banners"),
    ("home_header", "guild headers"),
    ("features", "changes of guild features"),
];

pub fn modify_guild(input: &Input<'_>) -> Result<Call, ApiError> {
    fn id<T: From<rookery_model::Snowflake>>(field: Field<'_>) -> Patch<T> {
        field.patch(|id| id.id())
    }
    let body = input.body()?;
    body.refuse(&NOT_YET);
    let changes = ModifyGuild {
        name: body.field("name").optional(guild_form::name),
        description: body.field("description").patch_text(DESCRIPTION_MAX_CHARS),
        verification_level: body.field("verification_level").patch(guild_form::verification_level),
        default_message_notifications: body
            .field("default_message_notifications")
            .patch(guild_form::default_message_notifications),
        explicit_content_filter: body.field("explicit_content_filter").patch(guild_form::explicit_content_filter),
        afk_channel_id: id(body.field("afk_channel_id")),
        afk_timeout: body.field("afk_timeout").optional(guild_form::afk_timeout),
        owner_id: body.field("owner_id").optional(|id| id.id()),
        system_channel_id: id(body.field("system_channel_id")),
        system_channel_flags: body.field("system_channel_flags").optional(guild_form::system_channel_flags),
        rules_channel_id: id(body.field("rules_channel_id")),
        public_updates_channel_id: id(body.field("public_updates_channel_id")),
        safety_alerts_channel_id: id(body.field("safety_alerts_channel_id")),
        preferred_locale: body.field("preferred_locale").patch(guild_form::locale),
        premium_progress_bar_enabled: body.field("premium_progress_bar_enabled").optional(|enabled| enabled.boolean()),
    };
    Ok(Call::ModifyGuild { guild_id: guild_id(input), changes: Box::new(changes) })
}
