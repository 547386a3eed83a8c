//! Opening and listing DMs.

use rookery_model::call::Reply;
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::gateway::Event;
use rookery_model::store::{DmRow, UniqueKey, Write};
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, ErrorCode, UserId, limits};

use super::Context;
use crate::errors::from_store;

/// `GET /users/@me/channels`: those in the caller's list, the one with the newest message first.
pub async fn list(cx: &Context<'_>) -> Result<Reply, ApiError> {
    let caller = cx.identity()?.user_id();
    let mut channels = Vec::new();
    for id in cx.region.store.dms_of_user(caller).await.map_err(from_store)? {
        if let Some(row) = cx.region.store.dm(id).await.map_err(from_store)? {
            channels.push(view(cx, &row, caller).await?);
        }
    }
    channels.sort_by_key(|channel| std::cmp::Reverse(channel.last_message_id.map_or(channel.id.get(), |id| id.get())));
    Ok(Reply::Channels(channels))
}

/// `POST /users/@me/channels`: with one recipient their DM, found or made; with several a new group DM.
pub async fn create(cx: &Context<'_>, recipient_ids: Vec<UserId>, name: Option<String>) -> Result<Reply, ApiError> {
    let caller = cx.identity()?.user_id();
    let mut others: Vec<UserId> = recipient_ids.into_iter().filter(|id| *id != caller).collect();
    others.sort_unstable();
    others.dedup();
    match others.as_slice() {
        [] => Err(ErrorCode::InvalidRecipient.into()),
        [other] => open(cx, caller, *other).await,
        _ => create_group(cx, caller, others, name).await,
    }
}

async fn open(cx: &Context<'_>, caller: UserId, other: UserId) -> Result<Reply, ApiError> {
    recipients(cx, &[other]).await?;
    let key = UniqueKey::DmPair(caller.min(other), caller.max(other));
    let id = ChannelId(cx.next_id()?);
    let holder = match cx.region.store.claim(key, id.get()).await.map_err(from_store)? {
        Ok(()) => id,
        Err(holder) => ChannelId::new(holder),
    };
    let stored = cx.region.store.dm(holder).await.map_err(from_store)?;
    // A claim whose row never came (a crash between the two) is completed by whoever asks next.
    let (row, mut batch) = match stored {
        Some(row) => (row, Vec::new()),
        None => {
            let row = DmRow {
                channel: Channel::new(holder, ChannelType::Dm),
                user_ids: vec![caller, other],
                call_message_id: None,
            };
            (row.clone(), vec![Write::PutDm(row)])
        }
    };
    let listed = cx.region.store.dms_of_user(caller).await.map_err(from_store)?.contains(&holder);
    if !listed {
        batch.push(Write::PutDmListing { user_id: caller, channel_id: holder });
    }
    let channel = view(cx, &row, caller).await?;
    let reply = Reply::Channel(Box::new(channel.clone()));
    if !batch.is_empty() {
        cx.write(batch, &reply).await?;
    }
    if !listed {
        cx.region.owners.deliver_to_user(caller, Event::ChannelCreate(channel));
    }
    Ok(reply)
}

async fn create_group(
    cx: &Context<'_>,
    caller: UserId,
    others: Vec<UserId>,
    name: Option<String>,
) -> Result<Reply, ApiError> {
    cx.person()?;
    if others.len() >= limits::GROUP_DM_RECIPIENTS_MAX {
        return Err(ApiError::invalid_field(
            ["recipients"],
            "BASE_TYPE_MAX_LENGTH",
            format!("Must be {} or fewer in length.", limits::GROUP_DM_RECIPIENTS_MAX - 1),
        ));
    }
    let users = recipients(cx, &others).await?;
    if users.iter().any(|user| user.bot) {
        return Err(ErrorCode::InvalidRecipient.into());
    }
    let id = ChannelId(cx.next_id()?);
    let channel = Channel { name, owner_id: Some(caller), ..Channel::new(id, ChannelType::GroupDm) };
    let user_ids: Vec<UserId> = std::iter::once(caller).chain(others).collect();
    let row = DmRow { channel, user_ids: user_ids.clone(), call_message_id: None };
    let mut batch = vec![Write::PutDm(row.clone())];
    batch.extend(user_ids.iter().map(|user_id| Write::PutDmListing { user_id: *user_id, channel_id: id }));
    let reply = Reply::Channel(Box::new(view(cx, &row, caller).await?));
    cx.write(batch, &reply).await?;
    for user_id in user_ids {
        let channel = view(cx, &row, user_id).await?;
        cx.region.owners.deliver_to_user(user_id, Event::ChannelCreate(channel));
    }
    Ok(reply)
}

/// The users, all of whom must exist.
async fn recipients(cx: &Context<'_>, ids: &[UserId]) -> Result<Vec<User>, ApiError> {
    let users = cx.region.accounts.users(ids).await?;
    if users.len() == ids.len() { Ok(users) } else { Err(ErrorCode::InvalidRecipient.into()) }
}

/// The channel as one of its users sees it: without that user among the recipients.
async fn view(cx: &Context<'_>, row: &DmRow, viewer: UserId) -> Result<Channel, ApiError> {
    let others: Vec<UserId> = row.user_ids.iter().copied().filter(|id| *id != viewer).collect();
    let last_message_id = cx.region.store.last_message_id(row.channel.id).await.map_err(from_store)?;
    Ok(Channel { recipients: cx.region.accounts.users(&others).await?, last_message_id, ..row.channel.clone() })
}
