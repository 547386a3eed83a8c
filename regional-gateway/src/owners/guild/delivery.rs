//! Hands a guild's events to its sessions.

use std::collections::HashMap;
use std::sync::Arc;

use rookery_guild::{Audience, Dispatch, Subscriber};
use rookery_model::UserId;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_session::Payload;

use crate::gateway::input::Input;
use crate::gateway::registry::{SessionHandle, Signal};
use crate::owners::Shared;

/// The sessions that are subscribed to one guild, and how to subscribe them again.
#[derive(Default)]
pub struct Subscribers {
    sessions: HashMap<SubscriberId, (Arc<SessionHandle>, Subscriber)>,
}

impl Subscribers {
    /// Adds a session.
    pub fn insert(&mut self, session: Arc<SessionHandle>, subscriber: Subscriber) {
        self.sessions.insert(subscriber.id, (session, subscriber));
    }

    /// Whether the session is among them.
    pub fn contains(&self, id: SubscriberId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Forgets a session.
    pub fn remove(&mut self, id: SubscriberId) -> bool {
        self.sessions.remove(&id).is_some()
    }

    /// Forgets the sessions of a user who left, but those that subscribed again since that was decided.
    pub fn remove_user(&mut self, user_id: UserId, is_back: impl Fn(SubscriberId) -> bool) {
        self.sessions.retain(|id, (session, _)| session.user_id != user_id || is_back(*id));
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

    /// Sends an event to those who get it; the sessions that turned out to be gone.
    pub fn dispatch(&self, shared: &Shared, dispatch: Dispatch) -> Vec<SubscriberId> {
        let Dispatch { event, audience } = dispatch;
        match audience {
            Audience::Users(user_ids) => {
                shared.deliver_to_users(&user_ids, event);
                Vec::new()
            }
            Audience::Subscribers(ids) => self.fan_out(event, &ids),
        }
    }

    fn fan_out(&self, event: Arc<Event>, ids: &[SubscriberId]) -> Vec<SubscriberId> {
        metrics::counter!("rookery_dispatches_total", "event" => event.name()).increment(ids.len() as u64);
        // What only one session gets is not kept by it in a form that could be shared.
        if let ([id], Event::GuildCreate(_) | Event::GuildMembersChunk(_)) = (ids, &*event) {
            let input = Input::Own(Box::new(Arc::unwrap_or_clone(event)));
            return self.send(*id, |session| session.send(input)).into_iter().collect();
        }
        let payload = Payload::new(Arc::unwrap_or_clone(event));
        ids.iter().filter_map(|id| self.send(*id, |session| session.deliver(Arc::clone(&payload)))).collect()
    }

    fn send<E>(&self, id: SubscriberId, send: impl FnOnce(&SessionHandle) -> Result<(), E>) -> Option<SubscriberId> {
        // One that unsubscribed while the event waited to become durable is no longer here.
        let (session, _) = self.sessions.get(&id)?;
        send(session).err().map(|_| id)
    }
}

impl Drop for Subscribers {
    /// An owner that ends on its way takes nobody's events with it in silence.
    fn drop(&mut self) {
        self.lose_all();
    }
}
