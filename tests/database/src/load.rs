//! Those who use the stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rookery_core_db::Store;
use rookery_model::ChannelId;
use rookery_test_history::{Client, History};
use tokio::task::JoinHandle;

use crate::claimer::Claimer;
use crate::ledger::Ledger;
use crate::reader::Reader;
use crate::stage::Stage;
use crate::verdict::Verdict;
use crate::writer::Writer;

/// A region: its store, which is the only one through which its channels are written.
pub struct Home {
    pub name: &'static str,
    pub store: Store,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub channels: u64,
    pub writers: u64,
    pub readers: u64,
    pub claimers: u64,
    /// The pause of each of them between two operations, which bounds what a run has to check in the end.
    pub pause: Duration,
}

impl Plan {
    /// What fits a small machine.
    pub const fn new(seed: u64) -> Self {
        Self { seed, channels: 3, writers: 6, readers: 3, claimers: 2, pause: Duration::from_millis(15) }
    }
}

/// What writers, readers and claimers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub history: History,
    pub ledger: Arc<Ledger>,
    pub stop: Arc<AtomicBool>,
    /// The number of the name that everybody claims now.
    pub next_name: Arc<AtomicU64>,
    pub pause: Duration,
}

impl Shared {
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Load on the stores of some homes.
pub struct Load {
    shared: Shared,
    channels: Vec<ChannelId>,
    tasks: Vec<JoinHandle<()>>,
    clients: u64,
}

impl Load {
    /// Begins it.
    pub fn start(stage: &Stage, homes: &[Home], plan: Plan) -> Self {
        let shared = Shared {
            history: History::new(),
            ledger: Arc::new(Ledger::new(homes.len())),
            stop: Arc::default(),
            next_name: Arc::default(),
            pause: plan.pause,
        };
        let mut load = Self { shared, channels: Vec::new(), tasks: Vec::new(), clients: 0 };
        stage.block_on(async {
            for (number, home) in homes.iter().enumerate() {
                load.settle(number, &home.store, plan);
            }
        });
        load
    }

    fn settle(&mut self, home: usize, store: &Store, plan: Plan) {
        let channels = channels_of(home, plan.channels);
        for _ in 0..plan.writers {
            let client = self.client();
            let writer = Writer::new(client, home, store.clone(), channels.clone(), self.shared.clone(), plan.seed);
            self.tasks.push(tokio::spawn(writer.run()));
        }
        for _ in 0..plan.claimers {
            let client = self.client();
            self.tasks.push(tokio::spawn(Claimer::new(client, home, store.clone(), self.shared.clone()).run()));
        }
        self.read(home, store, channels.clone(), plan);
        self.channels.extend(channels);
    }

    fn read(&mut self, home: usize, store: &Store, channels: Vec<ChannelId>, plan: Plan) {
        for _ in 0..plan.readers {
            let client = self.client();
            let reader = Reader::new(client, home, store.clone(), channels.clone(), self.shared.clone(), plan.seed);
            self.tasks.push(tokio::spawn(reader.run()));
        }
    }

    /// Has a store that writes nothing read the channels of all homes; what it meets counts as the trouble of `home`.
    pub fn observe(&mut self, stage: &Stage, home: usize, store: &Store, plan: Plan) {
        let channels = self.channels.clone();
        stage.block_on(async { self.read(home, store, channels, plan) });
    }

    fn client(&mut self) -> Client {
        self.clients += 1;
        Client(self.clients)
    }

    /// What has been acknowledged so far.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// The channels of a home.
    pub fn channels(&self, home: usize) -> Vec<ChannelId> {
        self.channels.iter().copied().filter(|channel| home_of(*channel) == home).collect()
    }

    /// Lets everybody end what they are at: writes and claims are tried until they are certain.
    pub fn end(self, stage: &Stage) -> Verdict {
        self.shared.stop.store(true, Ordering::Release);
        stage.block_on(async {
            for task in self.tasks {
                task.await.unwrap();
            }
        });
        Verdict::new(self.shared.history, self.shared.ledger, self.channels)
    }
}

const CHANNELS_MAX: u64 = 1_000;

fn channels_of(home: usize, channels: u64) -> Vec<ChannelId> {
    let first = (home as u64 + 1) * CHANNELS_MAX;
    (first..first + channels).map(ChannelId::new).collect()
}

/// Whose channel it is.
pub(crate) fn home_of(channel_id: ChannelId) -> usize {
    usize::try_from(channel_id.get() / CHANNELS_MAX).unwrap() - 1
}
