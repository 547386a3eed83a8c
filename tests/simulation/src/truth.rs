//! What a viewer may see, and what they are to be told of a change: brute force over the rows, by the API's
//! documentation, without a line of the cores.

use std::collections::BTreeMap;

use rookery_guild::Subscriber;
use rookery_model::call::Call;
use rookery_model::channel::{Channel, OverwriteType};
use rookery_model::gateway::Intents;
use rookery_model::member::MemberRow;
use rookery_model::message::{MessageRow, MessageType};
use rookery_model::store::Write;
use rookery_model::{ChannelId, MessageId, RoleId, Timestamp, UserId};

use crate::fact::{Change, Fact, MemberFact, MessageFact, Snapshot};
use crate::store::{GuildRows, Rows};

const ADMINISTRATOR: u64 = 1 << 3;
const MANAGE_CHANNELS: u64 = 1 << 4;
const VIEW_CHANNEL: u64 = 1 << 10;
const READ_MESSAGE_HISTORY: u64 = 1 << 16;
const CONNECT: u64 = 1 << 20;

/// The permissions of a member in a channel ("Permission Overwrites", "Implicit Permissions" and "Permissions for Timed
/// Out Members" of the API's documentation), as far as they decide who hears of what.
pub fn permissions(rows: &GuildRows, now: Timestamp, user: UserId, channel: &Channel) -> u64 {
    let Some(member) = rows.members.get(&user) else { return 0 };
    if rows.properties.owner_id == user {
        return u64::MAX;
    }
    let everyone = RoleId(rows.properties.id.0);
    let has = |id: RoleId| id == everyone || member.roles.contains(&id);
    let mut bits = 0;
    for role in rows.roles.values().filter(|role| has(role.id)) {
        bits |= role.permissions.bits();
    }
    if bits & ADMINISTRATOR != 0 {
        return u64::MAX;
    }
    let (mut deny_roles, mut allow_roles) = (0, 0);
    for overwrite in channel.permission_overwrites.iter().filter(|o| o.kind == OverwriteType::Role) {
        if overwrite.id == everyone.0 {
            bits = bits & !overwrite.deny.bits() | overwrite.allow.bits();
        } else if has(RoleId(overwrite.id)) {
            deny_roles |= overwrite.deny.bits();
            allow_roles |= overwrite.allow.bits();
        }
    }
    bits = bits & !deny_roles | allow_roles;
    for overwrite in channel.permission_overwrites.iter().filter(|o| o.kind == OverwriteType::Member) {
        if overwrite.id == user.0 {
            bits = bits & !overwrite.deny.bits() | overwrite.allow.bits();
        }
    }
    if member.communication_disabled_until.is_some_and(|until| until > now) {
        bits &= VIEW_CHANNEL | READ_MESSAGE_HISTORY;
    }
    if bits & VIEW_CHANNEL == 0 { 0 } else { bits }
}

/// Whether a member sees that a channel is there.
pub fn sees(rows: &GuildRows, user: UserId, channel: &Channel) -> bool {
    // A time-out takes away nothing of that.
    permissions(rows, Timestamp(i64::MAX), user, channel) & VIEW_CHANNEL != 0
}

/// Whether what is written in a channel now is for a member: the text of a voice channel is for those who may connect.
pub fn reads(rows: &GuildRows, now: Timestamp, user: UserId, channel: &Channel) -> bool {
    let bits = permissions(rows, now, user, channel);
    bits & VIEW_CHANNEL != 0 && (!channel.kind.is_voice_based() || bits & CONNECT != 0)
}

/// Whether a session asked for events of this group.
pub fn wants(viewer: &Subscriber, intent: Intents) -> bool {
    viewer.intents.is_none_or(|intents| intents.contains(intent))
}

/// Without what messages and pins change, which have events of their own.
pub fn plain(channel: &Channel) -> Channel {
    Channel { last_message_id: None, last_pin_timestamp: None, ..channel.clone() }
}

