//! The live sessions of a user.

use rookery_model::DeviceId;
use rookery_model::gateway::{Event, Intents, SubscriberId};

/// A session of the user.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SubscriberId,
    /// None: a person's client, which gets everything.
    pub intents: Option<Intents>,
    /// Of the token that the session identified with.
    pub device_id: DeviceId,
    pub token_epoch: u32,
    /// Shard 0, and every session without sharding, gets what is outside of guilds.
    pub gets_direct: bool,
}

impl Session {
    /// Whether it gets an event that is outside of guilds.
    pub(crate) fn gets(&self, event: &Event) -> bool {
        let required = event.required_intents();
        self.gets_direct && (required.is_empty() || self.intents.is_none_or(|intents| intents.intersects(required)))
    }
}

/// All sessions of one user, few enough to look through.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Vec<Session>,
}

impl Sessions {
    /// Adds a session, in place of an earlier one with its id; false if there are `max` already.
    pub(crate) fn add(&mut self, session: Session, max: usize) -> bool {
        self.remove(session.id);
        if self.all.len() >= max {
            return false;
        }
        self.all.push(session);
        true
    }
    pub(crate) fn remove(&mut self, id: SubscriberId) {
        self.all.retain(|session| session.id != id);
        if self.all.is_empty() {
            self.all.shrink_to_fit();
        }
    }
    pub(crate) fn ids(&self, want: impl Fn(&Session) -> bool) -> Vec<SubscriberId> {
        self.all.iter().filter(|session| want(session)).map(|session| session.id).collect()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
