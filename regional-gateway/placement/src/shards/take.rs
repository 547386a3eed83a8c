//! How a node comes to own a shard: read the row, wait until its owner gave it away or is over, compare-and-set.

use rookery_model::lease::{LeaseSwap, VirtualShardLease};

use super::slot::{floors, given_back_at, next_row};
use super::{Known, Shards, State};
use crate::members::Fate;
use crate::shared::Shared;
use crate::store::{OpId, Purpose, StoreAnswer, StoreCall};
use crate::{Event, Marks, NodeId, Now, Owner, To, VirtualShard};

/// From so many questions without an answer on, the row is read now and then: it may name the node already.
const ASKS_BEFORE_READ: u32 = 4;

impl Shards {
    /// Takes a step towards owning a shard, if the node should.
    pub(super) fn step_idle(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard) {
        let Some(node) = shared.lease.takes() else { return };
        let wants = self.wants(shared, shard);
        let is_released = shared.routes.is_released(self.index, shard);
        let slot = &mut self.slots[shard.index()];
        if !slot.is_called_on && (!wants || !self.takes_released && is_released) {
            slot.asks = 0;
            return;
        }
        let row = match &slot.known {
            Known::Nothing => return self.read(shared, now, shard),
            Known::Row { row: Some(row), is_serial: false } if row.node_id == node.get() => {
                return self.read(shared, now, shard);
            }
            Known::Row { row, .. } => {
                let epoch = row.as_ref().map_or(0, |row| row.epoch);
                if shared.routes.epoch(self.index, shard) > epoch {
                    return self.read(shared, now, shard);
                }
                row.clone()
            }
        };
        let owner = row.as_ref().and_then(|row| NodeId::from_row(row.node_id));
        match (owner, row) {
            (Some(owner), Some(row)) if owner == node => self.named(shared, now, shard, row),
            _ if !wants => self.disclaim(shared, shard),
            (None, row) if self.takes_released => self.swap(shared, now, shard, node, row, Marks::default()),
            // It waits for the region's own nodes.
            (None, _) => self.disclaim(shared, shard),
            (Some(owner), row) => match shared.fate(owner, now) {
                Fate::Over(ceilings) => self.swap(shared, now, shard, node, row, ceilings),
                // Whoever stands by wants nothing from those who live.
                Fate::Running if !self.takes_released => {
                    self.look_after_at(shard, now.monotonic_ms + shared.config.timings.silent_after_ms);
                }
                Fate::Running => self.ask(shared, now, shard, owner, row.map_or(0, |row| row.epoch)),
            },
        }
    }

    /// Whether a request of this kind may be made now; otherwise the shard waits for its turn.
    fn has_turn(&mut self, shared: &Shared, shard: VirtualShard) -> bool {
        let has_turn = shared.ops.under_way().takes < shared.config.limits.takes_at_once;
        if !has_turn {
            self.waiting_takes.insert(shard);
        }
        has_turn
    }

    fn read(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard) {
        if self.has_turn(shared, shard) {
            let call = StoreCall::VirtualShardLease(shared.routes.name(self.index).clone(), shard);
            let op = shared.ops.begin(Purpose::Take(self.index, shard), call, shared.deadline_ms(now));
            self.slots[shard.index()].state = State::Reading { op, asked_ms: now.monotonic_ms };
        }
    }

    /// Puts the node in the place of an owner that is over, or of nobody.
    fn swap(
        &mut self,
        shared: &mut Shared,
        now: Now,
        shard: VirtualShard,
        node: NodeId,
        before: Option<VirtualShardLease>,
        ceilings: Marks,
    ) {
        if !self.has_turn(shared, shard) {
            return;
        }
        let after = match &before {
            Some(row) => next_row(row, Some(node), floors(row).max(ceilings)),
            None => {
                let Marks { id_ms, write_timestamp_us } = shared.first_floors();
                VirtualShardLease {
                    region: shared.routes.name(self.index).as_str().into(),
                    virtual_shard: shard.number(),
                    node_id: node.get(),
                    epoch: 1,
                    id_ceiling_ms: id_ms,
                    write_timestamp_ceiling_us: write_timestamp_us,
                }
            }
        };
        self.slots[shard.index()].tried = Some((after.epoch, given_back_at(before.as_ref())));
        let call = StoreCall::Swap(LeaseSwap::VirtualShard { before, after: after.clone() });
        let op = shared.ops.begin(Purpose::Take(self.index, shard), call, shared.deadline_ms(now));
        self.slots[shard.index()].state = State::Taking { op, asked_ms: now.monotonic_ms, after };
    }

