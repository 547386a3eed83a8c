//! Takes up the sessions that the process before left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use rookery_guild::Subscriber;
use rookery_model::GuildId;
use rookery_session::{Session, ThawError, ThawedPayloads};
use rookery_user::UserSession;

use super::file;
use super::parks::Parks;
use super::{KeptSession, KeptSessions, read_capabilities, read_looks};
use crate::Region;
use crate::gateway::registry::SessionHandle;
use crate::gateway::session_task::{Kept, SessionTask};
use crate::id_generator::now_ms;

/// Sessions whose users' owners are asked at the same time.
const AT_ONCE: usize = 64;

/// Why one session is not taken up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error("its id is none")]
    Id,
    #[error("its token is void")]
    Revoked,
    #[error("the region has no place for it")]
    Full,
    #[error("its user is out of reach: {0}")]
    User(rookery_model::ApiError),
}

/// Takes up what was left in the folder, before anybody is let in. What cannot be taken up is told to its client with
/// INVALID SESSION, as any session that is not known; the start goes on.
pub async fn take_up(region: &Arc<Region>, folder: &Path) {
    let kept = match file::take(folder) {
        Ok(None) => return,
        Ok(Some(kept)) => kept,
        Err(error) => return lost_all(&error),
    };
    let KeptSessions { kept_at_unix_ms, payloads, sessions, parked } = kept;
    let payloads = match ThawedPayloads::new(payloads) {
        Ok(payloads) => payloads,
        Err(error) => return lost_all(&error),
    };
    let elapsed_ms = now_ms().saturating_sub(kept_at_unix_ms);
    let count = sessions.len();
    let mut parks = Parks::new(&region.peers, parked);
    // All users first: then guilds are loaded when everybody is there, and have nothing to tell of them.
    let begun: Vec<Option<Begun>> = stream::iter(sessions)
        .map(|kept| begin_or_lose(region, kept, elapsed_ms, &payloads, &parks))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut taken_up = 0;
    let mut guilds: BTreeMap<GuildId, Vec<(Arc<SessionHandle>, Subscriber)>> = BTreeMap::new();
    for Begun { handle, task } in begun.into_iter().flatten() {
        taken_up += 1;
        parks.add(&region.peers, &handle, task.guild_ids());
        for guild_id in task.guild_ids().iter().filter(|id| parks.of(&region.peers, id.get()).is_none()) {
            guilds.entry(*guild_id).or_default().push((Arc::clone(&handle), task.subscriber().clone()));
        }
        // Before any guild hears of it, so that nothing comes to nobody.
        handle.start(task).await;
    }
    parks.expect_returns();
    for (guild_id, sessions) in guilds {
        region.owners.take_up_guild(guild_id, sessions).await;
    }
    tracing::info!(region = region.name(), taken_up, lost = count - taken_up, "sessions of the process before");
    metrics::counter!("rookery_sessions_kept_total", "result" => "taken_up").increment(taken_up as u64);
    metrics::counter!("rookery_sessions_kept_total", "result" => "lost").increment((count - taken_up) as u64);
}

fn lost_all(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "the sessions of the process before are lost; their clients start anew");
    metrics::counter!("rookery_sessions_kept_total", "result" => "unreadable").increment(1);
}

/// A session that its user's owner knows.
struct Begun {
    handle: Arc<SessionHandle>,
    task: Box<SessionTask>,
}

async fn begin_or_lose(
    region: &Arc<Region>,
    kept: KeptSession,
    elapsed_ms: u64,
    payloads: &ThawedPayloads,
    parks: &Parks,
) -> Option<Begun> {
    let user_id = kept.frozen.user_id();
    match begin(region, kept, elapsed_ms, payloads, parks).await {
        Ok(begun) => Some(begun),
        Err(error) => {
            tracing::info!(%user_id, %error, "a session of the process before is lost");
            None
        }
    }
}

async fn begin(
    region: &Arc<Region>,
    kept: KeptSession,
    elapsed_ms: u64,
    payloads: &ThawedPayloads,
    parks: &Parks,
) -> Result<Begun, Lost> {
    let KeptSession { frozen, device, epoch, is_bot, large_threshold, capabilities, client, .. } = kept;
    let KeptSession { subscribed, parked, user_parked, asked, waiting, looks, call, .. } = kept;
    let (id, user_id) = (frozen.session_id().parse().map_err(|_| Lost::Id)?, frozen.user_id());
    let account = region.accounts.get(user_id).await.map_err(Lost::User)?.ok_or(Lost::Revoked)?;
    if account.token_epoch != epoch || account.revoked_devices.contains(&device) {
        return Err(Lost::Revoked);
    }
    let config = Arc::clone(&region.session_config);
    let session = Session::thaw(region.clock.now_ms(), config, frozen.waited(elapsed_ms), payloads)?;
    let handle = region.sessions.register_as(id, user_id, device).ok_or(Lost::Full)?;
    let user_session = UserSession {
        id: handle.subscriber,
        device,
        epoch,
        intents: session.intents(),
        shard: session.shard().map(|shard| [shard.id, shard.count]),
        client: client.read(),
    };
    let subscriber = Subscriber {
        id: handle.subscriber,
        user_id,
        intents: session.intents(),
        large_threshold,
        capabilities: read_capabilities(capabilities),
    };
    if region.peers.is_alone() {
        let owner = region.owners.user(user_id).await;
        let known = match owner {
            Ok(owner) => owner.take_up(&handle, &user_session).await,
            Err(error) => Err(error),
        };
        if let Err(error) = known {
            region.sessions.remove(&handle);
            return Err(Lost::User(error));
        }
    } else if user_parked.is_none() && parks.of(&region.peers, user_id.get()).is_none() {
        // Neither did its owner end before the session did, nor does it have it still.
        region.sessions.remove(&handle);
        return Err(Lost::User(rookery_model::ErrorCode::Unavailable.into()));
    }
    let (asked, waiting) = parks.divide(&region.peers, asked, waiting);
    let kept = Kept { subscribed, parked, user_parked, asked, waiting, looks: read_looks(&looks), call };
    let region = Arc::clone(region);
    let task = SessionTask::taken_up(region, Arc::clone(&handle), session, is_bot, subscriber, user_session, kept);
    Ok(Begun { handle, task: Box::new(task) })
}
