//! Permission bits and their computation.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

use crate::channel::Overwrite;
use crate::role::Role;
use crate::{GuildId, RoleId, Timestamp, UserId};

bitflags::bitflags! {
    /// A set of permissions; unknown bits are kept, text form is the decimal number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Permissions: u64 {
        const CREATE_INSTANT_INVITE = 1 << 0;
        const KICK_MEMBERS = 1 << 1;
        const BAN_MEMBERS = 1 << 2;
        const ADMINISTRATOR = 1 << 3;
        const MANAGE_CHANNELS = 1 << 4;
        const MANAGE_GUILD = 1 << 5;
        const ADD_REACTIONS = 1 << 6;
        const VIEW_AUDIT_LOG = 1 << 7;
        const PRIORITY_SPEAKER = 1 << 8;
        const STREAM = 1 << 9;
        const VIEW_CHANNEL = 1 << 10;
        const SEND_MESSAGES = 1 << 11;
        const SEND_TTS_MESSAGES = 1 << 12;
        const MANAGE_MESSAGES = 1 << 13;
        const EMBED_LINKS = 1 << 14;
        const ATTACH_FILES = 1 << 15;
        const READ_MESSAGE_HISTORY = 1 << 16;
        const MENTION_EVERYONE = 1 << 17;
        const USE_EXTERNAL_EMOJIS = 1 << 18;
        const VIEW_GUILD_INSIGHTS = 1 << 19;
        const CONNECT = 1 << 20;
        const SPEAK = 1 << 21;
        const MUTE_MEMBERS = 1 << 22;
        const DEAFEN_MEMBERS = 1 << 23;
        const MOVE_MEMBERS = 1 << 24;
        const USE_VAD = 1 << 25;
        const CHANGE_NICKNAME = 1 << 26;
        const MANAGE_NICKNAMES = 1 << 27;
        const MANAGE_ROLES = 1 << 28;
        const MANAGE_WEBHOOKS = 1 << 29;
        const MANAGE_GUILD_EXPRESSIONS = 1 << 30;
        const USE_APPLICATION_COMMANDS = 1 << 31;
        const REQUEST_TO_SPEAK = 1 << 32;
        const MANAGE_EVENTS = 1 << 33;
        const MANAGE_THREADS = 1 << 34;
        const CREATE_PUBLIC_THREADS = 1 << 35;
        const CREATE_PRIVATE_THREADS = 1 << 36;
        const USE_EXTERNAL_STICKERS = 1 << 37;
        const SEND_MESSAGES_IN_THREADS = 1 << 38;
        const USE_EMBEDDED_ACTIVITIES = 1 << 39;
        const MODERATE_MEMBERS = 1 << 40;
        const VIEW_CREATOR_MONETIZATION_ANALYTICS = 1 << 41;
        const USE_SOUNDBOARD = 1 << 42;
        const CREATE_GUILD_EXPRESSIONS = 1 << 43;
        const CREATE_EVENTS = 1 << 44;
        const USE_EXTERNAL_SOUNDS = 1 << 45;
        const SEND_VOICE_MESSAGES = 1 << 46;
        const SET_VOICE_CHANNEL_STATUS = 1 << 48;
        const SEND_POLLS = 1 << 49;
        const USE_EXTERNAL_APPS = 1 << 50;
        const PIN_MESSAGES = 1 << 51;
        const BYPASS_SLOWMODE = 1 << 52;
        const _ = !0;
    }
}

impl Permissions {
    /// The name under which binary formats see permissions, for those that carry them as text after all (ETF).
    pub const NEWTYPE_NAME: &'static str = "Permissions";

    /// Every permission that the API names.
    pub const ALL_NAMED: Self = Self::from_bits_retain(0x001f_7fff_ffff_ffff);

