//! What the shells around the cores do: owners that write, and clients that call them.

use rand::Rng as _;
use rookery_placement::{Event, HAND_OVER_MAX_MS, Marks, Owner, TAKE_OVER_MAX_MS};

use super::{Gap, World};
use crate::cells::Write;
use crate::check::Invariant;
use crate::plant::Plant;
use crate::process::{Owned, Place, SEQUENCE_BITS};
use crate::queue::{Job, ProcessId};
use crate::weather::{happens, pick};

/// How long an attempt of a write may take.
const WRITE_TIMEOUT_MS: u64 = 2_500;
/// After a death nothing is asked of hand-overs for so long.
const UNREST_MS: u64 = 30_000;

impl World {
    /// Does what a core wants done.
    pub(super) fn carry_out(&mut self, id: ProcessId, event: Event) {
        self.note(|| format!("EVENT p{id} {event:?}"));
        let index = |world: &Self, region| world.regions.iter().position(|name| *name == region).unwrap_or(0);
        match event {
            Event::LeaseTaken { node, floors } => {
                self.counts.leases += 1;
                self.nodes.insert(node, id);
                self.processes[id].used = self.processes[id].used.max(floors);
            }
            Event::Suspended => self.counts.suspended += 1,
            Event::Resumed => self.counts.resumed += 1,
            Event::Lost => {
                self.counts.lapsed += 1;
                self.processes[id].owned.clear();
            }
            Event::Activate { region, shard, epoch, predecessor, id_floor_ms, write_timestamp_floor_us } => {
                let place = (index(self, region), shard);
                self.check.follows(place, epoch, predecessor);
                let floors = Marks { id_ms: id_floor_ms, write_timestamp_us: write_timestamp_floor_us };
                self.activate(id, place, epoch, floors);
            }
            Event::Drain { region, shard, epoch } => {
                let place = (index(self, region), shard);
                self.counts.drained += 1;
                if self.is_calm {
                    self.gaps.insert(place, (self.now_ms, Gap::HandOver));
                    self.forget_gaps_without_heirs();
                }
                if let Some(owned) = self.processes[id].owned.get_mut(&place) {
                    owned.is_draining = true;
                }
                self.drained_if_idle(id, place, epoch);
            }
            Event::Released { .. } => self.counts.released += 1,
            Event::Ended => {
                let process = &mut self.processes[id];
                process.is_alive = false;
                let machine = process.machine;
                // Who watched the dead may be gone, and another begins anew.
                self.last_end_ms = self.now_ms;
                if self.machines[machine].process == Some(id) {
                    self.machines[machine].process = None;
                    if self.machines[machine].comes_back {
                        self.queue.at(self.now_ms + 300, Job::Start { machine });
                    }
                }
            }
            Event::WorkerIdHeld { .. } | Event::LookedUp { .. } => {}
        }
    }

    fn activate(&mut self, id: ProcessId, place: Place, epoch: u64, mut floors: Marks) {
        self.counts.activated += 1;
        self.counts.activated_abroad += u64::from(self.machines[self.processes[id].machine].region != place.0);
        match self.plant {
            Plant::TimestampFloorIgnored => floors.write_timestamp_us = 0,
            Plant::IdFloorIgnored => floors.id_ms = 0,
            _ => {}
        }
        if let Some(node) = self.processes[id].core.node() {
            self.check.activate(place, epoch, node);
        }
        let other = self.acknowledging(place).find(|other| *other != id);
        if let Some(other) = other {
            let what = format!("p{id} owns {place:?} from {epoch} on while p{other} may still acknowledge for it");
            self.check.violate(Invariant::OneOwner, what);
        }
        self.processes[id].owned.insert(place, Owned::new(epoch, floors));
        let load_ms = self.rng.random_range(0..=self.weather.write_ms_max);
        self.queue.at(self.now_ms + load_ms, Job::Loaded { process: id, place, epoch });
        self.gap_ends(place);
    }

