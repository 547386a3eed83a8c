//! The task of placement: it drives the core with the store of leases, the bus and the clock, and tells everybody what
//! follows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use rookery_bus::{Bus, Received, Subject, Subscription};
use rookery_core_db::{Store, StoreError};
use rookery_model::lease::LeaseSwap;
use rookery_placement::{
    Config, ConfigError, Event, Marks, Message, NodePlacement, OpId, Outgoing, RegionName, StoreAnswer, StoreCall,
    StoreRequest, To, VirtualShard,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::pace::Pace;
use super::{Location, Ownership, ShardEpoch, ShardEpochs, ShardRef, ShardSet, boot_clock};
use crate::gateway::worker::Workers;
use crate::id_generator::IdGenerator;
use crate::peers::PeerIndex;

/// How often the core is told how far ids and write timestamps came.
const TELL_USED_INTERVAL: Duration = Duration::from_secs(1);
/// How long a walk over all shards may take: it is many pages, and begun anew it takes as long again.
const WALK_WITHIN: Duration = Duration::from_secs(10);
/// Commands that may wait.
const COMMANDS_MAX: usize = 16;
/// How long a start waits until the region's shards have owners.
const READY_WITHIN: Duration = Duration::from_secs(40);
/// How long owners that begin wait for the sessions that the ones before had.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(3);
/// The same where there can be none.
const BEGIN_WITHIN: Duration = Duration::from_millis(200);
/// How long the end waits until everything is given away.
const DRAIN_WITHIN: Duration = Duration::from_secs(15);

/// What placement is made with.
pub struct PlacementInit {
    pub config: Config,
    pub bus: Bus,
    /// What is for this node, and for all nodes.
    pub subscriptions: [Subscription; 2],
    /// To all nodes.
    pub all: Subject,
    /// To the node of each worker id.
    pub nodes: HashMap<u16, Subject>,
    /// By worker id in which region ids are at home, as its place among the regions of `config`.
    pub homes: Vec<u8>,
}

/// A message as it is on the bus.
#[derive(Serialize, Deserialize)]
struct Envelope {
    from: u16,
    message: Message,
}

enum Command {
    /// Everything is given away; answered when it is, with what others have now.
    Drain(oneshot::Sender<Vec<ShardRef>>),
    /// An operator says that a region is lost, or is not any more.
    TakeOver { region: RegionName, is_begun: bool },
}

/// The way to the task.
#[derive(Clone)]
pub struct PlacementHandle {
    commands: mpsc::Sender<Command>,
    is_ready: watch::Receiver<bool>,
    regions: Arc<[RegionName]>,
    own: RegionName,
}

impl PlacementHandle {
    /// Waits until all shards of the region have owners; not for ever.
    pub async fn ready(&self) {
        let mut is_ready = self.is_ready.clone();
        let ready = tokio::time::timeout(READY_WITHIN, is_ready.wait_for(|ready| *ready)).await;
        if !matches!(ready, Ok(Ok(_))) {
            tracing::warn!(region = %self.own, "not all of the region's shards have owners yet");
        }
    }

    /// Gives everything away; returns what others own from now on.
    pub async fn drain(&self) -> Vec<ShardRef> {
        let (done, drained) = oneshot::channel();
        if self.commands.send(Command::Drain(done)).await.is_err() {
            return Vec::new();
        }
        match tokio::time::timeout(DRAIN_WITHIN, drained).await {
            Ok(given) => given.unwrap_or_default(),
            Err(_) => {
                tracing::warn!("not everything could be handed over in time; others take it when the lease is over");
                Vec::new()
            }
        }
    }

    /// Has this region take over another one's shards, or give them back; false if there is no such region.
    pub async fn take_over(&self, region: &str, is_begun: bool) -> bool {
        let found = self.regions.iter().find(|name| name.as_str() == region && **name != self.own);
        let Some(region) = found.cloned() else { return false };
        self.commands.send(Command::TakeOver { region, is_begun }).await.is_ok()
    }
}

type StoreFuture = futures_util::future::BoxFuture<'static, (Kind, OpId, StoreAnswer)>;

/// What a question to the store is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The lease of a node: it waits for nothing, because on time it depends whether the node goes on.
    Node,
    Shards,
}

impl Kind {
    const fn of(call: &StoreCall) -> Self {
        match call {
            StoreCall::WorkerLease(_) | StoreCall::Swap(LeaseSwap::Worker { .. }) => Self::Node,
            StoreCall::VirtualShardLease(..)
            | StoreCall::VirtualShardLeases(_)
            | StoreCall::Swap(LeaseSwap::VirtualShard { .. }) => Self::Shards,
        }
    }
}

