//! What must be so once nothing goes wrong any more, and what must be so at all times.

use rookery_placement::{TAKE_OVER_MAX_MS, rendezvous};

use super::{WATCH_MS, World};
use crate::check::Invariant;
use crate::process::Place;
use crate::queue::{Job, ProcessId};
use crate::weather::Weather;

/// What the store applies late it has applied by then.
const LATE_MS: u64 = 500;
/// When those own shards who should, after the end of all faults.
const CONVERGED_AFTER_MS: u64 = 2 * TAKE_OVER_MAX_MS;

impl World {
    /// Nothing goes wrong from now on.
    pub(super) fn end(&mut self) {
        self.note(|| "END".into());
        self.weather = Weather::CALM;
        self.reach.number += 1;
        self.reach.heal();
        self.queue.hasten(self.now_ms + LATE_MS);
        for region in 0..self.regions.len() {
            let is_there = self.takers(region, true).next().is_some();
            let is_taken_over = self.takers(region, false).next().is_some();
            if !is_there && !is_taken_over {
                let machine = self.machines.iter().position(|machine| machine.region == region).unwrap_or(0);
                match self.machines[machine].process {
                    Some(_) => self.machines[machine].comes_back = true,
                    None => self.queue.at(self.now_ms, Job::Start { machine }),
                }
            }
        }
        self.ends_ms = Some(self.now_ms + LATE_MS);
    }

    /// Looks at who owns what, time and again.
    pub(super) fn watch(&mut self) {
        self.queue.at(self.now_ms + WATCH_MS, Job::Watch);
        let since_ms = self.ends_ms.map(|ends_ms| self.now_ms.saturating_sub(ends_ms));
        for place in (0..self.regions.len()).flat_map(|region| self.places(region)).collect::<Vec<_>>() {
            let owners: Vec<ProcessId> = self.acknowledging(place).collect();
            if owners.len() > 1 {
                self.check.violate(Invariant::OneOwner, format!("{place:?} has {owners:?}"));
            }
            let owner = owners.first().copied();
            match since_ms {
                Some(since_ms) if since_ms >= CONVERGED_AFTER_MS => self.has_converged(place, owner),
                Some(since_ms) if since_ms >= TAKE_OVER_MAX_MS => self.is_owned(place, owner),
                _ => {}
            }
        }
        self.is_over = since_ms.is_some_and(|since_ms| since_ms >= CONVERGED_AFTER_MS);
    }

    fn is_owned(&mut self, place: Place, owner: Option<ProcessId>) {
        let is_being_moved = self.processes.iter().any(|process| process.is_alive && process.is_draining);
        if owner.is_none() && !is_being_moved && !self.is_between(place) {
            self.check.violate(Invariant::OwnedAgain, format!("nobody owns {place:?}"));
        }
    }

    /// Whether a shard is just being handed over to who should own it.
    fn is_between(&self, place: Place) -> bool {
        let region = &self.regions[place.0];
        self.alive().any(|(_, process)| process.core.epoch(region, place.1).is_some()) || self.gaps.contains_key(&place)
    }

    fn has_converged(&mut self, place: Place, owner: Option<ProcessId>) {
        let mut takers: Vec<ProcessId> = self.takers(place.0, true).collect();
        if takers.is_empty() {
            takers = self.takers(place.0, false).collect();
        }
        if takers.is_empty() {
            // Nobody is to take what was given back to nobody.
            return;
        }
        let worker_id = |id: &ProcessId| self.machines[self.processes[*id].machine].worker_id;
        takers.retain(|id| self.processes[*id].core.node().is_some());
        let worker_ids: Vec<u16> = takers.iter().map(worker_id).collect();
        let should = rendezvous::owner_of(place.1, &worker_ids);
        if owner.as_ref().map(worker_id) != should {
            let what = format!("{place:?} is owned by {owner:?}, and should be by the node of worker id {should:?}");
            return self.check.violate(Invariant::Converged, what);
        }
        let Some(owner) = owner else { return };
        let node = self.processes[owner].core.node();
        let region = &self.regions[place.0];
        // Whoever has no lease is no node, and hears nothing that is not for all.
        let lost = self
            .alive()
            .filter(|(_, process)| process.core.node().is_some())
            .find(|(_, process)| process.core.route(region, place.1).is_some_and(|known| Some(known.node) != node));
        if let Some((id, process)) = lost {
            let route = process.core.route(region, place.1);
            let what = format!("p{id} looks for {place:?} at {route:?}, which is p{owner}'s, {node:?}");
            self.check.violate(Invariant::Converged, what);
        }
    }
}
