//! Where owners live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use rookery_model::Snowflake;
use rookery_model::lease::{VIRTUAL_SHARDS, WORKER_IDS};
use rookery_placement::VirtualShard;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::tenure::{LeaseEnd, Tenure};
use super::{ShardEpoch, ShardEpochs, ShardSet};
use crate::peers::PeerIndex;
use crate::peers::frame::ShardsForm;

/// A virtual shard of a region, which has its place among all regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardRef {
    pub region: u8,
    pub number: u16,
}

/// Where the owners of a shard live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this process, perhaps before it takes calls.
    Here,
    /// At another node.
    There(PeerIndex),
    /// Nowhere that is known: it changes hands, or its owner is dead.
    Nowhere,
}

/// Gaps that are told apart while nobody has heard of them.
const MISSED_MAX: usize = 64;
const NOWHERE: u64 = 0;
const HERE: u64 = 1;
/// As that; sessions that the owners before had are taken up, and calls wait.
const BEGINNING: u64 = 2;
/// Peers from here on.
const THERE: u64 = 16;
const CODE_BITS: u32 = 16;
const CODE_MASK: u64 = (1 << CODE_BITS) - 1;

/// Shards whose owners may have said something that was not heard here.
#[derive(Clone, Debug)]
pub struct Missed {
    /// Counts how often that was so.
    pub gap: u64,
    pub shards: ShardSet,
}

/// Where the owners of everything live; read by everybody, changed by the task of placement.
pub struct Ownership {
    /// The region in which ids of each worker are at home; empty where there is one process only.
    homes: Box<[u8]>,
    /// The names of the regions.
    names: Box<[Box<str>]>,
    /// How many shards a region has.
    count: u16,
    /// By region and shard: a code, and the epoch above it.
    shards: Box<[Box<[AtomicU64]>]>,
    /// Likewise: whose word sessions of this node have of a shard, from its first on until its last.
    served: Box<[Box<[AtomicU64]>]>,
    tenures: DashMap<ShardRef, Arc<Tenure>>,
    /// Of a process that is alone.
    own: Arc<Tenure>,
    lease: Arc<LeaseEnd>,
    /// At which epoch owners of a shard ended last, with everything said that they had.
    ended: Box<[Box<[AtomicU64]>]>,
    /// Shards whose owners may have said something that was not heard here.
    missed: Mutex<Vec<Missed>>,
    /// How often something may have been missed.
    gaps: AtomicU64,
    /// Something lives elsewhere than before, or was missed.
    moved: Notify,
    changed: Notify,
    stop: CancellationToken,
}

impl Ownership {
    /// A process that owns everything.
    pub fn alone(stop: &CancellationToken) -> Self {
        Self::new(Box::default(), Box::default(), VIRTUAL_SHARDS, LeaseEnd::never(), stop)
    }

    /// A process of a deployment with so many shards a region, which owns nothing yet. `homes` says by worker id in which region ids are at home.
    pub fn shared(homes: Vec<u8>, names: Box<[Box<str>]>, shards: u16, stop: &CancellationToken) -> Self {
        debug_assert_eq!(homes.len(), usize::from(WORKER_IDS));
        Self::new(homes.into(), names, shards, LeaseEnd::passed(), stop)
    }

    fn new(
        homes: Box<[u8]>,
        names: Box<[Box<str>]>,
        count: u16,
        lease: Arc<LeaseEnd>,
        stop: &CancellationToken,
    ) -> Self {
        let region = |()| (0..count).map(|_| AtomicU64::new(NOWHERE)).collect();
        let table = || names.iter().map(|_| region(())).collect();
        let everything = ShardRef { region: 0, number: 0 };
        Self {
            shards: table(),
            served: table(),
            ended: table(),
            missed: Mutex::default(),
            gaps: AtomicU64::new(0),
            moved: Notify::new(),
            homes,
            names,
            count: count.max(1),
            tenures: DashMap::new(),
            own: Tenure::new(everything, 0, None, Arc::clone(&lease), stop.child_token()),
            lease,
            changed: Notify::new(),
            stop: stop.clone(),
        }
    }

    /// Whether this process is the only one.
    pub fn is_alone(&self) -> bool {
        self.homes.is_empty()
    }

