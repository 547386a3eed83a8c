//! Calls about voice states and stage instances.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, Patch, Timestamp};

/// `PATCH /guilds/{id}/voice-states/@me`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyCurrentVoiceState {
    /// The stage that the caller is in; it is named, not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress: Option<bool>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub request_to_speak_timestamp: Patch<Timestamp>,
}

/// `PATCH /guilds/{id}/voice-states/{user}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyVoiceState {
    /// The stage that the user is in; it is named, not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress: Option<bool>,
}

/// `POST /stage-instances`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateStageInstance {
    pub channel_id: ChannelId,
    pub topic: String,
    pub privacy_level: u8,
    /// Whether everybody is told that the stage began.
    #[serde(default)]
    pub send_start_notification: bool,
}

/// `PATCH /stage-instances/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyStageInstance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<u8>,
}
