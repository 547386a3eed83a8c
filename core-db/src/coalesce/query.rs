//! The reads that are shared, and the parts of the data that each looks at.

use rookery_model::message::ReactionEmoji;
use rookery_model::store::UniqueKey;
use rookery_model::{ApplicationId, ChannelId, GuildId, MessageId, UserId, WebhookId};
use smallvec::{SmallVec, smallvec};

use super::epochs::Part;
use crate::engine::MessageRange;

/// A read with its arguments; two that are equal have one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    Unique(UniqueKey),
    Accounts(Vec<UserId>),
    Application(ApplicationId),
    ApplicationsOf(UserId),
    Guild(GuildId),
    GuildChannels(GuildId),
    GuildRoles(GuildId),
    GuildMembersPage(GuildId, Option<UserId>, usize),
    Member(GuildId, UserId),
    GuildsOfUser(UserId),
    Ban(GuildId, UserId),
    BansPage(GuildId, Option<UserId>, usize),
    Invite(String),
    GuildInvites(GuildId),
    Channel(ChannelId),
    Dm(ChannelId),
    DmsOfUser(UserId),
    ReadStates(UserId),
    ReadState(UserId, ChannelId),
    Message(ChannelId, MessageId),
    Messages(ChannelId, MessageRange, usize),
    LastMessageId(ChannelId),
    ReactionCounts(ChannelId, Vec<MessageId>),
    OwnReactions(ChannelId, Vec<MessageId>, UserId),
    ReactionsOf(ChannelId, MessageId, ReactionEmoji, Option<UserId>, usize),
    Pins(ChannelId),
    GuildEmojis(GuildId),
    GuildStageInstances(GuildId),
    Webhook(WebhookId),
    GuildWebhooks(GuildId),
    Settings(UserId, u8),
    Relationships(UserId),
}

impl Query {
    /// What it looks at.
    pub fn parts(&self) -> SmallVec<[Part<'_>; 4]> {
        use Part::{DeletedChannels, DeletedGuilds};
        match self {
            Self::Unique(key) => smallvec![Part::Unique(key), DeletedChannels, DeletedGuilds],
            Self::Accounts(ids) => ids.iter().map(|id| Part::Account(*id)).collect(),
            Self::Application(id) => smallvec![Part::Application(*id)],
            Self::ApplicationsOf(owner) => smallvec![Part::ApplicationsOf(*owner)],
            Self::Guild(id)
            | Self::GuildChannels(id)
            | Self::GuildRoles(id)
            | Self::GuildMembersPage(id, ..)
            | Self::Member(id, _)
            | Self::Ban(id, _)
            | Self::BansPage(id, ..)
            | Self::GuildInvites(id)
            | Self::GuildEmojis(id)
            | Self::GuildStageInstances(id)
            | Self::GuildWebhooks(id) => smallvec![Part::Guild(*id)],
            Self::GuildsOfUser(id) => smallvec![Part::GuildsOf(*id), DeletedGuilds],
            Self::Invite(code) => smallvec![Part::Invite(code), DeletedChannels, DeletedGuilds],
            Self::Webhook(id) => smallvec![Part::Webhook(*id), DeletedChannels, DeletedGuilds],
            Self::Settings(id, _) => smallvec![Part::Settings(*id)],
            Self::Relationships(id) => smallvec![Part::Relationships(*id)],
            Self::Channel(id) | Self::Dm(id) => smallvec![Part::Channel(*id), DeletedGuilds],
            Self::DmsOfUser(id) => smallvec![Part::DmsOf(*id), DeletedChannels],
            Self::ReadStates(id) | Self::ReadState(id, _) => smallvec![Part::ReadStates(*id)],
            Self::Message(id, _) | Self::Messages(id, ..) | Self::LastMessageId(id) => messages(*id),
            Self::ReactionCounts(id, _) | Self::OwnReactions(id, ..) | Self::ReactionsOf(id, ..) => {
                smallvec![Part::Reactions(*id), DeletedGuilds]
            }
            Self::Pins(id) => smallvec![Part::Pins(*id), DeletedGuilds],
        }
    }
}

/// What a read of a channel's messages looks at.
fn messages<'a>(id: ChannelId) -> SmallVec<[Part<'a>; 4]> {
    smallvec![Part::Messages(id), Part::AllMessages, Part::DeletedGuilds]
}