    /// The shard of an id; the same for all where the process is alone.
    pub fn shard_of(&self, raw: u64) -> ShardRef {
        let worker = usize::from(Snowflake(raw).worker());
        let region = self.homes.get(worker).copied().unwrap_or(0);
        ShardRef { region, number: VirtualShard::of(Snowflake(raw)).number() % self.count }
    }

    /// Where the owner of an id lives.
    pub fn locate(&self, raw: u64) -> Location {
        if self.is_alone() { Location::Here } else { self.location(self.shard_of(raw)) }
    }

    /// Whether what lives here may acknowledge nothing, because the node's lease is not renewed yet.
    pub fn is_suspended(&self) -> bool {
        !self.lease.is_ahead()
    }

    /// Where the owners of a shard live.
    pub fn location(&self, shard: ShardRef) -> Location {
        match self.word(shard) & CODE_MASK {
            NOWHERE => Location::Nowhere,
            HERE | BEGINNING => Location::Here,
            there => match u8::try_from(there - THERE) {
                Ok(index) => Location::There(PeerIndex::new(index)),
                Err(_) => Location::Nowhere,
            },
        }
    }

    /// The tenure under which the owner of an id is loaded here; none if it does not live here.
    ///
    /// Whoever loads one holds a token of its [`owners`](Tenure::owners) from before this answers `true` a second time.
    pub fn tenure(&self, raw: u64) -> Option<Arc<Tenure>> {
        if self.is_alone() {
            return Some(Arc::clone(&self.own));
        }
        let shard = self.shard_of(raw);
        let tenure = self.tenures.get(&shard).map(|tenure| Arc::clone(&tenure))?;
        self.is_current(&tenure).then_some(tenure)
    }

    /// Whether a tenure takes owners.
    pub fn is_current(&self, tenure: &Tenure) -> bool {
        let word = self.word(tenure.shard);
        self.is_alone() || matches!(word & CODE_MASK, HERE | BEGINNING) && word >> CODE_BITS == tenure.epoch
    }

    /// Whether the owner of an id takes calls here.
    pub fn takes_calls(&self, raw: u64) -> bool {
        self.is_alone() || self.word(self.shard_of(raw)) & CODE_MASK == HERE
    }

    /// Whether the owner of an id begins here: it goes on with sessions of the one before, and has said nothing yet.
    pub fn begins(&self, raw: u64) -> bool {
        !self.is_alone() && self.word(self.shard_of(raw)) & CODE_MASK == BEGINNING
    }

    /// Whether sessions of this node can subscribe to the owner of an id, as far as the way to it is open.
    pub fn is_served(&self, raw: u64) -> bool {
        if self.is_alone() {
            return true;
        }
        let shard = self.shard_of(raw);
        let (now, served) = (self.word(shard), load(&self.served, shard));
        // What begins here is had by those who are taken up first.
        now != NOWHERE && now & CODE_MASK != BEGINNING && now == served
    }

