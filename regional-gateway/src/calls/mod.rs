//! The region's side of each call: who asks, how often they may, and which owner or table answers.

mod account;
mod applications;
mod dms;
mod gateway;
mod guilds;
mod invites;
mod messages;
mod operator;
mod seed;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rookery_guild::Caller;
use rookery_link::CallHeader;
use rookery_model::call::{Call, CallReply, CallRequest, Credential, RateLimitInfo, Reply};
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Snowflake, Timestamp, client_network};

use crate::Region;
use crate::accounts::Identity;
use crate::errors::from_store;
use crate::operations::{OperationContext, OperationId};
use crate::peers::forward;
use crate::rate_limit::Subject;

/// What the link's header says of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallOrigin {
    pub operation_id: OperationId,
    /// The client's address, as the point of presence saw it.
    pub client_ip: Option<IpAddr>,
    /// Wall time of arrival.
    pub unix_ms: u64,
    /// What is left of its time.
    pub deadline_ms: u32,
    /// Another region sent it on.
    pub is_forwarded: bool,
}

/// One call on its way.
pub struct Context<'a> {
    pub region: &'a Arc<Region>,
    pub origin: &'a CallOrigin,
    /// What the caller came with, for what other regions are asked on their behalf.
    pub credential: Credential,
    pub identity: Option<Identity>,
    pub operation: OperationContext,
    pub reason: Option<String>,
    pub unix_ms: u64,
}

impl Context<'_> {
    /// The caller, who must have a token.
    pub fn identity(&self) -> Result<&Identity, ApiError> {
        self.identity.as_ref().ok_or_else(|| ErrorCode::Unauthorized.into())
    }
    /// The caller, who must be a person.
    pub fn person(&self) -> Result<&Identity, ApiError> {
        let identity = self.identity()?;
        if identity.is_bot() { Err(ErrorCode::BotsCannotUse.into()) } else { Ok(identity) }
    }
    /// The caller, who must be a bot.
    pub fn bot(&self) -> Result<&Identity, ApiError> {
        let identity = self.identity()?;
        if identity.is_bot() { Ok(identity) } else { Err(ErrorCode::OnlyBotsCanUse.into()) }
    }
    /// A new id.
    pub fn next_id(&self) -> Result<Snowflake, ApiError> {
        self.region.ids.next()
    }
    /// Writes rows that no owner keeps, with the record of the operation; returns when they are durable.
    pub async fn write(&self, mut batch: Vec<Write>, reply: &Reply) -> Result<(), ApiError> {
        batch.push(self.operation.record(reply));
        self.region.store.write(batch).await.map_err(from_store)
    }
    /// Sends a call to the owner of a guild.
    pub async fn to_guild(&self, guild_id: GuildId, call: Call) -> Result<Reply, ApiError> {
        let owner = self.region.owners.guild(guild_id).await?;
        owner.call(self.caller()?, call, self.recorded()).await
    }
    /// Sends a call to the owner of a channel: a guild or a DM.
    pub async fn to_channel(&self, channel_id: ChannelId, call: Call) -> Result<Reply, ApiError> {
        let owner = self.region.owners.of_channel(channel_id).await?;
        owner.call(self.caller()?, call, self.recorded()).await
    }
    /// What the caller may read of a channel's past; 10003 and 50001 if they may not see it at all.
    pub async fn may_read(&self, channel_id: ChannelId) -> Result<rookery_guild::History, ApiError> {
        let user_id = self.identity()?.user_id();
        let owner = self.region.owners.of_channel(channel_id).await?;
        let now = self.now();
        owner.query(move |core| core.authorize_read(now, user_id, channel_id)).await?
    }
    /// When the call came.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(i64::try_from(self.unix_ms).unwrap_or(i64::MAX))
    }
    /// The caller as owners see them.
    pub fn caller(&self) -> Result<Caller, ApiError> {
        let identity = self.identity()?;
        Ok(Caller { reason: self.reason.clone(), ..Caller::new(identity.account.user.clone()) })
    }
    fn recorded(&self) -> Option<OperationContext> {
        Some(self.operation)
    }
}

