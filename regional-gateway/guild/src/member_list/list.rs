//! The list itself.

use std::collections::HashMap;
use std::sync::Arc;

use indexset::BTreeSet;
use rookery_model::UserId;
use rookery_model::gateway::{MemberGroup, MemberGroupId};

use super::change::{Change, Edit};
use super::key::Key;

/// Members of one node of a group's tree: small enough to be moved in well under a microsecond.
const NODE_MAX: usize = 256;

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Group(MemberGroup),
    Member(UserId),
}

/// Groups in their order, each a header and its members by name; groups without members have no header.
#[derive(Debug)]
pub struct MemberList {
    groups: Vec<Group>,
    places: HashMap<UserId, Place>,
}

#[derive(Debug)]
struct Group {
    id: MemberGroupId,
    members: BTreeSet<Key>,
}

#[derive(Clone, Debug)]
struct Place {
    /// Of `groups`.
    group: u32,
    name: Arc<str>,
}

impl Group {
    fn count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }
    /// With its header.
    fn len(&self) -> u32 {
        if self.members.is_empty() { 0 } else { self.count() + 1 }
    }
    fn header(&self) -> MemberGroup {
        MemberGroup { id: self.id, count: self.count() }
    }
}

impl MemberList {
    /// A list of these groups, first to last, with these members; a member of another group is left out.
    pub fn new(
        groups: impl IntoIterator<Item = MemberGroupId>,
        members: impl IntoIterator<Item = (UserId, MemberGroupId, Arc<str>)>,
    ) -> Self {
        let new_group = |id| Group { id, members: BTreeSet::with_maximum_node_size(NODE_MAX) };
        let mut list = Self { groups: groups.into_iter().map(new_group).collect(), places: HashMap::new() };
        let mut keys: Vec<(u32, Key)> = members
            .into_iter()
            .filter_map(|(user_id, group, name)| Some((list.group_of(group)?, Key::new(name, user_id))))
            .collect();
        // In order every member goes to the end of a tree, which costs the least.
        keys.sort_unstable();
        list.places.reserve(keys.len());
        for (group, key) in keys {
            if list.places.insert(key.user_id, Place { group, name: Arc::clone(&key.name) }).is_none() {
                list.groups[group as usize].members.insert(key);
            }
        }
        list
    }

