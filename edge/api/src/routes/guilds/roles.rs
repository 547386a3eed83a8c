//! `/guilds/{id}/roles`.

use rookery_model::call::{Call, CreateRole, ModifyRole, RolePosition};
use rookery_model::color::RoleColors;
use rookery_model::{ApiError, RoleId, limits};

use super::guild_id;
use crate::emoji;
use crate::read::{Item, Object};
use crate::routes::Input;
use crate::routes::channels::form::POSITION_MAX;

const NOT_YET: [(&str, &str); 1] = [("icon", "role icons")];

fn role_id(input: &Input<'_>) -> RoleId {
    input.id("role_id")
}

pub fn get(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetRole { guild_id: guild_id(input), role_id: role_id(input) })
}

/// `POST /guilds/{id}/roles`.
pub fn create(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::CreateRole { guild_id: guild_id(input), role: form(&body) })
}

/// A role's fields.
pub fn form(object: &Object<'_>) -> CreateRole {
    object.refuse(&NOT_YET);
    CreateRole {
        name: object.field("name").patch_text(limits::NAME_MAX_CHARS).value(),
        permissions: object.field("permissions").optional(|permissions| permissions.permissions()),
        color: object.field("color").optional(|color| color.color()),
        colors: object.field("colors").optional(colors),
        hoist: object.field("hoist").optional(|hoist| hoist.boolean()).unwrap_or(false),
        mentionable: object.field("mentionable").optional(|mentionable| mentionable.boolean()).unwrap_or(false),
        unicode_emoji: object.field("unicode_emoji").optional(unicode_emoji),
    }
}

/// `PATCH /guilds/{id}/roles/{id}`.
pub fn modify(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&NOT_YET);
    let changes = ModifyRole {
        name: body.field("name").patch(|name| name.visible_string(limits::NAME_MAX_CHARS)),
        permissions: body.field("permissions").patch(|permissions| permissions.permissions()),
        color: body.field("color").patch(|color| color.color()),
        colors: body.field("colors").patch(colors),
        hoist: body.field("hoist").patch(|hoist| hoist.boolean()),
        mentionable: body.field("mentionable").patch(|mentionable| mentionable.boolean()),
        unicode_emoji: body.field("unicode_emoji").patch(unicode_emoji),
    };
    Ok(Call::ModifyRole { guild_id: guild_id(input), role_id: role_id(input), changes })
}

pub fn delete(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::DeleteRole { guild_id: guild_id(input), role_id: role_id(input) })
}

/// `PATCH /guilds/{id}/roles`: a list.
pub fn modify_positions(input: &Input<'_>) -> Result<Call, ApiError> {
    let positions = input.json()?.list(1..=limits::GUILD_ROLES_MAX, |item| {
        let object = item.object()?;
        Some(RolePosition {
            id: object.field("id").required(|id| id.id()),
            position: object.field("position").optional(|position| position.integer(0..=POSITION_MAX)),
        })
    });
    Ok(Call::ModifyRolePositions { guild_id: guild_id(input), positions: positions.unwrap_or_default() })
}

fn colors(item: Item<'_>) -> Option<RoleColors> {
    let object = item.object()?;
    Some(RoleColors {
        primary_color: object.field("primary_color").optional(|color| color.color()).unwrap_or(0),
        secondary_color: object.field("secondary_color").optional(|color| color.color()),
        tertiary_color: object.field("tertiary_color").optional(|color| color.color()),
    })
}

fn unicode_emoji(item: Item<'_>) -> Option<String> {
    emoji::qualify(item.text()?).or_else(|| item.fail("BASE_TYPE_INVALID", "Not a valid Unicode emoji."))
}
