//! `/operator`: what `rookery admin` uses, with the operator's secret.

use rookery_model::call::{Call, OperatorCall};
use rookery_model::{ApiError, ErrorCode, limits};

use super::{Input, Route};
use crate::auth::Access;

pub const ROUTES: &[Route] = &[
    Route::post("/seed", seed).access(Access::Operator),
    Route::get("/status", |_| Ok(Call::Operator(OperatorCall::Status))).access(Access::Operator),
    Route::get("/user", user).access(Access::Operator),
    Route::get("/guild/{guild_id}", guild).access(Access::Operator),
    Route::post("/user/{user_id}/erase", erase_user).access(Access::Operator),
    Route::put("/guild/{guild_id}/retention", retention).access(Access::Operator),
    Route::post("/region/{region}/take-over", |input| take_over(input, true)).access(Access::Operator),
    Route::post("/region/{region}/give-back", |input| take_over(input, false)).access(Access::Operator),
    Route::post("/drain", |_| Ok(Call::Operator(OperatorCall::Drain))).access(Access::Operator),
];

/// Users with tokens of one seed: their tokens are one answer, which is a frame of the link.
const SEED_USERS_MAX: i64 = 50_000;
const QUERY_MAX_CHARS: usize = 254;
const REGION_MAX_CHARS: usize = 64;
/// A century.
const RETENTION_DAYS_MAX: i64 = 36_500;

/// `POST /operator/seed` `{users, members}`.
fn seed(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let users = body.field("users").optional(|users| users.integer(0..=SEED_USERS_MAX)).unwrap_or(0);
    let members_max = limits::GUILD_MEMBERS_MAX as i64;
    let members = body.field("members").optional(|members| members.integer(0..=members_max)).unwrap_or(0);
    Ok(Call::Operator(OperatorCall::Seed { users, members }))
}

/// `GET /operator/user?query=`: an id, e-mail address or username.
fn user(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query().required_text("query", 1..=QUERY_MAX_CHARS);
    Ok(Call::Operator(OperatorCall::User { query }))
}

fn guild(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::Operator(OperatorCall::Guild { guild_id: input.id("guild_id") }))
}

/// `POST /operator/user/{user_id}/erase`: removes all that the user wrote until now.
fn erase_user(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::Operator(OperatorCall::EraseUser { user_id: input.id("user_id") }))
}

/// `POST /operator/region/{region}/take-over` and `…/give-back`: the region that answers owns what the named one owned.
fn take_over(input: &Input<'_>, is_begun: bool) -> Result<Call, ApiError> {
    let region = input.segment("region");
    let is_name = (1..=REGION_MAX_CHARS).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        return Err(ErrorCode::NotFound.into());
    }
    Ok(Call::Operator(OperatorCall::TakeOver { region: region.to_owned(), is_begun }))
}

/// `PUT /operator/guild/{guild_id}/retention` `{max_age_days}`: null keeps messages for ever, and must be said.
fn retention(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    let max_age_days = body.field("max_age_days").nullable(|days| days.integer(1..=RETENTION_DAYS_MAX));
    Ok(Call::Operator(OperatorCall::SetRetention { guild_id: input.id("guild_id"), max_age_days }))
}
