//! `/channels/{id}/call`: who may be rung, who is, and where the call is.

use rookery_model::call::Reply;
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, UserId};

use super::Cx;
use crate::state::{DmSpace, GuildCore};
use crate::{Given, Outcome};

impl GuildCore {
    /// Whether there is anybody whom the caller may ring.
    pub(super) fn get_call(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        let dm = self.dm_of_caller(cx, channel_id)?;
        let is_ringable = ringable(dm, cx.given, cx.caller.id()).next().is_some();
        Ok(Outcome::reply(Reply::Ringable(is_ringable)))
    }

    /// Moves the call to another region.
    pub(super) fn modify_call(
        &mut self,
        cx: &Cx<'_>,
        channel_id: ChannelId,
        region: &Patch<String>,
    ) -> Result<Outcome, ApiError> {
        self.ongoing_call(cx, channel_id)?;
        let region = match region {
            Patch::Keep => return Ok(Outcome::default()),
            Patch::Clear => None,
            Patch::Set(region) => Some(region.clone()),
        };
        self.limits.check_region("region", region.as_deref())?;
        let mut out = Outcome::default();
        self.move_call(&mut out, region);
        Ok(out)
    }

    /// Rings these, or everybody: as far as they may be rung, and are not in the call.
    pub(super) fn ring_call(
        &mut self,
        cx: &Cx<'_>,
        channel_id: ChannelId,
        recipients: Option<&[UserId]>,
    ) -> Result<Outcome, ApiError> {
        let dm = self.ongoing_call(cx, channel_id)?;
        check_recipients(dm, recipients)?;
        let is_meant = |user_id: &UserId| recipients.is_none_or(|recipients| recipients.contains(user_id));
        let is_absent = |user_id: &UserId| self.voice.get(*user_id).is_none();
        let rung = ringable(dm, cx.given, cx.caller.id()).filter(is_meant).filter(is_absent).collect::<Vec<_>>();
        let mut out = Outcome::default();
        self.ring(&mut out, cx.now, rung);
        Ok(out)
    }

    /// Rings these no longer, or with none named the caller: so they decline.
    pub(super) fn stop_ringing_call(
        &mut self,
        cx: &Cx<'_>,
        channel_id: ChannelId,
        recipients: Option<&[UserId]>,
    ) -> Result<Outcome, ApiError> {
        let dm = self.ongoing_call(cx, channel_id)?;
        check_recipients(dm, recipients)?;
        let caller = [cx.caller.id()];
        let recipients = recipients.unwrap_or(&caller);
        let mut out = Outcome::default();
        self.stop_ringing(&mut out, |user_id, _| recipients.contains(&user_id));
        Ok(out)
    }

    /// The DM of somebody who may call: 10003, 50001, 50024 in guilds, 20001 for bots.
    fn dm_of_caller(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<&DmSpace, ApiError> {
        if cx.caller.user.bot {
            return Err(ErrorCode::BotsCannotUse.into());
        }
        self.access(cx.now, cx.caller.id(), channel_id)?;
        self.dm()
    }

    /// As above, while a call goes on; 10065 if none does.
    fn ongoing_call(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<&DmSpace, ApiError> {
        let dm = self.dm_of_caller(cx, channel_id)?;
        if self.calls.is_ongoing() { Ok(dm) } else { Err(ErrorCode::UnknownVoiceState.into()) }
    }
}

/// Those whom somebody may ring: people, unless one of the two has blocked the other.
fn ringable(dm: &DmSpace, given: &Given, caller: UserId) -> impl Iterator<Item = UserId> {
    let blocks =
        move |by: UserId, other: UserId| given.blocked.get(&by).is_some_and(|blocked| blocked.contains(&other));
    let others = dm.users.iter().filter(move |user| user.id != caller && !user.bot).map(|user| user.id);
    others.filter(move |other| !blocks(caller, *other) && !blocks(*other, caller))
}

/// 50033 unless all of them are in the DM.
fn check_recipients(dm: &DmSpace, recipients: Option<&[UserId]>) -> Result<(), ApiError> {
    let are_there = recipients.into_iter().flatten().all(|user_id| dm.contains(*user_id));
    if are_there { Ok(()) } else { Err(ErrorCode::InvalidRecipient.into()) }
}
