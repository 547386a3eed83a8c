//! The invariants.

use std::collections::BTreeMap;

use rookery_placement::NodeId;

use crate::process::Place;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Never two nodes acknowledge for one shard at the same time, nor one after its successor did.
    OneOwner,
    /// Epochs rise by one with each change of hands, and none is had twice.
    Epochs,
    /// What an owner acknowledged is never hidden by the write of an owner before it.
    NotHidden,
    /// Ids that are issued for a shard rise, whoever issues them.
    IdsRise,
    /// On purpose a shard changes hands within a second, if nothing fails.
    HandOver,
    /// A shard whose owner died has another within 15 seconds, if nothing else fails.
    TakeOver,
    /// All shards have owners within 15 seconds once faults end.
    OwnedAgain,
    /// Then those own them who should, and everybody knows it.
    Converged,
    /// Nobody reads at a mirror what was taken away before, once that was acknowledged.
    NoReadOfTheRevoked,
    /// Whoever wrote reads what they wrote, or is sent to the owner.
    OwnWrites,
    /// A copy is what the owner's state was at the place that it says.
    TrueCopies,
    /// What is taken away is acknowledged in time, and mirrors answer again once faults end.
    MirrorsInTime,
    /// No core fails by a mistake of its own.
    NoPanic,
}

impl rookery_test_seeds::Invariant for Invariant {
    const NO_PANIC: Self = Self::NoPanic;
}

/// An invariant that did not hold.
pub type Violation = rookery_test_seeds::Violation<Invariant>;

/// What was seen so far.
#[derive(Default)]
pub struct Check {
    violation: Option<Violation>,
    /// The last activation of each shard.
    activated: BTreeMap<Place, (u64, NodeId)>,
}

impl Check {
    /// The first thing that was wrong.
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something is wrong; only the first is kept.
    pub fn violate(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| Violation { invariant, what: what.into() });
    }

    /// An owner says after whom it comes: nobody owned the shard in between.
    pub fn follows(&mut self, place: Place, epoch: u64, predecessor: Option<u64>) {
        let last = self.activated.get(&place).map_or(0, |(last, _)| *last);
        if let Some(predecessor) = predecessor
            && (predecessor < last || predecessor >= epoch)
        {
            let what = format!("{place:?} at {epoch} after {predecessor}, and it was owned at {last}");
            self.violate(Invariant::Epochs, what);
        }
    }

    /// A node owns a shard from now on.
    pub fn activate(&mut self, place: Place, epoch: u64, node: NodeId) {
        if let Some((before, by)) = self.activated.insert(place, (epoch, node))
            && epoch <= before
        {
            self.violate(Invariant::Epochs, format!("{node:?} has {place:?} at {epoch}, after {by:?} at {before}"));
        }
    }
}

rookery_test_seeds::tally! {
    /// How often things happened, so that a run that reaches nothing is seen.
    pub struct Counts {
        actions,
        acknowledged,
        unacknowledged,
        refused_calls,
        activated,
        drained,
        released,
        taken_over,
        lapsed,
        suspended,
        resumed,
        leases,
        died,
        paused,
        replaced,
        drains,
        swaps,
        refused_swaps,
        unknown,
        late,
        lookups,
        regions_lost,
        take_overs,
        /// Shards that a node of another region came to own.
        activated_abroad,
        /// Milliseconds of virtual time.
        lasted_ms,
    }
}
