//! Calls between edge and region: what a route asks, and what the region answers.
//!
//! The edge has checked the shape: types, lengths, formats. The region checks everything that needs state: who asks,
//! what exists, what they may do. One variant per route, named as the API names it.

mod account;
mod channel;
mod guild;
mod home;
mod message;
mod operator;
mod voice;

pub use account::*;
pub use channel::*;
pub use guild::*;
pub use home::Home;
pub use message::*;
pub use operator::*;
pub use voice::*;

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::error::ApiError;
use crate::gateway::VoiceState;
use crate::guild::{Guild, PartialGuild};
use crate::invite::Invite;
use crate::member::Member;
use crate::message::{Message, Pin};
use crate::role::Role;
use crate::stage_instance::StageInstance;
use crate::user::{ApplicationView, CurrentUser, User};
use crate::voice::VoiceRegion;
use crate::{ApplicationId, ChannelId, GuildId, MessageId, RoleId, UserId};

/// The version of [`CallRequest`] and [`CallReply`] that this build speaks; a region serves this one and the previous.
pub const CALL_VERSION: u16 = 1;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// No `Authorization` header.
    None,
    /// A bearer token; `bot` when it came with the `Bot ` prefix. The region verifies it again.
    Token { token: String, bot: bool },
    /// The operator's secret.
    Operator { secret: String },
}

impl std::fmt::Debug for Credential {
    /// Names the kind, never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token { bot: true, .. } => "Token(bot)",
            Self::Token { bot: false, .. } => "Token(user)",
            Self::Operator { .. } => "Operator",
        })
    }
}

/// A call as the edge sends it. Deadline, trace and operation id travel in the link's header, which the host writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRequest {
    pub credential: Credential,
    /// `X-Audit-Log-Reason`, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub call: Call,
}

/// Where the answer's rate-limit headers come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateLimitInfo {
    /// Opaque name of the bucket, `X-RateLimit-Bucket`.
    pub bucket: String,
    pub limit: u32,
    pub remaining: u32,
    /// Unix seconds at which the bucket is full again.
    pub reset: f64,
    /// Seconds until then.
    pub reset_after: f64,
    /// `user`, `global` or `shared`; only sent on a 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Where a guild lives, for the PoP's cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub virtual_shard: u16,
    pub region: String,
    pub epoch: u64,
}

/// The region's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallReply {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    pub result: Result<Reply, ApiError>,
}

