//! Bugs that are planted on purpose, to see that the invariants find them.

/// What is wrong in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    #[default]
    Nothing,
    /// The shell acknowledges what is durable without asking whether it still may.
    AcknowledgedBlindly,
    /// The monotonic clock stands still while a process, or mirror, pauses.
    ClockStandsStill,
    /// A compare-and-set without an answer is taken for one that was applied.
    UnknownTakenForApplied,
    /// The store's compare-and-set does not compare.
    UnconditionalSwaps,
    /// An owner's write timestamps begin at its own clock, whatever the floor.
    TimestampFloorIgnored,
    /// The same of ids.
    IdFloorIgnored,
    /// Ids and timestamps follow the clock beyond the ceilings.
    CeilingsIgnored,
    /// A shard is reported drained without saying how far its ids and timestamps came.
    DrainedWithoutMarks,
    /// Half of the nodes think that leases last a second and a half.
    Impatience,
    /// Nodes do not hear what is asked of them.
    DeafToAsks,
    /// A new owner does not wait for the leases of its predecessor's mirrors.
    MirrorsOfBeforeForgotten,
    /// An owner that is none any more goes on to grant leases.
    GrantsOfThePast,
    /// A mirror confirms changes before it applies them.
    ConfirmedBeforeApplied,
    /// A mirror counts its lease from when it was granted.
    LeaseFromArrival,
    /// Now and then a snapshot is of the past.
    StaleSnapshots,
}
