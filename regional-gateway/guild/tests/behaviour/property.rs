//! Random calls by random people: nobody ever hears of what they cannot see, and the caches never lie.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::member_list::list_id;
use rookery_guild::{Audience, Effect, IdSource as _, Outcome, PASSIVE_UPDATE_INTERVAL_MS, SubscriberId};
use rookery_model::call::{
    Call, ChannelPosition, CreateInvite, CreateRole, CreateStageInstance, EditMessage, EmojiRef, ModifyChannel,
    ModifyGuild, ModifyMember, ModifyRole, ModifyStageInstance, ModifyVoiceState, Reply, RolePosition,
};
use rookery_model::channel::{ChannelType, Overwrite};
use rookery_model::gateway::event::EventData;
use rookery_model::gateway::{
    Capabilities, Event, GuildMemberListUpdate, Intents, MemberGroupId, MemberListItem, MemberListOp, Status,
    StreamAction, StreamKey, Subscription, VoiceStateUpdate,
};
use rookery_model::permissions::{base_permissions, channel_permissions};
use rookery_model::{ChannelId, MessageId, Patch, Permissions, RoleId, Timestamp, UserId, VoiceServerId};

use crate::member_list_ops::Client;
use crate::mirror::{Mirror, channel_of, plain};
use crate::rng::Rng;
use crate::store::Rows;
use crate::streams::as_session;
use crate::world::*;

const PEOPLE: [UserId; 5] = [OWNER, ALICE, BOB, BOT, STRANGER];
/// Members who are never connected, and may be online all the same.
const OTHERS: [UserId; 6] =
    [UserId::new(201), UserId::new(202), UserId::new(203), UserId::new(204), UserId::new(205), UserId::new(206)];

