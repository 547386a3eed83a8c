//! Signing up, in and out, and the caller's own user.

use rookery_model::call::{Login, ModifyCurrentUser, Register, Reply};
use rookery_model::user::{Account, CurrentUser};
use rookery_model::{ApiError, DeviceId, ErrorCode, UserId};

use super::Context;
use crate::accounts::TokensEnded;

/// `POST /auth/register`.
pub async fn register(cx: &Context<'_>, request: Register) -> Result<Reply, ApiError> {
    let id = UserId(cx.next_id()?);
    let device = DeviceId(cx.next_id()?);
    let accounts = &cx.region.accounts;
    let reply = |account: &Account| Reply::Token {
        token: accounts.issue(account, device, cx.unix_ms),
        user_id: account.user.id,
    };
    let account = accounts.register(id, request, |account| vec![cx.operation.record(&reply(account))]).await?;
    Ok(reply(&account))
}

/// `POST /auth/login`.
pub async fn login(cx: &Context<'_>, request: Login) -> Result<Reply, ApiError> {
    let account = cx.region.accounts.login(request).await?;
    let token = cx.region.accounts.issue(&account, DeviceId(cx.next_id()?), cx.unix_ms);
    Ok(Reply::Token { token, user_id: account.user.id })
}

/// `POST /auth/logout`: the token's device is signed out and its live sessions close.
pub async fn logout(cx: &Context<'_>) -> Result<Reply, ApiError> {
    let identity = cx.person()?;
    let all = cx.region.accounts.sign_out(identity).await?;
    cx.region.revoke(identity.user_id(), (!all).then_some(identity.device)).await;
    Ok(Reply::NoContent)
}

/// `PATCH /users/@me`: a new password ends all tokens, and the answer brings a new one.
pub async fn modify(cx: &Context<'_>, changes: ModifyCurrentUser) -> Result<Reply, ApiError> {
    let identity = cx.identity()?;
    let device = DeviceId(cx.next_id()?);
    let accounts = &cx.region.accounts;
    let reply = |account: &Account, tokens: TokensEnded| {
        let token = (tokens == TokensEnded::All).then(|| accounts.issue(account, device, cx.unix_ms));
        Reply::CurrentUser(Box::new(CurrentUser { token, ..account.current_user() }))
    };
    let with = |account: &Account, tokens| vec![cx.operation.record(&reply(account, tokens))];
    let (account, tokens) = accounts.modify(identity, changes, cx.unix_ms, with).await?;
    if account.user != identity.account.user {
        cx.region.user_updated(&account).await;
    }
    if tokens == TokensEnded::All {
        cx.region.revoke(account.user.id, None).await;
    }
    Ok(reply(&account, tokens))
}

/// `GET /users/{id}`.
pub async fn get_user(cx: &Context<'_>, user_id: UserId) -> Result<Reply, ApiError> {
    cx.identity()?;
    let account = cx.region.accounts.get(user_id).await?.ok_or(ErrorCode::UnknownUser)?;
    Ok(Reply::User(Box::new(account.user.clone())))
}
