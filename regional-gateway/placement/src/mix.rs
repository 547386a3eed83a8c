//! One fixed mixing function for everything that is spread by hash.

/// Mixes the bits of a number so that each depends on all: the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014; constants of Stafford's variant 13).
///
/// It may never change: where guilds and users live follows from it, and processes of two versions must agree.
pub const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Mixes two numbers, whose order matters.
pub const fn mix_pair(first: u64, second: u64) -> u64 {
    mix(mix(first.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ second)
}
