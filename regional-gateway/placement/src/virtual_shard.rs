//! The virtual shard of a guild, DM or user.

use std::fmt;

use rookery_model::Snowflake;
use rookery_model::lease::VIRTUAL_SHARDS;
use serde::{Deserialize, Serialize};

use crate::mix::mix;

/// One of the parts into which the owners of a region are divided: 0 to 4095.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VirtualShard(u16);

/// A number that is no virtual shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("virtual shard {0} is not below {VIRTUAL_SHARDS}")]
pub struct NoVirtualShard(pub u16);

impl VirtualShard {
    /// The virtual shard of the guild, DM or user with this id: the top 12 bits of the id mixed by [`SplitMix64`'s
    /// finaliser](crate::mix). It may never change.
    ///
    /// An id's own bits will not do: ids of one millisecond differ only in the lowest, those of one worker agree in ten.
    pub const fn of(id: Snowflake) -> Self {
        Self((mix(id.0) >> 52) as u16)
    }

    /// By number; none from [`VIRTUAL_SHARDS`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < VIRTUAL_SHARDS { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its place in a list of all.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The first so many.
    pub(crate) fn first(count: u16) -> impl Iterator<Item = Self> {
        (0..count.min(VIRTUAL_SHARDS)).map(Self)
    }
}

impl fmt::Debug for VirtualShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for VirtualShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u16> for VirtualShard {
    type Error = NoVirtualShard;

    fn try_from(number: u16) -> Result<Self, NoVirtualShard> {
        Self::new(number).ok_or(NoVirtualShard(number))
    }
}

impl From<VirtualShard> for u16 {
    fn from(shard: VirtualShard) -> Self {
        shard.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_an_id_is_what_it_always_was() {
        // Rows in stores say who owns these: the numbers are for ever.
        let known = [(0, 0), (1, 0x569), (2, 0xdbd), (175_928_847_299_117_063, 0xc64), (u64::MAX, 0xb4d)];
        let found = known.map(|(id, _)| (id, VirtualShard::of(Snowflake(id)).number()));
        assert_eq!(found, known);
    }

    #[test]
    fn ids_of_one_worker_and_millisecond_are_spread_evenly() {
        let count = |ids: &mut dyn Iterator<Item = Snowflake>| {
            let mut counts = vec![0_u32; VIRTUAL_SHARDS.into()];
            ids.for_each(|id| counts[VirtualShard::of(id).index()] += 1);
            counts
        };
        let burst =
            count(&mut (0..400).flat_map(|ms| {
                (0..1_024).map(move |sequence| Snowflake::from_parts(1_700_000_000_000 + ms, 3, sequence))
            }));
        let slow = count(&mut (0..409_600).map(|n| Snowflake::from_parts(1_700_000_000_000 + n * 60_000, 3, 0)));
        for counts in [burst, slow] {
            // A hundred each on average; ten is the standard deviation of an even spread.
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 45 && *most < 160, "{least} to {most}");
        }
    }

    #[test]
    fn numbers_beyond_the_last_are_refused() {
        assert_eq!(VirtualShard::new(4_095).map(VirtualShard::number), Some(4_095));
        assert_eq!(VirtualShard::new(4_096), None);
        assert!(serde_json::from_str::<VirtualShard>("4096").is_err());
        assert_eq!(serde_json::from_str::<VirtualShard>("7").unwrap(), VirtualShard(7));
    }
}
