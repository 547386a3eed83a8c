//! Counts of a core.

use rookery_forwarder::{DropReason as Undelivered, Quality, RoomStats};
use rookery_model::voice::node::VoiceRoomKey;
use rookery_node_link::DropReason as LinkDropReason;
use rookery_rtp::DropReason;
use rookery_webrtc::DropReason as WebRtcDropReason;

/// Reasons why packets of members go nowhere, by the names that metrics tell.
pub(crate) const UNDELIVERED: [(Undelivered, &str); 8] = [
    (Undelivered::UnknownMember, "unknown_member"),
    (Undelivered::ForeignSsrc, "foreign_ssrc"),
    (Undelivered::NotPermitted, "not_permitted"),
    (Undelivered::NotSelected, "not_selected"),
    (Undelivered::TooLate, "too_late"),
    (Undelivered::OutOfRange, "out_of_range"),
    (Undelivered::OverPolicy, "over_policy"),
    (Undelivered::TooManyHops, "too_many_hops"),
];

/// What happened at a core since it began, and how it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreStats {
    pub(crate) members: usize,
    pub(crate) rooms: usize,
    pub(crate) datagrams_in: u64,
    pub(crate) datagrams_out: u64,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    /// Datagrams that the kernel had no room for, or did not want.
    pub(crate) unsent: u64,
    /// Of video, from those who said that they show it.
    pub(crate) video_packets: u64,
    /// Of payload types, layers or streams that nobody spoke of.
    pub(crate) video_unknown: u64,
    /// That could not be encrypted for a browser.
    pub(crate) unwritten: u64,
    pub(crate) key_frames_asked: u64,
    /// Browsers that came through their handshakes, and that went or were lost.
    pub(crate) web_rtc_connected: u64,
    pub(crate) web_rtc_gone: u64,
    pub(crate) datagrams_dropped: [u64; DropReason::ALL.len()],
    pub(crate) web_rtc_dropped: [u64; WebRtcDropReason::ALL.len()],
    pub(crate) packets_dropped: [u64; UNDELIVERED.len()],
    /// Of links to other nodes.
    pub(crate) link_dropped: [u64; LinkDropReason::ALL.len()],
    pub(crate) link_packets_in: u64,
    pub(crate) link_packets_out: u64,
    pub(crate) links: usize,
    /// Whose other end is there.
    pub(crate) links_up: usize,
    /// Sent by members, and never came.
    pub(crate) lost: u64,
    pub(crate) jitter_us_sum: u64,
    /// Those who sent.
    pub(crate) senders: u64,
    pub(crate) utilisation_permille: u16,
}

/// One room, how it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomCounts {
    pub(crate) key: VoiceRoomKey,
    pub(crate) members: usize,
    /// Those who are heard.
    pub(crate) speakers: usize,
    pub(crate) quality: Quality,
    pub(crate) stats: RoomStats,
    /// Sent by those who are there, and never came.
    pub(crate) lost: u64,
    pub(crate) jitter_us_sum: u64,
    /// Those who sent.
    pub(crate) senders: u64,
}

impl RoomCounts {
    /// The mean of those who sent.
    pub(crate) fn jitter_us(&self) -> u64 {
        self.jitter_us_sum.checked_div(self.senders).unwrap_or(0)
    }
}

impl CoreStats {
    /// Adds a room's counts.
    pub(super) fn add_room(&mut self, room: &RoomStats) {
        self.packets_in += room.packets_in;
        self.packets_out += room.packets_out;
        for (sum, (reason, _)) in self.packets_dropped.iter_mut().zip(UNDELIVERED) {
            *sum += room.dropped_for(reason);
        }
    }

    /// Adds another core's; of how busy they are the higher one counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.members += other.members;
        self.rooms += other.rooms;
        self.datagrams_in += other.datagrams_in;
        self.datagrams_out += other.datagrams_out;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.unsent += other.unsent;
        self.video_packets += other.video_packets;
        self.video_unknown += other.video_unknown;
        self.unwritten += other.unwritten;
        self.key_frames_asked += other.key_frames_asked;
        self.web_rtc_connected += other.web_rtc_connected;
        self.web_rtc_gone += other.web_rtc_gone;
        self.link_packets_in += other.link_packets_in;
        self.link_packets_out += other.link_packets_out;
        self.links += other.links;
        self.links_up += other.links_up;
        self.lost += other.lost;
        self.jitter_us_sum += other.jitter_us_sum;
        self.senders += other.senders;
        self.utilisation_permille = self.utilisation_permille.max(other.utilisation_permille);
        for (sum, count) in self.datagrams_dropped.iter_mut().zip(other.datagrams_dropped) {
            *sum += count;
        }
        for (sum, count) in self.web_rtc_dropped.iter_mut().zip(other.web_rtc_dropped) {
            *sum += count;
        }
        for (sum, count) in self.packets_dropped.iter_mut().zip(other.packets_dropped) {
            *sum += count;
        }
        for (sum, count) in self.link_dropped.iter_mut().zip(other.link_dropped) {
            *sum += count;
        }
    }

    /// The mean of those who sent.
    pub(crate) fn jitter_us(&self) -> u64 {
        self.jitter_us_sum.checked_div(self.senders).unwrap_or(0)
    }
}
