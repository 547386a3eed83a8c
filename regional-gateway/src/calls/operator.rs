//! What the deployment's operator asks.

use rookery_model::call::{OperatorCall, OperatorReply, Reply, StatusReply};
use rookery_model::store::{RetentionRow, Write};
use rookery_model::{ApiError, ErrorCode, GuildId, MessageId, UserId};

use super::{Context, seed};
use crate::degradation::Feature;
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
            let retention = cx.region.store.retention(guild_id).await.map_err(from_store)?;
            OperatorReply::Guild {
                guild,
                member_count: count(members),
                channel_count: count(channels),
                retention_days: retention.map(|retention| retention.max_age_days),
            }
        }
        OperatorCall::Drain => {
            tracing::info!("operator: drain");
            OperatorReply::Draining { sessions: cx.region.start_drain() }
        }
        OperatorCall::EraseUser { user_id } => erase_user(cx, user_id).await?,
        OperatorCall::TakeOver { region, is_begun } => take_over(cx, region, is_begun).await?,
        OperatorCall::SetRetention { guild_id, max_age_days } => set_retention(cx, guild_id, max_age_days).await?,
    };
    Ok(Reply::Operator(reply))
}

/// Hides all that a user wrote until now, and lets the store remove it; the account stays.
async fn erase_user(cx: &Context<'_>, user_id: UserId) -> Result<OperatorReply, ApiError> {
    cx.region.store.account(user_id).await.map_err(from_store)?.ok_or(ErrorCode::UnknownUser)?;
    let through = MessageId(cx.next_id()?);
    tracing::info!(%user_id, %through, "operator: erase a user's messages");
    cx.region.store.write(vec![Write::EraseUser { user_id, through }]).await.map_err(from_store)?;
    Ok(OperatorReply::Erasing { user_id, through })
}

/// Takes another region's shards over, or gives them back. Where that region only cannot be reached its nodes keep what they
/// own until their leases end: nothing has two owners.
async fn take_over(cx: &Context<'_>, region: String, is_begun: bool) -> Result<OperatorReply, ApiError> {
    let unknown = || ApiError::from(ErrorCode::NotFound);
    let placement = cx.region.placement.as_ref().ok_or_else(unknown)?;
    if !placement.take_over(&region, is_begun).await {
        return Err(unknown());
    }
    tracing::info!(region, is_begun, "operator: take over a region");
    Ok(OperatorReply::TakeOver { region, by: cx.region.name().into(), is_begun })
}

async fn set_retention(
    cx: &Context<'_>,
    guild_id: GuildId,
    max_age_days: Option<u32>,
) -> Result<OperatorReply, ApiError> {
    cx.region.store.guild(guild_id).await.map_err(from_store)?.ok_or(ErrorCode::UnknownGuild)?;
    tracing::info!(%guild_id, ?max_age_days, "operator: retention of a guild");
    let write = match max_age_days {
        Some(max_age_days) => Write::PutRetention(RetentionRow { guild_id, max_age_days }),
        None => Write::DeleteRetention(guild_id),
    };
    cx.region.store.write(vec![write]).await.map_err(from_store)?;
    Ok(OperatorReply::Retention { guild_id, max_age_days })
}

fn status(cx: &Context<'_>) -> StatusReply {
    let figures = cx.region.figures();
    let store = cx.region.store.stats();
    StatusReply {
        version: env!("CARGO_PKG_VERSION").into(),
        region: cx.region.name().into(),
        sessions: figures.sessions,
        guilds_loaded: figures.guilds_loaded,
        users_loaded: figures.users_loaded,
        store_writable: cx.region.store.health().writable,
        draining: figures.draining,
        purges_pending: store.purges_pending,
        purged_rows: store.purged_rows,
        corrupt_rows: store.corrupt_rows,
        load_level: figures.load_level.name().into(),
        features: Feature::ALL
            .into_iter()
            .map(|feature| (feature.name().into(), feature.at(figures.load_level).name().into()))
            .collect(),
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
