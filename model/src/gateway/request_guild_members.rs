//! REQUEST_GUILD_MEMBERS (opcode 8) and its answer, GUILD_MEMBERS_CHUNK.

use serde::{Deserialize, Deserializer, Serialize};

use super::PresenceEvent;
use super::identify::null_is_default;
use crate::member::Member;
use crate::{GuildId, UserId};

/// The data of REQUEST_GUILD_MEMBERS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RequestGuildMembers {
    /// One guild; clients of people may name several.
    #[serde(rename = "guild_id", deserialize_with = "one_or_many")]
    pub guild_ids: Vec<GuildId>,
    /// Start of the name; the empty text means everybody.
    #[serde(default)]
    pub query: Option<String>,
    /// Most members wanted; 0 means all.
    #[serde(default, deserialize_with = "null_is_default")]
    pub limit: u32,
    #[serde(default, deserialize_with = "null_is_default")]
    pub presences: bool,
    #[serde(default, deserialize_with = "one_or_many")]
    pub user_ids: Vec<UserId>,
    /// Comes back in the chunks.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// The data of GUILD_MEMBERS_CHUNK.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuildMembersChunk {
    pub guild_id: GuildId,
    /// At most 1,000.
    pub members: Vec<Member>,
    pub chunk_index: u32,
    pub chunk_count: u32,
    /// Ids asked for that are not members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_found: Vec<UserId>,
    /// Of those of the members who are not offline, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presences: Option<Vec<PresenceEvent>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Reads null, one id or a list of ids.
pub(super) fn one_or_many<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        Many(Vec<T>),
        One(T),
    }
    Ok(match Option::<OneOrMany<T>>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(OneOrMany::One(id)) => vec![id],
        Some(OneOrMany::Many(ids)) => ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_alone_or_in_lists() {
        let one: RequestGuildMembers =
            serde_json::from_str(r#"{"guild_id":"5","query":"","limit":0,"user_ids":"7","nonce":null}"#).expect("one");
        assert_eq!((one.guild_ids, one.user_ids), (vec![GuildId::new(5)], vec![UserId::new(7)]));
        let many: RequestGuildMembers =
            serde_json::from_str(r#"{"guild_id":["5","6"],"user_ids":[7,"8"]}"#).expect("many");
        assert_eq!((many.guild_ids.len(), many.user_ids.len(), many.query), (2, 2, None));
        assert!(serde_json::from_str::<RequestGuildMembers>("{}").is_err());
    }
}
