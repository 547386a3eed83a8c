//! The node's own lease: taken, renewed, and by its own clock over in time.
//!
//! A renewal counts from when it was asked for, and only if its answer came before the one before ended. So whoever saw
//! no renewal for the time that [`mark`](crate::mark) tells of is right that the holder has stopped.

use rookery_model::Timestamp;
use rookery_model::lease::{LeaseSwap, WorkerLease};

use crate::mark::{Mark, ceilings, ended, is_ended, is_older};
use crate::store::{OpId, Ops, Purpose, StoreAnswer, StoreCall};
use crate::{Config, Event, Marks, NodeId, Now};

/// Between two looks at a lease that another process has.
const LOOK_INTERVAL_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no lease, and one is wanted.
    Wanted,
    /// Held by the node, asked for at that moment.
    Held {
        from_ms: u64,
    },
    /// It ended; what was written under it ends by then.
    Lapsed {
        until_ms: u64,
    },
    /// It is given back.
    Ending,
    Ended,
}

/// A swap that was asked for.
#[derive(Clone, Debug)]
struct Attempt {
    after: WorkerLease,
    at_ms: u64,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Op {
    id: OpId,
    is_swap: bool,
}

/// What became of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The node is another incarnation.
    Taken,
    /// Its ceilings may be higher.
    Renewed,
    /// As that, just in time.
    Resumed,
    Lost,
    Ended,
}

/// The lease.
pub struct OwnLease {
    phase: Phase,
    node: Option<NodeId>,
    /// As it was read last, or put there.
    row: Option<WorkerLease>,
    /// Of another's lease, while this one waits for its end.
    mark: Option<Mark>,
    op: Option<Op>,
    attempt: Option<Attempt>,
    /// The highest epoch at which this process tried to take it.
    tried_epoch: u64,
    /// Whether the row must be read before the next swap.
    must_read: bool,
    next_ms: u64,
    is_suspended: bool,
    is_end_wanted: bool,
    was_held_told: bool,
    used: Marks,
    needed: Marks,
}

impl OwnLease {
    pub fn new(now: Now) -> Self {
        Self {
            phase: Phase::Wanted,
            node: None,
            row: None,
            mark: None,
            op: None,
            attempt: None,
            tried_epoch: 0,
            must_read: true,
            next_ms: now.monotonic_ms,
            is_suspended: false,
            is_end_wanted: false,
            was_held_told: false,
            used: Marks::default(),
            needed: Marks::default(),
        }
    }

    /// The incarnation that holds the lease.
    pub fn held(&self) -> Option<NodeId> {
        self.node.filter(|_| matches!(self.phase, Phase::Held { .. }))
    }

    /// The incarnation that holds the lease, or held it last.
    pub const fn last_held(&self) -> Option<NodeId> {
        self.node
    }

    /// The incarnation that may take shards.
    pub fn takes(&self) -> Option<NodeId> {
        self.held().filter(|_| !self.is_suspended && !self.is_end_wanted)
    }

    /// Until when what is durable may be acknowledged.
    pub const fn acknowledges_until_ms(&self, config: &Config) -> Option<u64> {
        match self.phase {
            Phase::Held { from_ms } => Some(from_ms + config.timings.lease_ms - config.timings.safety_margin_ms),
            _ => None,
        }
    }

    /// The row as it is known, while the node holds it.
    pub fn row(&self) -> Option<&WorkerLease> {
        self.row.as_ref().filter(|_| matches!(self.phase, Phase::Held { .. }))
    }

    /// Where ids and write timestamps end.
    pub fn ceilings(&self) -> Option<Marks> {
        self.row().map(ceilings)
    }

    /// How far ids and write timestamps have come; where that is close to the ceiling, it is raised at once.
    pub fn use_up(&mut self, config: &Config, used: Marks, now: Now) {
        self.used = self.used.max(used);
        let close = self.used.later_by_ms(config.timings.ceiling_above_ms / 2);
        if self.ceilings().is_some_and(|ceilings| !ceilings.covers(close)) {
            self.next_ms = self.next_ms.min(now.monotonic_ms);
        }
    }