/// Answers a call: the encoded reply to an encoded request. Never fails: what is wrong is in the reply.
///
/// A call for an owner that lives at another node is sent on to it as it came, once.
pub async fn handle(region: &Arc<Region>, header: CallHeader, payload: Bytes) -> Bytes {
    let request = match ciborium::from_reader::<CallRequest, _>(payload.as_ref()) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(%error, "a call could not be decoded");
            return forward::encoded(Err(ErrorCode::Internal.into()));
        }
    };
    let (begun, deadline_ms) = (Instant::now(), header.deadline_ms);
    let (operation_id, client_ip, is_forwarded) = (header.operation_id, header.client_ip, header.is_forwarded);
    let here = |request| async move {
        // As it is carried out: it may have waited.
        let waited_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        let deadline_ms = deadline_ms.saturating_sub(waited_ms);
        let unix_ms = crate::id_generator::now_ms();
        let origin = CallOrigin { operation_id, client_ip, unix_ms, deadline_ms, is_forwarded };
        Bytes::from(crate::operations::encode_reply(&answer(region, origin, request).await))
    };
    if region.peers.is_alone() {
        return here(request).await;
    }
    match forward::subject(region, &request).await {
        Ok(None) => here(request).await,
        Ok(Some(subject)) => {
            let is_read = request.call.is_read();
            forward::carry_out(&region.peers, subject, is_read, header, payload, || here(request.clone())).await
        }
        Err(error) => forward::encoded(Err(error)),
    }
}

/// Answers a decoded call.
pub async fn answer(region: &Arc<Region>, origin: CallOrigin, request: CallRequest) -> CallReply {
    let mut rate_limit = None;
    let result = if request.call.is_read() {
        carry_out(region, &origin, request, &mut rate_limit).await
    } else {
        once(region, &origin, request, &mut rate_limit).await
    };
    CallReply { rate_limit, moved: None, result }
}

/// Carries out a mutation, or answers it as it was answered before.
///
/// Which of the two is found out before anything is counted or refused: what happened already is no call more, and may
/// itself have ended the token that its retry comes with. The answer goes to the same user only, by the token's
/// signature, and whoever knows the operation's id: the point of presence that minted it.
async fn once(
    region: &Arc<Region>,
    origin: &CallOrigin,
    request: CallRequest,
    rate_limit: &mut Option<RateLimitInfo>,
) -> Result<Reply, ApiError> {
    let user_id = match &request.credential {
        Credential::Token { token, .. } => Some(region.accounts.signed_for(token)?),
        Credential::None => None,
        Credential::Operator { secret } if region.operator_secret.matches(secret) => None,
        Credential::Operator { .. } => return Err(ErrorCode::Unauthorized.into()),
    };
    let operation = OperationContext { id: origin.operation_id, user_id };
    region.operations.once(operation, carry_out(region, origin, request, rate_limit)).await
}

/// Admits a call and carries it out.
async fn carry_out(
    region: &Arc<Region>,
    origin: &CallOrigin,
    request: CallRequest,
    rate_limit: &mut Option<RateLimitInfo>,
) -> Result<Reply, ApiError> {
    let identity = match admit(region, origin, &request).await {
        Ok((identity, info)) => {
            *rate_limit = info;
            identity
        }
        Err((error, info)) => {
            *rate_limit = info;
            return Err(error);
        }
    };
    let user_id = identity.as_ref().map(Identity::user_id);
    let cx = Context {
        region,
        origin,
        credential: request.credential,
        identity,
        operation: OperationContext { id: origin.operation_id, user_id },
        reason: request.reason,
        unix_ms: origin.unix_ms,
    };
    run(&cx, request.call).await
}

type Refusal = (ApiError, Option<RateLimitInfo>);

