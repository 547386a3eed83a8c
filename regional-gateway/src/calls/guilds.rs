//! Making guilds, and the caller's list of them.

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rookery_guild::create_guild;
use rookery_model::call::{Call, CreateGuild, ListCurrentUserGuilds, Reply};
use rookery_model::guild::PartialGuild;
use rookery_model::{ApiError, ErrorCode, GuildId, UserId};

use super::Context;
use crate::errors::from_store;
use crate::id_generator::{IssuedIds, now};

/// Guilds that are asked at the same time for one list.
const GUILDS_AT_ONCE: usize = 16;

/// `POST /guilds`.
pub async fn create(cx: &Context<'_>, wanted: CreateGuild) -> Result<Reply, ApiError> {
    let person = cx.person()?;
    let id = GuildId(cx.next_id()?);
    cx.region.owners.user(person.user_id()).await?.may_join_guild(id).await?;
    let caller = cx.caller()?;
    let mut ids = IssuedIds::new(&cx.region.ids);
    let (_, outcome) = create_guild(now(), &caller, &wanted, id, &mut ids, cx.region.owners.guild_limits())?;
    if ids.are_exhausted() {
        return Err(ErrorCode::Unavailable.into());
    }
    cx.write(outcome.writes, &outcome.reply).await?;
    cx.region.owners.carry(outcome.effects);
    Ok(outcome.reply)
}

/// `GET /users/@me/guilds`: by id, a page before or after one.
pub async fn list_of_caller(cx: &Context<'_>, query: ListCurrentUserGuilds) -> Result<Reply, ApiError> {
    let caller = cx.identity()?.user_id();
    let mut ids = cx.region.store.guilds_of_user(caller).await.map_err(from_store)?;
    ids.sort_unstable();
    let mut page: Vec<GuildId> = page(&ids, query);
    let elsewhere = cx.region.peers.take_out_elsewhere(&mut page, GuildId::get);
    let mut guilds = list_here(cx, caller, page, query).await?;
    if !cx.origin.is_forwarded {
        // Each region lists those of the same page that live there.
        let asked = elsewhere.iter().map(|(peer, _)| cx.ask(peer, Call::ListCurrentUserGuilds(query)));
        for reply in try_join_all(asked).await? {
            if let Reply::PartialGuilds(there) = reply {
                guilds.extend(there);
            }
        }
        guilds.sort_unstable_by_key(|guild| guild.id);
    }
    Ok(Reply::PartialGuilds(guilds))
}

async fn list_here(
    cx: &Context<'_>,
    caller: UserId,
    page: Vec<GuildId>,
    query: ListCurrentUserGuilds,
) -> Result<Vec<PartialGuild>, ApiError> {
    let guilds: Vec<Option<PartialGuild>> = stream::iter(page)
        .map(|id| async move {
            let owner = cx.region.owners.guild(id).await?;
            let found = owner.query(move |core| core.partial_guild(now(), caller, query.with_counts)).await;
            match found {
                // Deleted or left at this moment.
                Err(error) if error.is(ErrorCode::UnknownGuild) => Ok(None),
                found => found,
            }
        })
        .buffered(GUILDS_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map_err(|error: ApiError| error)?;
    Ok(guilds.into_iter().flatten().collect())
}

/// Ascending; `before` takes those nearest below it, as the API pages.
fn page(ids: &[GuildId], query: ListCurrentUserGuilds) -> Vec<GuildId> {
    let limit = usize::from(query.limit);
    let above = ids.iter().copied().filter(|id| query.after.is_none_or(|after| *id > after));
    let within: Vec<GuildId> = above.filter(|id| query.before.is_none_or(|before| *id < before)).collect();
    let skipped = if query.before.is_some() && query.after.is_none() { within.len().saturating_sub(limit) } else { 0 };
    within.into_iter().skip(skipped).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paged(before: Option<u64>, after: Option<u64>, limit: u16) -> Vec<u64> {
        let ids: Vec<GuildId> = (1..=5).map(GuildId::new).collect();
        let query = ListCurrentUserGuilds {
            before: before.map(GuildId::new),
            after: after.map(GuildId::new),
            limit,
            with_counts: false,
        };
        page(&ids, query).into_iter().map(GuildId::get).collect()
    }

    #[test]
    fn pages_lie_next_to_their_mark() {
        assert_eq!(paged(None, None, 2), [1, 2]);
        assert_eq!(paged(None, Some(2), 2), [3, 4]);
        assert_eq!(paged(Some(5), None, 2), [3, 4]);
        assert_eq!(paged(Some(2), None, 5), [1]);
        assert_eq!(paged(Some(5), Some(1), 2), [2, 3]);
    }
}
