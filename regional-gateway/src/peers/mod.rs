//! The other nodes of the deployment: which owners live there, and the way to them.
//!
//! An owner lives at the node that owns its virtual shard ([`Ownership`]). Calls to it are forwarded over the link. What
//! sessions, owners and accounts have to tell across nodes goes over one ordered stream to each ([`frame`]), driven by one
//! task ([`task`]).

mod audiences;
pub mod forward;
pub mod frame;
mod incoming;
mod marks;
mod parked;
pub mod parking;
mod proxies;
pub mod returning;
mod seen;
pub mod stream;
pub mod task;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rookery_link::Client;
use rookery_model::gateway::{Event, Presence, SubscriberId};
use rookery_model::user::Account;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, UserId};
use tokio::sync::mpsc;

use crate::gateway::worker::{Worker, remote_of};
use crate::owners::{Register, SessionNews, VoiceRequest};
use crate::placement::task::PlacementInit;
use crate::placement::{Location, Ownership};
use frame::{Between, Frame, SessionRef, ToOwner};
use returning::Returning;
use stream::PeerStream;

/// Other nodes of a deployment at most.
pub const PEERS_MAX: usize = 127;
/// Stands for the owners of whom nobody knows where they live.
const NOBODY: PeerIndex = PeerIndex(u8::MAX);
/// How long the start of a session waits for its user's owner, and how often it looks. An owner that died has a successor
/// by then, unless it died a moment before; discord.js gives a READY up after fifteen seconds.
const IN_REACH_WITHIN: Duration = Duration::from_secs(14);
const IN_REACH_LOOK: Duration = Duration::from_millis(100);
/// Frames that may wait for one region's task.
const OUTGOING_MAX: usize = 8_192;
/// Users of one frame, so that no frame becomes very large.
const USERS_PER_FRAME: usize = 1_000;

/// Which of the other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIndex(u8);

impl PeerIndex {
    /// From its number.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The number, below [`PEERS_MAX`].
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The other nodes, for a node that starts.
pub struct PeersInit {
    /// [`PEERS_MAX`] at most.
    pub peers: Vec<PeerInit>,
    pub placement: PlacementInit,
}

/// One of them.
pub struct PeerInit {
    /// `region.node`.
    pub name: String,
    pub worker_id: u16,
    /// Calls to it.
    pub calls: Client,
    pub stream: PeerStream,
}

/// All other nodes; none where this is the only one.
pub struct Peers {
    all: Vec<Arc<Peer>>,
    /// Who is asked for owners that live nowhere: never open.
    nobody: Arc<Peer>,
    ownership: Arc<Ownership>,
}

impl Peers {
    /// These nodes; where the owner of what lives, `ownership` says.
    pub fn new(all: Vec<Arc<Peer>>, ownership: Arc<Ownership>) -> Self {
        Self { all, nobody: Arc::new(Peer::nobody()), ownership }
    }

    /// A process that is alone.
    #[cfg(test)]
    pub fn alone() -> Self {
        Self::new(Vec::new(), Arc::new(Ownership::alone(&tokio_util::sync::CancellationToken::new())))
    }

    /// Where everything lives.
    pub const fn ownership(&self) -> &Arc<Ownership> {
        &self.ownership
    }

    /// The node at which the owner of this id lives, unless that is this one. Of owners that live nowhere it is one that is
    /// out of reach.
    pub fn elsewhere(&self, raw: u64) -> Option<&Arc<Peer>> {
        match self.ownership.locate(raw) {
            Location::Here => None,
            Location::There(index) => Some(self.all.get(usize::from(index.0)).unwrap_or(&self.nobody)),
            Location::Nowhere => Some(&self.nobody),
        }
    }

    /// The region of a session that is at another node.
    pub fn region_of(&self, session: SubscriberId) -> Option<&str> {
        let peer = self.all.get(remote_of(session)?)?;
        peer.name.split_once('.').map(|(region, _)| region)
    }

