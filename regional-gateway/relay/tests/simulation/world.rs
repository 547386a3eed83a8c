//! Nodes, their links, and the bus between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_relay::{Event, Link, RelayConfig, peek_source};

use crate::check::{Invariant, Name, Received, Violation, bounds, want};
use crate::plant::{Plant, Planted};
use crate::weather::{self, Weather};

rookery_test_seeds::tally! {
    /// That the runs reach what they are meant to reach.
    pub struct Counts {
        frames,
        dropped,
        resent,
        repeated,
        full,
        restarted,
        inbound_lost,
        outbound_lost,
        down,
        retired,
        busy,
        large_frames,
    }
}

/// What happens at its time.
enum Job {
    Arrive { node: usize, packet: Bytes },
    Burst { from: usize, to: usize },
    Cut { from: usize, to: usize, until_ms: u64 },
    Stop { node: usize },
    Start { node: usize },
    Stall { node: usize, until_ms: u64 },
    Poll,
}

/// One end, its caller, and what the caller saw.
struct End {
    link: Link,
    received: Received,
    incarnation: u64,
    segment: u64,
    index: u64,
    wakes: (u64, u32),
}

struct Process {
    ends: HashMap<usize, End>,
}

/// A world of a seed.
pub struct World {
    rng: ChaCha8Rng,
    weather: Weather,
    config: Arc<RelayConfig>,
    plant: Plant,
    planted: Planted,
    is_mild: bool,
    trace: bool,
    now_ms: u64,
    jobs: BinaryHeap<Reverse<(u64, u64)>>,
    payloads: HashMap<u64, Job>,
    next_job: u64,
    processes: Vec<Option<Process>>,
    incarnations: u64,
    cuts: HashMap<(usize, usize), u64>,
    stalls: HashMap<usize, u64>,
    counts: Counts,
}

/// After the faults: longer than a peer may be silent and a stream be stalled.
const CALM_MS: u64 = 16_000;

impl rookery_test_seeds::World for World {
    type Plant = Plant;
    type Action = ();
    type Counts = Counts;
    type Invariant = Invariant;

    fn new(seed: u64, plant: Plant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weather = Weather::of(&mut rng);
        let config = weather::config(&mut rng, &weather);
        let nodes = rng.random_range(2..=3);
        let mut world = Self {
            is_mild: weather.is_mild(),
            rng,
            weather,
            config,
            plant,
            planted: Planted::default(),
            trace: false,
            now_ms: 0,
            jobs: BinaryHeap::new(),
            payloads: HashMap::new(),
            next_job: 0,
            processes: (0..nodes).map(|_| None).collect(),
            incarnations: 0,
            cuts: HashMap::new(),
            stalls: HashMap::new(),
            counts: Counts::default(),
        };
        world.plan();
        world
    }

    /// It prints what happens, as it happens.
    fn keep_trace(&mut self) {
        self.trace = true;
    }

    fn run(&mut self) -> Result<Counts, Violation> {
        let storm_ends_ms = self.weather.lasts_ms;
        self.run_until(storm_ends_ms)?;
        self.log(|| "the faults end".into());
        self.weather.clear_up();
        self.cuts.clear();
        self.stalls.clear();
        for node in 0..self.processes.len() {
            self.start(node);
        }
        self.run_until(storm_ends_ms + CALM_MS)?;
        // One frame more each way: behind every hole that there may be.
        for from in 0..self.processes.len() {
            for to in (0..self.processes.len()).filter(|to| *to != from) {
                self.send(from, to, 100)?;
            }
        }
        self.run_until(storm_ends_ms + CALM_MS + 5_000)?;
        self.converged()?;
        Ok(self.counts)
    }
}

impl World {
    fn at(&mut self, at_ms: u64, job: Job) {
        self.next_job += 1;
        self.jobs.push(Reverse((at_ms, self.next_job)));
        self.payloads.insert(self.next_job, job);
    }

