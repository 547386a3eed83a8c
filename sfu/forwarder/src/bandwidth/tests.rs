//! The estimator over a path of known capacity: one queue, drop-tail.

use super::*;

const PACKET: u32 = 1_200;

/// A link of `bps` with a queue of `queue_us`, and a fixed delay.
struct Path {
    bps: u64,
    queue_us: u64,
    free_us: u64,
    loss_every: u64,
    sent: u64,
}

impl Path {
    fn new(bps: u64) -> Self {
        Self { bps, queue_us: 300_000, free_us: 0, loss_every: 0, sent: 0 }
    }
    /// When it arrives.
    fn send(&mut self, now_us: u64, bytes: u32) -> Option<u64> {
        self.sent += 1;
        if self.loss_every > 0 && self.sent.is_multiple_of(self.loss_every) {
            return None;
        }
        let start_us = self.free_us.max(now_us);
        if start_us - now_us > self.queue_us {
            return None;
        }
        self.free_us = start_us + u64::from(bytes) * 8_000_000 / self.bps;
        Some(self.free_us + 20_000)
    }
}

struct World {
    now_us: u64,
    estimator: Estimator,
    path: Path,
    pending: Vec<PacketReport>,
    longest_queue_us: u64,
}

impl World {
    fn new(path: Path) -> Self {
        Self {
            now_us: 1_000_000,
            estimator: Estimator::new(&BandwidthConfig::default()),
            path,
            pending: Vec::new(),
            longest_queue_us: 0,
        }
    }
    fn send(&mut self, at_us: u64, probe: bool) {
        let arrived_us = self.path.send(at_us, PACKET);
        self.longest_queue_us = self.longest_queue_us.max(self.path.free_us.saturating_sub(at_us));
        self.pending.push(PacketReport { sent_us: at_us, arrived_us, length_bytes: PACKET, probe });
    }
    /// Sends what the estimate allows, or less, with feedback every 100 ms.
    fn run(&mut self, seconds: u64, wanted_bps: u64) {
        let end_us = self.now_us + seconds * 1_000_000;
        while self.now_us < end_us {
            let bps = self.estimator.bps().min(wanted_bps);
            let gap_us = u64::from(PACKET) * 8_000_000 / bps;
            let until_us = self.now_us + 100_000;
            while self.now_us < until_us {
                self.send(self.now_us, false);
                self.now_us += gap_us;
            }
            self.feedback();
        }
    }
    fn feedback(&mut self) {
        let now_us = self.now_us;
        let (due, later) =
            self.pending.drain(..).partition(|report| report.arrived_us.is_none_or(|at_us| at_us + 20_000 <= now_us));
        self.pending = later;
        let due: Vec<_> = due;
        self.estimator.handle_reports(now_us, due);
    }
    fn probe(&mut self, wanted_bps: u64) -> bool {
        let Some(plan) = self.estimator.start_probe(self.now_us, wanted_bps) else { return false };
        let gap_us = u64::from(PACKET) * 8_000_000 / plan.bps;
        for _ in 0..plan.bytes.div_ceil(PACKET) {
            self.send(self.now_us, true);
            self.now_us += gap_us;
        }
        true
    }
}

#[test]
fn it_finds_a_narrow_path_and_keeps_its_queue_short() {
    let mut world = World::new(Path::new(400_000));
    world.run(20, u64::MAX);
    world.longest_queue_us = 0;
    world.run(20, u64::MAX);
    let bps = world.estimator.bps();
    assert!((280_000..=480_000).contains(&bps), "{bps}");
    assert!(world.longest_queue_us < 250_000, "{} us", world.longest_queue_us);
}

#[test]
fn it_grows_on_a_wide_path() {
    let mut world = World::new(Path::new(5_000_000));
    world.run(30, u64::MAX);
    let bps = world.estimator.bps();
    assert!((3_000_000..=5_500_000).contains(&bps), "{bps}");
}

#[test]
fn it_follows_a_path_that_narrows() {
    let mut world = World::new(Path::new(4_000_000));
    world.run(30, u64::MAX);
    world.path.bps = 500_000;
    world.run(5, u64::MAX);
    let bps = world.estimator.bps();
    assert!(bps <= 600_000, "{bps}");
}

#[test]
fn heavy_loss_without_delay_lowers_it_too_and_little_loss_does_not() {
    let mut heavy = World::new(Path { loss_every: 4, ..Path::new(50_000_000) });
    heavy.run(10, u64::MAX);
    assert!(heavy.estimator.bps() < 300_000, "{}", heavy.estimator.bps());
    let mut little = World::new(Path { loss_every: 100, ..Path::new(50_000_000) });
    little.run(10, u64::MAX);
    assert!(little.estimator.bps() > 900_000, "{}", little.estimator.bps());
}

#[test]
fn what_is_not_sent_proves_nothing_until_a_probe_does() {
    let mut world = World::new(Path::new(3_000_000));
    world.run(20, 200_000);
    let unproven = world.estimator.bps();
    assert!(unproven <= 700_000, "{unproven}");
    for _ in 0..6 {
        world.probe(2_500_000);
        world.run(2, 200_000);
    }
    let bps = world.estimator.bps();
    assert!((1_900_000..=3_300_000).contains(&bps), "{bps}");
}

#[test]
fn a_probe_of_a_full_path_finds_nothing_and_the_next_one_waits_longer() {
    let mut world = World::new(Path::new(400_000));
    world.run(20, u64::MAX);
    let mut probes = 0;
    for _ in 0..60 {
        probes += u32::from(world.probe(4_000_000));
        world.run(1, u64::MAX);
    }
    assert!(world.estimator.bps() < 600_000, "{}", world.estimator.bps());
    assert!((1..=12).contains(&probes), "{probes}");
}

#[test]
fn a_receivers_own_estimate_is_believed_within_bounds() {
    let mut estimator = Estimator::new(&BandwidthConfig::default());
    estimator.handle_receiver_estimate(1_000_000);
    assert_eq!(estimator.bps(), 1_000_000);
    estimator.handle_receiver_estimate(1);
    assert_eq!(estimator.bps(), BandwidthConfig::default().min_bps);
}

#[test]
fn nonsense_in_reports_does_no_harm() {
    let mut estimator = Estimator::new(&BandwidthConfig::default());
    let mut now_us = 0;
    for n in 0..5_000_u64 {
        now_us += 1_000;
        let odd = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let report = PacketReport {
            sent_us: odd >> (odd % 64),
            arrived_us: (!odd.is_multiple_of(3)).then_some(odd.rotate_left(17) >> (odd % 60)),
            length_bytes: odd as u16 as u32,
            probe: odd.is_multiple_of(5),
        };
        estimator.start_probe(now_us, u64::MAX);
        estimator.handle_reports(now_us, [report]);
        let bps = estimator.bps();
        assert!((50_000..=20_000_000).contains(&bps), "{bps}");
    }
}
