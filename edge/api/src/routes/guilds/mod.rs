//! `/guilds`: guilds, their channels, roles and members.

mod channels;
mod create_guild;
mod guild_form;
mod members;
mod modify_guild;
mod roles;
mod voice_states;

use rookery_model::call::Call;
use rookery_model::{ApiError, GuildId};

use super::{Input, Route};

pub const ROUTES: &[Route] = &[
    Route::post("", create_guild::create_guild).created(),
    Route::get("/{guild_id}", get_guild),
    Route::patch("/{guild_id}", modify_guild::modify_guild),
    Route::delete("/{guild_id}", |input| Ok(Call::DeleteGuild { guild_id: guild_id(input) })),
    Route::post("/{guild_id}/delete", |input| Ok(Call::DeleteGuild { guild_id: guild_id(input) })),
    Route::get("/{guild_id}/channels", |input| Ok(Call::ListGuildChannels { guild_id: guild_id(input) })),
    Route::post("/{guild_id}/channels", channels::create).created(),
    Route::patch("/{guild_id}/channels", channels::modify_positions),
    Route::get("/{guild_id}/roles", |input| Ok(Call::ListRoles { guild_id: guild_id(input) })),
    Route::post("/{guild_id}/roles", roles::create),
    Route::patch("/{guild_id}/roles", roles::modify_positions),
    Route::get("/{guild_id}/roles/{role_id}", roles::get),
    Route::patch("/{guild_id}/roles/{role_id}", roles::modify),
    Route::delete("/{guild_id}/roles/{role_id}", roles::delete),
    Route::get("/{guild_id}/members", members::list),
    Route::get("/{guild_id}/members/search", members::search),
    Route::patch("/{guild_id}/members/@me", members::modify_current),
    Route::get("/{guild_id}/members/{user_id}", members::get),
    Route::patch("/{guild_id}/members/{user_id}", members::modify),
    Route::delete("/{guild_id}/members/{user_id}", members::kick),
    Route::put("/{guild_id}/members/{user_id}/roles/{role_id}", members::add_role),
    Route::delete("/{guild_id}/members/{user_id}/roles/{role_id}", members::remove_role),
    Route::get("/{guild_id}/regions", |input| Ok(Call::ListGuildVoiceRegions { guild_id: guild_id(input) })),
    Route::get("/{guild_id}/voice-states/@me", voice_states::get_current),
    Route::patch("/{guild_id}/voice-states/@me", voice_states::modify_current),
    Route::get("/{guild_id}/voice-states/{user_id}", voice_states::get),
    Route::patch("/{guild_id}/voice-states/{user_id}", voice_states::modify),
    Route::get("/{guild_id}/invites", |input| Ok(Call::ListGuildInvites { guild_id: guild_id(input) })),
    Route::get("/{guild_id}/emojis", |input| Ok(Call::ListGuildEmojis { guild_id: guild_id(input) })),
];

fn guild_id(input: &Input<'_>) -> GuildId {
    input.id("guild_id")
}

fn get_guild(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetGuild { guild_id: guild_id(input), with_counts: input.query().boolean("with_counts") })
}
