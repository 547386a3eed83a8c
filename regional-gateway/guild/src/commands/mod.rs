//! One command per call that changes a guild or DM, or that is answered from memory.
//!
//! A command checks everything before it changes anything: one that fails leaves the core as it was.

mod accept_invite;
mod authorize;
mod bulk_delete_messages;
mod calls;
mod channel_name;
mod channel_parent;
mod create_guild_channel;
mod create_invite;
mod create_message;
mod create_role;
mod delete_channel;
mod delete_guild;
mod delete_message;
mod delete_role;
mod dm_channel;
mod edit_message;
mod invites;
mod leave_guild;
mod member_roles;
mod modify_channel;
mod modify_channel_positions;
mod modify_guild;
mod modify_member;
mod modify_role;
mod modify_role_positions;
mod overwrites;
mod pins;
mod post;
mod reactions;
mod reads;
mod set_voice_channel_status;
mod stage_instances;
mod trigger_typing;
mod voice_states;

pub(crate) use channel_name::channel_name;
pub(crate) use create_guild_channel::new_channel;
pub(crate) use create_role::{colors_of, new_role};
pub(crate) use post::new_row;

use rookery_model::call::Call;
use rookery_model::{ApiError, ErrorCode, Timestamp};

use crate::state::GuildCore;
use crate::{Caller, Given, IdSource, Outcome};

/// What comes with every command.
pub(crate) struct Cx<'a> {
    pub now: Timestamp,
    pub caller: &'a Caller,
    pub given: &'a Given,
    pub ids: &'a mut dyn IdSource,
}

impl GuildCore {
    /// Carries out a call, or answers it from memory.
    ///
    /// Not for lists of messages, reactions and pins ([`GuildCore::authorize_read`]), nor for what only the user's owner
    /// or the shell knows: those are an internal error here.
    pub fn handle(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        call: &Call,
        given: &Given,
        ids: &mut dyn IdSource,
    ) -> Result<Outcome, ApiError> {
        let mut out = self.carry_out(&mut Cx { now, caller, given, ids }, call)?;
        self.enforce_voice(&mut out, now);
        self.update_lists(&mut out);
        Ok(out)
    }

