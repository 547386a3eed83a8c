//! Chance, from a seed.

use rookery_model::Permissions;

/// SplitMix64: small, and the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
    /// Few bits, among them always those that matter.
    pub fn permissions(&mut self) -> Permissions {
        let of = [
            Permissions::VIEW_CHANNEL,
            Permissions::SEND_MESSAGES,
            Permissions::MANAGE_ROLES,
            Permissions::MANAGE_CHANNELS,
            Permissions::MANAGE_MESSAGES,
            Permissions::MODERATE_MEMBERS,
            Permissions::READ_MESSAGE_HISTORY,
            Permissions::KICK_MEMBERS,
            Permissions::MANAGE_GUILD,
            Permissions::CONNECT,
            Permissions::MENTION_EVERYONE,
        ];
        let mut sum = (0..self.below(4)).fold(Permissions::empty(), |sum, _| sum | self.pick(&of));
        if self.chance(3) {
            sum |= Permissions::ADMINISTRATOR;
        }
        sum
    }
}
