//! The nodes of the deployment: who is there, who is draining, and which incarnations are over.

use std::collections::BTreeMap;

use rookery_model::lease::{LeaseSwap, WORKER_IDS, WorkerLease};

use crate::mark::{Mark, ceilings, ended, is_ended, is_older};
use crate::store::{Ops, Purpose, StoreAnswer, StoreCall};
use crate::{Config, Heartbeat, Marks, NodeId, Now, Timings};

/// A node whose shards somebody wants is looked for as long as it is asked about so often.
const WATCHED_FOR_MS: u64 = 5_000;
/// Between the turns of those who would end the same lease: several compare-and-sets of one row at the same moment only hold
/// each other up, and with Cassandra the loser waits for seconds while a dead replica counts as living. Long enough for one of
/// them over a wide area; whoever does it tells the others.
pub const TURN_MS: u64 = 350;
/// From this turn on nobody waits for another: the times of a take-over have room for so many.
pub const TURNS_MAX: u64 = 2;

/// What an incarnation said of itself last.
#[derive(Clone, Debug)]
pub struct Heard {
    pub node: NodeId,
    sequence: u64,
    pub home: usize,
    /// The regions that it serves, as a list of bits.
    serves: u64,
    /// Those of them for which it only stands by.
    stands_by: u64,
    pub is_draining: bool,
    at_ms: u64,
}

impl Heard {
    pub const fn serves(&self, region: usize) -> bool {
        self.serves & (1 << region) != 0
    }

    pub const fn stands_by(&self, region: usize) -> bool {
        self.stands_by & (1 << region) != 0
    }
}

/// What a heartbeat says that was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It came late, or twice.
    OfThePast,
    NoChange,
    /// Who may own what is another question now.
    Change,
}

/// Whether an incarnation may still own anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As far as is known it may.
    Running,
    /// It and all its writes are over; it came no higher than this.
    Over(Marks),
}

/// What is known of the node with a worker id.
#[derive(Debug, Default)]
struct Member {
    heard: Option<Heard>,
    /// The newest renewal of its lease.
    mark: Option<Mark>,
    /// Its lease as it was read last.
    row: Option<WorkerLease>,
    looked_ms: Option<u64>,
    is_looked_at: bool,
    watched_until_ms: u64,
    /// The newest incarnation that was asked about, heard or not.
    asked_epoch: u64,
    /// It said that it left.
    must_look: bool,
    /// Somebody asked about an incarnation before the one that speaks: that it is over, and how high it came, stands in the
    /// row.
    is_row_wanted: bool,
}

impl Member {
    fn see(&mut self, mark: Mark) {
        self.mark.get_or_insert(mark).see(mark);
    }

    fn fate(&self, node: NodeId) -> Fate {
        match &self.row {
            Some(row) if row.epoch > node.incarnation().into() || is_own_end(row, node) => Fate::Over(ceilings(row)),
            _ => Fate::Running,
        }
    }

    /// When the store is to be asked about it, by who has this turn to end its lease.
    fn look_ms(&self, timings: &Timings, turn: impl FnOnce() -> u64) -> u64 {
        let heard_ms = self.heard.as_ref().map(|heard| heard.at_ms);
        let last_ms = heard_ms.max(self.looked_ms);
        let silent_ms = last_ms.map_or(0, |last_ms| last_ms + timings.silent_after_ms);
        match (&self.mark, &self.row) {
            _ if self.must_look => 0,
            _ if self.is_row_wanted => self.looked_ms.map_or(0, |looked_ms| looked_ms + timings.retry_max_ms),
            // Whoever was looked for at its time is to be ended at its time.
            (Some(mark), Some(row)) if mark.is_of(row) && self.looked_ms > heard_ms => {
                let over_ms = mark.seen_ms + timings.over_after_ms();
                if silent_ms < over_ms {
                    return silent_ms;
                }
                (over_ms + turn() * TURN_MS).max(last_ms.unwrap_or(0) + timings.retry_ms)
            }
            _ => silent_ms,
        }
    }
}

fn is_own_end(row: &WorkerLease, node: NodeId) -> bool {
    row.epoch == u64::from(node.incarnation()) && is_ended(row)
}

