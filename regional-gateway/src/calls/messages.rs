//! Reads of messages, reactions and pins: the owner says whether, the store says what.

use std::collections::{HashMap, HashSet};

use rookery_core_db::MessageRange as StoreRange;
use rookery_guild::History;
use rookery_model::call::{Call, EmojiRef, MessageRange, Reply};
use rookery_model::message::{Message, MessageRow, MessageType, Pin, Reaction, ReactionEmoji};
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, ErrorCode, MessageId, Timestamp, UserId, limits};

use super::Context;
use crate::errors::from_store;

/// `GET /channels/{id}/messages`: newest first, whatever the range.
pub async fn list(cx: &Context<'_>, channel_id: ChannelId, range: MessageRange, limit: u8) -> Result<Reply, ApiError> {
    if cx.may_read(channel_id).await? == History::Hidden {
        return Ok(Reply::Messages(Vec::new()));
    }
    let limit = usize::from(limit);
    let store = &cx.region.store;
    let rows = match range {
        MessageRange::Latest => store.messages(channel_id, StoreRange::Latest, limit).await,
        MessageRange::Before(id) => store.messages(channel_id, StoreRange::Before(id), limit).await,
        MessageRange::After(id) => store.messages(channel_id, StoreRange::After(id), limit).await,
        MessageRange::Around(id) => store.messages_around(channel_id, id, limit).await,
    }
    .map_err(from_store)?;
    Ok(Reply::Messages(views(cx, channel_id, &rows).await?))
}

/// `GET /channels/{id}/messages/{id}`.
pub async fn get(cx: &Context<'_>, channel_id: ChannelId, message_id: MessageId) -> Result<Reply, ApiError> {
    let row = readable(cx, channel_id, message_id).await?;
    let mut views = views(cx, channel_id, std::slice::from_ref(&row)).await?;
    views.pop().map(|view| Reply::Message(Box::new(view))).ok_or_else(|| ErrorCode::UnknownMessage.into())
}

/// `GET /channels/{id}/messages/{id}/reactions/{emoji}`: users by id.
pub async fn reactions(
    cx: &Context<'_>,
    channel_id: ChannelId,
    message_id: MessageId,
    emoji: EmojiRef,
    after: Option<UserId>,
    limit: u8,
) -> Result<Reply, ApiError> {
    readable(cx, channel_id, message_id).await?;
    let emoji = match emoji {
        EmojiRef::Unicode(name) => ReactionEmoji::unicode(name),
        EmojiRef::Custom { id, name, animated } => ReactionEmoji { id: Some(id), name: Some(name), animated },
    };
    let reacted = cx
        .region
        .store
        .reactions_of(channel_id, message_id, &emoji, after, usize::from(limit))
        .await
        .map_err(from_store)?;
    Ok(Reply::Users(cx.region.accounts.users(&reacted).await?))
}

/// `GET /channels/{id}/pins`.
pub async fn pins(cx: &Context<'_>, channel_id: ChannelId) -> Result<Reply, ApiError> {
    let (pins, _) = read_pins(cx, channel_id, None, limits::CHANNEL_PINS_MAX).await?;
    Ok(Reply::Messages(pins.into_iter().map(|pin| pin.message).collect()))
}

/// `GET /channels/{id}/messages/pins`.
pub async fn pins_page(
    cx: &Context<'_>,
    channel_id: ChannelId,
    before: Option<Timestamp>,
    limit: u8,
) -> Result<Reply, ApiError> {
    let (items, has_more) = read_pins(cx, channel_id, before, usize::from(limit)).await?;
    Ok(Reply::Pins { items, has_more })
}

async fn read_pins(
    cx: &Context<'_>,
    channel_id: ChannelId,
    before: Option<Timestamp>,
    limit: usize,
) -> Result<(Vec<Pin>, bool), ApiError> {
    if cx.may_read(channel_id).await? == History::Hidden {
        return Ok((Vec::new(), false));
    }
    let mut pins = cx.region.store.pins(channel_id, before, limit + 1).await.map_err(from_store)?;
    let has_more = pins.len() > limit;
    pins.truncate(limit);
    let mut rows = Vec::with_capacity(pins.len());
    for pin in &pins {
        // A message deleted at this moment takes its pin with it.
        if let Some(row) = cx.region.store.message(channel_id, pin.message_id).await.map_err(from_store)? {
            rows.push(row);
        }
    }
    let pinned_at: HashMap<_, _> = pins.iter().map(|pin| (pin.message_id, pin.pinned_at)).collect();
    let views = views(cx, channel_id, &rows).await?;
    let items = views
        .into_iter()
        .filter_map(|message| pinned_at.get(&message.id).map(|at| Pin { pinned_at: *at, message }))
        .collect();
    Ok((items, has_more))
}

