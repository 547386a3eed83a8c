//! Hands a guild's events to its sessions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rookery_guild::{Audience, Dispatch, Subscriber};
use rookery_model::UserId;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_session::Payload;

use crate::degradation::Feature;
use crate::gateway::input::Input;
use crate::gateway::registry::{SessionHandle, Signal};
use crate::gateway::worker::Outbox;
use crate::owners::Shared;

/// How many subscriptions a guild had so far: those with lower numbers came before.
pub type Count = u64;

struct Subscribed {
    session: Arc<SessionHandle>,
    subscriber: Subscriber,
    number: Count,
}

/// The sessions that are subscribed to one guild, and how to subscribe them again.
#[derive(Default)]
pub struct Subscribers {
    sessions: HashMap<SubscriberId, Subscribed>,
    /// Subscriptions so far.
    count: Count,
    /// Those who were taken out while events waited that had been decided before. Their worker does not know it.
    removed: HashSet<SubscriberId>,
}

impl Subscribers {
    /// Adds a session.
    pub fn insert(&mut self, session: Arc<SessionHandle>, subscriber: Subscriber) {
        self.removed.remove(&subscriber.id);
        let number = self.count;
        self.count += 1;
        self.sessions.insert(subscriber.id, Subscribed { session, subscriber, number });
    }

    /// The number of the next subscription.
    pub const fn count(&self) -> Count {
        self.count
    }

    /// Whether the session is among them.
    pub fn contains(&self, id: SubscriberId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Forgets a session.
    pub fn remove(&mut self, id: SubscriberId) -> bool {
        let known = self.sessions.remove(&id).is_some();
        if known {
            self.removed.insert(id);
        }
        known
    }

    /// Forgets the sessions of a user who left when there had been so many subscriptions. Those that subscribed since, when
    /// the user was back, are to be told what follows, even if the user has left again by now.
    pub fn remove_user(&mut self, user_id: UserId, left_at: Count) {
        let is_gone = |it: &Subscribed| it.session.user_id == user_id && it.number < left_at;
        for (id, _) in self.sessions.extract_if(|_, it| is_gone(it)) {
            self.removed.insert(id);
        }
    }

    /// Ends the sessions of all of them, who would otherwise go on with a gap.
    pub fn lose_all(&mut self) {
        for (_, subscribed) in self.sessions.drain() {
            subscribed.session.signal(Signal::Lost);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.sessions.clear();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// All of them, to subscribe them anew.
    pub fn all(&self) -> Vec<(Arc<SessionHandle>, Subscriber)> {
        self.sessions.values().map(|it| (Arc::clone(&it.session), it.subscriber.clone())).collect()
    }

    /// Everything that was decided before a removal is delivered: nobody needs to be left out of an audience any more.
    pub fn forget_removed(&mut self) {
        if !self.removed.is_empty() {
            self.removed = HashSet::new();
        }
    }

    /// Sends an event to those who get it.
    pub fn dispatch(&self, shared: &Shared, outbox: &mut Outbox, dispatch: Dispatch) {
        let Dispatch { event, audience } = dispatch;
        if matches!(*event, Event::TypingStart(_)) && !shared.degradation.admits(Feature::Typing) {
            return;
        }
        match audience {
            Audience::Users(user_ids) => shared.deliver_to_users(&user_ids, event),
            Audience::Subscribers(ids) => self.fan_out(outbox, event, ids),
        }
    }

    fn fan_out(&self, outbox: &mut Outbox, event: Arc<Event>, mut ids: Arc<[SubscriberId]>) {
        if !self.removed.is_empty() {
            ids = ids.iter().copied().filter(|id| !self.removed.contains(id)).collect();
        }
        metrics::counter!("rookery_dispatches_total", "event" => event.name()).increment(ids.len() as u64);
        // What only one session gets is not kept by it in a form that could be shared.
        if let ([id], Event::GuildCreate(_) | Event::GuildMembersChunk(_)) = (&*ids, &*event) {
            return outbox.send(*id, Input::Own(Box::new(Arc::unwrap_or_clone(event))));
        }
        outbox.fan_out(&Payload::new(Arc::unwrap_or_clone(event)), &ids);
    }
}

impl Drop for Subscribers {
    /// An owner that ends on its way takes nobody's events with it in silence.
    fn drop(&mut self) {
        self.lose_all();
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::DeviceId;
    use rookery_model::gateway::Capabilities;

    use super::*;
    use crate::gateway::registry::Sessions;
    use crate::gateway::worker::Workers;

    #[test]
    fn who_left_and_came_back_keeps_what_is_decided_for_them_since() {
        let (workers, _inboxes) = Workers::new(1, 1);
        let sessions = Sessions::new(Arc::new(workers), 10);
        let user_id = UserId::new(7);
        let subscribe = |subscribers: &mut Subscribers| {
            let session = sessions.register(user_id, DeviceId::new(1)).unwrap();
            let subscriber = Subscriber {
                id: session.subscriber,
                user_id,
                intents: None,
                large_threshold: 50,
                capabilities: Capabilities::empty(),
            };
            let id = subscriber.id;
            subscribers.insert(session, subscriber);
            id
        };
        let mut subscribers = Subscribers::default();
        let before = subscribe(&mut subscribers);
        let first_leave = subscribers.count();
        let after = subscribe(&mut subscribers);
        let second_leave = subscribers.count();
        // Both leaves are decided before the first is settled.
        subscribers.remove_user(user_id, first_leave);
        assert!(!subscribers.contains(before) && subscribers.contains(after) && !subscribers.removed.contains(&after));
        subscribers.remove_user(user_id, second_leave);
        assert!(subscribers.is_empty());
    }
}