    /// Waits for the next change of where anything lives; begins to wait at once, and not when it is polled.
    pub fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut notified = Box::pin(self.changed.notified());
        notified.as_mut().enable();
        notified
    }

    /// Owners of these shards ended, with everything said.
    pub fn note_ended(&self, shards: &ShardEpochs) {
        for ShardEpoch { shard, epoch, .. } in shards.iter() {
            put(&self.ended, shard, epoch);
        }
    }

    /// Owners of these shards begin: those that do not follow an end that was heard here leave something open.
    pub fn note_began(&self, shards: &ShardEpochs) {
        let follows = |shard: &ShardEpoch| shard.predecessor.is_some_and(|last| last == load(&self.ended, shard.shard));
        let gaps: ShardSet = shards.iter().filter(|shard| !follows(shard)).map(|shard| shard.shard).collect();
        if !gaps.is_empty() {
            let mut missed = self.missed.lock();
            let gap = self.gaps.fetch_add(1, Ordering::AcqRel) + 1;
            if missed.len() < MISSED_MAX {
                missed.push(Missed { gap, shards: gaps });
            } else if let Some(last) = missed.last_mut() {
                last.gap = gap;
                last.shards.extend(&gaps);
            }
        }
        self.moved.notify_one();
    }

    /// How often something may have been missed so far; whoever reads what is stored from here on has that.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Acquire)
    }

    /// Waits until something moved; what may have been missed.
    pub async fn moved(&self) -> Vec<Missed> {
        self.moved.notified().await;
        std::mem::take(&mut *self.missed.lock())
    }

    fn word(&self, shard: ShardRef) -> u64 {
        load(&self.shards, shard)
    }

    fn put(&self, shard: ShardRef, word: u64) -> bool {
        put(&self.shards, shard, word)
    }

    // For the tasks of other nodes.

    /// All shards that live here. Only of those that begin is it said after whom they come: of others something was said
    /// since.
    pub fn own(&self) -> ShardEpochs {
        let one = |tenure: &Arc<Tenure>| {
            let Tenure { shard, epoch, predecessor, .. } = **tenure;
            let begins = self.word(shard) & CODE_MASK == BEGINNING;
            self.is_current(tenure).then_some(ShardEpoch { shard, epoch, predecessor: predecessor.filter(|_| begins) })
        };
        self.tenures.iter().filter_map(|tenure| one(tenure.value())).collect()
    }

    /// The same as all nodes name them.
    pub fn write(&self, shards: &ShardEpochs) -> Vec<ShardsForm> {
        let mut forms: Vec<ShardsForm> = Vec::new();
        for ShardEpoch { shard, epoch, predecessor } in shards.iter() {
            let Some(region) = self.names.get(usize::from(shard.region)) else { continue };
            let one = (shard.number, epoch, predecessor);
            match forms.iter_mut().find(|form| form.region == *region) {
                Some(form) => form.shards.push(one),
                None => forms.push(ShardsForm { region: region.clone(), shards: vec![one] }),
            }
        }
        forms
    }

    /// Reads it; regions that are not known here are passed over.
    pub fn read(&self, forms: &[ShardsForm]) -> ShardEpochs {
        let of_region = |form: &ShardsForm| {
            let region = self.names.iter().position(|name| *name == form.region);
            let region = region.and_then(|region| u8::try_from(region).ok());
            let one = |(number, epoch, predecessor): &(u16, u64, Option<u64>)| {
                let shard = ShardRef { region: region?, number: *number };
                Some(ShardEpoch { shard, epoch: *epoch, predecessor: *predecessor })
            };
            form.shards.iter().filter_map(one).collect::<Vec<_>>()
        };
        forms.iter().flat_map(of_region).collect()
    }

    /// A node says that it owns a shard, which may not be known yet.
    pub fn learn(&self, shard: ShardRef, peer: PeerIndex, epoch: u64) {
        let word = self.word(shard);
        if word >> CODE_BITS < epoch && !matches!(word & CODE_MASK, HERE | BEGINNING) {
            self.put(shard, (THERE + u64::from(peer.get())) | (epoch << CODE_BITS));
        }
    }

    /// Sessions of this node have a shard's events from another from now on.
    pub fn serve(&self, shard: ShardRef, peer: PeerIndex, epoch: u64) {
        put(&self.served, shard, (THERE + u64::from(peer.get())) | (epoch << CODE_BITS));
    }

    /// Waits until sessions of this node have the events of all these shards from others.
    pub async fn served_elsewhere(&self, shards: &[ShardRef]) {
        loop {
            let changed = self.changed();
            if shards.iter().all(|shard| load(&self.served, *shard) & CODE_MASK >= THERE) {
                return;
            }
            changed.await;
        }
    }

    /// From which other node sessions of this one have an id's events.
    pub fn served_peer(&self, raw: u64) -> Option<PeerIndex> {
        if self.is_alone() {
            return None;
        }
        let there = (load(&self.served, self.shard_of(raw)) & CODE_MASK).checked_sub(THERE)?;
        u8::try_from(there).ok().map(PeerIndex::new)
    }

    /// All shards that they have from it.
    pub fn served_from(&self, peer: PeerIndex) -> ShardEpochs {
        let code = THERE + u64::from(peer.get());
        let of_region = |(region, shards): (u8, &[AtomicU64])| {
            let served = (0_u16..).zip(shards).filter_map(move |(number, word)| {
                let word = word.load(Ordering::Acquire);
                let shard = ShardRef { region, number };
                (word & CODE_MASK == code).then_some(ShardEpoch { shard, epoch: word >> CODE_BITS, predecessor: None })
            });
            served.collect::<Vec<_>>()
        };
        (0_u8..).zip(self.served.iter().map(|shards| &**shards)).flat_map(of_region).collect()
    }

    /// They have them from nobody.
    pub fn serve_ended(&self, shard: ShardRef) {
        put(&self.served, shard, NOWHERE);
    }

    /// Whether they have them from it, at this epoch or a later one.
    pub fn is_served_by(&self, shard: ShardRef, peer: PeerIndex, epoch: u64) -> bool {
        let served = load(&self.served, shard);
        served & CODE_MASK == THERE + u64::from(peer.get()) && served >> CODE_BITS >= epoch
    }

    /// The shards that sessions of this node had from another, and have from nobody from now on.
    pub fn serve_no_more(&self, peer: PeerIndex) -> ShardSet {
        let mut set = ShardSet::default();
        for (region, shards) in (0_u8..).zip(&self.served) {
            for (number, word) in (0_u16..).zip(shards) {
                if word.load(Ordering::Acquire) & CODE_MASK == THERE + u64::from(peer.get()) {
                    word.store(NOWHERE, Ordering::Release);
                    set.insert(ShardRef { region, number });
                }
            }
        }
        set
    }

    // For the task of placement.

    /// A shard is owned here from now on; calls wait until [`Self::open`].
    pub(crate) fn begin(&self, shard: ShardRef, epoch: u64, predecessor: Option<u64>) {
        let tenure = Tenure::new(shard, epoch, predecessor, Arc::clone(&self.lease), self.stop.child_token());
        if let Some(before) = self.tenures.insert(shard, tenure) {
            before.void();
        }
        self.put(shard, BEGINNING | epoch << CODE_BITS);
    }

    /// A shard that began takes calls, if it did not end meanwhile.
    pub(crate) fn open(&self, shard: ShardRef, epoch: u64) {
        let place = self.shards.get(usize::from(shard.region)).and_then(|shards| shards.get(usize::from(shard.number)));
        let (before, after) = (BEGINNING | epoch << CODE_BITS, HERE | epoch << CODE_BITS);
        if let Some(place) = place
            && place.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            put(&self.served, shard, after);
        }
    }

    /// A shard's owners take nothing new any more; the tenure, if it is of that epoch.
    pub(super) fn end(&self, shard: ShardRef, epoch: u64) -> Option<Arc<Tenure>> {
        let tenure = self.tenures.get(&shard).map(|tenure| Arc::clone(&tenure))?;
        if tenure.epoch != epoch {
            return None;
        }
        self.put(shard, NOWHERE | epoch << CODE_BITS);
        self.serve_ended(shard);
        Some(tenure)
    }

    /// A shard is not owned here.
    pub(super) fn forget(&self, shard: ShardRef, epoch: u64) {
        self.tenures.remove_if(&shard, |_, tenure| tenure.epoch == epoch);
    }

    /// Everything that is owned here is lost; the shards of it.
    pub(super) fn lose_all(&self) -> Vec<ShardRef> {
        self.lease.set(0);
        let lost: Vec<ShardRef> = self.tenures.iter().map(|tenure| *tenure.key()).collect();
        for shard in &lost {
            if let Some((_, tenure)) = self.tenures.remove(shard) {
                self.put(*shard, NOWHERE | tenure.epoch << CODE_BITS);
                self.serve_ended(*shard);
                tenure.void();
            }
        }
        lost
    }

    /// A shard is owned by another node at an epoch, or nobody knows by whom since; whether that is news.
    pub(super) fn route(&self, shard: ShardRef, owner: Option<PeerIndex>, epoch: u64) -> bool {
        let word = owner.map_or(NOWHERE, |peer| THERE + u64::from(peer.get())) | epoch << CODE_BITS;
        // The node itself may have said so first.
        self.word(shard) >> CODE_BITS <= epoch && self.put(shard, word)
    }

    /// Until when anything may be acknowledged.
    pub(crate) fn acknowledges_until(&self, until_ms: u64) {
        self.lease.set(until_ms);
    }

    /// Tells those who wait that something changed.
    pub fn tell_changed(&self) {
        self.moved.notify_one();
        self.changed.notify_waiters();
    }
}

