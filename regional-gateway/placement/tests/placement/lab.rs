//! A few nodes, a store that answers at once, and a bus without delay.

use std::collections::{BTreeMap, BTreeSet};

use rookery_model::lease::{LeaseSwap, VirtualShardLease, WorkerLease};
use rookery_placement::{
    Config, Event, Marks, Message, NodeId, NodePlacement, Now, OpId, Outgoing, RegionName, StoreAnswer, StoreCall,
    StoreRequest, To, VirtualShard,
};

/// Unix microseconds at the beginning.
pub const EPOCH_US: i64 = 1_700_000_000_000_000;
/// Virtual shards of each region.
pub const SHARDS: u16 = 24;
const STEP_MS: u64 = 10;

/// What the store does with a node's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Answers,
    /// It neither does anything nor says so.
    Silent,
    /// Requests are kept in [`Node::kept`].
    Keeps,
}

pub struct Node {
    pub core: NodePlacement,
    pub ahead_us: i64,
    pub manner: Manner,
    pub kept: Vec<StoreRequest>,
    pub calls: Vec<StoreCall>,
    pub events: Vec<Event>,
    pub sent: Vec<Outgoing>,
    /// It hears nothing of others and is not heard.
    pub is_cut_off: bool,
    pub is_dead: bool,
    /// Its shell never reports a shard drained.
    pub holds_drains: bool,
    /// How far ids and write timestamps of each shard came, as its shell says when it is drained.
    pub used: Marks,
}

/// The world of a test.
pub struct Lab {
    pub time_ms: u64,
    pub nodes: Vec<Node>,
    pub workers: BTreeMap<u16, WorkerLease>,
    pub shards: BTreeMap<(String, u16), VirtualShardLease>,
}

pub fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

pub fn shard(number: u16) -> VirtualShard {
    VirtualShard::new(number).unwrap()
}

pub fn config(name: &str, worker_id: u16) -> Config {
    let regions = ["eu", "us"].map(region).to_vec();
    let mut config = Config::new(region(name), regions, worker_id, 1_000 + u32::from(worker_id));
    // The times that these tests speak of.
    config.timings.lease_ms = 8_000;
    config.timings.renew_interval_ms = 2_000;
    config.timings.silent_after_ms = 2_000;
    config.timings.ceiling_ahead_ms = 10_000;
    config.virtual_shards = SHARDS;
    config
}

impl Lab {
    pub fn new() -> Self {
        Self { time_ms: 5_000, nodes: Vec::new(), workers: BTreeMap::new(), shards: BTreeMap::new() }
    }

    pub fn now(&self, node: usize) -> Now {
        let ahead_us = self.nodes.get(node).map_or(0, |node| node.ahead_us);
        // Monotonic clocks have nothing to do with each other.
        let monotonic_ms = self.time_ms + node as u64 * 777_777;
        Now { monotonic_ms, wall_us: EPOCH_US + self.time_ms.cast_signed() * 1_000 + ahead_us }
    }

    pub fn start(&mut self, name: &str, worker_id: u16) -> usize {
        self.start_with(config(name, worker_id), 0)
    }

    pub fn start_with(&mut self, config: Config, ahead_us: i64) -> usize {
        let index = self.nodes.len();
        let mut now = self.now(index);
        now.wall_us += ahead_us;
        self.nodes.push(Node {
            core: NodePlacement::new(config, now).unwrap(),
            ahead_us,
            manner: Manner::Answers,
            kept: Vec::new(),
            calls: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            is_cut_off: false,
            is_dead: false,
            holds_drains: false,
            used: Marks::default(),
        });
        index
    }

    /// A lab in which this many nodes of `eu` own everything.
    pub fn settled(nodes: u16) -> Self {
        let mut lab = Self::new();
        for worker_id in 1..=nodes {
            lab.start("eu", worker_id);
        }
        lab.run_for(3_000);
        lab
    }

    pub fn run_for(&mut self, ms: u64) {
        let until_ms = self.time_ms + ms;
        while self.time_ms < until_ms {
            self.time_ms += STEP_MS;
            for index in 0..self.nodes.len() {
                let now = self.now(index);
                let node = &mut self.nodes[index];
                if !node.is_dead && node.core.poll_timeout(now).is_some_and(|due_ms| due_ms <= now.monotonic_ms) {
                    node.core.handle_timeout(now);
                    let due_ms = node.core.poll_timeout(now);
                    assert!(due_ms.is_none_or(|due_ms| due_ms > now.monotonic_ms), "it is due again at once");
                }
            }
            self.settle();
        }
    }

    /// Lets everything happen that is to happen now.
    pub fn settle(&mut self) {
        while (0..self.nodes.len()).any(|index| self.settle_node(index)) {}
    }

