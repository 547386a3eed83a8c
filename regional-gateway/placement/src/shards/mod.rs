//! The virtual shards of one region, at a node that may own some.

mod give;
mod slot;
mod take;

use std::collections::BTreeSet;

use rookery_model::lease::VirtualShardLease;

use crate::mix::mix_pair;
use crate::shared::Shared;
use crate::store::{Purpose, StoreAnswer, StoreCall};
use crate::{NodeId, Now, VirtualShard, digest, rendezvous};
use slot::{Give, Known, Slot, State};

/// The first look at the region's rows, all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    Due { at_ms: u64 },
    Asked,
    Done,
}

/// The virtual shards of one region.
pub struct Shards {
    index: usize,
    slots: Vec<Slot>,
    /// Worker ids of the nodes that may own them.
    eligible: Vec<u16>,
    /// Whose node should own each.
    targets: Vec<Option<u16>>,
    /// When a shard is looked after again.
    timers: BTreeSet<(u64, VirtualShard)>,
    /// What waits until fewer requests are under way.
    waiting_takes: BTreeSet<VirtualShard>,
    waiting_drains: BTreeSet<VirtualShard>,
    /// What waits for higher ceilings.
    raising: BTreeSet<VirtualShard>,
    scan: Scan,
    /// Of what the node owns.
    digest: u64,
    /// Since when the region's shards are given away, if they are.
    leaving_since_ms: Option<u64>,
    /// While the node has no lease: when the owners of the shards are looked for again.
    watch_ms: u64,
    /// Whether shards that are nobody's may be taken too, and not only those whose owner died.
    takes_released: bool,
    /// Whether those who may own the shards are nodes of the region itself.
    has_own_nodes: bool,
}

impl Shards {
    /// None of them is owned yet. A node that only stands by takes no shards but those whose owner died.
    pub fn new(index: usize, count: u16, stands_by: bool, now: Now) -> Self {
        Self {
            index,
            slots: (0..count).map(|_| Slot::default()).collect(),
            eligible: Vec::new(),
            targets: vec![None; count.into()],
            timers: BTreeSet::new(),
            waiting_takes: BTreeSet::new(),
            waiting_drains: BTreeSet::new(),
            raising: BTreeSet::new(),
            scan: Scan::Due { at_ms: now.monotonic_ms },
            digest: 0,
            leaving_since_ms: None,
            watch_ms: now.monotonic_ms,
            takes_released: !stands_by,
            has_own_nodes: true,
        }
    }