    fn plan(&mut self) {
        let nodes = self.processes.len();
        for node in 0..nodes {
            self.start(node);
        }
        let lasts_ms = self.weather.lasts_ms;
        for _ in 0..self.weather.bursts {
            let (from, to) = self.pair();
            let at_ms = self.rng.random_range(0..lasts_ms);
            self.at(at_ms, Job::Burst { from, to });
        }
        for _ in 0..self.weather.partitions {
            let (from, to) = self.pair();
            let at_ms = self.rng.random_range(0..lasts_ms);
            let until_ms = at_ms + self.rng.random_range(50..15_000);
            self.at(at_ms, Job::Cut { from, to, until_ms });
            if self.rng.random_bool(0.7) {
                self.at(at_ms, Job::Cut { from: to, to: from, until_ms });
            }
        }
        for _ in 0..self.weather.restarts {
            let node = self.rng.random_range(0..nodes);
            let at_ms = self.rng.random_range(0..lasts_ms);
            let pause_ms = if self.rng.random() { 0 } else { self.rng.random_range(0..6_000) };
            self.at(at_ms, Job::Stop { node });
            self.at(at_ms + pause_ms, Job::Start { node });
            // Some live so shortly that what they sent comes behind the next one.
            let mut start_ms = at_ms + pause_ms;
            while self.rng.random_bool(0.4) {
                start_ms += self.rng.random_range(1..1_000);
                self.at(start_ms, Job::Stop { node });
                self.at(start_ms, Job::Start { node });
            }
        }
        for _ in 0..self.weather.stalls {
            let node = self.rng.random_range(0..nodes);
            let at_ms = self.rng.random_range(0..lasts_ms);
            let until_ms = at_ms + self.rng.random_range(100..8_000);
            self.at(at_ms, Job::Stall { node, until_ms });
            self.at(until_ms, Job::Poll);
        }
    }

    fn pair(&mut self) -> (usize, usize) {
        let nodes = self.processes.len();
        let from = self.rng.random_range(0..nodes);
        (from, (from + self.rng.random_range(1..nodes)) % nodes)
    }

