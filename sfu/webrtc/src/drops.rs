//! Why datagrams are dropped, counted.

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// Of no protocol that is spoken here.
    Unclassified,
    /// Too short, or with parts that do not fit.
    Malformed,
    /// STUN that is no binding request.
    Unexpected,
    /// STUN with a user name fragment that was given to nobody.
    UnknownUfrag,
    /// STUN that was not made with the peer's password.
    BadIntegrity,
    /// From an address where no peer is known to be, or that belongs to another who is still there.
    ForeignAddress,
    /// Media before the handshake was done, or after the end.
    NotReady,
    /// More of the handshake than a handshake takes.
    HandshakeBudget,
    /// A handshake that cannot go on.
    HandshakeFailed,
    /// With a number that was used before.
    Replayed,
    /// With a number so old that nobody knows.
    TooOld,
    /// Encrypted with another key, or changed on the way.
    BadTag,
    /// Of a stream more than a peer may have.
    TooManyStreams,
    /// More than may be answered.
    RateLimited,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Unclassified,
        Self::Malformed,
        Self::Unexpected,
        Self::UnknownUfrag,
        Self::BadIntegrity,
        Self::ForeignAddress,
        Self::NotReady,
        Self::HandshakeBudget,
        Self::HandshakeFailed,
        Self::Replayed,
        Self::TooOld,
        Self::BadTag,
        Self::TooManyStreams,
        Self::RateLimited,
    ];

    /// The name by which metrics tell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unclassified => "unclassified",
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::UnknownUfrag => "unknown_ufrag",
            Self::BadIntegrity => "bad_integrity",
            Self::ForeignAddress => "foreign_address",
            Self::NotReady => "not_ready",
            Self::HandshakeBudget => "handshake_budget",
            Self::HandshakeFailed => "handshake_failed",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::BadTag => "bad_tag",
            Self::TooManyStreams => "too_many_streams",
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
