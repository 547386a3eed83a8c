//! What the owner of a guild or DM can be told.

use std::sync::Arc;
use std::time::Instant;

use rookery_guild::{Caller, GuildCore, MembersCursor, Subscriber, VoiceSession};
use rookery_model::call::{Call, Reply};
use rookery_model::gateway::{
    RequestChannelInfo, RequestGuildMembers, StreamAction, StreamKey, SubscriberId, Subscription,
};
use rookery_model::user::User;
use rookery_model::{ApiError, GuildId};
use tokio::sync::oneshot;

use crate::gateway::input::{Control, Input};
use crate::gateway::registry::SessionHandle;
use crate::gateway::worker::Outbox;
use crate::operations::OperationContext;

/// A look into the core, or the reason why there is none.
pub type Query = Box<dyn FnOnce(Result<&GuildCore, ApiError>) + Send>;
/// Where an answer goes; the asker may have left.
pub type Answer<T> = oneshot::Sender<Result<T, ApiError>>;

/// A command to the owner of a guild or DM.
pub enum GuildCommand {
    /// Nothing but that it is loaded, and looks into its register.
    Load,
    Call(Box<CallCommand>),
    Query(Query),
    Subscribe(Box<SubscribeCommand>),
    /// Sessions that had the guild in the process before: no snapshot is sent.
    TakeUp(Vec<SubscribeCommand>),
    /// These sessions are over.
    Unsubscribe(Vec<SubscriberId>),
    /// The account of somebody who may be a member changed.
    UserUpdated(Arc<User>),
    RequestMembers(Box<MembersCommand>),
    RequestChannelInfo(SubscriberId, Box<RequestChannelInfo>),
    /// What a session looks at.
    Subscriptions(SubscriberId, Box<Subscription>),
    /// What a session wants of a stream.
    Stream(Box<StreamCommand>),
}

/// What a session wants of a stream.
pub struct StreamCommand {
    pub session: VoiceSession,
    pub key: StreamKey,
    pub action: StreamAction,
    /// It waited for ids already.
    pub has_waited: bool,
}

/// A call and who waits for its reply.
pub struct CallCommand {
    pub caller: Caller,
    pub call: Call,
    pub operation: Option<OperationContext>,
    pub reply: Answer<Reply>,
    /// When it was put into the mailbox.
    pub queued_at: Instant,
}

/// A session that wants the guild's events, after a snapshot.
pub struct SubscribeCommand {
    pub guild_id: GuildId,
    pub session: Arc<SessionHandle>,
    pub subscriber: Subscriber,
}

/// A session that waits for the next GUILD_MEMBERS_CHUNK.
pub struct MembersCommand {
    pub guild_id: GuildId,
    pub session: Arc<SessionHandle>,
    pub request: Arc<RequestGuildMembers>,
    pub cursor: MembersCursor,
}

impl MembersCommand {
    /// Tells the session that no chunk comes.
    pub fn refuse(self, error: ApiError, outbox: &mut Outbox) {
        let input = Input::Control(Control::NoMembers(self.guild_id, Box::new(error)));
        outbox.send(self.session.subscriber, input);
    }
}

impl SubscribeCommand {
    /// Tells the session that it is not subscribed.
    pub fn refuse(self, error: ApiError, outbox: &mut Outbox) {
        let input = Input::Control(Control::NotSubscribed(self.guild_id, Box::new(error)));
        outbox.send(self.session.subscriber, input);
    }
}

impl GuildCommand {
    /// Tells whoever waits that it cannot be done.
    pub fn refuse(self, error: ApiError, outbox: &mut Outbox) {
        match self {
            Self::Call(command) => drop(command.reply.send(Err(error))),
            Self::Query(query) => query(Err(error)),
            Self::Subscribe(command) => command.refuse(error, outbox),
            Self::TakeUp(commands) => commands.into_iter().for_each(|command| command.refuse(error.clone(), outbox)),
            Self::RequestMembers(command) => command.refuse(error, outbox),
            // A guild or DM that is away has no streams and nobody in voice, and its sessions are told that it is.
            Self::Load
            | Self::Unsubscribe(_)
            | Self::UserUpdated(_)
            | Self::RequestChannelInfo(..)
            | Self::Subscriptions(..)
            | Self::Stream(_) => {}
        }
    }
}
