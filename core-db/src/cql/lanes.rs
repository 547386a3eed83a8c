//! Who waits for whom: writes that read what is stored see all that was submitted before them.
//!
//! Most writes wait for nobody: their timestamps put them in order, whichever arrives first. A write that depends on
//! stored rows (the deletion of a channel, a claim) must read what earlier batches wrote. So each batch passes the lanes
//! of the owners it touches, and such a write waits until everything before it on its lanes has ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use rookery_model::store::UniqueKey;
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

/// Whose order matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// A channel and what is in it.
    Channel(u64),
    /// A guild and what belongs to it.
    Guild(u64),
    /// The erasure of a user.
    User(u64),
    /// A unique key.
    Unique(UniqueKey),
    /// Keys that go free with the channel they belong to: which ones is not known before it is looked up.
    ///
    /// Nobody waits here on entering. A claim that is refused looks who was on it, and tries again behind those.
    Released,
}

impl Lane {
    /// Whether those on it are in an order among themselves.
    fn is_ordered(&self) -> bool {
        *self != Self::Released
    }
}

/// The lanes of a batch.
pub type Passes = SmallVec<[Lane; 4]>;

/// Those on a lane, by their number.
type Waiting = BTreeMap<u64, CancellationToken>;

/// All lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    all: Waiting,
    lanes: HashMap<Lane, Waiting>,
}

/// A place on lanes; dropping it lets those behind go on.
#[derive(Debug)]
pub struct Ticket {
    lanes: Arc<Lanes>,
    number: u64,
    passes: Passes,
    ended: CancellationToken,
}

impl Ticket {
    /// The lanes it is on.
    pub fn passes(&self) -> &[Lane] {
        &self.passes
    }
}

impl Lanes {
    /// Enters lanes behind all that are on them, without waiting for those.
    pub fn enter(self: &Arc<Self>, passes: Passes) -> Ticket {
        let (ticket, _) = self.pass(passes, false);
        ticket
    }

    /// Enters lanes; answers whom to wait for.
    pub fn enter_behind(self: &Arc<Self>, passes: Passes) -> (Ticket, Vec<CancellationToken>) {
        self.pass(passes, true)
    }

    fn pass(self: &Arc<Self>, mut passes: Passes, waits: bool) -> (Ticket, Vec<CancellationToken>) {
        dedup(&mut passes);
        let ended = CancellationToken::new();
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        inner.all.insert(number, ended.clone());
        let mut before = BTreeMap::new();
        for lane in &passes {
            let waiting = inner.lanes.entry(lane.clone()).or_default();
            if waits && lane.is_ordered() {
                before.extend(waiting.iter().map(|(number, ended)| (*number, ended.clone())));
            }
            waiting.insert(number, ended.clone());
        }
        drop(inner);
        (Ticket { lanes: self.clone(), number, passes, ended }, before.into_values().collect())
    }

    /// Everything under way now.
    pub fn all(&self) -> Vec<CancellationToken> {
        self.inner.lock().all.values().cloned().collect()
    }

    /// Everything under way on a lane now.
    pub fn on(&self, lane: &Lane) -> Vec<CancellationToken> {
        self.inner.lock().lanes.get(lane).map(|waiting| waiting.values().cloned().collect()).unwrap_or_default()
    }
}

fn dedup(passes: &mut Passes) {
    let mut kept = Passes::new();
    for lane in passes.drain(..) {
        if !kept.contains(&lane) {
            kept.push(lane);
        }
    }
    *passes = kept;
}

/// Waits until all have ended.
pub async fn ended(before: Vec<CancellationToken>) {
    for one in before {
        one.cancelled().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.lanes.inner.lock();
        inner.all.remove(&self.number);
        for lane in &self.passes {
            if let Some(waiting) = inner.lanes.get_mut(lane) {
                waiting.remove(&self.number);
                if waiting.is_empty() {
                    inner.lanes.remove(lane);
                }
            }
        }
        drop(inner);
        self.ended.cancel();
    }
}