    fn gap_ends(&mut self, place: Place) {
        let Some((from_ms, gap)) = self.gaps.remove(&place) else { return };
        let last_death_ms = self.last_death_ms.unwrap_or(0);
        let is_at_rest = self.last_death_ms.is_none_or(|last_ms| last_ms + UNREST_MS < from_ms);
        match gap {
            Gap::HandOver if is_at_rest && self.now_ms - from_ms > HAND_OVER_MAX_MS => {
                let what = format!("{place:?} had no owner for {} ms", self.now_ms - from_ms);
                self.check.violate(Invariant::HandOver, what);
            }
            Gap::HandOver => {}
            Gap::Death => {
                self.counts.taken_over += 1;
                let took_ms = self.now_ms - from_ms.max(last_death_ms).max(self.last_end_ms);
                if took_ms > TAKE_OVER_MAX_MS {
                    self.check.violate(Invariant::TakeOver, format!("{place:?} had no owner for {took_ms} ms"));
                }
            }
        }
    }

    /// Processes that would acknowledge a write of a shard at this moment.
    pub(super) fn acknowledging(&self, place: Place) -> impl Iterator<Item = ProcessId> {
        let region = &self.regions[place.0];
        let running = self.processes.iter().enumerate().filter(|(_, process)| process.is_running(self.now_ms));
        let may = move |(id, process): (ProcessId, &crate::process::Process)| {
            let epoch = process.core.epoch(region, place.1)?;
            let now_ms = process.clock.now(self.now_ms).monotonic_ms;
            process.core.may_acknowledge(now_ms, region, place.1, epoch).then_some(id)
        };
        running.filter_map(may)
    }

    pub(super) fn loaded(&mut self, id: ProcessId, place: Place, epoch: u64) {
        if let Some(owned) = self.processes[id].owned.get_mut(&place).filter(|owned| owned.epoch == epoch) {
            owned.is_loaded = true;
        }
    }

    fn drained_if_idle(&mut self, id: ProcessId, place: Place, epoch: u64) {
        let owned = self.processes[id].owned.get(&place);
        if owned.is_some_and(|owned| owned.epoch == epoch && owned.is_draining && owned.in_flight == 0) {
            self.queue.at(self.now_ms + 1, Job::Drained { process: id, place, epoch });
        }
    }

    pub(super) fn drained(&mut self, id: ProcessId, place: Place, epoch: u64) {
        let process = &mut self.processes[id];
        let Some(owned) = process.owned.get(&place).filter(|owned| owned.epoch == epoch) else { return };
        let used = if self.plant == Plant::DrainedWithoutMarks { Marks::default() } else { owned.used() };
        process.owned.remove(&place);
        let region = self.regions[place.0].clone();
        self.with(id, |core, now| core.handle_drained(now, &region, place.1, used));
    }

    /// Somebody wants to write something somewhere, time and again.
    pub(super) fn clients(&mut self) {
        self.queue.at(self.now_ms + self.client_interval_ms, Job::Clients);
        let running: Vec<ProcessId> =
            self.alive().filter(|(_, process)| process.is_running(self.now_ms)).map(|(id, _)| id).collect();
        if running.is_empty() {
            return;
        }
        let entry = *pick(&mut self.rng, &running);
        let region = self.rng.random_range(0..self.regions.len());
        let shard = self.rng.random_range(0..self.shard_count);
        if let Some(place) = self.places(region).nth(shard.into()) {
            self.queue.at(self.now_ms, Job::Client { entry, place });
        }
    }

    pub(super) fn client(&mut self, entry: ProcessId, place: Place) {
        let region = self.regions[place.0].clone();
        let Some(tried) = self.processes[entry].core.route(&region, place.1) else {
            self.counts.lookups += 1;
            return self.with(entry, |core, now| core.handle_lookup(now, &region, place.1));
        };
        let process = self.nodes.get(&tried.node).copied();
        let process = process.filter(|id| self.processes[*id].is_alive && self.reaches(entry, *id));
        let delay_ms = self.rng.random_range(0..=self.weather.link_ms_max);
        let job = match process {
            Some(process) => Job::Call { entry, process, place, tried },
            None => Job::Refused { entry, place, tried, hint: None },
        };
        self.queue.at(self.now_ms + delay_ms, job);
    }

