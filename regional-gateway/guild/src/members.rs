//! The members of a guild: by id, and by the beginnings of their names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use rookery_model::member::{Member, MemberRow};
use rookery_model::user::User;
use rookery_model::{RoleId, Timestamp, UserId};

use crate::permission_cache::is_timed_out;

/// A member and what is known of the user.
#[derive(Clone, Debug)]
pub(crate) struct MemberEntry {
    pub row: MemberRow,
    pub user: Arc<User>,
}

impl MemberEntry {
    /// The API's form with the user.
    pub fn view(&self) -> Member {
        self.row.view(Some(User::clone(&self.user)))
    }
}

/// All members; searching costs by what is found, not by how many there are.
#[derive(Default)]
pub(crate) struct Members {
    by_id: BTreeMap<UserId, MemberEntry>,
    /// Lower-cased username, display name and nick, each with its holder.
    names: BTreeSet<(Box<str>, UserId)>,
    /// Those with a time-out, which may have passed.
    timed_out: BTreeSet<UserId>,
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
    pub fn get(&self, id: UserId) -> Option<&MemberEntry> {
        self.by_id.get(&id)
    }
    pub fn contains(&self, id: UserId) -> bool {
        self.by_id.contains_key(&id)
    }
    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &MemberEntry> {
        self.by_id.values()
    }
    /// Those with a higher id, by id.
    pub fn after(&self, id: UserId) -> impl Iterator<Item = &MemberEntry> {
        self.by_id.range((Bound::Excluded(id), Bound::Unbounded)).map(|(_, entry)| entry)
    }

    /// Those with a time-out that still runs, by id.
    pub fn timed_out(&self, now: Timestamp) -> impl Iterator<Item = UserId> {
        self.timed_out
            .iter()
            .copied()
            .filter(move |id| self.get(*id).is_some_and(|entry| is_timed_out(&entry.row, now)))
    }

    /// Adds a member or replaces the row.
    pub fn put(&mut self, row: MemberRow, user: Arc<User>) {
        let id = row.user_id;
        if row.communication_disabled_until.is_some() {
            self.timed_out.insert(id);
        } else {
            self.timed_out.remove(&id);
        }
        let entry = MemberEntry { row, user };
        let new = names_of(&entry);
        if let Some(old) = self.by_id.insert(id, entry) {
            for name in names_of(&old) {
                self.names.remove(&(name, id));
            }
        }
        self.names.extend(new.into_iter().map(|name| (name, id)));
    }

    pub fn remove(&mut self, id: UserId) {
        self.timed_out.remove(&id);
        if let Some(old) = self.by_id.remove(&id) {
            for name in names_of(&old) {
                self.names.remove(&(name, id));
            }
        }
    }

    /// Takes a role from everybody who has it.
    pub fn remove_role(&mut self, role: RoleId) {
        for entry in self.by_id.values_mut() {
            entry.row.roles.retain(|id| *id != role);
        }
    }

    /// Those with a name that starts so, whatever its case; each once, in the order of the names.
    pub fn search(&self, prefix: &str, limit: usize) -> Vec<&MemberEntry> {
        let prefix: Box<str> = prefix.to_lowercase().into();
        let mut found = HashSet::new();
        let from = (Bound::Included((prefix.clone(), UserId::new(0))), Bound::Unbounded);
        self.names
            .range(from)
            .take_while(|(name, _)| name.starts_with(&*prefix))
            .filter(|(_, id)| found.insert(*id))
            .filter_map(|(_, id)| self.by_id.get(id))
            .take(limit)
            .collect()
    }
}

fn names_of(entry: &MemberEntry) -> BTreeSet<Box<str>> {
    [Some(&entry.user.username), entry.user.global_name.as_ref(), entry.row.nick.as_ref()]
        .into_iter()
        .flatten()
        .map(|name| name.to_lowercase().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::GuildId;

    fn row(id: u64, nick: Option<&str>) -> MemberRow {
        MemberRow {
            guild_id: GuildId::new(1),
            user_id: UserId::new(id),
            nick: nick.map(Into::into),
            avatar: None,
            roles: vec![],
            joined_at: Timestamp(0),
            deaf: false,
            mute: false,
            pending: false,
            flags: 0,
            communication_disabled_until: None,
        }
    }

    fn found(members: &Members, prefix: &str, limit: usize) -> Vec<u64> {
        members.search(prefix, limit).iter().map(|e| e.row.user_id.get()).collect()
    }

    #[test]
    fn search_is_by_prefix_of_any_name_and_forgets_old_ones() {
        let mut members = Members::default();
        members.put(row(2, Some("Alpha")), Arc::new(User::new(UserId::new(2), "alfred")));
        members.put(row(3, None), Arc::new(User::new(UserId::new(3), "bert")));
        assert_eq!(found(&members, "AL", 10), [2]);
        assert_eq!(found(&members, "", 10), [2, 3]);
        assert_eq!(found(&members, "", 1), [2]);
        members.put(row(2, None), Arc::new(User::new(UserId::new(2), "alfred")));
        assert!(found(&members, "alp", 10).is_empty());
        members.remove(UserId::new(3));
        assert!(found(&members, "b", 10).is_empty());
    }
}
