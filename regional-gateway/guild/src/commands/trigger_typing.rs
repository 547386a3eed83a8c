//! `POST /channels/{id}/typing`.

use rookery_model::gateway::Event;
use rookery_model::gateway::event::TypingStart;
use rookery_model::member::Member;
use rookery_model::{ApiError, ChannelId, ErrorCode, Permissions};

use super::Cx;
use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    pub(super) fn trigger_typing(&mut self, cx: &mut Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        if !access.channel.kind.is_text_based() {
            return Err(ErrorCode::CannotMessageNonText.into());
        }
        access.require_text()?;
        access.require(Permissions::SEND_MESSAGES)?;
        let user_id = cx.caller.id();
        let member = self.bare_member(user_id);
        let event = TypingStart {
            channel_id,
            guild_id: self.guild_id(),
            user_id,
            timestamp: cx.now.unix_ms().div_euclid(1_000),
            member: member.map(|member| Member { user: Some(cx.caller.user.clone()), ..member }),
        };
        let mut out = Outcome::default();
        self.send_to_readers(&mut out, cx.now, channel_id, Event::TypingStart(event));
        Ok(out)
    }
}