    /// A call arrives at whom somebody thinks the owner.
    pub(super) fn call(&mut self, entry: ProcessId, id: ProcessId, place: Place, tried: Owner) {
        let process = &self.processes[id];
        let (region, now) = (&self.regions[place.0], process.clock.now(self.now_ms));
        let owned = process.owned.get(&place).copied().filter(|owned| owned.is_loaded && !owned.is_draining);
        let may = |owned: &Owned| process.core.may_acknowledge(now.monotonic_ms, region, place.1, owned.epoch);
        let is_blind = self.plant == Plant::AcknowledgedBlindly;
        if let Some(owned) = owned.filter(|owned| is_blind || may(owned)) {
            return self.write(id, place, owned);
        }
        self.counts.refused_calls += 1;
        let hint = process.core.route(region, place.1).filter(|owner| Some(owner.node) != process.core.node());
        let delay_ms = self.rng.random_range(0..=self.weather.link_ms_max);
        self.queue.at(self.now_ms + delay_ms, Job::Refused { entry, place, tried, hint });
    }

    fn write(&mut self, id: ProcessId, place: Place, mut owned: Owned) {
        let process = &mut self.processes[id];
        let (id_, timestamp_us) = owned.next(process.clock.now(self.now_ms));
        let next = Marks { id_ms: id_ >> SEQUENCE_BITS, write_timestamp_us: timestamp_us };
        let is_below = process.core.ceilings().is_some_and(|ceilings| ceilings.covers(next));
        if !is_below && self.plant != Plant::CeilingsIgnored {
            // A clock that leapt ahead: the ceilings rise first, and whoever asked tries again.
            self.counts.refused_calls += 1;
            return self.with(id, |core, now| core.handle_used(now, next));
        }
        (owned.last_id, owned.last_timestamp_us) = (id_, timestamp_us);
        owned.in_flight += 1;
        let epoch = owned.epoch;
        process.owned.insert(place, owned);
        process.used = process.used.max(next);
        let used = process.used;
        if self.plant != Plant::CeilingsIgnored {
            self.with(id, |core, now| core.handle_used(now, used));
        }
        let write = Write { process: id, place, epoch, timestamp_us, id: id_ };
        self.cells.issue(&mut self.check, &write);
        self.submit(write);
    }

    fn submit(&mut self, write: Write) {
        let Self { rng, weather, .. } = self;
        let is_cut_off = self.reach.is_cut_off[self.processes[write.process].machine];
        let is_lost = happens(rng, weather.lost_writes) || is_cut_off && rng.random_bool(0.5);
        let is_late = happens(rng, weather.late_writes) || is_cut_off;
        let (delay_ms, answer_ms) =
            (rng.random_range(0..=weather.write_ms_max), rng.random_range(0..=weather.write_ms_max));
        if is_lost || is_late {
            let late_ms = rng.random_range(WRITE_TIMEOUT_MS..60_000);
            if !is_lost {
                self.queue.at(self.now_ms + late_ms, Job::Applied(write));
            }
            self.queue.at(self.now_ms + WRITE_TIMEOUT_MS, Job::Written { write, is_durable: false });
            return;
        }
        self.queue.at(self.now_ms + delay_ms, Job::Applied(write));
        self.queue.at(self.now_ms + delay_ms + answer_ms, Job::Written { write, is_durable: true });
    }

    /// The owner hears of its write.
    pub(super) fn written(&mut self, write: Write, is_durable: bool) {
        let Write { process: id, place, epoch, .. } = write;
        let process = &mut self.processes[id];
        let now_ms = process.clock.now(self.now_ms).monotonic_ms;
        let may = process.core.may_acknowledge(now_ms, &self.regions[place.0], place.1, epoch);
        if let Some(owned) = process.owned.get_mut(&place).filter(|owned| owned.epoch == epoch) {
            owned.in_flight -= 1;
            self.drained_if_idle(id, place, epoch);
        }
        if is_durable && (may || self.plant == Plant::AcknowledgedBlindly) {
            self.cells.acknowledge(&mut self.check, write);
        } else {
            self.counts.unacknowledged += 1;
        }
    }
}