/// A change of a guild that was decided, between the rows before and after it.
pub struct Decided<'a> {
    pub before: &'a GuildRows,
    /// None: the guild was deleted.
    pub after: Option<&'a GuildRows>,
    pub writes: &'a [Write],
    pub messages_before: &'a BTreeMap<(ChannelId, MessageId), MessageRow>,
    pub call: &'a Call,
    pub caller: UserId,
    pub now: Timestamp,
    pub names: &'a BTreeMap<UserId, String>,
}

impl Decided<'_> {
    /// What a session that was subscribed before the change is to be told of it, in any order.
    pub fn facts_for(&self, viewer: &Subscriber) -> Vec<Fact> {
        let guild_id = self.before.properties.id;
        let stays = self.after.filter(|after| after.members.contains_key(&viewer.user_id));
        let Some(after) = stays else {
            return if wants(viewer, Intents::GUILDS) { vec![Fact::GuildDelete(guild_id)] } else { Vec::new() };
        };
        let mut facts = Vec::new();
        if wants(viewer, Intents::GUILDS) {
            self.tell_of_guild(after, &mut facts);
            self.tell_of_channels(viewer.user_id, after, &mut facts);
        }
        self.tell_of_members(viewer, after, &mut facts);
        self.tell_of_messages(viewer, after, &mut facts);
        self.tell_of_invites(viewer, after, &mut facts);
        facts
    }

    fn tell_of_guild(&self, after: &GuildRows, facts: &mut Vec<Fact>) {
        if self.before.properties != after.properties {
            facts.push(Fact::GuildUpdate(Box::new(after.properties.clone())));
        }
        for write in self.writes {
            match write {
                Write::PutRole { role, .. } => {
                    let is_new = !self.before.roles.contains_key(&role.id);
                    let change = if is_new { Change::Create } else { Change::Update };
                    facts.push(Fact::Role(change, Box::new(role.clone())));
                }
                Write::DeleteRole { role_id, .. } => facts.push(Fact::RoleDelete(*role_id)),
                _ => {}
            }
        }
    }

    fn tell_of_channels(&self, user: UserId, after: &GuildRows, facts: &mut Vec<Fact>) {
        let seen = |rows: &GuildRows, id: ChannelId| {
            rows.channels.get(&id).filter(|channel| sees(rows, user, channel)).map(plain)
        };
        let mut ids: Vec<ChannelId> = self.before.channels.keys().chain(after.channels.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            match (seen(self.before, id), seen(after, id)) {
                (None, Some(new)) => facts.push(Fact::Channel(Change::Create, Box::new(new))),
                (Some(old), None) => facts.push(Fact::Channel(Change::Delete, Box::new(old))),
                (Some(old), Some(new)) if old != new => facts.push(Fact::Channel(Change::Update, Box::new(new))),
                _ => {}
            }
        }
    }

    fn tell_of_members(&self, viewer: &Subscriber, after: &GuildRows, facts: &mut Vec<Fact>) {
        let follows = wants(viewer, Intents::GUILD_MEMBERS);
        for write in self.writes {
            match write {
                Write::PutMember(row) if follows || row.user_id == viewer.user_id => {
                    let is_new = !self.before.members.contains_key(&row.user_id);
                    let change = if is_new { Change::Create } else { Change::Update };
                    facts.push(Fact::Member(change, Box::new(member_fact(after, row, self.names))));
                }
                Write::DeleteMember { user_id, .. } if follows => facts.push(Fact::MemberRemove(*user_id)),
                _ => {}
            }
        }
    }

    fn tell_of_messages(&self, viewer: &Subscriber, after: &GuildRows, facts: &mut Vec<Fact>) {
        let reads = |id: &ChannelId| {
            after.channels.get(id).is_some_and(|channel| reads(after, self.now, viewer.user_id, channel))
        };
        if let Call::TriggerTyping { channel_id } = self.call
            && wants(viewer, Intents::GUILD_MESSAGE_TYPING)
            && reads(channel_id)
        {
            facts.push(Fact::Typing(*channel_id, self.caller));
        }
        if let Call::BulkDeleteMessages { channel_id, .. } = self.call {
            let ids: Vec<MessageId> = self.writes.iter().filter_map(deleted).collect();
            if wants(viewer, Intents::GUILD_MESSAGES) && reads(channel_id) && !ids.is_empty() {
                facts.push(Fact::MessageDeleteBulk(*channel_id, ids));
            }
            return;
        }
        for write in self.writes {
            match write {
                Write::PutMessage(row) if wants(viewer, Intents::GUILD_MESSAGES) && reads(&row.channel_id) => {
                    let is_new = !self.messages_before.contains_key(&(row.channel_id, row.id));
                    let change = if is_new { Change::Create } else { Change::Update };
                    facts.push(Fact::Message(change, Box::new(self.message_fact(row, viewer))));
                }
                Write::DeleteMessage { channel_id, message_id }
                    if wants(viewer, Intents::GUILD_MESSAGES) && reads(channel_id) =>
                {
                    facts.push(Fact::MessageDelete(*channel_id, *message_id));
                }
                Write::PutReaction(row)
                    if wants(viewer, Intents::GUILD_MESSAGE_REACTIONS) && reads(&row.channel_id) =>
                {
                    facts.push(Fact::Reaction(Change::Create, row.message_id, row.user_id, row.emoji.key()));
                }
                Write::DeleteReaction(row)
                    if wants(viewer, Intents::GUILD_MESSAGE_REACTIONS) && reads(&row.channel_id) =>
                {
                    facts.push(Fact::Reaction(Change::Delete, row.message_id, row.user_id, row.emoji.key()));
                }
                Write::PutPin { channel_id, .. } | Write::DeletePin { channel_id, .. }
                    if wants(viewer, Intents::GUILDS) && reads(channel_id) =>
                {
                    facts.push(Fact::Pins(*channel_id));
                }
                _ => {}
            }
        }
    }

    fn message_fact(&self, row: &MessageRow, viewer: &Subscriber) -> MessageFact {
        let sees_all = wants(viewer, Intents::MESSAGE_CONTENT);
        let concerns =
            |row: &MessageRow| row.author_id == viewer.user_id || row.mention_users.contains(&viewer.user_id);
        let referenced = row.message_reference.as_ref().and_then(|reference| reference.message_id);
        let referenced = referenced.and_then(|id| self.messages_before.get(&(row.channel_id, id)));
        MessageFact {
            referenced_content: sees_all || referenced.is_some_and(concerns),
            ..message_fact(row, sees_all || concerns(row))
        }
    }

    fn tell_of_invites(&self, viewer: &Subscriber, after: &GuildRows, facts: &mut Vec<Fact>) {
        if !wants(viewer, Intents::GUILD_INVITES) {
            return;
        }
        let manages = |rows: &GuildRows, id: ChannelId| {
            let channel = rows.channels.get(&id);
            channel.is_some_and(|c| permissions(rows, self.now, viewer.user_id, c) & MANAGE_CHANNELS != 0)
        };
        for write in self.writes {
            match write {
                Write::PutInvite(row)
                    if !self.before.invites.contains_key(&row.code) && manages(after, row.channel_id) =>
                {
                    facts.push(Fact::Invite(Change::Create, row.code.clone()));
                }
                // One that ran out ends in silence.
                Write::DeleteInvite { code, .. }
                    if matches!(self.call, Call::DeleteChannel { .. } | Call::DeleteInvite { .. }) =>
                {
                    let row = self.before.invites.get(code);
                    if row.is_some_and(|row| manages(self.before, row.channel_id)) {
                        facts.push(Fact::Invite(Change::Delete, code.clone()));
                    }
                }
                _ => {}
            }
        }
    }
}

