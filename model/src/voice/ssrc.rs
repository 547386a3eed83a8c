//! The synchronisation source of RTP.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names one stream of RTP packets (RFC 3550, section 3); on the voice gateway it leads from a packet to its user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ssrc(pub u32);

impl Ssrc {
    /// None for 0, with which clients say that there is no stream.
    pub const fn non_zero(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(self) }
    }
}

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({})", self.0)
    }
}
impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