/// All nodes that were heard or heard of.
#[derive(Default)]
pub struct Members {
    /// By worker id, of which there are [`WORKER_IDS`].
    members: BTreeMap<u16, Member>,
    /// The node takes nothing: others do not count on its turns.
    stands_aside: bool,
}

impl Members {
    /// Whether the node has no lease, or gives everything away.
    pub const fn set_stands_aside(&mut self, stands_aside: bool) {
        self.stands_aside = stands_aside;
    }

    /// Takes a heartbeat in.
    pub fn hear(&mut self, heartbeat: &Heartbeat, home: usize, serves: u64, stands_by: u64, now: Now) -> News {
        let node = heartbeat.node;
        let member = self.members.entry(node.worker_id()).or_default();
        let is_newer = member.heard.as_ref().is_none_or(|heard| {
            let (known, new) = ((heard.node.incarnation(), heard.sequence), (node.incarnation(), heartbeat.sequence));
            // Of two processes with one incarnation at most one has the lease.
            new > known && (heard.node == node || node.incarnation() > heard.node.incarnation())
        });
        if !is_newer || member.fate(node) != Fate::Running {
            return News::OfThePast;
        }
        member.see(Mark::new(node.incarnation().into(), heartbeat.lease_expires_at_us, now.monotonic_ms));
        let is_draining = heartbeat.is_draining;
        let at_ms = now.monotonic_ms;
        let heard = Heard { node, sequence: heartbeat.sequence, home, serves, stands_by, is_draining, at_ms };
        let said = |heard: &Heard| (heard.node, heard.home, heard.serves, heard.stands_by, heard.is_draining);
        let is_change = member.heard.as_ref().map(said) != Some(said(&heard));
        member.heard = Some(heard);
        if is_change { News::Change } else { News::NoChange }
    }

    /// Hears that a node gave its lease back, or that another ended it; whether that is news. It is given nothing from now on,
    /// and its lease is looked at: what is so stands there and nowhere else.
    pub fn left(&mut self, node: NodeId) -> bool {
        let Some(member) = self.members.get_mut(&node.worker_id()) else { return false };
        if member.fate(node) != Fate::Running {
            return false;
        }
        member.must_look = true;
        if let Some(heard) = member.heard.as_mut().filter(|heard| heard.node == node) {
            heard.is_draining = true;
        }
        true
    }

    /// The nodes that are there, by worker id.
    pub fn live(&self) -> impl Iterator<Item = &Heard> {
        let live =
            |member: &Member| member.heard.as_ref().is_some_and(|heard| member.fate(heard.node) == Fate::Running);
        self.members.values().filter(move |member| live(member)).filter_map(|member| member.heard.as_ref())
    }

    /// A node, if it is there.
    pub fn live_node(&self, node: NodeId) -> Option<&Heard> {
        let member = self.members.get(&node.worker_id())?;
        member.heard.as_ref().filter(|heard| heard.node == node && member.fate(node) == Fate::Running)
    }

    /// Whether an incarnation that a row names may still own something; if so it is looked for.
    pub fn fate(&mut self, node: NodeId, now: Now) -> Fate {
        let member = self.members.entry(node.worker_id()).or_default();
        member.watched_until_ms = now.monotonic_ms + WATCHED_FOR_MS;
        member.asked_epoch = member.asked_epoch.max(node.incarnation().into());
        let fate = member.fate(node);
        member.is_row_wanted =
            fate == Fate::Running && member.mark.is_some_and(|mark| mark.epoch() > node.incarnation().into());
        fate
    }

    /// When the store is to be asked about somebody who matters.
    pub fn timeout_ms(&self, config: &Config, now: Now, matters: impl Fn(&Heard) -> bool) -> Option<u64> {
        self.relevant(config, now, matters).map(|(_, look_ms)| look_ms).min()
    }

    /// Asks the store about everybody who is silent and matters.
    pub fn run(&mut self, config: &Config, now: Now, ops: &mut Ops, matters: impl Fn(&Heard) -> bool) {
        let due: Vec<(u16, u64)> = self
            .relevant(config, now, matters)
            .filter(|(_, look_ms)| *look_ms <= now.monotonic_ms)
            .map(|(worker_id, _)| (worker_id, self.turn(config, now, worker_id)))
            .collect();
        for (worker_id, turn) in due {
            if ops.under_way().looks >= config.limits.looks_at_once {
                return;
            }
            if let Some(member) = self.members.get_mut(&worker_id) {
                member.is_looked_at = true;
                member.must_look = false;
                let call = member.look(config, worker_id, now, turn);
                ops.begin(Purpose::Look(worker_id), call, now.monotonic_ms + config.timings.store_timeout_ms);
            }
        }
    }