/// `POST /channels/{id}/messages/{id}/ack`: the user's own note, for a channel that they may see.
pub async fn ack(
    cx: &Context<'_>,
    channel_id: ChannelId,
    message_id: MessageId,
    manual: bool,
    mention_count: Option<u32>,
) -> Result<Reply, ApiError> {
    let person = cx.person()?;
    match cx.region.peers.elsewhere(cx.region.owners.owner_of_channel(channel_id).await?) {
        Some(peer) => drop(cx.ask(&peer.clone(), Call::GetChannel { channel_id }).await?),
        None => drop(cx.may_read(channel_id).await?),
    }
    let owner = cx.region.owners.user(person.user_id()).await?;
    owner.acknowledge(channel_id, message_id, manual, mention_count, Some(cx.operation)).await
}

async fn readable(cx: &Context<'_>, channel_id: ChannelId, message_id: MessageId) -> Result<MessageRow, ApiError> {
    if cx.may_read(channel_id).await? == History::Hidden {
        return Err(ErrorCode::MissingPermissions.into());
    }
    let row = cx.region.store.message(channel_id, message_id).await.map_err(from_store)?;
    row.ok_or_else(|| ErrorCode::UnknownMessage.into())
}

/// The API's form of rows of one channel, in their order: authors, mentions, reactions, messages replied to.
pub async fn views(cx: &Context<'_>, channel_id: ChannelId, rows: &[MessageRow]) -> Result<Vec<Message>, ApiError> {
    let caller = cx.identity()?.user_id();
    let replied: HashSet<MessageId> = rows.iter().filter_map(replied_to).collect();
    let mut referenced = HashMap::new();
    for id in replied {
        let in_page = rows.iter().find(|row| row.id == id).cloned();
        let row = match in_page {
            Some(row) => Some(row),
            None => cx.region.store.message(channel_id, id).await.map_err(from_store)?,
        };
        if let Some(row) = row {
            referenced.insert(id, row);
        }
    }
    let users = users_of(cx, rows.iter().chain(referenced.values())).await?;
    let mut ids: Vec<MessageId> = rows.iter().map(|row| row.id).chain(referenced.keys().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut reactions = reactions_on(cx, channel_id, &ids, caller).await?;
    let referenced: HashMap<MessageId, Message> = referenced
        .iter()
        .map(|(id, row)| (*id, view(row, &users, reactions.get(id).cloned().unwrap_or_default())))
        .collect();
    Ok(rows
        .iter()
        .map(|row| {
            let mut message = view(row, &users, reactions.remove(&row.id).unwrap_or_default());
            if row.kind == MessageType::Reply {
                message.referenced_message =
                    Some(replied_to(row).and_then(|id| referenced.get(&id)).cloned().map(Box::new));
            }
            message
        })
        .collect())
}

fn replied_to(row: &MessageRow) -> Option<MessageId> {
    row.message_reference.as_ref().filter(|_| row.kind == MessageType::Reply).and_then(|r| r.message_id)
}

async fn users_of(
    cx: &Context<'_>,
    rows: impl Iterator<Item = &MessageRow>,
) -> Result<HashMap<UserId, User>, ApiError> {
    let mut ids: Vec<UserId> = rows.flat_map(|row| row.mention_users.iter().copied().chain([row.author_id])).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(cx.region.accounts.users(&ids).await?.into_iter().map(|user| (user.id, user)).collect())
}

async fn reactions_on(
    cx: &Context<'_>,
    channel_id: ChannelId,
    ids: &[MessageId],
    caller: UserId,
) -> Result<HashMap<MessageId, Vec<Reaction>>, ApiError> {
    let counts = cx.region.store.reaction_counts(channel_id, ids).await.map_err(from_store)?;
    if counts.is_empty() {
        return Ok(HashMap::new());
    }
    let own: HashSet<(MessageId, String)> = cx
        .region
        .store
        .own_reactions(channel_id, ids, caller)
        .await
        .map_err(from_store)?
        .into_iter()
        .map(|own| (own.message_id, own.emoji.key()))
        .collect();
    let mut by_message: HashMap<MessageId, Vec<Reaction>> = HashMap::new();
    for row in counts {
        let me = own.contains(&(row.message_id, row.emoji.key()));
        by_message.entry(row.message_id).or_default().push(Reaction::normal(row.emoji, row.count, me));
    }
    Ok(by_message)
}

fn view(row: &MessageRow, users: &HashMap<UserId, User>, reactions: Vec<Reaction>) -> Message {
    // An erased account leaves its messages' ids behind.
    let user = |id: &UserId| users.get(id).cloned().unwrap_or_else(|| User::new(*id, "deleted_user"));
    row.view(user(&row.author_id), row.mention_users.iter().map(user).collect(), reactions)
}
