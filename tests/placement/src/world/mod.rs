//! A world: its machines and processes, and the loop that lets things happen to them in the order of virtual time.

mod deeds;
mod network;
mod owners;
mod rest;

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_placement::{Config, Marks, NodeId, NodePlacement, RegionName, StoreAnswer, VirtualShard};

use crate::actions::{self, Action, SKEW_MAX_MS};
use crate::cells::Cells;
use crate::check::{Check, Counts, Invariant, Violation};
use crate::clock::Clock;
use crate::lease_store::LeaseStore;
use crate::plant::Plant;
use crate::process::{Machine, Place, Process};
use crate::queue::{Job, ProcessId, Queue};
use crate::weather::{Reach, Weather, pick};

/// Between two looks at whether two nodes own one shard.
const WATCH_MS: u64 = 500;
/// The names of regions.
const NAMES: [&str; 3] = ["eu", "us", "asia"];
/// Between jobs at which a world that does nothing else is given up.
const JOBS_MAX: u64 = 3_000_000;

/// Why a shard has no owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// It is handed over on purpose.
    HandOver,
    Death,
}

/// Everything there is.
pub struct World {
    now_ms: u64,
    rng: ChaCha8Rng,
    plant: Plant,
    queue: Queue,
    store: LeaseStore,
    cells: Cells,
    check: Check,
    counts: Counts,
    weather: Weather,
    reach: Reach,
    regions: Vec<RegionName>,
    shard_count: u16,
    /// Which region's nodes may own the shards of which other one's.
    taken_over: Vec<(usize, usize)>,
    /// Whether every node stands by for all other regions.
    stands_by: bool,
    machines: Vec<Machine>,
    processes: Vec<Process>,
    nodes: BTreeMap<NodeId, ProcessId>,
    client_interval_ms: u64,
    actions: Vec<Action>,
    /// Nothing goes wrong but that processes die.
    is_calm: bool,
    last_death_ms: Option<u64>,
    /// When a process ended in peace.
    last_end_ms: u64,
    gaps: BTreeMap<Place, (u64, Gap)>,
    ends_ms: Option<u64>,
    is_over: bool,
    trace: Option<Vec<String>>,
}

impl rookery_test_seeds::World for World {
    type Plant = Plant;
    type Action = Action;
    type Counts = Counts;
    type Invariant = Invariant;

    fn new(seed: u64, plant: Plant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let is_calm = rng.random_bool(0.25);
        let regions: Vec<RegionName> = NAMES[..rng.random_range(1..=3)]
            .iter()
            .map(|name| RegionName::new(name).expect("these are names of regions"))
            .collect();
        let mut machines = Vec::new();
        for region in 0..regions.len() {
            for _ in 0..rng.random_range(2..=4) {
                let clock = Clock {
                    begin_ms: rng.random_range(1_000_000..1_000_000_000),
                    drift_ppm: rng.random_range(-500..=500),
                    ahead_us: rng.random_range(-SKEW_MAX_MS..=SKEW_MAX_MS) * 1_000,
                };
                let worker_id = u16::try_from(machines.len() * 7 + 1).expect("there are a few machines");
                machines.push(Machine { region, worker_id, clock, process: None, comes_back: true });
            }
        }
        let mut world = Self {
            now_ms: 0,
            plant,
            queue: Queue::default(),
            store: LeaseStore::default(),
            cells: Cells::default(),
            check: Check::default(),
            counts: Counts::default(),
            weather: Weather::CALM,
            reach: Reach { sides: vec![0; machines.len()], is_cut_off: vec![false; machines.len()], number: 0 },
            regions,
            shard_count: rng.random_range(3..=12),
            taken_over: Vec::new(),
            stands_by: rng.random_bool(0.4),
            machines,
            processes: Vec::new(),
            nodes: BTreeMap::new(),
            client_interval_ms: *pick(&mut rng, &[20, 60, 150]),
            actions: actions::actions(&mut rng),
            is_calm,
            last_death_ms: None,
            last_end_ms: 0,
            gaps: BTreeMap::new(),
            ends_ms: None,
            is_over: false,
            trace: None,
            rng,
        };
        world.store.is_unconditional = plant == Plant::UnconditionalSwaps;
        world.counts.actions = world.actions.len() as u64;
        world
    }

    fn actions(&self) -> &[Action] {
        &self.actions
    }

    fn set_actions(&mut self, actions: Vec<Action>) {
        self.actions = actions;
    }

    fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    fn run(&mut self) -> Result<Counts, Violation> {
        for machine in 0..self.machines.len() {
            let at_ms = self.rng.random_range(0..200);
            self.queue.at(at_ms, Job::Start { machine });
        }
        self.queue.at(self.client_interval_ms, Job::Clients);
        self.queue.at(WATCH_MS, Job::Watch);
        self.queue.at(5_000, Job::Act(0));
        let mut jobs = 0;
        while !self.is_over
            && let Some((at_ms, job)) = self.queue.pop()
        {
            self.now_ms = self.now_ms.max(at_ms);
            jobs += 1;
            if jobs > JOBS_MAX {
                self.check.violate(Invariant::NoPanic, "it does not come to an end");
            }
            self.happen(job);
            if let Some(epochs) = self.store.broken_epochs.pop() {
                self.check.violate(Invariant::Epochs, epochs);
            }
            if let Some(violation) = self.check.violation() {
                let violation = violation.clone();
                self.note(|| format!("VIOLATION {violation}"));
                return Err(violation);
            }
        }
        let Self { counts, cells, store, .. } = self;
        counts.acknowledged = cells.acknowledged;
        (counts.swaps, counts.refused_swaps) = (store.swaps, store.refused);
        counts.lasted_ms = self.now_ms;
        Ok(self.counts)
    }
}

