//! Invites are asked for by code alone: the store tells whose they are, the guild's owner the rest.

use rookery_guild::Caller;
use rookery_model::call::{Call, Reply};
use rookery_model::invite::InviteRow;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, UserId};

use super::Context;
use crate::errors::from_store;

/// `GET /invites/{code}`: also for those who have not signed in.
pub async fn get(cx: &Context<'_>, code: String, with_counts: bool) -> Result<Reply, ApiError> {
    let row = find(cx, &code).await?;
    let owner = cx.region.owners.guild(row.guild_id).await?;
    let caller = if cx.identity.is_some() { cx.caller()? } else { Caller::new(User::new(UserId::new(0), "")) };
    owner.call(caller, Call::GetInvite { code, with_counts }, None).await.map_err(hidden)
}

/// `POST /invites/{code}`.
pub async fn accept(cx: &Context<'_>, code: String) -> Result<Reply, ApiError> {
    let person = cx.person()?;
    let row = find(cx, &code).await?;
    cx.region.owners.user(person.user_id()).await?.may_join_guild(row.guild_id).await?;
    cx.to_guild(row.guild_id, Call::AcceptInvite { code }).await.map_err(hidden)
}

/// `DELETE /invites/{code}`.
pub async fn delete(cx: &Context<'_>, code: String) -> Result<Reply, ApiError> {
    cx.identity()?;
    let row = find(cx, &code).await?;
    cx.to_guild(row.guild_id, Call::DeleteInvite { code }).await.map_err(hidden)
}

async fn find(cx: &Context<'_>, code: &str) -> Result<InviteRow, ApiError> {
    let row = cx.region.store.invite(code).await.map_err(from_store)?;
    row.filter(|row| row.is_valid(cx.now())).ok_or_else(|| ErrorCode::UnknownInvite.into())
}

/// Who knows only the code does not learn that the guild is gone, only that the invite is.
fn hidden(error: ApiError) -> ApiError {
    if error.is(ErrorCode::UnknownGuild) { ErrorCode::UnknownInvite.into() } else { error }
}