    fn carry_out(&mut self, cx: &mut Cx<'_>, call: &Call) -> Result<Outcome, ApiError> {
        match call {
            Call::GetGuild { with_counts, .. } => self.get_guild(cx, *with_counts),
            Call::GetCurrentUserGuildMember { .. } => self.get_member(cx, cx.caller.id()),
            Call::ListGuildChannels { .. } => self.list_guild_channels(cx),
            Call::ListRoles { .. } => self.list_roles(cx),
            Call::GetRole { role_id, .. } => self.get_role(cx, *role_id),
            Call::GetMember { user_id, .. } => self.get_member(cx, *user_id),
            Call::ListMembers { limit, after, .. } => self.list_members(cx, *limit, *after),
            Call::SearchMembers { query, limit, .. } => self.search_members(cx, query, *limit),
            Call::ListGuildEmojis { .. } => self.list_guild_emojis(cx),
            Call::GetChannel { channel_id } => self.get_channel(cx, *channel_id),

            Call::ModifyGuild { changes, .. } => self.modify_guild(cx, changes),
            Call::DeleteGuild { .. } => self.delete_guild(cx),
            Call::LeaveGuild { .. } => self.leave_guild(cx),
            Call::KickMember { user_id, .. } => self.kick_member(cx, *user_id),
            Call::Authorize(authorize) => self.authorize(cx, authorize),

            Call::CreateGuildChannel { channel, .. } => self.create_guild_channel(cx, channel),
            Call::ModifyChannelPositions { positions, .. } => self.modify_channel_positions(cx, positions),
            Call::ModifyChannel { channel_id, changes } => self.modify_channel(cx, *channel_id, changes),
            Call::DeleteChannel { channel_id } => self.delete_channel(cx, *channel_id),
            Call::PutOverwrite { channel_id, overwrite } => self.put_overwrite(cx, *channel_id, *overwrite),
            Call::DeleteOverwrite { channel_id, overwrite_id } => self.delete_overwrite(cx, *channel_id, *overwrite_id),

            Call::CreateRole { role, .. } => self.create_role(cx, role),
            Call::ModifyRolePositions { positions, .. } => self.modify_role_positions(cx, positions),
            Call::ModifyRole { role_id, changes, .. } => self.modify_role(cx, *role_id, changes),
            Call::DeleteRole { role_id, .. } => self.delete_role(cx, *role_id),
            Call::ModifyMember { user_id, changes, .. } => self.modify_member(cx, *user_id, changes),
            Call::ModifyCurrentMember { nick, .. } => self.modify_current_member(cx, nick),
            Call::AddMemberRole { user_id, role_id, .. } => self.add_member_role(cx, *user_id, *role_id),
            Call::RemoveMemberRole { user_id, role_id, .. } => self.remove_member_role(cx, *user_id, *role_id),

            Call::ListGuildVoiceRegions { .. } => self.list_voice_regions(cx),
            Call::GetCurrentVoiceState { .. } => self.get_voice_state(cx, cx.caller.id()),
            Call::GetVoiceState { user_id, .. } => self.get_voice_state(cx, *user_id),
            Call::ModifyCurrentVoiceState { changes, .. } => self.modify_current_voice_state(cx, changes),
            Call::ModifyVoiceState { user_id, changes, .. } => self.modify_voice_state(cx, *user_id, changes),
            Call::SetVoiceChannelStatus { channel_id, status } => {
                self.set_voice_channel_status(cx, *channel_id, status.as_deref())
            }
            Call::CreateStageInstance(wanted) => self.create_stage_instance(cx, wanted),
            Call::GetStageInstance { channel_id } => self.get_stage_instance(cx, *channel_id),
            Call::ModifyStageInstance { channel_id, changes } => self.modify_stage_instance(cx, *channel_id, changes),
            Call::DeleteStageInstance { channel_id } => self.delete_stage_instance(cx, *channel_id),

            Call::GetCall { channel_id } => self.get_call(cx, *channel_id),
            Call::ModifyCall { channel_id, region } => self.modify_call(cx, *channel_id, region),
            Call::RingCall { channel_id, recipients } => self.ring_call(cx, *channel_id, recipients.as_deref()),
            Call::StopRingingCall { channel_id, recipients } => {
                self.stop_ringing_call(cx, *channel_id, recipients.as_deref())
            }

            Call::CreateInvite { channel_id, invite } => self.create_invite(cx, *channel_id, invite),
            Call::ListGuildInvites { .. } => self.list_guild_invites(cx),
            Call::ListChannelInvites { channel_id } => self.list_channel_invites(cx, *channel_id),
            Call::GetInvite { code, with_counts } => self.get_invite(cx, code, *with_counts),
            Call::AcceptInvite { code } => self.accept_invite(cx, code),
            Call::DeleteInvite { code } => self.delete_invite(cx, code),

            Call::TriggerTyping { channel_id } => self.trigger_typing(cx, *channel_id),
            Call::CreateMessage(new) => self.create_message(cx, new),
            Call::EditMessage(edit) => self.edit_message(cx, edit),
            Call::DeleteMessage { channel_id, message_id } => self.delete_message(cx, *channel_id, *message_id),
            Call::BulkDeleteMessages { channel_id, message_ids } => {
                self.bulk_delete_messages(cx, *channel_id, message_ids)
            }
            Call::AddReaction { channel_id, message_id, emoji } => {
                self.add_reaction(cx, *channel_id, *message_id, emoji)
            }
            Call::RemoveReaction { channel_id, message_id, emoji, user_id } => {
                self.remove_reaction(cx, *channel_id, *message_id, emoji, *user_id)
            }
            Call::ClearReactions { channel_id, message_id, emoji } => {
                self.clear_reactions(cx, *channel_id, *message_id, emoji.as_ref())
            }
            Call::PinMessage { channel_id, message_id } => self.pin_message(cx, *channel_id, *message_id),
            Call::UnpinMessage { channel_id, message_id } => self.unpin_message(cx, *channel_id, *message_id),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}
