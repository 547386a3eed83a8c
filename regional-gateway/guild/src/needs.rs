//! What the shell must read before a command, and what it must lock.

use std::collections::{HashMap, HashSet};

use rookery_model::call::{Call, CreateMessage, EditMessage};
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::store::ReactionCountRow;
use rookery_model::user::User;
use rookery_model::{ChannelId, MessageId, Timestamp, UserId};

use crate::Caller;
use crate::mentions::Mentions;
use crate::state::{GuildCore, Space};
use crate::view::replied_to;

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
    /// Whom this user has blocked: fill [`Given::blocked`].
    Blocked(UserId),
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
    pub blocked: HashMap<UserId, Vec<UserId>>,
    pub invite_code: Option<String>,
}

impl Given {
    /// The message, if it was read and exists.
    pub(crate) fn message(&self, channel_id: ChannelId, id: MessageId) -> Option<&MessageRow> {
        self.messages.get(&(channel_id, id)).and_then(Option::as_ref)
    }

    fn has(&self, need: &Need) -> bool {
        match need {
            Need::Message(channel, id) => self.messages.contains_key(&(*channel, *id)),
            Need::ReactionCounts(channel, id) => self.reaction_counts.contains_key(&(*channel, *id)),
            Need::OwnReactions(channel, id, user) => self.own_reactions.contains_key(&(*channel, *id, *user)),
            Need::Pins(channel) => self.pins.contains_key(channel),
            Need::User(id) => self.users.contains_key(id),
            Need::Blocked(id) => self.blocked.contains_key(id),
            Need::InviteCode => self.invite_code.is_some(),
        }
    }
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

impl GuildCore {
    /// The keys to hold while the call is carried out, ascending, each once.
    pub fn locks(call: &Call) -> Vec<LockKey> {
        let mut keys = match call {
            Call::EditMessage(edit) => vec![LockKey::Message(edit.channel_id, edit.message_id)],
            Call::DeleteMessage { channel_id, message_id }
            | Call::AddReaction { channel_id, message_id, .. }
            | Call::RemoveReaction { channel_id, message_id, .. }
            | Call::ClearReactions { channel_id, message_id, .. } => vec![LockKey::Message(*channel_id, *message_id)],
            Call::BulkDeleteMessages { channel_id, message_ids } => {
                message_ids.iter().map(|id| LockKey::Message(*channel_id, *id)).collect()
            }
            Call::PinMessage { channel_id, message_id } | Call::UnpinMessage { channel_id, message_id } => {
                vec![LockKey::Message(*channel_id, *message_id), LockKey::Pins(*channel_id)]
            }
            _ => Vec::new(),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What the call still needs; none left: it can be handled. Asked anew after each reading, since one row can name
    /// another. Names nothing for calls that will be refused without it.
    pub fn needs(&self, now: Timestamp, caller: &Caller, call: &Call, given: &Given) -> Vec<Need> {
        let mut needs = self.all_needs(now, caller, call, given);
        let mut named = HashSet::new();
        needs.retain(|need| !given.has(need) && named.insert(need.clone()));
        needs
    }

    fn all_needs(&self, now: Timestamp, caller: &Caller, call: &Call, given: &Given) -> Vec<Need> {
        let sees = |channel_id: ChannelId| self.access(now, caller.id(), channel_id).is_ok();
        match call {
            Call::GetCall { channel_id } | Call::RingCall { channel_id, .. } if sees(*channel_id) => {
                match &self.space {
                    Space::Dm(dm) => dm.user_ids().into_iter().map(Need::Blocked).collect(),
                    Space::Guild(_) => Vec::new(),
                }
            }
            Call::CreateMessage(new) if sees(new.channel_id) => self.needs_of_create(now, caller, new, given),
            Call::EditMessage(edit) if sees(edit.channel_id) => self.needs_of_edit(caller, edit, given),
            Call::DeleteMessage { channel_id, message_id } | Call::ClearReactions { channel_id, message_id, .. }
                if sees(*channel_id) =>
            {
                vec![Need::Message(*channel_id, *message_id)]
            }
            Call::BulkDeleteMessages { channel_id, message_ids } if sees(*channel_id) => message_ids
                .iter()
                .take(rookery_model::limits::BULK_DELETE_MAX)
                .map(|id| Need::Message(*channel_id, *id))
                .collect(),
            Call::AddReaction { channel_id, message_id, .. } if sees(*channel_id) => {
                needs_of_reaction(*channel_id, *message_id, caller.id())
            }
            Call::RemoveReaction { channel_id, message_id, user_id, .. } if sees(*channel_id) => {
                needs_of_reaction(*channel_id, *message_id, user_id.unwrap_or(caller.id()))
            }
            Call::PinMessage { channel_id, message_id } | Call::UnpinMessage { channel_id, message_id }
                if sees(*channel_id) =>
            {
                let mut needs = self.needs_of_view(*channel_id, *message_id, None, given);
                needs.push(Need::Pins(*channel_id));
                needs
            }
            Call::CreateInvite { channel_id, invite } if self.wants_invite_code(now, caller, *channel_id, invite) => {
                vec![Need::InviteCode]
            }
            Call::Authorize(authorize) => vec![Need::User(authorize.client_id.into())],
            _ => Vec::new(),
        }
    }

    fn needs_of_create(&self, now: Timestamp, caller: &Caller, new: &CreateMessage, given: &Given) -> Vec<Need> {
        if self.same_nonce(now, caller, new).is_some() {
            return Vec::new();
        }
        let mut needs = self.strangers(Mentions::parse(&new.content).users);
        let referenced = new.message_reference.as_ref().and_then(|reference| reference.message_id);
        if let Some(id) = referenced {
            needs.push(Need::Message(new.channel_id, id));
            needs.extend(given.message(new.channel_id, id).into_iter().flat_map(|row| self.people_of(row)));
        }
        needs
    }

    fn needs_of_edit(&self, caller: &Caller, edit: &EditMessage, given: &Given) -> Vec<Need> {
        let mut needs = self.needs_of_view(edit.channel_id, edit.message_id, Some(caller.id()), given);
        if let rookery_model::Patch::Set(content) = &edit.content {
            needs.extend(self.strangers(Mentions::parse(content).users));
        }
        needs
    }

    /// All that [`GuildCore::show`] wants for a message.
    fn needs_of_view(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        viewer: Option<UserId>,
        given: &Given,
    ) -> Vec<Need> {
        let mut needs = vec![Need::Message(channel_id, message_id), Need::ReactionCounts(channel_id, message_id)];
        if given.reaction_counts.get(&(channel_id, message_id)).is_some_and(|counts| !counts.is_empty()) {
            needs.extend(viewer.map(|viewer| Need::OwnReactions(channel_id, message_id, viewer)));
        }
        if let Some(row) = given.message(channel_id, message_id) {
            needs.extend(self.people_of(row));
            if let Some(id) = replied_to(row) {
                needs.push(Need::Message(channel_id, id));
                needs.extend(given.message(channel_id, id).into_iter().flat_map(|row| self.people_of(row)));
            }
        }
        needs
    }

    fn people_of(&self, row: &MessageRow) -> Vec<Need> {
        self.strangers(row.mention_users.iter().copied().chain([row.author_id]))
    }

    fn strangers(&self, ids: impl IntoIterator<Item = UserId>) -> Vec<Need> {
        ids.into_iter().filter(|id| self.user(*id).is_none()).map(Need::User).collect()
    }
}

fn needs_of_reaction(channel_id: ChannelId, message_id: MessageId, user_id: UserId) -> Vec<Need> {
    vec![
        Need::Message(channel_id, message_id),
        Need::ReactionCounts(channel_id, message_id),
        Need::OwnReactions(channel_id, message_id, user_id),
    ]
}
