//! Why datagrams are dropped, counted.

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// Of no protocol that is spoken here.
    Unclassified,
    /// Too short, or with parts that do not fit.
    Malformed,
    /// With an SSRC that nobody has.
    UnknownSsrc,
    /// With somebody's SSRC, from an address that is not theirs.
    ForeignAddress,
    /// From a member's address, with an SSRC that is not that member's.
    SpoofedSsrc,
    /// Media before SELECT_PROTOCOL was answered.
    NotReady,
    /// With a nonce that was used before.
    Replayed,
    /// With a nonce so old that nobody knows.
    TooOld,
    /// Encrypted with another key, or changed on the way.
    BadTag,
    /// More than may be answered or tried.
    RateLimited,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unclassified,
        Self::Malformed,
        Self::UnknownSsrc,
        Self::ForeignAddress,
        Self::SpoofedSsrc,
        Self::NotReady,
        Self::Replayed,
        Self::TooOld,
        Self::BadTag,
        Self::RateLimited,
    ];

    /// The name by which metrics tell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unclassified => "unclassified",
            Self::Malformed => "malformed",
            Self::UnknownSsrc => "unknown_ssrc",
            Self::ForeignAddress => "foreign_address",
            Self::SpoofedSsrc => "spoofed_ssrc",
            Self::NotReady => "not_ready",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::BadTag => "bad_tag",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// How many datagrams were dropped, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// For one reason.
    pub const fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }
    /// For all of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().map(|reason| (reason, self.get(reason)))
    }
    pub(crate) const fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }
}
