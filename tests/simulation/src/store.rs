//! Rows as a store keeps them: what the owners write, once it is durable.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::{DmState, Given, GuildState, Need};
use rookery_model::channel::Channel;
use rookery_model::gateway::Status;
use rookery_model::guild::GuildProperties;
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::role::Role;
use rookery_model::store::{DmRow, ReactionCountRow, ReactionRow, ReadState, Write};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};
use rookery_user::UserState;

use crate::bus::OwnerKey;

/// What decides who sees what in a guild.
#[derive(Clone, Debug)]
pub struct GuildRows {
    pub properties: GuildProperties,
    pub roles: BTreeMap<RoleId, Role>,
    pub channels: BTreeMap<ChannelId, Channel>,
    pub members: BTreeMap<UserId, MemberRow>,
    pub invites: BTreeMap<String, InviteRow>,
}

/// The rows of one guild or DM.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// None for DMs, and once the guild is deleted.
    pub guild: Option<GuildRows>,
    pub dm: Option<DmRow>,
    pub messages: BTreeMap<(ChannelId, MessageId), MessageRow>,
    pub pins: BTreeMap<(ChannelId, MessageId), Timestamp>,
    pub reactions: Vec<ReactionRow>,
    pub counts: Vec<ReactionCountRow>,
}

impl Rows {
    /// Takes over a write that is about this guild or DM.
    pub fn apply(&mut self, write: &Write) {
        if self.apply_to_messages(write) {
            return;
        }
        match write {
            Write::PutGuild(properties) => match &mut self.guild {
                Some(guild) => guild.properties = properties.clone(),
                None => self.guild = Some(GuildRows::new(properties.clone())),
            },
            Write::DeleteGuild(_) => *self = Self::default(),
            Write::PutDm(row) => self.dm = Some(row.clone()),
            Write::DeleteChannel { guild_id: None, .. } => self.dm = None,
            _ => {
                if let Some(guild) = &mut self.guild {
                    guild.apply(write);
                }
            }
        }
        if let Write::DeleteChannel { channel_id, .. } = write {
            self.messages.retain(|(channel, _), _| channel != channel_id);
        }
    }

    fn apply_to_messages(&mut self, write: &Write) -> bool {
        match write {
            Write::PutMessage(row) => drop(self.messages.insert((row.channel_id, row.id), row.clone())),
            Write::DeleteMessage { channel_id, message_id } => {
                self.messages.remove(&(*channel_id, *message_id));
                self.pins.remove(&(*channel_id, *message_id));
                self.clear_reactions(*message_id, None);
            }
            Write::PutReaction(row) => self.reactions.push(row.clone()),
            Write::DeleteReaction(row) => self.reactions.retain(|other| other != row),
            Write::PutReactionCount(row) => {
                self.counts.retain(|other| (other.message_id, &other.emoji) != (row.message_id, &row.emoji));
                self.counts.push(row.clone());
            }
            Write::DeleteReactionCount { message_id, emoji, .. } => {
                self.counts.retain(|row| (row.message_id, &row.emoji) != (*message_id, emoji));
            }
            Write::ClearReactions { message_id, emoji, .. } => self.clear_reactions(*message_id, emoji.as_ref()),
            Write::PutPin { channel_id, message_id, pinned_at } => {
                self.pins.insert((*channel_id, *message_id), *pinned_at);
            }
            Write::DeletePin { channel_id, message_id } => drop(self.pins.remove(&(*channel_id, *message_id))),
            _ => return false,
        }
        true
    }

    fn clear_reactions(&mut self, message: MessageId, emoji: Option<&ReactionEmoji>) {
        let is_meant = |id: MessageId, other: &ReactionEmoji| id == message && emoji.is_none_or(|emoji| emoji == other);
        self.counts.retain(|row| !is_meant(row.message_id, &row.emoji));
        self.reactions.retain(|row| !is_meant(row.message_id, &row.emoji));
    }

    fn newest_message(&self, id: ChannelId) -> Option<MessageId> {
        let of_channel = (id, MessageId::new(0))..=(id, MessageId::new(u64::MAX));
        self.messages.range(of_channel).next_back().map(|((_, id), _)| *id)
    }
}

impl GuildRows {
    /// A guild with nothing in it.
    pub const fn new(properties: GuildProperties) -> Self {
        Self {
            properties,
            roles: BTreeMap::new(),
            channels: BTreeMap::new(),
            members: BTreeMap::new(),
            invites: BTreeMap::new(),
        }
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::PutChannel(channel) => drop(self.channels.insert(channel.id, channel.clone())),
            Write::DeleteChannel { channel_id, .. } => drop(self.channels.remove(channel_id)),
            Write::PutRole { role, .. } => drop(self.roles.insert(role.id, role.clone())),
            Write::DeleteRole { role_id, .. } => drop(self.roles.remove(role_id)),
            Write::PutMember(row) => drop(self.members.insert(row.user_id, row.clone())),
            Write::DeleteMember { user_id, .. } => drop(self.members.remove(user_id)),
            Write::PutInvite(row) => drop(self.invites.insert(row.code.clone(), row.clone())),
            Write::DeleteInvite { code, .. } => drop(self.invites.remove(code)),
            _ => {}
        }
    }
}

