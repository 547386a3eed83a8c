//! What is known of the packets that the caller keeps for retransmission.

use crate::packet::{Packet, Vp8};
use crate::rewrite::newer;

/// A kept packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cached {
    pub sequence: u16,
    pub timestamp: u32,
    pub length_bytes: u16,
    pub marker: bool,
    pub vp8: Option<Vp8>,
    filled: bool,
}

/// The newest packets of a stream, each at the place that its number gives.
#[derive(Clone, Debug)]
pub(crate) struct PacketCache {
    entries: Box<[Cached]>,
}

impl PacketCache {
    /// For so many packets, rounded to a power of two, so that places follow one another over the wrap of numbers.
    pub(crate) fn new(packets: u16) -> Self {
        let packets = usize::from(packets).clamp(16, 4_096).next_power_of_two();
        Self { entries: vec![Cached::default(); packets].into_boxed_slice() }
    }

    fn index(&self, sequence: u16) -> usize {
        usize::from(sequence) & (self.entries.len() - 1)
    }

    /// Where to keep this one; none if something newer is there.
    pub(crate) fn insert(&mut self, packet: &Packet, vp8: Option<Vp8>) -> Option<u16> {
        let index = self.index(packet.sequence);
        let entry = &mut self.entries[index];
        if entry.filled && newer(entry.sequence, packet.sequence) {
            return None;
        }
        *entry = Cached {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            length_bytes: packet.length_bytes,
            marker: packet.marker,
            vp8,
            filled: true,
        };
        Some(index as u16)
    }

    /// A packet that is still there, and where.
    pub(crate) fn get(&self, sequence: u16) -> Option<(u16, &Cached)> {
        let index = self.index(sequence);
        let entry = &self.entries[index];
        (entry.filled && entry.sequence == sequence).then_some((index as u16, entry))
    }

    /// Forgets all, when numbers begin anew.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(Cached::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;
    use crate::packet::{Payload, Video};

    fn packet(sequence: u16) -> Packet {
        Packet {
            ssrc: Ssrc(1),
            sequence,
            timestamp: u32::from(sequence),
            marker: false,
            length_bytes: 100,
            hops: 0,
            payload: Payload::Video(Video::default()),
        }
    }

    #[test]
    fn the_newest_stay_and_late_ones_do_not_push_them_out() {
        let mut cache = PacketCache::new(16);
        for sequence in 65_530..=65_535 {
            cache.insert(&packet(sequence), None);
        }
        assert_eq!(cache.insert(&packet(10), None), Some(10), "where 65,530 was");
        assert!(cache.get(65_530).is_none());
        assert_eq!(cache.insert(&packet(65_530), None), None);
        assert_eq!(cache.get(10).unwrap().1.timestamp, 10);
        assert!(cache.get(65_535).is_some());
    }
}