    /// Whether sessions of this node can subscribe to the owner of this id.
    pub fn is_in_reach(&self, raw: u64) -> bool {
        self.ownership.is_served(raw) && self.elsewhere(raw).is_none_or(|peer| peer.is_open())
    }

    /// Waits until they can; not for ever.
    pub async fn in_reach(&self, raw: u64) -> Result<(), ApiError> {
        let wait = async {
            loop {
                let changed = self.ownership.changed();
                if self.is_in_reach(raw) {
                    return;
                }
                // That a way opens is not told.
                let _ = tokio::time::timeout(IN_REACH_LOOK, changed).await;
            }
        };
        tokio::time::timeout(IN_REACH_WITHIN, wait).await.map_err(|_| ErrorCode::Unavailable.into())
    }

    /// These users missed something, wherever their sessions are.
    pub fn lose(&self, user_ids: &[UserId]) {
        for peer in self.iter() {
            peer.lose(user_ids);
        }
    }

    /// Whether this is the only node.
    pub const fn is_alone(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.all.iter()
    }

    /// Whether what is remembered of somebody is told when it changes.
    pub fn keeps_up_with(&self, raw: u64) -> bool {
        self.elsewhere(raw).is_none_or(|peer| peer.is_open())
    }

    /// Tells all regions of an account as it is now; passwords are looked at only where the store is read.
    pub fn account_changed(&self, account: &Account) {
        for peer in self.iter() {
            let account = Account { password_hash: None, ..account.clone() };
            peer.note(|news| news.accounts.insert(account.user.id, account));
        }
    }

    /// Tells all regions that a session of this one is over; false if some had no room for that now.
    pub fn session_over(&self, session: SubscriberId) -> bool {
        self.iter().fold(true, |all, peer| all & peer.take_leave(ToOwner::SessionOver { session: session.0 }).is_ok())
    }

    /// Tells other regions, or only one, what a user is seen as whose guilds and friends are there, and leaves those of this
    /// region.
    pub fn tell_presence(
        &self,
        user_id: UserId,
        presence: Option<Arc<Presence>>,
        guild_ids: &mut Vec<GuildId>,
        friends: &mut Vec<UserId>,
        only: Option<PeerIndex>,
    ) {
        let mut told: BTreeMap<PeerIndex, (Arc<Peer>, PresenceNews)> = BTreeMap::new();
        let news = || PresenceNews { presence: presence.clone(), guild_ids: Vec::new(), friends: Vec::new() };
        for (peer, guild_ids) in self.take_out_elsewhere(guild_ids, GuildId::get) {
            told.entry(peer.index).or_insert_with(|| (peer, news())).1.guild_ids = guild_ids;
        }
        for (peer, friends) in self.take_out_elsewhere(friends, UserId::get) {
            told.entry(peer.index).or_insert_with(|| (peer, news())).1.friends = friends;
        }
        for (peer, presence) in told.into_values().filter(|(peer, _)| only.is_none_or(|only| peer.index == only)) {
            peer.note(|news| news.presences.insert(user_id, presence));
        }
    }

