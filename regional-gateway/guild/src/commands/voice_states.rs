//! `/guilds/{id}/voice-states`: who is in voice, and who speaks on a stage.

use rookery_model::call::{ModifyCurrentVoiceState, ModifyVoiceState, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions, Timestamp, UserId};

use super::Cx;
use crate::Outcome;
use crate::access::Access;
use crate::state::GuildCore;
use crate::voice::Connection;

/// How far a client's clock may be behind: it asks to speak at its own present time.
const CLOCK_SKEW_US: i64 = 60 * 1_000_000;

impl GuildCore {
    /// The voice state of somebody in a channel that the caller sees, or the caller's own; 10065 if there is none.
    pub(super) fn get_voice_state(&self, cx: &Cx<'_>, user_id: UserId) -> Result<Outcome, ApiError> {
        self.guild()?.require_member(cx.caller.id())?;
        let connection = self.voice.get(user_id).ok_or(ErrorCode::UnknownVoiceState)?;
        if user_id != cx.caller.id() && self.access(cx.now, cx.caller.id(), connection.channel_id).is_err() {
            return Err(ErrorCode::UnknownVoiceState.into());
        }
        let state = self.voice_state(user_id, connection).ok_or(ErrorCode::UnknownVoiceState)?;
        Ok(Outcome::reply(Reply::VoiceState(Box::new(state))))
    }

    /// Goes to the audience or onto the stage, or asks to speak.
    pub(super) fn modify_current_voice_state(
        &mut self,
        cx: &mut Cx<'_>,
        changes: &ModifyCurrentVoiceState,
    ) -> Result<Outcome, ApiError> {
        let user_id = cx.caller.id();
        let (access, old) = self.on_stage(cx, user_id, changes.channel_id)?;
        let mut new = old.clone();
        if let Some(suppress) = changes.suppress.filter(|suppress| *suppress != old.suppress) {
            if !suppress {
                access.require(Permissions::MUTE_MEMBERS)?;
            }
            new.suppress = suppress;
            new.request_to_speak_timestamp = None;
        }
        match changes.request_to_speak_timestamp {
            Patch::Keep => {}
            // Also how somebody who was invited to speak accepts.
            Patch::Clear => new.request_to_speak_timestamp = None,
            Patch::Set(at) => {
                access.require(Permissions::REQUEST_TO_SPEAK)?;
                new.request_to_speak_timestamp = Some(present(cx.now, at)?);
            }
        }
        let mut out = Outcome::default();
        self.connect(&mut out, user_id, new);
        Ok(out)
    }

    /// Invites somebody onto the stage, or sends them to the audience.
    pub(super) fn modify_voice_state(
        &mut self,
        cx: &mut Cx<'_>,
        user_id: UserId,
        changes: &ModifyVoiceState,
    ) -> Result<Outcome, ApiError> {
        let (access, old) = self.on_stage(cx, user_id, changes.channel_id)?;
        access.require(Permissions::MUTE_MEMBERS)?;
        let mut new = old.clone();
        if let Some(suppress) = changes.suppress.filter(|suppress| *suppress != old.suppress) {
            new.suppress = suppress;
            // People are asked whether they want to, by this: they clear it to accept. Bots are not.
            let is_bot = self.user(user_id).is_some_and(|user| user.bot);
            new.request_to_speak_timestamp = (!suppress && !is_bot).then_some(cx.now);
        } else if changes.suppress == Some(true) {
            new.request_to_speak_timestamp = None;
        }
        let mut out = Outcome::default();
        self.connect(&mut out, user_id, new);
        Ok(out)
    }

    /// Somebody on a stage that the caller sees: 10065 where nobody is, 50024 in other channels, and the errors of a
    /// channel that is named and is not theirs.
    fn on_stage(
        &self,
        cx: &Cx<'_>,
        user_id: UserId,
        named: Option<ChannelId>,
    ) -> Result<(Access<'_>, &Connection), ApiError> {
        self.guild()?.require_member(cx.caller.id())?;
        let check = |channel_id| {
            let access = self.access(cx.now, cx.caller.id(), channel_id)?;
            let is_stage = access.channel.kind == ChannelType::GuildStageVoice;
            if is_stage { Ok(access) } else { Err(ApiError::from(ErrorCode::WrongChannelType)) }
        };
        let named = named.map(check).transpose()?;
        let connection = self.voice.get(user_id).ok_or(ErrorCode::UnknownVoiceState)?;
        match named {
            Some(access) if access.channel.id == connection.channel_id => Ok((access, connection)),
            Some(_) => Err(ErrorCode::UnknownVoiceState.into()),
            None => match check(connection.channel_id) {
                // Where somebody is, nobody learns who does not see it.
                Err(error) if error.is(ErrorCode::MissingAccess) => Err(ErrorCode::UnknownVoiceState.into()),
                checked => Ok((checked?, connection)),
            },
        }
    }
}

/// A moment that is not past.
fn present(now: Timestamp, at: Timestamp) -> Result<Timestamp, ApiError> {
    if at.0.saturating_add(CLOCK_SKEW_US) < now.0 {
        let message = "Must not be in the past.";
        return Err(ApiError::invalid_field(["request_to_speak_timestamp"], "DATE_TIME_TYPE_MIN", message));
    }
    Ok(at.max(now))
}
