//! Snowflakes: strictly increasing over the process, and never above a ceiling that is stored first.
//!
//! The stored ceiling is what makes ids increase over restarts too, even if the clock was set back in between: a new
//! process begins above it. It leads the clock by a few seconds only, because ids that follow a crash carry that lead in
//! their time. While nobody asks for ids nothing is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rookery_core_db::{Store, StoreError};
use rookery_model::id::EPOCH_MS;
use rookery_model::{ApiError, ErrorCode, Snowflake, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How far the stored ceiling leads.
const LEAD_MS: u64 = 3_000;
/// Below this much room the ceiling is raised in the background.
const RAISE_BELOW_MS: u64 = 2_000;
/// Below this much room a caller waits for the raise before it begins.
const ENSURE_MS: u64 = 250;
/// How long a caller waits for it.
const ENSURE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a ceiling could not be stored.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often a start asks for ids, and the pause between.
const START_ATTEMPTS: u32 = 5;
const START_PAUSE: Duration = Duration::from_secs(1);
const SEQUENCE_BITS: u32 = 12;

/// Microseconds now, as the wall clock has it.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// Milliseconds now, as the wall clock has it.
pub fn now_ms() -> u64 {
    u64::try_from(now().unix_ms()).unwrap_or_default()
}

/// Issues ids for one process.
pub struct IdGenerator {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    worker: u16,
    /// The last issued: milliseconds since the Rookery epoch, then the sequence.
    last: AtomicU64,
    /// Unix milliseconds; ids stay below it.
    ceiling_ms: AtomicU64,
    /// Somebody wants the ceiling raised.
    wanted: Notify,
    /// It was raised, or could not be.
    settled: Notify,
    failing: AtomicBool,
}

impl IdGenerator {
    /// Begins above the store's ceiling and raises it once, so that the first id finds room.
    ///
    /// The background task ends when the generator is dropped.
    pub async fn start(store: Store, worker: u16) -> Result<Self, StoreError> {
        let mut attempts = 1;
        let shared = loop {
            match Self::begin(&store, worker).await {
                Ok(shared) => break Arc::new(shared),
                // A store that was opened a moment ago answers again.
                Err(error) if attempts < START_ATTEMPTS => {
                    tracing::warn!(%error, attempts, "the store does not give out ids yet");
                    attempts += 1;
                    tokio::time::sleep(START_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        let stop = CancellationToken::new();
        tokio::spawn(keep_raised(Arc::clone(&shared), store, stop.clone()));
        Ok(Self { shared, _stop: stop.drop_guard() })
    }

    async fn begin(store: &Store, worker: u16) -> Result<Shared, StoreError> {
        let floor_ms = store.id_ceiling().await?.max(EPOCH_MS);
        let shared = Shared::new(worker, floor_ms);
        shared.raise(store).await?;
        Ok(shared)
    }

    /// The next id. `Unavailable` when the stored ceiling leaves no room.
    pub fn next(&self) -> Result<Snowflake, ApiError> {
        self.shared.issue(now_ms()).ok_or_else(|| ErrorCode::Unavailable.into())
    }

    /// Ids lie above this moment from now on: others issued ids for the same channels until then. Room for them is made at
    /// once.
    pub fn raise_floor(&self, floor_ms: u64) {
        let floor = (floor_ms.saturating_sub(EPOCH_MS) << SEQUENCE_BITS) | 0xfff;
        if self.shared.last.fetch_max(floor, Ordering::AcqRel) < floor {
            self.shared.wanted.notify_one();
        }
    }

    /// The moment of the newest id, Unix milliseconds.
    pub fn last_ms(&self) -> u64 {
        self.shared.last_ms()
    }

    /// Whether nobody has to wait for ids.
    pub fn has_room(&self) -> bool {
        self.shared.room_ms(now_ms()) >= ENSURE_MS
    }

    /// Waits until there is room for ids; at once unless nobody asked for long.
    pub async fn ensure(&self) -> Result<(), ApiError> {
        let wait = async {
            loop {
                let settled = self.shared.settled.notified();
                if self.shared.room_ms(now_ms()) >= ENSURE_MS {
                    return Ok(());
                }
                self.shared.wanted.notify_one();
                settled.await;
                if self.shared.failing.load(Ordering::Acquire) {
                    return Err(ErrorCode::Unavailable.into());
                }
            }
        };
        tokio::time::timeout(ENSURE_TIMEOUT, wait).await.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into()))
    }
}

/// A generator's ids as a core asks for them: it cannot be refused one, so whoever runs it looks afterwards.
pub struct IssuedIds<'a> {
    generator: &'a IdGenerator,
    exhausted: bool,
}

impl<'a> IssuedIds<'a> {
    /// Ids of this generator.
    pub const fn new(generator: &'a IdGenerator) -> Self {
        Self { generator, exhausted: false }
    }
    /// Whether an id was asked for and there was none: what was decided with it must not be used.
    pub const fn are_exhausted(&self) -> bool {
        self.exhausted
    }
}

impl rookery_guild::IdSource for IssuedIds<'_> {
    fn next_id(&mut self) -> Snowflake {
        self.generator.next().unwrap_or_else(|_| {
            self.exhausted = true;
            Snowflake(0)
        })
    }
}

/// Raises the ceiling whenever somebody wants it raised, until the generator is dropped.
async fn keep_raised(shared: Arc<Shared>, store: Store, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.wanted.notified() => {}
        }
        let raised = shared.raise(&store).await;
        shared.failing.store(raised.is_err(), Ordering::Release);
        shared.settled.notify_waiters();
        if let Err(error) = raised {
            tracing::error!(%error, "the ceiling of ids cannot be stored; writes are refused until it can");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

impl Shared {
    fn new(worker: u16, floor_ms: u64) -> Self {
        Self {
            worker,
            // The last id of the floor's millisecond: the first one issued lies above everything before.
            last: AtomicU64::new(((floor_ms - EPOCH_MS) << SEQUENCE_BITS) | 0xfff),
            ceiling_ms: AtomicU64::new(floor_ms),
            wanted: Notify::new(),
            settled: Notify::new(),
            failing: AtomicBool::new(false),
        }
    }

    fn last_ms(&self) -> u64 {
        (self.last.load(Ordering::Acquire) >> SEQUENCE_BITS) + EPOCH_MS
    }

    fn room_ms(&self, now_ms: u64) -> u64 {
        self.ceiling_ms.load(Ordering::Acquire).saturating_sub(now_ms.max(self.last_ms()))
    }

    fn issue(&self, now_ms: u64) -> Option<Snowflake> {
        let ceiling_ms = self.ceiling_ms.load(Ordering::Acquire);
        let ceiling = ceiling_ms.saturating_sub(EPOCH_MS) << SEQUENCE_BITS;
        let clock = now_ms.saturating_sub(EPOCH_MS) << SEQUENCE_BITS;
        let advance = |last: u64| Some(clock.max(last + 1)).filter(|next| *next < ceiling);
        let issued = self.last.try_update(Ordering::AcqRel, Ordering::Acquire, advance);
        let room_ms = ceiling_ms.saturating_sub(now_ms.max(self.last_ms()));
        if room_ms < RAISE_BELOW_MS {
            self.wanted.notify_one();
        }
        let next = clock.max(issued.ok()? + 1);
        let sequence = (next & 0xfff) as u16;
        Some(Snowflake::from_parts((next >> SEQUENCE_BITS) + EPOCH_MS, self.worker, sequence))
    }

    async fn raise(&self, store: &Store) -> Result<(), StoreError> {
        let ceiling_ms = now_ms().max(self.last_ms() + 1) + LEAD_MS;
        store.raise_id_ceiling(ceiling_ms).await?;
        self.ceiling_ms.fetch_max(ceiling_ms, Ordering::AcqRel);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = EPOCH_MS + 1_000_000;

    fn generator(ceiling_ms: u64) -> Shared {
        let shared = Shared::new(5, START_MS);
        shared.ceiling_ms.store(ceiling_ms, Ordering::Release);
        shared
    }

    #[test]
    fn ids_increase_when_the_clock_stands_or_goes_back() {
        let shared = generator(START_MS + 10_000);
        let mut last = Snowflake(0);
        for now_ms in [START_MS - 500, START_MS + 1, START_MS + 1, START_MS, START_MS + 3] {
            for _ in 0..5_000 {
                let id = shared.issue(now_ms).unwrap();
                assert!(id > last);
                assert_eq!(id.worker(), 5);
                last = id;
            }
        }
    }

    #[test]
    fn the_first_id_lies_above_the_floor() {
        let id = generator(START_MS + 10).issue(START_MS - 60_000).unwrap();
        assert_eq!((id.unix_ms(), id.sequence()), (START_MS + 1, 0));
    }

    #[tokio::test]
    async fn ids_lie_above_what_others_issued() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(rookery_core_db::EmbeddedConfig::new(folder.path())).unwrap();
        let ids = IdGenerator::start(store, 5).await.unwrap();
        let floor_ms = now_ms() + 60_000;
        ids.raise_floor(floor_ms);
        ids.ensure().await.unwrap();
        assert!(ids.next().unwrap().unix_ms() > floor_ms && ids.last_ms() > floor_ms);
        // A lower one changes nothing.
        ids.raise_floor(floor_ms - 30_000);
        assert!(ids.next().unwrap().unix_ms() > floor_ms);
    }

    #[test]
    fn no_id_reaches_the_ceiling() {
        let shared = generator(START_MS + 2);
        assert!(shared.issue(START_MS + 2).is_none());
        let issued = std::iter::from_fn(|| shared.issue(START_MS + 1)).inspect(|id| {
            assert!(id.unix_ms() < START_MS + 2);
        });
        assert_eq!(issued.count(), 4_096);
    }

    #[test]
    fn threads_never_get_the_same_id() {
        let shared = generator(START_MS + 60_000);
        let mut all: Vec<Snowflake> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..20_000).filter_map(|_| shared.issue(START_MS + 1)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.len(), 80_000);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80_000);
    }
}
