//! `POST /guilds`: a guild with roles and channels, before it has an owner in memory.

use std::collections::HashMap;

use rookery_model::call::{CreateChannel, CreateGuild, CreateRole, Reply};
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::guild::GuildProperties;
use rookery_model::member::MemberRow;
use rookery_model::role::Role;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, Permissions, RoleId, Snowflake, Timestamp, UserId};

use crate::commands::{new_channel, new_role};
use crate::state::GuildState;
use crate::{Caller, Effect, GuildCore, IdSource, Limits, Outcome};

/// Makes a guild with the API's default channels, or those asked for; `id` becomes the guild's and `@everyone`'s.
///
/// The outcome holds the guild's rows, the reply and the owner's [`Effect::MemberJoined`].
pub fn create_guild(
    now: Timestamp,
    caller: &Caller,
    wanted: &CreateGuild,
    id: GuildId,
    ids: &mut dyn IdSource,
    limits: &Limits,
) -> Result<(GuildState, Outcome), ApiError> {
    if wanted.roles.len() > limits.roles_max {
        return Err(ErrorCode::MaxRoles.into());
    }
    if wanted.channels.len() > limits.channels_max {
        return Err(ErrorCode::MaxChannels.into());
    }
    let (roles, role_ids) = roles(id, &wanted.roles, ids);
    let (channels, channel_ids) = if wanted.channels.is_empty() {
        (default_channels(id, ids), HashMap::new())
    } else {
        channels(id, caller.id(), &wanted.channels, &role_ids, ids, limits)?
    };
    let special = |field: &'static str, placeholder: Option<u64>, kind: ChannelType| match placeholder {
        None => Ok(None),
        Some(placeholder) => channel_ids
            .get(&placeholder)
            .filter(|id| channels.iter().any(|channel| channel.id == **id && channel.kind == kind))
            .map(|id| Some(*id))
            .ok_or_else(|| ApiError::invalid_field([field], "CHANNEL_UNKNOWN", "Unknown channel")),
    };
    // Where newcomers are announced: the guild's maker may change it or switch it off.
    let default_system_channel = wanted.channels.is_empty().then(|| first_of(&channels, ChannelType::GuildText));
    let defaults = GuildProperties::new(id, wanted.name.clone(), caller.id());
    let properties = GuildProperties {
        verification_level: wanted.verification_level.unwrap_or(defaults.verification_level),
        default_message_notifications: wanted
            .default_message_notifications
            .unwrap_or(defaults.default_message_notifications),
        explicit_content_filter: wanted.explicit_content_filter.unwrap_or(defaults.explicit_content_filter),
        afk_timeout: wanted.afk_timeout.unwrap_or(defaults.afk_timeout),
        system_channel_flags: wanted.system_channel_flags.unwrap_or(defaults.system_channel_flags),
        system_channel_id: special("system_channel_id", wanted.system_channel_id, ChannelType::GuildText)?
            .or(default_system_channel.flatten()),
        afk_channel_id: special("afk_channel_id", wanted.afk_channel_id, ChannelType::GuildVoice)?,
        ..defaults
    };
    let owner = MemberRow {
        guild_id: id,
        user_id: caller.id(),
        nick: None,
        avatar: None,
        roles: Vec::new(),
        joined_at: now,
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    };
    let state = GuildState {
        properties,
        roles,
        channels,
        members: vec![(owner, caller.user.clone())],
        invites: Vec::new(),
        inviters: Vec::new(),
        banned: Vec::new(),
        stage_instances: Vec::new(),
    };
    let outcome = outcome_of(&state, limits)?;
    Ok((state, outcome))
}

fn outcome_of(state: &GuildState, limits: &Limits) -> Result<Outcome, ApiError> {
    let guild_id = state.properties.id;
    let view = GuildCore::load(state.clone(), limits.clone()).guild_view().ok_or(ErrorCode::Internal)?;
    let mut out = Outcome::reply(Reply::Guild(Box::new(view)));
    out.writes.extend(state.roles.iter().map(|role| Write::PutRole { guild_id, role: role.clone() }));
    out.writes.extend(state.channels.iter().cloned().map(Write::PutChannel));
    out.writes.extend(state.members.iter().map(|(row, _)| Write::PutMember(row.clone())));
    // The guild's own row comes last: nobody opens a guild whose parts are not there.
    out.writes.push(Write::PutGuild(state.properties.clone()));
    out.effects.push(Effect::MemberJoined { guild_id, user_id: state.properties.owner_id });
    Ok(out)
}

/// The first is `@everyone`; positions follow the list.
fn roles(guild_id: GuildId, wanted: &[(u64, CreateRole)], ids: &mut dyn IdSource) -> (Vec<Role>, HashMap<u64, RoleId>) {
    let everyone_id = RoleId::from(guild_id);
    let first = wanted.first().map(|(_, role)| role.clone()).unwrap_or_default();
    let permissions = first.permissions.unwrap_or(Permissions::DEFAULT_EVERYONE) & Permissions::ALL_NAMED;
    let first = CreateRole { name: Some("@everyone".into()), hoist: false, mentionable: false, ..first };
    let mut roles = vec![new_role(everyone_id, &first, permissions, 0)];
    let mut by_placeholder: HashMap<u64, RoleId> = wanted.iter().take(1).map(|(p, _)| (*p, everyone_id)).collect();
    for ((placeholder, role), position) in wanted.iter().skip(1).zip(1..) {
        let id = RoleId(ids.next_id());
        by_placeholder.insert(*placeholder, id);
        let permissions = role.permissions.unwrap_or(permissions) & Permissions::ALL_NAMED;
        roles.push(new_role(id, role, permissions, position));
    }
    (roles, by_placeholder)
}

