//! Which reads began after which writes: a counter for each part of the data.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_model::store::{RetentionRow, UniqueKey, Write};
use rookery_model::{ApplicationId, ChannelId, GuildId, UserId, WebhookId};
use smallvec::SmallVec;

/// Counters of single channels, users and so on. Two that share one make each other's reads less joined, never wrong.
const STRIPES: u16 = 4_096;
/// Counters that reads of many parts look at, so nothing else may move them.
const WIDE_STRIPES: u16 = 3;

/// A part of the data: what one write changes and one read looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part<'a> {
    /// What deleted guilds took along, wherever the write does not say what that was.
    DeletedGuilds,
    /// Likewise of deleted channels.
    DeletedChannels,
    /// Messages of all channels: when they may have changed elsewhere.
    AllMessages,
    Account(UserId),
    Application(ApplicationId),
    ApplicationsOf(UserId),
    /// Properties, channels, roles, members, bans, invites, emojis, stage instances and webhooks.
    Guild(GuildId),
    GuildsOf(UserId),
    Invite(&'a str),
    /// The channel itself, DM or not.
    Channel(ChannelId),
    DmsOf(UserId),
    ReadStates(UserId),
    Messages(ChannelId),
    Reactions(ChannelId),
    Pins(ChannelId),
    Webhook(WebhookId),
    Settings(UserId),
    Relationships(UserId),
    Unique(&'a UniqueKey),
}

/// The counters that a batch moves.
pub type Stripes = SmallVec<[u16; 4]>;

/// Counters that rise when writes are taken and when they are acknowledged.
///
/// A read notes its epoch, the sum of its parts' counters, before it asks the engine, and joins a flight or takes a kept
/// page only of the same epoch. So a reader sees every write that was acknowledged before it began: the acknowledgement
/// raised the counter first, an equal epoch was therefore noted after it, and the engine was asked later still.
/// (Counters never fall. A sum of several can be equal with one of them lower only if another was higher; that one was
/// looked at after this read began, and the engine was asked after that.)
///
/// The acknowledgement alone would do for that. Counters rise when a write is taken as well, so that what was read
/// before is not served while a write is on its way, nor after one whose outcome nobody learns.
pub struct Epochs {
    stripes: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Epochs {
    pub fn new() -> Self {
        let stripes = (0..STRIPES + WIDE_STRIPES).map(|_| AtomicU64::new(0)).collect();
        Self { stripes, hasher: RandomState::new() }
    }

    fn stripe(&self, part: Part<'_>) -> u16 {
        match part {
            Part::DeletedGuilds => STRIPES,
            Part::DeletedChannels => STRIPES + 1,
            Part::AllMessages => STRIPES + 2,
            narrow => u16::try_from(self.hasher.hash_one(narrow) % u64::from(STRIPES)).unwrap_or_default(),
        }
    }

    /// The epoch of a read of these parts.
    pub fn of<'a>(&self, parts: impl IntoIterator<Item = Part<'a>>) -> u64 {
        // Acquire: whoever heard of an acknowledgement sees the counter that was raised before it.
        let counters = parts.into_iter().filter_map(|part| self.stripes.get(usize::from(self.stripe(part))));
        counters.fold(0, |sum, counter| sum.wrapping_add(counter.load(Ordering::Acquire)))
    }

    /// The counters of the parts that a batch changes, each once.
    pub fn changed_by(&self, batch: &[Write]) -> Stripes {
        let mut stripes = Stripes::new();
        for write in batch {
            changed_by(write, |part| {
                let stripe = self.stripe(part);
                // Neighbours in a batch are mostly of one channel.
                if stripes.last() != Some(&stripe) {
                    stripes.push(stripe);
                }
            });
        }
        stripes.sort_unstable();
        stripes.dedup();
        stripes
    }

    /// The counters of some parts.
    pub fn stripes<'a>(&self, parts: impl IntoIterator<Item = Part<'a>>) -> Stripes {
        parts.into_iter().map(|part| self.stripe(part)).collect()
    }

    /// Begins a new epoch.
    pub fn raise(&self, stripes: &[u16]) {
        for stripe in stripes {
            if let Some(counter) = self.stripes.get(usize::from(*stripe)) {
                counter.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// What a write changes, as far as reads that are shared can see it.
///
/// Messages by author, former contents, files, audit logs, operations, outboxes and leases are not read together, so
/// nothing is noted for them.
fn changed_by<'a>(write: &'a Write, mut changed: impl FnMut(Part<'a>)) {
    match write {
        Write::PutAccount(account) => changed(Part::Account(account.user.id)),
        Write::PutApplication(application) => {
            changed(Part::Application(application.id));
            changed(Part::ApplicationsOf(application.owner_id));
        }
        Write::DeleteApplication { application_id, owner_id } => {
            changed(Part::Application(*application_id));
            changed(Part::ApplicationsOf(*owner_id));
        }
        Write::PutGuild(guild) => changed(Part::Guild(guild.id)),
        Write::DeleteGuild(id) => {
            changed(Part::Guild(*id));
            changed(Part::DeletedGuilds);
        }
        Write::PutChannel(channel) => {
            changed(Part::Channel(channel.id));
            channel.guild_id.into_iter().for_each(|id| changed(Part::Guild(id)));
        }
        Write::DeleteChannel { guild_id, channel_id } => {
            let id = *channel_id;
            let parts = [Part::Channel(id), Part::Messages(id), Part::Reactions(id), Part::Pins(id)];
            parts.into_iter().for_each(&mut changed);
            guild_id.iter().for_each(|id| changed(Part::Guild(*id)));
            changed(Part::DeletedChannels);
        }
        Write::PutRole { guild_id, .. } | Write::DeleteRole { guild_id, .. } | Write::DeleteBan { guild_id, .. } => {
            changed(Part::Guild(*guild_id))
        }
        Write::PutBan(ban) => changed(Part::Guild(ban.guild_id)),
        Write::PutMember(member) => {
            changed(Part::Guild(member.guild_id));
            changed(Part::GuildsOf(member.user_id));
        }
        Write::DeleteMember { guild_id, user_id } => {
            changed(Part::Guild(*guild_id));
            changed(Part::GuildsOf(*user_id));
        }
        Write::PutInvite(invite) => {
            changed(Part::Guild(invite.guild_id));
            changed(Part::Invite(&invite.code));
        }
        Write::DeleteInvite { guild_id, code } => {
            changed(Part::Guild(*guild_id));
            changed(Part::Invite(code));
        }
        Write::PutMessage(message) => changed(Part::Messages(message.channel_id)),
        Write::DeleteMessage { channel_id: id, .. } => {
            [Part::Messages(*id), Part::Reactions(*id), Part::Pins(*id)].into_iter().for_each(changed);
        }
        Write::PutReaction(reaction) | Write::DeleteReaction(reaction) => {
            changed(Part::Reactions(reaction.channel_id));
        }
        Write::PutReactionCount(count) => changed(Part::Reactions(count.channel_id)),
        Write::DeleteReactionCount { channel_id, .. } | Write::ClearReactions { channel_id, .. } => {
            changed(Part::Reactions(*channel_id));
        }
        Write::PutPin { channel_id, .. } | Write::DeletePin { channel_id, .. } => changed(Part::Pins(*channel_id)),
        Write::PutDm(dm) => changed(Part::Channel(dm.channel.id)),
        Write::PutDmListing { user_id, .. } | Write::DeleteDmListing { user_id, .. } => changed(Part::DmsOf(*user_id)),
        Write::PutReadState(state) => changed(Part::ReadStates(state.user_id)),
        // Wherever the user wrote: the write does not say.
        Write::EraseUser { .. } => changed(Part::AllMessages),
        Write::PutRetention(RetentionRow { guild_id, .. }) | Write::DeleteRetention(guild_id) => {
            changed(Part::Guild(*guild_id));
        }
        Write::PutEmoji(emoji) => changed(Part::Guild(emoji.guild_id)),
        Write::DeleteEmoji { guild_id, .. } => changed(Part::Guild(*guild_id)),
        Write::PutStageInstance(stage) => changed(Part::Guild(stage.guild_id)),
        Write::DeleteStageInstance { guild_id, .. } => changed(Part::Guild(*guild_id)),
        Write::PutWebhook(webhook) => {
            changed(Part::Guild(webhook.guild_id));
            changed(Part::Webhook(webhook.id));
        }
        Write::DeleteWebhook { guild_id, webhook_id } => {
            changed(Part::Guild(*guild_id));
            changed(Part::Webhook(*webhook_id));
        }
        Write::PutSettings(settings) => changed(Part::Settings(settings.user_id)),
        Write::DeleteSettings(user_id) => changed(Part::Settings(*user_id)),
        Write::PutRelationship(relationship) => changed(Part::Relationships(relationship.user_id)),
        Write::DeleteRelationship { user_id, .. } => changed(Part::Relationships(*user_id)),
        Write::PutMessageEdit(_)
        | Write::PutAttachment(_)
        | Write::DeleteAttachment(_)
        | Write::PutAuditLogEntry(_)
        | Write::PutOutbox(_)
        | Write::DeleteOutbox { .. }
        | Write::PutOperation(_) => {}
        // An import fills a store that nobody reads.
        Write::PutImport(_) | Write::DeleteImport => {}
        Write::DeleteUnique { key, .. } => changed(Part::Unique(key)),
    }
}
