//! What the API and the gateway show of a guild's state.

use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::{MemberEvent, MessageEvent};
use rookery_model::guild::{Guild, PartialGuild};
use rookery_model::invite::{Invite, InviteChannel, InviteGuild, InviteMetadata, InviteRow};
use rookery_model::member::Member;
use rookery_model::message::{Message, MessageReference, MessageRow, MessageType, Reaction};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, Timestamp, UserId};

use crate::members::MemberEntry;
use crate::needs::Given;
use crate::state::{DmSpace, GuildCore, GuildSpace, Space};

/// Levels of a guild for adults.
const NSFW_EXPLICIT: u8 = 1;
const NSFW_AGE_RESTRICTED: u8 = 3;

impl GuildSpace {
    /// The guild as the API shows it.
    pub(crate) fn view(&self) -> Guild {
        Guild {
            properties: self.properties().clone(),
            roles: self.roles().values().cloned().collect(),
            emojis: Vec::new(),
            stickers: Vec::new(),
            incidents_data: None,
            approximate_member_count: None,
            approximate_presence_count: None,
        }
    }
    /// GUILD_MEMBER_ADD or GUILD_MEMBER_UPDATE of a member.
    pub(crate) fn member_event(&self, entry: &MemberEntry, kind: fn(MemberEvent) -> Event) -> Event {
        kind(MemberEvent { guild_id: self.id(), member: entry.view() })
    }
}

impl DmSpace {
    /// The channel as one of its users sees it: the others are its recipients.
    pub(crate) fn view(&self, viewer: UserId) -> Channel {
        let others = self.users.iter().filter(|user| user.id != viewer);
        Channel { recipients: others.map(|user| User::clone(user)).collect(), ..self.channel.clone() }
    }
}

impl GuildCore {
    /// None for DMs.
    pub fn guild_id(&self) -> Option<GuildId> {
        match &self.space {
            Space::Guild(guild) => Some(guild.id()),
            Space::Dm(_) => None,
        }
    }
    /// Members of the guild, or users of the DM.
    pub fn member_count(&self) -> usize {
        match &self.space {
            Space::Guild(guild) => guild.members().len(),
            Space::Dm(dm) => dm.users.len(),
        }
    }
    /// The ids of members of the guild, or of users of the DM.
    pub fn member_ids(&self) -> Vec<UserId> {
        match &self.space {
            Space::Guild(guild) => guild.members().iter().map(|entry| entry.row.user_id).collect(),
            Space::Dm(dm) => dm.user_ids(),
        }
    }
    /// The guild's channels, or the DM's one.
    pub fn channel_ids(&self) -> Vec<ChannelId> {
        match &self.space {
            Space::Guild(guild) => guild.channels().keys().copied().collect(),
            Space::Dm(dm) => vec![dm.channel.id],
        }
    }
    /// How often a single member's permissions in a channel were computed since the guild was loaded: what is done once for
    /// all with the same roles does not count.
    pub fn members_asked(&self) -> u64 {
        match &self.space {
            Space::Guild(guild) => guild.permissions.members_asked(),
            Space::Dm(_) => 0,
        }
    }
    pub fn subscriber_count(&self) -> usize {
        self.subscribers.len()
    }
    /// Whether somebody is a member, or in the DM.
    pub fn is_member(&self, user_id: UserId) -> bool {
        match &self.space {
            Space::Guild(guild) => !guild.is_deleted && guild.members().contains(user_id),
            Space::Dm(dm) => dm.contains(user_id),
        }
    }
    /// The guild as the API shows it; none for DMs and once it is deleted.
    pub fn guild_view(&self) -> Option<Guild> {
        self.guild().ok().map(GuildSpace::view)
    }
    /// The entry of a member's list of guilds.
    pub fn partial_guild(&self, now: Timestamp, user_id: UserId, with_counts: bool) -> Option<PartialGuild> {
        let guild = self.guild().ok().filter(|guild| guild.members().contains(user_id))?;
        let properties = guild.properties();
        Some(PartialGuild {
            id: guild.id(),
            name: properties.name.clone(),
            icon: properties.icon.clone(),
            banner: properties.banner.clone(),
            owner: guild.owner_id() == user_id,
            permissions: guild.guild_permissions(now, user_id),
            features: properties.features.clone(),
            approximate_member_count: with_counts.then(|| self.member_count_u32()),
            approximate_presence_count: with_counts.then(|| self.presence_count()),
        })
    }
    /// A DM's channel as one of its users sees it.
    pub fn dm_view(&self, viewer: UserId) -> Option<Channel> {
        match &self.space {
            Space::Dm(dm) if dm.contains(viewer) => Some(dm.view(viewer)),
            _ => None,
        }
    }
    /// A member's user, as known here.
    pub fn user(&self, user_id: UserId) -> Option<&Arc<User>> {
        match &self.space {
            Space::Guild(guild) => guild.members().get(user_id).map(|entry| &entry.user),
            Space::Dm(dm) => dm.users.iter().find(|user| user.id == user_id),
        }
    }

