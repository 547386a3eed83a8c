//! A node's side of placement: what goes in, what comes out, and in which order things are done.

mod hearing;

use std::collections::{BTreeMap, BTreeSet};

use self::hearing::Mismatch;
use crate::lease::{Change, OwnLease};
use crate::members::{Heard, Members};
use crate::outbox::Outbox;
use crate::shards::Shards;
use crate::shared::Shared;
use crate::store::{OpId, Ops, Purpose, StoreAnswer, StoreCall, StoreRequest};
use crate::{
    Config, ConfigError, Event, Marks, Message, NodeId, Now, Outgoing, Owner, RegionName, RouteTable, To, VirtualShard,
};

/// The state machine of a node. See the [crate's](crate) documentation for how it is driven.
pub struct NodePlacement {
    shared: Shared,
    /// By region; none where the node serves it not.
    regions: Vec<Option<Shards>>,
    home: usize,
    /// Who may own what may have changed.
    must_refresh: bool,
    heartbeat_ms: u64,
    heartbeat_sequence: u64,
    /// By worker id and region.
    mismatches: BTreeMap<(u16, usize), Mismatch>,
    /// Rows to be read because somebody asked who owns a shard.
    lookups: BTreeSet<(usize, VirtualShard)>,
    looking_up: BTreeMap<(usize, VirtualShard), u64>,
}

impl NodePlacement {
    /// A node that has nothing yet.
    ///
    /// # Errors
    /// The configuration has mistakes.
    pub fn new(config: Config, now: Now) -> Result<Self, ConfigError> {
        config.check()?;
        let routes = RouteTable::new(config.regions.clone());
        let takes = |name: &RegionName| *name == config.region || config.taken_over.contains(name);
        let shards = |(index, name)| {
            let stands_by = !takes(name);
            let serves = !stands_by || config.stands_by_for.contains(name);
            serves.then(|| Shards::new(index, config.virtual_shards, stands_by, now))
        };
        let regions = config.regions.iter().enumerate().map(shards).collect();
        let home = routes.index(&config.region).unwrap_or(0);
        let shared = Shared {
            lease: OwnLease::new(now),
            members: Members::default(),
            routes,
            ops: Ops::default(),
            outbox: Outbox::default(),
            draining_since_ms: None,
            gives: 0,
            config,
        };
        let mut node = Self {
            shared,
            regions,
            home,
            must_refresh: true,
            heartbeat_ms: now.monotonic_ms,
            heartbeat_sequence: 0,
            mismatches: BTreeMap::new(),
            lookups: BTreeSet::new(),
            looking_up: BTreeMap::new(),
        };
        node.run(now);
        Ok(node)
    }

