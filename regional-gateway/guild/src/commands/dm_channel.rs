//! Channels of DMs and group DMs: renamed, closed, left.

use rookery_model::call::{ModifyChannel, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::Event;
use rookery_model::message::MessageType;
use rookery_model::store::{DmRow, Write};
use rookery_model::{ApiError, ChannelId, ErrorCode, UserId};

use super::Cx;
use crate::Outcome;
use crate::state::{DmSpace, GuildCore, Space};

impl DmSpace {
    /// The row as it is stored.
    pub(crate) fn row(&self) -> DmRow {
        DmRow { channel: self.channel.clone(), user_ids: self.user_ids(), call_message_id: self.call_message_id }
    }
}

impl GuildCore {
    fn dm_mut(&mut self) -> Result<&mut DmSpace, ApiError> {
        match &mut self.space {
            Space::Dm(dm) => Ok(dm),
            Space::Guild(_) => Err(ErrorCode::WrongChannelType.into()),
        }
    }

    /// Anybody in a group DM may rename it.
    pub(super) fn modify_group_dm(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        changes: &ModifyChannel,
    ) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        if access.channel.kind != ChannelType::GroupDm {
            return Err(ErrorCode::CannotExecuteOnDm.into());
        }
        let mut out = Outcome::default();
        let caller = cx.caller.id();
        let dm = self.dm_mut()?;
        let name = changes.name.as_ref().map(|name| name.trim().to_owned());
        if let Some(name) = name.filter(|name| dm.channel.name.as_deref().unwrap_or_default() != name) {
            dm.channel.name = Some(name.clone()).filter(|name| !name.is_empty());
            out.writes.push(Write::PutDm(dm.row()));
            announce(dm, &mut out);
            self.post_system(cx, &mut out, channel_id, caller, MessageType::ChannelNameChange, |row| {
                row.content = name;
            });
        }
        out.reply = Reply::Channel(Box::new(self.dm_mut()?.view(caller)));
        Ok(out)
    }

    /// A DM leaves the caller's list; a group DM the caller leaves.
    pub(super) fn leave_dm(&mut self, cx: &mut Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        let is_group = self.access(cx.now, cx.caller.id(), channel_id)?.channel.kind == ChannelType::GroupDm;
        let user_id = cx.caller.id();
        let dm = self.dm_mut()?;
        let view = dm.view(user_id);
        dm.listed.remove(&user_id);
        let mut out = Outcome::reply(Reply::Channel(Box::new(view.clone())));
        out.writes.push(Write::DeleteDmListing { user_id, channel_id });
        if is_group {
            self.disconnect(&mut out, user_id);
            self.leave_group(cx, &mut out, user_id)?;
            self.stop_ringing_strangers(&mut out);
        }
        out.send_to_users(Event::ChannelDelete(view), [user_id]);
        Ok(out)
    }

    fn leave_group(&mut self, cx: &mut Cx<'_>, out: &mut Outcome, user_id: UserId) -> Result<(), ApiError> {
        let dm = self.dm_mut()?;
        let channel_id = dm.channel.id;
        let leaver = dm.users.iter().find(|user| user.id == user_id).cloned();
        dm.users.retain(|user| user.id != user_id);
        let Some(next) = dm.users.first().map(|user| user.id) else {
            self.calls.clear();
            out.writes.push(Write::DeleteChannel { guild_id: None, channel_id });
            return Ok(());
        };
        if dm.channel.owner_id == Some(user_id) {
            dm.channel.owner_id = Some(next);
        }
        out.writes.push(Write::PutDm(dm.row()));
        announce(dm, out);
        // The one who left is no longer among the known.
        let mut given = cx.given.clone();
        given.users.insert(user_id, leaver.map(|user| (*user).clone()));
        let cx = &mut Cx { now: cx.now, caller: cx.caller, given: &given, ids: &mut *cx.ids };
        self.post_system(cx, out, channel_id, user_id, MessageType::RecipientRemove, |row| {
            row.mention_users = vec![user_id];
        });
        Ok(())
    }
}

/// CHANNEL_UPDATE for everybody in it: each sees the others as recipients.
fn announce(dm: &DmSpace, out: &mut Outcome) {
    for user_id in dm.user_ids() {
        out.send_to_users(Event::ChannelUpdate(dm.view(user_id)), [user_id]);
    }
}
