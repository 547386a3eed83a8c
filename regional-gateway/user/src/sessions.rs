//! The live sessions of a user.

use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::{DeviceId, GuildId};

use crate::presence::SessionClient;

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSession {
    pub id: SubscriberId,
    /// The device and epoch of the token it identified with.
    pub device: DeviceId,
    pub epoch: u32,
    /// None: a person's client, which gets everything.
    pub intents: Option<Intents>,
    /// `[shard, count]`; none is all of it.
    pub shard: Option<[u32; 2]>,
    pub client: SessionClient,
}

impl UserSession {
    /// Whether a guild's events come to this session's shard.
    pub fn has_guild(&self, id: GuildId) -> bool {
        self.shard.is_none_or(|[shard, count]| count > 0 && (id.get() >> 22) % u64::from(count) == u64::from(shard))
    }
    /// Whether events without a guild come to it: shard 0 alone gets them.
    pub fn has_direct_events(&self) -> bool {
        self.shard.is_none_or(|[shard, _]| shard == 0)
    }
    /// Whether it asked for events of this kind.
    pub fn wants(&self, event: &Event) -> bool {
        let required = event.required_intents();
        required.is_empty() || self.intents.is_none_or(|intents| intents.intersects(required))
    }
}

/// Why a session cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The account holds as many sessions as it may.
    #[error("too many sessions")]
    TooMany,
}

/// All sessions of one user, few enough to look through.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Vec<UserSession>,
}

impl Sessions {
    /// Adds a session, in place of an earlier one with its id.
    pub(crate) fn add(&mut self, session: UserSession, max: usize) -> Result<(), SubscribeError> {
        self.remove(session.id);
        if self.all.len() >= max {
            return Err(SubscribeError::TooMany);
        }
        self.all.push(session);
        Ok(())
    }
    pub(crate) fn remove(&mut self, id: SubscriberId) {
        self.all.retain(|session| session.id != id);
        if self.all.is_empty() {
            self.all.shrink_to_fit();
        }
    }
    pub(crate) fn ids(&self, want: impl Fn(&UserSession) -> bool) -> Vec<SubscriberId> {
        self.all.iter().filter(|session| want(session)).map(|session| session.id).collect()
    }
    pub(crate) fn contains(&self, id: SubscriberId) -> bool {
        self.all.iter().any(|session| session.id == id)
    }
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}