/// The task.
pub struct PlacementTask {
    core: NodePlacement,
    config: Config,
    store: Store,
    ids: Arc<IdGenerator>,
    ownership: Arc<Ownership>,
    bus: Bus,
    subscriptions: [Subscription; 2],
    all: Subject,
    nodes: HashMap<u16, Subject>,
    peers: HashMap<u16, PeerIndex>,
    /// Whether there are nodes of other regions.
    has_foreign: bool,
    ops: FuturesUnordered<StoreFuture>,
    /// Questions about shards that wait, how many are under way, and how many may be.
    waiting: VecDeque<(OpId, StoreCall)>,
    shards_asked: usize,
    pace: Pace,
    /// Shards whose owners end what they began.
    drains: JoinSet<ShardEpoch>,
    /// Shards whose owners ended, on the way to everybody.
    ends: JoinSet<Arc<ShardEpochs>>,
    /// Shards that begin, until all sessions are handed over that the owners before had.
    begins: JoinSet<Arc<ShardEpochs>>,
    workers: Arc<Workers>,
    commands: mpsc::Receiver<Command>,
    is_ready: watch::Sender<bool>,
    drained: Option<oneshot::Sender<Vec<ShardRef>>>,
    /// Shards that were given to others since the end began.
    given: Vec<ShardRef>,
    is_over: bool,
}

/// What a turn found.
enum Turn {
    Stored(Kind, OpId, StoreAnswer),
    Drained(ShardEpoch),
    Ended(Arc<ShardEpochs>),
    Begun(Arc<ShardEpochs>),
    Idle,
    Message(Bytes),
    Command(Command),
    TellUsed,
    Due,
}

impl PlacementTask {
    /// A node that owns nothing yet. `peers` are the other nodes by worker id.
    pub fn new(
        init: PlacementInit,
        store: Store,
        ids: Arc<IdGenerator>,
        ownership: Arc<Ownership>,
        peers: HashMap<u16, PeerIndex>,
        workers: Arc<Workers>,
    ) -> Result<(Self, PlacementHandle), ConfigError> {
        let PlacementInit { config, bus, subscriptions, all, nodes, homes } = init;
        let home = |worker_id: u16| homes.get(usize::from(worker_id));
        let is_foreign = |worker_id: u16| home(worker_id) != home(config.worker_id);
        let has_foreign = peers.keys().any(|worker_id| is_foreign(*worker_id));
        let core = NodePlacement::new(config.clone(), boot_clock::now())?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (is_ready, ready) = watch::channel(false);
        let handle = PlacementHandle {
            commands,
            is_ready: ready,
            regions: config.regions.clone().into(),
            own: config.region.clone(),
        };
        let task = Self {
            core,
            config,
            store,
            ids,
            ownership,
            bus,
            subscriptions,
            all,
            nodes,
            peers,
            has_foreign,
            ops: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            shards_asked: 0,
            pace: Pace::default(),
            drains: JoinSet::new(),
            ends: JoinSet::new(),
            begins: JoinSet::new(),
            workers,
            commands: receiver,
            is_ready,
            drained: None,
            given: Vec::new(),
            is_over: false,
        };
        Ok((task, handle))
    }

    /// Runs until everything was given away.
    pub async fn run(mut self) {
        let mut used_at = Instant::now() + TELL_USED_INTERVAL;
        // Until there is a lease; who never gets one is to be seen.
        note_suspended(true);
        loop {
            self.follow_up();
            if self.is_over {
                // What was said last is to leave the process.
                if let Some(drained) = self.drained.take() {
                    let _ = drained.send(std::mem::take(&mut self.given));
                }
                return;
            }
            let turn = self.turn(used_at).await;
            let now = boot_clock::now();
            match turn {
                Turn::Stored(kind, op, answer) => {
                    if kind == Kind::Shards {
                        self.shards_asked -= 1;
                        self.pace.note(answer != StoreAnswer::Unknown, self.shards_asked);
                    }
                    self.core.handle_store(now, op, answer);
                }
                Turn::Drained(shard) => self.drained_one(shard),
                Turn::Ended(shards) => self.shards_ended(&shards),
                Turn::Begun(shards) => self.shards_begun(&shards),
                Turn::Idle => {}
                Turn::Message(bytes) => self.message(&bytes),
                Turn::Command(command) => self.command(command),
                Turn::TellUsed => {
                    used_at = Instant::now() + TELL_USED_INTERVAL;
                    self.core.handle_used(now, self.used());
                }
                Turn::Due => self.core.handle_timeout(now),
            }
        }
    }