    /// Wants ceilings that cover these; says whether they do.
    pub fn covers(&mut self, config: &Config, floors: Marks, now: Now) -> bool {
        let wanted = floors.later_by_ms(config.timings.ceiling_above_ms);
        if self.ceilings().is_some_and(|ceilings| ceilings.covers(wanted)) {
            return true;
        }
        self.needed = self.needed.max(floors);
        self.next_ms = self.next_ms.min(now.monotonic_ms);
        false
    }

    /// Gives it back; the node owns nothing any more.
    pub fn end(&mut self, now: Now, events: &mut impl Extend<Event>) {
        match self.phase {
            Phase::Wanted if self.node.is_none() => self.ended(events),
            Phase::Held { .. } | Phase::Wanted => {
                self.phase = Phase::Ending;
                self.next_ms = self.next_ms.min(now.monotonic_ms);
            }
            Phase::Lapsed { .. } | Phase::Ending | Phase::Ended => {}
        }
        self.is_end_wanted = true;
    }

    fn ended(&mut self, events: &mut impl Extend<Event>) {
        self.phase = Phase::Ended;
        self.op = None;
        events.extend([Event::Ended]);
    }

    /// Whether it is to be given back, or was.
    pub const fn is_end_wanted(&self) -> bool {
        self.is_end_wanted
    }

    const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    pub fn timeout_ms(&self, config: &Config) -> Option<u64> {
        let act_ms = (self.op.is_none() && !self.is_over()).then_some(self.next_ms);
        let phase_ms = match self.phase {
            Phase::Held { from_ms } if self.is_suspended => Some(from_ms + config.timings.lease_ms),
            Phase::Held { .. } => self.acknowledges_until_ms(config),
            // Nothing is asked before that.
            Phase::Lapsed { until_ms } => return Some(until_ms),
            _ => None,
        };
        act_ms.into_iter().chain(phase_ms).min()
    }

    /// What the clock alone decides. To be called before anything else at each moment.
    pub fn tick(&mut self, config: &Config, now: Now, events: &mut impl Extend<Event>) -> Change {
        match self.phase {
            Phase::Held { from_ms } if now.monotonic_ms >= from_ms + config.timings.lease_ms => {
                return self.lapse(config, now, events);
            }
            Phase::Held { .. } => {
                let until_ms = self.acknowledges_until_ms(config);
                if !self.is_suspended && until_ms.is_none_or(|until_ms| now.monotonic_ms >= until_ms) {
                    self.is_suspended = true;
                    events.extend([Event::Suspended]);
                }
            }
            Phase::Lapsed { until_ms } if now.monotonic_ms >= until_ms => {
                self.phase = if self.is_end_wanted { Phase::Ending } else { Phase::Wanted };
                self.must_read = true;
                self.next_ms = now.monotonic_ms;
            }
            _ => {}
        }
        Change::Nothing
    }

    fn lapse(&mut self, config: &Config, now: Now, events: &mut impl Extend<Event>) -> Change {
        // From now on: a process that stood still goes on with the writes that it had begun.
        self.phase = Phase::Lapsed { until_ms: now.monotonic_ms + config.timings.write_timeout_ms };
        self.is_suspended = false;
        self.needed = Marks::default();
        // What was asked for under the lease that is over must not bring it back.
        self.op = None;
        self.attempt = None;
        events.extend([Event::Lost]);
        Change::Lost
    }

    /// Asks the store for what is due.
    pub fn run(&mut self, config: &Config, now: Now, ops: &mut Ops) {
        let idle = matches!(self.phase, Phase::Lapsed { .. } | Phase::Ended);
        if idle || self.op.is_some() || now.monotonic_ms < self.next_ms {
            return;
        }
        let deadline_ms = now.monotonic_ms + config.timings.store_timeout_ms;
        let (is_swap, call) = match self.next_swap(config, now) {
            Some(after) => {
                self.tried_epoch = self.tried_epoch.max(after.epoch);
                self.attempt = Some(Attempt { after: after.clone(), at_ms: now.monotonic_ms });
                (true, StoreCall::Swap(LeaseSwap::Worker { before: self.row.clone(), after }))
            }
            None => (false, StoreCall::WorkerLease(config.worker_id)),
        };
        self.op = Some(Op { id: ops.begin(Purpose::OwnLease, call, deadline_ms), is_swap });
    }

