//! What people do, and what goes wrong: each action from a seed of its own, so that one can be left out without changing
//! the others.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_model::call::{
    Call, ChannelPosition, CreateChannel, CreateInvite, CreateMessage, CreateRole, EditMessage, EmojiRef,
    ModifyChannel, ModifyGuild, ModifyMember, ModifyRole, RolePosition,
};
use rookery_model::channel::{ChannelType, Overwrite, OverwriteType};
use rookery_model::message::{MessageFlags, MessageReference};
use rookery_model::{ChannelId, GuildId, MessageId, Patch, Permissions, RoleId, Timestamp, UserId};

use crate::bus::{OwnerKey, pick};
use crate::env::Env;
use crate::setup::permissions;
use crate::store::{GuildRows, Rows};

/// Something that is done, and how long after the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub after_ms: u64,
    pub seed: u64,
}

/// What an action comes to in the world as it is then.
#[derive(Debug)]
pub enum Deed {
    Call {
        key: OwnerKey,
        by: UserId,
        call: Box<Call>,
    },
    /// A user has read a channel.
    Acknowledge(UserId, ChannelId, MessageId),
    Rename(UserId, String),
    /// Of the clients that are connected, by number.
    Cut(usize),
    CutUnnoticed(usize),
    Stall(usize, u64),
    GoodBye(usize),
    /// The region asks sessions to connect elsewhere: one of so many.
    Drain(u32),
    PauseOwner(usize, u64),
    PauseUser(usize, u64),
    PauseSession(usize, u64),
    Evict,
    Nothing,
}

/// The actions of a world.
pub fn actions(rng: &mut ChaCha8Rng) -> Vec<Action> {
    let count = rng.random_range(100..=250);
    let pace = *pick(rng, &[&[0, 0, 1, 5][..], &[0, 1, 20, 300], &[10, 200, 1_000, 4_000]]);
    let action = |rng: &mut ChaCha8Rng| {
        let after_ms = match rng.random_range(0..100) {
            0 => rng.random_range(30_000..120_000),
            1 if rng.random_bool(0.3) => rng.random_range(250_000..400_000),
            _ => *pick(rng, pace),
        };
        Action { after_ms, seed: rng.random() }
    };
    (0..count).map(|_| action(rng)).collect()
}

/// What the action comes to now.
pub fn deed(env: &Env, action: Action) -> Deed {
    let mut rng = ChaCha8Rng::seed_from_u64(action.seed);
    let rng = &mut rng;
    let anybody = |rng: &mut ChaCha8Rng| rng.random_range(0..1_000);
    match rng.random_range(0..100) {
        0..64 => call(env, rng),
        64..71 => Deed::Cut(anybody(rng)),
        71..74 => Deed::CutUnnoticed(anybody(rng)),
        74..78 => Deed::Stall(anybody(rng), *pick(rng, &[500, 5_000, 30_000, 150_000])),
        78..80 => Deed::GoodBye(anybody(rng)),
        80..82 => Deed::Drain(*pick(rng, &[1, 2, 5])),
        82..85 => Deed::PauseOwner(anybody(rng), *pick(rng, &[50, 1_000, 8_000])),
        85..88 => Deed::PauseUser(anybody(rng), *pick(rng, &[50, 1_000, 8_000])),
        88..91 => Deed::PauseSession(anybody(rng), *pick(rng, &[50, 1_000, 8_000])),
        91..94 => Deed::Evict,
        94..96 => {
            let user = user(env, rng);
            Deed::Rename(user, format!("renamed{}", rng.random_range(0..1_000)))
        }
        _ => acknowledge(env, rng),
    }
}

fn user(env: &Env, rng: &mut ChaCha8Rng) -> UserId {
    // Those who only make a guild large do little.
    let users: Vec<UserId> = env.store.users.keys().copied().take(12).collect();
    *pick(rng, &users)
}

fn acknowledge(env: &Env, rng: &mut ChaCha8Rng) -> Deed {
    let spaces: Vec<&Rows> = env.store.spaces.values().collect();
    let rows = *pick(rng, &spaces);
    match message(rows, rng) {
        Some((channel, message)) => Deed::Acknowledge(user(env, rng), channel, message),
        None => Deed::Nothing,
    }
}