    pub fn with(&mut self, index: usize, act: impl FnOnce(&mut NodePlacement, Now)) {
        let now = self.now(index);
        act(&mut self.nodes[index].core, now);
        self.settle();
    }

    fn settle_node(&mut self, index: usize) -> bool {
        let now = self.now(index);
        let node = &mut self.nodes[index];
        if node.is_dead {
            return false;
        }
        if let Some(event) = node.core.poll_event() {
            if let (Event::Drain { region, shard, .. }, false) = (&event, node.holds_drains) {
                node.core.handle_drained(now, region, *shard, node.used);
            }
            node.events.push(event);
            return true;
        }
        if let Some(request) = node.core.poll_store() {
            node.calls.push(request.call.clone());
            match node.manner {
                Manner::Silent => {}
                Manner::Keeps => node.kept.push(request),
                Manner::Answers => {
                    let answer = self.carry_out(&request.call);
                    self.answer(index, request.op, answer);
                }
            }
            return true;
        }
        if let Some(outgoing) = node.core.poll_message() {
            node.sent.push(outgoing.clone());
            self.deliver(index, outgoing);
            return true;
        }
        false
    }

    pub fn answer(&mut self, index: usize, op: OpId, answer: StoreAnswer) {
        let now = self.now(index);
        self.nodes[index].core.handle_store(now, op, answer);
    }

    fn deliver(&mut self, from: usize, outgoing: Outgoing) {
        for to in 0..self.nodes.len() {
            let now = self.now(to);
            let is_cut_off = self.nodes[from].is_cut_off || self.nodes[to].is_cut_off;
            let node = &mut self.nodes[to];
            let is_meant = match outgoing.to {
                To::All => to != from,
                To::Node(id) => node.core.node() == Some(id),
            };
            if is_meant && !is_cut_off && !node.is_dead {
                node.core.handle_message(now, outgoing.message.clone());
            }
        }
    }

    /// Does what is asked of the store.
    pub fn carry_out(&mut self, call: &StoreCall) -> StoreAnswer {
        match call {
            StoreCall::WorkerLease(worker_id) => StoreAnswer::WorkerLease(self.workers.get(worker_id).cloned()),
            StoreCall::VirtualShardLease(region, shard) => {
                let key = (region.as_str().to_owned(), shard.number());
                StoreAnswer::VirtualShardLease(self.shards.get(&key).cloned())
            }
            StoreCall::VirtualShardLeases(region) => {
                let rows = self.shards.values().filter(|row| row.region == region.as_str());
                StoreAnswer::VirtualShardLeases(rows.cloned().collect())
            }
            StoreCall::Swap(LeaseSwap::Worker { before, after }) => {
                let stands = self.workers.get(&after.worker_id);
                if stands != before.as_ref() && stands != Some(after) {
                    return StoreAnswer::WorkerLease(stands.cloned());
                }
                self.workers.insert(after.worker_id, after.clone());
                StoreAnswer::Swapped
            }
            StoreCall::Swap(LeaseSwap::VirtualShard { before, after }) => {
                let key = (after.region.clone(), after.virtual_shard);
                let stands = self.shards.get(&key);
                if stands != before.as_ref() && stands != Some(after) {
                    return StoreAnswer::VirtualShardLease(stands.cloned());
                }
                self.shards.insert(key, after.clone());
                StoreAnswer::Swapped
            }
        }
    }

    // What can be asked.

    pub fn row(&self, name: &str, number: u16) -> &VirtualShardLease {
        &self.shards[&(name.to_owned(), number)]
    }

    /// The shards of a region that a node owns and would acknowledge for.
    pub fn owned(&self, index: usize, name: &str) -> BTreeSet<u16> {
        let (node, now) = (&self.nodes[index], self.now(index));
        let region = region(name);
        let owned = node.core.owned(&region);
        let may = |(shard, epoch): (VirtualShard, u64)| {
            node.core.may_acknowledge(now.monotonic_ms, &region, shard, epoch).then_some(shard.number())
        };
        if node.is_dead { BTreeSet::new() } else { owned.filter_map(may).collect() }
    }

    /// All shards of a region have an owner, and none has two.
    pub fn assert_all_owned(&self, name: &str) {
        let all: Vec<u16> = (0..self.nodes.len()).flat_map(|index| self.owned(index, name)).collect();
        let set: BTreeSet<u16> = all.iter().copied().collect();
        assert_eq!((all.len(), set.len()), (SHARDS.into(), SHARDS.into()), "{all:?}");
    }

    pub fn node(&self, index: usize) -> NodeId {
        self.nodes[index].core.node().unwrap()
    }

    pub fn take_events(&mut self, index: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[index].events)
    }

    pub fn tell(&mut self, to: usize, message: Message) {
        self.with(to, |core, now| core.handle_message(now, message));
    }
}