    // What goes in.

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        self.run(now);
    }

    /// The store answered a request.
    pub fn handle_store(&mut self, now: Now, op: OpId, answer: StoreAnswer) {
        self.begin(now);
        self.answered(now, op, answer);
        self.run(now);
    }

    /// A message came from another node.
    pub fn handle_message(&mut self, now: Now, message: Message) {
        self.begin(now);
        match message {
            Message::Heartbeat(heartbeat) => self.heard(now, &heartbeat),
            Message::Ask { from, region, shards } => {
                if let Some(index) = self.index(&region) {
                    self.asked(now, index, from, &shards);
                }
            }
            Message::Moved { region, owners } => {
                if let Some(index) = self.index(&region) {
                    owners.into_iter().for_each(|(shard, owner)| self.moved(now, index, shard, owner));
                }
            }
            Message::Released { region, shards } => {
                if let Some(index) = self.index(&region) {
                    shards.into_iter().for_each(|(shard, epoch)| self.released(now, index, shard, epoch));
                }
            }
            Message::Left { node } => self.must_refresh |= self.shared.members.left(node),
            Message::AskOwned { from, region } => self.tell_owned(from, &region),
            Message::Owned { from, region, first, last, shards } => {
                if let Some(index) = self.index(&region) {
                    self.told_owned(now, index, from, first, last, &shards);
                }
            }
        }
        self.run(now);
    }

    /// The shell ended what it began with a shard, after [`Event::Drain`]: nothing of it is under way, and so far its ids and
    /// write timestamps came.
    pub fn handle_drained(&mut self, now: Now, region: &RegionName, shard: VirtualShard, used: Marks) {
        self.begin(now);
        if let Some(Some(region)) = self.index(region).map(|index| &mut self.regions[index]) {
            region.drained(&mut self.shared, now, shard, used);
        }
        self.run(now);
    }

    /// So far the node's ids and write timestamps came; to be told now and then, when either comes close to its ceiling,
    /// and before the last shard is drained.
    pub fn handle_used(&mut self, now: Now, used: Marks) {
        self.begin(now);
        let Shared { lease, config, .. } = &mut self.shared;
        lease.use_up(config, used, now);
        self.run(now);
    }

    /// A call was refused by a node that does not own the shard: what was tried, and who owns it as that node says.
    pub fn handle_refused(
        &mut self,
        now: Now,
        region: &RegionName,
        shard: VirtualShard,
        tried: Owner,
        hint: Option<Owner>,
    ) {
        self.begin(now);
        if let Some(index) = self.index(region) {
            match hint.filter(|hint| hint.epoch > tried.epoch) {
                Some(hint) => self.moved(now, index, shard, hint),
                None => {
                    self.shared.routes.forget(region, shard, tried);
                    self.look_up(index, shard);
                }
            }
        }
        self.run(now);
    }

    /// Somebody wants to know who owns a shard, and [`route`](Self::route) does not: [`Event::LookedUp`] follows, unless the
    /// region is unknown.
    pub fn handle_lookup(&mut self, now: Now, region: &RegionName, shard: VirtualShard) {
        self.begin(now);
        if let Some(index) = self.index(region) {
            self.look_up(index, shard);
        }
        self.run(now);
    }

    /// The process is to end: everything is given away, then [`Event::Ended`] follows. There is no way back.
    pub fn handle_drain(&mut self, now: Now) {
        self.begin(now);
        self.must_refresh = true;
        if self.shared.draining_since_ms.is_none() {
            self.shared.draining_since_ms = Some(now.monotonic_ms);
            self.heartbeat_ms = now.monotonic_ms;
            self.regions.iter_mut().flatten().for_each(|region| region.look_after_all(now));
        }
        self.run(now);
    }

    /// Nodes of this one's region may own the shards of a region that was lost, as long as none of its own nodes is there:
    /// the command of an operator, given to all nodes of the region.
    ///
    /// No harm is done if that region is not lost after all: its nodes keep their leases, and whatever they give up or
    /// lose they get back once they are heard of. The shell gives the command again ([`Config::taken_over`]) when the
    /// process starts anew.
    pub fn handle_take_over(&mut self, now: Now, region: &RegionName) {
        self.begin(now);
        self.must_refresh = true;
        if let Some(index) = self.index(region) {
            let count = self.shared.config.virtual_shards;
            let region = self.regions[index].get_or_insert_with(|| Shards::new(index, count, false, now));
            region.take_released(now);
            region.set_leaving(false, now);
            self.heartbeat_ms = now.monotonic_ms;
        }
        self.run(now);
    }

    /// Ends a take-over: the region's shards are given to its own nodes, or to nobody.
    pub fn handle_give_back(&mut self, now: Now, region: &RegionName) {
        self.begin(now);
        self.must_refresh = true;
        if let Some(index) = self.index(region).filter(|index| *index != self.home) {
            if let Some(shards) = &mut self.regions[index] {
                shards.set_leaving(true, now);
            }
            self.heartbeat_ms = now.monotonic_ms;
        }
        self.run(now);
    }

    // What comes out.

    /// Something to ask the store, if there is.
    pub fn poll_store(&mut self) -> Option<StoreRequest> {
        self.shared.ops.requests.pop_front()
    }

    /// A message to send, if there is.
    pub fn poll_message(&mut self) -> Option<Outgoing> {
        let Shared { outbox, lease, routes, config, .. } = &mut self.shared;
        outbox.next(lease.held(), routes, config.limits.shards_of_message_max)
    }

    /// Something for the shell to do, if there is.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.outbox.events.pop_front()
    }

    /// A shard whose owner is another than when this was asked last, as far as [`route`](Self::route) knows; each once.
    pub fn poll_route(&mut self) -> Option<(RegionName, VirtualShard)> {
        let (index, shard) = self.shared.routes.poll_changed()?;
        Some((self.shared.routes.name(index).clone(), shard))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, by the monotonic clock.
    pub fn poll_timeout(&self, now: Now) -> Option<u64> {
        let shared = &self.shared;
        let has_looks = shared.ops.under_way().looks < shared.config.limits.looks_at_once;
        let looks = has_looks
            .then(|| shared.members.timeout_ms(&shared.config, now, |heard| matters(&self.regions, heard)))
            .flatten();
        let heartbeat = shared.lease.held().map(|_| self.heartbeat_ms);
        let regions = self.regions.iter().flatten().filter_map(|region| region.timeout_ms(shared));
        let lease = shared.lease.timeout_ms(&shared.config);
        lease.into_iter().chain(shared.ops.deadline_ms()).chain(heartbeat).chain(looks).chain(regions).min()
    }

    // What can be asked.

    /// Whether what is durable by now may be acknowledged, for an owner that was activated at an epoch. To be asked after
    /// the write became durable, with the time as it is then.
    pub fn may_acknowledge(&self, now_ms: u64, region: &RegionName, shard: VirtualShard, epoch: u64) -> bool {
        self.acknowledges_until_ms().is_some_and(|until_ms| now_ms < until_ms)
            && self.epoch(region, shard) == Some(epoch)
    }

    /// Until when the node may acknowledge anything at all, by the monotonic clock.
    pub fn acknowledges_until_ms(&self) -> Option<u64> {
        self.shared.lease.acknowledges_until_ms(&self.shared.config)
    }

    /// The epoch at which the node owns a shard, also while it drains it; none if it does not.
    pub fn epoch(&self, region: &RegionName, shard: VirtualShard) -> Option<u64> {
        self.regions[self.index(region)?].as_ref()?.epoch(shard)
    }

    /// Who owns a shard, as far as is known; the node itself only if it does.
    pub fn route(&self, region: &RegionName, shard: VirtualShard) -> Option<Owner> {
        self.index(region).and_then(|index| self.owner(index, shard))
    }

    /// The newest epoch of a shard that is known, also where nobody owns it since; 0 where none is.
    pub fn known_epoch(&self, region: &RegionName, shard: VirtualShard) -> u64 {
        self.index(region).map_or(0, |index| self.shared.routes.epoch(index, shard))
    }

    /// The node, while it has its lease.
    pub fn node(&self) -> Option<NodeId> {
        self.shared.lease.held()
    }

    /// No id and no write timestamp of the node may lie above these; none while it has no lease.
    pub fn ceilings(&self) -> Option<Marks> {
        self.shared.lease.ceilings()
    }

    /// All shards of a region that the node owns, with their epochs.
    pub fn owned(&self, region: &RegionName) -> impl Iterator<Item = (VirtualShard, u64)> {
        let shards = self.index(region).and_then(|index| self.regions[index].as_ref());
        shards.into_iter().flat_map(Shards::owned)
    }

    /// Of its own shards a node knows more than what it hears, or was forgotten after a call that it refused itself.
    fn owner(&self, index: usize, shard: VirtualShard) -> Option<Owner> {
        let epoch = self.regions[index].as_ref().and_then(|region| region.epoch(shard));
        let own = self.node().zip(epoch).map(|(node, epoch)| Owner { node, epoch });
        own.or_else(|| self.shared.routes.get(index, shard))
    }

    fn index(&self, region: &RegionName) -> Option<usize> {
        self.shared.routes.index(region)
    }

    /// What the clock decides comes before everything else: an answer that comes when the lease is over is too late.
    fn begin(&mut self, now: Now) {
        let Shared { lease, config, outbox, .. } = &mut self.shared;
        let change = lease.tick(config, now, &mut outbox.events);
        self.lease_changed(now, change);
    }

    fn answered(&mut self, now: Now, op: OpId, answer: StoreAnswer) {
        let Some(purpose) = self.shared.ops.end(op) else { return };
        let shared = &mut self.shared;
        match purpose {
            Purpose::OwnLease => {
                let Shared { lease, config, outbox, .. } = shared;
                let change = lease.answered(config, now, op, answer, &mut outbox.events);
                self.lease_changed(now, change);
            }
            Purpose::Look(worker_id) => {
                let is_ended_here = answer == StoreAnswer::Swapped;
                if let Some(node) = shared.members.holder(worker_id).filter(|_| is_ended_here) {
                    shared.outbox.send(To::All, Message::Left { node });
                }
                if shared.members.looked(worker_id, answer, now) {
                    self.must_refresh = true;
                    self.regions.iter_mut().flatten().for_each(|region| region.look_after_all(now));
                }
            }
            Purpose::Take(index, shard) => {
                if let Some(region) = &mut self.regions[index] {
                    region.take_answered(shared, now, shard, op, answer);
                }
            }
            Purpose::Give(index, shard) => {
                if let Some(region) = &mut self.regions[index] {
                    region.give_answered(shared, now, shard, op, answer);
                }
            }
            Purpose::Scan(index) => {
                if let Some(region) = &mut self.regions[index] {
                    region.scanned(shared, now, answer);
                }
            }
            Purpose::Lookup(index, shard) => self.looked_up(now, index, shard, &answer),
        }
    }

    fn lease_changed(&mut self, now: Now, change: Change) {
        self.must_refresh |= change != Change::Nothing;
        match change {
            Change::Nothing => return,
            Change::Ended => {
                let node = self.shared.lease.last_held();
                let left = node.map(|node| Message::Left { node });
                return left.into_iter().for_each(|left| self.shared.outbox.send(To::All, left));
            }
            Change::Lost => {
                self.shared.gives = 0;
                self.regions.iter_mut().flatten().for_each(Shards::lose);
            }
            Change::Taken => self.heartbeat_ms = now.monotonic_ms,
            Change::Renewed | Change::Resumed => {
                // Told at once, so that others count from now on, should it be the last: one that is unheard they see when
                // they look for it.
                self.heartbeat_ms = now.monotonic_ms;
                for region in self.regions.iter_mut().flatten() {
                    region.ceilings_raised(&mut self.shared, now);
                }
            }
        }
        if change != Change::Renewed {
            self.regions.iter_mut().flatten().for_each(|region| region.look_after_all(now));
        }
    }

    /// Does whatever is due.
    fn run(&mut self, now: Now) {
        while let Some(op) = self.shared.ops.overdue(now.monotonic_ms) {
            self.answered(now, op, StoreAnswer::Unknown);
        }
        self.refresh(now);
        let Shared { lease, config, ops, .. } = &mut self.shared;
        lease.run(config, now, ops);
        for region in self.regions.iter_mut().flatten() {
            region.run(&mut self.shared, now);
        }
        // After the regions, which say whose fate they want to know.
        let Shared { members, config, ops, .. } = &mut self.shared;
        members.run(config, now, ops, |heard| matters(&self.regions, heard));
        self.run_lookups(now);
        self.end_what_is_left(now);
        self.run_heartbeat(now);
    }

    /// Who may own what, by what is known now.
    fn refresh(&mut self, now: Now) {
        if !std::mem::take(&mut self.must_refresh) {
            return;
        }
        let is_there = self.shared.lease.held().is_some() && self.shared.draining_since_ms.is_none();
        self.shared.members.set_stands_aside(!is_there);
        for (index, region) in self.regions.iter_mut().enumerate() {
            let Some(region) = region else { continue };
            let live = self.shared.members.live();
            let others = live.filter(|heard| !heard.is_draining && heard.serves(index));
            let rank = |is_own: bool, stands_by: bool| u8::from(!is_own) + u8::from(!is_own && stands_by);
            let mut all: Vec<(u8, u16)> = others
                .map(|heard| (rank(heard.home == index, heard.stands_by(index)), heard.node.worker_id()))
                .collect();
            if is_there && !region.is_leaving() {
                all.push((rank(self.home == index, region.stands_by()), self.shared.config.worker_id));
            }
            // Nodes of other regions only where none of its own is left, and first those that were told to take it over.
            let first = all.iter().map(|(rank, _)| *rank).min().unwrap_or(0);
            let mut eligible: Vec<u16> =
                all.into_iter().filter(|(rank, _)| *rank == first).map(|(_, worker_id)| worker_id).collect();
            eligible.sort_unstable();
            eligible.dedup();
            region.set_eligible(eligible, first == 0, now);
        }
    }

    fn end_what_is_left(&mut self, now: Now) {
        for region in &mut self.regions {
            if let Some(left) = region.as_ref().filter(|region| region.is_leaving() && region.is_empty()) {
                let Shared { routes, config, .. } = &self.shared;
                let stands_by = config.stands_by_for.contains(routes.name(left.index()));
                *region = stands_by.then(|| Shards::new(left.index(), config.virtual_shards, true, now));
                self.must_refresh = true;
                self.heartbeat_ms = now.monotonic_ms;
            }
        }
        let is_leaving = self.shared.draining_since_ms.is_some() && !self.shared.lease.is_end_wanted();
        if is_leaving && self.regions.iter().flatten().all(Shards::is_empty) {
            let Shared { lease, config, ops, outbox, .. } = &mut self.shared;
            lease.end(now, &mut outbox.events);
            lease.run(config, now, ops);
        }
    }

    fn look_up(&mut self, index: usize, shard: VirtualShard) {
        let key = (index, shard);
        if shard.number() < self.shared.config.virtual_shards && !self.looking_up.contains_key(&key) {
            self.lookups.insert(key);
        }
    }

    fn run_lookups(&mut self, now: Now) {
        while self.shared.ops.under_way().lookups < self.shared.config.limits.lookups_at_once
            && let Some((index, shard)) = self.lookups.pop_first()
        {
            let call = StoreCall::VirtualShardLease(self.shared.routes.name(index).clone(), shard);
            let deadline_ms = self.shared.deadline_ms(now);
            self.shared.ops.begin(Purpose::Lookup(index, shard), call, deadline_ms);
            self.looking_up.insert((index, shard), now.monotonic_ms);
        }
    }

    fn looked_up(&mut self, now: Now, index: usize, shard: VirtualShard, answer: &StoreAnswer) {
        let asked_ms = self.looking_up.remove(&(index, shard)).unwrap_or(0);
        let region = self.shared.routes.name(index).clone();
        if let StoreAnswer::VirtualShardLease(row) = answer
            && row.as_ref().is_none_or(|row| row.virtual_shard == shard.number() && row.region == region.as_str())
        {
            self.shared.routes.read(index, shard, row.as_ref(), asked_ms);
            if let Some(row) = row {
                let is_own = self.shared.lease.held().is_some_and(|node| node.get() == row.node_id);
                self.changed(now, index, shard, row.epoch, is_own);
            }
        }
        let owner = self.owner(index, shard);
        self.shared.outbox.events.push_back(Event::LookedUp { region, shard, owner });
    }
}

/// Whether it concerns this node that another is there.
fn matters(regions: &[Option<Shards>], heard: &Heard) -> bool {
    let is_served = |index: usize| heard.serves(index) || heard.home == index;
    regions.iter().enumerate().any(|(index, region)| region.is_some() && is_served(index))
}
