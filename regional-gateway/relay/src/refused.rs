//! Why a packet, or a part of it, was not taken.

/// Why a packet was not taken; counted by [`Refused::name`].
///
/// Only `Malformed` and `Version` are the sender's mistake: the others are what a bus and restarts lead to, and heal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It breaks the wire format.
    #[error("not a packet of the relay: {0}")]
    Malformed(&'static str),
    /// Another version of the format.
    #[error("version {0} of the packets is not known")]
    Version(u8),
    /// From this end itself.
    #[error("an own packet")]
    Own,
    /// For another process than this one: before a restart it was that one's.
    #[error("a packet for another process")]
    NotForUs,
    /// From a process that is known to have been replaced by another.
    #[error("a packet of a process that was replaced")]
    Retired,
    /// From a process that has yet to prove that it lives.
    #[error("a packet of a process that is not known yet")]
    Unverified,
    /// The caller has not polled what came before.
    #[error("too many events wait to be polled")]
    Busy,
}

impl Refused {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version(_) => "version",
            Self::Own => "own",
            Self::NotForUs => "not_for_us",
            Self::Retired => "retired",
            Self::Unverified => "unverified",
            Self::Busy => "busy",
        }
    }
}