    /// The region, by its place among all.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The digest of what the node owns.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    pub const fn is_leaving(&self) -> bool {
        self.leaving_since_ms.is_some()
    }

    /// Whether of shards only those of the dead are taken.
    pub const fn stands_by(&self) -> bool {
        !self.takes_released
    }

    /// The epoch at which the node owns a shard, while it does.
    pub fn epoch(&self, shard: VirtualShard) -> Option<u64> {
        self.slots.get(shard.index()).and_then(Slot::owned).map(|row| row.epoch)
    }

    /// All that the node owns.
    pub fn owned(&self) -> impl Iterator<Item = (VirtualShard, u64)> {
        self.all().filter_map(|shard| self.epoch(shard).map(|epoch| (shard, epoch)))
    }

    /// Whether the node neither owns a shard nor may be about to.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Slot::is_untouched)
    }

    fn all(&self) -> impl Iterator<Item = VirtualShard> + use<> {
        VirtualShard::first(u16::try_from(self.slots.len()).unwrap_or(u16::MAX))
    }

    /// Shards that are nobody's may be taken from now on.
    pub fn take_released(&mut self, now: Now) {
        if !std::mem::replace(&mut self.takes_released, true) {
            self.look_after_all(now);
        }
    }

    /// Who may own the region's shards from now on, and whether they are its own nodes; whether that is a change.
    pub fn set_eligible(&mut self, eligible: Vec<u16>, has_own_nodes: bool, now: Now) -> bool {
        self.has_own_nodes = has_own_nodes;
        if self.eligible == eligible {
            return false;
        }
        self.targets = self.all().map(|shard| rendezvous::owner_of(shard, &eligible)).collect();
        self.eligible = eligible;
        self.look_after_all(now);
        true
    }

    /// The region's shards are given away, or are so no more.
    pub fn set_leaving(&mut self, is_leaving: bool, now: Now) {
        if is_leaving != self.is_leaving() {
            self.leaving_since_ms = is_leaving.then_some(now.monotonic_ms);
            self.look_after_all(now);
        }
    }

    /// Something changed that may concern every shard.
    pub fn look_after_all(&mut self, now: Now) {
        for shard in self.all() {
            if matches!(self.slots[shard.index()].state, State::Idle | State::Active(_)) {
                self.look_after_at(shard, now.monotonic_ms);
            }
        }
    }

    /// The node's lease ended: it owns nothing.
    pub fn lose(&mut self) {
        for slot in &mut self.slots {
            slot.state = State::Idle;
            slot.asked_by = None;
            slot.is_called_on = false;
            slot.failures = 0;
            if let Known::Row { is_serial, .. } = &mut slot.known {
                *is_serial = false;
            }
        }
        self.raising.clear();
        self.waiting_drains.clear();
        self.digest = 0;
    }

    /// The node's ceilings rose.
    pub fn ceilings_raised(&mut self, shared: &mut Shared, now: Now) {
        for shard in std::mem::take(&mut self.raising) {
            if let State::Raising(row) = &self.slots[shard.index()].state {
                let row = row.clone();
                self.activate_once_covered(shared, now, shard, row);
            }
        }
    }

    pub fn timeout_ms(&self, shared: &Shared) -> Option<u64> {
        match self.scan {
            Scan::Due { at_ms } => Some(at_ms),
            Scan::Asked => None,
            Scan::Done if shared.lease.held().is_none() => Some(self.watch_ms),
            Scan::Done => self.timers.first().map(|(at_ms, _)| *at_ms),
        }
    }

    /// Does what is due.
    pub fn run(&mut self, shared: &mut Shared, now: Now) {
        match self.scan {
            Scan::Due { at_ms } if at_ms <= now.monotonic_ms => {
                self.ask_for_all(shared, now);
                self.scan = Scan::Asked;
            }
            Scan::Done if shared.lease.held().is_none() => return self.watch(shared, now),
            Scan::Done => {}
            _ => return,
        }
        while shared.gives < shared.config.limits.gives_at_once
            && let Some(shard) = self.waiting_drains.pop_first()
        {
            self.step(shared, now, shard);
        }
        while shared.ops.under_way().takes < shared.config.limits.takes_at_once
            && let Some(shard) = self.waiting_takes.pop_first()
        {
            self.step(shared, now, shard);
        }
        while let Some((at_ms, shard)) = self.timers.first().copied()
            && at_ms <= now.monotonic_ms
        {
            self.timers.pop_first();
            self.slots[shard.index()].due_ms = None;
            self.step(shared, now, shard);
        }
    }

    fn ask_for_all(&self, shared: &mut Shared, now: Now) {
        let call = StoreCall::VirtualShardLeases(shared.routes.name(self.index).clone());
        shared.ops.begin(Purpose::Scan(self.index), call, shared.deadline_ms(now));
    }

    /// Looks for the owners of all shards while the node itself waits for its lease: where all nodes of a region died at
    /// once, one wait must do.
    fn watch(&mut self, shared: &mut Shared, now: Now) {
        if now.monotonic_ms < self.watch_ms {
            return;
        }
        self.watch_ms = now.monotonic_ms + shared.config.timings.silent_after_ms;
        let row = |slot: &Slot| match &slot.known {
            Known::Row { row: Some(row), .. } => NodeId::from_row(row.node_id),
            _ => None,
        };
        let owners: BTreeSet<NodeId> = self.slots.iter().filter_map(row).collect();
        for owner in owners {
            shared.fate(owner, now);
        }
        // What was read may be of the past, and nobody else says who owns what.
        self.ask_for_all(shared, now);
    }

    fn step(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard) {
        match &self.slots[shard.index()].state {
            State::Idle => self.step_idle(shared, now, shard),
            State::Active(_) => self.step_active(shared, now, shard),
            State::Giving(give) if give.op.is_none() => self.step_giving(shared, now, shard),
            _ => {}
        }
    }

    /// Looks after a shard at that time, or before if that is planned.
    fn look_after_at(&mut self, shard: VirtualShard, at_ms: u64) {
        let due_ms = &mut self.slots[shard.index()].due_ms;
        match *due_ms {
            Some(before_ms) if before_ms <= at_ms => return,
            Some(before_ms) => {
                self.timers.remove(&(before_ms, shard));
            }
            None => {}
        }
        *due_ms = Some(at_ms);
        self.timers.insert((at_ms, shard));
    }

    /// Looks after a shard after a failure: later each time, and not all at once.
    fn retry(&mut self, shared: &Shared, now: Now, shard: VirtualShard) {
        let timings = &shared.config.timings;
        let slot = &mut self.slots[shard.index()];
        slot.failures = slot.failures.saturating_add(1);
        let pause_ms = timings.retry_ms.saturating_mul(1 << slot.failures.min(10)).min(timings.retry_max_ms);
        let spread = mix_pair(shared.config.nonce.into(), u64::from(shard.number()) << 32 | u64::from(slot.failures));
        let at_ms = now.monotonic_ms + pause_ms / 2 + spread % pause_ms.max(1);
        self.look_after_at(shard, at_ms);
    }

    /// Whether the node should own a shard that it does not.
    fn wants(&self, shared: &Shared, shard: VirtualShard) -> bool {
        shared.lease.takes().is_some()
            && shared.draining_since_ms.is_none()
            && !self.is_leaving()
            && self.targets[shard.index()] == Some(shared.config.worker_id)
    }

    /// Hears what became of the scan.
    pub fn scanned(&mut self, shared: &mut Shared, now: Now, answer: StoreAnswer) {
        let StoreAnswer::VirtualShardLeases(rows) = answer else {
            if self.scan == Scan::Asked {
                self.scan = Scan::Due { at_ms: now.monotonic_ms + shared.config.timings.retry_max_ms };
            }
            return;
        };
        self.scan = Scan::Done;
        for slot in &mut self.slots {
            if slot.is_untouched() && matches!(slot.known, Known::Nothing) {
                slot.known = Known::Row { row: None, is_serial: false };
            }
        }
        let mut owners = BTreeSet::new();
        for row in rows {
            let shard = VirtualShard::new(row.virtual_shard);
            let Some(shard) = shard.filter(|shard| shard.index() < self.slots.len()) else { continue };
            if row.region != shared.routes.name(self.index).as_str() {
                continue;
            }
            if let Some(owner) = crate::routes::owner_of(&row) {
                shared.routes.learn(self.index, shard, owner, now.monotonic_ms);
                owners.insert(owner.node);
            }
            let slot = &mut self.slots[shard.index()];
            if slot.is_untouched() && !matches!(slot.known, Known::Row { is_serial: true, .. }) {
                slot.known = Known::Row { row: Some(row), is_serial: false };
            }
        }
        // One that was never heard may be over for long: the time that it takes to see that begins now, not when the node
        // is to have its shards after another that dies meanwhile.
        for owner in owners {
            shared.fate(owner, now);
        }
        self.look_after_all(now);
    }

    /// A shard has another owner, or none, since an epoch, as somebody said or a row that was read for others.
    pub fn changed(&mut self, shared: &Shared, now: Now, shard: VirtualShard, epoch: u64, is_own: bool) {
        let wants = self.wants(shared, shard);
        let Some(slot) = self.slots.get_mut(shard.index()) else { return };
        let known_epoch = match &slot.known {
            Known::Row { row: Some(row), .. } => row.epoch,
            _ => 0,
        };
        if slot.is_idle() && (wants || is_own) && epoch > slot.last_epoch.max(known_epoch) {
            slot.known = Known::Nothing;
            slot.is_called_on |= is_own;
            self.look_after_at(shard, now.monotonic_ms);
        }
    }

    /// A row that was read, if it is the one that was asked for.
    fn checked(
        &self,
        shared: &Shared,
        shard: VirtualShard,
        answer: StoreAnswer,
    ) -> Result<Option<VirtualShardLease>, StoreAnswer> {
        match answer {
            StoreAnswer::VirtualShardLease(row) => {
                let region = shared.routes.name(self.index).as_str();
                let is_asked = |row: &VirtualShardLease| row.virtual_shard == shard.number() && row.region == region;
                if row.as_ref().is_none_or(is_asked) { Ok(row) } else { Err(StoreAnswer::Unknown) }
            }
            other => Err(other),
        }
    }

    /// Takes or leaves a shard in the digest of what the node owns.
    const fn toggle(&mut self, shard: VirtualShard, epoch: u64) {
        self.digest ^= digest::of(shard, epoch);
    }
}
