//! What goes wrong: each action from a seed of its own, so that one can be left out without changing the others.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::weather::{Weather, pick};

/// Something that is done, and how long after the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub after_ms: u64,
    pub seed: u64,
}

/// What an action comes to. Machines and regions are meant modulo how many there are.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The process of a machine dies; another starts after that time, if one does.
    Kill {
        machine: usize,
        back_after_ms: Option<u64>,
    },
    Pause {
        machine: usize,
        ms: u64,
    },
    /// While the process pauses, another takes its place under the same worker id.
    Replace {
        machine: usize,
        ms: u64,
    },
    /// The process ends in peace; another starts then, if one does.
    Drain {
        machine: usize,
        comes_back: bool,
    },
    Start {
        machine: usize,
    },
    /// The bus is cut in two.
    CutBus {
        sides: u64,
        ms: u64,
    },
    /// A region is alone.
    CutRegion {
        region: usize,
        ms: u64,
    },
    /// The store does not hear some machines.
    CutStore {
        machines: u64,
        ms: u64,
    },
    /// The wall clock leaps.
    Leap {
        machine: usize,
        ms: i64,
    },
    LoseRegion {
        region: usize,
        back_after_ms: Option<u64>,
        taken_after_ms: Option<u64>,
    },
    TakeOver {
        region: usize,
        by: usize,
    },
    GiveBack {
        region: usize,
        by: usize,
    },
    Weather(Box<Weather>),
}

/// How far wall clocks are off, milliseconds.
pub const SKEW_MAX_MS: i64 = 300_000;

/// The actions of a world.
pub fn actions(rng: &mut ChaCha8Rng) -> Vec<Action> {
    let count = rng.random_range(8..=26);
    let pace = *pick(rng, &[&[0, 100, 1_000][..], &[500, 2_000, 5_000], &[100, 3_000, 12_000]]);
    (0..count).map(|_| Action { after_ms: *pick(rng, pace), seed: rng.random() }).collect()
}

/// What the action comes to, in a world where nothing but death goes wrong or in any other.
pub fn deed(action: Action, is_calm: bool) -> Deed {
    let mut rng = ChaCha8Rng::seed_from_u64(action.seed);
    let rng = &mut rng;
    let machine = rng.random_range(0..1_000);
    let back_after_ms = rng.random_bool(0.8).then(|| *pick(rng, &[100, 2_000, 20_000]));
    let cut_ms = *pick(rng, &[300, 2_000, 6_000, 10_000, 15_000, 30_000]);
    match if is_calm { rng.random_range(0..46) } else { rng.random_range(0..100) } {
        0..12 => Deed::Kill { machine, back_after_ms },
        12..28 => Deed::Drain { machine, comes_back: rng.random_bool(0.7) },
        28..36 => Deed::Start { machine },
        36..39 => {
            let taken_after_ms = rng.random_bool(0.8).then(|| *pick(rng, &[0, 1_000, 9_000]));
            let back_after_ms = rng.random_bool(0.6).then(|| *pick(rng, &[100, 8_000, 30_000]));
            Deed::LoseRegion { region: machine, back_after_ms, taken_after_ms }
        }
        39..40 => Deed::TakeOver { region: machine, by: rng.random_range(0..1_000) },
        40..42 => Deed::GiveBack { region: machine, by: rng.random_range(0..1_000) },
        42..46 => Deed::Leap { machine, ms: rng.random_range(-SKEW_MAX_MS..=SKEW_MAX_MS) },
        46..64 => Deed::Pause { machine, ms: *pick(rng, &[200, 1_500, 5_000, 7_500, 9_000, 11_500, 14_000, 30_000]) },
        64..70 => Deed::Replace { machine, ms: *pick(rng, &[3_000, 9_000, 13_000, 30_000]) },
        70..77 => Deed::CutBus { sides: rng.random(), ms: cut_ms },
        77..82 => Deed::CutRegion { region: machine, ms: cut_ms },
        82..93 => Deed::CutStore { machines: rng.random::<u64>() & rng.random::<u64>(), ms: cut_ms },
        _ => Deed::Weather(Box::new(Weather::of(rng))),
    }
}
