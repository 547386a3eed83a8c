//! Rows in memory, as the writes of the core leave them.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::{DmState, Given, GuildState, Need};
use rookery_model::audit_log::AuditLogRow;
use rookery_model::channel::Channel;
use rookery_model::guild::GuildProperties;
use rookery_model::invite::InviteRow;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageRow, ReactionEmoji};
use rookery_model::role::Role;
use rookery_model::stage_instance::StageInstance;
use rookery_model::store::{DmRow, ReactionCountRow, ReactionRow, Write};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};

/// What one guild or DM has in the store.
#[derive(Clone, Default)]
pub struct Rows {
    pub properties: Option<GuildProperties>,
    pub roles: BTreeMap<RoleId, Role>,
    pub channels: BTreeMap<ChannelId, Channel>,
    pub members: BTreeMap<UserId, MemberRow>,
    pub invites: BTreeMap<String, InviteRow>,
    pub messages: BTreeMap<(ChannelId, MessageId), MessageRow>,
    pub reactions: Vec<ReactionRow>,
    pub counts: Vec<ReactionCountRow>,
    pub pins: BTreeMap<(ChannelId, MessageId), Timestamp>,
    pub dm: Option<DmRow>,
    pub listings: BTreeSet<UserId>,
    /// Accounts: of everybody, members or not.
    pub users: BTreeMap<UserId, User>,
    pub codes_given: u32,
    pub stage_instances: BTreeMap<ChannelId, StageInstance>,
    pub audit_log: Vec<AuditLogRow>,
    /// Whom each has blocked.
    pub blocked: BTreeMap<UserId, Vec<UserId>>,
}