/// Who asks, and whether they may ask now.
async fn admit(
    region: &Arc<Region>,
    origin: &CallOrigin,
    request: &CallRequest,
) -> Result<(Option<Identity>, Option<RateLimitInfo>), Refusal> {
    let identity = match &request.credential {
        Credential::None => None,
        Credential::Token { token, bot } => {
            Some(region.accounts.authenticate(token, Some(*bot)).await.map_err(|error| (error, None))?)
        }
        Credential::Operator { secret } => {
            if !region.operator_secret.matches(secret) {
                return Err((ErrorCode::Unauthorized.into(), None));
            }
            None
        }
    };
    let is_operator = matches!(request.credential, Credential::Operator { .. });
    if matches!(request.call, Call::Operator(_)) != is_operator {
        return Err((ErrorCode::Unauthorized.into(), None));
    }
    let subject = match (&identity, origin.client_ip) {
        (Some(identity), _) => Subject::User(identity.user_id()),
        (None, Some(ip)) => Subject::Address(client_network(ip)),
        // A point of presence always tells; a test may not.
        (None, None) => Subject::Address(IpAddr::from([0, 0, 0, 0])),
    };
    match region.limiter.check(origin.unix_ms, subject, &request.call) {
        Ok(info) => Ok((identity, info)),
        Err(refused) => Err(*refused),
    }
}

