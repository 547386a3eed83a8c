//! The order inside of a group: by name, whatever its case, then by id.

use std::cmp::Ordering;
use std::sync::Arc;

use rookery_model::UserId;
use rookery_model::user::User;

/// The name by which a member is sorted: nick, display name or username, lower-cased.
pub fn sort_name(nick: Option<&str>, user: &User) -> Arc<str> {
    nick.or(user.global_name.as_deref()).unwrap_or(&user.username).to_lowercase().into()
}

/// A member's place inside of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The first bytes of the name as a number: most comparisons end here, without a look at the name's memory.
    prefix: u64,
    pub name: Arc<str>,
    pub user_id: UserId,
}

impl Key {
    pub fn new(name: Arc<str>, user_id: UserId) -> Self {
        let mut first = [0; 8];
        let taken = name.len().min(first.len());
        first[..taken].copy_from_slice(&name.as_bytes()[..taken]);
        Self { prefix: u64::from_be_bytes(first), name, user_id }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_name =
            || if Arc::ptr_eq(&self.name, &other.name) { Ordering::Equal } else { self.name.cmp(&other.name) };
        self.prefix.cmp(&other.prefix).then_with(by_name).then_with(|| self.user_id.cmp(&other.user_id))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_changes_nothing_about_the_order() {
        let names = ["", "\0", "a", "a\0", "ab", "abcdefgh", "abcdefgh\0", "abcdefghi", "abcdefgj", "é", "👍"];
        for a in names {
            for b in names {
                for (x, y) in [(1, 1), (1, 2), (2, 1)] {
                    let key = |name: &str, id| Key::new(name.into(), UserId::new(id));
                    assert_eq!(key(a, x).cmp(&key(b, y)), (a, x).cmp(&(b, y)), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn the_name_that_is_shown_sorts() {
        let mut user = User::new(UserId::new(1), "zoe");
        assert_eq!(&*sort_name(None, &user), "zoe");
        user.global_name = Some("Ämilie".into());
        assert_eq!(&*sort_name(None, &user), "ämilie");
        assert_eq!(&*sort_name(Some("BOB"), &user), "bob");
    }
}