/// The permission computation of the API's documentation, without any cache.
fn plain_permissions(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> Permissions {
    let properties = rows.properties.as_ref().expect("the guild");
    let (Some(member), Some(channel)) = (rows.members.get(&user), rows.channels.get(&channel)) else {
        return Permissions::empty();
    };
    let roles: Vec<RoleId> = member.roles.iter().copied().filter(|id| rows.roles.contains_key(id)).collect();
    let everyone = rows.roles[&RoleId::from(properties.id)].permissions;
    let base = base_permissions(properties.owner_id, user, everyone, roles.iter().map(|id| &rows.roles[id]));
    let until = member.communication_disabled_until;
    channel_permissions(base, properties.id, user, &roles, &channel.permission_overwrites, until, now)
}

fn sees(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> bool {
    plain_permissions(rows, now, user, channel).contains(Permissions::VIEW_CHANNEL)
}

/// Whether what is written in a channel is for the user: a voice channel's text wants CONNECT as well.
fn reads(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> bool {
    let permissions = plain_permissions(rows, now, user, channel);
    let is_voice = rows.channels.get(&channel).is_some_and(|channel| channel.kind.is_voice_based());
    permissions.contains(Permissions::VIEW_CHANNEL) && (!is_voice || permissions.contains(Permissions::CONNECT))
}

/// Whether an event tells what is written in a channel, and not of the channel itself.
fn is_text(event: &Event) -> bool {
    !matches!(
        event,
        Event::ChannelCreate(_)
            | Event::ChannelUpdate(_)
            | Event::ChannelDelete(_)
            | Event::InviteCreate(_)
            | Event::InviteDelete(_)
            | Event::VoiceStateUpdate(_)
            | Event::StageInstanceCreate(_)
            | Event::StageInstanceUpdate(_)
            | Event::StageInstanceDelete(_)
            | Event::StreamCreate(_)
            | Event::StreamUpdate(_)
            | Event::StreamDelete(_)
    )
}

/// Events that a session gets only of a guild it looks at.
fn is_lively(event: &Event) -> bool {
    ["MESSAGE_", "TYPING_", "GUILD_MEMBER_", "CHANNEL_PINS"].iter().any(|name| event.name().starts_with(name))
}

/// What a session of a guild that it does not look at knows of the channels.
#[derive(Default)]
struct Passive {
    newest: BTreeMap<ChannelId, Option<MessageId>>,
}

impl Passive {
    /// Whether it was a delta.
    fn take(&mut self, event: &Event) -> bool {
        let changed = match event {
            Event::GuildCreate(guild) => {
                self.newest = guild.channels.iter().map(|c| (c.id, c.last_message_id)).collect();
                return false;
            }
            Event::ChannelCreate(channel) | Event::ChannelUpdate(channel) => {
                self.newest.insert(channel.id, channel.last_message_id);
                return false;
            }
            Event::ChannelDelete(channel) => {
                self.newest.remove(&channel.id);
                return false;
            }
            Event::PassiveUpdateV1(update) => &update.channels,
            Event::PassiveUpdateV2(update) => &update.updated_channels,
            _ => return false,
        };
        for channel in changed {
            let known = self.newest.get_mut(&channel.id).expect("a delta of a channel that it views");
            *known = channel.last_message_id;
        }
        true
    }
}

/// What a session looks at, and what it was told of that.
#[derive(Default)]
struct Looker {
    channels: BTreeMap<ChannelId, Vec<[u32; 2]>>,
    lists: BTreeMap<String, Client<MemberListItem>>,
}

impl Looker {
    fn take(&mut self, update: &GuildMemberListUpdate) {
        let held = self.lists.entry(update.id.clone()).or_default();
        for op in &update.ops {
            match op.clone() {
                MemberListOp::Sync { range, items } => held.sync(range, &items),
                MemberListOp::Insert { index, item } => held.insert(index, item),
                MemberListOp::Update { index, item } => held.update(index, item),
                MemberListOp::Delete { index } => held.delete(index),
                MemberListOp::Invalidate { range } => held.invalidate(range),
            }
        }
        assert!(update.groups.iter().all(|group| group.count > 0));
    }

    /// Nothing may come of a list all of whose channels it lost: what it had of it is void.
    fn forget_unseen(&mut self, rows: &Rows, now: Timestamp, user: UserId) {
        let seen = self.channels.keys().filter(|id| sees(rows, now, user, **id));
        let ids: BTreeSet<String> = seen.map(|id| id_of(rows, *id)).collect();
        for (id, held) in &self.lists {
            assert!(ids.contains(id) || !held.is_fresh(), "{user} was told of {id}, which it may not look at");
        }
        self.lists.retain(|id, _| ids.contains(id));
        self.lists.values_mut().for_each(Client::age);
    }
}

fn id_of(rows: &Rows, channel: ChannelId) -> String {
    let guild_id = rows.guild_id();
    let everyone = rows.roles[&RoleId::from(guild_id)].permissions;
    let views = everyone.intersects(Permissions::VIEW_CHANNEL | Permissions::ADMINISTRATOR);
    list_id(guild_id, views, &rows.channels[&channel])
}

/// A header or a member with what is shown of them.
type Short = Result<(MemberGroupId, u32), (UserId, Option<String>, Vec<RoleId>, Status)>;

/// Roles that are gone a client takes out itself when it hears of that.
fn short(rows: &Rows, item: &MemberListItem) -> Short {
    match item {
        MemberListItem::Group(group) => Ok((group.id, group.count)),
        MemberListItem::Member(entry) => {
            let id = entry.member.user.as_ref().expect("a user").id;
            assert_eq!(entry.presence.user.id(), id);
            let roles = entry.member.roles.iter().copied().filter(|id| rows.roles.contains_key(id)).collect();
            Err((id, entry.member.nick.clone(), roles, entry.presence.status))
        }
    }
}

/// The list of a channel as anybody would write it down.
fn truth(rows: &Rows, now: Timestamp, statuses: &BTreeMap<UserId, Status>, channel: ChannelId) -> Vec<Short> {
    let mut hoisted: Vec<_> = rows.roles.values().filter(|role| role.hoist).collect();
    hoisted.sort_by_key(|role| (std::cmp::Reverse(role.position), role.id));
    let mut sorted: Vec<((usize, String, UserId), MemberGroupId, Short)> = Vec::new();
    for (id, row) in rows.members.iter().filter(|(id, _)| sees(rows, now, **id, channel)) {
        let status = statuses.get(id).copied().unwrap_or(Status::Offline);
        let place = hoisted.iter().position(|role| row.roles.contains(&role.id));
        let (order, group) = match (status, place) {
            (Status::Offline, _) => (usize::MAX, MemberGroupId::Offline),
            (_, Some(place)) => (place, MemberGroupId::Role(hoisted[place].id)),
            (_, None) => (usize::MAX - 1, MemberGroupId::Online),
        };
        let name = row.nick.clone().unwrap_or_else(|| rows.users[id].username.clone()).to_lowercase();
        let roles = row.roles.iter().copied().filter(|role| rows.roles.contains_key(role)).collect();
        sorted.push(((order, name, *id), group, Err((*id, row.nick.clone(), roles, status))));
    }
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut items: Vec<Short> = Vec::new();
    let mut last = None;
    for (_, group, item) in &sorted {
        if last != Some(*group) {
            items.push(Ok((*group, sorted.iter().filter(|(_, other, _)| other == group).count() as u32)));
            last = Some(*group);
        }
        items.push(item.clone());
    }
    items
}

struct Run {
    world: World,
    rng: Rng,
    mirrors: Vec<Mirror>,
    newest: BTreeMap<ChannelId, MessageId>,
    accepted: u32,
    /// Texts of voice channels that somebody saw the channel of and must not get.
    withheld: usize,
    looks: BTreeMap<SubscriberId, Looker>,
    passive: BTreeMap<SubscriberId, Passive>,
    statuses: BTreeMap<UserId, Status>,
    /// Operations of member lists, and deltas, that were carried out.
    told: [usize; 2],
    /// Changes of who is in which voice channel, by their own wish.
    joined: usize,
    /// Streams that began, and those who came to watch one.
    streamed: [usize; 2],
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            world: World::new(),
            rng: Rng(seed),
            mirrors: vec![],
            newest: BTreeMap::new(),
            accepted: 0,
            withheld: 0,
            looks: BTreeMap::new(),
            passive: BTreeMap::new(),
            statuses: BTreeMap::new(),
            told: [0; 2],
            joined: 0,
            streamed: [0; 2],
        };
        for id in OTHERS {
            run.world.rows.users.insert(id, user(id));
            run.world.rows.members.insert(id, member_row(run.world.guild_id(), id, run.world.now));
        }
        run.world.reload();
        let all = Intents::all();
        for (user, intents) in [(OWNER, None), (ALICE, None), (BOB, None), (BOT, Some(all)), (ALICE, Some(all))] {
            run.subscribe(user, intents);
        }
        run.subscribe_passive(BOB, Capabilities::PASSIVE_GUILD_UPDATE_V2);
        run.subscribe_passive(ALICE, Capabilities::PASSIVE_GUILD_UPDATE);
        run
    }

    fn subscribe_passive(&mut self, user: UserId, capabilities: Capabilities) {
        let (id, outcome) = self.world.subscribe_with(user, None, capabilities);
        self.mirrors.push(Mirror::new(id, user));
        self.passive.insert(id, Passive::default());
        self.deliver(&outcome);
    }

    fn subscribe(&mut self, user: UserId, intents: Option<Intents>) {
        let (id, outcome) = self.world.subscribe(user, intents);
        self.mirrors.push(Mirror::new(id, user));
        if intents.is_none() {
            self.looks.insert(id, Looker::default());
        }
        self.deliver(&outcome);
    }

    /// A session looks at other channels, or other ranges of them.
    fn look(&mut self) {
        let ids: Vec<SubscriberId> = self.looks.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = self.rng.pick(&ids);
        let mut channels = BTreeMap::new();
        for _ in 0..self.rng.below(3) {
            let ranges = [vec![[0, 99]], vec![[0, 2]], vec![[0, 3], [6, 8]], vec![[0, 0], [2, 3], [5, 30]]];
            channels.insert(self.channel(), ranges[self.rng.below(ranges.len())].clone());
        }
        let wanted = Subscription { typing: Some(true), channels: Some(channels.clone()), ..Subscription::default() };
        let outcome = self.world.core.set_subscriptions(id, &wanted);
        self.looks.get_mut(&id).expect("it").channels = channels;
        for dispatch in &outcome.dispatches {
            assert_eq!(dispatch.audience, Audience::Subscribers([id].into()), "for that session alone");
        }
        self.deliver(&outcome);
    }

    fn status(&mut self) {
        let user = if self.rng.chance(70) { self.rng.pick(&OTHERS) } else { self.rng.pick(&PEOPLE) };
        let status = self.rng.pick(&[Status::Online, Status::Idle, Status::Dnd, Status::Offline]);
        let outcome = self.world.status(user, status);
        if self.world.core.is_member(user) {
            self.statuses.insert(user, status);
        }
        self.deliver(&outcome);
    }

    fn come_and_go(&mut self) {
        let ids: Vec<SubscriberId> = self.looks.keys().copied().collect();
        if !ids.is_empty() && self.rng.chance(50) {
            let id = self.rng.pick(&ids);
            let outcome = self.world.core.unsubscribe(id);
            self.looks.remove(&id);
            self.mirrors.retain(|mirror| mirror.id != id);
            self.deliver(&outcome);
        } else {
            let user = self.rng.pick(&PEOPLE);
            if self.world.core.is_member(user) && self.mirrors.len() < 12 {
                self.subscribe(user, None);
            }
        }
    }

    /// The deltas come that are due.
    fn pass_interval(&mut self) {
        self.world.pass_ms(PASSIVE_UPDATE_INTERVAL_MS as u64);
        let outcome = self.world.core.handle_passive_timeout(self.world.now);
        assert_eq!(self.world.core.poll_passive_timeout(), None);
        self.deliver(&outcome);
        let owner = self.world.rows.properties.as_ref().expect("it").owner_id;
        let channels: Vec<ChannelId> = self.world.rows.channels.keys().copied().collect();
        for channel_id in channels {
            let Reply::Channel(channel) = self.world.ok(owner, Call::GetChannel { channel_id }).reply else { panic!() };
            let (rows, now) = (&self.world.rows, self.world.now);
            for mirror in self.mirrors.iter().filter(|m| sees(rows, now, m.user_id, channel_id)) {
                let Some(passive) = self.passive.get(&mirror.id) else { continue };
                assert_eq!(passive.newest.get(&channel_id), Some(&channel.last_message_id), "of {channel_id}");
            }
        }
    }

    fn channel(&mut self) -> ChannelId {
        let ids: Vec<ChannelId> = self.world.rows.channels.keys().copied().collect();
        if ids.is_empty() || self.rng.chance(2) { ChannelId::new(9) } else { self.rng.pick(&ids) }
    }

    fn role(&mut self) -> RoleId {
        let ids: Vec<RoleId> = self.world.rows.roles.keys().copied().collect();
        self.rng.pick(&ids)
    }

    fn message(&mut self) -> (ChannelId, MessageId) {
        let ids: Vec<_> = self.world.rows.messages.keys().copied().collect();
        if ids.is_empty() { (self.channel(), MessageId::new(1)) } else { self.rng.pick(&ids) }
    }

    fn overwrite(&mut self) -> Overwrite {
        let (allow, deny) = (self.rng.permissions(), self.rng.permissions());
        if self.rng.chance(30) {
            let user = self.rng.pick(&PEOPLE);
            return for_member(user, allow, deny);
        }
        for_role(self.role(), allow, deny)
    }

    fn call(&mut self) -> Call {
        let guild_id = self.world.guild_id();
        let user_id = self.rng.pick(&PEOPLE);
        match self.rng.below(29) {
            26 | 27 => {
                let (user_id, nick) = (self.rng.pick(&OTHERS), format!("{}", self.rng.below(30)));
                let changes = ModifyMember { nick: Patch::Set(nick), ..ModifyMember::default() };
                Call::ModifyMember { guild_id, user_id, changes }
            }
            28 => Call::AddMemberRole { guild_id, user_id: self.rng.pick(&OTHERS), role_id: self.role() },
            0..=4 => {
                let text = match self.rng.below(4) {
                    0 => format!("<@{user_id}> <@&{}> @everyone", self.role()),
                    1 => format!("<@{user_id}>"),
                    2 => format!("<@&{}>", self.role()),
                    _ => "to nobody".into(),
                };
                Call::CreateMessage(Box::new(message(self.channel(), &text)))
            }
            5 | 6 => Call::PutOverwrite { channel_id: self.channel(), overwrite: self.overwrite() },
            7 => {
                let channel_id = self.channel();
                let of = self.world.rows.channels.get(&channel_id).map_or(vec![], |c| c.permission_overwrites.clone());
                let overwrite_id = of.first().map_or(user_id.0, |o| o.id);
                Call::DeleteOverwrite { channel_id, overwrite_id }
            }
            8 => {
                let voice = self.rng.pick(&[ChannelType::GuildVoice, ChannelType::GuildStageVoice]);
                let kinds = [ChannelType::GuildText, voice, ChannelType::GuildCategory];
                let mut wanted = channel("Some Name", self.rng.pick(&kinds));
                if self.rng.chance(40) {
                    wanted.parent_id = Some(self.channel());
                }
                if self.rng.chance(40) {
                    wanted.permission_overwrites = vec![self.overwrite(), self.overwrite()];
                }
                Call::CreateGuildChannel { guild_id, channel: Box::new(wanted) }
            }
            9 if self.world.rows.channels.len() > 3 => Call::DeleteChannel { channel_id: self.channel() },
            9 | 10 => {
                let permission_overwrites =
                    if self.rng.chance(50) { Patch::Set(vec![self.overwrite()]) } else { Patch::Keep };
                let changes = ModifyChannel {
                    name: Some(format!("n{}", self.rng.below(9))),
                    parent_id: if self.rng.chance(30) { Patch::Set(self.channel()) } else { Patch::Keep },
                    permission_overwrites,
                    ..ModifyChannel::default()
                };
                Call::ModifyChannel { channel_id: self.channel(), changes: Box::new(changes) }
            }
            11 => {
                let permissions = Some(self.rng.permissions());
                let (hoist, mentionable) = (self.rng.chance(50), self.rng.chance(50));
                Call::CreateRole {
                    guild_id,
                    role: CreateRole { permissions, hoist, mentionable, ..CreateRole::default() },
                }
            }
            12 => {
                let permissions = Patch::Set(self.rng.permissions() | Permissions::VIEW_CHANNEL);
                let hoist = if self.rng.chance(30) { Patch::Set(self.rng.chance(50)) } else { Patch::Keep };
                let changes = ModifyRole { permissions, hoist, ..ModifyRole::default() };
                Call::ModifyRole { guild_id, role_id: self.role(), changes }
            }
            13 => Call::DeleteRole { guild_id, role_id: self.role() },
            14 | 15 => Call::AddMemberRole { guild_id, user_id, role_id: self.role() },
            16 => Call::RemoveMemberRole { guild_id, user_id, role_id: self.role() },
            17 => {
                let id = self.role();
                let positions = vec![RolePosition { id, position: Some(self.rng.below(5) as u32) }];
                Call::ModifyRolePositions { guild_id, positions }
            }
            18 => {
                let id = self.channel();
                let parent_id = if self.rng.chance(50) { Patch::Set(self.channel()) } else { Patch::Clear };
                let positions = vec![ChannelPosition { id, position: Some(1), lock_permissions: true, parent_id }];
                Call::ModifyChannelPositions { guild_id, positions }
            }
            19 => {
                let until = Timestamp(self.world.now.0 + 30_000_000);
                let changes =
                    ModifyMember { communication_disabled_until: Patch::Set(until), ..ModifyMember::default() };
                Call::ModifyMember { guild_id, user_id, changes }
            }
            20 => {
                let owner_id = self.rng.chance(10).then_some(user_id);
                let changes = ModifyGuild { owner_id, name: Some("renamed".into()), ..ModifyGuild::default() };
                Call::ModifyGuild { guild_id, changes: Box::new(changes) }
            }
            21 => {
                let invite = CreateInvite { max_age: 0, max_uses: 0, temporary: false, unique: false };
                Call::CreateInvite { channel_id: self.channel(), invite }
            }
            22 => match self.world.rows.invites.keys().next().cloned() {
                Some(code) => Call::AcceptInvite { code },
                None if self.rng.chance(30) => Call::LeaveGuild { guild_id },
                None => Call::KickMember { guild_id, user_id },
            },
            23 => {
                let (channel_id, message_id) = self.message();
                match self.rng.below(3) {
                    0 => Call::PinMessage { channel_id, message_id },
                    1 => Call::UnpinMessage { channel_id, message_id },
                    _ => Call::DeleteMessage { channel_id, message_id },
                }
            }
            24 => {
                let (channel_id, message_id) = self.message();
                let emoji = EmojiRef::Unicode(self.rng.pick(&["👍", "🎉"]).into());
                if self.rng.chance(50) {
                    Call::AddReaction { channel_id, message_id, emoji }
                } else {
                    Call::RemoveReaction { channel_id, message_id, emoji, user_id: None }
                }
            }
            _ => {
                let (channel_id, message_id) = self.message();
                Call::EditMessage(Box::new(EditMessage {
                    channel_id,
                    message_id,
                    content: Patch::Set("edited".into()),
                    embeds: Patch::Keep,
                    flags: Patch::Keep,
                    allowed_mentions: Patch::Keep,
                }))
            }
        }
    }

    fn step(&mut self) {
        if self.rng.chance(5) {
            self.world.pass_ms(10_000);
        }
        if self.rng.chance(2) {
            self.reload();
        }
        match self.rng.below(100) {
            0..=14 => self.look(),
            15..=34 => self.status(),
            35..=39 => self.come_and_go(),
            40..=49 => self.pass_interval(),
            _ => {}
        }
        if self.rng.chance(15) {
            self.voice();
        }
        if self.rng.chance(50) {
            self.stream();
        }
        let call = if self.rng.chance(8) { self.stage() } else { self.call() };
        let by = if self.rng.chance(50) {
            self.world.rows.properties.as_ref().expect("it").owner_id
        } else {
            self.rng.pick(&PEOPLE)
        };
        let rows_before = self.world.rows.clone();
        let audience_before: Vec<(UserId, bool)> = self.mirrors.iter().map(|m| (m.user_id, m.is_in)).collect();
        match self.world.call(by, call.clone()) {
            Ok(outcome) => {
                self.accepted += 1;
                self.check_ids(&outcome);
                self.check_audiences(&outcome, &rows_before);
                self.deliver(&outcome);
            }
            Err(error) => assert!((400..500).contains(&error.status), "{call:?}: {error}"),
        }
        for (mirror, (_, was_in)) in self.mirrors.iter().zip(audience_before) {
            assert!(was_in || !mirror.is_in, "nobody comes back unasked");
        }
        self.rejoin();
        self.check_state(&call);
        self.check_streams(&call);
        self.check_lists();
    }

    /// A stage goes live, gets another topic or ends, or somebody comes onto it or goes off.
    fn stage(&mut self) -> Call {
        let stages = self.world.rows.channels.values().filter(|c| c.kind == ChannelType::GuildStageVoice);
        let stages: Vec<ChannelId> = stages.map(|channel| channel.id).collect();
        let channel_id = if stages.is_empty() { self.channel() } else { self.rng.pick(&stages) };
        let guild_id = self.world.guild_id();
        match self.rng.below(6) {
            0..=2 => Call::CreateStageInstance(CreateStageInstance {
                channel_id,
                topic: "topic".into(),
                privacy_level: 2,
                send_start_notification: self.rng.chance(50),
            }),
            3 => {
                let topic = Some(format!("topic {}", self.rng.below(3)));
                Call::ModifyStageInstance { channel_id, changes: ModifyStageInstance { topic, privacy_level: None } }
            }
            4 => Call::DeleteStageInstance { channel_id },
            _ => {
                let changes = ModifyVoiceState { channel_id: None, suppress: Some(self.rng.chance(50)) };
                Call::ModifyVoiceState { guild_id, user_id: self.rng.pick(&PEOPLE), changes }
            }
        }
    }

    /// Somebody joins, moves between or leaves voice channels.
    fn voice(&mut self) {
        if self.mirrors.is_empty() {
            return;
        }
        let id = self.mirrors[self.rng.below(self.mirrors.len())].id;
        let taken: Vec<ChannelId> = PEOPLE.into_iter().filter_map(|user| self.world.core.voice_channel(user)).collect();
        let update = VoiceStateUpdate {
            guild_id: Some(self.world.guild_id()),
            channel_id: match self.rng.below(10) {
                0 | 1 => None,
                2..=5 if !taken.is_empty() => Some(self.rng.pick(&taken)),
                _ => Some(self.channel()),
            },
            self_mute: self.rng.chance(50),
            self_deaf: false,
            self_video: self.rng.chance(50),
        };
        let before = self.world.rows.clone();
        if let Ok(outcome) = self.world.core.update_voice_state(self.world.now, id, "voice", &update) {
            self.joined += usize::from(!outcome.dispatches.is_empty());
            self.check_audiences(&outcome, &before);
            self.deliver(&outcome);
        }
    }

    /// Somebody streams, watches, pauses or leaves, mostly where they are.
    fn stream(&mut self) {
        if self.mirrors.is_empty() {
            return;
        }
        let in_voice: Vec<(SubscriberId, UserId)> = self
            .mirrors
            .iter()
            .map(|mirror| (mirror.id, mirror.user_id))
            .filter(|(_, user)| self.world.core.voice_channel(*user).is_some())
            .collect();
        let (id, own) = if in_voice.is_empty() || self.rng.chance(5) {
            let mirror = &self.mirrors[self.rng.below(self.mirrors.len())];
            (mirror.id, mirror.user_id)
        } else {
            self.rng.pick(&in_voice)
        };
        let here = self.world.core.voice_channel(own);
        let streams = self.world.core.streams();
        let channel_id = here.filter(|_| self.rng.chance(90)).unwrap_or_else(|| self.channel());
        let near: Vec<UserId> =
            streams.iter().filter(|(key, _)| key.channel_id == channel_id).map(|(key, _)| key.user_id).collect();
        let other = if near.is_empty() { self.rng.pick(&PEOPLE) } else { self.rng.pick(&near) };
        let (user_id, action) = match self.rng.below(10) {
            0..=3 => (own, StreamAction::Create { preferred_region: None }),
            4..=7 => (other, StreamAction::Watch),
            8 => (if self.rng.chance(30) { own } else { other }, StreamAction::Delete),
            _ => (own, StreamAction::SetPaused(self.rng.chance(50))),
        };
        let key = StreamKey { guild_id: Some(self.world.guild_id()), channel_id, user_id };
        let before = self.world.rows.clone();
        let server_id = Some(VoiceServerId(self.world.ids.next_id()));
        if let Ok(outcome) = self.world.core.stream(as_session(id), key, &action, server_id) {
            let begins = |dispatch: &rookery_guild::Dispatch| matches!(&*dispatch.event, Event::StreamCreate(_));
            let place = usize::from(action == StreamAction::Watch);
            self.streamed[place] += outcome.dispatches.iter().filter(|dispatch| begins(dispatch)).count();
            self.check_audiences(&outcome, &before);
            self.deliver(&outcome);
        }
    }

    /// Those who have to do with streams are in their channels, and know who watches; others know who streams.
    fn check_streams(&self, call: &Call) {
        let streams = self.world.core.streams();
        for (key, viewers) in &streams {
            for user in viewers.iter().chain([&key.user_id]) {
                assert_eq!(
                    self.world.core.voice_channel(*user),
                    Some(key.channel_id),
                    "{user} of {key} after {call:?}"
                );
                let own = self.mirrors.iter().filter(|mirror| mirror.user_id == *user);
                let told: Vec<_> = own.filter_map(|mirror| mirror.streams.get(key)).collect();
                assert_eq!(told, [viewers], "{user} of {key} after {call:?}");
            }
        }
        for mirror in &self.mirrors {
            for key in mirror.streams.keys() {
                let is_in = |(known, viewers): &(StreamKey, Vec<UserId>)| {
                    known == key && (key.user_id == mirror.user_id || viewers.contains(&mirror.user_id))
                };
                assert!(streams.iter().any(is_in), "{key} is over for {} after {call:?}", mirror.user_id);
            }
            let streaming: BTreeSet<UserId> =
                streams.iter().map(|(key, _)| key.user_id).filter(|user| mirror.voice.contains_key(user)).collect();
            assert_eq!(mirror.streaming, streaming, "whom {} sees stream after {call:?}", mirror.user_id);
        }
    }

    /// A refused call and a write that was lost both leave what the rows say.
    fn reload(&mut self) {
        self.world.reload();
        (self.looks, self.statuses) = (BTreeMap::new(), BTreeMap::new());
        let (old, passive) = (std::mem::take(&mut self.mirrors), std::mem::take(&mut self.passive));
        for mirror in old.into_iter().filter(|mirror| mirror.is_in) {
            if passive.contains_key(&mirror.id) {
                self.subscribe_passive(mirror.user_id, Capabilities::PASSIVE_GUILD_UPDATE_V2);
            } else {
                self.subscribe(mirror.user_id, None);
            }
            assert_eq!(self.mirrors.last().expect("the new one").channels, mirror.channels, "a reload changes nothing");
        }
    }

    /// Sessions of members who came back subscribe again.
    fn rejoin(&mut self) {
        self.mirrors.retain(|mirror| mirror.is_in);
        self.looks.retain(|id, _| self.mirrors.iter().any(|mirror| mirror.id == *id));
        self.statuses.retain(|user, _| self.world.core.is_member(*user));
        for user in PEOPLE {
            if self.world.core.is_member(user) && self.mirrors.iter().all(|m| m.user_id != user) {
                self.subscribe(user, None);
            }
        }
    }

    fn check_ids(&mut self, outcome: &Outcome) {
        for dispatch in &outcome.dispatches {
            let Event::MessageCreate(event) = &*dispatch.event else { continue };
            let newest = self.newest.entry(event.message.channel_id).or_default();
            assert!(event.message.id >= *newest, "ids of a channel grow");
            *newest = event.message.id;
        }
    }

    /// No event goes to somebody who does not see its channel; none of them is left out.
    fn check_audiences(&mut self, outcome: &Outcome, before: &Rows) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for dispatch in &outcome.dispatches {
            let Audience::Subscribers(ids) = &dispatch.audience else { panic!("guilds know their sessions") };
            assert!(!ids.is_empty() && ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
            for id in ids.iter().filter(|id| self.passive.contains_key(*id)) {
                let user = self.mirrors.iter().find(|m| m.id == *id).expect("a session").user_id;
                let is_own = matches!(&*dispatch.event, Event::GuildMemberUpdate(e) if e.member.user.as_ref().is_some_and(|u| u.id == user));
                let is_quiet = !is_lively(&dispatch.event) || is_own || self.is_mentioned(&dispatch.event, user);
                assert!(is_quiet, "{} for a passive session", dispatch.event.name());
            }
            let users = ids.iter().map(|id| self.mirrors.iter().find(|m| m.id == *id).expect("a session").user_id);
            let (channel, at) = match &*dispatch.event {
                Event::ChannelCreate(c) | Event::ChannelUpdate(c) => (c.id, rows),
                Event::ChannelDelete(c) => (c.id, before),
                // An invite and a live stage end with their channel, while that is still seen.
                Event::InviteDelete(e) => (e.channel_id, before),
                Event::StageInstanceDelete(e) => (e.channel_id, before),
                other => match channel_of(other) {
                    Some(channel) => (channel, rows),
                    None => continue,
                },
            };
            let may = if is_text(&dispatch.event) { reads } else { sees };
            for user in users.clone() {
                assert!(may(at, now, user, channel), "{user} gets {} of {channel}", dispatch.event.name());
            }
            if matches!(&*dispatch.event, Event::MessageCreate(_) | Event::MessageUpdate(_) | Event::MessageDelete(_)) {
                let missing = self.mirrors.iter().filter(|m| {
                    let wants = !self.passive.contains_key(&m.id) || self.is_mentioned(&dispatch.event, m.user_id);
                    wants && reads(rows, now, m.user_id, channel) && !ids.contains(&m.id)
                });
                assert_eq!(missing.count(), 0, "everybody who reads it gets it");
                let blind = |user| sees(rows, now, user, channel) && !reads(rows, now, user, channel);
                self.withheld += self.mirrors.iter().filter(|m| blind(m.user_id)).count();
            }
        }
        for effect in &outcome.effects {
            let Effect::Mentioned { channel_id, user_ids, .. } = effect else { continue };
            assert!(user_ids.iter().all(|user| reads(rows, now, *user, *channel_id)), "{user_ids:?} in {channel_id}");
        }
    }

    /// Whether a new message mentions a user by name, by role or with everybody.
    fn is_mentioned(&self, event: &Event, user: UserId) -> bool {
        let Event::MessageCreate(event) = event else { return false };
        let has_role = |role| self.world.rows.members.get(&user).is_some_and(|member| member.roles.contains(role));
        let message = &event.message;
        message.mention_everyone
            || message.mentions.iter().any(|mentioned| mentioned.id == user)
            || message.mention_roles.iter().any(has_role)
    }

    fn deliver(&mut self, outcome: &Outcome) {
        outcome.dispatches.iter().for_each(|dispatch| survives_transit(&dispatch.event));
        for mirror in &mut self.mirrors {
            for event in events_for(outcome, mirror.id) {
                mirror.take(&event);
                if let Event::GuildMemberListUpdate(update) = &*event {
                    self.told[0] += update.ops.len();
                    self.looks.get_mut(&mirror.id).expect("it looks").take(update);
                }
                if let Some(passive) = self.passive.get_mut(&mirror.id) {
                    self.told[1] += usize::from(passive.take(&event));
                }
            }
        }
        for (id, looker) in &mut self.looks {
            let user = self.mirrors.iter().find(|mirror| mirror.id == *id).expect("a session").user_id;
            looker.forget_unseen(&self.world.rows, self.world.now, user);
        }
    }

    /// Sessions hold the true slice of each list that they look at.
    fn check_lists(&self) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for (id, looker) in &self.looks {
            let viewer = self.mirrors.iter().find(|mirror| mirror.id == *id).expect("a session").user_id;
            let mut positions: BTreeMap<String, (ChannelId, BTreeSet<u32>)> = BTreeMap::new();
            for (channel_id, ranges) in &looker.channels {
                if sees(rows, now, viewer, *channel_id) {
                    let entry = positions.entry(id_of(rows, *channel_id)).or_insert((*channel_id, BTreeSet::new()));
                    entry.1.extend(ranges.iter().flat_map(|[first, last]| *first..=*last));
                }
            }
            for (list, (channel_id, positions)) in positions {
                let truth = truth(rows, now, &self.statuses, channel_id);
                let held = looker.lists.get(&list).unwrap_or_else(|| panic!("{viewer} never got {list}"));
                for position in positions.into_iter().filter(|position| (*position as usize) < truth.len()) {
                    let item = held.get(position).expect("an item");
                    assert_eq!(short(rows, item), truth[position as usize], "at {position} of {list} for {viewer}");
                }
            }
        }
    }

    fn check_state(&self, call: &Call) {
        let (rows, now) = (&self.world.rows, self.world.now);
        for user in PEOPLE {
            for channel in rows.channels.keys() {
                let cached = self.world.core.permissions_in(now, user, *channel);
                assert_eq!(cached, plain_permissions(rows, now, user, *channel), "{user} in {channel} after {call:?}");
            }
        }
        for mirror in &self.mirrors {
            let seen: BTreeMap<_, _> = rows
                .channels
                .values()
                .filter(|channel| sees(rows, now, mirror.user_id, channel.id))
                .map(|channel| (channel.id, plain(channel)))
                .collect();
            assert_eq!(mirror.channels, seen, "what {} knows after {call:?}", mirror.user_id);
            let in_voice: BTreeMap<_, _> = PEOPLE
                .into_iter()
                .filter_map(|user| Some((user, self.world.core.voice_channel(user)?)))
                .filter(|(user, channel)| *user == mirror.user_id || seen.contains_key(channel))
                .collect();
            assert_eq!(mirror.voice, in_voice, "whom {} knows in voice after {call:?}", mirror.user_id);
            let mut live = rows.stage_instances.clone();
            live.retain(|channel, _| seen.contains_key(channel));
            assert_eq!(mirror.stages, live, "which stages {} knows after {call:?}", mirror.user_id);
        }
    }
}