/// What happened in a DM, for each of its users, in order.
pub fn facts_of_dm(before: &Rows, writes: &[Write], call: &Call, caller: UserId) -> Vec<(UserId, Fact)> {
    let users = before.dm.as_ref().map_or(&[][..], |row| &row.user_ids);
    let mut facts = Vec::new();
    // A DM that was closed comes back before its message does.
    for write in writes {
        if let Write::PutDmListing { user_id, channel_id } = write {
            facts.push((*user_id, Fact::DmCreate(*channel_id)));
        }
    }
    let told_to_all = writes.iter().filter_map(|write| match write {
        Write::PutMessage(row) => {
            let is_new = !before.messages.contains_key(&(row.channel_id, row.id));
            let change = if is_new { Change::Create } else { Change::Update };
            let message = MessageFact { referenced_content: true, ..message_fact(row, true) };
            Some(Fact::Message(change, Box::new(message)))
        }
        Write::DeleteMessage { channel_id, message_id } => Some(Fact::MessageDelete(*channel_id, *message_id)),
        Write::PutReaction(row) => Some(Fact::Reaction(Change::Create, row.message_id, row.user_id, row.emoji.key())),
        Write::DeleteReaction(row) => {
            Some(Fact::Reaction(Change::Delete, row.message_id, row.user_id, row.emoji.key()))
        }
        Write::PutPin { channel_id, .. } | Write::DeletePin { channel_id, .. } => Some(Fact::Pins(*channel_id)),
        _ => None,
    });
    let typing = match call {
        Call::TriggerTyping { channel_id } => Some(Fact::Typing(*channel_id, caller)),
        _ => None,
    };
    for fact in told_to_all.chain(typing) {
        facts.extend(users.iter().map(|id| (*id, fact.clone())));
    }
    for write in writes {
        if let Write::DeleteDmListing { user_id, channel_id } = write {
            facts.push((*user_id, Fact::DmDelete(*channel_id)));
        }
    }
    facts
}