    fn relevant(
        &self,
        config: &Config,
        now: Now,
        matters: impl Fn(&Heard) -> bool,
    ) -> impl Iterator<Item = (u16, u64)> {
        let is_relevant = move |worker_id: u16, member: &Member| {
            let is_of_interest = match &member.heard {
                Some(heard) if member.fate(heard.node) == Fate::Running && matters(heard) => true,
                _ => member.watched_until_ms > now.monotonic_ms && !member.is_known_over(),
            };
            worker_id != config.worker_id && !member.is_looked_at && is_of_interest
        };
        let relevant = self.members.iter().filter(move |(worker_id, member)| is_relevant(**worker_id, member));
        relevant.map(move |(worker_id, member)| {
            (*worker_id, member.look_ms(&config.timings, || self.turn(config, now, *worker_id)))
        })
    }

    /// How many others are to end a node's lease before this one: first those of its region, who take its shards.
    fn turn(&self, config: &Config, now: Now, worker_id: u16) -> u64 {
        if self.stands_aside {
            return TURNS_MAX;
        }
        let home = |worker_id: u16| self.members.get(&worker_id)?.heard.as_ref().map(|heard| heard.home);
        let lost = home(worker_id);
        let own_home = config.regions.iter().position(|region| *region == config.region);
        let order = |home: Option<usize>, worker_id: u16| (home != lost, worker_id);
        let own = order(own_home, config.worker_id);
        let is_before = |heard: &&Heard| {
            let is_there = heard.at_ms + config.timings.silent_after_ms > now.monotonic_ms && !heard.is_draining;
            let id = heard.node.worker_id();
            is_there && id != worker_id && order(Some(heard.home), id) < own
        };
        self.live().filter(is_before).take(TURNS_MAX as usize).count() as u64
    }

    /// The incarnation that a worker id's lease names, as it was read last.
    pub fn holder(&self, worker_id: u16) -> Option<NodeId> {
        NodeId::from_row(self.members.get(&worker_id)?.row.as_ref()?.node_id)
    }

    /// Hears what the store says of a lease; whether somebody is over who was not before.
    pub fn looked(&mut self, worker_id: u16, answer: StoreAnswer, now: Now) -> bool {
        let Some(member) = self.members.get_mut(&worker_id) else { return false };
        member.is_looked_at = false;
        member.looked_ms = Some(now.monotonic_ms);
        let row = match answer {
            StoreAnswer::WorkerLease(Some(row)) if row.worker_id == worker_id => row,
            // It was ended as it was known.
            StoreAnswer::Swapped => match &member.row {
                Some(row) => ended(row),
                None => return false,
            },
            _ => return false,
        };
        if member.row.as_ref().is_some_and(|known| is_older(&row, known)) {
            return false;
        }
        if !is_ended(&row) {
            member.see(Mark::of(&row, now.monotonic_ms));
        }
        member.is_row_wanted = false;
        let news = member.row.as_ref() != Some(&row);
        member.row = Some(row);
        news
    }
}

impl Member {
    /// Whether nobody holds the lease, as far as is known.
    fn is_known_over(&self) -> bool {
        let epoch = self.mark.map_or(0, |mark| mark.epoch()).max(self.asked_epoch);
        self.row.as_ref().is_some_and(|row| is_ended(row) && row.epoch >= epoch)
    }

    /// Reads the lease, or ends it if it was seen for so long that it is over, and it is this node's turn.
    fn look(&self, config: &Config, worker_id: u16, now: Now, turn: u64) -> StoreCall {
        let after_ms = config.timings.over_after_ms() + turn * TURN_MS;
        match (&self.row, &self.mark) {
            (Some(row), Some(mark)) if mark.is_of(row) && now.monotonic_ms >= mark.seen_ms.saturating_add(after_ms) => {
                StoreCall::Swap(LeaseSwap::Worker { before: Some(row.clone()), after: ended(row) })
            }
            _ => StoreCall::WorkerLease(worker_id % WORKER_IDS),
        }
    }
}
