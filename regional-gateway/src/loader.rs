//! Reads a guild or DM whole out of the store.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rookery_core_db::{Store, StoreError};
use rookery_guild::{DmState, GuildState};
use rookery_model::channel::Channel;
use rookery_model::member::MemberRow;
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, UserId};

/// Rows of one page while reading long lists.
const PAGE_ROWS: usize = 1_000;
/// Channels whose newest message is looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 32;

/// A guild with all its rows; none if it does not exist.
pub async fn guild(store: &Store, id: GuildId) -> Result<Option<GuildState>, StoreError> {
    let Some(properties) = store.guild(id).await? else { return Ok(None) };
    let roles = store.guild_roles(id).await?;
    let channels: Vec<Channel> = stream::iter(store.guild_channels(id).await?)
        .map(|channel| with_last_message(store, channel))
        .buffered(LOOKUPS_AT_ONCE)
        .try_collect()
        .await?;
    let members = members(store, id).await?;
    let invites = store.guild_invites(id).await?;
    let known: HashSet<UserId> = members.iter().map(|(row, _)| row.user_id).collect();
    let mut strangers: Vec<UserId> =
        invites.iter().filter_map(|invite| invite.inviter_id).filter(|id| !known.contains(id)).collect();
    strangers.sort_unstable();
    strangers.dedup();
    let inviters = store.users(&strangers).await?;
    let banned = banned(store, id).await?;
    let mut stage_instances = store.guild_stage_instances(id).await?;
    // One whose channel is gone is on its way out.
    stage_instances.retain(|stage| channels.iter().any(|channel| channel.id == stage.channel_id));
    Ok(Some(GuildState { properties, roles, channels, members, invites, inviters, banned, stage_instances }))
}

/// A DM with its users; none if it does not exist.
pub async fn dm(store: &Store, id: ChannelId) -> Result<Option<DmState>, StoreError> {
    let Some(mut row) = store.dm(id).await? else { return Ok(None) };
    row.channel = with_last_message(store, row.channel).await?;
    let users = users(store, &row.user_ids).await?;
    let call_message = match row.call_message_id {
        Some(message_id) => store.message(id, message_id).await?,
        None => None,
    };
    Ok(Some(DmState { row, users, call_message }))
}

async fn with_last_message(store: &Store, mut channel: Channel) -> Result<Channel, StoreError> {
    if channel.kind.is_text_based() {
        channel.last_message_id = store.last_message_id(channel.id).await?;
    }
    Ok(channel)
}

async fn members(store: &Store, id: GuildId) -> Result<Vec<(MemberRow, User)>, StoreError> {
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let page = store.guild_members_page(id, after, PAGE_ROWS).await?;
        let Some(last) = page.last() else { return Ok(members) };
        after = Some(last.user_id);
        let is_last = page.len() < PAGE_ROWS;
        let ids: Vec<UserId> = page.iter().map(|row| row.user_id).collect();
        members.extend(page.into_iter().zip(users(store, &ids).await?));
        if is_last {
            return Ok(members);
        }
    }
}

/// One user for each id; an erased account leaves its memberships behind for a while.
async fn users(store: &Store, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    let mut found: HashMap<UserId, User> = store.users(ids).await?.into_iter().map(|user| (user.id, user)).collect();
    Ok(ids.iter().map(|id| found.remove(id).unwrap_or_else(|| User::new(*id, "deleted_user"))).collect())
}

async fn banned(store: &Store, id: GuildId) -> Result<Vec<UserId>, StoreError> {
    let mut banned = Vec::new();
    loop {
        let page = store.bans_page(id, banned.last().copied(), PAGE_ROWS).await?;
        let is_last = page.len() < PAGE_ROWS;
        banned.extend(page.into_iter().map(|row| row.user_id));
        if is_last {
            return Ok(banned);
        }
    }
}
