//! `/users`: the caller, their guilds and DMs, and other users.

mod create_dm;
mod modify_current_user;

use rookery_model::call::{Call, ListCurrentUserGuilds};
use rookery_model::{ApiError, UserId};

use super::{Input, Route};

pub const ROUTES: &[Route] = &[
    Route::get("/@me", |_| Ok(Call::GetCurrentUser)),
    Route::patch("/@me", modify_current_user::modify_current_user),
    Route::get("/@me/guilds", list_guilds),
    Route::get("/@me/guilds/{guild_id}/member", |input| {
        Ok(Call::GetCurrentUserGuildMember { guild_id: input.id("guild_id") })
    }),
    Route::delete("/@me/guilds/{guild_id}", |input| Ok(Call::LeaveGuild { guild_id: input.id("guild_id") })),
    Route::get("/@me/channels", |_| Ok(Call::ListDms)),
    Route::post("/@me/channels", create_dm::create_dm),
    Route::get("/{user_id}", |input| Ok(Call::GetUser { user_id: input.id::<UserId>("user_id") })),
];

const GUILDS_PAGE_MAX: i64 = 200;

fn list_guilds(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    Ok(Call::ListCurrentUserGuilds(ListCurrentUserGuilds {
        before: query.id("before"),
        after: query.id("after"),
        limit: query.integer("limit", 1..=GUILDS_PAGE_MAX, GUILDS_PAGE_MAX as u16),
        with_counts: query.boolean("with_counts"),
    }))
}
