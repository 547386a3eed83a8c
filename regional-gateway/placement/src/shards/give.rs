//! How a node gives a shard away: asked for by who should own it, or because it leaves.

use rookery_model::lease::LeaseSwap;

use super::slot::{floors, next_row};
use super::{Give, Known, Shards, State};
use crate::shared::Shared;
use crate::store::{OpId, Purpose, StoreAnswer, StoreCall};
use crate::{Event, Marks, NodeId, Now, To, VirtualShard};

impl Shards {
    /// A node asks for a shard that this one, which has its lease, is thought to own at an epoch.
    pub fn asked(&mut self, shared: &mut Shared, now: Now, from: NodeId, shard: VirtualShard, epoch: u64) {
        let Some(slot) = self.slots.get_mut(shard.index()) else { return };
        match &mut slot.state {
            State::Active(_) => {
                slot.asked_by = Some(from);
                self.look_after_at(shard, now.monotonic_ms);
            }
            State::Draining { to, .. } | State::Giving(Give { to, .. }) => {
                to.get_or_insert(from);
            }
            State::Reading { .. } | State::Taking { .. } | State::Raising(_) => slot.asked_by = Some(from),
            State::Idle => {
                let owner = shared.routes.get(self.index, shard);
                let is_own = owner.is_some_and(|owner| shared.lease.held() == Some(owner.node));
                if shared.routes.epoch(self.index, shard) > epoch && !is_own {
                    return self.tell_owner(shared, from, shard);
                }
                // A compare-and-set that nobody heard of may have made this node the owner.
                slot.asked_by = Some(from);
                slot.is_called_on = true;
                slot.known = Known::Nothing;
                self.look_after_at(shard, now.monotonic_ms);
            }
        }
    }

    /// Says who owns a shard, or that nobody does, if that is known.
    pub(super) fn tell_owner(&self, shared: &mut Shared, to: NodeId, shard: VirtualShard) {
        match (shared.routes.get(self.index, shard), shared.routes.epoch(self.index, shard)) {
            (Some(owner), _) => shared.outbox.tell(To::Node(to), self.index, shard, owner),
            (None, 0) => {}
            (None, epoch) => shared.outbox.tell_released(To::Node(to), self.index, shard, epoch),
        }
    }

    /// Decides whether a shard that is owned is given away now.
    pub(super) fn step_active(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard) {
        let leaving_since_ms = shared.draining_since_ms.or(self.leaving_since_ms);
        let slot = &mut self.slots[shard.index()];
        let asker = slot.asked_by.filter(|node| shared.is_taker(*node, self.index));
        slot.asked_by = asker;
        let should_own = asker.filter(|node| self.targets[shard.index()] == Some(node.worker_id()));
        match (asker, should_own, leaving_since_ms) {
            (_, None, None) => return,
            (None, _, Some(since_ms)) => {
                // Whoever takes it must hear of that first, and finds no owner to wait for once it is nobody's.
                let release_ms = since_ms + shared.config.timings.release_after_ms;
                // Those who stand by do not ask.
                let others = self.eligible.iter().any(|worker_id| *worker_id != shared.config.worker_id);
                let has_takers = self.has_own_nodes && others;
                if has_takers && now.monotonic_ms < release_ms {
                    return self.look_after_at(shard, release_ms);
                }
            }
            _ => {}
        }
        if shared.gives >= shared.config.limits.gives_at_once {
            self.waiting_drains.insert(shard);
            return;
        }
        let slot = &mut self.slots[shard.index()];
        let State::Active(row) = std::mem::take(&mut slot.state) else { return };
        shared.gives += 1;
        let region = shared.routes.name(self.index).clone();
        shared.outbox.events.push_back(Event::Drain { region, shard, epoch: row.epoch });
        slot.asked_by = None;
        slot.state = State::Draining { row, to: asker };
    }

    /// The shell ended what it began with a shard.
    pub fn drained(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard, used: Marks) {
        let Some(slot) = self.slots.get_mut(shard.index()) else { return };
        match std::mem::take(&mut slot.state) {
            State::Draining { row, to } => {
                let (epoch, floors) = (row.epoch, floors(&row).max(used));
                let asked_ms = now.monotonic_ms;
                slot.failures = 0;
                slot.state = State::Giving(Give { row, floors, to, op: None, asked_ms, after: None, must_read: false });
                self.toggle(shard, epoch);
                self.step_giving(shared, now, shard);
            }
            // It was lost meanwhile.
            state => slot.state = state,
        }
    }

    /// Hands a shard over that is drained.
    pub(super) fn step_giving(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard) {
        let wants = self.wants(shared, shard);
        let State::Giving(give) = &mut self.slots[shard.index()].state else { return };
        give.to = give.to.filter(|node| shared.is_taker(*node, self.index));
        let call = if give.must_read {
            StoreCall::VirtualShardLease(shared.routes.name(self.index).clone(), shard)
        } else {
            // Who asked for it may be gone, and the node itself be its heir.
            let to = give.to.or_else(|| shared.lease.takes().filter(|_| wants));
            let after = next_row(&give.row, to, give.floors);
            give.after = Some(after.clone());
            StoreCall::Swap(LeaseSwap::VirtualShard { before: Some(give.row.clone()), after })
        };
        give.asked_ms = now.monotonic_ms;
        give.op = Some(shared.ops.begin(Purpose::Give(self.index, shard), call, shared.deadline_ms(now)));
    }

    /// Hears what became of a hand-over.
    pub fn give_answered(&mut self, shared: &mut Shared, now: Now, shard: VirtualShard, op: OpId, answer: StoreAnswer) {
        let answer = self.checked(shared, shard, answer);
        let Some(slot) = self.slots.get_mut(shard.index()) else { return };
        let State::Giving(give) = &mut slot.state else { return };
        if give.op != Some(op) {
            return;
        }
        give.op = None;
        let is_read = std::mem::replace(&mut give.must_read, true);
        let stands = match answer {
            Err(StoreAnswer::Swapped) if !is_read => give.after.clone(),
            Ok(Some(row)) => Some(row),
            Ok(None) | Err(_) => None,
        };
        match stands {
            // An attempt was applied, this one or one before.
            Some(row) if row.epoch > give.row.epoch => {
                let asked_ms = give.asked_ms;
                self.given(shared, now, shard, row, asked_ms);
            }
            Some(row) if row == give.row => {
                give.must_read = false;
                if is_read { self.step_giving(shared, now, shard) } else { self.retry(shared, now, shard) }
            }
            _ => self.retry(shared, now, shard),
        }
    }

    /// A shard has another owner, or none.
    fn given(
        &mut self,
        shared: &mut Shared,
        now: Now,
        shard: VirtualShard,
        row: rookery_model::lease::VirtualShardLease,
        asked_ms: u64,
    ) {
        shared.gives -= 1;
        let slot = &mut self.slots[shard.index()];
        slot.state = State::Idle;
        slot.failures = 0;
        slot.known = Known::Row { row: Some(row.clone()), is_serial: true };
        shared.routes.read(self.index, shard, Some(&row), asked_ms);
        let owner = crate::routes::owner_of(&row);
        if owner.is_some_and(|owner| shared.lease.held() == Some(owner.node)) {
            return self.named(shared, now, shard, row);
        }
        let region = shared.routes.name(self.index).clone();
        shared.outbox.events.push_back(Event::Released { region, shard, owner });
        match owner {
            Some(owner) => shared.outbox.tell(To::All, self.index, shard, owner),
            None => shared.outbox.tell_released(To::All, self.index, shard, row.epoch),
        }
        self.look_after_at(shard, now.monotonic_ms);
    }
}