    #[allow(clippy::print_stdout, reason = "a test prints what it is asked for")]
    fn log(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>6} {}", self.now_ms, text());
        }
    }

    fn start(&mut self, node: usize) {
        if self.processes[node].is_some() {
            return;
        }
        let peers = (0..self.processes.len()).filter(|peer| *peer != node);
        let ends = peers.map(|peer| {
            // Incarnations do not grow: a later one may be lower.
            self.incarnations += 1;
            let incarnation = (self.incarnations * 0x9e37_79b9) % 0xffff_fff1 + 1;
            let link = Link::new(Arc::clone(&self.config), &format!("node-{node}"), incarnation, self.now_ms);
            let link = link.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
            (peer, End { link, received: Received::default(), incarnation, segment: 0, index: 0, wakes: (0, 0) })
        });
        let ends = ends.collect();
        self.processes[node] = Some(Process { ends });
        self.log(|| format!("{node} starts"));
    }

    fn run_until(&mut self, end_ms: u64) -> Result<(), Violation> {
        self.settle_all()?;
        loop {
            let job_ms = self.jobs.peek().map(|Reverse((at_ms, _))| *at_ms);
            let ends = self.processes.iter().flatten().flat_map(|process| process.ends.values());
            let wake_ms = ends.filter_map(|end| end.link.poll_timeout()).min();
            let Some(next_ms) = job_ms.into_iter().chain(wake_ms).min().filter(|at_ms| *at_ms <= end_ms) else {
                self.now_ms = end_ms;
                return Ok(());
            };
            self.now_ms = self.now_ms.max(next_ms);
            if job_ms == Some(next_ms) {
                let Some(Reverse((_, number))) = self.jobs.pop() else { continue };
                let Some(job) = self.payloads.remove(&number) else { continue };
                self.act(job)?;
            } else {
                self.wake()?;
            }
        }
    }

    fn act(&mut self, job: Job) -> Result<(), Violation> {
        match job {
            Job::Arrive { node, packet } => self.arrive(node, packet)?,
            Job::Burst { from, to } => {
                for _ in 0..self.rng.random_range(1..=self.weather.burst_max) {
                    let size = match self.rng.random_range(0..20) {
                        0 => self.rng.random_range(4_000..self.config.frame_max_bytes),
                        1..=3 => self.rng.random_range(500..6_000),
                        _ => self.rng.random_range(24..300),
                    };
                    self.send(from, to, size)?;
                }
            }
            Job::Cut { from, to, until_ms } => {
                self.log(|| format!("{from} → {to} is cut until {until_ms}"));
                self.cuts.insert((from, to), until_ms);
            }
            Job::Stop { node } => {
                self.log(|| format!("{node} ends"));
                self.processes[node] = None;
            }
            Job::Start { node } => {
                self.start(node);
                self.settle_all()?;
            }
            Job::Stall { node, until_ms } => {
                self.log(|| format!("{node} polls no events until {until_ms}"));
                self.stalls.insert(node, until_ms);
            }
            Job::Poll => self.settle_all()?,
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, size: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let Some(end) = self.processes[from].as_mut().and_then(|process| process.ends.get_mut(&to)) else {
            return Ok(());
        };
        let name = Name { incarnation: end.incarnation, segment: end.segment, index: end.index };
        let was_full = end.link.is_full();
        let sent = end.link.send(now_ms, name.frame(size));
        want(sent.is_err() == was_full, Invariant::Bounds, || format!("full: {was_full}, but {sent:?}"))?;
        if sent.is_ok() {
            end.index += 1;
            self.counts.large_frames += u64::from(size > self.config.packet_max_bytes);
        } else {
            self.counts.full += 1;
        }
        self.settle(from, to)
    }

    fn arrive(&mut self, node: usize, packet: Bytes) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let Some(process) = &mut self.processes[node] else { return Ok(()) };
        let source = peek_source(&packet).ok().and_then(|source| source.strip_prefix("node-")?.parse().ok());
        let Some(end) = source.and_then(|peer: usize| process.ends.get_mut(&peer)) else { return Ok(()) };
        let packet = self.planted.change(self.plant, &mut self.rng, packet, end.incarnation);
        match end.link.handle_packet(now_ms, packet) {
            Err(rookery_relay::Refused::Retired) => self.counts.retired += 1,
            Err(rookery_relay::Refused::Busy) => self.counts.busy += 1,
            _ => {}
        }
        let Some(peer) = source else { return Ok(()) };
        self.settle(node, peer)
    }

    fn wake(&mut self) -> Result<(), Violation> {
        for node in 0..self.processes.len() {
            for peer in 0..self.processes.len() {
                let now_ms = self.now_ms;
                let Some(end) = self.processes[node].as_mut().and_then(|process| process.ends.get_mut(&peer)) else {
                    continue;
                };
                if end.link.poll_timeout().is_some_and(|at_ms| at_ms <= now_ms) {
                    end.wakes = if end.wakes.0 == now_ms { (now_ms, end.wakes.1 + 1) } else { (now_ms, 1) };
                    want(end.wakes.1 < 4, Invariant::Idle, || format!("{node} wakes again and again for {peer}"))?;
                    end.link.handle_timeout(now_ms);
                    self.settle(node, peer)?;
                }
            }
        }
        Ok(())
    }

    fn settle_all(&mut self) -> Result<(), Violation> {
        for node in 0..self.processes.len() {
            for peer in (0..self.processes.len()).filter(|peer| *peer != node) {
                self.settle(node, peer)?;
            }
        }
        Ok(())
    }

    /// Polls events and packets until there are no more, as a caller does.
    fn settle(&mut self, node: usize, peer: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let stalled = self.stalls.get(&node).is_some_and(|until_ms| *until_ms > now_ms);
        let Some(end) = self.processes[node].as_mut().and_then(|process| process.ends.get_mut(&peer)) else {
            return Ok(());
        };
        bounds(&self.config, &end.link.stats())?;
        let mut events = Vec::new();
        while let Some(event) = (!stalled).then(|| end.link.poll_event()).flatten() {
            match &event {
                // The segment ends where the ring was given up, which the caller hears before it sends again.
                Event::OutboundLost { .. } | Event::Restarted { .. } => (end.segment, end.index) = (end.segment + 1, 0),
                _ => {}
            }
            if self.plant.tells(&event) {
                end.received.handle(&event)?;
            }
            events.push(event);
        }
        let mut packets = Vec::new();
        while let Some(packet) = end.link.poll_transmit(now_ms) {
            want(packet.len() <= self.config.packet_max_bytes, Invariant::Bounds, || {
                format!("a packet of {} bytes", packet.len())
            })?;
            want(packets.len() < 1_000, Invariant::Idle, || "packets without end".into())?;
            packets.push(packet);
        }
        let stats = end.link.stats();
        for event in events {
            self.note(node, peer, &event)?;
        }
        self.log(|| format!("{node} → {peer}: {} packets; {stats:?}", packets.len()));
        for packet in packets {
            self.transmit(node, peer, packet);
        }
        Ok(())
    }

    fn note(&mut self, node: usize, peer: usize, event: &Event) -> Result<(), Violation> {
        let counts = &mut self.counts;
        match event {
            Event::Frame(_) => counts.frames += 1,
            Event::Restarted { .. } => counts.restarted += 1,
            Event::InboundLost => counts.inbound_lost += 1,
            Event::OutboundLost { .. } => counts.outbound_lost += 1,
            Event::Down => counts.down += 1,
            Event::Up { .. } => {}
        }
        if !matches!(event, Event::Frame(_)) {
            self.log(|| format!("{node} hears of {peer}: {event:?}"));
        }
        let loses = matches!(event, Event::Restarted { .. } | Event::InboundLost | Event::OutboundLost { .. });
        want(!(self.is_mild && loses), Invariant::NoNeedlessLoss, || format!("{node} of {peer}: {event:?}"))
    }

    fn transmit(&mut self, from: usize, to: usize, packet: Bytes) {
        let weather = &self.weather;
        let is_cut = self.cuts.get(&(from, to)).is_some_and(|until_ms| *until_ms > self.now_ms);
        let copies = 1 + u32::from(self.rng.random_range(0..1_000) < weather.repeat_permille);
        let (drop, held) = (weather.drop_permille, weather.held_permille);
        for _ in 0..copies {
            if is_cut || self.rng.random_range(0..1_000) < drop {
                self.counts.dropped += 1;
                continue;
            }
            let delay_ms = if self.rng.random_range(0..1_000) < held {
                self.rng.random_range(500..12_000)
            } else {
                self.rng.random_range(1..=self.weather.delay_max_ms)
            };
            self.at(self.now_ms + delay_ms, Job::Arrive { node: to, packet: packet.clone() });
        }
    }

    fn converged(&mut self) -> Result<(), Violation> {
        for from in 0..self.processes.len() {
            for to in (0..self.processes.len()).filter(|to| *to != from) {
                let end = |node: usize, peer: usize| self.processes[node].as_ref().and_then(|p| p.ends.get(&peer));
                let (Some(sender), Some(receiver)) = (end(from, to), end(to, from)) else { continue };
                let sent = sender.index.checked_sub(1).map(|index| Name {
                    incarnation: sender.incarnation,
                    segment: sender.segment,
                    index,
                });
                let what = || format!("{from} → {to}: sent {sent:?}, received {:?}", receiver.received.last);
                want(sent == receiver.received.last, Invariant::Convergence, what)?;
                want(sender.link.is_flushed() && sender.link.is_up(), Invariant::Convergence, || {
                    format!("{from} → {to} is not done: {:?}", sender.link.stats())
                })?;
                let stats = sender.link.stats();
                self.counts.resent += stats.cells_resent;
                self.counts.repeated += stats.cells_repeated;
            }
        }
        Ok(())
    }
}