    /// What `@everyone` has in a new guild.
    pub const DEFAULT_EVERYONE: Self = Self::from_bits_retain(
        Self::CREATE_INSTANT_INVITE.bits()
            | Self::ADD_REACTIONS.bits()
            | Self::STREAM.bits()
            | Self::VIEW_CHANNEL.bits()
            | Self::SEND_MESSAGES.bits()
            | Self::EMBED_LINKS.bits()
            | Self::ATTACH_FILES.bits()
            | Self::READ_MESSAGE_HISTORY.bits()
            | Self::MENTION_EVERYONE.bits()
            | Self::USE_EXTERNAL_EMOJIS.bits()
            | Self::CONNECT.bits()
            | Self::SPEAK.bits()
            | Self::USE_VAD.bits()
            | Self::CHANGE_NICKNAME.bits()
            | Self::USE_APPLICATION_COMMANDS.bits()
            | Self::REQUEST_TO_SPEAK.bits()
            | Self::CREATE_PUBLIC_THREADS.bits()
            | Self::CREATE_PRIVATE_THREADS.bits()
            | Self::USE_EXTERNAL_STICKERS.bits()
            | Self::SEND_MESSAGES_IN_THREADS.bits()
            | Self::USE_EMBEDDED_ACTIVITIES.bits()
            | Self::USE_SOUNDBOARD.bits()
            | Self::USE_EXTERNAL_SOUNDS.bits()
            | Self::SEND_VOICE_MESSAGES.bits()
            | Self::SEND_POLLS.bits()
            | Self::USE_EXTERNAL_APPS.bits(),
    );

    /// What anybody in a DM may do.
    pub const DM: Self = Self::from_bits_retain(
        Self::VIEW_CHANNEL.bits()
            | Self::SEND_MESSAGES.bits()
            | Self::EMBED_LINKS.bits()
            | Self::ATTACH_FILES.bits()
            | Self::ADD_REACTIONS.bits()
            | Self::READ_MESSAGE_HISTORY.bits()
            | Self::USE_EXTERNAL_EMOJIS.bits()
            | Self::PIN_MESSAGES.bits()
            | Self::CONNECT.bits()
            | Self::SPEAK.bits()
            | Self::STREAM.bits()
            | Self::USE_VAD.bits()
            | Self::SEND_POLLS.bits()
            | Self::SEND_VOICE_MESSAGES.bits(),
    );

