//! SSRCs of a room: which are taken, and by whom.

use std::collections::BTreeMap;

use crate::{MemberKey, Ssrc};

/// The SSRCs under which everybody in the room knows a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub audio: Ssrc,
    pub video: Ssrc,
    /// Of retransmitted video.
    pub rtx: Ssrc,
}

/// What an SSRC of a room carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Audio,
    Video,
    Rtx,
}

/// The part of all SSRCs from which a node takes those of a room, so that nodes of one room never give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsrcBlock {
    pub first: u32,
    pub length: u32,
}

impl SsrcBlock {
    /// The block of one of up to 4,096 nodes: a million SSRCs each.
    pub const fn of_node(node: u16) -> Self {
        Self { first: ((node & 0xfff) as u32) << 20, length: 1 << 20 }
    }
}

/// Who has which SSRC.
#[derive(Debug)]
pub(crate) struct Ssrcs {
    block: SsrcBlock,
    next: u32,
    taken: BTreeMap<Ssrc, (MemberKey, StreamKind)>,
}

impl Ssrcs {
    /// `start` is where in the block the first ones are taken, at random, so that a room that begins anew gives others.
    pub(crate) fn new(block: SsrcBlock, start: u32) -> Self {
        Self { block, next: start % block.length.max(1), taken: BTreeMap::new() }
    }

    /// Three that nobody has, none if the block is used up.
    pub(crate) fn allocate(&mut self) -> Option<Streams> {
        let audio = self.free(&[])?;
        let video = self.free(&[audio])?;
        Some(Streams { audio, video, rtx: self.free(&[audio, video])? })
    }

    fn free(&mut self, also_taken: &[Ssrc]) -> Option<Ssrc> {
        // One more than there are taken must hold a free one.
        let tries = (self.taken.len() + also_taken.len() + 2).min(self.block.length as usize);
        for _ in 0..tries {
            let ssrc = Ssrc(self.block.first.wrapping_add(self.next));
            self.next = (self.next + 1) % self.block.length.max(1);
            // 0 is what clients take for "no stream".
            if ssrc.0 != 0 && !self.taken.contains_key(&ssrc) && !also_taken.contains(&ssrc) {
                return Some(ssrc);
            }
        }
        None
    }

    pub(crate) fn take(&mut self, member: MemberKey, streams: Streams) {
        self.taken.insert(streams.audio, (member, StreamKind::Audio));
        self.taken.insert(streams.video, (member, StreamKind::Video));
        self.taken.insert(streams.rtx, (member, StreamKind::Rtx));
    }

    /// Whether these differ from one another and nobody has one of them.
    pub(crate) fn are_free(&self, streams: Streams) -> bool {
        let all = [streams.audio, streams.video, streams.rtx];
        all.iter().all(|ssrc| ssrc.0 != 0 && !self.taken.contains_key(ssrc))
            && all[0] != all[1]
            && all[1] != all[2]
            && all[0] != all[2]
    }

    pub(crate) fn release(&mut self, streams: Streams) {
        for ssrc in [streams.audio, streams.video, streams.rtx] {
            self.taken.remove(&ssrc);
        }
    }

    pub(crate) fn owner(&self, ssrc: Ssrc) -> Option<(MemberKey, StreamKind)> {
        self.taken.get(&ssrc).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: MemberKey = MemberKey { index: 0, generation: 0 };

    #[test]
    fn none_is_given_twice_and_those_given_back_come_last() {
        let mut ssrcs = Ssrcs::new(SsrcBlock { first: 100, length: 9 }, 4);
        let first = ssrcs.allocate().unwrap();
        ssrcs.take(MEMBER, first);
        assert_eq!(first, Streams { audio: Ssrc(104), video: Ssrc(105), rtx: Ssrc(106) });
        ssrcs.release(first);
        let second = ssrcs.allocate().unwrap();
        ssrcs.take(MEMBER, second);
        assert_eq!(second.audio, Ssrc(107), "a late packet for the first must not reach the second");
        let third = ssrcs.allocate().unwrap();
        ssrcs.take(MEMBER, third);
        let fourth = ssrcs.allocate().unwrap();
        ssrcs.take(MEMBER, fourth);
        assert_eq!(ssrcs.allocate(), None, "all nine are taken");
    }

    #[test]
    fn zero_is_never_given() {
        let mut ssrcs = Ssrcs::new(SsrcBlock::of_node(0), 0);
        assert_eq!(ssrcs.allocate().unwrap().audio, Ssrc(1));
    }

    #[test]
    fn blocks_of_nodes_do_not_overlap() {
        let (a, b) = (SsrcBlock::of_node(1), SsrcBlock::of_node(2));
        assert!(a.first + a.length <= b.first);
    }
}
