//! Where a call is carried out, by what it is about.

use super::{Call, OperatorCall};
use crate::{ChannelId, GuildId, UserId};

/// What of a call says in which region it is carried out: in that of the owner who decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home<'a> {
    /// Every region can: it reads or makes rows that no owner keeps.
    Anywhere,
    Guild(GuildId),
    /// The guild of the channel, or the DM.
    Channel(ChannelId),
    /// The guild of the invite with this code.
    Invite(&'a str),
    User(UserId),
    /// The user who calls.
    Caller,
}

impl Call {
    /// In which region the call is carried out.
    pub const fn home(&self) -> Home<'_> {
        match self {
            Self::Register(_)
            | Self::Login(_)
            | Self::GetCurrentUser
            | Self::GetUser { .. }
            | Self::ListCurrentUserGuilds(_)
            | Self::ListDms
            | Self::CreateDm { .. }
            | Self::CreateApplication { .. }
            | Self::ListApplications
            | Self::GetApplication { .. }
            | Self::GetCurrentApplication
            | Self::CreateGuild(_)
            | Self::ListVoiceRegions
            | Self::GetGateway
            | Self::GetGatewayBot
            | Self::GatewayUrl => Home::Anywhere,

            // Tokens and what others see of a user have one writer.
            Self::Logout | Self::ModifyCurrentUser(_) | Self::AckMessage { .. } => Home::Caller,
            Self::ModifyApplication(changes) => match changes.application_id {
                Some(id) => Home::User(UserId(id.0)),
                // A bot changes its own application.
                None => Home::Caller,
            },
            Self::DeleteApplication { application_id }
            | Self::CreateBot { application_id }
            | Self::ResetBotToken { application_id } => Home::User(UserId(application_id.0)),

            Self::Authorize(authorize) => Home::Guild(authorize.guild_id),
            Self::GetCurrentUserGuildMember { guild_id }
            | Self::LeaveGuild { guild_id }
            | Self::GetGuild { guild_id, .. }
            | Self::ModifyGuild { guild_id, .. }
            | Self::DeleteGuild { guild_id }
            | Self::ListGuildChannels { guild_id }
            | Self::CreateGuildChannel { guild_id, .. }
            | Self::ModifyChannelPositions { guild_id, .. }
            | Self::ListRoles { guild_id }
            | Self::GetRole { guild_id, .. }
            | Self::CreateRole { guild_id, .. }
            | Self::ModifyRolePositions { guild_id, .. }
            | Self::ModifyRole { guild_id, .. }
            | Self::DeleteRole { guild_id, .. }
            | Self::GetMember { guild_id, .. }
            | Self::ListMembers { guild_id, .. }
            | Self::SearchMembers { guild_id, .. }
            | Self::ModifyMember { guild_id, .. }
            | Self::ModifyCurrentMember { guild_id, .. }
            | Self::AddMemberRole { guild_id, .. }
            | Self::RemoveMemberRole { guild_id, .. }
            | Self::KickMember { guild_id, .. }
            | Self::ListGuildInvites { guild_id }
            | Self::ListGuildEmojis { guild_id }
            | Self::ListGuildVoiceRegions { guild_id }
            | Self::GetCurrentVoiceState { guild_id }
            | Self::GetVoiceState { guild_id, .. }
            | Self::ModifyCurrentVoiceState { guild_id, .. }
            | Self::ModifyVoiceState { guild_id, .. } => Home::Guild(*guild_id),

            Self::GetInvite { code, .. } | Self::AcceptInvite { code } | Self::DeleteInvite { code } => {
                Home::Invite(code.as_str())
            }

            Self::GetChannel { channel_id }
            | Self::ModifyChannel { channel_id, .. }
            | Self::DeleteChannel { channel_id }
            | Self::PutOverwrite { channel_id, .. }
            | Self::DeleteOverwrite { channel_id, .. }
            | Self::CreateInvite { channel_id, .. }
            | Self::ListChannelInvites { channel_id }
            | Self::TriggerTyping { channel_id }
            | Self::ListMessages { channel_id, .. }
            | Self::GetMessage { channel_id, .. }
            | Self::DeleteMessage { channel_id, .. }
            | Self::BulkDeleteMessages { channel_id, .. }
            | Self::AddReaction { channel_id, .. }
            | Self::RemoveReaction { channel_id, .. }
            | Self::ListReactions { channel_id, .. }
            | Self::ClearReactions { channel_id, .. }
            | Self::ListPins { channel_id }
            | Self::ListPinsPage { channel_id, .. }
            | Self::PinMessage { channel_id, .. }
            | Self::UnpinMessage { channel_id, .. }
            | Self::SetVoiceChannelStatus { channel_id, .. }
            | Self::GetStageInstance { channel_id }
            | Self::ModifyStageInstance { channel_id, .. }
            | Self::DeleteStageInstance { channel_id }
            | Self::GetCall { channel_id }
            | Self::ModifyCall { channel_id, .. }
            | Self::RingCall { channel_id, .. }
            | Self::StopRingingCall { channel_id, .. } => Home::Channel(*channel_id),
            Self::CreateStageInstance(stage) => Home::Channel(stage.channel_id),
            Self::CreateMessage(message) => Home::Channel(message.channel_id),
            Self::EditMessage(message) => Home::Channel(message.channel_id),

            // What an operator asks is about the region that is asked, but for what one guild's owner knows.
            Self::Operator(OperatorCall::Guild { guild_id }) => Home::Guild(*guild_id),
            Self::Operator(_) => Home::Anywhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_to_whoever_decides_it() {
        let channel_id = ChannelId::new(7);
        assert_eq!(Call::TriggerTyping { channel_id }.home(), Home::Channel(channel_id));
        assert_eq!(Call::AcceptInvite { code: "abc".into() }.home(), Home::Invite("abc"));
        assert_eq!(Call::Logout.home(), Home::Caller);
        assert_eq!(Call::ListDms.home(), Home::Anywhere);
    }
}
