//! `PUT /channels/{id}/voice-status`: what is going on in a voice channel.

use rookery_model::audit_log::{AuditLogRow, action};
use rookery_model::channel::ChannelType;
use rookery_model::store::Write;
use rookery_model::{ApiError, AuditLogEntryId, ChannelId, ErrorCode, GuildId, Permissions};
use serde_json::json;

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    /// Gives a voice channel a status, or takes it away.
    ///
    /// 50024 for other channels, stages among them: the API has SET_VOICE_CHANNEL_STATUS for voice channels only. 50013
    /// without that, and for whoever is elsewhere without MANAGE_CHANNELS too.
    pub(super) fn set_voice_channel_status(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        status: Option<&str>,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        if access.channel.kind != ChannelType::GuildVoice {
            return Err(ErrorCode::WrongChannelType.into());
        }
        access.require(Permissions::SET_VOICE_CHANNEL_STATUS)?;
        if self.voice_channel(cx.caller.id()) != Some(channel_id) {
            access.require(Permissions::MANAGE_CHANNELS)?;
            access.require_text()?;
        }
        let guild_id = access.guild()?.id();
        let mut out = Outcome::default();
        if self.voice.status(channel_id) != status {
            self.voice.set_status(channel_id, status);
            self.send_voice_status(&mut out, channel_id);
            log(cx, &mut out, guild_id, channel_id, status);
        }
        Ok(out)
    }
}

fn log(cx: &mut Cx<'_>, out: &mut Outcome, guild_id: GuildId, channel_id: ChannelId, status: Option<&str>) {
    let (action_type, options) = match status {
        Some(status) => (action::VOICE_CHANNEL_STATUS_CREATE, json!({ "channel_id": channel_id, "status": status })),
        None => (action::VOICE_CHANNEL_STATUS_DELETE, json!({ "channel_id": channel_id })),
    };
    out.writes.push(Write::PutAuditLogEntry(AuditLogRow {
        guild_id,
        id: AuditLogEntryId(cx.ids.next_id()),
        user_id: Some(cx.caller.id()),
        target_id: Some(channel_id.0),
        action_type,
        reason: cx.caller.reason.clone(),
        changes: None,
        options: Some(options.to_string()),
    }));
}
