//! What was deleted or erased and is still being removed: nobody sees it any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};

use crate::tables::purges::Purge;

/// Removals, each with the message id up to which it goes.
pub type Pending = BTreeMap<Purge, MessageId>;

/// Channels and guilds that were deleted, and users who were erased, and whose contents are still being removed.
pub struct Doomed {
    any: AtomicBool,
    /// Whether a user is among them: then a page must look at the author of each message.
    any_user: AtomicBool,
    pending: RwLock<Arc<Pending>>,
}

impl Doomed {
    pub fn new(pending: Pending) -> Self {
        let pending = RwLock::new(Arc::new(pending));
        let doomed = Self { any: AtomicBool::new(false), any_user: AtomicBool::new(false), pending };
        doomed.note(&doomed.pending.read());
        doomed
    }

    fn note(&self, pending: &Pending) {
        self.any_user.store(has_user(pending), Ordering::Release);
        self.any.store(!pending.is_empty(), Ordering::Release);
        metrics::gauge!("rookery_store_purges_pending").set(pending.len() as f64);
    }

    /// Begins purges, up to a message id, or ends them.
    pub fn apply(&self, purges: impl Iterator<Item = (Purge, Option<MessageId>)>) {
        let mut pending = self.pending.write();
        let changed = Arc::make_mut(&mut pending);
        for (purge, through) in purges {
            match through {
                Some(through) => {
                    let pending = changed.entry(purge).or_insert(through);
                    // What was read a moment ago does not shorten what was begun since.
                    *pending = (*pending).max(through);
                }
                None => drop(changed.remove(&purge)),
            }
        }
        self.note(&pending);
    }

    /// What is to be removed now.
    pub fn pending(&self) -> Arc<Pending> {
        self.pending.read().clone()
    }

    /// Takes over what was read from where removals are noted: begins what is new, and ends what was pending before the
    /// reading and is not in it. Says whether anything is new.
    pub fn replace(&self, before: &Pending, read: &Pending) -> bool {
        let mut pending = self.pending.write();
        let changed = Arc::make_mut(&mut pending);
        changed.retain(|purge, through| read.contains_key(purge) || before.get(purge) != Some(through));
        let mut is_news = false;
        for (purge, through) in read {
            if changed.get(purge).is_none_or(|pending| pending < through) {
                changed.insert(*purge, *through);
                is_news = true;
            }
        }
        self.note(&pending);
        is_news
    }

    /// Whether there is anything to remove.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Whether messages of some users are to be removed.
    pub fn any_user(&self) -> bool {
        self.any_user.load(Ordering::Acquire)
    }

    /// How much is to be removed: channels, guilds and users.
    pub fn len(&self) -> usize {
        if self.any() { self.pending.read().len() } else { 0 }
    }

    /// Ends a purge, unless it goes further by now.
    pub fn end(&self, purge: Purge, through: MessageId) {
        let mut pending = self.pending.write();
        if pending.get(&purge) == Some(&through) {
            Arc::make_mut(&mut pending).remove(&purge);
        }
        self.note(&pending);
    }

    /// The first purge of those that may go on now.
    pub fn first(&self, may_go_on: impl Fn(Purge) -> bool) -> Option<Purge> {
        if !self.any() {
            return None;
        }
        self.pending.read().keys().copied().find(|purge| may_go_on(*purge))
    }

    /// What a read that begins now is not to see.
    pub fn hidden(&self) -> Hidden<'_> {
        Hidden { before: self.any().then(|| self.pending.read().clone()), doomed: self }
    }

    fn through(&self, purge: Purge) -> Option<MessageId> {
        if self.any() { self.pending.read().get(&purge).copied() } else { None }
    }

    pub fn channel(&self, id: ChannelId) -> bool {
        self.through(Purge::Channel(id)).is_some()
    }

    pub fn guild(&self, id: GuildId) -> bool {
        self.through(Purge::Guild(id)).is_some()
    }

    /// Whether a message of a user is being erased.
    pub fn message_of(&self, author_id: UserId, id: MessageId) -> bool {
        self.any_user() && self.through(Purge::User(author_id)).is_some_and(|through| id <= through)
    }
}

/// Whether a user is among them, who come last.
fn has_user(pending: &Pending) -> bool {
    pending.last_key_value().is_some_and(|(purge, _)| matches!(purge, Purge::User(_)))
}

