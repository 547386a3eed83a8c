//! Registers: what an owner is told of which only the newest state counts.
//!
//! A mailbox is a log: what does not fit is refused. Presence, voice states and whether a session is connected are
//! registers: however much is said while the owner is busy, it reads what holds when it looks, and the last word is
//! never lost. A register is bounded by what it is about: a guild's members, a user's friends and sessions.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use rookery_model::gateway::{Presence, PresenceUpdate, SubscriberId, VoiceStateUpdate};
use rookery_model::voice::VoiceToken;
use rookery_model::{GuildId, UserId, VoiceServerId};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::OwnerKey;
use crate::gateway::registry::SessionId;
use crate::peers::PeerIndex;
use crate::placement::Missed;

/// Presences that a guild takes in before it looks at anything else.
const PRESENCES_AT_ONCE: usize = 256;

/// News for one owner.
#[derive(Default)]
pub struct Register<N> {
    news: Mutex<N>,
    changed: Notify,
}

impl<N: Default> Register<N> {
    /// Takes everything out.
    pub fn take_all(&self) -> N {
        std::mem::take(&mut *self.news.lock())
    }

    /// Changes the news and says that they changed.
    pub fn tell<R>(&self, tell: impl FnOnce(&mut N) -> R) {
        tell(&mut self.news.lock());
        self.changed.notify_one();
    }

    /// Waits until there is something; losing the future loses nothing.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// News for a guild.
#[derive(Default)]
pub struct GuildNews {
    /// Whose presence changed.
    pub presences: HashSet<UserId>,
    /// What sessions ask for in voice.
    pub voice: BTreeMap<SubscriberId, VoiceRequest>,
    /// Who asks for the call that goes on in a DM.
    pub call_connects: BTreeSet<UserId>,
    /// Where members in voice are to go.
    pub voice_servers: BTreeMap<(VoiceServerId, UserId), VoiceServer>,
    /// Members whose connection to their room is gone for good, by the voice session that it was of.
    pub voice_gone: BTreeMap<(VoiceServerId, UserId), Box<str>>,
}

/// Where a member in voice is to go.
pub struct VoiceServer {
    /// The voice session that it is for.
    pub session_id: Box<str>,
    pub token: VoiceToken,
    /// None: there is no server at the moment.
    pub endpoint: Option<Arc<str>>,
}

/// What a session asks for with VOICE_STATE_UPDATE.
pub struct VoiceRequest {
    /// Whose session it is.
    pub user_id: UserId,
    /// Its name.
    pub session: SessionId,
    /// Names the connection if a new one comes of it.
    pub session_id: Box<str>,
    pub update: VoiceStateUpdate,
}

impl VoiceRequest {
    /// The session of a user is over.
    pub fn leave(user_id: UserId, session: SessionId) -> Self {
        let update = VoiceStateUpdate {
            guild_id: None,
            channel_id: None,
            self_mute: false,
            self_deaf: false,
            self_video: false,
        };
        Self { user_id, session, session_id: "".into(), update }
    }
}

impl Register<GuildNews> {
    /// The news; of many presences a part, and the rest with the next call.
    pub fn take(&self) -> GuildNews {
        let mut news = self.news.lock();
        if news.presences.len() <= PRESENCES_AT_ONCE {
            return std::mem::take(&mut *news);
        }
        let part: HashSet<UserId> = news.presences.iter().copied().take(PRESENCES_AT_ONCE).collect();
        let mut rest = std::mem::take(&mut news.presences);
        rest.retain(|id| !part.contains(id));
        let taken = GuildNews { presences: part, ..std::mem::take(&mut *news) };
        news.presences = rest;
        self.changed.notify_one();
        taken
    }
}

/// News for a user.
#[derive(Default)]
pub struct UserNews {
    /// Whose presence changed.
    pub friends: HashSet<UserId>,
    pub sessions: BTreeMap<SubscriberId, SessionNews>,
    /// Nodes that do not know any more what the user is seen as.
    pub reopened: BTreeSet<PeerIndex>,
    /// Shards whose owners may have said something that was not heard.
    pub missed: Vec<Arc<[Missed]>>,
    /// Guilds and friends may live elsewhere than before, where nobody knows what the user is seen as.
    pub have_moved: bool,
}

/// News of one of the user's sessions.
#[derive(Default)]
pub struct SessionNews {
    pub link: Option<SessionLink>,
    pub presence: Option<PresenceUpdate>,
}

/// What became of a session's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionLink {
    Attached,
    Detached,
}

