//! The sessions of another region that subscribe to owners here.
//!
//! To the owners they are sessions like any others: each has a place with a worker, which here is the task of the region
//! where it lives.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_model::{GuildId, UserId};

use super::frame::SessionRef;
use crate::gateway::registry::{SessionHandle, Sessions};
use crate::gateway::worker::{Worker, place_of, worker_of};

/// Sessions of one region that have owners here.
pub const PROXIES_MAX: usize = 1 << 20;

/// One of them.
struct Proxy {
    handle: Arc<SessionHandle>,
    session: SessionRef,
    /// Owners here that may count on it.
    guild_ids: BTreeSet<GuildId>,
    has_user: bool,
}

impl Proxy {
    fn closed(self) -> Closed {
        Closed {
            id: self.handle.subscriber,
            user_id: self.has_user.then_some(self.session.user_id),
            guild_ids: self.guild_ids.into_iter().collect(),
        }
    }
}

/// All of one region.
#[derive(Default)]
pub struct Proxies {
    by_session: HashMap<u64, Proxy>,
    /// Their numbers where they live, by slot; 0 is nobody's.
    by_slot: Vec<(SubscriberId, u64)>,
}

impl Proxies {
    /// The session as owners here know it, made if it is new; none if there is no place for it.
    pub fn open(
        &mut self,
        sessions: &Sessions,
        worker: &Arc<Worker>,
        session: SessionRef,
    ) -> Option<Arc<SessionHandle>> {
        if let Some(proxy) = self.by_session.get(&session.id) {
            return Some(Arc::clone(&proxy.handle));
        }
        if self.by_session.len() >= PROXIES_MAX {
            return None;
        }
        let handle = sessions.register_remote(worker, session.name(), session.user_id, session.device)?;
        let slot = place_of(handle.subscriber).slot as usize;
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, (SubscriberId(0), 0));
        }
        self.by_slot[slot] = (handle.subscriber, session.id);
        let proxy = Proxy { handle: Arc::clone(&handle), session, guild_ids: BTreeSet::new(), has_user: false };
        self.by_session.insert(session.id, proxy);
        Some(handle)
    }

    /// The session as owners here know it, if they do.
    pub fn get(&self, session: u64) -> Option<&Arc<SessionHandle>> {
        self.by_session.get(&session).map(|proxy| &proxy.handle)
    }

    /// A guild's owner may count on it from now on.
    pub fn note_guild(&mut self, session: u64, guild_id: GuildId) {
        if let Some(proxy) = self.by_session.get_mut(&session) {
            proxy.guild_ids.insert(guild_id);
        }
    }

    /// Its user's owner may count on it from now on.
    pub fn note_user(&mut self, session: u64) {
        if let Some(proxy) = self.by_session.get_mut(&session) {
            proxy.has_user = true;
        }
    }

    /// The session left a guild; as what the guild knew it.
    pub fn leave_guild(&mut self, sessions: &Sessions, session: u64, guild_id: GuildId) -> Option<SubscriberId> {
        let proxy = self.by_session.get_mut(&session)?;
        let id = proxy.handle.subscriber;
        proxy.guild_ids.remove(&guild_id);
        self.close_if_unused(sessions, session);
        Some(id)
    }

    /// The session is over for its user's owner; as what that knew it.
    pub fn leave_user(&mut self, sessions: &Sessions, session: u64) -> Option<SubscriberId> {
        let proxy = self.by_session.get_mut(&session)?;
        let id = proxy.handle.subscriber;
        proxy.has_user = false;
        self.close_if_unused(sessions, session);
        Some(id)
    }

    /// These owners ended: nobody is to be told of sessions that leave them.
    pub fn owners_ended(&mut self, sessions: &Sessions, has_ended: impl Fn(u64) -> bool) {
        for proxy in self.by_session.values_mut() {
            proxy.guild_ids.retain(|guild_id| !has_ended(guild_id.get()));
            proxy.has_user &= !has_ended(proxy.session.user_id.get());
        }
        let is_unused = |proxy: &Proxy| proxy.guild_ids.is_empty() && !proxy.has_user;
        let unused: Vec<u64> =
            self.by_session.iter().filter(|(_, proxy)| is_unused(proxy)).map(|(session, _)| *session).collect();
        unused.into_iter().for_each(|session| self.close_if_unused(sessions, session));
    }

    /// The session is over; the owners that count on it.
    pub fn close(&mut self, sessions: &Sessions, session: u64) -> Option<Closed> {
        let proxy = self.by_session.remove(&session)?;
        self.vacate(&proxy.handle);
        sessions.remove_remote(&proxy.handle);
        Some(proxy.closed())
    }

    fn close_if_unused(&mut self, sessions: &Sessions, session: u64) {
        if self.by_session.get(&session).is_some_and(|proxy| proxy.guild_ids.is_empty() && !proxy.has_user)
            && let Some(proxy) = self.by_session.remove(&session)
        {
            self.vacate(&proxy.handle);
            sessions.remove_remote(&proxy.handle);
        }
    }

    fn vacate(&mut self, handle: &SessionHandle) {
        if let Some(slot) = self.by_slot.get_mut(place_of(handle.subscriber).slot as usize) {
            *slot = (SubscriberId(0), 0);
        }
    }

    /// The number that a session has where it lives; none if it is no more.
    pub fn at_home(&self, id: SubscriberId) -> Option<u64> {
        let (known, at_home) = self.by_slot.get(place_of(id).slot as usize)?;
        (*known == id).then_some(*at_home)
    }

    /// Those of an audience that are of this region, by their numbers there.
    pub fn of_audience(&self, worker: u8, audience: &[SubscriberId]) -> Vec<u64> {
        audience.iter().filter(|id| worker_of(**id) == worker).filter_map(|id| self.at_home(*id)).collect()
    }

    /// Takes all out, with the owners that count on them.
    pub fn close_all(&mut self, sessions: &Sessions) -> Vec<Closed> {
        self.by_slot.clear();
        let closed = std::mem::take(&mut self.by_session).into_values().map(|proxy| {
            sessions.remove_remote(&proxy.handle);
            proxy.closed()
        });
        closed.collect()
    }
}

/// A session that is no more.
pub struct Closed {
    pub id: SubscriberId,
    /// Whose owner counts on it.
    pub user_id: Option<UserId>,
    pub guild_ids: Vec<GuildId>,
}
