//! How badly things go in a world, and who reaches whom.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// One of several.
pub fn pick<'a, T>(rng: &mut ChaCha8Rng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

/// How badly things go; of a thousand where nothing else is said.
#[derive(Clone, Debug)]
pub struct Weather {
    pub link_ms_max: u64,
    pub dropped: u32,
    pub repeated: u32,
    /// Messages that take up to five seconds, so that others overtake them.
    pub delayed: u32,
    pub store_ms_max: u64,
    /// Requests that the store never sees.
    pub lost_requests: u32,
    pub lost_answers: u32,
    /// Requests that the store sees seconds later.
    pub late_requests: u32,
    /// Answers that take seconds.
    pub slow_answers: u32,
    /// Rows of a read of many that are of the past.
    pub stale_rows: u32,
    pub write_ms_max: u64,
    /// Writes that arrive up to a minute later.
    pub late_writes: u32,
    pub lost_writes: u32,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        link_ms_max: 20,
        dropped: 0,
        repeated: 0,
        delayed: 0,
        store_ms_max: 20,
        lost_requests: 0,
        lost_answers: 0,
        late_requests: 0,
        slow_answers: 0,
        stale_rows: 0,
        write_ms_max: 20,
        late_writes: 0,
        lost_writes: 0,
    };

    /// The weather of a world with faults.
    pub fn of(rng: &mut ChaCha8Rng) -> Self {
        let stormy = rng.random_bool(0.6);
        let some = |rng: &mut ChaCha8Rng, most: u32| if stormy { rng.random_range(0..=most) } else { 0 };
        Self {
            link_ms_max: *pick(rng, &[2, 30, 300]),
            dropped: some(rng, 300),
            repeated: some(rng, 100),
            delayed: some(rng, 100),
            store_ms_max: *pick(rng, &[5, 50, 400]),
            lost_requests: some(rng, 100),
            lost_answers: some(rng, 150),
            late_requests: some(rng, 80),
            slow_answers: some(rng, 100),
            stale_rows: *pick(rng, &[0, 200, 900]),
            write_ms_max: *pick(rng, &[5, 100, 1_000]),
            late_writes: some(rng, 100),
            lost_writes: some(rng, 50),
        }
    }
}

/// Whether something of so many in a thousand happens now.
pub fn happens(rng: &mut ChaCha8Rng, of_thousand: u32) -> bool {
    of_thousand > 0 && rng.random_range(0..1_000) < of_thousand
}

/// Who reaches whom.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// On which side of a partition of the bus each machine is.
    pub sides: Vec<u8>,
    /// Machines that the store does not hear.
    pub is_cut_off: Vec<bool>,
    /// Which partition it is, so that its end ends no later one.
    pub number: u64,
}

impl Reach {
    /// Everybody reaches everybody.
    pub fn heal(&mut self) {
        self.sides.fill(0);
        self.is_cut_off.fill(false);
    }
}
