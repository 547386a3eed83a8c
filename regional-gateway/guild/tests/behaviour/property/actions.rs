//! What random people do.

use std::collections::BTreeMap;

use rookery_guild::{Audience, IdSource as _, PASSIVE_UPDATE_INTERVAL_MS, SubscriberId};
use rookery_model::call::{
    Call, ChannelPosition, CreateInvite, CreateRole, CreateStageInstance, EditMessage, EmojiRef, ModifyChannel,
    ModifyGuild, ModifyMember, ModifyRole, ModifyStageInstance, ModifyVoiceState, Reply, RolePosition,
};
use rookery_model::channel::{ChannelType, Overwrite};
use rookery_model::gateway::{Event, Status, StreamAction, StreamKey, Subscription, VoiceStateUpdate};
use rookery_model::{ChannelId, MessageId, Patch, Permissions, RoleId, Timestamp, UserId, VoiceServerId};

use super::sight::sees;
use super::{OTHERS, PEOPLE, Run};
use crate::streams::as_session;
use crate::world::*;

impl Run {
    /// A session looks at other channels, or other ranges of them.
    pub(super) fn look(&mut self) {
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

    pub(super) fn status(&mut self) {
        let user = if self.rng.chance(70) { self.rng.pick(&OTHERS) } else { self.rng.pick(&PEOPLE) };
        let status = self.rng.pick(&[Status::Online, Status::Idle, Status::Dnd, Status::Offline]);
        let outcome = self.world.status(user, status);
        if self.world.core.is_member(user) {
            self.statuses.insert(user, status);
        }
        self.deliver(&outcome);
    }

    pub(super) fn come_and_go(&mut self) {
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
    pub(super) fn pass_interval(&mut self) {
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

    pub(super) fn channel(&mut self) -> ChannelId {
        let ids: Vec<ChannelId> = self.world.rows.channels.keys().copied().collect();
        if ids.is_empty() || self.rng.chance(2) { ChannelId::new(9) } else { self.rng.pick(&ids) }
    }

    pub(super) fn role(&mut self) -> RoleId {
        let ids: Vec<RoleId> = self.world.rows.roles.keys().copied().collect();
        self.rng.pick(&ids)
    }

    pub(super) fn message(&mut self) -> (ChannelId, MessageId) {
        let ids: Vec<_> = self.world.rows.messages.keys().copied().collect();
        if ids.is_empty() { (self.channel(), MessageId::new(1)) } else { self.rng.pick(&ids) }
    }

    pub(super) fn overwrite(&mut self) -> Overwrite {
        let (allow, deny) = (self.rng.permissions(), self.rng.permissions());
        if self.rng.chance(30) {
            let user = self.rng.pick(&PEOPLE);
            return for_member(user, allow, deny);
        }
        for_role(self.role(), allow, deny)
    }

    pub(super) fn call(&mut self) -> Call {
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

    /// A stage goes live, gets another topic or ends, or somebody comes onto it or goes off.
    pub(super) fn stage(&mut self) -> Call {
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

    /// A voice channel, mostly one where somebody is, gets a status or loses it.
    pub(super) fn voice_status(&mut self) -> Call {
        let taken: Vec<ChannelId> = PEOPLE.into_iter().filter_map(|user| self.world.core.voice_channel(user)).collect();
        let voice = self.world.rows.channels.values().filter(|c| c.kind == ChannelType::GuildVoice);
        let voice: Vec<ChannelId> = voice.map(|channel| channel.id).collect();
        let channel_id = match self.rng.below(10) {
            0..=5 if !taken.is_empty() => self.rng.pick(&taken),
            0..=8 if !voice.is_empty() => self.rng.pick(&voice),
            _ => self.channel(),
        };
        let status = self.rng.chance(80).then(|| format!("status {}", self.rng.below(3)));
        Call::SetVoiceChannelStatus { channel_id, status }
    }

    /// Somebody joins, moves between or leaves voice channels.
    pub(super) fn voice(&mut self) {
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
    pub(super) fn stream(&mut self) {
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
}