    /// Divides ids by where their owners live: those of this region stay.
    pub fn take_out_elsewhere<I: Copy>(&self, ids: &mut Vec<I>, raw: impl Fn(I) -> u64) -> Vec<(Arc<Peer>, Vec<I>)> {
        if self.is_alone() {
            return Vec::new();
        }
        let mut of_peers: BTreeMap<PeerIndex, (Arc<Peer>, Vec<I>)> = BTreeMap::new();
        ids.retain(|id| {
            let Some(peer) = self.elsewhere(raw(*id)) else { return true };
            of_peers.entry(peer.index).or_insert_with(|| (Arc::clone(peer), Vec::new())).1.push(*id);
            false
        });
        of_peers.into_values().collect()
    }
}

/// What only counts in its newest state, on its way to another region.
#[derive(Default)]
pub struct PeerNews {
    pub sessions: BTreeMap<(UserId, SubscriberId), SessionNews>,
    pub voice: BTreeMap<(GuildId, SubscriberId), VoiceRequest>,
    pub calls: BTreeMap<(ChannelId, SubscriberId), (SessionRef, VoiceRequest)>,
    /// Who asks for the calls of which DMs.
    pub call_connects: BTreeSet<(ChannelId, UserId)>,
    pub presences: HashMap<UserId, PresenceNews>,
    pub accounts: HashMap<UserId, Account>,
    /// Users who missed something: their sessions there cannot go on.
    pub lost: HashSet<UserId>,
}

/// What a user is seen as, and who of the other region it concerns.
pub struct PresenceNews {
    /// None is offline.
    pub presence: Option<Arc<Presence>>,
    pub guild_ids: Vec<GuildId>,
    pub friends: Vec<UserId>,
}

impl Register<PeerNews> {
    /// The news.
    pub fn take(&self) -> PeerNews {
        self.take_all()
    }
}

/// One other region.
pub struct Peer {
    pub index: PeerIndex,
    pub name: Box<str>,
    /// None of nobody.
    way: Option<Way>,
    /// What its task does not need to hear of every time it changes.
    pub news: Register<PeerNews>,
    /// Sessions of this region may subscribe there.
    is_open: AtomicBool,
    /// Of these sessions; what was said in an earlier one does not count.
    epoch: AtomicU64,
    /// What it kept for the process before, until its task takes it.
    returning: Mutex<Option<Returning>>,
    /// It is to give that back, and sessions here count on it.
    is_returning: AtomicBool,
    /// What it was asked to keep for the next process.
    parked: Mutex<Option<u128>>,
}

/// The way to a node.
struct Way {
    outgoing: mpsc::Sender<Queued>,
    /// Calls to it.
    calls: Client,
}

/// The end of a peer that its task holds.
pub struct Outgoing {
    pub peer: Arc<Peer>,
    /// In whose slots its sessions are that subscribe here.
    pub worker: Arc<Worker>,
    pub frames: mpsc::Receiver<Queued>,
}

/// A frame on its way to the task, with the epoch in which it was handed over.
pub struct Queued {
    pub epoch: u64,
    pub frame: Frame,
}

impl Peer {
    /// A region that is not reached yet.
    pub fn open(index: u8, name: &str, worker: Arc<Worker>, calls: Client) -> Outgoing {
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let peer =
            Self { index: PeerIndex(index), name: name.into(), way: Some(Way { outgoing, calls }), ..Self::nobody() };
        Outgoing { peer: Arc::new(peer), worker, frames }
    }

    fn nobody() -> Self {
        Self {
            index: NOBODY,
            name: "nobody".into(),
            way: None,
            news: Register::default(),
            is_open: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            returning: Mutex::default(),
            is_returning: AtomicBool::new(false),
            parked: Mutex::default(),
        }
    }

    /// Whether it stands for owners that live nowhere.
    pub fn is_nobody(&self) -> bool {
        self.index == NOBODY
    }

    /// Puts something among what only counts in its newest state.
    pub fn note<R>(&self, note: impl FnOnce(&mut PeerNews) -> R) {
        // Nobody reads what is for owners that live nowhere.
        if self.way.is_some() {
            self.news.tell(note);
        }
    }

    /// Calls to it; none to nobody.
    pub fn calls(&self) -> Option<&Client> {
        self.way.as_ref().map(|way| &way.calls)
    }

    /// Whether sessions of this node may subscribe there.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
        metrics::gauge!("rookery_peer_open", "peer" => self.name.to_string()).set(f64::from(u8::from(is_open)));
    }

    /// It kept what its owners had for sessions that this process took up; to be said before its task begins.
    pub fn expect_return(&self, returning: Returning) {
        self.set_returning(true);
        *self.returning.lock() = Some(returning);
    }

    fn take_returning(&self, now_ms: u64) -> Option<Returning> {
        let mut returning = self.returning.lock().take()?;
        returning.begin(now_ms);
        Some(returning)
    }

