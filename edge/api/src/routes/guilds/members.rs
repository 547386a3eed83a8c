//! `/guilds/{id}/members`.

use rookery_model::call::{Call, ModifyMember};
use rookery_model::{ApiError, RoleId, Timestamp, UserId, limits};

use super::guild_id;
use crate::read::Item;
use crate::routes::Input;

const PAGE_MAX: i64 = 1_000;
const TIMEOUT_MAX_MS: i64 = 28 * 24 * 3_600 * 1_000;
/// A clock that runs ahead by this much still sets the longest time-out.
const CLOCK_SKEW_MS: i64 = 60_000;

fn user_id(input: &Input<'_>) -> UserId {
    input.id("user_id")
}

fn role_id(input: &Input<'_>) -> RoleId {
    input.id("role_id")
}

pub fn get(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetMember { guild_id: guild_id(input), user_id: user_id(input) })
}

/// `GET …/members?limit=&after=`.
pub fn list(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    Ok(Call::ListMembers {
        guild_id: guild_id(input),
        limit: query.integer("limit", 1..=PAGE_MAX, 1),
        after: query.id("after").unwrap_or_default(),
    })
}

/// `GET …/members/search?query=&limit=`.
pub fn search(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    Ok(Call::SearchMembers {
        guild_id: guild_id(input),
        query: query.required_text("query", 1..=limits::NAME_MAX_CHARS),
        limit: query.integer("limit", 1..=PAGE_MAX, 1),
    })
}

/// `PATCH …/members/{user_id}`.
pub fn modify(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let changes = ModifyMember {
        nick: body.field("nick").patch_text(limits::NICK_MAX_CHARS),
        roles: body.field("roles").patch(|roles| roles.set(0..=limits::GUILD_ROLES_MAX, |id| id.id())),
        mute: body.field("mute").patch(|mute| mute.boolean()),
        deaf: body.field("deaf").patch(|deaf| deaf.boolean()),
        channel_id: body.field("channel_id").patch(|id| id.id()),
        communication_disabled_until: body
            .field("communication_disabled_until")
            .patch(|until| timeout(until, input.now_ms)),
        flags: body.field("flags").patch(|flags| flags.integer(0..=i64::from(i32::MAX))),
    };
    Ok(Call::ModifyMember { guild_id: guild_id(input), user_id: user_id(input), changes })
}

fn timeout(item: Item<'_>, now_ms: u64) -> Option<Timestamp> {
    let spot = item.spot();
    let until = item.timestamp()?;
    let latest_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(TIMEOUT_MAX_MS + CLOCK_SKEW_MS);
    if until.unix_ms() > latest_ms {
        return spot.fail("DATE_TIME_TYPE_MAX", "Must be at most 28 days from now.");
    }
    Some(until)
}

/// `PATCH …/members/@me`.
pub fn modify_current(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&[("avatar", "avatars in a guild"), ("banner", "banners in a guild"), ("bio", "bios in a guild")]);
    let nick = body.field("nick").patch_text(limits::NICK_MAX_CHARS);
    Ok(Call::ModifyCurrentMember { guild_id: guild_id(input), nick })
}

pub fn kick(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::KickMember { guild_id: guild_id(input), user_id: user_id(input) })
}

pub fn add_role(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::AddMemberRole { guild_id: guild_id(input), user_id: user_id(input), role_id: role_id(input) })
}

pub fn remove_role(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::RemoveMemberRole { guild_id: guild_id(input), user_id: user_id(input), role_id: role_id(input) })
}
