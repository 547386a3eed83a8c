//! Which layers of which publishers a receiver gets for its bandwidth.

use smallvec::SmallVec;

use crate::Layer;
use crate::ids::LAYERS_MAX;
use crate::video::down_track::Target;

/// What one publisher offers a receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// 0 to 100.
    pub wanted: u8,
    /// Bits per second of each layer that is being sent now, with its quality.
    pub layers: [Option<Offered>; LAYERS_MAX],
    /// Whether there are frames that can be left out.
    pub temporal: bool,
    /// What the receiver has been promised.
    pub target: Option<Target>,
    /// Whether it may get more than that already.
    pub may_rise: bool,
    /// Whether it had something and lost it for want of bandwidth.
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub bps: u64,
    pub quality: u8,
}

/// Bounds on everybody, under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    pub layer: Option<Layer>,
    pub temporal: u8,
}

/// What all candidates get, and what they would take if there were enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allocation {
    pub targets: SmallVec<[Option<Target>; 8]>,
    pub wanted_bps: u64,
}

impl Candidate {
    /// Layers that it may get, the smallest first.
    fn choices(&self, caps: Caps) -> impl DoubleEndedIterator<Item = (Layer, Offered)> {
        let (wanted, cap) = (self.wanted, caps.layer.map_or(0, |layer| layer.0 + 1));
        let lowest = self.layers.iter().flatten().map(|offered| offered.quality).min().unwrap_or(0);
        (0..LAYERS_MAX as u8).zip(self.layers).filter_map(move |(layer, offered)| {
            let offered = offered?;
            let fits = wanted > 0 && (offered.quality <= wanted || offered.quality == lowest);
            // With the smallest layer under the cap not being sent, the smallest that is has to do.
            let capped = cap > 0 && (layer < cap || offered.quality == lowest);
            (fits && capped).then_some((Layer(layer), offered))
        })
    }

    /// What a layer counts, with room to spare if it is more than the receiver has.
    fn cost(&self, layer: Layer, offered: Offered, headroom_percent: u32) -> u64 {
        let rises = match self.target {
            Some(target) => layer > target.layer,
            None => self.paused,
        };
        if rises { offered.bps * u64::from(headroom_percent) / 100 } else { offered.bps }
    }
}

/// Gives each the smallest layer first, then better ones in order of what was wanted.
pub(crate) fn allocate(budget_bps: u64, candidates: &[Candidate], caps: Caps, headroom_percent: u32) -> Allocation {
    let mut order: SmallVec<[usize; 8]> = (0..candidates.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(candidates[*at].wanted));
    let mut allocation = Allocation { targets: SmallVec::from_elem(None, candidates.len()), wanted_bps: 0 };
    let mut left_bps = budget_bps;
    for at in &order {
        let candidate = &candidates[*at];
        let best = candidate.choices(caps).next_back();
        allocation.wanted_bps += best.map_or(0, |(_, offered)| offered.bps);
        allocation.targets[*at] = smallest(candidate, caps, headroom_percent, &mut left_bps);
    }
    for at in &order {
        let candidate = &candidates[*at];
        let Some(target) = &mut allocation.targets[*at] else { continue };
        raise(candidate, caps, headroom_percent, &mut left_bps, target);
    }
    allocation
}

fn smallest(candidate: &Candidate, caps: Caps, headroom_percent: u32, left_bps: &mut u64) -> Option<Target> {
    let (layer, offered) = candidate.choices(caps).next()?;
    if candidate.target.is_none() && candidate.paused && !candidate.may_rise {
        return None;
    }
    let cost = candidate.cost(layer, offered, headroom_percent);
    if cost <= *left_bps {
        *left_bps -= offered.bps;
        return Some(Target { layer, temporal: caps.temporal });
    }
    // Every second frame or fewer, of the smallest picture, takes about half.
    if candidate.temporal && cost / 2 <= *left_bps {
        *left_bps -= offered.bps / 2;
        return Some(Target { layer, temporal: 0 });
    }
    None
}