/// What a route asks of the region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    // Accounts and applications.
    Register(Register),
    Login(Login),
    /// Ends the token's session.
    Logout,
    GetCurrentUser,
    ModifyCurrentUser(ModifyCurrentUser),
    GetUser {
        user_id: UserId,
    },
    ListCurrentUserGuilds(ListCurrentUserGuilds),
    GetCurrentUserGuildMember {
        guild_id: GuildId,
    },
    LeaveGuild {
        guild_id: GuildId,
    },
    ListDms,
    /// One recipient opens a DM, several a group DM.
    CreateDm {
        recipient_ids: Vec<UserId>,
        name: Option<String>,
    },
    CreateApplication {
        name: String,
    },
    ListApplications,
    GetApplication {
        application_id: ApplicationId,
    },
    ModifyApplication(ModifyApplication),
    DeleteApplication {
        application_id: ApplicationId,
    },
    /// Makes the application's bot user and its first token.
    CreateBot {
        application_id: ApplicationId,
    },
    /// A new token; the old ones end and their sessions close.
    ResetBotToken {
        application_id: ApplicationId,
    },
    /// `/applications/@me` and `/oauth2/applications/@me`.
    GetCurrentApplication,
    Authorize(Authorize),

    // Guilds.
    CreateGuild(CreateGuild),
    GetGuild {
        guild_id: GuildId,
        with_counts: bool,
    },
    ModifyGuild {
        guild_id: GuildId,
        changes: Box<ModifyGuild>,
    },
    DeleteGuild {
        guild_id: GuildId,
    },
    ListGuildChannels {
        guild_id: GuildId,
    },
    CreateGuildChannel {
        guild_id: GuildId,
        channel: Box<CreateChannel>,
    },
    ModifyChannelPositions {
        guild_id: GuildId,
        positions: Vec<ChannelPosition>,
    },
    ListRoles {
        guild_id: GuildId,
    },
    GetRole {
        guild_id: GuildId,
        role_id: RoleId,
    },
    CreateRole {
        guild_id: GuildId,
        role: CreateRole,
    },
    ModifyRolePositions {
        guild_id: GuildId,
        positions: Vec<RolePosition>,
    },
    ModifyRole {
        guild_id: GuildId,
        role_id: RoleId,
        changes: ModifyRole,
    },
    DeleteRole {
        guild_id: GuildId,
        role_id: RoleId,
    },
    GetMember {
        guild_id: GuildId,
        user_id: UserId,
    },
    ListMembers {
        guild_id: GuildId,
        limit: u16,
        after: UserId,
    },
    SearchMembers {
        guild_id: GuildId,
        query: String,
        limit: u16,
    },
    ModifyMember {
        guild_id: GuildId,
        user_id: UserId,
        changes: ModifyMember,
    },
    ModifyCurrentMember {
        guild_id: GuildId,
        nick: crate::Patch<String>,
    },
    AddMemberRole {
        guild_id: GuildId,
        user_id: UserId,
        role_id: RoleId,
    },
    RemoveMemberRole {
        guild_id: GuildId,
        user_id: UserId,
        role_id: RoleId,
    },
    KickMember {
        guild_id: GuildId,
        user_id: UserId,
    },
    ListGuildInvites {
        guild_id: GuildId,
    },
    ListGuildEmojis {
        guild_id: GuildId,
    },

    // Voice states and stages.
    ListVoiceRegions,
    ListGuildVoiceRegions {
        guild_id: GuildId,
    },
    GetCurrentVoiceState {
        guild_id: GuildId,
    },
    GetVoiceState {
        guild_id: GuildId,
        user_id: UserId,
    },
    ModifyCurrentVoiceState {
        guild_id: GuildId,
        changes: ModifyCurrentVoiceState,
    },
    ModifyVoiceState {
        guild_id: GuildId,
        user_id: UserId,
        changes: ModifyVoiceState,
    },
    SetVoiceChannelStatus {
        channel_id: ChannelId,
        /// None takes it away.
        status: Option<String>,
    },
    CreateStageInstance(CreateStageInstance),
    GetStageInstance {
        channel_id: ChannelId,
    },
    ModifyStageInstance {
        channel_id: ChannelId,
        changes: ModifyStageInstance,
    },
    DeleteStageInstance {
        channel_id: ChannelId,
    },

    // Calls in DMs.
    /// Whether there is anybody whom the caller may ring.
    GetCall {
        channel_id: ChannelId,
    },
    ModifyCall {
        channel_id: ChannelId,
        /// Cleared: where the DM lives.
        #[serde(default, skip_serializing_if = "crate::Patch::is_keep")]
        region: crate::Patch<String>,
    },
    RingCall {
        channel_id: ChannelId,
        /// None: everybody.
        recipients: Option<Vec<UserId>>,
    },
    StopRingingCall {
        channel_id: ChannelId,
        /// None: the caller.
        recipients: Option<Vec<UserId>>,
    },

    // Channels and invites.
    GetChannel {
        channel_id: ChannelId,
    },
    ModifyChannel {
        channel_id: ChannelId,
        changes: Box<ModifyChannel>,
    },
    /// Deletes a guild's channel, closes a DM, leaves a group DM.
    DeleteChannel {
        channel_id: ChannelId,
    },
    PutOverwrite {
        channel_id: ChannelId,
        overwrite: crate::channel::Overwrite,
    },
    DeleteOverwrite {
        channel_id: ChannelId,
        overwrite_id: crate::Snowflake,
    },
    CreateInvite {
        channel_id: ChannelId,
        invite: CreateInvite,
    },
    ListChannelInvites {
        channel_id: ChannelId,
    },
    GetInvite {
        code: String,
        with_counts: bool,
    },
    AcceptInvite {
        code: String,
    },
    DeleteInvite {
        code: String,
    },
    TriggerTyping {
        channel_id: ChannelId,
    },

    // Messages.
    CreateMessage(Box<CreateMessage>),
    ListMessages {
        channel_id: ChannelId,
        range: MessageRange,
        limit: u8,
    },
    GetMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    EditMessage(Box<EditMessage>),
    DeleteMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    BulkDeleteMessages {
        channel_id: ChannelId,
        message_ids: Vec<MessageId>,
    },
    AckMessage {
        channel_id: ChannelId,
        message_id: MessageId,
        manual: bool,
        mention_count: Option<u32>,
    },
    AddReaction {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: EmojiRef,
    },
    /// `user_id` none is the caller's own.
    RemoveReaction {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: EmojiRef,
        user_id: Option<UserId>,
    },
    ListReactions {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: EmojiRef,
        after: Option<UserId>,
        limit: u8,
    },
    /// `emoji` none removes all.
    ClearReactions {
        channel_id: ChannelId,
        message_id: MessageId,
        emoji: Option<EmojiRef>,
    },
    /// The old list of at most 50 messages.
    ListPins {
        channel_id: ChannelId,
    },
    /// The paged list, newest pin first.
    ListPinsPage {
        channel_id: ChannelId,
        before: Option<crate::Timestamp>,
        limit: u8,
    },
    PinMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },
    UnpinMessage {
        channel_id: ChannelId,
        message_id: MessageId,
    },

    // Gateway.
    GetGateway,
    GetGatewayBot,
    /// The best gateway for the caller.
    GatewayUrl,

    // Operator.
    Operator(OperatorCall),
}