    async fn turn(&mut self, used_at: Instant) -> Turn {
        let now = boot_clock::now();
        let due =
            self.core.poll_timeout(now).map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now.monotonic_ms)));
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep(due).await,
                None => std::future::pending().await,
            }
        };
        let [own, all] = &mut self.subscriptions;
        // What was heard comes behind what was done: a lease that is renewed in time is worth more than news.
        tokio::select! {
                biased;
                Some((kind, op, answer)) = self.ops.next(), if !self.ops.is_empty() => Turn::Stored(kind, op, answer),
                () = timer => Turn::Due,
                // None of these panics; if one did, its shards would wait for the end of the lease.
                Some(drained) = self.drains.join_next(), if !self.drains.is_empty() => {
                    drained.map_or(Turn::Idle, Turn::Drained)
                }
                Some(ended) = self.ends.join_next(), if !self.ends.is_empty() => {
                    ended.map_or(Turn::Idle, Turn::Ended)
                }
                Some(begun) = self.begins.join_next(), if !self.begins.is_empty() => {
                    begun.map_or(Turn::Idle, Turn::Begun)
                }
                Some(command) = self.commands.recv() => Turn::Command(command),
                () = tokio::time::sleep_until(used_at) => Turn::TellUsed,
                Some(received) = own.recv() => heard(received),
                Some(received) = all.recv() => heard(received),
        }
    }

    fn message(&mut self, bytes: &[u8]) {
        match ciborium::from_reader::<Envelope, _>(bytes) {
            Ok(Envelope { from, message }) if from != self.config.worker_id => {
                self.core.handle_message(boot_clock::now(), message);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a message about placement is passed over");
                metrics::counter!("rookery_placement_messages_unreadable_total").increment(1);
            }
        }
    }

    fn command(&mut self, command: Command) {
        let now = boot_clock::now();
        match command {
            Command::Drain(done) => {
                self.drained = Some(done);
                self.core.handle_used(now, self.used());
                self.core.handle_drain(now);
            }
            Command::TakeOver { region, is_begun: true } => self.core.handle_take_over(now, &region),
            Command::TakeOver { region, is_begun: false } => self.core.handle_give_back(now, &region),
        }
    }

    /// How far ids and write timestamps came.
    fn used(&self) -> Marks {
        Marks { id_ms: self.ids.last_ms(), write_timestamp_us: self.store.last_write_timestamp_us() }
    }

    /// Owners of a shard ended, and perhaps of more: everybody hears of it behind all that they said.
    fn drained_one(&mut self, first: ShardEpoch) {
        let more = std::iter::from_fn(|| self.drains.try_join_next()).filter_map(Result::ok);
        let shards: Arc<ShardEpochs> = Arc::new(std::iter::once(first).chain(more).collect());
        self.ownership.note_ended(&shards);
        let workers = Arc::clone(&self.workers);
        self.ends.spawn(async move {
            workers.ended(&shards, true).await;
            shards
        });
    }

    fn shards_ended(&mut self, shards: &ShardEpochs) {
        let (now, used) = (boot_clock::now(), self.used());
        for ShardEpoch { shard, epoch, .. } in shards.iter() {
            self.ownership.forget(shard, epoch);
            if let (Some(region), Some(number)) = (self.region(shard.region), VirtualShard::new(shard.number)) {
                self.core.handle_drained(now, &region, number, used);
            }
        }
    }

    /// All sessions of the owners before are handed over, or are waited for no longer.
    fn shards_begun(&self, shards: &ShardEpochs) {
        shards.iter().for_each(|shard| self.ownership.open(shard.shard, shard.epoch));
        self.ownership.tell_changed();
    }

    fn region(&self, index: u8) -> Option<RegionName> {
        self.config.regions.get(usize::from(index)).cloned()
    }

    fn shard(&self, region: &RegionName, shard: VirtualShard) -> Option<ShardRef> {
        let index = self.config.regions.iter().position(|name| name == region)?;
        Some(ShardRef { region: u8::try_from(index).ok()?, number: shard.number() })
    }

    /// Carries out whatever the core wants.
    fn follow_up(&mut self) {
        self.ownership.acknowledges_until(self.core.acknowledges_until_ms().unwrap_or(0));
        let mut changed = Vec::new();
        let mut begins = Vec::new();
        while let Some(event) = self.core.poll_event() {
            self.event(event, &mut begins, &mut changed);
        }
        self.begin(&mut begins, &mut changed);
        while let Some((region, number)) = self.core.poll_route() {
            let Some(shard) = self.shard(&region, number) else { continue };
            if self.core.epoch(&region, number).is_some() {
                continue;
            }
            let (owner, epoch) = (self.core.route(&region, number), self.core.known_epoch(&region, number));
            let owner = owner.and_then(|owner| self.peers.get(&owner.node.worker_id()).copied());
            if self.ownership.route(shard, owner, epoch) {
                changed.push(shard);
            }
        }
        while let Some(StoreRequest { op, call }) = self.core.poll_store() {
            match Kind::of(&call) {
                Kind::Node => self.ask_store(Kind::Node, op, call),
                Kind::Shards => self.waiting.push_back((op, call)),
            }
        }
        while self.pace.admits(self.shards_asked)
            && let Some((op, call)) = self.waiting.pop_front()
        {
            self.shards_asked += 1;
            self.ask_store(Kind::Shards, op, call);
        }
        while let Some(Outgoing { to, message }) = self.core.poll_message() {
            self.send(to, message);
        }
        if !changed.is_empty() {
            self.ownership.tell_changed();
            self.note_ready();
        }
    }

    fn event(&mut self, event: Event, begins: &mut Vec<ShardEpoch>, changed: &mut Vec<ShardRef>) {
        match event {
            Event::LeaseTaken { node, floors } => {
                tracing::info!(?node, "the node has its lease");
                note_suspended(false);
                self.raise(floors);
                self.ownership.tell_changed();
            }
            Event::WorkerIdHeld { by } => {
                tracing::warn!(?by, "another process has the lease of this node's number; waiting for its end");
            }
            Event::Suspended => {
                tracing::warn!("the node's lease could not be renewed; nothing is acknowledged meanwhile");
                note_suspended(true);
            }
            Event::Resumed => {
                tracing::info!("the node's lease is renewed");
                note_suspended(false);
                // Calls wait for it.
                self.ownership.tell_changed();
            }
            Event::Lost => {
                begins.clear();
                let lost = self.ownership.lose_all();
                tracing::error!(shards = lost.len(), "the node's lease ended; it owns nothing any more");
                metrics::counter!("rookery_placement_leases_lost_total").increment(1);
                note_suspended(true);
                self.tell_lost(&lost);
                changed.extend(lost);
            }
            Event::Activate { region, shard, epoch, predecessor, id_floor_ms, write_timestamp_floor_us } => {
                self.raise(Marks { id_ms: id_floor_ms, write_timestamp_us: write_timestamp_floor_us });
                let Some(shard) = self.shard(&region, shard) else { return };
                if self.has_foreign && predecessor.is_some_and(|last| last > 0) {
                    // It may have been of another region, and have written near its own replicas what those near by lack yet.
                    self.store.read_widely();
                }
                begins.push(ShardEpoch { shard, epoch, predecessor });
            }
            Event::Drain { region, shard, epoch } => {
                self.begin(begins, changed);
                let Some(shard) = self.shard(&region, shard) else { return };
                let ending = self.ownership.end(shard, epoch);
                changed.push(shard);
                self.drains.spawn(async move {
                    if let Some(tenure) = ending {
                        tenure.end().await;
                    }
                    ShardEpoch { shard, epoch, predecessor: None }
                });
            }
            Event::Released { region, shard, owner: Some(_) } if self.drained.is_some() => {
                self.given.extend(self.shard(&region, shard));
            }
            Event::Released { .. } | Event::LookedUp { .. } => {}
            Event::Ended => self.is_over = true,
        }
    }

    fn begin(&mut self, begins: &mut Vec<ShardEpoch>, changed: &mut Vec<ShardRef>) {
        if begins.is_empty() {
            return;
        }
        // Others wrote since.
        self.store.forget_pages();
        for ShardEpoch { shard, epoch, predecessor } in begins.iter() {
            self.ownership.begin(*shard, *epoch, *predecessor);
            changed.push(*shard);
        }
        let shards: Arc<ShardEpochs> = Arc::new(begins.drain(..).collect());
        self.ownership.note_began(&shards);
        let workers = Arc::clone(&self.workers);
        self.begins.spawn(async move {
            // Where nobody gave them away, nobody has what could be gone on with.
            let has_heirs = shards.iter().any(|shard| shard.predecessor.is_some_and(|last| last > 0));
            let within = if has_heirs { HAND_OVER_WITHIN } else { BEGIN_WITHIN };
            let begun = tokio::time::timeout(within, workers.began(&shards, true)).await;
            if begun.is_err() && has_heirs {
                tracing::warn!("not all nodes handed their sessions over in time; those start with snapshots");
                metrics::counter!("rookery_placement_slow_hand_overs_total").increment(1);
            }
            shards
        });
    }

    /// Sessions here and elsewhere learn that what was owned here is lost.
    fn tell_lost(&mut self, lost: &[ShardRef]) {
        let (workers, shards) = (Arc::clone(&self.workers), Arc::new(lost.iter().copied().collect::<ShardSet>()));
        tokio::spawn(async move {
            workers.lost(&shards).await;
            workers.cut_off(&shards).await;
        });
    }

    fn raise(&self, floors: Marks) {
        self.ids.raise_floor(floors.id_ms);
        self.store.raise_write_timestamps(floors.write_timestamp_us);
    }

    fn note_ready(&self) {
        let owned = self.core.owned(&self.config.region).count();
        metrics::gauge!("rookery_virtual_shards_owned").set(owned as f64);
        if *self.is_ready.borrow() {
            return;
        }
        let own = self.config.regions.iter().position(|name| *name == self.config.region).unwrap_or(0);
        let region = u8::try_from(own).unwrap_or(0);
        let has_owner = |number| self.ownership.location(ShardRef { region, number }) != Location::Nowhere;
        if (0..self.config.virtual_shards).all(has_owner) {
            tracing::info!(region = %self.config.region, owned, "the region's shards have owners");
            self.is_ready.send_replace(true);
        }
    }

    fn ask_store(&self, kind: Kind, op: OpId, call: StoreCall) {
        let store = self.store.clone();
        let within = match &call {
            StoreCall::VirtualShardLeases(_) => WALK_WITHIN,
            _ => Duration::from_millis(self.config.timings.store_timeout_ms),
        };
        let asked = async move {
            let answer = tokio::time::timeout(within, ask(&store, call)).await;
            (kind, op, answer.unwrap_or(Ok(StoreAnswer::Unknown)).unwrap_or(StoreAnswer::Unknown))
        };
        self.ops.push(asked.boxed());
    }

    fn send(&self, to: To, message: Message) {
        let subject = match to {
            To::All => Some(&self.all),
            To::Node(node) => self.nodes.get(&node.worker_id()),
        };
        let Some(subject) = subject else { return };
        let mut bytes = Vec::with_capacity(256);
        if ciborium::into_writer(&Envelope { from: self.config.worker_id, message }, &mut bytes).is_ok()
            && let Err(error) = self.bus.publish(subject, bytes.into())
        {
            // It is said again.
            tracing::debug!(%error, "a message about placement was not taken");
        }
    }
}