fn message(rows: &Rows, rng: &mut ChaCha8Rng) -> Option<(ChannelId, MessageId)> {
    let ids: Vec<_> = rows.messages.keys().copied().collect();
    if ids.is_empty() { None } else { Some(*pick(rng, &ids)) }
}

fn call(env: &Env, rng: &mut ChaCha8Rng) -> Deed {
    let keys: Vec<OwnerKey> = env.store.spaces.keys().copied().collect();
    let key = *pick(rng, &keys);
    let rows = &env.store.spaces[&key];
    let (by, call) = match (&rows.guild, &rows.dm) {
        (Some(guild), _) => {
            let members: Vec<UserId> = guild.members.keys().copied().take(12).collect();
            let by = match rng.random_range(0..10) {
                0..5 => guild.properties.owner_id,
                5..9 => *pick(rng, &members),
                _ => user(env, rng),
            };
            let of = OfGuild { env, rows, guild, by };
            let call = of.call(rng);
            let stranger = user(env, rng);
            // Whoever is in the guild already does not join it.
            (if matches!(call, Some(Call::AcceptInvite { .. })) { stranger } else { by }, call)
        }
        (None, Some(dm)) => (*pick(rng, &dm.user_ids), call_in_dm(rows, dm.channel.id, rng)),
        (None, None) => return Deed::Nothing,
    };
    call.map_or(Deed::Nothing, |call| Deed::Call { key, by, call: Box::new(call) })
}

fn call_in_dm(rows: &Rows, channel_id: ChannelId, rng: &mut ChaCha8Rng) -> Option<Call> {
    Some(match rng.random_range(0..10) {
        0..5 => create_message(channel_id, format!("text {}", rng.random::<u16>()), None),
        5 => Call::TriggerTyping { channel_id },
        6 => Call::DeleteChannel { channel_id },
        7 => edit(message(rows, rng)?, rng),
        _ => {
            let (channel_id, message_id) = message(rows, rng)?;
            Call::DeleteMessage { channel_id, message_id }
        }
    })
}

fn create_message(channel_id: ChannelId, content: String, reply_to: Option<MessageId>) -> Call {
    let message_reference = reply_to.map(|id| MessageReference {
        kind: 0,
        message_id: Some(id),
        channel_id: Some(channel_id),
        guild_id: None,
    });
    Call::CreateMessage(Box::new(CreateMessage {
        channel_id,
        content,
        tts: false,
        embeds: Vec::new(),
        allowed_mentions: None,
        message_reference,
        fail_if_not_exists: true,
        nonce: None,
        enforce_nonce: false,
        flags: MessageFlags::empty(),
    }))
}

fn edit((channel_id, message_id): (ChannelId, MessageId), rng: &mut ChaCha8Rng) -> Call {
    Call::EditMessage(Box::new(EditMessage {
        channel_id,
        message_id,
        content: Patch::Set(format!("edited {}", rng.random::<u16>())),
        embeds: Patch::Keep,
        flags: Patch::Keep,
        allowed_mentions: Patch::Keep,
    }))
}

/// Calls about one guild.
struct OfGuild<'a> {
    env: &'a Env,
    rows: &'a Rows,
    guild: &'a GuildRows,
    by: UserId,
}