/// What a member is shown as.
pub fn member_fact(rows: &GuildRows, row: &MemberRow, names: &BTreeMap<UserId, String>) -> MemberFact {
    MemberFact {
        user_id: row.user_id,
        name: names.get(&row.user_id).cloned().unwrap_or_default(),
        nick: row.nick.clone(),
        // Rows keep the ids of roles that are gone.
        roles: row.roles.iter().copied().filter(|id| rows.roles.contains_key(id)).collect(),
        timed_out_until: row.communication_disabled_until,
    }
}

/// The snapshot that a session is to get when it subscribes.
pub fn snapshot<'a>(
    rows: &GuildRows,
    viewer: &Subscriber,
    names: &BTreeMap<UserId, String>,
    connected: impl Iterator<Item = &'a Subscriber>,
    is_bot: impl Fn(UserId) -> bool,
) -> Snapshot {
    let is_large = rows.members.len() > viewer.large_threshold as usize;
    let mut members: Vec<UserId> = match (wants(viewer, Intents::GUILD_PRESENCES), is_large) {
        (true, false) => rows.members.keys().copied().collect(),
        // A bot's session gets those who are there besides, and here nobody says that they are.
        (true, true) if viewer.intents.is_none() => {
            let bots = connected.map(|s| s.user_id).filter(|id| is_bot(*id));
            bots.chain([viewer.user_id]).filter(|id| rows.members.contains_key(id)).collect()
        }
        (_, _) => vec![viewer.user_id],
    };
    members.sort_unstable();
    members.dedup();
    let members = members.iter().filter_map(|id| rows.members.get(id)).map(|row| member_fact(rows, row, names));
    let seen = rows.channels.values().filter(|channel| sees(rows, viewer.user_id, channel));
    Snapshot {
        properties: rows.properties.clone(),
        roles: rows.roles.values().cloned().collect(),
        channels: seen.map(plain).collect(),
        members: members.collect(),
        member_count: rows.members.len(),
    }
}

fn message_fact(row: &MessageRow, with_content: bool) -> MessageFact {
    MessageFact {
        channel_id: row.channel_id,
        id: row.id,
        author_id: row.author_id,
        content: if with_content { row.content.clone() } else { String::new() },
        mentions: row.mention_users.clone(),
        pinned: row.pinned,
        is_reply: row.kind == MessageType::Reply,
        referenced_content: false,
    }
}

fn deleted(write: &Write) -> Option<MessageId> {
    match write {
        Write::DeleteMessage { message_id, .. } => Some(*message_id),
        _ => None,
    }
}
