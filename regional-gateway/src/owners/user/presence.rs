//! What the owner of a user does with presences: it hears its sessions and friends, and tells guilds and friends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rookery_model::gateway::{Event, SubscriberId};
use rookery_model::{GuildId, UserId};
use rookery_session::Payload;
use rookery_user::{Dispatch, Moment, PresenceOutcome};

use super::actor::{LoadedUser, Outgoing};
use crate::id_generator::now_ms;
use crate::owners::register::{SessionLink, SessionNews};
use crate::peers::PeerIndex;

/// How long a user is seen as before while another owner takes over.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(30);

impl LoadedUser {
    pub(super) fn moment(&self) -> Moment {
        Moment { ms: self.shared.clock.now_ms(), unix_ms: now_ms() }
    }

    /// Looks at what changed since the last look.
    pub(super) fn take_news(&mut self) {
        let news = self.register.take();
        self.reopened(&news.reopened);
        self.catch_up_with(&news.missed);
        if news.have_moved {
            self.tell_of_presence();
        }
        for (id, session) in news.sessions {
            self.session_news(id, session);
        }
        for friend in news.friends {
            self.show_friend(friend);
        }
    }

    fn session_news(&mut self, id: SubscriberId, news: SessionNews) {
        let now = self.moment();
        if let Some(update) = news.presence {
            let outcome = self.core.update_presence(now, id, update);
            self.publish(outcome);
        }
        let outcome = match news.link {
            None => return,
            Some(SessionLink::Attached) => self.core.attached(id),
            Some(SessionLink::Detached) => self.core.detached(now, id),
        };
        self.publish(outcome);
    }

    /// Sessions that wait for RESUME too long count no more, and what was held back is heard.
    pub(super) fn presence_timeout(&mut self) {
        let now = self.moment();
        let outcome = self.core.handle_timeout(now);
        self.publish(outcome);
    }

    /// Carries out what a change of presence leads to.
    pub(super) fn publish(&mut self, outcome: PresenceOutcome) {
        if let Some(shown) = outcome.shown {
            self.shared.registers.show(self.id, self.publisher, &shown);
            self.tell_of_presence();
        }
        for Dispatch { event, sessions } in outcome.dispatches {
            // Not at once: this may be because of a session that turned out to be gone while something was delivered.
            let outgoing = Outgoing::Shared(Payload::new(Event::clone(&event)));
            self.send_later(sessions, outgoing);
        }
    }

    /// What others see of the user ends with this owner.
    pub(super) fn withdraw_presence(&mut self) {
        if self.is_handed_over() {
            // The next owner says it anew. Who does not come back is not seen for ever.
            let (shared, id, publisher) = (Arc::downgrade(&self.shared), self.id, self.publisher);
            let guild_ids: Vec<GuildId> = self.core.guild_ids().collect();
            tokio::spawn(async move {
                tokio::time::sleep(HANDED_OVER_WITHIN).await;
                let Some(shared) = shared.upgrade() else { return };
                if shared.registers.hide(id, publisher) {
                    for guild_id in guild_ids {
                        shared.registers.tell_guild(guild_id, |news| news.presences.insert(id));
                    }
                }
            });
            return self.shared.registers.close_user(self.id, &self.register);
        }
        if self.shared.registers.hide(self.id, self.publisher) {
            self.tell_of_presence();
        }
        self.shared.registers.close_user(self.id, &self.register);
    }

    /// Other nodes are reached again.
    fn reopened(&self, reopened: &BTreeSet<PeerIndex>) {
        for index in reopened {
            let mut guild_ids: Vec<GuildId> = self.core.guild_ids().collect();
            let mut friends: Vec<UserId> = self.core.friends().collect();
            let presence = self.shared.registers.presence(self.id);
            self.shared.peers.tell_presence(self.id, presence, &mut guild_ids, &mut friends, Some(*index));
        }
    }

    pub(super) fn tell_of_presence(&self) {
        let (registers, id) = (&self.shared.registers, self.id);
        let mut guild_ids: Vec<GuildId> = self.core.guild_ids().collect();
        let mut friends: Vec<UserId> = self.core.friends().collect();
        self.shared.peers.tell_presence(id, registers.presence(id), &mut guild_ids, &mut friends, None);
        for guild_id in guild_ids {
            registers.tell_guild(guild_id, |news| news.presences.insert(id));
        }
        for friend in friends {
            registers.tell_user(friend, |news| news.friends.insert(id));
        }
    }

    fn show_friend(&mut self, friend: UserId) {
        let sessions = self.core.friend_watchers(friend);
        if !sessions.is_empty() {
            let presence = self.shared.registers.presence(friend).unwrap_or_default();
            let event = Event::PresenceUpdate(presence.of(friend.into(), None));
            self.send(sessions, Outgoing::Shared(Payload::new(event)));
        }
    }
}
