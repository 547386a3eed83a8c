//! The sessions of another region that subscribe to owners here.
//!
//! To the owners they are sessions like any others: each has a place with a worker, which here is the task of the region
//! where it lives.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_model::{ChannelId, GuildId, UserId};

use super::frame::{ReturningSession, SessionRef};
use crate::gateway::registry::{SessionHandle, SessionId, Sessions};
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
    /// The DM in whose call it is, or wants to be.
    call: Option<ChannelId>,
}

impl Proxy {
    fn closed(self) -> Closed {
        Closed {
            id: self.handle.subscriber,
            user_id: self.has_user.then_some(self.session.user_id),
            guild_ids: self.guild_ids.into_iter().collect(),
            of: (self.session.user_id, self.session.name()),
            call: self.call,
        }
    }

    fn is_unused(&self) -> bool {
        self.guild_ids.is_empty() && !self.has_user && self.call.is_none()
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
        let handle_of = Arc::clone(&handle);
        let proxy = Proxy { handle: handle_of, session, guild_ids: BTreeSet::new(), has_user: false, call: None };
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

    /// It is in the call of a DM from now on, or wants to be; a session is in one at a time.
    pub fn note_call(&mut self, session: u64, channel_id: ChannelId) {
        if let Some(proxy) = self.by_session.get_mut(&session) {
            proxy.call = Some(channel_id);
        }
    }

    /// The session left the call of a DM; as what that knew it.
    pub fn leave_call(&mut self, sessions: &Sessions, session: u64, channel_id: ChannelId) -> Option<SubscriberId> {
        let proxy = self.by_session.get_mut(&session)?;
        let id = proxy.handle.subscriber;
        proxy.call.take_if(|call| *call == channel_id);
        self.close_if_unused(sessions, session);
        Some(id)
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
            proxy.call.take_if(|channel_id| has_ended(channel_id.get()));
        }
        let unused: Vec<u64> =
            self.by_session.iter().filter(|(_, proxy)| proxy.is_unused()).map(|(session, _)| *session).collect();
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
        if self.by_session.get(&session).is_some_and(Proxy::is_unused)
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

    /// The sessions go on in another process, under new numbers; those that are not among them are over.
    pub fn rebind(&mut self, sessions: &Sessions, returning: Vec<ReturningSession>) -> Rebound {
        let mut rebound = Rebound::default();
        let mut returning: HashMap<u128, ReturningSession> =
            returning.into_iter().map(|returning| (returning.session.session_id, returning)).collect();
        for (_, mut proxy) in std::mem::take(&mut self.by_session) {
            let known = (proxy.session.user_id, proxy.session.device);
            let session = returning
                .get(&proxy.session.session_id)
                .map(|it| it.session)
                .filter(|it| (it.user_id, it.device) == known && !self.by_session.contains_key(&it.id));
            let Some(session) = session else {
                self.vacate(&proxy.handle);
                sessions.remove_remote(&proxy.handle);
                rebound.closed.push(proxy.closed());
                continue;
            };
            if let Some(returning) = returning.remove(&session.session_id) {
                rebound.compare(&returning, proxy.has_user, &proxy.guild_ids);
            }
            proxy.session = session;
            if let Some(slot) = self.by_slot.get_mut(place_of(proxy.handle.subscriber).slot as usize) {
                *slot = (proxy.handle.subscriber, session.id);
            }
            self.by_session.insert(session.id, proxy);
        }
        for unknown in returning.into_values() {
            rebound.compare(&unknown, false, &BTreeSet::new());
        }
        rebound
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

/// What became of the sessions of a process that another goes on with.
#[derive(Default)]
pub struct Rebound {
    /// Those that are over.
    pub closed: Vec<Closed>,
    /// Those that count on their user's owner in vain, by name.
    pub lost: Vec<u128>,
    /// Those that count on a guild's owner in vain, by their new numbers.
    pub cut: Vec<(u64, GuildId)>,
}

impl Rebound {
    fn compare(&mut self, returning: &ReturningSession, has_user: bool, guild_ids: &BTreeSet<GuildId>) {
        if returning.has_user && !has_user {
            self.lost.push(returning.session.session_id);
        }
        let missing = returning.guild_ids.iter().filter(|id| !guild_ids.contains(id));
        self.cut.extend(missing.map(|id| (returning.session.id, *id)));
    }
}

/// A session that is no more.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub id: SubscriberId,
    /// Whose owner counts on it.
    pub user_id: Option<UserId>,
    pub guild_ids: Vec<GuildId>,
    /// Whose session it is, and its name.
    pub of: (UserId, SessionId),
    /// The DM in whose call it may be.
    pub call: Option<ChannelId>,
}

#[cfg(test)]
mod tests {
    use rookery_model::DeviceId;

    use super::*;
    use crate::gateway::worker::Workers;

    const GUILD: GuildId = GuildId::new(1 << 40);
    const OTHER: GuildId = GuildId::new(2 << 40);

    struct World {
        sessions: Sessions,
        worker: Arc<Worker>,
        proxies: Proxies,
    }

    fn world() -> World {
        let (mut workers, _inboxes) = Workers::new(1, 1);
        let (worker, _inbox) = workers.add_remote(1);
        World { sessions: Sessions::new(Arc::new(workers), 10), worker, proxies: Proxies::default() }
    }

    fn reference(name: u128, number: u64) -> SessionRef {
        SessionRef { id: number, session_id: name, user_id: UserId::new(name as u64), device: DeviceId::new(1) }
    }

    impl World {
        /// A session that is subscribed to a guild, as the owner knows it.
        fn open(&mut self, name: u128, number: u64) -> SubscriberId {
            let handle = self.proxies.open(&self.sessions, &self.worker, reference(name, number)).unwrap();
            self.proxies.note_guild(number, GUILD);
            handle.subscriber
        }

        fn rebind(&mut self, returning: Vec<ReturningSession>) -> Rebound {
            self.proxies.rebind(&self.sessions, returning)
        }
    }

    fn returning(name: u128, number: u64, guild_ids: &[GuildId], has_user: bool) -> ReturningSession {
        ReturningSession { session: reference(name, number), guild_ids: guild_ids.to_vec(), has_user }
    }

    #[test]
    fn owners_know_returning_sessions_as_before_and_the_others_are_over() {
        let mut world = world();
        let ids: Vec<SubscriberId> = (1..=3).map(|n| world.open(n, 10 + n as u64)).collect();
        world.proxies.note_user(13);
        // The new numbers are those that others had before.
        let rebound = world.rebind(vec![returning(1, 13, &[GUILD], false), returning(3, 11, &[GUILD], true)]);
        assert!(rebound.lost.is_empty() && rebound.cut.is_empty());
        let over = Closed {
            id: ids[1],
            user_id: None,
            guild_ids: vec![GUILD],
            of: (UserId::new(2), SessionId::from_raw(2)),
            call: None,
        };
        assert_eq!(rebound.closed, [over]);
        assert_eq!(ids.iter().map(|id| world.proxies.at_home(*id)).collect::<Vec<_>>(), [Some(13), None, Some(11)]);
        assert_eq!(world.proxies.of_audience(world.worker.index(), &ids), [13, 11]);
        assert_eq!(world.proxies.get(13).map(|handle| handle.subscriber), Some(ids[0]));
        assert_eq!(
            (world.sessions.of_user(UserId::new(1)).len(), world.sessions.of_user(UserId::new(2)).len()),
            (1, 0)
        );
        // Its user's owner counts on the third one still.
        assert_eq!(world.proxies.close(&world.sessions, 11).map(|closed| closed.user_id), Some(Some(UserId::new(3))));
    }

    #[test]
    fn who_counts_on_what_is_not_there_learns_it() {
        let mut world = world();
        world.open(1, 11);
        let rebound = world.rebind(vec![
            returning(1, 21, &[GUILD, OTHER], true),
            returning(2, 22, &[GUILD], false),
            returning(3, 23, &[], true),
        ]);
        let (mut lost, mut cut) = (rebound.lost, rebound.cut);
        lost.sort_unstable();
        cut.sort_unstable();
        assert_eq!((lost, cut), (vec![1, 3], vec![(21, OTHER), (22, GUILD)]));
        assert!(rebound.closed.is_empty());
    }

    #[test]
    fn a_name_is_not_enough_and_no_number_is_given_twice() {
        let mut world = world();
        let ids = [world.open(1, 11), world.open(2, 12), world.open(3, 13)];
        let mut stranger = returning(1, 21, &[GUILD], false);
        stranger.session.user_id = UserId::new(9);
        let rebound = world.rebind(vec![stranger, returning(2, 22, &[], false), returning(3, 22, &[GUILD], false)]);
        assert_eq!(rebound.closed.len(), 2);
        let at_home: Vec<u64> = ids.iter().filter_map(|id| world.proxies.at_home(*id)).collect();
        assert_eq!(at_home, [22]);
        assert_eq!(world.proxies.at_home(ids[0]), None);
    }
    #[test]
    fn a_session_in_a_call_is_known_until_it_leaves() {
        let mut world = world();
        let (one, other) = (ChannelId::new(8), ChannelId::new(9));
        let handle = world.proxies.open(&world.sessions, &world.worker, reference(1, 11)).unwrap();
        world.proxies.note_call(11, one);
        assert_eq!(world.proxies.leave_call(&world.sessions, 11, other), Some(handle.subscriber));
        assert!(world.proxies.get(11).is_some(), "that was not its call");
        assert_eq!(world.proxies.leave_call(&world.sessions, 11, one), Some(handle.subscriber));
        assert!(world.proxies.get(11).is_none());
        // The owner of the call ended, and was told everything.
        world.open(2, 12);
        world.proxies.note_call(12, one);
        world.proxies.owners_ended(&world.sessions, |raw| raw == one.get());
        assert_eq!(
            world.proxies.close(&world.sessions, 12).map(|closed| (closed.of.0, closed.call)),
            Some((UserId::new(2), None))
        );
        world.open(3, 13);
        world.proxies.note_call(13, other);
        assert_eq!(world.proxies.close_all(&world.sessions).remove(0).call, Some(other));
    }
}