/// What a read is not to see: what was being removed when it began, or is when it looks at a row.
///
/// Both, because a removal that ends in between was not over when the rows were read, and is not to be seen any more
/// when they are answered.
pub struct Hidden<'a> {
    before: Option<Arc<Pending>>,
    doomed: &'a Doomed,
}

impl Hidden<'_> {
    fn before(&self, purge: Purge) -> Option<MessageId> {
        self.before.as_ref().and_then(|pending| pending.get(&purge).copied())
    }

    pub fn channel(&self, id: ChannelId) -> bool {
        self.before(Purge::Channel(id)).is_some() || self.doomed.channel(id)
    }

    pub fn guild(&self, id: GuildId) -> bool {
        self.before(Purge::Guild(id)).is_some() || self.doomed.guild(id)
    }

    /// Whether messages of some users are being erased.
    pub fn any_user(&self) -> bool {
        let before = self.before.as_ref().is_some_and(|pending| has_user(pending));
        before || self.doomed.any_user()
    }

    /// What a guild answers.
    pub fn in_guild<T: Default>(&self, id: GuildId, answer: T) -> T {
        if self.guild(id) { T::default() } else { answer }
    }

    /// What a channel answers.
    pub fn in_channel<T: Default>(&self, id: ChannelId, answer: T) -> T {
        if self.channel(id) { T::default() } else { answer }
    }

    /// Whether a message of a user is being erased.
    pub fn message_of(&self, author_id: UserId, id: MessageId) -> bool {
        let before = self.before(Purge::User(author_id)).is_some_and(|through| id <= through);
        before || self.doomed.message_of(author_id, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_end_is_seen_again_and_what_began_meanwhile_stays_hidden() {
        let doomed = Doomed::new(Pending::new());
        let (one, other, third) =
            (Purge::User(UserId::new(1)), Purge::User(UserId::new(2)), Purge::User(UserId::new(3)));
        let to = MessageId::new;
        doomed.apply([(one, Some(to(10))), (other, Some(to(10)))].into_iter());
        let before = doomed.pending();
        // Begun while the list is read, and so not in it.
        doomed.apply([(third, Some(to(5))), (other, Some(to(20)))].into_iter());
        assert!(!doomed.replace(&before, &Pending::new()));
        let hides = |user, message| doomed.message_of(UserId::new(user), to(message));
        assert_eq!((hides(1, 10), hides(2, 20), hides(3, 5)), (false, true, true));
        assert!(doomed.replace(&doomed.pending(), &Pending::from([(one, to(7)), (other, to(5))])));
        assert_eq!((hides(1, 7), hides(1, 8), hides(2, 20), hides(3, 5)), (true, false, true, false));
        assert!(!doomed.replace(&doomed.pending(), &Pending::from([(one, to(7)), (other, to(5))])));
    }

    #[test]
    fn a_removal_that_ends_during_a_read_leaves_nothing_to_see() {
        let doomed = Doomed::new(Pending::new());
        let (channel, guild, user) = (ChannelId::new(5), GuildId::new(6), UserId::new(7));
        let all = [Purge::Channel(channel), Purge::Guild(guild), Purge::User(user)];
        let sees = |hidden: &Hidden<'_>| {
            let message = |id| !hidden.message_of(user, MessageId::new(id));
            (!hidden.channel(channel), !hidden.guild(guild), message(10), message(11))
        };
        let earlier = doomed.hidden();
        assert_eq!(sees(&earlier), (true, true, true, true));
        doomed.apply(all.iter().map(|purge| (*purge, Some(MessageId::new(10)))));
        assert_eq!(sees(&earlier), (false, false, false, true));
        let meanwhile = doomed.hidden();
        doomed.apply(all.iter().map(|purge| (*purge, None)));
        assert_eq!(sees(&meanwhile), (false, false, false, true));
        assert_eq!(sees(&doomed.hidden()), (true, true, true, true));
        assert_eq!((doomed.any(), doomed.any_user(), doomed.len()), (false, false, 0));

        // One that was asked for anew meanwhile goes on.
        let through = |to| std::iter::once((Purge::User(user), Some(MessageId::new(to))));
        doomed.apply(through(10));
        doomed.apply(through(20));
        doomed.apply(through(10));
        doomed.end(Purge::User(user), MessageId::new(10));
        assert!(doomed.message_of(user, MessageId::new(20)) && !doomed.message_of(user, MessageId::new(21)));
        assert!(doomed.message_of(user, MessageId::new(15)));
        doomed.end(Purge::User(user), MessageId::new(20));
        assert_eq!((doomed.any(), doomed.any_user(), doomed.len()), (false, false, 0));
    }
}
