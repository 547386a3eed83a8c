//! Counts that operators may change.

use rookery_model::voice::VoiceRegion;
use rookery_model::{ApiError, limits};

/// Sizes of a guild; the defaults are the API's.
#[derive(Clone, Debug)]
pub struct Limits {
    pub channels_max: usize,
    pub category_channels_max: usize,
    pub roles_max: usize,
    pub members_max: usize,
    pub invites_max: usize,
    pub channel_pins_max: usize,
    pub message_reactions_max: usize,
    /// Up to this many members a mention of a role or of everyone counts in the read states of all of them, beyond
    /// only in those of members who are connected.
    pub mention_fan_out_max: usize,
    /// Up to this many members people get the presences of all of them, beyond of those whom they look at.
    pub presence_everyone_max: usize,
    /// Beyond this many members changes of presence wait for [`Self::presence_batch_ms`].
    pub presence_batch_above: usize,
    pub presence_batch_ms: u64,
    /// Up to this many members a bot with the presences intent gets all of them who are not offline with GUILD_CREATE.
    pub snapshot_presences_max: usize,
    /// Whether slowmode holds; off for load tests.
    pub slowmode: bool,
    /// Where voice channels can have their rooms.
    pub voice_regions: Vec<VoiceRegion>,
}

impl Limits {
    /// 50035 for an `rtc_region` that is no region.
    pub(crate) fn check_rtc_region(&self, rtc_region: Option<&str>) -> Result<(), ApiError> {
        self.check_region("rtc_region", rtc_region)
    }

    /// 50035 for a field that names no region.
    pub(crate) fn check_region(&self, field: &'static str, region: Option<&str>) -> Result<(), ApiError> {
        let is_there = |id: &str| self.voice_regions.iter().any(|region| region.id == id);
        if region.is_none_or(is_there) {
            return Ok(());
        }
        let ids: Vec<&str> = self.voice_regions.iter().map(|region| region.id.as_str()).collect();
        let message = format!("Value must be one of {{{}}}.", ids.join(", "));
        Err(ApiError::invalid_field([field], "BASE_TYPE_CHOICES", message))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_max: limits::GUILD_CHANNELS_MAX,
            category_channels_max: limits::CATEGORY_CHANNELS_MAX,
            roles_max: limits::GUILD_ROLES_MAX,
            members_max: limits::GUILD_MEMBERS_MAX,
            invites_max: limits::GUILD_INVITES_MAX,
            channel_pins_max: limits::CHANNEL_PINS_MAX,
            message_reactions_max: limits::MESSAGE_REACTIONS_MAX,
            mention_fan_out_max: 10_000,
            presence_everyone_max: 250,
            presence_batch_above: 1_000,
            presence_batch_ms: 5_000,
            snapshot_presences_max: 75_000,
            slowmode: true,
            voice_regions: vec![VoiceRegion::new("local", true)],
        }
    }
}