impl Register<UserNews> {
    /// The news.
    pub fn take(&self) -> UserNews {
        self.take_all()
    }
}

/// The registers of all loaded guilds and users, and what each user is seen as.
///
/// A change is put in place first and told then; an owner puts its register in place first and reads then. So a change
/// is either seen by an owner that loads, or told to it.
#[derive(Default)]
pub struct Registers {
    owners: DashMap<OwnerKey, Arc<Register<GuildNews>>>,
    users: DashMap<UserId, Arc<Register<UserNews>>>,
    shown: DashMap<UserId, Shown>,
}

/// What a user is seen as, by word of their owner. It ends with the owner: nobody stays online whom nobody speaks for.
struct Shown {
    publisher: u64,
    presence: Arc<Presence>,
}

impl Registers {
    /// The register of a guild or DM that is about to be loaded.
    pub fn open_owner(&self, key: OwnerKey) -> Arc<Register<GuildNews>> {
        open(&self.owners, key)
    }
    /// The register of a user who is about to be loaded.
    pub fn open_user(&self, id: UserId) -> Arc<Register<UserNews>> {
        open(&self.users, id)
    }
    /// Forgets the register of a guild or DM that is no longer loaded.
    pub fn close_owner(&self, key: OwnerKey, register: &Arc<Register<GuildNews>>) {
        self.owners.remove_if(&key, |_, open| Arc::ptr_eq(open, register));
    }
    /// Forgets the register of a user who is no longer loaded.
    pub fn close_user(&self, id: UserId, register: &Arc<Register<UserNews>>) {
        self.users.remove_if(&id, |_, open| Arc::ptr_eq(open, register));
    }

    /// Tells a guild something, if it is loaded.
    pub fn tell_guild<R>(&self, id: GuildId, tell: impl FnOnce(&mut GuildNews) -> R) {
        self.tell_owner(OwnerKey::Guild(id), tell);
    }
    /// Tells a guild or DM something, if it is loaded.
    pub fn tell_owner<R>(&self, key: OwnerKey, tell: impl FnOnce(&mut GuildNews) -> R) {
        if let Some(register) = self.owners.get(&key) {
            register.tell(tell);
        }
    }
    /// Tells a user something, if they are loaded.
    pub fn tell_user<R>(&self, id: UserId, tell: impl FnOnce(&mut UserNews) -> R) {
        if let Some(register) = self.users.get(&id) {
            register.tell(tell);
        }
    }

    /// What a user is seen as; none is offline.
    pub fn presence(&self, id: UserId) -> Option<Arc<Presence>> {
        self.shown.get(&id).map(|shown| Arc::clone(&shown.presence))
    }

    /// Everybody who is not offline, unless they are more than this.
    pub fn all_present(&self, max: usize) -> Option<Vec<(UserId, Arc<Presence>)>> {
        let all = || self.shown.iter().map(|entry| (*entry.key(), Arc::clone(&entry.presence))).collect();
        (self.shown.len() <= max).then(all)
    }

    /// Puts in place what a user is seen as from now on; whom it concerns is the caller's to tell.
    pub fn show(&self, id: UserId, publisher: u64, presence: &Arc<Presence>) {
        if presence.is_offline() {
            self.hide(id, publisher);
        } else {
            self.shown.insert(id, Shown { publisher, presence: Arc::clone(presence) });
        }
    }