    /// What a timed-out member keeps.
    pub const TIMED_OUT: Self = Self::from_bits_retain(Self::VIEW_CHANNEL.bits() | Self::READ_MESSAGE_HISTORY.bits());
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(f)
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.bits())
        } else {
            serializer.serialize_newtype_struct(Self::NEWTYPE_NAME, &self.bits())
        }
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Permissions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("permission bits as a string or an integer")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Permissions, E> {
                v.parse().map(Permissions::from_bits_retain).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Permissions, E> {
                Ok(Permissions::from_bits_retain(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Permissions, E> {
                u64::try_from(v).map(Permissions::from_bits_retain).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Guild-wide permissions of a member: the union of `@everyone` and their roles; all for the owner and administrators.
pub fn base_permissions<'a>(
    owner_id: UserId,
    user_id: UserId,
    everyone: Permissions,
    roles: impl IntoIterator<Item = &'a Role>,
) -> Permissions {
    if owner_id == user_id {
        return Permissions::ALL_NAMED;
    }
    let union = roles.into_iter().fold(everyone, |sum, role| sum | role.permissions);
    if union.contains(Permissions::ADMINISTRATOR) { Permissions::ALL_NAMED | union } else { union }
}

/// Permissions of a member in a channel: base, then overwrites of `@everyone`, of all roles together, of the member.
///
/// Source: "Permission Overwrites" and "Implicit Permissions" of the API's documentation. Without VIEW_CHANNEL nothing
/// is left, without SEND_MESSAGES nothing that a message carries. A timed-out member keeps [`Permissions::TIMED_OUT`].
pub fn channel_permissions(
    base: Permissions,
    guild_id: GuildId,
    user_id: UserId,
    role_ids: &[RoleId],
    overwrites: &[Overwrite],
    timed_out_until: Option<Timestamp>,
    now: Timestamp,
) -> Permissions {
    if base.contains(Permissions::ADMINISTRATOR) {
        return Permissions::ALL_NAMED | base;
    }
    let mut permissions = base;
    let everyone = RoleId::from(guild_id);
    if let Some(o) = overwrites.iter().find(|o| o.is_for_role(everyone)) {
        permissions = (permissions - o.deny) | o.allow;
    }
    let (mut allow, mut deny) = (Permissions::empty(), Permissions::empty());
    for o in overwrites.iter().filter(|o| o.id != everyone.0 && role_ids.iter().any(|r| o.is_for_role(*r))) {
        allow |= o.allow;
        deny |= o.deny;
    }
    permissions = (permissions - deny) | allow;
    if let Some(o) = overwrites.iter().find(|o| o.is_for_member(user_id)) {
        permissions = (permissions - o.deny) | o.allow;
    }
    // An overwrite cannot make an administrator.
    permissions -= Permissions::ADMINISTRATOR;
    if timed_out_until.is_some_and(|until| now < until) {
        permissions &= Permissions::TIMED_OUT;
    }
    if !permissions.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    if !permissions.contains(Permissions::SEND_MESSAGES) {
        permissions -= Permissions::MENTION_EVERYONE
            | Permissions::SEND_TTS_MESSAGES
            | Permissions::ATTACH_FILES
            | Permissions::EMBED_LINKS;
    }
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snowflake;
    use crate::channel::OverwriteType;

    const GUILD: GuildId = GuildId::new(1);
    const USER: UserId = UserId::new(50);

    fn overwrite(id: u64, kind: OverwriteType, allow: Permissions, deny: Permissions) -> Overwrite {
        Overwrite { id: Snowflake(id), kind, allow, deny }
    }

    fn compute(base: Permissions, roles: &[RoleId], overwrites: &[Overwrite]) -> Permissions {
        channel_permissions(base, GUILD, USER, roles, overwrites, None, Timestamp(0))
    }

    #[test]
    fn member_overwrite_beats_roles_beats_everyone() {
        let view = Permissions::VIEW_CHANNEL;
        let send = Permissions::SEND_MESSAGES;
        let none = Permissions::empty();
        let everyone = overwrite(1, OverwriteType::Role, none, view | send);
        let role = overwrite(7, OverwriteType::Role, view, none);
        let member = overwrite(50, OverwriteType::Member, send, none);
        let roles = [RoleId::new(7)];
        assert_eq!(compute(view | send, &roles, &[everyone]), none);
        assert_eq!(compute(view | send, &roles, &[everyone, role]), view);
        assert_eq!(compute(view | send, &roles, &[everyone, role, member]), view | send);
    }

    #[test]
    fn a_role_that_allows_beats_another_that_denies() {
        let view = Permissions::VIEW_CHANNEL;
        let a = overwrite(7, OverwriteType::Role, view, Permissions::empty());
        let b = overwrite(8, OverwriteType::Role, Permissions::empty(), view);
        assert_eq!(compute(view, &[RoleId::new(7), RoleId::new(8)], &[a, b]), view);
    }

    #[test]
    fn an_overwrite_never_makes_an_administrator() {
        let o = overwrite(50, OverwriteType::Member, Permissions::ADMINISTRATOR, Permissions::empty());
        assert_eq!(compute(Permissions::VIEW_CHANNEL, &[], &[o]), Permissions::VIEW_CHANNEL);
    }

    #[test]
    fn a_timed_out_member_only_reads() {
        let all = Permissions::ALL_NAMED - Permissions::ADMINISTRATOR;
        let until = Some(Timestamp(10));
        let during = channel_permissions(all, GUILD, USER, &[], &[], until, Timestamp(9));
        assert_eq!(during, Permissions::TIMED_OUT);
        assert_eq!(channel_permissions(all, GUILD, USER, &[], &[], until, Timestamp(10)), all);
    }
}