    /// Positions, headers counted.
    pub fn len(&self) -> u32 {
        self.groups.iter().map(Group::len).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
    /// Whether a member is in it.
    pub fn contains(&self, user_id: UserId) -> bool {
        self.places.contains_key(&user_id)
    }
    /// All groups with members, in their order.
    pub fn groups(&self) -> Vec<MemberGroup> {
        self.groups.iter().filter(|group| !group.members.is_empty()).map(Group::header).collect()
    }
    /// Members in groups other than the offline one.
    pub fn online_count(&self) -> u32 {
        self.groups.iter().filter(|group| group.id != MemberGroupId::Offline).map(Group::count).sum()
    }

    /// What stands at a position; none behind the end.
    pub fn get(&self, index: u32) -> Option<Item> {
        let mut start = 0;
        for group in &self.groups {
            if index < start + group.len() {
                return Some(match index - start {
                    0 => Item::Group(group.header()),
                    rank => Item::Member(group.members.get_index(rank as usize - 1)?.user_id),
                });
            }
            start += group.len();
        }
        None
    }

    /// What stands from one position to another, both included; fewer where the list ends.
    pub fn slice(&self, [first, last]: [u32; 2]) -> Vec<Item> {
        let mut items = Vec::new();
        let (mut start, mut next) = (0, first);
        for group in &self.groups {
            let end = start + group.len();
            if next < end && next <= last {
                if next == start {
                    items.push(Item::Group(group.header()));
                    next += 1;
                }
                let from = (next - start - 1) as usize;
                let to = (end.min(last.saturating_add(1)) - start - 1) as usize;
                if from < to {
                    items.extend(group.members.range_idx(from..to).map(|key| Item::Member(key.user_id)));
                    next = start + 1 + to as u32;
                }
            }
            start = end;
        }
        items
    }

    /// Where a member stands.
    pub fn position(&self, user_id: UserId) -> Option<u32> {
        let place = self.places.get(&user_id)?;
        let key = Key::new(Arc::clone(&place.name), user_id);
        Some(self.member_index(place.group, &key))
    }

    /// Puts a member into a group, moves them or, with none, takes them out. A member whose place does not change is told
    /// as changed all the same. None: nothing to tell.
    pub fn put(&mut self, user_id: UserId, to: Option<(MemberGroupId, Arc<str>)>) -> Option<Change> {
        let to = to.and_then(|(group, name)| Some(Place { group: self.group_of(group)?, name }));
        let mut change = Change::new(self.len());
        match (self.places.remove(&user_id), to) {
            (None, None) => return None,
            (Some(from), None) => {
                let left = self.take_out(&mut change, user_id, from);
                self.recount(&mut change, left);
            }
            (None, Some(to)) => {
                let entered = self.put_in(&mut change, user_id, to);
                self.recount(&mut change, entered);
            }
            (Some(from), Some(to)) if (from.group, &from.name) == (to.group, &to.name) => {
                let index = self.member_index(to.group, &Key::new(Arc::clone(&to.name), user_id));
                change.push(Edit::Update(index, Item::Member(user_id)));
                self.places.insert(user_id, to);
            }
            (Some(from), Some(to)) => {
                let stays = from.group == to.group;
                let left = self.take_out(&mut change, user_id, from);
                let entered = self.put_in(&mut change, user_id, to);
                if stays {
                    change.merge_if_unmoved();
                } else {
                    self.recount(&mut change, left);
                    self.recount(&mut change, entered);
                }
            }
        }
        Some(change)
    }

    fn group_of(&self, id: MemberGroupId) -> Option<u32> {
        self.groups.iter().position(|group| group.id == id).and_then(|index| u32::try_from(index).ok())
    }

    /// Where a group's header stands, or would stand.
    fn header_index(&self, group: u32) -> u32 {
        self.groups.iter().take(group as usize).map(Group::len).sum()
    }

    fn member_index(&self, group: u32, key: &Key) -> u32 {
        let rank = self.groups.get(group as usize).map_or(0, |group| group.members.rank(key));
        self.header_index(group) + 1 + u32::try_from(rank).unwrap_or(u32::MAX)
    }

    /// The group that a member left.
    fn take_out(&mut self, change: &mut Change, user_id: UserId, from: Place) -> u32 {
        let key = Key::new(from.name, user_id);
        change.push(Edit::Delete(self.member_index(from.group, &key)));
        let header = self.header_index(from.group);
        if let Some(group) = self.groups.get_mut(from.group as usize) {
            group.members.remove(&key);
            if group.members.is_empty() {
                change.push(Edit::Delete(header));
            }
        }
        from.group
    }

    /// The group that a member entered.
    fn put_in(&mut self, change: &mut Change, user_id: UserId, to: Place) -> u32 {
        let header = self.header_index(to.group);
        let key = Key::new(Arc::clone(&to.name), user_id);
        let index = self.member_index(to.group, &key);
        if let Some(group) = self.groups.get_mut(to.group as usize) {
            group.members.insert(key);
            if group.members.len() == 1 {
                change.push(Edit::Insert(header, Item::Group(group.header())));
            }
        }
        change.push(Edit::Insert(index, Item::Member(user_id)));
        let group = to.group;
        self.places.insert(user_id, to);
        group
    }

    /// Tells a group's new count, unless its header is new or gone.
    fn recount(&self, change: &mut Change, group: u32) {
        change.counts_changed = true;
        let header = self.header_index(group);
        if let Some(group) = self.groups.get(group as usize).filter(|group| !group.members.is_empty()) {
            let item = Item::Group(group.header());
            if !change.inserts(&item) {
                change.push(Edit::Update(header, item));
            }
        }
    }
}