/// Channels that are remembered as doubtful one by one; beyond this many all are.
const DOUBTFUL_MAX: usize = 65_536;

/// Channels where a write of unknown outcome may still arrive: whoever deletes there cannot go by what is to be found.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<Doubtful>);

#[derive(Debug, Default)]
struct Doubtful {
    channels: HashSet<u64>,
    /// There were too many.
    all: bool,
}

impl Doubts {
    /// A write on these lanes ended without certainty.
    pub fn note(&self, passes: &[Lane]) {
        let mut doubtful = self.0.lock();
        for lane in passes {
            let Lane::Channel(id) = lane else { continue };
            if doubtful.channels.len() < DOUBTFUL_MAX {
                doubtful.channels.insert(*id);
            } else {
                doubtful.all = true;
            }
        }
    }

    /// Whether a write may still arrive in a channel.
    pub fn are_in(&self, channel_id: u64) -> bool {
        let doubtful = self.0.lock();
        doubtful.all || doubtful.channels.contains(&channel_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    #[test]
    fn deletions_do_not_wait_for_each_other_but_a_claim_finds_them() {
        let lanes = Arc::new(Lanes::default());
        let (first, none) = lanes.enter_behind(smallvec![Lane::Channel(1), Lane::Released]);
        let (_second, others) = lanes.enter_behind(smallvec![Lane::Channel(2), Lane::Released]);
        assert!(none.is_empty() && others.is_empty());
        let releasing = lanes.on(&Lane::Released);
        assert_eq!(releasing.len(), 2);
        drop(first);
        assert_eq!(lanes.on(&Lane::Released).len(), 1);
    }

    #[test]
    fn channels_are_doubtful_after_a_write_of_unknown_outcome() {
        let doubts = Doubts::default();
        doubts.note(&[Lane::Guild(1), Lane::Channel(2)]);
        assert_eq!([1, 2, 3].map(|id| doubts.are_in(id)), [false, true, false]);
        let many: Vec<Lane> = (0..DOUBTFUL_MAX as u64 + 1).map(Lane::Channel).collect();
        doubts.note(&many);
        assert!(doubts.are_in(u64::MAX) && doubts.0.lock().channels.len() == DOUBTFUL_MAX);
    }

    #[test]
    fn only_those_before_on_the_same_lane_are_waited_for() {
        let lanes = Arc::new(Lanes::default());
        let first = lanes.enter(smallvec![Lane::Channel(1)]);
        let other = lanes.enter(smallvec![Lane::Channel(2)]);
        let (lookup, before) = lanes.enter_behind(smallvec![Lane::Channel(1), Lane::Guild(1), Lane::Channel(1)]);
        let later = lanes.enter(smallvec![Lane::Channel(1)]);
        assert_eq!(before.len(), 1);
        assert!(!before[0].is_cancelled());
        drop(first);
        assert!(before[0].is_cancelled());
        let (_, before) = lanes.enter_behind(smallvec![Lane::Guild(1)]);
        assert_eq!(before.len(), 1);
        drop(lookup);
        assert!(before[0].is_cancelled());
        assert_eq!(lanes.all().len(), 2);
        drop((other, later));
        assert!(lanes.all().is_empty() && lanes.inner.lock().lanes.is_empty());
    }

    #[tokio::test]
    async fn a_place_given_up_lets_the_next_go_on() {
        let lanes = Arc::new(Lanes::default());
        let key = || smallvec![Lane::Unique(UniqueKey::Email("a".into()))];
        let (first, none) = lanes.enter_behind(key());
        assert!(none.is_empty());
        let (_second, before) = lanes.enter_behind(key());
        let gave_up = tokio::spawn(async move {
            let _first = first;
            panic!("given up");
        });
        ended(before).await;
        assert!(gave_up.await.is_err());
    }
}