/// What the region answers, by shape; the edge turns it into status and body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// 204.
    NoContent,
    /// A token for an account (register, login) or a bot.
    Token {
        token: String,
        user_id: UserId,
    },
    CurrentUser(Box<CurrentUser>),
    User(Box<User>),
    Users(Vec<User>),
    PartialGuilds(Vec<PartialGuild>),
    Application(Box<ApplicationView>),
    Applications(Vec<ApplicationView>),
    /// Where an authorised bot went.
    Authorized {
        location: String,
    },
    Guild(Box<Guild>),
    Channel(Box<Channel>),
    Channels(Vec<Channel>),
    Role(Box<Role>),
    Roles(Vec<Role>),
    Member(Box<Member>),
    Members(Vec<Member>),
    Emojis(Vec<crate::message::Emoji>),
    VoiceRegions(Vec<VoiceRegion>),
    VoiceState(Box<VoiceState>),
    /// Whether the caller may ring somebody.
    Ringable(bool),
    StageInstance(Box<StageInstance>),
    Invite(Box<Invite>),
    Invites(Vec<Invite>),
    Message(Box<Message>),
    Messages(Vec<Message>),
    Pins {
        items: Vec<Pin>,
        has_more: bool,
    },
    /// A read was acknowledged.
    Acked,
    GatewayUrl {
        url: String,
        webtransport_url: Option<String>,
        /// SHA-256 of the certificates that WebTransport shows now and next, in hexadecimal digits; none where a CA
        /// stands behind them.
        #[serde(default)]
        webtransport_cert_sha256: Vec<String>,
    },
    GatewayBot(GatewayBot),
    Operator(OperatorReply),
}

/// The answer of `GET /gateway/bot`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayBot {
    pub url: String,
    pub shards: u32,
    pub session_start_limit: SessionStartLimit,
}

/// How often a bot may still identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStartLimit {
    pub total: u32,
    pub remaining: u32,
    /// Milliseconds until the count starts anew.
    pub reset_after: u64,
    pub max_concurrency: u32,
}

impl Call {
    /// Whether it only reads: it needs no record under its operation id.
    pub const fn is_read(&self) -> bool {
        matches!(
            self,
            Self::GetCurrentUser
                | Self::GetUser { .. }
                | Self::ListCurrentUserGuilds(_)
                | Self::GetCurrentUserGuildMember { .. }
                | Self::ListDms
                | Self::ListApplications
                | Self::GetApplication { .. }
                | Self::GetCurrentApplication
                | Self::GetGuild { .. }
                | Self::ListGuildChannels { .. }
                | Self::ListRoles { .. }
                | Self::GetRole { .. }
                | Self::GetMember { .. }
                | Self::ListMembers { .. }
                | Self::SearchMembers { .. }
                | Self::ListGuildInvites { .. }
                | Self::ListGuildEmojis { .. }
                | Self::ListVoiceRegions
                | Self::ListGuildVoiceRegions { .. }
                | Self::GetCurrentVoiceState { .. }
                | Self::GetVoiceState { .. }
                | Self::GetStageInstance { .. }
                | Self::GetCall { .. }
                | Self::GetChannel { .. }
                | Self::ListChannelInvites { .. }
                | Self::GetInvite { .. }
                | Self::TriggerTyping { .. }
                | Self::ListMessages { .. }
                | Self::GetMessage { .. }
                | Self::ListReactions { .. }
                | Self::ListPins { .. }
                | Self::ListPinsPage { .. }
                | Self::GetGateway
                | Self::GetGatewayBot
                | Self::GatewayUrl
        )
    }
}
