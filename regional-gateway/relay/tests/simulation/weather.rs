//! What goes wrong in a world, and how the nodes behave.

use std::sync::Arc;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rookery_relay::RelayConfig;

/// How badly things go.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Of a thousand packets.
    pub drop_permille: u32,
    pub repeat_permille: u32,
    /// How many are held for seconds.
    pub held_permille: u32,
    pub delay_max_ms: u64,
    /// How many partitions, restarts and pauses of callers are tried.
    pub partitions: u32,
    pub restarts: u32,
    pub stalls: u32,
    /// How long it lasts.
    pub lasts_ms: u64,
    pub bursts: u32,
    pub burst_max: u32,
}

impl Weather {
    /// The weather of a world.
    pub fn of(rng: &mut ChaCha8Rng) -> Self {
        let rough = rng.random_bool(0.7);
        let some = |rng: &mut ChaCha8Rng, most: u32| if rough { rng.random_range(0..=most) } else { 0 };
        Self {
            drop_permille: *[0, 10, 50, 100, 300].choose(rng).expect("not empty"),
            repeat_permille: *[0, 20, 200].choose(rng).expect("not empty"),
            held_permille: some(rng, 20),
            delay_max_ms: *[1, 5, 40, 300].choose(rng).expect("not empty"),
            partitions: some(rng, 5),
            restarts: some(rng, 3),
            stalls: some(rng, 2),
            lasts_ms: rng.random_range(2_000..20_000),
            bursts: rng.random_range(5..40),
            burst_max: *[1, 4, 30].choose(rng).expect("not empty"),
        }
    }

    /// Whether a stream that is given up would be given up without need.
    pub fn is_mild(&self) -> bool {
        self.drop_permille <= 100
            && self.held_permille == 0
            && (self.partitions, self.restarts, self.stalls) == (0, 0, 0)
    }

    /// Nothing goes wrong any more.
    pub fn clear_up(&mut self) {
        (self.drop_permille, self.repeat_permille, self.held_permille, self.delay_max_ms) = (0, 0, 0, 3);
    }
}

/// What links keep to in a world: bounds that are reached.
pub fn config(rng: &mut ChaCha8Rng, weather: &Weather) -> Arc<RelayConfig> {
    let lost_after_ms =
        if weather.is_mild() { 10_000 } else { *[2_000, 4_000, 10_000].choose(rng).expect("not empty") };
    let in_flight_max_cells = rng.random_range(4..200);
    Arc::new(RelayConfig {
        packet_max_bytes: 4_096 + rng.random_range(0..4_096),
        coalesce_bytes: rng.random_range(100..4_096),
        frame_max_bytes: 40_000,
        ring_max_bytes: rng.random_range(50_000..400_000),
        ring_max_cells: rng.random_range(8..500),
        in_flight_max_bytes: rng.random_range(10_000..100_000),
        in_flight_max_cells,
        window_max_bytes: 110_000,
        window_max_cells: in_flight_max_cells + rng.random_range(0..100),
        events_max_bytes: rng.random_range(20_000..200_000),
        events_max: rng.random_range(8..300),
        lost_after_ms,
        ..RelayConfig::default()
    })
}