/// The way of each call.
async fn run(cx: &Context<'_>, call: Call) -> Result<Reply, ApiError> {
    if !call.is_read() {
        // After a quiet time the ceiling of ids is raised first; from here on ids are there.
        cx.region.ids.ensure().await?;
    }
    match call {
        Call::Register(request) => account::register(cx, request).await,
        Call::Login(request) => account::login(cx, request).await,
        Call::Logout => account::logout(cx).await,
        Call::GetCurrentUser => Ok(Reply::CurrentUser(Box::new(cx.identity()?.account.current_user()))),
        Call::ModifyCurrentUser(changes) => account::modify(cx, changes).await,
        Call::GetUser { user_id } => account::get_user(cx, user_id).await,
        Call::ListCurrentUserGuilds(query) => guilds::list_of_caller(cx, query).await,
        Call::ListDms => dms::list(cx).await,
        Call::CreateDm { recipient_ids, name } => dms::create(cx, recipient_ids, name).await,
        Call::CreateApplication { name } => applications::create(cx, name).await,
        Call::ListApplications => applications::list(cx).await,
        Call::GetApplication { application_id } => applications::get(cx, application_id).await,
        Call::ModifyApplication(changes) => applications::modify(cx, changes).await,
        Call::DeleteApplication { application_id } => applications::delete(cx, application_id).await,
        Call::CreateBot { application_id } => applications::create_bot(cx, application_id).await,
        Call::ResetBotToken { application_id } => applications::reset_bot_token(cx, application_id).await,
        Call::GetCurrentApplication => applications::current(cx).await,
        Call::Authorize(request) => applications::authorize(cx, request).await,
        Call::CreateGuild(request) => guilds::create(cx, request).await,

        Call::GetInvite { code, with_counts } => invites::get(cx, code, with_counts).await,
        Call::AcceptInvite { code } => invites::accept(cx, code).await,
        Call::DeleteInvite { code } => invites::delete(cx, code).await,

        Call::ListMessages { channel_id, range, limit } => messages::list(cx, channel_id, range, limit).await,
        Call::GetMessage { channel_id, message_id } => messages::get(cx, channel_id, message_id).await,
        Call::ListReactions { channel_id, message_id, emoji, after, limit } => {
            messages::reactions(cx, channel_id, message_id, emoji, after, limit).await
        }
        Call::ListPins { channel_id } => messages::pins(cx, channel_id).await,
        Call::ListPinsPage { channel_id, before, limit } => messages::pins_page(cx, channel_id, before, limit).await,
        Call::AckMessage { channel_id, message_id, manual, mention_count } => {
            messages::ack(cx, channel_id, message_id, manual, mention_count).await
        }

        Call::ListVoiceRegions => Ok(Reply::VoiceRegions(cx.region.owners.guild_limits().voice_regions.clone())),
        Call::GetGateway => gateway::url(cx),
        Call::GatewayUrl => gateway::url(cx),
        Call::GetGatewayBot => gateway::bot(cx).await,
        Call::Operator(call) => operator::run(cx, call).await,

        // What one guild's owner decides alone.
        Call::GetGuild { guild_id, .. }
        | Call::GetCurrentUserGuildMember { guild_id }
        | Call::LeaveGuild { guild_id }
        | Call::ModifyGuild { guild_id, .. }
        | Call::DeleteGuild { guild_id }
        | Call::ListGuildChannels { guild_id }
        | Call::CreateGuildChannel { guild_id, .. }
        | Call::ModifyChannelPositions { guild_id, .. }
        | Call::ListRoles { guild_id }
        | Call::GetRole { guild_id, .. }
        | Call::CreateRole { guild_id, .. }
        | Call::ModifyRolePositions { guild_id, .. }
        | Call::ModifyRole { guild_id, .. }
        | Call::DeleteRole { guild_id, .. }
        | Call::GetMember { guild_id, .. }
        | Call::ListMembers { guild_id, .. }
        | Call::SearchMembers { guild_id, .. }
        | Call::ModifyMember { guild_id, .. }
        | Call::ModifyCurrentMember { guild_id, .. }
        | Call::AddMemberRole { guild_id, .. }
        | Call::RemoveMemberRole { guild_id, .. }
        | Call::KickMember { guild_id, .. }
        | Call::ListGuildInvites { guild_id }
        | Call::ListGuildEmojis { guild_id }
        | Call::ListGuildVoiceRegions { guild_id }
        | Call::GetCurrentVoiceState { guild_id }
        | Call::GetVoiceState { guild_id, .. }
        | Call::ModifyCurrentVoiceState { guild_id, .. }
        | Call::ModifyVoiceState { guild_id, .. } => cx.to_guild(guild_id, call).await,

        // What the owner of a channel decides alone.
        Call::GetChannel { channel_id }
        | Call::ModifyChannel { channel_id, .. }
        | Call::DeleteChannel { channel_id }
        | Call::PutOverwrite { channel_id, .. }
        | Call::DeleteOverwrite { channel_id, .. }
        | Call::CreateInvite { channel_id, .. }
        | Call::ListChannelInvites { channel_id }
        | Call::TriggerTyping { channel_id }
        | Call::DeleteMessage { channel_id, .. }
        | Call::BulkDeleteMessages { channel_id, .. }
        | Call::AddReaction { channel_id, .. }
        | Call::RemoveReaction { channel_id, .. }
        | Call::ClearReactions { channel_id, .. }
        | Call::PinMessage { channel_id, .. }
        | Call::UnpinMessage { channel_id, .. }
        | Call::SetVoiceChannelStatus { channel_id, .. }
        | Call::GetStageInstance { channel_id }
        | Call::ModifyStageInstance { channel_id, .. }
        | Call::DeleteStageInstance { channel_id }
        | Call::GetCall { channel_id }
        | Call::ModifyCall { channel_id, .. }
        | Call::RingCall { channel_id, .. }
        | Call::StopRingingCall { channel_id, .. } => cx.to_channel(channel_id, call).await,
        Call::CreateMessage(ref message) => {
            let channel_id = message.channel_id;
            cx.to_channel(channel_id, call).await
        }
        Call::CreateStageInstance(ref stage) => {
            let channel_id = stage.channel_id;
            cx.to_channel(channel_id, call).await
        }
        Call::EditMessage(ref message) => {
            let channel_id = message.channel_id;
            cx.to_channel(channel_id, call).await
        }
    }
}
