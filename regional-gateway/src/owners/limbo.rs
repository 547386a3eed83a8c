//! What is for users whose owners are between two nodes.
//!
//! An owner that moves, or whose node restarts, is nowhere for a moment, and its sessions go on with the next one. What
//! others have for the user meanwhile waits here, in order, and goes to the next owner; if there is none in time, the
//! user's sessions start anew.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rookery_model::gateway::Event;
use rookery_model::{GuildId, UserId};
use rookery_session::Payload;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::user::command::UserCommand;

/// How long something waits.
const WAITS: Duration = Duration::from_secs(30);
/// Things that may wait, for all users together.
const WAITING_MAX: usize = 65_536;
/// How often those who wait are looked after.
const LOOK: Duration = Duration::from_millis(50);

/// Something for a user.
#[derive(Clone, Debug)]
pub enum ForUser {
    Event(Arc<Event>),
    GuildJoined(GuildId),
    GuildLeft(GuildId),
}

impl ForUser {
    /// Whether it tells of a moment only, and may be missing.
    pub fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Event(event) if event.is_ephemeral())
    }

    fn command(self) -> UserCommand {
        match self {
            Self::Event(event) => {
                let payload = Payload::new(Event::clone(&event));
                UserCommand::Deliver { event, payload }
            }
            Self::GuildJoined(id) => UserCommand::GuildJoined(id),
            Self::GuildLeft(id) => UserCommand::GuildLeft(id),
        }
    }
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<ForUser>,
    /// Since when the first of them waits.
    since: Option<Instant>,
}

/// All that waits.
#[derive(Default)]
pub struct Limbo {
    users: Mutex<HashMap<UserId, Waiting>>,
    count: AtomicUsize,
    came: Notify,
}

impl Limbo {
    /// Looks after those who wait, as long as there are owners.
    pub fn start(shared: Weak<Shared>) {
        tokio::spawn(async move {
            loop {
                let Some(shared) = shared.upgrade() else { return };
                if shared.limbo.count.load(Ordering::Acquire) == 0 {
                    let stop = shared.stop.clone();
                    tokio::select! {
                        () = shared.limbo.came.notified() => {}
                        () = stop.cancelled() => return,
                    }
                }
                shared.look_after_limbo();
                drop(shared);
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    /// Whether something waits for a user: then what comes later waits too.
    fn has(&self, id: UserId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.users.lock().contains_key(&id)
    }

    /// Lets something wait; false if there is no room.
    fn push(&self, id: UserId, item: ForUser, now: Instant) -> bool {
        let mut users = self.users.lock();
        if self.count.load(Ordering::Acquire) >= WAITING_MAX {
            return false;
        }
        let waiting = users.entry(id).or_default();
        waiting.since.get_or_insert(now);
        waiting.items.push_back(item);
        self.count.fetch_add(1, Ordering::AcqRel);
        drop(users);
        self.came.notify_one();
        true
    }

    /// Takes out what waits for those for whom something can be done, and for those who waited too long.
    fn take(&self, now: Instant, can: impl Fn(UserId) -> bool) -> Vec<(UserId, VecDeque<ForUser>, bool)> {
        let mut users = self.users.lock();
        let is_late = |waiting: &Waiting| waiting.since.is_some_and(|since| now.duration_since(since) >= WAITS);
        let taken: Vec<_> = users
            .extract_if(|id, waiting| can(*id) || is_late(waiting))
            .map(|(id, waiting)| {
                let is_in_time = !is_late(&waiting);
                (id, waiting.items, is_in_time)
            })
            .collect();
        let count: usize = taken.iter().map(|(_, items, _)| items.len()).sum();
        self.count.fetch_sub(count, Ordering::AcqRel);
        taken
    }
}

impl Shared {
    /// Sends something to the owner of a user here, if it is loaded; where it is between two nodes it waits.
    pub(super) fn tell_user_here(&self, id: UserId, item: ForUser) {
        if self.is_settled_here(id) {
            self.send_user_if_loaded(id, item.command());
        } else {
            self.let_wait(id, item);
        }
    }

    /// Whether the owner of a user lives here, and nothing waits that comes before.
    pub(super) fn is_settled_here(&self, id: UserId) -> bool {
        self.peers.ownership().takes_calls(id.get()) && !self.limbo.has(id)
    }

    /// Lets something wait for the next owner of a user.
    pub(super) fn let_wait(&self, id: UserId, item: ForUser) {
        if !item.is_ephemeral() && !self.limbo.push(id, item, Instant::now()) {
            self.lose_user(id);
        }
    }

    /// Something for a user is missing: their sessions start anew, wherever they are.
    fn lose_user(&self, id: UserId) {
        self.sessions.lose(id);
        self.peers.lose(&[id]);
    }

    fn look_after_limbo(&self) {
        let ownership = self.peers.ownership();
        let is_there = |id: UserId| self.peers.elsewhere(id.get()).is_some_and(|peer| peer.is_open());
        let can = |id: UserId| ownership.takes_calls(id.get()) || is_there(id);
        for (id, items, is_in_time) in self.limbo.take(Instant::now(), can) {
            if !is_in_time {
                metrics::counter!("rookery_users_without_owner_total").increment(1);
                self.lose_user(id);
                continue;
            }
            for item in items {
                match self.peers.elsewhere(id.get()) {
                    None => self.tell_user_here(id, item),
                    Some(peer) => match item {
                        ForUser::Event(event) => peer.deliver(&event, &[id]),
                        ForUser::GuildJoined(guild_id) => peer.tell_membership(guild_id, &[id], true),
                        ForUser::GuildLeft(guild_id) => peer.tell_membership(guild_id, &[id], false),
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn joined(item: &ForUser) -> u64 {
        match item {
            ForUser::GuildJoined(id) => id.get(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_waits_goes_on_in_order_and_not_for_ever() {
        let limbo = Limbo::default();
        assert!(!limbo.has(ALICE));
        for number in 1..=3 {
            assert!(limbo.push(ALICE, ForUser::GuildJoined(GuildId::new(number)), Instant::now()));
        }
        assert!(limbo.push(BOB, ForUser::GuildJoined(GuildId::new(9)), Instant::now()));
        assert!(limbo.take(Instant::now(), |_| false).is_empty() && limbo.has(ALICE));
        let taken = limbo.take(Instant::now(), |id| id == ALICE);
        let (id, items, is_in_time) = &taken[0];
        assert_eq!((*id, *is_in_time, items.iter().map(joined).collect::<Vec<_>>()), (ALICE, true, vec![1, 2, 3]));
        assert!(!limbo.has(ALICE) && limbo.has(BOB));
        let late = limbo.take(Instant::now() + WAITS, |_| false);
        assert_eq!((late[0].0, late[0].2, limbo.count.load(Ordering::Relaxed)), (BOB, false, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let limbo = Limbo::default();
        let now = Instant::now();
        for number in 0..WAITING_MAX as u64 {
            assert!(limbo.push(UserId::new(number), ForUser::GuildLeft(GuildId::new(1)), now));
        }
        assert!(!limbo.push(ALICE, ForUser::GuildLeft(GuildId::new(1)), now));
    }
}