#[test]
fn random_calls_keep_every_promise() {
    let (mut accepted, mut withheld, mut joined, mut told, mut streamed) = (0, 0, 0, [0; 2], [0; 2]);
    for seed in 0..90 {
        let mut run = Run::new(seed);
        for _ in 0..250 {
            run.step();
        }
        (accepted, withheld, joined) = (accepted + run.accepted, withheld + run.withheld, joined + run.joined);
        told = [told[0] + run.told[0], told[1] + run.told[1]];
        streamed = [streamed[0] + run.streamed[0], streamed[1] + run.streamed[1]];
    }
    // A generator that is refused everything proves nothing.
    assert!(accepted > 6_000, "only {accepted} calls were accepted");
    assert!(withheld > 100, "only {withheld} texts of voice channels were withheld");
    assert!(told[0] > 5_000 && told[1] > 200, "only {told:?} operations of member lists and deltas");
    assert!(joined > 300, "only {joined} changes of voice");
    assert!(streamed[0] > 300 && streamed[1] > 100, "only {streamed:?} streams and viewers");
}

#[test]
fn no_text_upsets_the_reader_of_mentions() {
    let mut rng = Rng(7);
    let parts = ["<", "@", "!", "&", ">", "1", "é", "👍", "<@", "<@&", "@everyone", "99999999999999999999", "`"];
    for _ in 0..20_000 {
        let text: String = (0..rng.below(12)).map(|_| rng.pick(&parts)).collect();
        let found = rookery_guild::Mentions::parse(&text);
        assert_eq!(found.everyone, text.contains("@everyone"));
        for id in &found.users {
            assert!(
                text.contains(&format!("<@{id}>"))
                    || text.contains(&format!("<@!{id}>"))
                    || text.contains(id.to_string().trim_start_matches('0')),
                "{text}"
            );
        }
    }
}

/// Clients are told the same after an event was sent to another process.
fn survives_transit(event: &Event) {
    let mut bytes = Vec::new();
    ciborium::into_writer(event, &mut bytes).expect("plain data");
    let there: Event = ciborium::from_reader(bytes.as_slice()).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    let told = |event: &Event| serde_json::to_string(&EventData(event)).expect("plain data");
    assert_eq!(told(&there), told(event));
}