/// A text and a voice channel, each in a category of its own.
fn default_channels(guild_id: GuildId, ids: &mut dyn IdSource) -> Vec<Channel> {
    let mut channels = Vec::with_capacity(4);
    for (category, kind, name, position) in [
        ("Text Channels", ChannelType::GuildText, "general", 0),
        ("Voice Channels", ChannelType::GuildVoice, "General", 1),
    ] {
        let parent_id = ChannelId(ids.next_id());
        channels.push(Channel {
            guild_id: Some(guild_id),
            name: Some(category.into()),
            position,
            ..Channel::new(parent_id, ChannelType::GuildCategory)
        });
        channels.push(Channel {
            guild_id: Some(guild_id),
            name: Some(name.into()),
            parent_id: Some(parent_id),
            ..Channel::new(ChannelId(ids.next_id()), kind)
        });
    }
    channels
}

fn first_of(channels: &[Channel], kind: ChannelType) -> Option<ChannelId> {
    channels.iter().find(|channel| channel.kind == kind).map(|channel| channel.id)
}

type Placeholders = HashMap<u64, ChannelId>;

fn channels(
    guild_id: GuildId,
    owner_id: UserId,
    wanted: &[(Option<u64>, CreateChannel)],
    roles: &HashMap<u64, RoleId>,
    ids: &mut dyn IdSource,
    limits: &Limits,
) -> Result<(Vec<Channel>, Placeholders), ApiError> {
    let mut channels: Vec<Channel> = Vec::with_capacity(wanted.len());
    let mut by_placeholder = Placeholders::new();
    for ((index, (placeholder, wanted)), position) in wanted.iter().enumerate().zip(0..) {
        limits.check_rtc_region(wanted.rtc_region.as_deref()).map_err(|error| at_index(error, index))?;
        let parent_id = match wanted.parent_id {
            None => None,
            Some(parent) => Some(parent_of(index, parent, &channels, &by_placeholder, limits)?),
        };
        let overwrites = wanted
            .permission_overwrites
            .iter()
            .filter_map(|overwrite| translate(overwrite, guild_id, owner_id, roles))
            .collect();
        let id = ChannelId(ids.next_id());
        let position = wanted.position.unwrap_or(position);
        let mut channel = new_channel(guild_id, id, wanted, parent_id, overwrites, position)
            .map_err(|error| at_index(error, index))?;
        if channel.kind == ChannelType::GuildCategory {
            channel.parent_id = None;
        }
        if let Some(placeholder) = placeholder {
            by_placeholder.insert(*placeholder, id);
        }
        channels.push(channel);
    }
    Ok((channels, by_placeholder))
}

/// An earlier category with room.
fn parent_of(
    index: usize,
    placeholder: ChannelId,
    channels: &[Channel],
    by_placeholder: &Placeholders,
    limits: &Limits,
) -> Result<ChannelId, ApiError> {
    let error = |code: &'static str, message: &'static str| {
        at_index(ApiError::invalid_field(["parent_id"], code, message), index)
    };
    let parent = by_placeholder
        .get(&placeholder.get())
        .and_then(|id| channels.iter().find(|channel| channel.id == *id))
        .ok_or_else(|| error("CHANNEL_PARENT_INVALID", "Category does not exist"))?;
    if parent.kind != ChannelType::GuildCategory {
        return Err(error("CHANNEL_PARENT_INVALID_TYPE", "Not a category"));
    }
    if channels.iter().filter(|channel| channel.parent_id == Some(parent.id)).count() >= limits.category_channels_max {
        return Err(error("CHANNEL_PARENT_MAX_CHANNELS", "Maximum number of channels in category reached"));
    }
    Ok(parent.id)
}

/// An overwrite with its placeholder made an id; one for nobody who will be there is left out.
fn translate(
    overwrite: &Overwrite,
    guild_id: GuildId,
    owner_id: UserId,
    roles: &HashMap<u64, RoleId>,
) -> Option<Overwrite> {
    let id: Snowflake = match overwrite.kind {
        OverwriteType::Member => (overwrite.id == owner_id.0).then_some(overwrite.id)?,
        OverwriteType::Role if overwrite.id == guild_id.0 => overwrite.id,
        OverwriteType::Role => roles.get(&overwrite.id.0)?.0,
    };
    let allow = overwrite.allow & Permissions::ALL_NAMED;
    Some(Overwrite { id, kind: overwrite.kind, allow, deny: (overwrite.deny & Permissions::ALL_NAMED) - allow })
}

/// The error's fields stand in the body's list of channels.
fn at_index(mut error: ApiError, index: usize) -> ApiError {
    for field in &mut error.errors {
        field.path.splice(0..0, ["channels".into(), index.into()]);
    }
    error
}