    /// Asks the owner for the shard. What it answers may be lost, and it may not know that it is the owner.
    fn ask(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard, owner: NodeId, epoch: u64) {
        let slot = &mut self.slots[shard.index()];
        slot.asks = slot.asks.saturating_add(1);
        shared.outbox.ask(owner, self.index, shard, epoch);
        if slot.asks >= ASKS_BEFORE_READ && slot.asks.is_power_of_two() {
            return self.read(shared, now, shard);
        }
        self.look_after_at(shard, now.monotonic_ms + shared.config.timings.ask_interval_ms);
    }

    /// Somebody thought that the node owns the shard, and it does not.
    fn disclaim(&mut self, shared: &mut Shared, shard: VirtualShard) {
        let slot = &mut self.slots[shard.index()];
        slot.is_called_on = false;
        if let Some(asker) = slot.asked_by.take() {
            self.tell_owner(shared, asker, shard);
        }
    }

    /// Hears what became of a request to take a shard.
    pub fn take_answered(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard, op: OpId, answer: StoreAnswer) {
        let Some(slot) = self.slots.get_mut(shard.index()) else { return };
        let (asked_ms, after) = match std::mem::take(&mut slot.state) {
            State::Reading { op: known, asked_ms } if known == op => (asked_ms, None),
            State::Taking { op: known, asked_ms, after } if known == op => (asked_ms, Some(after)),
            // The answer to a request of a lease that is over.
            state => {
                slot.state = state;
                return;
            }
        };
        match (self.checked(shared, shard, answer), after) {
            (Err(StoreAnswer::Swapped), Some(after)) => self.named(shared, now, shard, after),
            (Ok(Some(row)), Some(after)) if row == after => self.named(shared, now, shard, after),
            (Ok(row), after) => {
                shared.routes.read(self.index, shard, row.as_ref(), asked_ms);
                let is_old = shared.routes.epoch(self.index, shard) > row.as_ref().map_or(0, |row| row.epoch);
                let slot = &mut self.slots[shard.index()];
                slot.known = Known::Row { row, is_serial: true };
                // Somebody was faster, or said meanwhile what is newer than the row, or wrong.
                if after.is_some() || is_old {
                    self.retry(shared, now, shard);
                } else {
                    self.step_idle(shared, now, shard);
                }
            }
            (Err(_), _) => {
                self.slots[shard.index()].known = Known::Nothing;
                self.retry(shared, now, shard);
            }
        }
    }

    /// The row names the node, by what was read at SERIAL or put there.
    pub(super) fn named(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard, row: VirtualShardLease) {
        let is_held = shared.lease.held().is_some_and(|node| node.get() == row.node_id);
        let slot = &mut self.slots[shard.index()];
        slot.state = State::Idle;
        slot.known = Known::Row { row: Some(row.clone()), is_serial: true };
        // An epoch that was had before may be given away by a request that is still under way.
        if !is_held || row.epoch <= slot.last_epoch {
            slot.known = Known::Nothing;
            return self.retry(shared, now, shard);
        }
        slot.last_epoch = row.epoch;
        slot.failures = 0;
        slot.asks = 0;
        slot.is_called_on = false;
        self.activate_once_covered(shared, now, shard, row);
    }

    /// Owns a shard once the node's ceilings lie above the shard's floors.
    pub(super) fn activate_once_covered(
        &mut self,
        shared: &mut Shared,
        now: Now,
        shard: VirtualShard,
        row: VirtualShardLease,
    ) {
        let Shared { lease, config, .. } = shared;
        if !lease.covers(config, floors(&row), now) {
            self.slots[shard.index()].state = State::Raising(row);
            self.raising.insert(shard);
            return;
        }
        let region = shared.routes.name(self.index).clone();
        let predecessor = match self.slots[shard.index()].tried {
            Some((epoch, predecessor)) if epoch == row.epoch => predecessor,
            // Given by the owner before; where the node tried something newer, nobody can say.
            tried if tried.is_none_or(|(epoch, _)| epoch < row.epoch) => row.epoch.checked_sub(1),
            _ => None,
        };
        shared.outbox.events.push_back(Event::Activate {
            region,
            shard,
            epoch: row.epoch,
            predecessor,
            id_floor_ms: row.id_ceiling_ms,
            write_timestamp_floor_us: row.write_timestamp_ceiling_us,
        });
        self.toggle(shard, row.epoch);
        if let Some(node) = NodeId::from_row(row.node_id) {
            let owner = Owner { node, epoch: row.epoch };
            shared.routes.learn(self.index, shard, owner, now.monotonic_ms);
            shared.outbox.tell(To::All, self.index, shard, owner);
        }
        self.slots[shard.index()].state = State::Active(row);
        self.look_after_at(shard, now.monotonic_ms);
    }
}
