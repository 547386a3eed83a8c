//! Hands a guild's events to its sessions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rookery_guild::{Audience, Dispatch, Subscriber};
use rookery_model::UserId;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_session::Payload;

use crate::gateway::input::Input;
use crate::gateway::registry::{SessionHandle, Signal};
use crate::gateway::worker::Outbox;
use crate::owners::Shared;

/// The sessions that are subscribed to one guild, and how to subscribe them again.
#[derive(Default)]
pub struct Subscribers {
    sessions: HashMap<SubscriberId, (Arc<SessionHandle>, Subscriber)>,
    /// Those who were taken out while events waited that had been decided before. Their worker does not know it.
    removed: HashSet<SubscriberId>,
}

impl Subscribers {
    /// Adds a session.
    pub fn insert(&mut self, session: Arc<SessionHandle>, subscriber: Subscriber) {
        self.removed.remove(&subscriber.id);
        self.sessions.insert(subscriber.id, (session, subscriber));
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

    /// Forgets the sessions of a user who left, but those that subscribed again since that was decided.
    pub fn remove_user(&mut self, user_id: UserId, is_back: impl Fn(SubscriberId) -> bool) {
        let is_gone = |id: &SubscriberId, session: &SessionHandle| session.user_id == user_id && !is_back(*id);
        for (id, _) in self.sessions.extract_if(|id, (session, _)| is_gone(id, session)) {
            self.removed.insert(id);
        }
    }

    /// Ends the sessions of all of them, who would otherwise go on with a gap.
    pub fn lose_all(&mut self) {
        for (_, (session, _)) in self.sessions.drain() {
            session.signal(Signal::Lost);
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
        self.sessions.values().cloned().collect()
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
