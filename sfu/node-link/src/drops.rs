//! Why datagrams are dropped.

/// Why a datagram of a link was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// Of a link that is not there.
    UnknownLink,
    /// With parts that do not fit, although it was the other end's.
    Malformed,
    /// It came before.
    Replayed,
    /// So old that nobody knows whether it came before.
    TooOld,
    /// Encrypted with another key, or changed on the way.
    BadTag,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::UnknownLink, Self::Malformed, Self::Replayed, Self::TooOld, Self::BadTag];

    /// The name by which metrics tell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownLink => "unknown_link",
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::BadTag => "bad_tag",
        }
    }
}