    pub(crate) fn member_count_u32(&self) -> u32 {
        u32::try_from(self.member_count()).unwrap_or(u32::MAX)
    }
    /// Members who are not offline.
    pub(crate) fn presence_count(&self) -> u32 {
        u32::try_from(self.presences.len()).unwrap_or(u32::MAX)
    }

    /// A member without the user, as message events carry it.
    pub(crate) fn bare_member(&self, user_id: UserId) -> Option<Member> {
        let Space::Guild(guild) = &self.space else { return None };
        guild.members().get(user_id).map(|entry| entry.row.view(None))
    }

    /// Somebody who wrote, reacted or is mentioned; an erased account keeps its id.
    pub(crate) fn person(&self, given: &Given, id: UserId) -> User {
        self.user(id)
            .map(|user| User::clone(user))
            .or_else(|| given.users.get(&id).cloned().flatten())
            .unwrap_or_else(|| User::new(id, "deleted_user"))
    }

    /// A message with its author, mentions and, for replies, the message replied to; `viewer` sees their own reactions.
    pub(crate) fn show(&self, given: &Given, row: &MessageRow, viewer: Option<UserId>) -> Message {
        let mut message = self.show_alone(given, row, viewer);
        if let Some(id) = replied_to(row) {
            let referenced = given.messages.get(&(row.channel_id, id)).and_then(Option::as_ref);
            message.referenced_message = Some(referenced.map(|row| Box::new(self.show_alone(given, row, viewer))));
        }
        message
    }

    fn show_alone(&self, given: &Given, row: &MessageRow, viewer: Option<UserId>) -> Message {
        let mentions = row.mention_users.iter().map(|id| self.person(given, *id)).collect();
        let own = viewer.and_then(|viewer| given.own_reactions.get(&(row.channel_id, row.id, viewer)));
        let mut counts = given.reaction_counts.get(&(row.channel_id, row.id)).cloned().unwrap_or_default();
        counts.sort_by_key(|count| count.first_at);
        let reactions = counts
            .into_iter()
            .map(|count| {
                let me = own.is_some_and(|own| own.iter().any(|emoji| emoji.key() == count.emoji.key()));
                Reaction::normal(count.emoji, count.count, me)
            })
            .collect();
        row.view(self.person(given, row.author_id), mentions, reactions)
    }

    /// MESSAGE_CREATE or MESSAGE_UPDATE of a message.
    pub(crate) fn message_event(&self, message: Message) -> MessageEvent {
        let channel_type = match &self.space {
            Space::Dm(dm) => dm.channel.kind.into(),
            Space::Guild(guild) => guild.channels().get(&message.channel_id).map_or(0, |channel| channel.kind.into()),
        };
        MessageEvent { guild_id: self.guild_id(), member: self.bare_member(message.author.id), channel_type, message }
    }

    /// A reference to a message of a channel of this guild or DM.
    pub(crate) fn reference(&self, channel_id: ChannelId, message_id: MessageId) -> MessageReference {
        MessageReference {
            kind: 0,
            message_id: Some(message_id),
            channel_id: Some(channel_id),
            guild_id: self.guild_id(),
        }
    }

    /// An invite as the API shows it; `with_metadata` for its maker and moderators.
    pub(crate) fn show_invite_row(
        &self,
        guild: &GuildSpace,
        invite: &InviteRow,
        with_counts: bool,
        with_metadata: bool,
    ) -> Option<Invite> {
        let channel = guild.channels().get(&invite.channel_id)?;
        let properties = guild.properties();
        let inviter = invite
            .inviter_id
            .and_then(|id| guild.members().get(id).map(|entry| &entry.user).or_else(|| guild.inviters.get(&id)));
        Some(Invite {
            kind: 0,
            code: invite.code.clone(),
            guild_id: Some(guild.id()),
            guild: Some(InviteGuild {
                id: guild.id(),
                name: properties.name.clone(),
                icon: properties.icon.clone(),
                description: properties.description.clone(),
                banner: properties.banner.clone(),
                splash: properties.splash.clone(),
                verification_level: properties.verification_level,
                features: properties.features.clone(),
                vanity_url_code: properties.vanity_url_code.clone(),
                nsfw_level: properties.nsfw_level,
                nsfw: matches!(properties.nsfw_level, NSFW_EXPLICIT | NSFW_AGE_RESTRICTED),
                premium_subscription_count: properties.premium_subscription_count,
            }),
            channel: InviteChannel { id: channel.id, name: channel.name.clone(), kind: channel.kind },
            inviter: inviter.map(|user| User::clone(user)),
            expires_at: invite.expires_at(),
            approximate_member_count: with_counts.then(|| self.member_count_u32()),
            approximate_presence_count: with_counts.then(|| self.presence_count()),
            new_member: None,
            metadata: with_metadata.then_some(InviteMetadata {
                uses: invite.uses,
                max_uses: invite.max_uses,
                max_age: invite.max_age,
                temporary: invite.temporary,
                created_at: invite.created_at,
            }),
        })
    }
}

/// The message that a reply answers.
pub(crate) fn replied_to(row: &MessageRow) -> Option<MessageId> {
    row.message_reference.as_ref().filter(|_| row.kind == MessageType::Reply).and_then(|r| r.message_id)
}
