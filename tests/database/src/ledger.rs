//! What was acknowledged, and when.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rookery_core_db::{StoreError, UniqueKey, Write};
use rookery_model::{ChannelId, MessageId};
use tokio::sync::watch;

/// How long progress is waited for: the limit is for machines that are busy with other things.
const PATIENCE: Duration = Duration::from_secs(600);

/// What somebody asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Read,
    Claim,
}

/// An operation that was not answered as it should.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub home: usize,
    pub kind: Kind,
    /// When the answer came, and how long it took.
    pub at: Instant,
    pub took: Duration,
    pub error: StoreError,
}

/// A new message that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    pub home: usize,
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub at: Instant,
}

/// An operation that was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    home: usize,
    kind: Kind,
    at: Instant,
    took: Duration,
}

/// All of it, of all homes.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Batches acknowledged, by home.
    progress: Vec<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each as it was acknowledged; those of one row are in the order of their writer.
    batches: Vec<Vec<Write>>,
    posts: Vec<Post>,
    deleted: HashSet<MessageId>,
    claims: BTreeMap<UniqueKey, u64>,
    answered: Vec<Answered>,
    troubles: Vec<Trouble>,
}

impl Ledger {
    pub(crate) fn new(homes: usize) -> Self {
        Self { inner: Mutex::default(), progress: (0..homes).map(|_| watch::channel(0).0).collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch was acknowledged; `post` is the message that is new in it.
    pub(crate) fn wrote(&self, home: usize, began: Instant, batch: Vec<Write>, post: Option<(ChannelId, MessageId)>) {
        let at = Instant::now();
        let mut inner = self.lock();
        inner.batches.push(batch);
        inner.posts.extend(post.map(|(channel_id, message_id)| Post { home, channel_id, message_id, at }));
        inner.answered.push(Answered { home, kind: Kind::Write, at, took: at - began });
        drop(inner);
        self.progress[home].send_modify(|count| *count += 1);
    }

    /// A page came.
    pub(crate) fn read(&self, home: usize, began: Instant) {
        let at = Instant::now();
        self.lock().answered.push(Answered { home, kind: Kind::Read, at, took: at - began });
    }

    /// A claim was decided.
    pub(crate) fn claimed(&self, home: usize, began: Instant, key: UniqueKey, holder: u64) {
        let at = Instant::now();
        let mut inner = self.lock();
        inner.claims.insert(key, holder);
        inner.answered.push(Answered { home, kind: Kind::Claim, at, took: at - began });
    }

    pub(crate) fn failed(&self, home: usize, kind: Kind, began: Instant, error: StoreError) {
        let at = Instant::now();
        self.lock().troubles.push(Trouble { home, kind, at, took: at - began, error });
    }

    /// How many batches of a home were acknowledged.
    pub fn writes(&self, home: usize) -> u64 {
        *self.progress[home].borrow()
    }

    /// Waits until so many more batches of each of these homes are acknowledged.
    pub async fn wait_for_more(&self, homes: &[usize], more: u64) {
        let targets: Vec<(usize, u64)> = homes.iter().map(|home| (*home, self.writes(*home) + more)).collect();
        for (home, target) in targets {
            let mut progress = self.progress[home].subscribe();
            let reached = tokio::time::timeout(PATIENCE, progress.wait_for(|count| *count >= target)).await;
            let last = self.troubles().pop();
            assert!(
                reached.is_ok(),
                "home {home} came to {} of {target} batches; last trouble: {last:?}",
                self.writes(home)
            );
        }
    }

    /// A message is about to be deleted.
    pub(crate) fn deletes(&self, message_id: MessageId) {
        self.lock().deleted.insert(message_id);
    }

    /// New messages of a home so far, without those whose deletion was begun.
    pub fn standing_posts(&self, home: usize) -> Vec<Post> {
        let inner = self.lock();
        let stands = |post: &&Post| post.home == home && !inner.deleted.contains(&post.message_id);
        inner.posts.iter().filter(stands).copied().collect()
    }

    /// One of the messages of a home, if there is one.
    pub(crate) fn some_post(&self, home: usize, dice: usize) -> Option<Post> {
        let inner = self.lock();
        let place = dice.checked_rem(inner.posts.len())?;
        inner.posts[place..].iter().chain(&inner.posts[..place]).find(|post| post.home == home).copied()
    }

    /// Everything that went wrong so far.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.lock().troubles.clone()
    }

    /// The troubles of these homes.
    pub fn troubles_of(&self, homes: &[usize]) -> Vec<Trouble> {
        self.troubles().into_iter().filter(|trouble| homes.contains(&trouble.home)).collect()
    }

    /// The longest time without an acknowledged write of a home between two moments.
    pub fn longest_pause(&self, home: usize, from: Instant, to: Instant) -> Duration {
        let inner = self.lock();
        let of_home = inner.answered.iter().filter(|one| one.home == home && one.kind == Kind::Write);
        let mut moments: Vec<Instant> = of_home.map(|one| one.at).filter(|at| (from..to).contains(at)).collect();
        moments.extend([from, to]);
        moments.sort();
        moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// How many operations of a kind were answered between two moments, and the slowest.
    pub fn slowest(&self, kind: Kind, from: Instant, to: Instant) -> (usize, Duration) {
        let inner = self.lock();
        let within = inner.answered.iter().filter(|one| one.kind == kind && (from..to).contains(&one.at));
        within.fold((0, Duration::ZERO), |(count, slowest), one| (count + 1, slowest.max(one.took)))
    }

    /// How many operations of a kind that were answered between two moments took at least so long.
    pub fn slower_than(&self, kind: Kind, from: Instant, to: Instant, limit: Duration) -> usize {
        let inner = self.lock();
        let within = inner.answered.iter().filter(|one| one.kind == kind && (from..to).contains(&one.at));
        within.filter(|one| one.took >= limit).count()
    }

    /// The acknowledged batches and who holds which key: what a store must hold that did all of it.
    pub(crate) fn acknowledged(&self) -> (Vec<Vec<Write>>, BTreeMap<UniqueKey, u64>) {
        let inner = self.lock();
        (inner.batches.clone(), inner.claims.clone())
    }
}
