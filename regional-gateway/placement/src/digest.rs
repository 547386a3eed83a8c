//! Digests of who owns what: equal sets have equal digests, and one shard more or less changes them.

use crate::VirtualShard;
use crate::mix::mix_pair;

/// What one shard at one epoch adds to a digest, or takes from it: digests are sums by exclusive or.
pub const fn of(shard: VirtualShard, epoch: u64) -> u64 {
    mix_pair(epoch, shard.number() as u64)
}
