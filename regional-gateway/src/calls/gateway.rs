//! Where clients find the gateway.

use rookery_model::ApiError;
use rookery_model::call::{GatewayBot, Reply, SessionStartLimit};

use super::Context;
use crate::errors::from_store;

/// `GET /gateway` and `POST /gateway/url`.
pub fn url(cx: &Context<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::GatewayUrl {
        url: cx.region.gateway_url().to_owned(),
        webtransport_url: cx.region.webtransport().map(|webtransport| webtransport.url.clone()),
        webtransport_cert_sha256: cx.region.webtransport().map(|it| it.certificates.hashes()).unwrap_or_default(),
    })
}

/// `GET /gateway/bot`.
pub async fn bot(cx: &Context<'_>) -> Result<Reply, ApiError> {
    let bot = cx.bot()?;
    let guilds = cx.region.store.guilds_of_user(bot.user_id()).await.map_err(from_store)?.len();
    let shards = u32::try_from(guilds).unwrap_or(u32::MAX).div_ceil(cx.region.config.gateway.guilds_per_shard).max(1);
    let starts = cx.region.session_starts(bot.user_id());
    Ok(Reply::GatewayBot(GatewayBot {
        url: cx.region.gateway_url().to_owned(),
        shards,
        session_start_limit: SessionStartLimit {
            total: starts.total,
            remaining: starts.remaining,
            reset_after: starts.reset_after_ms,
            max_concurrency: starts.max_concurrency,
        },
    }))
}