    /// Takes back all that this publisher said.
    pub fn hide_all(&self, publisher: u64) {
        self.shown.retain(|_, shown| shown.publisher != publisher);
    }

    /// Tells the owners of all users that owners of these shards may have said something that was not heard.
    pub fn missed(&self, missed: &Arc<[Missed]>) {
        for register in &self.users {
            register.tell(|news| news.missed.push(Arc::clone(missed)));
        }
    }

    /// Tells the owners of all users that another node is reached again, and does not know what they are seen as.
    pub fn reopened(&self, index: PeerIndex) {
        for register in &self.users {
            register.tell(|news| news.reopened.insert(index));
        }
    }

    /// Tells the owners of all users that guilds and friends may live elsewhere than before.
    pub fn have_moved(&self) {
        for register in &self.users {
            register.tell(|news| news.have_moved = true);
        }
    }

    /// Takes back what this publisher said of a user; whether there was anything.
    pub fn hide(&self, id: UserId, publisher: u64) -> bool {
        self.shown.remove_if(&id, |_, shown| shown.publisher == publisher).is_some()
    }
}

fn open<K: Eq + Hash, N: Default>(all: &DashMap<K, Arc<Register<N>>>, id: K) -> Arc<Register<N>> {
    let register = Arc::<Register<N>>::default();
    all.insert(id, Arc::clone(&register));
    register
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use rookery_model::gateway::Status;

    use super::*;

    const GUILD: GuildId = GuildId::new(1);
    const USER: UserId = UserId::new(2);

    fn is(status: Status) -> Arc<Presence> {
        Arc::new(Presence { status, ..Presence::default() })
    }

    #[tokio::test]
    async fn only_the_newest_counts_and_it_is_never_lost() {
        let registers = Registers::default();
        let register = registers.open_user(USER);
        assert!(register.changed().now_or_never().is_none());
        for link in [SessionLink::Attached, SessionLink::Detached] {
            registers.tell_user(USER, |news| news.sessions.entry(SubscriberId(1)).or_default().link = Some(link));
        }
        // A future that was dropped took nothing with it.
        drop(register.changed());
        register.changed().await;
        assert_eq!(register.take().sessions[&SubscriberId(1)].link, Some(SessionLink::Detached));
        assert!(register.take().sessions.is_empty() && register.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn many_presences_are_taken_in_parts() {
        let registers = Registers::default();
        let register = registers.open_owner(OwnerKey::Guild(GUILD));
        registers.tell_guild(GUILD, |news| news.presences.extend((0..600).map(UserId::new)));
        let mut sizes = Vec::new();
        while register.changed().now_or_never().is_some() {
            sizes.push(register.take().presences.len());
        }
        assert_eq!(sizes, [256, 256, 88]);
    }

    #[test]
    fn a_later_register_is_not_closed_by_an_earlier_owner() {
        let registers = Registers::default();
        let (old, new) = (registers.open_owner(OwnerKey::Guild(GUILD)), registers.open_owner(OwnerKey::Guild(GUILD)));
        registers.close_owner(OwnerKey::Guild(GUILD), &old);
        registers.tell_guild(GUILD, |news| news.presences.insert(USER));
        assert_eq!(new.take().presences.len(), 1);
        registers.close_owner(OwnerKey::Guild(GUILD), &new);
        assert!(registers.owners.is_empty());
    }

    #[test]
    fn what_a_user_is_seen_as_ends_with_its_publisher_only() {
        let registers = Registers::default();
        registers.show(USER, 1, &is(Status::Online));
        registers.show(USER, 2, &is(Status::Idle));
        assert!(!registers.hide(USER, 1));
        assert_eq!(registers.presence(USER).map(|presence| presence.status), Some(Status::Idle));
        assert_eq!((registers.all_present(0), registers.all_present(1).map(|all| all.len())), (None, Some(1)));
        registers.show(USER, 2, &is(Status::Offline));
        assert_eq!(registers.presence(USER), None);
    }
}
