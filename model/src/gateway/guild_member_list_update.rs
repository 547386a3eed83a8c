//! GUILD_MEMBER_LIST_UPDATE: how a channel's member list, as far as a session looks at it, becomes another.
//!
//! Headers of groups and members share one numbering from 0. A client keeps the list by position and carries the
//! operations out in their order: SYNC writes items over a range, INSERT and DELETE move everything behind the index,
//! UPDATE writes one item, INVALIDATE forgets a range without moving anything. The list ends where the counts of its
//! groups say.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::PresenceEvent;
use crate::member::Member;
use crate::{GuildId, RoleId};

/// A group of a member list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberGroupId {
    /// Those who are there and whose highest hoisted role it is.
    Role(RoleId),
    /// Those who are there and have no hoisted role.
    Online,
    Offline,
}

impl Serialize for MemberGroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Role(id) => serializer.collect_str(id),
            Self::Online => serializer.serialize_str("online"),
            Self::Offline => serializer.serialize_str("offline"),
        }
    }
}

impl<'de> Deserialize<'de> for MemberGroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "online" => Ok(Self::Online),
            "offline" => Ok(Self::Offline),
            id => id.parse().map(Self::Role).map_err(de::Error::custom),
        }
    }
}

/// A group and how many members are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberGroup {
    pub id: MemberGroupId,
    pub count: u32,
}

/// A member and what they do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMember {
    #[serde(flatten)]
    pub member: Member,
    pub presence: PresenceEvent,
}

/// What stands at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberListItem {
    Group(MemberGroup),
    Member(Box<ListMember>),
}

/// A change of the list as the client keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "UPPERCASE")]
pub enum MemberListOp {
    /// Fewer items than positions: the list ends there.
    Sync {
        range: [u32; 2],
        items: Vec<MemberListItem>,
    },
    Insert {
        index: u32,
        item: MemberListItem,
    },
    Update {
        index: u32,
        item: MemberListItem,
    },
    Delete {
        index: u32,
    },
    Invalidate {
        range: [u32; 2],
    },
}

/// GUILD_MEMBER_LIST_UPDATE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuildMemberListUpdate {
    pub guild_id: GuildId,
    /// Which of the guild's lists: `everyone`, or a hash of the overwrites that decide who views the channel.
    pub id: String,
    /// Those of the list who are there.
    pub online_count: u32,
    /// Members of the guild.
    pub member_count: u32,
    /// All groups that are not empty, in their order.
    pub groups: Vec<MemberGroup>,
    pub ops: Vec<MemberListOp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_as_clients_read_them() {
        let group = MemberListItem::Group(MemberGroup { id: MemberGroupId::Online, count: 2 });
        let ops = vec![
            MemberListOp::Sync { range: [0, 99], items: vec![group.clone()] },
            MemberListOp::Update { index: 0, item: group },
            MemberListOp::Delete { index: 1 },
            MemberListOp::Invalidate { range: [100, 199] },
        ];
        let json = serde_json::to_string(&ops).expect("json");
        let expected = concat!(
            r#"[{"op":"SYNC","range":[0,99],"items":[{"group":{"id":"online","count":2}}]},"#,
            r#"{"op":"UPDATE","index":0,"item":{"group":{"id":"online","count":2}}},"#,
            r#"{"op":"DELETE","index":1},{"op":"INVALIDATE","range":[100,199]}]"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Vec<MemberListOp>>(&json).expect("ops"), ops);
        let role: MemberGroupId = serde_json::from_str(r#""77""#).expect("a role");
        assert_eq!(role, MemberGroupId::Role(RoleId::new(77)));
    }
}
