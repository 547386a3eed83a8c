//! What a command leads to: rows to write, events to send, an answer.

use std::sync::Arc;

use rookery_model::call::Reply;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::store::Write;
use rookery_model::user::User;
use rookery_model::voice::VoiceEntry;
use rookery_model::{ChannelId, GuildId, MessageId, Snowflake, UserId, VoiceServerId};

/// Makes ids; each is above every one given before, and above every id that the guild's rows hold.
pub trait IdSource {
    fn next_id(&mut self) -> Snowflake;
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As the account stands now; `user.bot` tells bots from people.
    pub user: User,
    /// `X-Audit-Log-Reason`.
    pub reason: Option<String>,
}

impl Caller {
    /// Somebody who gave no reason.
    pub fn new(user: User) -> Self {
        Self { user, reason: None }
    }
    /// The caller's id.
    pub const fn id(&self) -> UserId {
        self.user.id
    }
}

/// The outcome of a command.
///
/// The shell submits `writes` as one batch, in the order in which the core was asked, and lets nobody hear of anything
/// before the batch is durable. Then it carries out, in this order: `effects`, `dispatches` one after the other, the
/// reply. The core has already moved on when it returns: if a batch fails, the shell drops the core and loads it anew.
#[derive(Debug)]
pub struct Outcome {
    pub writes: Vec<Write>,
    pub reply: Reply,
    pub dispatches: Vec<Dispatch>,
    pub effects: Vec<Effect>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { writes: Vec::new(), reply: Reply::NoContent, dispatches: Vec::new(), effects: Vec::new() }
    }
}

impl Outcome {
    /// An answer from memory, without any change.
    pub fn reply(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }
}

/// An event and who gets it.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub event: Arc<Event>,
    pub audience: Audience,
}

/// Who gets an event. Never empty: an event without audience is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// These sessions, computed at this point of the guild's stream: each may see the event and asked for its kind.
    Subscribers(Arc<[SubscriberId]>),
    /// The sessions of these users, wherever they are; the users' owners pick them by intents.
    Users(Arc<[UserId]>),
}

/// What somebody outside the guild must learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The user's sessions are to subscribe.
    MemberJoined { guild_id: GuildId, user_id: UserId },
    /// The user's sessions are no longer subscribed; their GUILD_DELETE is among the dispatches.
    MemberLeft { guild_id: GuildId, user_id: UserId },
    /// As [`Effect::MemberLeft`] for everybody; the core answers nothing but errors from now on.
    GuildDeleted { guild_id: GuildId, user_ids: Vec<UserId> },
    /// A message notifies these users: one more mention in their read states.
    Mentioned { channel_id: ChannelId, message_id: MessageId, user_ids: Vec<UserId> },
    /// A member is in a voice channel: newly, or otherwise than before. The newest one of a member counts.
    VoiceConnected(Box<VoiceEntry>),
    /// A member is in no voice channel of the guild any more.
    VoiceDisconnected { server_id: VoiceServerId, user_id: UserId },
}
