//! Sessions that ended and of which owners have not heard yet.

use std::collections::HashMap;

use rookery_model::gateway::SubscriberId;
use rookery_model::{GuildId, UserId};

use crate::owners::Owners;

/// Pause before owners that had no room are told again.
const RETRY_MS: u64 = 20;

/// Whom to tell, together for each owner: when thousands leave at once, a guild hears of them in a few commands.
#[derive(Default)]
pub struct Leaving {
    guilds: HashMap<GuildId, Vec<SubscriberId>>,
    users: Vec<(UserId, SubscriberId)>,
    /// Sessions of this region that ended, for other regions.
    sessions: Vec<SubscriberId>,
    /// Owners had no room.
    retry_at_ms: Option<u64>,
}

impl Leaving {
    /// A guild is to forget a session.
    pub fn add_guild(&mut self, guild_id: GuildId, id: SubscriberId) {
        self.guilds.entry(guild_id).or_default().push(id);
    }

    /// A user's owner is to forget a session.
    pub fn add_user(&mut self, user_id: UserId, id: SubscriberId) {
        self.users.push((user_id, id));
    }

    /// A session of this region is over.
    pub fn add_session(&mut self, id: SubscriberId) {
        self.sessions.push(id);
    }

    /// Tells owners, unless some had no room a moment ago.
    pub fn tell(&mut self, now_ms: u64, owners: &Owners) {
        if self.is_empty() || self.retry_at_ms.is_some_and(|at_ms| now_ms < at_ms) {
            return;
        }
        for (guild_id, ids) in std::mem::take(&mut self.guilds) {
            if let Err(ids) = owners.unsubscribe_guild(guild_id, ids) {
                self.guilds.insert(guild_id, ids);
            }
        }
        let users = std::mem::take(&mut self.users);
        self.users = users.into_iter().filter(|(user_id, id)| !owners.unsubscribe_user(*user_id, *id)).collect();
        // Behind the rest: it is for all who were not named.
        let sessions = std::mem::take(&mut self.sessions);
        self.sessions = sessions.into_iter().filter(|id| !owners.session_over(*id)).collect();
        self.retry_at_ms = (!self.is_empty()).then_some(now_ms + RETRY_MS);
    }

    /// When to tell again.
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// Whether everybody knows.
    pub fn is_empty(&self) -> bool {
        self.guilds.is_empty() && self.users.is_empty() && self.sessions.is_empty()
    }
}