impl OfGuild<'_> {
    fn id(&self) -> GuildId {
        self.guild.properties.id
    }

    fn channel(&self, rng: &mut ChaCha8Rng) -> Option<ChannelId> {
        let ids: Vec<ChannelId> = self.guild.channels.keys().copied().collect();
        if ids.is_empty() { None } else { Some(*pick(rng, &ids)) }
    }

    fn texts(&self, rng: &mut ChaCha8Rng) -> Option<ChannelId> {
        let texts = self.guild.channels.values().filter(|channel| channel.kind.is_text_based());
        let ids: Vec<ChannelId> = texts.map(|channel| channel.id).collect();
        if ids.is_empty() { None } else { Some(*pick(rng, &ids)) }
    }

    fn role(&self, rng: &mut ChaCha8Rng) -> RoleId {
        let ids: Vec<RoleId> = self.guild.roles.keys().copied().collect();
        *pick(rng, &ids)
    }

    fn member(&self, rng: &mut ChaCha8Rng) -> UserId {
        let ids: Vec<UserId> = self.guild.members.keys().copied().take(12).collect();
        *pick(rng, &ids)
    }

    fn overwrite(&self, rng: &mut ChaCha8Rng) -> Overwrite {
        let (allow, deny) = (permissions(rng), permissions(rng));
        let (id, kind) = if rng.random_bool(0.3) {
            (self.member(rng).0, OverwriteType::Member)
        } else {
            (self.role(rng).0, OverwriteType::Role)
        };
        Overwrite { id, kind, allow, deny }
    }

    fn call(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        Some(match rng.random_range(0..100) {
            0..32 => return self.call_about_messages(rng),
            32..53 => return self.call_about_channels(rng),
            53..75 => self.call_about_roles(rng),
            75..90 => return self.call_about_invites(rng),
            90..94 => Call::KickMember { guild_id: self.id(), user_id: self.member(rng) },
            94..96 => Call::LeaveGuild { guild_id: self.id() },
            96 if rng.random_bool(0.2) => Call::DeleteGuild { guild_id: self.id() },
            _ => {
                let owner_id = rng.random_bool(0.15).then(|| self.member(rng));
                let name = Some(format!("guild {}", rng.random_range(0..99)));
                let changes = ModifyGuild { owner_id, name, ..ModifyGuild::default() };
                Call::ModifyGuild { guild_id: self.id(), changes: Box::new(changes) }
            }
        })
    }

    fn call_about_messages(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        Some(match rng.random_range(0..20) {
            0..10 => {
                let mut content = format!("text {}", rng.random::<u16>());
                if rng.random_bool(0.3) {
                    content = format!("{content} <@{}> <@&{}>", self.member(rng), self.role(rng));
                }
                let channel_id = self.texts(rng)?;
                let mut in_channel = self.rows.messages.keys().filter(|(of, _)| *of == channel_id).map(|(_, id)| *id);
                let reply_to = in_channel.next_back().filter(|_| rng.random_bool(0.25));
                create_message(channel_id, content, reply_to)
            }
            10 | 11 => Call::TriggerTyping { channel_id: self.texts(rng)? },
            12 | 13 => {
                let own = self.rows.messages.values().rfind(|row| row.author_id == self.by);
                edit(own.map(|row| (row.channel_id, row.id)).or_else(|| message(self.rows, rng))?, rng)
            }
            14 => {
                let channel_id = self.texts(rng)?;
                let in_channel = self.rows.messages.keys().filter(|(of, _)| *of == channel_id).map(|(_, id)| *id);
                let message_ids: Vec<MessageId> = in_channel.rev().take(4).collect();
                Call::BulkDeleteMessages { channel_id, message_ids }
            }
            _ => {
                let (channel_id, message_id) = message(self.rows, rng)?;
                let emoji = EmojiRef::Unicode((*pick(rng, &["👍", "🎉"])).to_owned());
                match rng.random_range(0..6) {
                    0 => Call::PinMessage { channel_id, message_id },
                    1 => Call::UnpinMessage { channel_id, message_id },
                    2 => Call::AddReaction { channel_id, message_id, emoji },
                    3 => Call::RemoveReaction { channel_id, message_id, emoji, user_id: None },
                    _ => Call::DeleteMessage { channel_id, message_id },
                }
            }
        })
    }

    fn call_about_channels(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        let guild_id = self.id();
        Some(match rng.random_range(0..20) {
            0..8 => Call::PutOverwrite { channel_id: self.channel(rng)?, overwrite: self.overwrite(rng) },
            8 | 9 => {
                let channel_id = self.channel(rng)?;
                let overwrite_id = self.guild.channels[&channel_id].permission_overwrites.first()?.id;
                Call::DeleteOverwrite { channel_id, overwrite_id }
            }
            10..13 => Call::CreateGuildChannel { guild_id, channel: Box::new(self.new_channel(rng)) },
            13 | 14 if self.guild.channels.len() > 3 => Call::DeleteChannel { channel_id: self.channel(rng)? },
            13..17 => {
                let overwrites = rng.random_bool(0.5).then(|| vec![self.overwrite(rng), self.overwrite(rng)]);
                let parent_id =
                    if rng.random_bool(0.3) { self.channel(rng).map_or(Patch::Clear, Patch::Set) } else { Patch::Keep };
                let changes = ModifyChannel {
                    name: Some(format!("n{}", rng.random_range(0..9))),
                    parent_id,
                    permission_overwrites: overwrites.map_or(Patch::Keep, Patch::Set),
                    ..ModifyChannel::default()
                };
                Call::ModifyChannel { channel_id: self.channel(rng)?, changes: Box::new(changes) }
            }
            _ => {
                let parent = self.guild.channels.values().find(|c| c.kind == ChannelType::GuildCategory);
                let entry = |id, rng: &mut ChaCha8Rng| ChannelPosition {
                    id,
                    position: Some(rng.random_range(0..6)),
                    lock_permissions: rng.random_bool(0.5),
                    parent_id: parent.map_or(Patch::Clear, |parent| Patch::Set(parent.id)),
                };
                let texts = self.texts(rng)?;
                Call::ModifyChannelPositions { guild_id, positions: vec![entry(texts, rng)] }
            }
        })
    }

    fn new_channel(&self, rng: &mut ChaCha8Rng) -> CreateChannel {
        let kinds =
            [ChannelType::GuildText, ChannelType::GuildText, ChannelType::GuildVoice, ChannelType::GuildCategory];
        let parent = self.guild.channels.values().find(|channel| channel.kind == ChannelType::GuildCategory);
        CreateChannel {
            name: format!("made{}", rng.random_range(0..99)),
            kind: *pick(rng, &kinds),
            topic: None,
            bitrate: None,
            user_limit: None,
            rate_limit_per_user: None,
            position: None,
            permission_overwrites: if rng.random_bool(0.5) { vec![self.overwrite(rng)] } else { Vec::new() },
            parent_id: parent.map(|parent| parent.id).filter(|_| rng.random_bool(0.3)),
            nsfw: false,
            rtc_region: None,
            video_quality_mode: None,
            default_auto_archive_duration: None,
        }
    }

    fn call_about_roles(&self, rng: &mut ChaCha8Rng) -> Call {
        let (guild_id, user_id, role_id) = (self.id(), self.member(rng), self.role(rng));
        match rng.random_range(0..20) {
            0 | 1 => {
                let role = CreateRole { permissions: Some(permissions(rng)), ..CreateRole::default() };
                Call::CreateRole { guild_id, role }
            }
            2..6 => {
                let view = if rng.random_bool(0.6) { Permissions::VIEW_CHANNEL } else { Permissions::empty() };
                let wanted = permissions(rng) | view | Permissions::SEND_MESSAGES | Permissions::READ_MESSAGE_HISTORY;
                let changes = ModifyRole { permissions: Patch::Set(wanted), ..ModifyRole::default() };
                Call::ModifyRole { guild_id, role_id, changes }
            }
            6 => Call::DeleteRole { guild_id, role_id },
            7 => {
                let positions = vec![RolePosition { id: role_id, position: Some(rng.random_range(0..5)) }];
                Call::ModifyRolePositions { guild_id, positions }
            }
            8..13 => Call::AddMemberRole { guild_id, user_id, role_id },
            13..16 => Call::RemoveMemberRole { guild_id, user_id, role_id },
            16 | 17 => {
                let until = Timestamp(self.env.now().0 + rng.random_range(1_000_000..60_000_000));
                let changes =
                    ModifyMember { communication_disabled_until: Patch::Set(until), ..ModifyMember::default() };
                Call::ModifyMember { guild_id, user_id, changes }
            }
            _ => {
                let nick = format!("nick{}", rng.random_range(0..99));
                Call::ModifyCurrentMember { guild_id, nick: Patch::Set(nick) }
            }
        }
    }

    fn call_about_invites(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        let codes: Vec<&String> = self.guild.invites.keys().collect();
        Some(match rng.random_range(0..10) {
            _ if codes.is_empty() => {
                let max_uses = *pick(rng, &[0, 0, 2]);
                let invite = CreateInvite { max_age: 0, max_uses, temporary: false, unique: true };
                Call::CreateInvite { channel_id: self.texts(rng)?, invite }
            }
            0 => Call::DeleteInvite { code: (*pick(rng, &codes)).clone() },
            _ => Call::AcceptInvite { code: (*pick(rng, &codes)).clone() },
        })
    }
}
