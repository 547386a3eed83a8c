//! What the shell must read before a command, and what it must lock.

use std::collections::HashMap;

use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::store::ReactionCountRow;
use rookery_model::user::User;
use rookery_model::{ChannelId, MessageId, Timestamp, UserId};

/// Something that the core does not hold in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Fill [`Given::messages`].
    Message(ChannelId, MessageId),
    /// Fill [`Given::reaction_counts`].
    ReactionCounts(ChannelId, MessageId),
    /// Which emojis this user put on the message: fill [`Given::own_reactions`].
    OwnReactions(ChannelId, MessageId, UserId),
    /// Fill [`Given::pins`].
    Pins(ChannelId),
    /// Fill [`Given::users`].
    User(UserId),
    /// A new random code, already claimed in the store for this guild: fill [`Given::invite_code`].
    InviteCode,
}

/// What the shell read. A key that is absent was not read; a value of none does not exist.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub messages: HashMap<(ChannelId, MessageId), Option<MessageRow>>,
    pub reaction_counts: HashMap<(ChannelId, MessageId), Vec<ReactionCountRow>>,
    pub own_reactions: HashMap<(ChannelId, MessageId, UserId), Vec<ReactionEmoji>>,
    /// Pinned messages and when they were pinned, any order.
    pub pins: HashMap<ChannelId, Vec<(MessageId, Timestamp)>>,
    pub users: HashMap<UserId, Option<User>>,
    pub invite_code: Option<String>,
}

/// A key that the shell holds from before it reads for a command until the command's writes are durable, so that no two
/// commands change the same rows from the same reading: an edit never brings back a deleted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKey {
    /// The message, its reactions and whether it is pinned.
    Message(ChannelId, MessageId),
    /// The channel's list of pins.
    Pins(ChannelId),
}
