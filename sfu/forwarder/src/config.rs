//! Limits and times of a room.

use crate::bandwidth::BandwidthConfig;

/// How a room behaves. Every field is a limit or a time; [`Default`] has the values meant for production.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomConfig {
    /// Members of this node.
    pub members_max: usize,
    /// Members of other nodes that are known here.
    pub remotes_max: usize,
    /// Links to other nodes.
    pub links_max: usize,
    /// Links that a packet may cross.
    pub hops_max: u8,
    pub speakers: SpeakersConfig,
    pub video: VideoConfig,
    pub pacer: PacerConfig,
    pub bandwidth: BandwidthConfig,
    pub overload: OverloadConfig,
    /// Events that wait to be polled; the oldest fall away, and are counted.
    pub events_max: usize,
}

/// How the loudest are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakersConfig {
    /// Members that are heard at once.
    pub speakers_max: usize,
    /// Louder than this is taken for voice, whatever the sender's own detector says.
    pub voice_below_full_scale_db: u8,
    /// How loud a sender is taken for that does not say.
    pub assumed_below_full_scale_db: u8,
    /// How much louder than the softest of those heard another has to be to take the place.
    pub margin_db: u8,
    /// How long a place is kept against louder ones.
    pub hold_us: u64,
    /// How long after the last voice a place is kept against anybody with voice.
    pub hangover_us: u64,
    /// In rooms of up to so many members free places go to those who send silence, so that comfort noise is heard.
    pub silence_members_max: usize,
}

/// How video is sent on.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoConfig {
    /// Members of a room, of this node or another, that show video at once.
    pub publishers_max: usize,
    /// Publishers that one member may watch at once.
    pub subscriptions_max: usize,
    /// Packets kept for retransmission, for each publisher and layer. A power of two.
    pub cache_packets: u16,
    /// Key frames are asked for so often at most.
    pub key_frame_interval_us: u64,
    /// A key frame that was asked for and did not come is asked for again.
    pub key_frame_retry_us: u64,
    /// Layers are chosen anew so often.
    pub allocation_interval_us: u64,
    /// A better layer has to fit this often into what is free, in percent.
    pub upgrade_headroom_percent: u32,
    /// How long a receiver has had enough bandwidth before it gets more, and stays where it went down to.
    pub upgrade_after_us: u64,
    /// What is kept free for audio, for each speaker that may be heard.
    pub audio_reserve_bps: u64,
    /// What receivers get that do not report on what arrives.
    pub unreported_bps: u64,
    /// What a link to another node gets, which serves many.
    pub link_bps: u64,
    /// A packet is sent again to one receiver so often at most.
    pub retransmit_interval_us: u64,
}

/// How bursts are spread.
#[derive(Clone, Debug, PartialEq)]
pub struct PacerConfig {
    /// Sent at this multiple of the estimated bandwidth, in percent.
    pub rate_percent: u32,
    /// Sent at once after a pause: so much time's worth of the rate.
    pub burst_us: u64,
    /// Packets that wait for one receiver.
    pub queue_packets_max: usize,
    /// A packet that waited longer is not worth sending.
    pub wait_max_us: u64,
    /// How often those that wait are looked at.
    pub interval_us: u64,
}

/// When quality goes down, and up again.
#[derive(Clone, Debug, PartialEq)]
pub struct OverloadConfig {
    /// Utilisation from which on quality goes down, in thousandths.
    pub down_permille: u16,
    /// Utilisation below which it goes up.
    pub up_permille: u16,
    pub down_after_us: u64,
    pub up_after_us: u64,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            members_max: 5_000,
            remotes_max: 4_096,
            links_max: 64,
            hops_max: 4,
            speakers: SpeakersConfig::default(),
            video: VideoConfig::default(),
            pacer: PacerConfig::default(),
            bandwidth: BandwidthConfig::default(),
            overload: OverloadConfig::default(),
            events_max: 4_096,
        }
    }
}

impl Default for SpeakersConfig {
    fn default() -> Self {
        Self {
            speakers_max: 10,
            voice_below_full_scale_db: 40,
            assumed_below_full_scale_db: 30,
            margin_db: 6,
            hold_us: 500_000,
            hangover_us: 500_000,
            silence_members_max: 25,
        }
    }
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            publishers_max: 25,
            subscriptions_max: 25,
            cache_packets: 512,
            key_frame_interval_us: 500_000,
            key_frame_retry_us: 1_000_000,
            allocation_interval_us: 250_000,
            upgrade_headroom_percent: 120,
            upgrade_after_us: 2_000_000,
            audio_reserve_bps: 40_000,
            unreported_bps: 8_000_000,
            link_bps: 200_000_000,
            retransmit_interval_us: 60_000,
        }
    }
}

impl Default for PacerConfig {
    fn default() -> Self {
        Self { rate_percent: 200, burst_us: 15_000, queue_packets_max: 256, wait_max_us: 600_000, interval_us: 5_000 }
    }
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self { down_permille: 850, up_permille: 650, down_after_us: 500_000, up_after_us: 5_000_000 }
    }
}