    fn set_returning(&self, is_returning: bool) {
        self.is_returning.store(is_returning, Ordering::Release);
    }

    fn note_parked(&self, token: u128) {
        *self.parked.lock() = Some(token);
    }

    /// What it is to be shown by the next process, if it keeps anything for that.
    pub fn parked(&self) -> Option<u128> {
        *self.parked.lock()
    }

    /// Tells an owner there something; 503 if it cannot be told now.
    pub fn ask(&self, to_owner: ToOwner) -> Result<(), ApiError> {
        // Read before: if another epoch begins meanwhile, this was said in the one before and does not count.
        let epoch = self.epoch();
        // What a session looks at it tells once; its owner knows it again in a moment.
        let waits = matches!(to_owner, ToOwner::Looks { .. }) && self.is_returning.load(Ordering::Acquire);
        if !(self.is_open() || waits) || epoch != self.epoch() {
            return Err(ErrorCode::Unavailable.into());
        }
        self.push_in(epoch, Frame::ToOwner(to_owner)).map_err(|_| ErrorCode::Unavailable.into())
    }

    /// Takes the leave of something there; gives it back if there is no room for that now.
    pub fn take_leave(&self, leave: ToOwner) -> Result<(), Box<ToOwner>> {
        // Also while it is out of reach for a moment: it may know the session when it is back.
        match self.push(Frame::ToOwner(leave)) {
            Err(Frame::ToOwner(leave)) => Err(Box::new(leave)),
            _ => Ok(()),
        }
    }

    /// Tells owners there what happened here; false if it is lost.
    pub fn tell(&self, between: Between) -> bool {
        self.push(Frame::Between(between)).is_ok()
    }

    /// Sends an event to the sessions of users there.
    pub fn deliver(&self, event: &Event, user_ids: &[UserId]) {
        for user_ids in user_ids.chunks(USERS_PER_FRAME) {
            let between = Between::Event { event: frame::write_event(event), user_ids: user_ids.to_vec() };
            // What tells of a moment only may be missing.
            if !self.tell(between) && !event.is_ephemeral() {
                self.lose(user_ids);
            }
        }
    }

    /// Tells that users joined or left a guild.
    pub fn tell_membership(&self, guild_id: GuildId, user_ids: &[UserId], has_joined: bool) {
        for user_ids in user_ids.chunks(USERS_PER_FRAME) {
            let user_ids = user_ids.to_vec();
            let between = if has_joined {
                Between::GuildJoined { guild_id, user_ids: user_ids.clone() }
            } else {
                Between::GuildLeft { guild_id, user_ids: user_ids.clone() }
            };
            if !self.tell(between) {
                self.lose(&user_ids);
            }
        }
    }

    /// These users missed something: their sessions start anew.
    fn lose(&self, user_ids: &[UserId]) {
        metrics::counter!("rookery_peer_users_lost_total").increment(user_ids.len() as u64);
        self.note(|news| news.lost.extend(user_ids));
    }

    fn push(&self, frame: Frame) -> Result<(), Frame> {
        self.push_in(self.epoch(), frame)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn push_in(&self, epoch: u64, frame: Frame) -> Result<(), Frame> {
        let queued = Queued { epoch, frame };
        // Nobody misses what is for owners that live nowhere: whoever takes them reads what is stored.
        let Some(way) = &self.way else { return Ok(()) };
        way.outgoing.try_send(queued).map_err(|error| {
            metrics::counter!("rookery_peer_queue_full_total").increment(1);
            error.into_inner().frame
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_everything_lives_here() {
        let peers = Peers::alone();
        assert!(peers.elsewhere(7).is_none() && peers.is_alone());
        let mut ids = vec![UserId::new(1), UserId::new(2)];
        assert!(peers.take_out_elsewhere(&mut ids, UserId::get).is_empty());
        assert_eq!(ids.len(), 2);
    }
}
