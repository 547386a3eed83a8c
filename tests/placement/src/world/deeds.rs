//! What goes wrong, as it happens.

use super::{Gap, World};
use crate::actions::{self, Deed};
use crate::plant::Plant;
use crate::queue::{Job, ProcessId};

impl World {
    pub(super) fn act(&mut self, number: usize) {
        let Some(action) = self.actions.get(number).copied() else {
            // Whoever pauses goes on first: what was held up is no fault that ends.
            let paused = self.processes.iter().map(|process| process.paused_until_ms);
            let at_ms = paused.max().unwrap_or(0).max(self.now_ms + 500) + 1;
            return self.queue.at(at_ms, Job::End);
        };
        let deed = actions::deed(action, self.is_calm);
        self.note(|| format!("ACTION {number}: {deed:?}"));
        self.carry_out_deed(deed);
        let after_ms = self.actions.get(number + 1).map_or(500, |next| next.after_ms);
        self.queue.at(self.now_ms + after_ms, Job::Act(number + 1));
    }

    fn carry_out_deed(&mut self, deed: Deed) {
        let (machines, regions) = (self.machines.len(), self.regions.len());
        match deed {
            Deed::Kill { machine, back_after_ms } => self.kill(machine % machines, back_after_ms),
            Deed::Pause { machine, ms } => self.pause(machine % machines, ms),
            Deed::Replace { machine, ms } => {
                let machine = machine % machines;
                if self.machines[machine].process.is_some() {
                    self.pause(machine, ms);
                    self.counts.replaced += 1;
                    self.machines[machine].process = None;
                    self.queue.at(self.now_ms + 100, Job::Start { machine });
                }
            }
            Deed::Drain { machine, comes_back } => {
                let machine = machine % machines;
                if let Some(id) = self.machines[machine].process {
                    self.machines[machine].comes_back = comes_back;
                    self.counts.drains += 1;
                    self.queue.at(self.now_ms, Job::Drain(id));
                }
            }
            Deed::Start { machine } => self.queue.at(self.now_ms, Job::Start { machine: machine % machines }),
            Deed::CutBus { sides, ms } => {
                let side = |machine| u8::from(sides >> (machine % 64) & 1 == 1);
                self.cut(ms, (0..machines).map(side).collect(), vec![false; machines]);
            }
            Deed::CutRegion { region, ms } => {
                let is_inside: Vec<bool> =
                    self.machines.iter().map(|machine| machine.region == region % regions).collect();
                let is_cut_off = if ms % 4_000 == 2_000 { is_inside.clone() } else { vec![false; machines] };
                self.cut(ms, is_inside.into_iter().map(u8::from).collect(), is_cut_off);
            }
            Deed::CutStore { machines: bits, ms } => {
                let is_cut_off = (0..machines).map(|machine| bits >> (machine % 64) & 1 == 1).collect();
                self.cut(ms, vec![0; machines], is_cut_off);
            }
            Deed::Leap { machine, ms } => {
                let machine = &mut self.machines[machine % machines];
                machine.clock.ahead_us = ms * 1_000;
                if let Some(id) = machine.process {
                    self.processes[id].clock.ahead_us = ms * 1_000;
                }
            }
            Deed::LoseRegion { region, back_after_ms, taken_after_ms } => {
                self.lose_region(region % regions, back_after_ms, taken_after_ms);
            }
            Deed::TakeOver { region, by } => self.take_over(region % regions, by % regions),
            Deed::GiveBack { region, by } => self.give_back(region % regions, by % regions),
            Deed::Weather(weather) => self.weather = *weather,
        }
    }

    fn kill(&mut self, machine: usize, back_after_ms: Option<u64>) {
        if let Some(back_after_ms) = back_after_ms {
            self.queue.at(self.now_ms + back_after_ms, Job::Start { machine });
        }
        let Some(id) = self.machines[machine].process.take() else { return };
        self.counts.died += 1;
        self.processes[id].is_alive = false;
        self.last_death_ms = Some(self.now_ms);
        let region = self.machines[machine].region;
        let places: Vec<_> = self.processes[id].owned.keys().copied().collect();
        for place in places {
            self.gaps.remove(&place);
            if self.is_calm && place.0 == region {
                self.gaps.insert(place, (self.now_ms, Gap::Death));
            }
        }
        self.forget_gaps_without_heirs();
    }

    fn pause(&mut self, machine: usize, ms: u64) {
        let Some(id) = self.machines[machine].process else { return };
        self.counts.paused += 1;
        let process = &mut self.processes[id];
        process.paused_until_ms = process.paused_until_ms.max(self.now_ms + ms);
        if self.plant == Plant::ClockStandsStill {
            process.clock.begin_ms = process.clock.begin_ms.saturating_sub(ms);
        }
    }

    fn cut(&mut self, ms: u64, sides: Vec<u8>, is_cut_off: Vec<bool>) {
        self.reach.number += 1;
        (self.reach.sides, self.reach.is_cut_off) = (sides, is_cut_off);
        self.queue.at(self.now_ms + ms, Job::Healed(self.reach.number));
    }

    fn lose_region(&mut self, region: usize, back_after_ms: Option<u64>, taken_after_ms: Option<u64>) {
        if self.regions.len() < 2 {
            return;
        }
        self.counts.regions_lost += 1;
        for machine in 0..self.machines.len() {
            if self.machines[machine].region == region {
                self.kill(machine, back_after_ms);
            }
        }
        self.gaps.retain(|place, _| place.0 != region);
        let by = (region + 1) % self.regions.len();
        if taken_after_ms.is_some() {
            self.take_over(region, by);
        }
    }

    pub(super) fn take_over(&mut self, region: usize, by: usize) {
        if region == by || self.taken_over.contains(&(region, by)) {
            return;
        }
        self.counts.take_overs += 1;
        self.taken_over.push((region, by));
        for process in self.of_region(by) {
            self.queue.at(self.now_ms, Job::Serve { process, region, is_taken: true });
        }
    }

    fn give_back(&mut self, region: usize, by: usize) {
        let before = self.taken_over.len();
        self.taken_over.retain(|known| *known != (region, by));
        if self.taken_over.len() == before {
            return;
        }
        self.gaps.retain(|place, _| place.0 != region);
        for process in self.of_region(by) {
            self.queue.at(self.now_ms, Job::Serve { process, region, is_taken: false });
        }
    }

    fn of_region(&self, region: usize) -> Vec<ProcessId> {
        let machines = &self.machines;
        self.alive().filter(|(_, process)| machines[process.machine].region == region).map(|(id, _)| id).collect()
    }
}