/// For operators: 1 while nothing that lives here is acknowledged.
fn note_suspended(is_suspended: bool) {
    metrics::gauge!("rookery_placement_suspended").set(f64::from(u8::from(is_suspended)));
}

fn heard(received: Received) -> Turn {
    match received {
        Received::Message(bytes) => Turn::Message(bytes),
        // What is missing is said again.
        Received::Lost(_) | Received::Interrupted => Turn::Idle,
    }
}

async fn ask(store: &Store, call: StoreCall) -> Result<StoreAnswer, StoreError> {
    Ok(match call {
        StoreCall::WorkerLease(id) => StoreAnswer::WorkerLease(store.worker_lease(id).await?),
        StoreCall::VirtualShardLease(region, shard) => {
            StoreAnswer::VirtualShardLease(store.virtual_shard_lease(region.as_str(), shard.number()).await?)
        }
        StoreCall::VirtualShardLeases(region) => {
            StoreAnswer::VirtualShardLeases(store.virtual_shard_leases(region.as_str()).await?)
        }
        StoreCall::Swap(LeaseSwap::Worker { before, after }) => match store.swap_worker_lease(before, after).await? {
            Ok(()) => StoreAnswer::Swapped,
            Err(stands) => StoreAnswer::WorkerLease(stands),
        },
        StoreCall::Swap(LeaseSwap::VirtualShard { before, after }) => {
            match store.swap_virtual_shard_lease(before, after).await? {
                Ok(()) => StoreAnswer::Swapped,
                Err(stands) => StoreAnswer::VirtualShardLease(stands),
            }
        }
    })
}
