//! GUILD_SUBSCRIPTIONS (opcode 14) and GUILD_SUBSCRIPTIONS_BULK (opcode 37): what of a guild a person's client looks at.
//!
//! Both opcodes are undocumented; the shapes are those that people's clients send.

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

use crate::{ChannelId, GuildId, UserId};

/// Channels of a guild whose member lists a session may look at together.
pub const CHANNELS_MAX: usize = 5;
/// Ranges of one channel's member list.
pub const RANGES_MAX: usize = 5;
/// Positions of one range.
pub const RANGE_MAX_LEN: u32 = 100;
/// Members of a guild that a session may follow by id.
pub const MEMBERS_MAX: usize = 1_000;
/// Guilds of one bulk payload.
pub const GUILDS_MAX: usize = 200;

/// A range of a member list: first and last position.
pub type Range = [u32; 2];

/// What a session looks at in one guild; what is absent stays as it was, what is there replaces what was.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    #[serde(default)]
    pub typing: Option<bool>,
    #[serde(default)]
    pub activities: Option<bool>,
    #[serde(default)]
    pub threads: Option<bool>,
    /// Members whose updates and presences are wanted, each once.
    #[serde(default, deserialize_with = "members")]
    pub members: Option<Vec<UserId>>,
    /// Ranges of each channel's member list; a channel without ranges is not looked at.
    #[serde(default, deserialize_with = "channels")]
    pub channels: Option<BTreeMap<ChannelId, Vec<Range>>>,
}

/// The data of GUILD_SUBSCRIPTIONS.
///
/// More of anything than the bounds of this module, and ranges that are none (backwards, wider than
/// [`RANGE_MAX_LEN`], the first not from 0), cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GuildSubscriptions {
    pub guild_id: GuildId,
    #[serde(flatten)]
    pub subscription: Subscription,
}

/// The data of GUILD_SUBSCRIPTIONS_BULK.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GuildSubscriptionsBulk {
    #[serde(deserialize_with = "guilds")]
    pub subscriptions: BTreeMap<GuildId, Subscription>,
}

/// A list that ends its reading as soon as it is too long.
struct Bounded<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Bounded<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while items.len() < MAX {
                    let Some(item) = seq.next_element()? else { return Ok(Bounded(items)) };
                    items.push(item);
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Bounded(items)),
                    Some(_) => Err(A::Error::invalid_length(MAX + 1, &self)),
                }
            }
        }
        deserializer.deserialize_seq(Items(std::marker::PhantomData))
    }
}

/// An object that ends its reading as soon as it has too many keys.
struct BoundedMap<K, V, const MAX: usize>(BTreeMap<K, V>);

impl<'de, K, V, const MAX: usize> Deserialize<'de> for BoundedMap<K, V, MAX>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V, const MAX: usize>(std::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, const MAX: usize> Visitor<'de> for Entries<K, V, MAX> {
            type Value = BoundedMap<K, V, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {MAX}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    entries.insert(key, value);
                    if entries.len() > MAX {
                        return Err(A::Error::invalid_length(entries.len(), &self));
                    }
                }
                Ok(BoundedMap(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UserId>>, D::Error> {
    let members = Option::<Bounded<UserId, MEMBERS_MAX>>::deserialize(deserializer)?;
    Ok(members.map(|Bounded(mut ids)| {
        ids.sort_unstable();
        ids.dedup();
        ids
    }))
}

fn channels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<ChannelId, Vec<Range>>>, D::Error> {
    type Channels = BoundedMap<ChannelId, Bounded<Range, RANGES_MAX>, CHANNELS_MAX>;
    let Some(BoundedMap(channels)) = Option::<Channels>::deserialize(deserializer)? else { return Ok(None) };
    let mut checked = BTreeMap::new();
    for (id, Bounded(mut ranges)) in channels {
        ranges.sort_unstable();
        ranges.dedup();
        let is_range = |[first, last]: &Range| last.checked_sub(*first).is_some_and(|width| width < RANGE_MAX_LEN);
        let starts = ranges.first().is_none_or(|[first, _]| *first == 0);
        if !starts || !ranges.iter().all(is_range) {
            return Err(D::Error::custom("ranges of at most 100 positions, the first from 0"));
        }
        if !ranges.is_empty() {
            checked.insert(id, ranges);
        }
    }
    Ok(Some(checked))
}

fn guilds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<GuildId, Subscription>, D::Error> {
    let BoundedMap(guilds) = BoundedMap::<GuildId, Subscription, GUILDS_MAX>::deserialize(deserializer)?;
    Ok(guilds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels_of(json: &str) -> Option<BTreeMap<ChannelId, Vec<Range>>> {
        serde_json::from_str::<GuildSubscriptions>(&format!(r#"{{"guild_id":"1","channels":{json}}}"#))
            .ok()
            .map(|s| s.subscription.channels.unwrap_or_default())
    }

    #[test]
    fn what_clients_send() {
        let json = r#"{"guild_id":"1","typing":true,"threads":true,"activities":true,"members":["9","8","9"],
            "thread_member_lists":[],"channels":{"5":[[0,99],[100,199]],"6":[]}}"#;
        let GuildSubscriptions { guild_id, subscription } = serde_json::from_str(json).expect("a subscription");
        assert_eq!((guild_id, subscription.typing), (GuildId::new(1), Some(true)));
        assert_eq!(subscription.members, Some(vec![UserId::new(8), UserId::new(9)]));
        let expected = BTreeMap::from([(ChannelId::new(5), vec![[0, 99], [100, 199]])]);
        assert_eq!(subscription.channels, Some(expected));

        let bulk: GuildSubscriptionsBulk =
            serde_json::from_str(r#"{"subscriptions":{"1":{"typing":true},"2":{"members":null}}}"#).expect("bulk");
        assert_eq!(bulk.subscriptions.len(), 2);
        assert_eq!(bulk.subscriptions[&GuildId::new(2)], Subscription::default());
    }

    #[test]
    fn too_much_and_nonsense_cannot_be_decoded() {
        let many = format!(r#"{{"5":[{}]}}"#, vec!["[0,99]"; 10_000].join(","));
        for bad in [
            many.as_str(),
            r#"{"5":[[0,100]]}"#,
            r#"{"5":[[9,3]]}"#,
            r#"{"5":[[100,199]]}"#,
            r#"{"5":[[-1,3]]}"#,
            r#"{"5":[[0,1,2]]}"#,
            r#"{"5":[[0,4294967295]]}"#,
            r#"{"1":[],"2":[],"3":[],"4":[],"5":[],"6":[]}"#,
            r#"[]"#,
        ] {
            assert_eq!(channels_of(bad), None, "{}", &bad[..bad.len().min(60)]);
        }
        assert_eq!(channels_of(r#"{"5":[[4294967200,4294967295],[0,99]]}"#).map(|c| c.len()), Some(1));
        let ids = vec![r#""7""#; MEMBERS_MAX + 1].join(",");
        assert!(serde_json::from_str::<Subscription>(&format!(r#"{{"members":[{ids}]}}"#)).is_err());
    }
}