impl Rows {
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::PutGuild(properties) => self.properties = Some(properties),
            Write::DeleteGuild(_) => *self = Self { users: std::mem::take(&mut self.users), ..Self::default() },
            Write::PutChannel(channel) => drop(self.channels.insert(channel.id, channel)),
            Write::DeleteChannel { channel_id, .. } => {
                self.channels.remove(&channel_id);
                self.stage_instances.remove(&channel_id);
                self.messages.retain(|(channel, _), _| *channel != channel_id);
                self.dm = None;
            }
            Write::PutRole { role, .. } => drop(self.roles.insert(role.id, role)),
            Write::DeleteRole { role_id, .. } => drop(self.roles.remove(&role_id)),
            Write::PutMember(row) => drop(self.members.insert(row.user_id, row)),
            Write::DeleteMember { user_id, .. } => drop(self.members.remove(&user_id)),
            Write::PutInvite(row) => drop(self.invites.insert(row.code.clone(), row)),
            Write::DeleteInvite { code, .. } => drop(self.invites.remove(&code)),
            Write::PutMessage(row) => drop(self.messages.insert((row.channel_id, row.id), row)),
            Write::DeleteMessage { channel_id, message_id } => {
                self.messages.remove(&(channel_id, message_id));
                self.pins.remove(&(channel_id, message_id));
                self.counts.retain(|row| row.message_id != message_id);
                self.reactions.retain(|row| row.message_id != message_id);
            }
            Write::PutReaction(row) => self.reactions.push(row),
            Write::DeleteReaction(row) => self.reactions.retain(|other| *other != row),
            Write::PutReactionCount(row) => {
                self.counts.retain(|other| (other.message_id, &other.emoji) != (row.message_id, &row.emoji));
                self.counts.push(row);
            }
            Write::DeleteReactionCount { message_id, emoji, .. } => {
                self.counts.retain(|row| (row.message_id, &row.emoji) != (message_id, &emoji));
            }
            Write::ClearReactions { message_id, emoji, .. } => {
                let is_meant = |id: MessageId, other: &ReactionEmoji| {
                    id == message_id && emoji.as_ref().is_none_or(|emoji| emoji == other)
                };
                self.counts.retain(|row| !is_meant(row.message_id, &row.emoji));
                self.reactions.retain(|row| !is_meant(row.message_id, &row.emoji));
            }
            Write::PutPin { channel_id, message_id, pinned_at } => {
                self.pins.insert((channel_id, message_id), pinned_at);
            }
            Write::DeletePin { channel_id, message_id } => drop(self.pins.remove(&(channel_id, message_id))),
            Write::PutDm(row) => self.dm = Some(row),
            Write::PutDmListing { user_id, .. } => drop(self.listings.insert(user_id)),
            Write::DeleteDmListing { user_id, .. } => drop(self.listings.remove(&user_id)),
            Write::DeleteUnique { .. } => {}
            Write::PutStageInstance(stage) => drop(self.stage_instances.insert(stage.channel_id, stage)),
            Write::DeleteStageInstance { channel_id, .. } => drop(self.stage_instances.remove(&channel_id)),
            Write::PutAuditLogEntry(entry) => self.audit_log.push(entry),
            other => panic!("the guild's core has no business with {other:?}"),
        }
    }

    /// Reads what the core needs.
    pub fn fill(&mut self, need: Need, given: &mut Given) {
        match need {
            Need::Message(channel, id) => {
                given.messages.insert((channel, id), self.messages.get(&(channel, id)).cloned());
            }
            Need::ReactionCounts(channel, id) => {
                let rows = self.counts.iter().filter(|row| row.message_id == id).cloned().collect();
                given.reaction_counts.insert((channel, id), rows);
            }
            Need::OwnReactions(channel, id, user) => {
                let own = self.reactions.iter().filter(|row| (row.message_id, row.user_id) == (id, user));
                given.own_reactions.insert((channel, id, user), own.map(|row| row.emoji.clone()).collect());
            }
            Need::Pins(channel) => {
                let pins = self.pins.iter().filter(|((of, _), _)| *of == channel);
                given.pins.insert(channel, pins.map(|((_, id), at)| (*id, *at)).collect());
            }
            Need::User(id) => drop(given.users.insert(id, self.users.get(&id).cloned())),
            Need::Blocked(id) => drop(given.blocked.insert(id, self.blocked.get(&id).cloned().unwrap_or_default())),
            Need::InviteCode => {
                self.codes_given += 1;
                given.invite_code = Some(format!("code{}", self.codes_given));
            }
        }
    }

    /// The rows of the guild, to load it anew.
    pub fn guild_state(&self) -> GuildState {
        let user = |id: &UserId| self.users.get(id).cloned().unwrap_or_else(|| User::new(*id, "deleted_user"));
        let last = |id: ChannelId| {
            self.messages
                .range((id, MessageId::new(0))..=(id, MessageId::new(u64::MAX)))
                .next_back()
                .map(|((_, id), _)| *id)
        };
        let inviters =
            self.invites.values().filter_map(|row| row.inviter_id).filter(|id| !self.members.contains_key(id));
        GuildState {
            properties: self.properties.clone().expect("the guild's row"),
            roles: self.roles.values().cloned().collect(),
            channels: self.channels.values().map(|c| Channel { last_message_id: last(c.id), ..c.clone() }).collect(),
            members: self.members.values().map(|row| (row.clone(), user(&row.user_id))).collect(),
            invites: self.invites.values().cloned().collect(),
            inviters: inviters.map(|id| user(&id)).collect(),
            banned: Vec::new(),
            stage_instances: self.stage_instances.values().cloned().collect(),
        }
    }

    /// The row of the DM, to load it anew.
    pub fn dm_state(&self) -> DmState {
        let row = self.dm.clone().expect("the DM's row");
        let users = row.user_ids.iter().filter_map(|id| self.users.get(id).cloned()).collect();
        let call_message = row.call_message_id.and_then(|id| self.messages.get(&(row.channel.id, id)).cloned());
        DmState { row, users, call_message }
    }

    pub fn guild_id(&self) -> GuildId {
        self.properties.as_ref().expect("the guild's row").id
    }
}
