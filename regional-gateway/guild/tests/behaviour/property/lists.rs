//! Lists of members: what sessions look at, what they were told of it, and what is true.

use std::collections::{BTreeMap, BTreeSet};

use rookery_guild::member_list::list_id;
use rookery_model::gateway::{GuildMemberListUpdate, MemberGroupId, MemberListItem, MemberListOp, Status};
use rookery_model::{ChannelId, Permissions, RoleId, Timestamp, UserId};

use super::sight::sees;
use crate::member_list_ops::Client;
use crate::store::Rows;

/// What a session looks at, and what it was told of that.
#[derive(Default)]
pub(super) struct Looker {
    pub(super) channels: BTreeMap<ChannelId, Vec<[u32; 2]>>,
    pub(super) lists: BTreeMap<String, Client<MemberListItem>>,
}

impl Looker {
    pub(super) fn take(&mut self, update: &GuildMemberListUpdate) {
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
    pub(super) fn forget_unseen(&mut self, rows: &Rows, now: Timestamp, user: UserId) {
        let seen = self.channels.keys().filter(|id| sees(rows, now, user, **id));
        let ids: BTreeSet<String> = seen.map(|id| id_of(rows, *id)).collect();
        for (id, held) in &self.lists {
            assert!(ids.contains(id) || !held.is_fresh(), "{user} was told of {id}, which it may not look at");
        }
        self.lists.retain(|id, _| ids.contains(id));
        self.lists.values_mut().for_each(Client::age);
    }
}

pub(super) fn id_of(rows: &Rows, channel: ChannelId) -> String {
    let guild_id = rows.guild_id();
    let everyone = rows.roles[&RoleId::from(guild_id)].permissions;
    let views = everyone.intersects(Permissions::VIEW_CHANNEL | Permissions::ADMINISTRATOR);
    list_id(guild_id, views, &rows.channels[&channel])
}

/// A header or a member with what is shown of them.
pub(super) type Short = Result<(MemberGroupId, u32), (UserId, Option<String>, Vec<RoleId>, Status)>;

/// Roles that are gone a client takes out itself when it hears of that.
pub(super) fn short(rows: &Rows, item: &MemberListItem) -> Short {
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
pub(super) fn truth(
    rows: &Rows,
    now: Timestamp,
    statuses: &BTreeMap<UserId, Status>,
    channel: ChannelId,
) -> Vec<Short> {
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