/// The store of the region.
#[derive(Default)]
pub struct Store {
    pub spaces: BTreeMap<OwnerKey, Rows>,
    pub users: BTreeMap<UserId, User>,
    pub listings: BTreeMap<UserId, BTreeSet<ChannelId>>,
    pub read_states: BTreeMap<(UserId, ChannelId), ReadState>,
    /// Operations whose outcome is stored.
    pub operations: BTreeSet<u64>,
    codes_given: u32,
}

impl Store {
    /// A batch became durable.
    pub fn apply(&mut self, key: Option<OwnerKey>, writes: &[Write], operation: Option<u64>) {
        for write in writes {
            match write {
                Write::PutDmListing { user_id, channel_id } => {
                    self.listings.entry(*user_id).or_default().insert(*channel_id);
                }
                Write::DeleteDmListing { user_id, channel_id } => {
                    self.listings.entry(*user_id).or_default().remove(channel_id);
                }
                Write::PutReadState(row) => drop(self.read_states.insert((row.user_id, row.channel_id), row.clone())),
                other => {
                    if let Some(key) = key {
                        self.spaces.entry(key).or_default().apply(other);
                    }
                }
            }
        }
        self.operations.extend(operation);
    }

    /// Reads what a core needs.
    pub fn fill(&mut self, key: OwnerKey, need: Need, given: &mut Given) {
        let nothing = Rows::default();
        let rows = self.spaces.get(&key).unwrap_or(&nothing);
        match need {
            Need::Message(channel, id) => {
                given.messages.insert((channel, id), rows.messages.get(&(channel, id)).cloned());
            }
            Need::ReactionCounts(channel, id) => {
                let of_message = rows.counts.iter().filter(|row| row.message_id == id).cloned().collect();
                given.reaction_counts.insert((channel, id), of_message);
            }
            Need::OwnReactions(channel, id, user) => {
                let own = rows.reactions.iter().filter(|row| (row.message_id, row.user_id) == (id, user));
                given.own_reactions.insert((channel, id, user), own.map(|row| row.emoji.clone()).collect());
            }
            Need::Pins(channel) => {
                let pins = rows.pins.iter().filter(|((of, _), _)| *of == channel);
                given.pins.insert(channel, pins.map(|((_, id), at)| (*id, *at)).collect());
            }
            Need::User(id) => drop(given.users.insert(id, self.users.get(&id).cloned())),
            // Nobody blocks anybody.
            Need::Blocked(id) => drop(given.blocked.insert(id, Vec::new())),
            Need::InviteCode => {
                self.codes_given += 1;
                given.invite_code = Some(format!("code{}", self.codes_given));
            }
        }
    }

    fn user(&self, id: UserId) -> User {
        self.users.get(&id).cloned().unwrap_or_else(|| User::new(id, "deleted_user"))
    }

    /// All rows of a guild, as its owner loads them.
    pub fn guild_state(&self, key: OwnerKey) -> Option<GuildState> {
        let rows = self.spaces.get(&key)?;
        let guild = rows.guild.as_ref()?;
        let channels = guild.channels.values();
        let inviters = guild.invites.values().filter_map(|row| row.inviter_id);
        let strangers: BTreeSet<UserId> = inviters.filter(|id| !guild.members.contains_key(id)).collect();
        Some(GuildState {
            properties: guild.properties.clone(),
            roles: guild.roles.values().cloned().collect(),
            channels: channels.map(|c| Channel { last_message_id: rows.newest_message(c.id), ..c.clone() }).collect(),
            members: guild.members.values().map(|row| (row.clone(), self.user(row.user_id))).collect(),
            invites: guild.invites.values().cloned().collect(),
            inviters: strangers.into_iter().map(|id| self.user(id)).collect(),
            banned: Vec::new(),
            stage_instances: Vec::new(),
        })
    }

    /// The row of a DM, as its owner loads it.
    pub fn dm_state(&self, key: OwnerKey) -> Option<DmState> {
        let rows = self.spaces.get(&key)?;
        let mut row = rows.dm.clone()?;
        row.channel.last_message_id = rows.newest_message(row.channel.id);
        let users = row.user_ids.iter().map(|id| self.user(*id)).collect();
        let call_message = row.call_message_id.and_then(|id| rows.messages.get(&(row.channel.id, id)).cloned());
        Some(DmState { row, users, call_message })
    }

    /// The rows of a user, as their owner loads them.
    pub fn user_state(&self, id: UserId) -> UserState {
        let is_bot = self.user(id).bot;
        let of_user = (id, ChannelId::new(0))..=(id, ChannelId::new(u64::MAX));
        UserState {
            user_id: id,
            is_bot,
            guild_ids: self.guilds_of(id),
            dm_ids: self.listings.get(&id).into_iter().flatten().copied().collect(),
            read_states: self.read_states.range(of_user).map(|(_, row)| row.clone()).filter(|_| !is_bot).collect(),
            relationships: Vec::new(),
            status: Status::Online,
        }
    }

    /// The guilds that a user is in.
    pub fn guilds_of(&self, id: UserId) -> Vec<GuildId> {
        self.guilds().filter(|(_, guild)| guild.members.contains_key(&id)).map(|(id, _)| id).collect()
    }

    /// All guilds that are there.
    pub fn guilds(&self) -> impl Iterator<Item = (GuildId, &GuildRows)> {
        self.spaces.values().filter_map(|rows| rows.guild.as_ref()).map(|guild| (guild.properties.id, guild))
    }
}
