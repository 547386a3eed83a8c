//! What a member may see and read by the rows alone, and what a passive session knows.

use std::collections::BTreeMap;

use rookery_model::gateway::Event;
use rookery_model::permissions::{base_permissions, channel_permissions};
use rookery_model::{ChannelId, MessageId, Permissions, RoleId, Timestamp, UserId};

use crate::store::Rows;

/// The permission computation of the API's documentation, without any cache.
pub(super) fn plain_permissions(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> Permissions {
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

pub(super) fn sees(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> bool {
    plain_permissions(rows, now, user, channel).contains(Permissions::VIEW_CHANNEL)
}

/// Whether what is written in a channel is for the user: a voice channel's text wants CONNECT as well.
pub(super) fn reads(rows: &Rows, now: Timestamp, user: UserId, channel: ChannelId) -> bool {
    let permissions = plain_permissions(rows, now, user, channel);
    let is_voice = rows.channels.get(&channel).is_some_and(|channel| channel.kind.is_voice_based());
    permissions.contains(Permissions::VIEW_CHANNEL) && (!is_voice || permissions.contains(Permissions::CONNECT))
}

/// Whether an event tells what is written in a channel, and not of the channel itself.
pub(super) fn is_text(event: &Event) -> bool {
    !matches!(
        event,
        Event::ChannelCreate(_)
            | Event::ChannelUpdate(_)
            | Event::ChannelDelete(_)
            | Event::InviteCreate(_)
            | Event::InviteDelete(_)
            | Event::VoiceStateUpdate(_)
            | Event::VoiceChannelStatusUpdate(_)
            | Event::StageInstanceCreate(_)
            | Event::StageInstanceUpdate(_)
            | Event::StageInstanceDelete(_)
            | Event::StreamCreate(_)
            | Event::StreamUpdate(_)
            | Event::StreamDelete(_)
    )
}

/// Events that a session gets only of a guild it looks at.
pub(super) fn is_lively(event: &Event) -> bool {
    ["MESSAGE_", "TYPING_", "GUILD_MEMBER_", "CHANNEL_PINS"].iter().any(|name| event.name().starts_with(name))
}

/// What a session of a guild that it does not look at knows of the channels.
#[derive(Default)]
pub(super) struct Passive {
    pub(super) newest: BTreeMap<ChannelId, Option<MessageId>>,
}

impl Passive {
    /// Whether it was a delta.
    pub(super) fn take(&mut self, event: &Event) -> bool {
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