    /// The row to put in the place of the one that is known; none where it is to be read first.
    fn next_swap(&self, config: &Config, now: Now) -> Option<WorkerLease> {
        if self.must_read {
            return None;
        }
        match (self.phase, &self.row) {
            (Phase::Held { .. }, Some(row)) => Some(self.renewed(config, now, row)),
            (Phase::Ending, Some(row)) => {
                let used = self.used.max(self.needed);
                let mut after = ended(row);
                // Only what was used counts now, so that who has the worker id next begins no later than it must.
                after.id_ceiling_ms = after.id_ceiling_ms.min(used.id_ms);
                after.write_timestamp_ceiling_us = after.write_timestamp_ceiling_us.min(used.write_timestamp_us);
                Some(after)
            }
            (Phase::Wanted, None) => Some(self.renewed(config, now, &self.first(config))),
            (Phase::Wanted, Some(row)) if self.may_take(config, now, row) => {
                let epoch = row.epoch + 1;
                let node_id = config.node(u32::try_from(epoch).unwrap_or(u32::MAX)).get();
                Some(self.renewed(config, now, &WorkerLease { epoch, node_id, ..row.clone() }))
            }
            _ => None,
        }
    }

    fn first(&self, config: &Config) -> WorkerLease {
        WorkerLease {
            worker_id: config.worker_id,
            node_id: config.node(1).get(),
            epoch: 1,
            id_ceiling_ms: config.first_floors.id_ms,
            write_timestamp_ceiling_us: config.first_floors.write_timestamp_us,
            expires_at: Timestamp(0),
        }
    }

    fn may_take(&self, config: &Config, now: Now, row: &WorkerLease) -> bool {
        let is_unchanged = self.mark.is_some_and(|mark| {
            mark.is_of(row) && now.monotonic_ms >= mark.seen_ms.saturating_add(config.timings.over_after_ms())
        });
        is_ended(row) || self.is_mine(config, row) || is_unchanged
    }

    /// Whether this process put it there, as an incarnation that is over or never was.
    fn is_mine(&self, config: &Config, row: &WorkerLease) -> bool {
        let node = u32::try_from(row.epoch).map(|incarnation| config.node(incarnation));
        row.epoch <= self.tried_epoch && node.is_ok_and(|node| node.get() == row.node_id)
    }

    /// Whether it is the lease of the incarnation that this process is.
    fn is_own(&self, row: &WorkerLease) -> bool {
        self.node.is_some_and(|node| node.get() == row.node_id)
    }