fn raise(candidate: &Candidate, caps: Caps, headroom_percent: u32, left_bps: &mut u64, target: &mut Target) {
    if target.temporal < caps.temporal {
        return;
    }
    let mut has = *target;
    let mut has_bps = candidate.layers[has.layer.index()].map_or(0, |offered| offered.bps);
    for (layer, offered) in candidate.choices(caps).skip(1) {
        let rises = candidate.target.is_some_and(|before| layer > before.layer);
        let extra_bps = candidate.cost(layer, offered, headroom_percent).saturating_sub(has_bps);
        if (rises && !candidate.may_rise) || extra_bps > *left_bps {
            break;
        }
        *left_bps -= offered.bps.saturating_sub(has_bps).min(*left_bps);
        has = Target { layer, temporal: caps.temporal };
        has_bps = offered.bps;
    }
    *target = has;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { layer: Some(Layer(2)), temporal: u8::MAX };

    fn candidate(wanted: u8) -> Candidate {
        let layer = |bps, quality| Some(Offered { bps, quality });
        Candidate {
            wanted,
            layers: [layer(150_000, 25), layer(500_000, 50), layer(1_500_000, 100)],
            temporal: false,
            target: None,
            may_rise: true,
            paused: false,
        }
    }

    fn layers(budget_bps: u64, candidates: &[Candidate], caps: Caps) -> Vec<Option<u8>> {
        let allocation = allocate(budget_bps, candidates, caps, 120);
        allocation.targets.iter().map(|target| target.map(|target| target.layer.0)).collect()
    }

    #[test]
    fn everybody_is_seen_before_anybody_is_seen_well() {
        let three = [candidate(50), candidate(100), candidate(100)];
        assert_eq!(layers(300_000, &three, CAPS), [None, Some(0), Some(0)]);
        assert_eq!(layers(450_000, &three, CAPS), [Some(0); 3]);
        assert_eq!(layers(900_000, &three, CAPS), [Some(0), Some(1), Some(0)]);
        assert_eq!(layers(9_000_000, &three, CAPS), [Some(1), Some(2), Some(2)], "and nobody better than was wanted");
    }

    #[test]
    fn more_needs_room_to_spare_and_keeping_does_not() {
        let mut one = candidate(100);
        one.target = Some(Target { layer: Layer(1), temporal: u8::MAX });
        assert_eq!(layers(1_600_000, &[one], CAPS), [Some(1)]);
        assert_eq!(layers(1_900_000, &[one], CAPS), [Some(2)]);
        assert_eq!(layers(510_000, &[one], CAPS), [Some(1)]);
        assert_eq!(layers(490_000, &[one], CAPS), [Some(0)]);
        one.may_rise = false;
        assert_eq!(layers(9_000_000, &[one], CAPS), [Some(1)]);
    }

    #[test]
    fn caps_hold_and_nothing_at_all_is_a_cap_too() {
        let caps = |layer| Caps { layer, temporal: u8::MAX };
        assert_eq!(layers(9_000_000, &[candidate(100)], caps(Some(Layer(0)))), [Some(0)]);
        assert_eq!(layers(9_000_000, &[candidate(100)], caps(None)), [None]);
        let mut big_only = candidate(100);
        big_only.layers[0] = None;
        big_only.layers[1] = None;
        assert_eq!(layers(9_000_000, &[big_only], caps(Some(Layer(0)))), [Some(2)], "the only one there is");
        big_only.wanted = 1;
        assert_eq!(layers(9_000_000, &[big_only], CAPS), [Some(2)]);
        big_only.wanted = 0;
        assert_eq!(layers(9_000_000, &[big_only], CAPS), [None]);
    }

    #[test]
    fn half_of_the_frames_are_better_than_no_picture() {
        let mut one = candidate(100);
        one.temporal = true;
        let allocation = allocate(100_000, &[one], CAPS, 120);
        assert_eq!(allocation.targets[0], Some(Target { layer: Layer(0), temporal: 0 }));
        assert_eq!(allocation.wanted_bps, 1_500_000);
    }
}
