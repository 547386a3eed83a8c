//! Counts of a room and of its members.

use rookery_model::UserId;

use crate::member::Member;
use crate::packet::DropReason;
use crate::reception::ReceptionStats;
use crate::{MemberKey, Room};

/// What happened in a room since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    pub packets_in: u64,
    pub packets_out: u64,
    pub octets_out: u64,
    /// By [`DropReason`], in its order.
    pub dropped: [u64; DROPS],
    pub retransmissions: u64,
    /// Asked for, but no longer kept or never sent.
    pub retransmissions_missed: u64,
    pub probe_packets: u64,
    /// Packets of video that waited too long, or for which too many did.
    pub paced_out: u64,
    pub key_frames_asked: u64,
    pub events_lost: u64,
}

/// Reasons in [`DropReason`].
const DROPS: usize = 8;

impl RoomStats {
    pub(super) fn note_drop(&mut self, drop: DropReason) {
        self.dropped[drop as usize] += 1;
    }
    /// Packets that went nowhere for this reason.
    pub const fn dropped_for(&self, drop: DropReason) -> u64 {
        self.dropped[drop as usize]
    }
}

/// Counts of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStats {
    pub audio: ReceptionStats,
    /// By layer.
    pub video: Vec<ReceptionStats>,
    pub sent_packets: u64,
    pub sent_octets: u64,
    /// The estimate of what its path takes, if it reports.
    pub bandwidth_bps: Option<u64>,
    /// Publishers that it is subscribed to, and of these, how many it gets now.
    pub subscriptions: usize,
    pub watching: usize,
    pub waiting_packets: usize,
}

/// Ticks of an audio timestamp a second (RFC 7587).
pub(super) const AUDIO_CLOCK_HZ: u32 = 48_000;

impl Room {
    /// Counts of the whole room.
    pub fn stats(&self) -> RoomStats {
        self.stats
    }

    /// Counts of one member, if it is here.
    pub fn member_stats(&self, key: MemberKey) -> Option<MemberStats> {
        let member = self.members.get(key)?;
        let hearing = member.hearing_at.and_then(|at| self.hearing.get(at as usize));
        let mut stats = MemberStats {
            audio: member.audio.as_ref().map(|audio| audio.reception.stats(AUDIO_CLOCK_HZ)).unwrap_or_default(),
            video: member.video.as_ref().map(|video| video.stats().collect()).unwrap_or_default(),
            sent_packets: member.sent_packets + hearing.map_or(0, |hearing| hearing.packets),
            sent_octets: member.sent_octets + hearing.map_or(0, |hearing| hearing.octets),
            ..MemberStats::default()
        };
        if let Some(outlet) = &member.outlet {
            stats.bandwidth_bps = outlet.estimator.as_ref().map(|estimator| estimator.bps());
            stats.subscriptions = outlet.subscriptions.len();
            stats.watching = outlet.subscriptions.iter().filter(|publisher| self.watches(**publisher, key)).count();
            stats.waiting_packets = outlet.waiting_packets();
        }
        Some(stats)
    }

    fn watches(&self, publisher: MemberKey, receiver: MemberKey) -> bool {
        let track = self.members.get(publisher).and_then(|member: &Member| member.video.as_ref());
        track.is_some_and(|track| track.down.iter().any(|down| down.receiver == receiver && down.current.is_some()))
    }

    /// The member that a user is, if it is here.
    pub fn member_of(&self, user: UserId) -> Option<MemberKey> {
        self.users.get(&user).copied()
    }
}
