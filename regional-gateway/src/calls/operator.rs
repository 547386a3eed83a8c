//! What the deployment's operator asks.

use rookery_model::call::{OperatorCall, OperatorReply, Reply, StatusReply};
use rookery_model::{ApiError, ErrorCode, UserId};

use super::{Context, seed};
use crate::errors::from_store;

/// Answers an operator; every act that changes something is in the log.
pub async fn run(cx: &Context<'_>, call: OperatorCall) -> Result<Reply, ApiError> {
    let reply = match call {
        OperatorCall::Seed { users, members } => {
            tracing::info!(users, members, "operator: seed");
            OperatorReply::Seed(Box::new(seed::run(cx, users, members).await?))
        }
        OperatorCall::Status => OperatorReply::Status(status(cx)),
        OperatorCall::User { query } => {
            let account = find_user(cx, &query).await?;
            OperatorReply::User(Box::new(account.current_user()))
        }
        OperatorCall::Guild { guild_id } => {
            let owner = cx.region.owners.guild(guild_id).await?;
            let (guild, members, channels) =
                owner.query(|core| (core.guild_view(), core.member_count(), core.channel_ids().len())).await?;
            let guild = Box::new(guild.ok_or(ErrorCode::UnknownGuild)?);
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            OperatorReply::Guild { guild, member_count: count(members), channel_count: count(channels) }
        }
        OperatorCall::Drain => {
            tracing::info!("operator: drain");
            OperatorReply::Draining { sessions: cx.region.start_drain() }
        }
    };
    Ok(Reply::Operator(reply))
}

fn status(cx: &Context<'_>) -> StatusReply {
    let figures = cx.region.figures();
    StatusReply {
        version: env!("CARGO_PKG_VERSION").into(),
        region: cx.region.name().into(),
        sessions: figures.sessions,
        guilds_loaded: figures.guilds_loaded,
        users_loaded: figures.users_loaded,
        store_writable: cx.region.store.health().writable,
        draining: figures.draining,
    }
}

async fn find_user(cx: &Context<'_>, query: &str) -> Result<rookery_model::user::Account, ApiError> {
    let found = if let Ok(id) = query.parse::<UserId>() {
        cx.region.store.account(id).await
    } else if query.contains('@') {
        cx.region.store.account_by_email(query).await
    } else {
        cx.region.store.account_by_username(query).await
    };
    found.map_err(from_store)?.ok_or_else(|| ErrorCode::UnknownUser.into())
}