fn load(table: &[Box<[AtomicU64]>], shard: ShardRef) -> u64 {
    let word = table.get(usize::from(shard.region)).and_then(|shards| shards.get(usize::from(shard.number)));
    word.map_or(NOWHERE, |word| word.load(Ordering::Acquire))
}

/// Puts something in the place of what is known of a shard; whether that is a change.
fn put(table: &[Box<[AtomicU64]>], shard: ShardRef, word: u64) -> bool {
    let place = table.get(usize::from(shard.region)).and_then(|shards| shards.get(usize::from(shard.number)));
    place.is_some_and(|place| place.swap(word, Ordering::AcqRel) != word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(worker: u16) -> u64 {
        Snowflake::from_parts(1_800_000_000_000, worker, 7).0
    }

    fn shared() -> Ownership {
        let mut homes = vec![0; usize::from(WORKER_IDS)];
        homes[5] = 1;
        let names = ["eu", "us"].map(Box::from).into();
        let ownership = Ownership::shared(homes, names, 64, &CancellationToken::new());
        ownership.acknowledges_until(u64::MAX);
        ownership
    }

    #[test]
    fn alone_everything_lives_here() {
        let ownership = Ownership::alone(&CancellationToken::new());
        for worker in [0, 40, 1_000] {
            assert_eq!(ownership.locate(id(worker)), Location::Here);
        }
        assert!(ownership.tenure(7).is_some_and(|tenure| tenure.may_acknowledge()));
    }

    #[test]
    fn a_shard_lives_where_the_newest_word_says() {
        let ownership = shared();
        let shard = ownership.shard_of(id(5));
        assert_eq!((shard.region, ownership.locate(id(5))), (1, Location::Nowhere));
        assert!(ownership.tenure(id(5)).is_none());
        ownership.begin(shard, 3, None);
        assert_eq!((ownership.locate(id(5)), ownership.locate(id(6))), (Location::Here, Location::Nowhere));
        let tenure = ownership.tenure(id(5)).unwrap();
        assert!(tenure.may_acknowledge() && ownership.is_current(&tenure));
        assert!(ownership.end(shard, 2).is_none());
        let ending = ownership.end(shard, 3).unwrap();
        // What is under way is ended, and nothing new begins.
        assert!(ending.may_acknowledge() && !ownership.is_current(&ending) && ownership.tenure(id(5)).is_none());
        ownership.forget(shard, 3);
        let peer = PeerIndex::new(9);
        assert!(ownership.route(shard, Some(peer), 4) && !ownership.route(shard, Some(peer), 4));
        assert_eq!(ownership.locate(id(5)), Location::There(peer));
        assert!(ownership.route(shard, Some(peer), 5), "another epoch is news");
        assert!(!ownership.route(shard, None, 4), "an old one is not");
    }

    #[test]
    fn with_the_lease_everything_is_lost() {
        let ownership = shared();
        let shard = ownership.shard_of(id(5));
        ownership.begin(shard, 3, None);
        let tenure = ownership.tenure(id(5)).unwrap();
        assert!(!ownership.is_suspended());
        ownership.acknowledges_until(1);
        assert!(ownership.is_suspended() && !tenure.may_acknowledge() && ownership.is_current(&tenure));
        assert_eq!(ownership.lose_all(), [shard]);
        assert!(!tenure.may_acknowledge() && tenure.stop().is_cancelled());
        assert_eq!(ownership.locate(id(5)), Location::Nowhere);
    }

    #[tokio::test]
    async fn an_end_waits_for_owners_that_were_loaded() {
        let ownership = shared();
        let shard = ownership.shard_of(id(5));
        ownership.begin(shard, 3, None);
        let tenure = ownership.tenure(id(5)).unwrap();
        let (let_go, gone) = tokio::sync::oneshot::channel::<()>();
        tenure.owners().spawn(async move { drop(gone.await) });
        let ending = ownership.end(shard, 3).unwrap();
        let mut end = Box::pin(ending.end());
        assert!(futures_util::FutureExt::now_or_never(end.as_mut()).is_none());
        drop(let_go);
        end.await;
    }
}
