//! Snowflakes and the typed ids made of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// Milliseconds from the Unix epoch to 2015-01-01T00:00:00Z, where snowflake time begins.
pub const EPOCH_MS: u64 = 1_420_070_400_000;

/// A 64-bit id: 42 bits of milliseconds since [`EPOCH_MS`], 10 bits of worker (5 region, 5 process), 12 bits of sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Snowflake(pub u64);

impl Snowflake {
    /// Builds an id from its parts; `worker` keeps its low 10 bits and `sequence` its low 12.
    pub const fn from_parts(unix_ms: u64, worker: u16, sequence: u16) -> Self {
        let time = unix_ms.saturating_sub(EPOCH_MS) & ((1 << 42) - 1);
        Self((time << 22) | (((worker & 0x3ff) as u64) << 12) | ((sequence & 0xfff) as u64))
    }
    /// The smallest id of a millisecond, for range queries by time.
    pub const fn floor_of_ms(unix_ms: u64) -> Self {
        Self::from_parts(unix_ms, 0, 0)
    }
    /// Milliseconds since the Unix epoch at which the id was made.
    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }
    /// The moment at which the id was made.
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_ms(self.unix_ms() as i64)
    }
    /// The 10-bit worker that made the id.
    pub const fn worker(self) -> u16 {
        ((self.0 >> 12) & 0x3ff) as u16
    }
    /// The sequence number inside the millisecond.
    pub const fn sequence(self) -> u16 {
        (self.0 & 0xfff) as u16
    }
}

impl fmt::Display for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text was not a snowflake: decimal digits of a number below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a snowflake")]
pub struct ParseIdError;

impl FromStr for Snowflake {
    type Err = ParseIdError;
    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        if s.is_empty() || s.len() > 20 || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseIdError);
        }
        // Databases and many clients hold ids in signed 64-bit integers.
        s.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok()).map(Snowflake).ok_or(ParseIdError)
    }
}

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(&self.0) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Snowflake;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake as a string or an integer")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Snowflake, E> {
                v.parse().map_err(de::Error::custom)
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Snowflake, E> {
                Ok(Snowflake(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Snowflake, E> {
                u64::try_from(v).map(Snowflake).map_err(de::Error::custom)
            }
        }
        // Both forms are accepted everywhere: buffered contents (flattened structs) forget which format they came from.
        deserializer.deserialize_any(Visitor)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Snowflake);

        impl $name {
            /// Wraps a raw number.
            pub const fn new(raw: u64) -> Self { Self(Snowflake(raw)) }
            /// The raw number.
            pub const fn get(self) -> u64 { self.0.0 }
            /// The moment at which the id was made.
            pub const fn timestamp(self) -> Timestamp { self.0.timestamp() }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({})"), self.0) }
        }
        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(s: &str) -> Result<Self, ParseIdError> { s.parse().map(Self) }
        }
        impl From<Snowflake> for $name { fn from(s: Snowflake) -> Self { Self(s) } }
        impl From<$name> for Snowflake { fn from(id: $name) -> Self { id.0 } }
    )*};
}

ids! {
    /// A user, bot users included; a bot's user id equals its application's id.
    UserId,
    /// A guild.
    GuildId,
    /// A channel: of a guild, a DM or a group DM.
    ChannelId,
    /// A message.
    MessageId,
    /// A role; the role with the guild's own id is `@everyone`.
    RoleId,
    /// An application.
    ApplicationId,
    /// A custom emoji.
    EmojiId,
    /// An attachment.
    AttachmentId,
    /// A webhook.
    WebhookId,
    /// A live stage: the time in which a stage channel has a topic.
    StageInstanceId,
    /// An entry of a guild's audit log.
    AuditLogEntryId,
    /// A signed-in device: the last part of a token's claims.
    DeviceId,
    /// What a voice connection is for: a guild, or the channel of a private call.
    VoiceServerId,
}

impl From<ApplicationId> for UserId {
    fn from(id: ApplicationId) -> Self {
        Self(id.0)
    }
}
impl From<GuildId> for VoiceServerId {
    fn from(id: GuildId) -> Self {
        Self(id.0)
    }
}
impl From<ChannelId> for VoiceServerId {
    fn from(id: ChannelId) -> Self {
        Self(id.0)
    }
}
impl From<GuildId> for RoleId {
    /// The guild's `@everyone` role.
    fn from(id: GuildId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let id = Snowflake::from_parts(1_700_000_000_123, 0x2a5, 77);
        assert_eq!((id.unix_ms(), id.worker(), id.sequence()), (1_700_000_000_123, 0x2a5, 77));
    }

    #[test]
    fn known_id_has_the_documented_time() {
        assert_eq!(Snowflake(175_928_847_299_117_063).unix_ms(), 1_462_015_105_796);
    }

    #[test]
    fn text_that_is_not_a_snowflake_is_refused() {
        for bad in
            ["", "-1", "+1", "1.0", "abc", " 1", "9223372036854775808", "99999999999999999999", "111111111111111111111"]
        {
            assert!(bad.parse::<UserId>().is_err(), "{bad}");
        }
        assert_eq!("9223372036854775807".parse::<UserId>().map(UserId::get), Ok(9_223_372_036_854_775_807));
    }
}