impl World {
    fn note(&mut self, line: impl FnOnce() -> String) {
        let now_ms = self.now_ms;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now_ms:>7} {}", line()));
        }
    }

    /// The process that a job is for.
    const fn addressee(job: &Job) -> Option<ProcessId> {
        match job {
            Job::Timer(process)
            | Job::Deliver(process, _)
            | Job::Answer { process, .. }
            | Job::Loaded { process, .. }
            | Job::Drained { process, .. }
            | Job::Drain(process)
            | Job::Serve { process, .. }
            | Job::Call { process, .. } => Some(*process),
            Job::Written { write, .. } => Some(write.process),
            Job::Client { entry, .. } | Job::Refused { entry, .. } => Some(*entry),
            _ => None,
        }
    }

    fn happen(&mut self, job: Job) {
        if let Some(id) = Self::addressee(&job) {
            let process = &self.processes[id];
            if !process.is_alive {
                return;
            }
            if process.paused_until_ms > self.now_ms {
                return self.queue.at(process.paused_until_ms, job);
            }
        }
        match job {
            Job::Timer(id) => self.timer(id),
            Job::Deliver(id, message) => self.deliver(id, message),
            Job::Store { process, op, call, answer_ms } => self.ask_store(process, op, &call, answer_ms),
            Job::Answer { process, op, answer } => self.answer(process, op, answer),
            Job::Loaded { process, place, epoch } => self.loaded(process, place, epoch),
            Job::Drained { process, place, epoch } => self.drained(process, place, epoch),
            Job::Client { entry, place } => self.client(entry, place),
            Job::Call { entry, process, place, tried } => self.call(entry, process, place, tried),
            Job::Refused { entry, place, tried, hint } => {
                let region = self.regions[place.0].clone();
                self.with(entry, |core, now| core.handle_refused(now, &region, place.1, tried, hint));
            }
            Job::Applied(write) => self.cells.apply(&mut self.check, write),
            Job::Written { write, is_durable } => self.written(write, is_durable),
            Job::Start { machine } => self.start(machine),
            Job::Drain(id) => {
                self.processes[id].is_draining = true;
                self.with(id, NodePlacement::handle_drain);
                self.forget_gaps_without_heirs();
            }
            Job::Serve { process, region, is_taken } => {
                let name = self.regions[region].clone();
                self.with(process, |core, now| match is_taken {
                    true => core.handle_take_over(now, &name),
                    false => core.handle_give_back(now, &name),
                });
            }
            Job::Clients => self.clients(),
            Job::Watch => self.watch(),
            Job::Act(number) => self.act(number),
            Job::Healed(number) => {
                if self.reach.number == number {
                    self.note(|| "HEALED".into());
                    self.reach.heal();
                }
            }
            Job::End => self.end(),
        }
    }

    fn start(&mut self, machine: usize) {
        if self.machines[machine].process.is_some() {
            return;
        }
        let Machine { region, worker_id, clock, .. } = self.machines[machine];
        let name = self.regions[region].clone();
        let mut config = Config::new(name, self.regions.clone(), worker_id, self.rng.random());
        config.virtual_shards = self.shard_count;
        config.first_floors = Marks { id_ms: 1_600_000_000_000, write_timestamp_us: 1_600_000_000_000_000 };
        let taken = self.taken_over.iter().filter(|(_, by)| *by == region);
        config.taken_over = taken.map(|(lost, _)| self.regions[*lost].clone()).collect();
        if self.stands_by {
            let others = self.regions.iter().enumerate().filter(|(other, _)| *other != region);
            config.stands_by_for = others.map(|(_, name)| name.clone()).collect();
        }
        if self.plant == Plant::Impatience && machine % 2 == 1 {
            let timings = &mut config.timings;
            (timings.lease_ms, timings.renew_interval_ms, timings.safety_margin_ms) = (1_500, 350, 300);
            (timings.ceiling_ahead_ms, timings.write_timeout_ms) = (2_000, 500);
        }
        let core = NodePlacement::new(config, clock.now(self.now_ms)).expect("the configuration is good");
        let id = self.processes.len();
        self.note(|| format!("START p{id} on m{machine} of {region}"));
        self.processes.push(Process {
            machine,
            core,
            clock,
            is_alive: true,
            is_draining: false,
            paused_until_ms: 0,
            owned: BTreeMap::new(),
            used: Marks::default(),
            timer_ms: None,
        });
        self.machines[machine].process = Some(id);
        self.machines[machine].comes_back = true;
        self.settle(id);
    }

    fn timer(&mut self, id: ProcessId) {
        let process = &mut self.processes[id];
        if process.timer_ms.is_some_and(|timer_ms| timer_ms <= self.now_ms) {
            process.timer_ms = None;
            self.with(id, NodePlacement::handle_timeout);
        }
    }

    fn answer(&mut self, id: ProcessId, op: rookery_placement::OpId, answer: StoreAnswer) {
        let answer = match answer {
            StoreAnswer::Unknown if self.plant == Plant::UnknownTakenForApplied => StoreAnswer::Swapped,
            answer => answer,
        };
        self.with(id, |core, now| core.handle_store(now, op, answer));
    }

    /// Lets a core do something, and does what it says.
    fn with(&mut self, id: ProcessId, act: impl FnOnce(&mut NodePlacement, rookery_placement::Now)) {
        let process = &mut self.processes[id];
        let now = process.clock.now(self.now_ms);
        act(&mut process.core, now);
        self.settle(id);
    }

    fn settle(&mut self, id: ProcessId) {
        while let Some(event) = self.processes[id].core.poll_event() {
            self.carry_out(id, event);
        }
        while let Some(request) = self.processes[id].core.poll_store() {
            self.request(id, request);
        }
        while let Some(outgoing) = self.processes[id].core.poll_message() {
            self.send(id, outgoing);
        }
        let process = &mut self.processes[id];
        let due_ms = process.core.poll_timeout(process.clock.now(self.now_ms));
        let Some(at_ms) = due_ms.map(|due_ms| process.clock.time_ms(due_ms).max(self.now_ms)) else { return };
        if process.is_alive && process.timer_ms.is_none_or(|timer_ms| timer_ms > at_ms) {
            process.timer_ms = Some(at_ms);
            self.queue.at(at_ms, Job::Timer(id));
        }
    }

    /// All shards of a region.
    fn places(&self, region: usize) -> impl Iterator<Item = Place> + use<> {
        (0..self.shard_count).filter_map(VirtualShard::new).map(move |shard| (region, shard))
    }

    /// The processes that are alive, those that were replaced while they paused among them.
    fn alive(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.processes.iter().enumerate().filter(|(_, process)| process.is_alive)
    }

    /// Those that may own the shards of a region: its own, or those of regions that took it over.
    fn takers(&self, region: usize, is_own: bool) -> impl Iterator<Item = ProcessId> {
        let may = move |of: usize| if is_own { of == region } else { self.taken_over.contains(&(region, of)) };
        self.alive()
            .filter(move |(_, process)| !process.is_draining && may(self.machines[process.machine].region))
            .map(|(id, _)| id)
    }

    /// Nobody is left to take the shards of a region: nothing is asked of hand-overs.
    fn forget_gaps_without_heirs(&mut self) {
        for region in 0..self.regions.len() {
            let has_heirs = self.takers(region, true).any(|id| self.processes[id].core.node().is_some());
            if !has_heirs {
                self.gaps.retain(|place, _| place.0 != region);
            }
        }
    }
}
