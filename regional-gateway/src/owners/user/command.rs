//! What the owner of a user can be told.

use std::collections::HashMap;
use std::sync::Arc;

use rookery_model::call::Reply;
use rookery_model::channel::Channel;
use rookery_model::gateway::event::Ready;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, GuildId, MessageId, UserId};
use rookery_session::Payload;
use rookery_user::{UserCore, UserSession};
use tokio::sync::oneshot;

use crate::gateway::registry::SessionHandle;
use crate::operations::OperationContext;
use crate::owners::guild::command::Answer;

/// A look into the core, or the reason why there is none.
pub type Query = Box<dyn FnOnce(Result<&UserCore, ApiError>) + Send>;

/// A command to the owner of a user.
pub enum UserCommand {
    Subscribe(Box<SubscribeCommand>),
    TakeUp(Box<TakeUpCommand>),
    Unsubscribe(SubscriberId),
    /// An event that is the user's own or a DM's.
    Deliver {
        event: Arc<Event>,
        payload: Arc<Payload>,
    },
    /// Answered when the mention is durable, or given up.
    Mentioned {
        channel_id: ChannelId,
        message_id: MessageId,
        done: oneshot::Sender<()>,
    },
    Acknowledge(Box<AcknowledgeCommand>),
    GuildJoined(GuildId),
    GuildLeft(GuildId),
    Query(Query),
}

/// A session that starts.
pub struct SubscribeCommand {
    pub session: Arc<SessionHandle>,
    pub subscriber: UserSession,
    /// READY without what the core adds: guilds, DMs, read states.
    pub ready: Box<Ready>,
    /// Read beforehand; none for bots, whose READY has neither DMs nor relationships.
    pub known: Option<Known>,
    pub started: oneshot::Sender<Result<Started, ApiError>>,
}

/// A session of the process before, which waits for RESUME.
pub struct TakeUpCommand {
    pub session: Arc<SessionHandle>,
    pub subscriber: UserSession,
    /// Its client is connected.
    pub is_attached: bool,
    pub taken_up: Answer<()>,
}

/// What came of a subscription.
#[derive(Debug)]
pub enum Started {
    /// READY is on its way.
    Ready,
    /// This was not read since the owner was loaded: nothing was done.
    Missing { missing: Missing, incarnation: u64 },
}

/// What a READY lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// DMs in the user's list.
    pub dms: Vec<ChannelId>,
    /// Those with whom the user has a relationship.
    pub users: Vec<UserId>,
}

/// What a READY shows and no core holds.
#[derive(Clone, Default)]
pub struct Known {
    /// DMs as the user sees them; none for those that are gone.
    pub dms: HashMap<ChannelId, Option<Channel>>,
    pub users: HashMap<UserId, User>,
    /// The owner that was loaded when they were read. It has seen every message since, another has not.
    pub incarnation: u64,
}

/// A message that the user read.
pub struct AcknowledgeCommand {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub manual: bool,
    pub mention_count: Option<u32>,
    pub operation: Option<OperationContext>,
    pub reply: Answer<Reply>,
}

impl UserCommand {
    /// Tells whoever waits that it cannot be done.
    pub fn refuse(self, error: ApiError) {
        match self {
            Self::Subscribe(command) => drop(command.started.send(Err(error))),
            Self::TakeUp(command) => drop(command.taken_up.send(Err(error))),
            Self::Acknowledge(command) => drop(command.reply.send(Err(error))),
            Self::Query(query) => query(Err(error)),
            Self::Unsubscribe(_)
            | Self::Deliver { .. }
            | Self::Mentioned { .. }
            | Self::GuildJoined(_)
            | Self::GuildLeft(_) => {}
        }
    }
}