    fn renewed(&self, config: &Config, now: Now, row: &WorkerLease) -> WorkerLease {
        let timings = &config.timings;
        let now_marks = Marks { id_ms: now.wall_ms(), write_timestamp_us: now.wall_us };
        let is_new = !matches!(self.phase, Phase::Held { .. });
        let above = if is_new { ceilings(row) } else { Marks::default() };
        let highest = self.used.max(self.needed).max(above).later_by_ms(timings.ceiling_above_ms);
        let ceilings = now_marks.later_by_ms(timings.ceiling_ahead_ms).max(highest).max(ceilings(row));
        let lease_us = i64::try_from(timings.lease_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let expires_at = now.wall_us.saturating_add(lease_us).max(row.expires_at.0.saturating_add(1)).max(1);
        WorkerLease {
            id_ceiling_ms: ceilings.id_ms,
            write_timestamp_ceiling_us: ceilings.write_timestamp_us,
            expires_at: Timestamp(expires_at),
            ..row.clone()
        }
    }

    /// Hears what became of a request.
    pub fn answered(
        &mut self,
        config: &Config,
        now: Now,
        op: OpId,
        answer: StoreAnswer,
        events: &mut impl Extend<Event>,
    ) -> Change {
        let Some(Op { is_swap, .. }) = self.op.take_if(|known| known.id == op) else { return Change::Nothing };
        let attempt = self.attempt.take();
        match answer {
            StoreAnswer::Swapped if is_swap => match attempt {
                Some(attempt) => self.swapped(config, now, attempt, events),
                None => Change::Nothing,
            },
            StoreAnswer::WorkerLease(row) if row.as_ref().is_none_or(|row| row.worker_id == config.worker_id) => {
                self.stands(config, now, row, attempt, events)
            }
            _ => {
                // It may be there or not: what stands there says which.
                self.attempt = attempt;
                self.must_read = true;
                self.next_ms = now.monotonic_ms + config.timings.retry_ms;
                Change::Nothing
            }
        }
    }

    /// An attempt is known to have been applied, while nothing else was since.
    fn swapped(&mut self, config: &Config, now: Now, attempt: Attempt, events: &mut impl Extend<Event>) -> Change {
        let Attempt { after, at_ms } = attempt;
        let before = self.row.replace(after.clone());
        self.attempt = None;
        self.must_read = false;
        match self.phase {
            Phase::Ending if is_ended(&after) => {
                self.ended(events);
                Change::Ended
            }
            Phase::Held { .. } => {
                self.phase = Phase::Held { from_ms: at_ms };
                self.next_ms = at_ms + config.timings.renew_interval_ms;
                let until_ms = self.acknowledges_until_ms(config);
                // Its answer may have come after the new margin began.
                if self.is_suspended && until_ms.is_some_and(|until_ms| now.monotonic_ms < until_ms) {
                    self.is_suspended = false;
                    events.extend([Event::Resumed]);
                    return Change::Resumed;
                }
                Change::Renewed
            }
            Phase::Wanted => {
                let Some(node) = NodeId::from_row(after.node_id) else { return Change::Nothing };
                let floors = before.as_ref().map_or(config.first_floors, ceilings).max(config.first_floors);
                self.phase = Phase::Held { from_ms: at_ms };
                self.node = Some(node);
                self.mark = None;
                self.used = floors;
                self.next_ms = at_ms + config.timings.renew_interval_ms;
                events.extend([Event::LeaseTaken { node, floors }]);
                // Its answer may have taken as long as the lease lasts.
                match self.tick(config, now, events) {
                    Change::Nothing => Change::Taken,
                    change => change,
                }
            }
            _ => Change::Nothing,
        }
    }

    /// A row was read, or stood in the way of a swap.
    fn stands(
        &mut self,
        config: &Config,
        now: Now,
        row: Option<WorkerLease>,
        attempt: Option<Attempt>,
        events: &mut impl Extend<Event>,
    ) -> Change {
        if let (Some(row), Some(attempt)) = (&row, attempt)
            && *row == attempt.after
        {
            return self.swapped(config, now, attempt, events);
        }
        if let (Some(row), Some(known)) = (&row, &self.row)
            && is_older(row, known)
        {
            self.must_read = true;
            self.next_ms = now.monotonic_ms + config.timings.retry_ms;
            return Change::Nothing;
        }
        self.attempt = None;
        self.must_read = false;
        self.next_ms = now.monotonic_ms;
        let is_own = row.as_ref().is_some_and(|row| self.is_own(row) && !is_ended(row));
        self.row = row;
        match self.phase {
            // An attempt that was given up was applied after all, or none was: another follows.
            Phase::Held { .. } if is_own => Change::Nothing,
            Phase::Held { .. } => self.lapse(config, now, events),
            Phase::Ending if is_own => Change::Nothing,
            Phase::Ending => {
                self.ended(events);
                Change::Ended
            }
            Phase::Wanted => {
                self.look(config, now, events);
                Change::Nothing
            }
            Phase::Lapsed { .. } | Phase::Ended => Change::Nothing,
        }
    }

    /// Waits for the end of another's lease.
    fn look(&mut self, config: &Config, now: Now, events: &mut impl Extend<Event>) {
        let Some(row) = &self.row else { return };
        if is_ended(row) || self.is_mine(config, row) {
            return;
        }
        let seen = Mark::of(row, now.monotonic_ms);
        let was_known = self.mark.is_some();
        let mark = self.mark.get_or_insert(seen);
        let is_renewed = !mark.is_of(row);
        mark.see(seen);
        let over_ms = mark.seen_ms + config.timings.over_after_ms();
        if now.monotonic_ms < over_ms {
            self.must_read = true;
            self.next_ms = over_ms.min(now.monotonic_ms + LOOK_INTERVAL_MS);
        }
        if let (true, true, Some(by)) = (was_known, is_renewed, NodeId::from_row(row.node_id))
            && !std::mem::replace(&mut self.was_held_told, true)
        {
            events.extend([Event::WorkerIdHeld { by }]);
        }
    }
}
