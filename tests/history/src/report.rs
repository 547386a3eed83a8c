//! What was wrong, for people.

use std::fmt;

/// How large a history was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub writes: usize,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    pub reads: usize,
    pub claims: usize,
}

/// What a store did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViolationKind {
    /// A page is not newest first, or holds a message twice.
    OutOfOrder,
    /// A page holds what was not asked for.
    OutsideWindow,
    /// A write that was acknowledged before the read began is missing.
    LostWrite,
    /// Likewise, and the reader itself had written it.
    StaleAfterOwnWrite,
    /// A message shows after its deletion was acknowledged.
    ResurrectedDelete,
    /// A message shows as it was before an acknowledged edit.
    StaleRead,
    /// A write shows that certainly failed.
    FailedWriteVisible,
    /// What shows was written after the read had ended, or never.
    Fabricated,
    /// A key has more than one holder.
    SeveralHolders,
    /// A claim lost to somebody who cannot hold the key.
    ImpossibleHolder,
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfOrder => "page out of order",
            Self::OutsideWindow => "message outside the window",
            Self::LostWrite => "acknowledged write lost",
            Self::StaleAfterOwnWrite => "own acknowledged write not seen",
            Self::ResurrectedDelete => "deleted message is back",
            Self::StaleRead => "acknowledged edit not seen",
            Self::FailedWriteVisible => "failed write is visible",
            Self::Fabricated => "message that nobody had written",
            Self::SeveralHolders => "unique key with several holders",
            Self::ImpossibleHolder => "claim lost to somebody who cannot hold the key",
        })
    }
}

/// One thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: ViolationKind,
    /// Of what: channel and message, or the key.
    pub subject: String,
    /// The operations that contradict each other.
    pub operations: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.subject)?;
        self.operations.iter().try_for_each(|operation| write!(f, "\n    {operation}"))
    }
}

/// All that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub summary: Summary,
    pub violations: Vec<Violation>,
}

/// Beyond so many, more of the same helps nobody.
const SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { writes, acknowledged, reads, claims } = self.summary;
        writeln!(
            f,
            "{} violations in {writes} writes ({acknowledged} acknowledged), {reads} reads, {claims} claims:",
            self.violations.len()
        )?;
        self.violations.iter().take(SHOWN).try_for_each(|violation| writeln!(f, "- {violation}"))?;
        match self.violations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "… and {more} more"),
        }
    }
}

impl std::error::Error for Report {}
